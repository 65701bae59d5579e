//! The advertising world the events come from: sites, apps, devices, creatives, and how likely
//! each of them makes a click.
//!
//! Shares and click rates are round figures near those of the Avazu data; the codes are hashes
//! of an index. The world does not depend on the seed: two runs differ in what happens, not in
//! where.

use crate::chance::Chance;
use crate::event::{Creative, Event, Place};
use crate::mix::code;
use crate::text::HOUR_MS;
use crate::weights::Weights;

/// Salts of the code tables.
mod salt {
    pub(super) const SITE: u32 = 1;
    pub(super) const SITE_DOMAIN: u32 = 2;
    pub(super) const SITE_CATEGORY: u32 = 3;
    pub(super) const APP: u32 = 4;
    pub(super) const APP_DOMAIN: u32 = 5;
    pub(super) const APP_CATEGORY: u32 = 6;
    pub(super) const DEVICE: u32 = 7;
    pub(super) const DEVICE_IP: u32 = 8;
    pub(super) const DEVICE_MODEL: u32 = 9;
}

const SITES: u32 = 3_000;
const APPS: u32 = 4_000;
const CREATIVES: u32 = 2_600;
const DEVICES: u32 = 2_600_000;
const DEVICE_IPS: u32 = 6_700_000;
const DEVICE_MODELS: u32 = 8_000;

/// Of 100 events, those shown on a site; the others are shown in an app.
const ON_SITE_PERCENT: u32 = 64;
/// Of 1,000 events, those whose device did not send its id.
const DEFAULT_DEVICE_PERMILLE: u32 = 825;
/// Of 100 events, those without a C20.
const NO_C20_PERCENT: u32 = 47;

/// Click probability, in millionths, where every factor is 1.
const BASE_PPM: u64 = 156_500;

/// A value with its share of the events, in 1/10,000, and its factor on the click rate, in
/// thousandths.
struct Choice<T> {
    value: T,
    share: u32,
    factor: u32,
}

const fn choice<T: Copy>(value: T, share: u32, factor: u32) -> Choice<T> {
    Choice { value, share, factor }
}

const BANNER_POSITIONS: [Choice<u8>; 7] = [
    choice(0, 7_050, 960),
    choice(1, 2_650, 1_090),
    choice(2, 80, 720),
    choice(3, 30, 1_060),
    choice(4, 60, 1_120),
    choice(5, 50, 730),
    choice(7, 80, 1_900),
];

/// Device type and the C1 that goes with it.
const DEVICE_TYPES: [Choice<(u8, i32)>; 6] = [
    choice((1, 1005), 9_090, 1_030),
    choice((1, 1007), 100, 640),
    choice((0, 1002), 560, 1_240),
    choice((4, 1010), 200, 560),
    choice((5, 1010), 42, 540),
    choice((2, 1001), 8, 450),
];

const CONNECTIONS: [Choice<u8>; 4] =
    [choice(0, 8_640, 1_060), choice(2, 820, 820), choice(3, 440, 300), choice(5, 100, 220)];

/// Categories by index: share among the sites' traffic and factor on the click rate.
const SITE_CATEGORIES: [(u32, u32); 20] = [
    (2_900, 1_210),
    (2_600, 1_060),
    (2_000, 1_400),
    (1_100, 780),
    (420, 560),
    (300, 1_100),
    (200, 480),
    (130, 350),
    (90, 900),
    (70, 1_700),
    (50, 620),
    (40, 1_300),
    (30, 240),
    (20, 840),
    (15, 1_050),
    (12, 420),
    (9, 760),
    (6, 1_500),
    (5, 310),
    (3, 980),
];

/// Of the apps, likewise; the second half is a long tail.
const APP_CATEGORIES: [(u32, u32); 30] = [
    (6_000, 640),
    (1_700, 780),
    (1_000, 560),
    (600, 1_100),
    (250, 900),
    (120, 430),
    (80, 1_400),
    (60, 700),
    (45, 300),
    (35, 1_250),
    (25, 820),
    (20, 510),
    (15, 960),
    (12, 380),
    (10, 1_120),
    (8, 640),
    (7, 720),
    (6, 480),
    (5, 1_000),
    (4, 860),
    (4, 350),
    (3, 590),
    (3, 1_300),
    (2, 770),
    (2, 410),
    (2, 930),
    (1, 680),
    (1, 520),
    (1, 1_060),
    (1, 440),
];

/// Factor on the click rate by hour of the day UTC, in thousandths: people click more at night.
const HOUR_FACTORS: [u32; 24] = [
    1_060, 1_070, 1_080, 1_080, 1_070, 1_050, 1_030, 1_010, 990, 980, 970, 970, 980, 990, 1_000, 1_010,
    1_010, 1_000, 990, 980, 990, 1_010, 1_030, 1_050,
];

/// Banner sizes with their share of the campaigns, in hundredths.
const SIZES: [((i32, i32), u32); 7] = [
    ((320, 50), 86),
    ((300, 250), 7),
    ((216, 36), 3),
    ((728, 90), 1),
    ((480, 320), 1),
    ((300, 50), 1),
    ((120, 20), 1),
];

const C18_VALUES: [(i32, u32); 4] = [(0, 45), (3, 35), (2, 15), (1, 5)];
const C19_VALUES: [i32; 12] = [35, 39, 167, 163, 303, 297, 161, 43, 169, 687, 1063, 431];

/// A site or an app, with its factor on the click rate in thousandths.
#[derive(Debug, Clone, Copy)]
struct RatedPlace {
    place: Place,
    factor: u32,
}

/// All tables, ready to draw events from.
#[derive(Debug, Clone)]
pub(crate) struct World {
    banner_positions: Weights,
    device_types: Weights,
    connections: Weights,
    device_models: Weights,
    site_ranks: Weights,
    sites: Vec<RatedPlace>,
    app_ranks: Weights,
    apps: Vec<RatedPlace>,
    creative_ranks: Weights,
    creatives: Vec<Creative>,
}

impl World {
    pub(crate) fn new() -> Self {
        let mut chance = Chance::new(2014);
        Self {
            banner_positions: shares(&BANNER_POSITIONS),
            device_types: shares(&DEVICE_TYPES),
            connections: shares(&CONNECTIONS),
            device_models: Weights::zipf(DEVICE_MODELS, 12),
            site_ranks: Weights::zipf(SITES, 1),
            sites: make_sites(&mut chance),
            app_ranks: Weights::zipf(APPS, 2),
            apps: make_apps(&mut chance),
            creative_ranks: Weights::zipf(CREATIVES, 8),
            creatives: make_creatives(&mut chance),
        }
    }

    /// Draws one event that happens at `time_ms`.
    pub(crate) fn draw(&self, chance: &mut Chance, id: u64, time_ms: i64) -> Event {
        let banner = &BANNER_POSITIONS[self.banner_positions.draw(chance)];
        let device = &DEVICE_TYPES[self.device_types.draw(chance)];
        let connection = &CONNECTIONS[self.connections.draw(chance)];
        let on_site = chance.below(100) < ON_SITE_PERCENT;
        let (shown, site, app) = if on_site {
            let shown = self.sites[self.site_ranks.draw(chance)];
            (shown, shown.place, default_app())
        } else {
            let shown = self.apps[self.app_ranks.draw(chance)];
            (shown, default_site(), shown.place)
        };
        let hour_of_day = (time_ms / HOUR_MS).rem_euclid(24) as usize;
        let factors =
            [banner.factor, device.factor, connection.factor, shown.factor, HOUR_FACTORS[hour_of_day]];
        let click_ppm =
            factors.iter().fold(BASE_PPM, |ppm, &factor| (ppm * u64::from(factor) / 1_000).min(950_000));
        let (device_type, c1) = device.value;
        Event {
            id,
            time_ms,
            click: u64::from(chance.below(1_000_000)) < click_ppm,
            banner_pos: banner.value,
            device_type,
            device_conn_type: connection.value,
            c1,
            site,
            app,
            device_id: draw_device(chance),
            device_ip: code(salt::DEVICE_IP, chance.skewed_below(DEVICE_IPS)),
            device_model: code(salt::DEVICE_MODEL, self.device_models.draw(chance) as u32),
            creative: self.creatives[self.creative_ranks.draw(chance)],
            c20: draw_c20(chance),
        }
    }
}

fn shares<T>(choices: &[Choice<T>]) -> Weights {
    let weights: Vec<u32> = choices.iter().map(|choice| choice.share).collect();
    Weights::new(&weights)
}

/// The site written for events in an app. Index 0 of the site tables is kept for it.
fn default_site() -> Place {
    Place {
        id: code(salt::SITE, 0),
        domain: code(salt::SITE_DOMAIN, 0),
        category: code(salt::SITE_CATEGORY, 0),
    }
}

/// The app written for events on a site. Index 0 of the app tables is kept for it.
fn default_app() -> Place {
    Place { id: code(salt::APP, 0), domain: code(salt::APP_DOMAIN, 0), category: code(salt::APP_CATEGORY, 0) }
}

/// Sites by rank: three sites share two domains, each site has one category.
fn make_sites(chance: &mut Chance) -> Vec<RatedPlace> {
    let categories = Weights::new(&SITE_CATEGORIES.map(|(share, _)| share));
    (0..SITES)
        .map(|rank| {
            let category = head_or_draw(rank, &categories, chance);
            let place = Place {
                id: code(salt::SITE, rank + 1),
                domain: code(salt::SITE_DOMAIN, rank * 2 / 3 + 1),
                category: code(salt::SITE_CATEGORY, category as u32 + 1),
            };
            rated(place, SITE_CATEGORIES[category].1, chance)
        })
        .collect()
}

/// Apps by rank: half of them have the default domain, as apps without a web page do.
fn make_apps(chance: &mut Chance) -> Vec<RatedPlace> {
    let categories = Weights::new(&APP_CATEGORIES.map(|(share, _)| share));
    (0..APPS)
        .map(|rank| {
            let category = head_or_draw(rank, &categories, chance);
            let place = Place {
                id: code(salt::APP, rank + 1),
                domain: code(salt::APP_DOMAIN, rank % 2 * (rank / 8 + 1)),
                category: code(salt::APP_CATEGORY, category as u32 + 1),
            };
            rated(place, APP_CATEGORIES[category].1, chance)
        })
        .collect()
}

/// The first places, which carry much of the traffic, have the first categories in turn, so that
/// a category's traffic does not hang on one draw; the others are drawn.
fn head_or_draw(rank: u32, categories: &Weights, chance: &mut Chance) -> usize {
    const HEAD: [usize; 8] = [0, 1, 2, 0, 1, 3, 2, 0];
    match HEAD.get(rank as usize) {
        Some(&category) => category,
        None => categories.draw(chance),
    }
}

/// Within its category a place may be up to 30 % better or worse.
fn rated(place: Place, category_factor: u32, chance: &mut Chance) -> RatedPlace {
    RatedPlace { place, factor: category_factor * chance.between(700, 1_300) / 1_000 }
}

/// Creatives by rank; six of them make a campaign, which has a size and the other numbers.
fn make_creatives(chance: &mut Chance) -> Vec<Creative> {
    let sizes = Weights::new(&SIZES.map(|(_, share)| share));
    let c18_values = Weights::new(&C18_VALUES.map(|(_, share)| share));
    let mut creatives = Vec::with_capacity(CREATIVES as usize);
    while creatives.len() < CREATIVES as usize {
        let campaign = creatives.len() as i32 / 6;
        let ((c15, c16), _) = SIZES[sizes.draw(chance)];
        let (c18, _) = C18_VALUES[c18_values.draw(chance)];
        let c19 = C19_VALUES[chance.skewed_below(C19_VALUES.len() as u32) as usize];
        let c21 = chance.between(1, 255) as i32;
        let room = (CREATIVES as usize - creatives.len()).min(6);
        for _ in 0..room {
            creatives.push(Creative {
                c14: 375 + 9 * creatives.len() as i32,
                c15,
                c16,
                c17: 112 + 6 * campaign,
                c18,
                c19,
                c21,
            });
        }
    }
    creatives
}

fn draw_device(chance: &mut Chance) -> u32 {
    let index =
        if chance.below(1_000) < DEFAULT_DEVICE_PERMILLE { 0 } else { 1 + chance.skewed_below(DEVICES) };
    code(salt::DEVICE, index)
}

fn draw_c20(chance: &mut Chance) -> i32 {
    if chance.below(100) < NO_C20_PERCENT { -1 } else { 100_000 + chance.skewed_below(250) as i32 }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    const TIME_MS: i64 = 1_413_849_600_000;

    fn events(count: i64) -> impl Iterator<Item = Event> {
        let world = World::new();
        let mut chance = Chance::new(11);
        (0..count).map(move |row| world.draw(&mut chance, row as u64, TIME_MS + row * 200))
    }

    /// Click rate by the group that `key` names.
    fn rates<K: Ord>(key: impl Fn(&Event) -> K) -> BTreeMap<K, f64> {
        let mut counts: BTreeMap<K, (u32, u32)> = BTreeMap::new();
        for event in events(432_000) {
            let (shown, clicked) = counts.entry(key(&event)).or_default();
            *shown += 1;
            *clicked += u32::from(event.click);
        }
        counts
            .into_iter()
            .filter(|(_, (shown, _))| *shown > 1_000)
            .map(|(group, (shown, clicked))| (group, f64::from(clicked) / f64::from(shown)))
            .collect()
    }

    #[test]
    fn click_rates_differ_by_group() {
        let overall = rates(|_| ())[&()];
        assert!((0.15..0.18).contains(&overall), "{overall}");
        let by_device = rates(|event| event.device_type);
        assert!(by_device[&0] > by_device[&1] && by_device[&1] > 1.5 * by_device[&4]);
        let by_banner = rates(|event| event.banner_pos);
        assert!(by_banner[&7] > 1.5 * by_banner[&1] && by_banner[&1] > 1.05 * by_banner[&0]);
        for by_category in [rates(|event| event.site.category), rates(|event| event.app.category)] {
            let lowest = by_category.values().copied().fold(1.0, f64::min);
            let highest = by_category.values().copied().fold(0.0, f64::max);
            assert!(highest > 2.0 * lowest, "{by_category:?}");
        }
    }

    #[test]
    fn values_are_those_of_the_tables() {
        let mut banner_positions = BTreeSet::new();
        let mut device_types = BTreeSet::new();
        let mut connections = BTreeSet::new();
        let mut site_categories = BTreeSet::new();
        let mut app_categories = BTreeSet::new();
        let mut sites = BTreeSet::new();
        let mut apps = BTreeSet::new();
        let mut default_devices = 0;
        for event in events(300_000) {
            banner_positions.insert(event.banner_pos);
            device_types.insert(event.device_type);
            connections.insert(event.device_conn_type);
            site_categories.insert(event.site.category);
            app_categories.insert(event.app.category);
            sites.insert(event.site.id);
            apps.insert(event.app.id);
            default_devices += u32::from(event.device_id == code(salt::DEVICE, 0));
            let on_site = event.app == default_app();
            let in_app = event.site == default_site();
            assert!(on_site != in_app);
        }
        assert_eq!(Vec::from_iter(banner_positions), [0, 1, 2, 3, 4, 5, 7]);
        assert_eq!(Vec::from_iter(device_types), [0, 1, 2, 4, 5]);
        assert_eq!(Vec::from_iter(connections), [0, 2, 3, 5]);
        assert!((18..=21).contains(&site_categories.len()));
        assert!((20..=31).contains(&app_categories.len()));
        assert!(sites.len() > 2_500 && apps.len() > 3_000);
        assert!((240_000..255_000).contains(&default_devices));
    }
}
