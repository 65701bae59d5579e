//! Event-time tumbling windows: what a batch adds to each minute and each hour.

use adpipe_event::{EventBatch, Millis};
use adpipe_warehouse::MetricRow;
use hashbrown::HashMap;

const SITE_CATEGORY: usize = 2;
const APP_CATEGORY: usize = 5;

#[derive(PartialEq, Eq, Hash, Clone, Copy, PartialOrd, Ord)]
struct Key<'a> {
    window_start: Millis,
    banner_pos: u8,
    device_type: u8,
    device_conn_type: u8,
    site_category: &'a str,
    app_category: &'a str,
}

#[derive(Default, Clone, Copy)]
struct Sum {
    impressions: u64,
    clicks: u64,
}

type Sums<'a> = HashMap<Key<'a>, Sum, foldhash::fast::FixedState>;

/// Sums of a batch, sorted by key so that they are added to the tables in order.
pub struct Windows<'a> {
    /// By the minute.
    pub minutes: Vec<MetricRow<'a>>,
    /// By the hour.
    pub hours: Vec<MetricRow<'a>>,
}

/// Sums the events for which `counts` holds.
pub fn aggregate<'a>(events: &'a EventBatch, counts: &'a [bool]) -> Windows<'a> {
    aggregate_all([(events, counts)], Millis(i64::MIN))
}

/// Sums the events of several batches for which `counts` holds; by the minute only those at or after
/// `minutes_since`.
pub fn aggregate_all<'a>(
    batches: impl IntoIterator<Item = (&'a EventBatch, &'a [bool])>,
    minutes_since: Millis,
) -> Windows<'a> {
    let mut minutes = Sums::default();
    let mut hours = Sums::default();
    for (events, counts) in batches {
        for index in (0..events.len()).filter(|index| counts[*index]) {
            let minute = events.event_time(index).floor_minute();
            let is_kept = minute >= minutes_since;
            let key = Key {
                window_start: if is_kept { minute } else { minute.floor_hour() },
                banner_pos: events.banner_pos(index),
                device_type: events.device_type(index),
                device_conn_type: events.device_conn_type(index),
                site_category: events.text(SITE_CATEGORY, index),
                app_category: events.text(APP_CATEGORY, index),
            };
            let sum = if is_kept { &mut minutes } else { &mut hours }.entry(key).or_default();
            sum.impressions += 1;
            sum.clicks += u64::from(events.click(index));
        }
    }
    for (key, minute) in &minutes {
        let hour = hours.entry(Key { window_start: key.window_start.floor_hour(), ..*key }).or_default();
        hour.impressions += minute.impressions;
        hour.clicks += minute.clicks;
    }
    Windows { minutes: sorted_rows(&minutes), hours: sorted_rows(&hours) }
}

fn sorted_rows<'a>(sums: &Sums<'a>) -> Vec<MetricRow<'a>> {
    let mut rows: Vec<MetricRow<'a>> = sums
        .iter()
        .map(|(key, sum)| MetricRow {
            window_start: key.window_start,
            banner_pos: key.banner_pos,
            device_type: key.device_type,
            device_conn_type: key.device_conn_type,
            site_category: key.site_category,
            app_category: key.app_category,
            impressions: sum.impressions,
            clicks: sum.clicks,
        })
        .collect();
    rows.sort_unstable();
    rows
}
