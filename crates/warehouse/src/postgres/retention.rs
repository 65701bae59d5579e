//! Removing what is no longer kept, in steps short enough not to block the writers.

use adpipe_event::Millis;
use adpipe_sql::section;
use postgres::{Client, Error};

use super::wire::Time;
use crate::{REPLAYS_KEPT, RetentionPolicy, Retired};

const RETENTION_SQL: &str = include_str!("../../sql/postgres/retention.sql");
const DROP_MINUTES: &str = section(RETENTION_SQL, "drop_minutes");
pub(super) const TRY_LOCK: &str = section(RETENTION_SQL, "try_lock");
const DROP_REPLAYS: &str = section(RETENTION_SQL, "drop_replays");
pub(super) const MERGEABLE_COMMITS: &str = section(RETENTION_SQL, "mergeable_commits");

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
    Ok(retired)
}
