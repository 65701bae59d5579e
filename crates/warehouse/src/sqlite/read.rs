//! Reads that the pipeline itself does, on any connection.

use std::path::Path;

use adpipe_event::{Event, EventBatch, Millis};
use adpipe_sql::section;
use rusqlite::{Connection, params};

use super::session::query;
use super::{STREAM_SQL, sqlite_failure};
use crate::{PartitionOffset, WarehouseError};

const OFFSETS: &str = section(STREAM_SQL, "offsets");
const HAS_EVENT: &str = section(STREAM_SQL, "has_event");
const NEWEST_MINUTE: &str = section(STREAM_SQL, "newest_minute");

pub(super) fn offsets(
    folder: &Path,
    connection: &Connection,
    topic: &str,
) -> Result<Vec<PartitionOffset>, WarehouseError> {
    let table = query(connection, OFFSETS, &[topic.into()]);
    table.map_err(|error| sqlite_failure(folder, &error))?.read()
}

pub(super) fn newest_minute(
    folder: &Path,
    connection: &Connection,
) -> Result<Option<Millis>, WarehouseError> {
    let table = query(connection, NEWEST_MINUTE, &[]);
    table.map_err(|error| sqlite_failure(folder, &error))?.one()?.get("newest")
}

pub(super) fn contains(
    folder: &Path,
    connection: &Connection,
    events: &EventBatch,
) -> Result<Vec<bool>, WarehouseError> {
    let look = || {
        let mut has_event = connection.prepare_cached(HAS_EVENT)?;
        let is_there = |event: Event<'_>| {
            let hour = event.event_time.floor_hour().to_string();
            has_event.exists(params![hour, event.id])
        };
        events.iter().map(is_there).collect::<rusqlite::Result<Vec<bool>>>()
    };
    look().map_err(|error| sqlite_failure(folder, &error))
}
