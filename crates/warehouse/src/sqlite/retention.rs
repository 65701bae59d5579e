//! Removing what is no longer kept, in steps short enough not to block the writer.

use std::path::Path;

use adpipe_event::Millis;
use adpipe_sql::section;
use rusqlite::{Connection, TransactionBehavior, params};

use super::session::query;
use super::{read, sqlite_failure};
use crate::row_sum::added_part;
use crate::{REPLAYS_KEPT, RetentionPolicy, Retired, WarehouseError};

const RETENTION_SQL: &str = include_str!("../../sql/sqlite/retention.sql");
const DROP_MINUTES: &str = section(RETENTION_SQL, "drop_minutes");
const DROP_REPLAYS: &str = section(RETENTION_SQL, "drop_replays");
pub(super) const MERGEABLE_COMMITS: &str = section(RETENTION_SQL, "mergeable_commits");
const NEWEST_HOUR: &str = section(RETENTION_SQL, "newest_hour");
const LEAVING_HOURS: &str = section(RETENTION_SQL, "leaving_hours");
const IS_LEAVING: &str = section(RETENTION_SQL, "is_leaving");
const DROP_EVENTS: &str = section(RETENTION_SQL, "drop_events");
const FEWER_COPIES: &str = section(RETENTION_SQL, "fewer_copies");

pub(super) fn retire(
    folder: &Path,
    connection: &mut Connection,
    policy: RetentionPolicy,
) -> Result<Retired, WarehouseError> {
    let fail = |error| sqlite_failure(folder, &error);
    let newest_minute = read::newest_minute(folder, connection)?;
    let newest_hour = query(connection, NEWEST_HOUR, &[]).map_err(fail)?.one()?.get("newest")?;
    drop_old(connection, policy, newest_minute, newest_hour).map_err(fail)
}

fn drop_old(
    connection: &mut Connection,
    policy: RetentionPolicy,
    newest_minute: Option<Millis>,
    newest_hour: Option<Millis>,
) -> rusqlite::Result<Retired> {
    let mut retired = Retired::default();
    if let Some(newest) = newest_minute {
        let oldest_kept = Millis(newest.0 - policy.minutes.as_millis() as i64).to_string();
        loop {
            let rows = connection.prepare_cached(DROP_MINUTES)?.execute(params![oldest_kept])?;
            if rows == 0 {
                break;
            }
            retired.minute_rows += rows as u64;
        }
    }
    let replayed_before = Millis(Millis::now().0 - REPLAYS_KEPT.as_millis() as i64).to_string();
    connection.execute(DROP_REPLAYS, params![replayed_before])?;
    retired.events = drop_archived_events(connection, policy, newest_hour)?;
    Ok(retired)
}

/// Drops the events of hours that the hot window has left behind, once the archive has them all.
fn drop_archived_events(
    connection: &mut Connection,
    policy: RetentionPolicy,
    newest_hour: Option<Millis>,
) -> rusqlite::Result<u64> {
    let Some(newest) = newest_hour else { return Ok(0) };
    let kept_since = Millis(newest.0 - policy.events.as_millis() as i64).floor_hour().to_string();
    let leaving = connection
        .prepare_cached(LEAVING_HOURS)?
        .query_map(params![kept_since], |row| row.get::<_, String>(0))?
        .collect::<rusqlite::Result<Vec<String>>>()?;
    let mut dropped = 0;
    for hour in leaving {
        loop {
            // An event may have come in between two steps: then the rest waits to be archived.
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            if !transaction.prepare_cached(IS_LEAVING)?.exists(params![hour])? {
                break;
            }
            let rows = transaction.prepare_cached(DROP_EVENTS)?.execute(params![hour])?;
            transaction.prepare_cached(FEWER_COPIES)?.execute(params![
                hour,
                rows as i64,
                added_part(&[0, 0, 0, rows as i64])
            ])?;
            transaction.commit()?;
            dropped += rows as u64;
        }
    }
    Ok(dropped)
}
