//! Event-time tumbling windows: what a batch adds to each minute and each hour.

use adpipe_event::{EventBatch, Millis};
use adpipe_warehouse::MetricRow;
use hashbrown::HashMap;

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
pub fn aggregate<'a>(events: &'a EventBatch, counts: &[bool]) -> Windows<'a> {
    let mut minutes = Sums::default();
    for index in (0..events.len()).filter(|index| counts[*index]) {
        let event = events.event(index);
        let key = Key {
            window_start: event.event_time.floor_minute(),
            banner_pos: event.banner_pos,
            device_type: event.device_type,
            device_conn_type: event.device_conn_type,
            site_category: event.site_category(),
            app_category: event.app_category(),
        };
        let sum = minutes.entry(key).or_default();
        sum.impressions += 1;
        sum.clicks += u64::from(event.click);
    }
    let mut hours = Sums::default();
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
