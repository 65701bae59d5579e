//! What one micro-batch adds to the warehouse.

use adpipe_event::{ContentSum, ErrorType, Millis};

use crate::row_sum::row_sum;
use crate::{FromRow, Row, Value, WarehouseError};

/// Impressions and clicks of one window and one combination of dimensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MetricRow<'a> {
    /// Start of the minute or hour.
    pub window_start: Millis,
    /// Banner position, 0..=99.
    pub banner_pos: u8,
    /// Device type, 0..=99.
    pub device_type: u8,
    /// Connection type, 0..=99.
    pub device_conn_type: u8,
    /// Category of the site.
    pub site_category: &'a str,
    /// Category of the app.
    pub app_category: &'a str,
    /// Events.
    pub impressions: u64,
    /// Events that were clicked.
    pub clicks: u64,
}

/// The account of some records: `records = valid + duplicates + invalid`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// All records.
    pub records: u64,
    /// Events counted for the first time.
    pub valid: u64,
    /// Clicks among `valid`.
    pub clicks: u64,
    /// Events that had been counted already.
    pub duplicates: u64,
    /// Records that are in error, by type in the order of [`ErrorType::ALL`].
    pub invalid_by_type: [u64; ErrorType::ALL.len()],
    /// Valid events whose window had long passed.
    pub late: u64,
    /// Valid or duplicate events whose id is in float notation.
    pub float_ids: u64,
    /// Fields that were ignored because we do not know them.
    pub unknown_fields: u64,
}

impl Counts {
    /// As every account has them: records, events, clicks, duplicates, then the errors by type.
    pub fn values(&self) -> [Value; 10] {
        let kinds = [self.records, self.valid, self.clicks, self.duplicates];
        let mut numbers = kinds.into_iter().chain(self.invalid_by_type);
        std::array::from_fn(|_| Value::Int(numbers.next().unwrap_or_default() as i64))
    }

    /// Invalid records.
    pub fn invalid(&self) -> u64 {
        self.invalid_by_type.iter().sum()
    }

    /// Counts one record in error.
    pub fn add_invalid(&mut self, error_type: ErrorType) {
        self.invalid_by_type[error_type as usize] += 1;
    }

    /// Invalid records of one type.
    pub fn of_type(&self, error_type: ErrorType) -> u64 {
        self.invalid_by_type[error_type as usize]
    }

    /// Takes one record in error off again.
    pub fn take_invalid(&mut self, error_type: ErrorType) {
        self.records = self.records.saturating_sub(1);
        let of_type = &mut self.invalid_by_type[error_type as usize];
        *of_type = of_type.saturating_sub(1);
    }

    /// Adds another account to this one.
    pub fn add(&mut self, other: &Counts) {
        self.records += other.records;
        self.valid += other.valid;
        self.clicks += other.clicks;
        self.duplicates += other.duplicates;
        for (mine, theirs) in self.invalid_by_type.iter_mut().zip(other.invalid_by_type) {
            *mine += theirs;
        }
        self.late += other.late;
        self.float_ids += other.float_ids;
        self.unknown_fields += other.unknown_fields;
    }
}

impl FromRow for Counts {
    fn from_row(row: &Row<'_>) -> Result<Counts, WarehouseError> {
        let mut counts = Counts {
            records: row.get("records")?,
            valid: row.get("valid")?,
            clicks: row.get("clicks")?,
            duplicates: row.get("duplicates")?,
            ..Counts::default()
        };
        for (of_type, error_type) in counts.invalid_by_type.iter_mut().zip(ErrorType::ALL) {
            *of_type = row.get(error_type.as_str())?;
        }
        counts.late = row.get("late")?;
        counts.float_ids = row.get("float_ids")?;
        counts.unknown_fields = row.get("unknown_fields")?;
        Ok(counts)
    }
}

/// Upper edges of the latency buckets, milliseconds, inclusive; a last bucket has no edge.
/// 5,000 is one of them because the latency alert asks for "over 5 s".
pub const LATENCY_BUCKETS_MS: [i64; 13] =
    [10, 25, 50, 100, 250, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 300_000];

/// Records by latency: one count for each bucket and one for what is beyond.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LatencyCounts(pub [u64; LATENCY_BUCKETS_MS.len() + 1]);

impl LatencyCounts {
    /// Adds `records` that took `latency_ms`.
    pub fn observe(&mut self, latency_ms: i64, records: u64) {
        let bucket = LATENCY_BUCKETS_MS.partition_point(|edge| *edge < latency_ms);
        self.0[bucket] += records;
    }

    /// Adds others to these.
    pub fn add(&mut self, other: &LatencyCounts) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }

    /// Adds what was stored by [`to_text`](Self::to_text); of merged commits that is nothing.
    ///
    /// # Errors
    /// [`WarehouseError::Unusable`] when the text is nothing that adpipe writes.
    pub fn add_text(&mut self, text: &str) -> Result<(), WarehouseError> {
        if text.is_empty() {
            return Ok(());
        }
        let counts: Option<Vec<u64>> = text.split(' ').map(|count| count.parse().ok()).collect();
        let counts = counts.filter(|counts| counts.len() == self.0.len()).ok_or_else(|| {
            WarehouseError::damaged("realtime.commits", format!("latency_counts {text:?} are not counts"))
        })?;
        for (mine, count) in self.0.iter_mut().zip(counts) {
            *mine = mine.saturating_add(count);
        }
        Ok(())
    }

    /// As stored: the counts, separated by spaces.
    pub fn to_text(&self) -> String {
        self.0.map(|count| count.to_string()).join(" ")
    }

    /// The latency in ms that a share `q` of the records did not exceed, by linear interpolation
    /// within its bucket, as Prometheus' `histogram_quantile` does. None without records; the
    /// last edge when it lies beyond all edges.
    pub fn quantile_ms(&self, q: f64) -> Option<f64> {
        let total: u64 = self.0.iter().sum();
        if total == 0 {
            return None;
        }
        let rank = q * total as f64;
        let mut below = 0u64;
        for (bucket, count) in self.0.iter().enumerate() {
            if (below + count) as f64 >= rank && *count > 0 {
                let Some(upper) = LATENCY_BUCKETS_MS.get(bucket) else { break };
                let lower = if bucket == 0 { 0 } else { LATENCY_BUCKETS_MS[bucket - 1] };
                let share = (rank - below as f64) / *count as f64;
                return Some(lower as f64 + (upper - lower) as f64 * share);
            }
            below += count;
        }
        LATENCY_BUCKETS_MS.last().map(|edge| *edge as f64)
    }
}

/// The account of one partition of one micro-batch.
#[derive(Debug, Clone)]
pub struct Commit {
    /// Topic name.
    pub topic: &'static str,
    /// Partition number.
    pub partition: u32,
    /// First offset of the batch.
    pub first_offset: u64,
    /// Offset after the batch.
    pub next_offset: u64,
    /// When the transaction was sealed.
    pub committed_at: Millis,
    /// What the records were.
    pub counts: Counts,
    /// How long they had waited since they were appended.
    pub latency: LatencyCounts,
    /// Of the events that were counted for the first time; none when it is not known any more.
    pub content: Option<ContentSum>,
}

/// Columns of a commit as it is stored, its sum included.
pub(crate) const COMMIT_COLUMNS: usize = 21;

impl Commit {
    /// As `record_commit` stores it.
    pub(crate) fn row(&self) -> [Value; COMMIT_COLUMNS] {
        let int = |number: u64| Value::Int(number as i64);
        let counts = &self.counts;
        let [records, valid, clicks, duplicates, parse, schema, validation, future, sink, archive] =
            counts.values();
        sealed_commit([
            self.topic.into(),
            Value::Int(self.partition.into()),
            int(self.first_offset),
            int(self.next_offset),
            self.committed_at.to_string().into(),
            records,
            valid,
            clicks,
            duplicates,
            parse,
            schema,
            validation,
            future,
            sink,
            archive,
            int(counts.late),
            int(counts.float_ids),
            int(counts.unknown_fields),
            self.latency.to_text().into(),
            self.content.map(ContentSum::to_i64).into(),
        ])
    }
}

/// A commit's values with their sum after them.
pub(crate) fn sealed_commit(values: [Value; COMMIT_COLUMNS - 1]) -> [Value; COMMIT_COLUMNS] {
    let sum = row_sum("realtime.commits", &values);
    let mut values = values.into_iter();
    std::array::from_fn(|_| values.next().unwrap_or_else(|| sum.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_interpolate_within_their_bucket() {
        let mut latency = LatencyCounts::default();
        assert_eq!(latency.quantile_ms(0.5), None);
        latency.observe(40, 100);
        assert_eq!(latency.quantile_ms(0.5), Some(37.5));
        latency.observe(900_000, 100);
        assert_eq!(latency.quantile_ms(0.99), Some(300_000.0));
    }

    #[test]
    fn an_edge_belongs_to_its_own_bucket() {
        let mut latency = LatencyCounts::default();
        latency.observe(5_000, 1);
        latency.observe(5_001, 1);
        assert_eq!((latency.0[8], latency.0[9]), (1, 1));
    }

    #[test]
    fn latency_text_is_read_back() {
        let mut latency = LatencyCounts::default();
        latency.observe(3, 7);
        latency.observe(1_000_000, 2);
        let mut again = LatencyCounts::default();
        again.add_text(&latency.to_text()).unwrap();
        again.add_text("").unwrap();
        assert_eq!(again, latency);
    }

    #[test]
    fn damaged_latency_text_is_an_error() {
        let text = LatencyCounts::default().to_text();
        for damaged in
            [text.replacen('0', "x", 1), text.replacen(' ', "", 1), format!("{text} 0"), "-1".to_owned()]
        {
            let error = LatencyCounts::default().add_text(&damaged).unwrap_err();
            assert!(error.to_string().contains("are not counts"), "{error}");
        }
    }
}
