//! If most attempts fail, more attempts do not help: something else is wrong.

use adpipe_event::Millis;
use adpipe_sql::section;
use adpipe_warehouse::{Value, query_table};

use crate::Dlq;
use crate::error::DlqError;

const SENDER_SQL: &str = include_str!("../../sql/sender.sql");
const NEWEST_TRIES: &str = section(SENDER_SQL, "newest_tries");

/// Tries that must be known before their share means something.
const FEWEST: i64 = 20;

/// Whether automatic retries are better paused. Judged by the newest attempts of every process; since
/// none are sent in the meantime, they age, and after the pause some are let through as a probe.
pub(super) fn is_open(dlq: &Dlq) -> Result<bool, DlqError> {
    let settings = dlq.settings();
    let since = Millis(Millis::now().0 - settings.breaker_pause.as_millis() as i64);
    let params = [since.to_string().into(), Value::Int(settings.breaker_tries.into())];
    let table = query_table(dlq.warehouse(), NEWEST_TRIES, &params)?;
    let row = table.one()?;
    let (tries, failed): (i64, i64) = (row.get("tries")?, row.get("failed")?);
    let enough = FEWEST.min(settings.breaker_tries.into());
    Ok(tries >= enough && failed as f64 > settings.breaker_share * tries as f64)
}
