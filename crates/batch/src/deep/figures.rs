//! Figures as sums that can be compared without holding them: of each hour one number, to which a
//! row of figures adds what its events would.

use std::collections::BTreeMap;

use adpipe_event::{Event, Millis};
use adpipe_warehouse::{Row, Value, WarehouseError};
use twox_hash::xxhash3_64::Hasher;

/// Minutes and hours of the same dimensions have different hashes.
const SEED: u64 = 0x0ad9_19e5;

/// What events, or rows of figures, of one hour come to. Wrapping, and linear: the order does not
/// matter, and neither does how the events are spread over rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct FigureSum {
    by_hour: u64,
    by_minute: u64,
}

impl FigureSum {
    pub fn add(&mut self, other: FigureSum) {
        self.by_hour = self.by_hour.wrapping_add(other.by_hour);
        self.by_minute = self.by_minute.wrapping_add(other.by_minute);
    }

    pub fn has_no_minutes(&self) -> bool {
        self.by_minute == 0
    }

    pub fn same_hours(&self, other: &FigureSum) -> bool {
        self.by_hour == other.by_hour
    }

    pub fn same_minutes(&self, other: &FigureSum) -> bool {
        self.by_minute == other.by_minute
    }
}

/// Hashes the dimensions of figures.
#[derive(Debug, Default)]
pub(super) struct FigureHasher {
    bytes: Vec<u8>,
}

impl FigureHasher {
    /// What one event adds.
    pub fn of_event(&mut self, event: &Event<'_>) -> FigureSum {
        let codes = [event.banner_pos, event.device_type, event.device_conn_type];
        let clicks = u64::from(event.click);
        let mut part =
            |window: Millis| self.part(window, codes, event.site_category(), event.app_category(), 1, clicks);
        FigureSum {
            by_hour: part(event.event_time.floor_hour()),
            by_minute: part(event.event_time.floor_minute()),
        }
    }

    fn part(
        &mut self,
        window: Millis,
        codes: [u8; 3],
        site_category: &str,
        app_category: &str,
        impressions: u64,
        clicks: u64,
    ) -> u64 {
        self.bytes.clear();
        self.bytes.extend_from_slice(&window.0.to_le_bytes());
        self.bytes.extend_from_slice(&codes);
        self.bytes.extend_from_slice(&(site_category.len() as u64).to_le_bytes());
        self.bytes.extend_from_slice(site_category.as_bytes());
        self.bytes.extend_from_slice(app_category.as_bytes());
        let of_impressions = Hasher::oneshot_with_seed(SEED, &self.bytes);
        let of_clicks = Hasher::oneshot_with_seed(!SEED, &self.bytes);
        impressions.wrapping_mul(of_impressions).wrapping_add(clicks.wrapping_mul(of_clicks))
    }

    /// The sum that a row of figures adds to its hour.
    ///
    /// # Errors
    /// When the row is not one that adpipe writes.
    fn of_row(
        &mut self,
        row: &Row<'_>,
        floor: fn(Millis) -> Millis,
    ) -> Result<(Millis, u64), WarehouseError> {
        let window = row.parse("window_start", "the start of a window", |text: &str| {
            Millis::parse_sql(text).filter(|window| window.to_string() == text && floor(*window) == *window)
        })?;
        let codes = [row.get("banner_pos")?, row.get("device_type")?, row.get("device_conn_type")?];
        let (site_category, app_category) = (row.get("site_category")?, row.get("app_category")?);
        let (impressions, clicks) = (row.get("impressions")?, row.get("clicks")?);
        let sum = self.part(window, codes, site_category, app_category, impressions, clicks);
        Ok((window.floor_hour(), sum))
    }
}

/// Sums of stored figures by the hour, and the rows that are not figures, by their window.
#[derive(Debug, Default)]
pub(super) struct StoredFigures {
    pub hours: BTreeMap<Millis, FigureSum>,
    pub unreadable: Vec<String>,
    hasher: FigureHasher,
}

impl StoredFigures {
    /// Adds a row of `realtime.metrics_hourly`.
    pub fn add_hourly(&mut self, row: &Row<'_>) {
        match self.hasher.of_row(row, Millis::floor_hour) {
            Ok((hour, sum)) => {
                let of_hour = self.hours.entry(hour).or_default();
                of_hour.by_hour = of_hour.by_hour.wrapping_add(sum);
            }
            Err(_) => self.unreadable.push(format!("realtime.metrics_hourly, {}", window_of(row))),
        }
    }

    /// Adds a row of `realtime.metrics`.
    pub fn add_minute(&mut self, row: &Row<'_>) {
        match self.hasher.of_row(row, Millis::floor_minute) {
            Ok((hour, sum)) => {
                let of_hour = self.hours.entry(hour).or_default();
                of_hour.by_minute = of_hour.by_minute.wrapping_add(sum);
            }
            Err(_) => self.unreadable.push(format!("realtime.metrics, {}", window_of(row))),
        }
    }
}

/// A row's window as it is stored, whatever it is.
fn window_of(row: &Row<'_>) -> String {
    row.get::<&Value>("window_start").map(Value::to_string).unwrap_or_default()
}
