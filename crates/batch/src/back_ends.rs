//! What batch works on.

use adpipe_event::Millis;
use adpipe_log::EventLog;
use adpipe_metrics::Metrics;
use adpipe_sql::section;
use adpipe_warehouse::{Warehouse, query_table};

use crate::BatchError;
use crate::archive::Archive;

const ARCHIVE_SQL: &str = include_str!("../sql/archive.sql");

/// The opened back ends that a run works on.
#[derive(Clone, Copy)]
pub struct BackEnds<'a> {
    /// Takes the figures and the list of parts.
    pub warehouse: &'a dyn Warehouse,
    /// Takes the errors, for the dead-letter queue.
    pub log: &'a dyn EventLog,
    /// Takes the events.
    pub archive: &'a Archive,
    /// Counts what is appended, for `/metrics`.
    pub metrics: &'a Metrics,
}

/// Newest hour that has figures.
pub(crate) fn newest_hour(warehouse: &dyn Warehouse) -> Result<Option<Millis>, BatchError> {
    const NEWEST_HOUR: &str = section(ARCHIVE_SQL, "newest_hour");
    let table = query_table(warehouse, NEWEST_HOUR, &[])?;
    Ok(table.one()?.get("newest")?)
}
