//! Removing what is no longer kept, in steps short enough not to hold the writer up.

use adpipe_event::Millis;
use adpipe_sql::section;
use rusqlite::{Connection, TransactionBehavior, params};

use crate::{REPLAYS_KEPT, RetentionPolicy, Retired};

const RETENTION_SQL: &str = include_str!("../../sql/sqlite/retention.sql");
const DROP_MINUTES: &str = section(RETENTION_SQL, "drop_minutes");
const DROP_REPLAYS: &str = section(RETENTION_SQL, "drop_replays");
const MERGE_COMMITS: &str = section(RETENTION_SQL, "merge_commits");
const DELETE_MERGED: &str = section(RETENTION_SQL, "delete_merged");
const INSERT_MERGED: &str = section(RETENTION_SQL, "insert_merged");

pub(super) fn retire(
    connection: &mut Connection,
    policy: RetentionPolicy,
    newest_minute: Option<Millis>,
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
    let merge_before = Millis(Millis::now().floor_hour().0 - policy.commits.as_millis() as i64);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch("drop table if exists temp.merged_commits")?;
    transaction.execute(MERGE_COMMITS, params![merge_before.to_string()])?;
    let deleted = transaction.execute(DELETE_MERGED, [])?;
    let merged = transaction.execute(INSERT_MERGED, [])?;
    transaction.execute_batch("drop table temp.merged_commits")?;
    transaction.commit()?;
    retired.commits = (deleted - merged) as u64;
    Ok(retired)
}
