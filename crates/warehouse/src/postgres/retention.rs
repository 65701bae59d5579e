//! Removing what is no longer kept, in steps short enough not to hold the writers up.

use adpipe_event::Millis;
use adpipe_sql::section;
use postgres::{Client, Error};

use super::wire::Time;
use crate::{REPLAYS_KEPT, RetentionPolicy, Retired};

const RETENTION_SQL: &str = include_str!("../../sql/postgres/retention.sql");
const DROP_MINUTES: &str = section(RETENTION_SQL, "drop_minutes");
const TRY_LOCK: &str = section(RETENTION_SQL, "try_lock");
const DROP_REPLAYS: &str = section(RETENTION_SQL, "drop_replays");
const MERGE_COMMITS: &str = section(RETENTION_SQL, "merge_commits");

pub(super) fn retire(
    client: &mut Client,
    policy: RetentionPolicy,
    newest_minute: Option<Millis>,
) -> Result<Retired, Error> {
    let mut retired = Retired::default();
    if let Some(newest) = newest_minute {
        let oldest_kept = Time(Millis(newest.0 - policy.minutes.as_millis() as i64));
        loop {
            let rows = client.execute(DROP_MINUTES, &[&oldest_kept])?;
            if rows == 0 {
                break;
            }
            retired.minute_rows += rows;
        }
    }
    let replayed_before = Time(Millis(Millis::now().0 - REPLAYS_KEPT.as_millis() as i64));
    client.execute(DROP_REPLAYS, &[&replayed_before])?;
    let merge_before = Time(Millis(Millis::now().floor_hour().0 - policy.commits.as_millis() as i64));
    let mut transaction = client.transaction()?;
    let is_ours: bool = transaction.query_one(TRY_LOCK, &[])?.try_get(0)?;
    if is_ours {
        let merged: i64 = transaction.query_one(MERGE_COMMITS, &[&merge_before])?.try_get(0)?;
        retired.commits = merged as u64;
    }
    transaction.commit()?;
    Ok(retired)
}
