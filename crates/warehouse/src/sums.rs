//! Sums of the contents of events, by the hour: what proves that `realtime.events` and the archive
//! together still hold exactly what was counted.
//!
//! Whatever counts events adds them here in the same transaction. Moving events into the archive,
//! merging its parts and dropping hot copies leave the sums as they are.

use std::collections::BTreeMap;

use adpipe_event::{ContentSum, Millis};
use adpipe_sql::section;

use crate::{StreamTransaction, Value, WarehouseError, WarehouseRead, for_each_row, query_table};

const SUMS_SQL: &str = include_str!("../sql/report/sums.sql");
const ADD_CONTENT: &str = section(SUMS_SQL, "add_content");
const CONTENT_SUMS: &str = section(SUMS_SQL, "content_sums");
const COUNTED_SUMS: &str = section(SUMS_SQL, "counted_sums");
const SEAL_CONTENT: &str = section(SUMS_SQL, "seal_content");

/// How many events, and the sum of their contents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Content {
    /// Events.
    pub events: u64,
    /// Of all of them.
    pub sum: ContentSum,
}

impl Content {
    /// Adds one event.
    pub fn add_event(&mut self, sum: ContentSum) {
        self.events += 1;
        self.sum.add(sum);
    }

    /// Adds others.
    pub fn add(&mut self, other: Content) {
        self.events += other.events;
        self.sum.add(other.sum);
    }
}

/// Contents by event hour, in the order of the hours.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HourContents(BTreeMap<Millis, Content>);

impl HourContents {
    /// Nothing yet.
    pub fn new() -> HourContents {
        HourContents::default()
    }

    /// Adds events whose times and sums stand side by side, where `counts` holds.
    pub fn add_events(&mut self, times: &[Millis], sums: &[ContentSum], counts: &[bool]) {
        debug_assert_eq!((times.len(), counts.len()), (sums.len(), sums.len()));
        // Neighbours are mostly of one hour: the map is asked when the hour changes.
        let mut of_hour = Content::default();
        let mut hour = Millis(i64::MIN);
        for ((time, sum), counts) in times.iter().zip(sums).zip(counts) {
            if !counts {
                continue;
            }
            let this_hour = time.floor_hour();
            if this_hour != hour {
                self.add_hour(hour, of_hour);
                (hour, of_hour) = (this_hour, Content::default());
            }
            of_hour.add_event(*sum);
        }
        self.add_hour(hour, of_hour);
    }

    fn add_hour(&mut self, hour: Millis, content: Content) {
        if content.events > 0 {
            self.0.entry(hour).or_default().add(content);
        }
    }

    /// Adds all of it to `realtime.content_sums`. After the events are inserted and before the
    /// figures are added: every writer keeps to this order, so that none waits in a circle.
    ///
    /// # Errors
    /// Failures of the warehouse.
    pub fn store(&self, transaction: &mut dyn StreamTransaction) -> Result<(), WarehouseError> {
        for (hour, content) in &self.0 {
            let params = [
                hour.to_string().into(),
                Value::Int(content.events as i64),
                Value::Int(content.sum.to_i64()),
            ];
            transaction.execute(ADD_CONTENT, &params)?;
        }
        Ok(())
    }
}

/// What is stored of an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredContent {
    /// Events that were counted.
    pub events: i64,
    /// None: some were counted before sums were kept.
    pub sum: Option<i64>,
}

/// What is stored of every hour; and the hour of each row that cannot be read.
///
/// # Errors
/// Failures of the warehouse.
pub fn stored_contents(
    warehouse: &dyn WarehouseRead,
) -> Result<(BTreeMap<Millis, StoredContent>, Vec<String>), WarehouseError> {
    let (mut stored, mut unreadable) = (BTreeMap::new(), Vec::new());
    for row in query_table(warehouse, CONTENT_SUMS, &[])?.iter() {
        let text = row.get::<&Value>("event_hour")?.to_string();
        // An hour in other words than ours is a second row of the same one.
        let hour = Millis::parse_sql(&text).filter(|hour| hour.to_string() == text);
        let content = (|| {
            Ok::<_, WarehouseError>(StoredContent {
                events: row.get("events")?,
                sum: row.get("content_sum")?,
            })
        })();
        match (hour, content) {
            (Some(hour), Ok(content)) if hour == hour.floor_hour() => {
                stored.insert(hour, content);
            }
            _ => unreadable.push(text),
        }
    }
    Ok((stored, unreadable))
}

/// The sum of the contents that commits and files say they counted; none when some do not say it.
///
/// # Errors
/// Failures of the warehouse; [`WarehouseError::Unusable`] when a stored sum is not one.
pub fn counted_content(warehouse: &dyn WarehouseRead) -> Result<Option<ContentSum>, WarehouseError> {
    let mut total = Some(ContentSum::default());
    for_each_row(warehouse, COUNTED_SUMS, &[], |row| {
        match row.parse_optional("content_sum", "a sum of contents", ContentSum::from_i64)? {
            Some(sum) => total.iter_mut().for_each(|total| total.add(sum)),
            None => total = None,
        }
        Ok::<(), WarehouseError>(())
    })?;
    Ok(total)
}

/// Stores the sum of an hour that has none, if it still has so many events.
///
/// # Errors
/// Failures of the warehouse.
pub fn seal_content(
    transaction: &mut dyn crate::Transaction,
    hour: Millis,
    content: Content,
) -> Result<bool, WarehouseError> {
    let params =
        [hour.to_string().into(), Value::Int(content.sum.to_i64()), Value::Int(content.events as i64)];
    Ok(transaction.execute(SEAL_CONTENT, &params)? > 0)
}
