//! Reads that the pipeline itself does, on any connection.

use adpipe_event::{EventBatch, Millis};
use adpipe_sql::section;
use postgres::{Client, Error};

use super::query::table;
use super::wire::Time;
use crate::Table;

const STREAM_SQL: &str = include_str!("../../sql/postgres/stream.sql");
const OFFSETS: &str = section(STREAM_SQL, "offsets");
const NEWEST_MINUTE: &str = section(STREAM_SQL, "newest_minute");
const WHICH_EXIST: &str = section(STREAM_SQL, "which_exist");

/// Rows of [`PartitionOffset`](crate::PartitionOffset).
pub(super) fn offsets(client: &mut Client, topic: &str) -> Result<Table, Error> {
    table(&client.query(OFFSETS, &[&topic])?)
}

pub(super) fn newest_minute(client: &mut Client) -> Result<Option<Millis>, Error> {
    let newest: Option<Time> = client.query_one(NEWEST_MINUTE, &[])?.try_get(0)?;
    Ok(newest.map(|time| time.0))
}

/// Which of these keys are in `realtime.events`, by index.
pub(super) fn contains(client: &mut Client, events: &EventBatch) -> Result<Vec<bool>, Error> {
    let mut is_there = vec![false; events.len()];
    let hours: Vec<Time> = events.event_times().iter().map(|time| Time(time.floor_hour())).collect();
    let ids: Vec<&str> = (0..events.len()).map(|index| events.id(index)).collect();
    for row in client.query(WHICH_EXIST, &[&hours, &ids])? {
        let number: i64 = row.try_get(0)?;
        if let Some(slot) = usize::try_from(number - 1).ok().and_then(|index| is_there.get_mut(index)) {
            *slot = true;
        }
    }
    Ok(is_there)
}
