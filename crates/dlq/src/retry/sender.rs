//! Sends what is due to `ad_events_retry`.
//!
//! First the row says "retrying" and its history has the attempt, then the record goes out. If the
//! process dies in between, its lease runs out; the record is then sent again as the same attempt.
//! Should it have gone out after all, the event's own id keeps it from being counted twice, and the
//! first outcome of an attempt counts.

use std::time::{Duration, Instant};

use adpipe_event::Millis;
use adpipe_log::{Headers, LogError, Records, RetryMark, Topic};
use adpipe_sql::section;
use adpipe_warehouse::{Row, Table, Transaction, Value, WarehouseError, query_table, row_sum};

use crate::Dlq;
use crate::error::DlqError;
use crate::groups::GroupChanges;
use crate::headers::{HEADERS, headers_from_json};
use crate::retry::{breaker, outcome, waiting};
use crate::row::change_state;
use crate::status::Status;
use crate::sums::outcome_sum;

const SENDER_SQL: &str = include_str!("../../sql/sender.sql");
const DUE: &str = section(SENDER_SQL, "due");
const COUNT_DUE: &str = section(SENDER_SQL, "count_due");
const FOR_UPDATE: &str = section(SENDER_SQL, "for_update");
const LOST: &str = section(SENDER_SQL, "lost");
const TAKE: &str = section(SENDER_SQL, "take");
const RENEW: &str = section(SENDER_SQL, "renew");
const BEGIN_TRY: &str = section(SENDER_SQL, "begin_try");
const ROWS_SQL: &str = include_str!("../../sql/rows.sql");
const CURRENT: &str = section(ROWS_SQL, "current");

/// Payload bytes sent at once: what memory holds.
const BYTES_A_TURN: u64 = 4 << 20;
/// Errors sent at once.
const ERRORS_A_TURN: u32 = 500;
/// How often leases that ran out are looked for.
const LOOK_FOR_LOST: Duration = Duration::from_secs(2);

/// One process' sender: knows how fast it has been.
#[derive(Debug, Default)]
pub struct Sender {
    sent_since: Option<(Instant, u32)>,
    looked_for_lost: Option<Instant>,
    is_paused: bool,
}

/// An error about to be sent.
struct Taken {
    error_id: String,
    attempt: u32,
    key: Vec<u8>,
    payload: Vec<u8>,
    headers: Headers,
}

impl Sender {
    /// Sends what is due now, as much as one turn may; gives how many were sent.
    ///
    /// # Errors
    /// Failures of the warehouse or the log. What was taken and not sent is sent when its lease has run out.
    pub fn turn(&mut self, dlq: &Dlq) -> Result<u64, DlqError> {
        let mut sent = 0;
        if self.looked_for_lost.is_none_or(|at| at.elapsed() >= LOOK_FOR_LOST) {
            self.looked_for_lost = Some(Instant::now());
            sent += send_lost(dlq)?;
            let woken = waiting::wake(dlq)?;
            if woken > 0 {
                tracing::info!(
                    woken,
                    "the archive can be read again; the events that waited for it are retried"
                );
            }
        }
        let allowed = self.allowance(dlq.settings().retries_per_second);
        if allowed == 0 {
            return Ok(sent);
        }
        let is_paused = breaker::is_open(dlq)?;
        if is_paused != self.is_paused {
            self.is_paused = is_paused;
            if is_paused {
                tracing::warn!("most retries fail; automatic retries pause")
            } else {
                tracing::info!("automatic retries continue")
            }
        }
        let taken = take_due(dlq, allowed, is_paused)?;
        self.note_sent(taken.len() as u32);
        sent += taken.len() as u64;
        send(dlq, taken)?;
        Ok(sent)
    }

    /// How many may be sent in the rest of this second.
    fn allowance(&mut self, per_second: u32) -> u32 {
        match self.sent_since {
            Some((since, sent)) if since.elapsed() < Duration::from_secs(1) => {
                per_second.saturating_sub(sent).min(ERRORS_A_TURN)
            }
            _ => {
                self.sent_since = Some((Instant::now(), 0));
                per_second.min(ERRORS_A_TURN)
            }
        }
    }

    fn note_sent(&mut self, count: u32) {
        if let Some((_, sent)) = &mut self.sent_since {
            *sent += count;
        }
    }
}

/// How many errors are due now.
///
/// # Errors
/// Failures of the warehouse.
pub fn due(dlq: &Dlq) -> Result<u64, DlqError> {
    let table = query_table(dlq.warehouse(), COUNT_DUE, &[Millis::now().to_string().into()])?;
    Ok(table.one()?.get("errors")?)
}

fn lease(dlq: &Dlq) -> Value {
    Millis(Millis::now().0 + dlq.settings().lease.as_millis() as i64).to_string().into()
}

fn take_due(dlq: &Dlq, limit: u32, only_asked_for: bool) -> Result<Vec<Taken>, DlqError> {
    let statement = if dlq.is_postgres() { format!("{DUE}{FOR_UPDATE}") } else { DUE.to_owned() };
    dlq.transact(|transaction| {
        let now = Millis::now();
        let params =
            [now.to_string().into(), Value::Int(limit.into()), Value::Int(i64::from(only_asked_for))];
        let due = transaction.query(&statement, &params)?;
        let mut changes = GroupChanges::default();
        let mut taken = Vec::new();
        for row in within_budget(&due)? {
            let error_id: String = row.get("error_id")?;
            let attempt = row.get::<u32>("retry_count")? + 1;
            let id = Value::from(error_id.as_str());
            if !change_state(transaction, TAKE, &[id.clone(), Value::Int(attempt.into()), lease(dlq)])? {
                continue;
            }
            let fingerprint: &str = row.get("fingerprint")?;
            let actor = row.get::<Option<&str>>("retry_actor")?.unwrap_or("adpipe");
            let job_id: &Value = row.get("job_id")?;
            let (due_at, failed_at): (Millis, Millis) = (row.get("due_at")?, row.get("last_failed_at")?);
            let mut begun: Vec<Value> = vec![
                id,
                Value::Int(attempt.into()),
                now.to_string().into(),
                Value::Int((due_at.0 - failed_at.0).max(0)),
                actor.into(),
                job_id.clone(),
            ];
            let sum = row_sum("errors.retry_history", &begun);
            begun.extend([sum, outcome_sum(&error_id, attempt.into(), [const { Value::Null }; 4])]);
            transaction.execute(BEGIN_TRY, &begun)?;
            changes.moved(fingerprint, Status::Pending, Status::Retrying);
            taken.extend(load(transaction, error_id, attempt)?);
        }
        changes.apply(transaction)?;
        Ok(taken)
    })
}

/// Rows up to the budget of bytes, but at least one.
fn within_budget(table: &Table) -> Result<Vec<Row<'_>>, WarehouseError> {
    let mut bytes = 0;
    let mut within = Vec::new();
    for row in table.iter() {
        bytes += row.get::<u64>("payload_bytes")?;
        if !within.is_empty() && bytes > BYTES_A_TURN {
            break;
        }
        within.push(row);
    }
    Ok(within)
}

fn load(
    transaction: &mut dyn Transaction,
    error_id: String,
    attempt: u32,
) -> Result<Option<Taken>, DlqError> {
    let table = transaction.query(CURRENT, &[error_id.as_str().into()])?;
    let Some(row) = table.first() else { return Ok(None) };
    Ok(Some(Taken {
        payload: row.get("payload")?,
        headers: row.parse("headers", HEADERS, headers_from_json)?,
        key: row.get::<Option<_>>("record_key")?.unwrap_or_default(),
        error_id,
        attempt,
    }))
}

fn send(dlq: &Dlq, taken: Vec<Taken>) -> Result<(), DlqError> {
    if taken.is_empty() {
        return Ok(());
    }
    let mut records = Records::new();
    for error in &taken {
        let mark = RetryMark { error_id: &error.error_id, attempt: error.attempt };
        let headers = records.add_headers(mark.write(error.headers.clone()));
        // A turn's bytes are a fraction of what one buffer holds.
        if !records.push(&error.key, &error.payload, headers) {
            return Err(LogError::Busy { queued_bytes: records.byte_size() }.into());
        }
    }
    let count = records.len() as u64;
    dlq.log().append(Topic::Retry, records, None)?.wait()?;
    dlq.metrics().records_appended.with_label_values(&[Topic::Retry.name()]).inc_by(count);
    Ok(())
}

/// Sends again what was leased by a process that died before sending it.
fn send_lost(dlq: &Dlq) -> Result<u64, DlqError> {
    let statement = if dlq.is_postgres() { format!("{LOST}{FOR_UPDATE}") } else { LOST.to_owned() };
    // Whatever is sent and not yet counted has its outcome before it.
    if !everything_sent_is_known(dlq)? {
        return Ok(0);
    }
    let taken = dlq.transact(|transaction| {
        let now = Value::from(Millis::now().to_string());
        let lost = transaction.query(&statement, &[now.clone(), Value::Int(ERRORS_A_TURN.into())])?;
        let mut taken = Vec::new();
        for row in within_budget(&lost)? {
            let error_id: String = row.get("error_id")?;
            let params = [error_id.as_str().into(), lease(dlq), now.clone()];
            if change_state(transaction, RENEW, &params)? {
                taken.extend(load(transaction, error_id, row.get("retry_count")?)?);
            }
        }
        Ok(taken)
    })?;
    let count = taken.len() as u64;
    if count > 0 {
        tracing::warn!(count, "retries were taken and never sent; sending them again");
    }
    send(dlq, taken)?;
    Ok(count)
}

fn everything_sent_is_known(dlq: &Dlq) -> Result<bool, DlqError> {
    let committed = dlq.warehouse().offsets(Topic::Retry.name())?;
    for range in dlq.log().ranges(Topic::Retry)? {
        let next = committed.iter().find(|offset| offset.partition == range.partition);
        let next = next.map_or(range.first.0, |offset| offset.next_offset);
        if next < range.next.0 || outcome::taken_up_to(dlq, range.partition)? < next {
            return Ok(false);
        }
    }
    Ok(crate::role::lag(dlq)?.iter().all(|(_, records)| *records == 0))
}
