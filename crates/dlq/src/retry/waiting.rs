//! Errors that wait until the archive's parts of an event hour can be read.
//!
//! They are not due meanwhile, so that a queue full of them costs nothing. The processes that count
//! events record in `realtime.unreadable_hours` which hours cannot be read, and remove them once they
//! can.

use adpipe_event::Millis;
use adpipe_sql::section;
use adpipe_warehouse::{Value, query_table};

use crate::Dlq;
use crate::error::DlqError;
use crate::row::change_states;

const SENDER_SQL: &str = include_str!("../../sql/sender.sql");
const NEXT_WAITED_FOR: &str = section(SENDER_SQL, "next_waited_for");
const IS_UNREADABLE: &str = section(SENDER_SQL, "is_unreadable");
const WAKE: &str = section(SENDER_SQL, "wake");

/// Errors made due in one transaction.
const ERRORS_A_TURN: u64 = 5_000;

/// Before every hour that an event may have.
const BEFORE_ALL: &str = "0001-01-01 00:00:00";

/// Makes those due whose hour can be read again; gives how many.
pub(super) fn wake(dlq: &Dlq) -> Result<u64, DlqError> {
    let mut woken = 0;
    let mut after = Value::from(BEFORE_ALL);
    loop {
        let next = query_table(dlq.warehouse(), NEXT_WAITED_FOR, &[after])?;
        let Some(hour) = next.one()?.get::<Option<&str>>("event_hour")? else { return Ok(woken) };
        after = hour.into();
        let unreadable = query_table(dlq.warehouse(), IS_UNREADABLE, std::slice::from_ref(&after))?;
        if unreadable.is_empty() {
            woken += wake_hour(dlq, &after)?;
        }
    }
}

fn wake_hour(dlq: &Dlq, hour: &Value) -> Result<u64, DlqError> {
    let mut woken = 0;
    loop {
        let params = [hour.clone(), Millis::now().to_string().into(), Value::Int(ERRORS_A_TURN as i64)];
        let some = dlq.transact(|transaction| change_states(transaction, WAKE, &params))?;
        woken += some;
        if some < ERRORS_A_TURN {
            return Ok(woken);
        }
    }
}
