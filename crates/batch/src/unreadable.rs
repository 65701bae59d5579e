//! Parts that are missing or damaged: they stop their hours, and nothing else.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use adpipe_event::Millis;
use adpipe_sql::section;
use adpipe_warehouse::{ArchiveReadError, Row, Warehouse, WarehouseError, archive, query_table};

use crate::BatchError;
use crate::back_ends::BackEnds;
use crate::unnamed::Found;

const ARCHIVE_SQL: &str = include_str!("../sql/archive.sql");
const HOURS_OF_PART: &str = section(ARCHIVE_SQL, "hours_of_part");

/// Hours that a run could not read, with the reason. Shared by its threads.
#[derive(Debug, Default)]
pub(crate) struct Unreadable(Mutex<BTreeMap<Millis, String>>);

impl Unreadable {
    /// Notes an hour.
    pub fn note(&self, hour: Millis, reason: &str) {
        let mut hours = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hours.entry(hour).or_insert_with(|| reason.to_owned());
    }

    /// Notes all hours of a part that is missing or damaged.
    ///
    /// # Errors
    /// An archive that cannot be reached says nothing about its parts: that ends the run.
    pub fn note_part(
        &self,
        warehouse: &dyn Warehouse,
        path: &str,
        error: &ArchiveReadError,
    ) -> Result<(), BatchError> {
        if matches!(error, ArchiveReadError::Unavailable(_)) {
            return Err(BatchError::archive(path, error));
        }
        let hours = query_table(warehouse, HOURS_OF_PART, &[path.into()])?;
        for hour in hours.column("event_hour")? {
            self.note(hour, &error.to_string());
        }
        Ok(())
    }

    /// What was noted, in the order of time.
    pub fn hours(&self) -> Vec<(Millis, String)> {
        let hours = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hours.iter().map(|(hour, reason)| (*hour, reason.clone())).collect()
    }

    /// Stores what was noted, for the stream, the dead-letter queue and the alerts.
    pub fn store(&self, warehouse: &dyn Warehouse) -> Result<(), WarehouseError> {
        archive::change_unreadable(warehouse, &self.hours(), &[])
    }
}

/// What is known before a run begins: hours that can be read again are forgotten, those of parts that
/// are not there are noted.
pub(crate) fn look_before(back_ends: BackEnds<'_>, found: &Found) -> Result<Unreadable, BatchError> {
    let again = archive::look_again(back_ends.warehouse, back_ends.archive)?;
    if !again.is_empty() {
        tracing::info!(hours = again.len(), "parts of the archive can be read again");
    }
    let unreadable = Unreadable::default();
    for path in &found.missing {
        unreadable.note_part(back_ends.warehouse, path, &ArchiveReadError::Missing(path.clone()))?;
    }
    unreadable.store(back_ends.warehouse)?;
    Ok(unreadable)
}

/// Rows and clicks of a part by the hour, as its list has them.
pub(crate) fn listed_hours(
    warehouse: &dyn Warehouse,
    path: &str,
) -> Result<BTreeMap<Millis, (u64, u64)>, WarehouseError> {
    let table = query_table(warehouse, HOURS_OF_PART, &[path.into()])?;
    let hour = |row: Row<'_>| Ok((row.get("event_hour")?, (row.get("rows")?, row.get("clicks")?)));
    table.iter().map(hour).collect()
}
