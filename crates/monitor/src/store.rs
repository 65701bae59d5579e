//! `ops.alerts` and `ops.silences`: every statement by name.
//!
//! Only the monitor changes the state of an alert ([`save`], in a transaction that checks its lease);
//! people acknowledge and silence, by the command line or the console.

use std::time::Duration;

use adpipe_event::Millis;
use adpipe_sql::section;
use adpipe_warehouse::{FromRow, Row, Schema, Transaction, Value, Warehouse, WarehouseError, query_as};

pub use crate::alert::{Alert, Announced, Silence, State};
use crate::error::MonitorError;
use crate::evaluate::Write;
use crate::rules::Severity;
use crate::signal::Labels;

const SQL: &str = include_str!("../sql/alerts.sql");
const KEEP: &str = section(SQL, "keep");
const FORGET: &str = section(SQL, "forget");
const OPEN: &str = section(SQL, "open");
const UNFINISHED: &str = section(SQL, "unfinished");
const HISTORY: &str = section(SQL, "history");
const ONE: &str = section(SQL, "one");
const ACKNOWLEDGE: &str = section(SQL, "acknowledge");
const RETIRE: &str = section(SQL, "retire");
const SILENCE: &str = section(SQL, "silence");
const SILENCES: &str = section(SQL, "silences");
const END_SILENCE: &str = section(SQL, "end_silence");
const RETIRE_SILENCES: &str = section(SQL, "retire_silences");

/// Longest name, note and comment that is kept, in characters.
const LONGEST: usize = 2_000;

/// A new id of an alert or a silence; ids sort by time.
pub fn new_id(now: Millis) -> String {
    adpipe_runtime::ids::new_id(now)
}

/// Alerts that are pending or firing, the newest first.
///
/// # Errors
/// Failures of the warehouse.
pub fn open_alerts(warehouse: &dyn Warehouse) -> Result<Vec<Alert>, MonitorError> {
    alerts(warehouse, OPEN, &[])
}

/// Open alerts, and those that have ended without a notification, the oldest first.
pub(crate) fn unfinished(warehouse: &dyn Warehouse) -> Result<Vec<Alert>, MonitorError> {
    alerts(warehouse, UNFINISHED, &[])
}

/// Alerts that fire, or were over at or after a time; the newest first, at most 10,000.
///
/// # Errors
/// Failures of the warehouse.
pub fn history(warehouse: &dyn Warehouse, since: Millis) -> Result<Vec<Alert>, MonitorError> {
    alerts(warehouse, HISTORY, &[since.to_string().into()])
}

/// An alert.
///
/// # Errors
/// Failures of the warehouse.
pub fn alert(warehouse: &dyn Warehouse, alert_id: &str) -> Result<Option<Alert>, MonitorError> {
    Ok(alerts(warehouse, ONE, &[alert_id.into()])?.pop())
}

/// Acknowledges an open alert: no further notifications until it resolves. Acknowledging it again
/// changes name and note.
///
/// # Errors
/// [`MonitorError::Refused`] when it is not there or over; of the warehouse.
pub fn acknowledge(
    warehouse: &dyn Warehouse,
    alert_id: &str,
    by: &str,
    note: &str,
) -> Result<Alert, MonitorError> {
    let now = Millis::now().to_string();
    let params = [alert_id.into(), now.into(), tidy(by).into(), tidy(note).into()];
    let changed = write(warehouse, |transaction| transaction.execute(ACKNOWLEDGE, &params))?;
    match (alert(warehouse, alert_id)?, changed) {
        (Some(alert), 1) => Ok(alert),
        (Some(alert), _) => {
            Err(MonitorError::Refused(format!("{} {alert_id} has already resolved", alert.rule)))
        }
        (None, _) => Err(MonitorError::Refused(format!("there is no alert {alert_id}"))),
    }
}

/// What a new silence is about.
#[derive(Debug, Clone, PartialEq)]
pub struct NewSilence {
    /// The rule's name; "" for every rule.
    pub rule: String,
    /// Labels that an alert must have; none for any.
    pub labels: Labels,
    /// First moment.
    pub starts_at: Millis,
    /// How long it lasts.
    pub lasts: Duration,
    /// The reason that was given.
    pub comment: String,
    /// Whoever asked for it.
    pub created_by: String,
}

/// Makes a silence.
///
/// # Errors
/// [`MonitorError::Refused`] when it lasts for no time; of the warehouse.
pub fn silence(warehouse: &dyn Warehouse, new: &NewSilence) -> Result<Silence, MonitorError> {
    let now = Millis::now();
    let lasts = i64::try_from(new.lasts.as_millis()).unwrap_or(i64::MAX);
    if lasts == 0 {
        return Err(MonitorError::Refused("a silence must last for more than zero".to_owned()));
    }
    let silence = Silence {
        silence_id: new_id(now),
        rule: new.rule.clone(),
        labels: new.labels.clone(),
        starts_at: new.starts_at,
        ends_at: Millis(new.starts_at.0.saturating_add(lasts).min(FARTHEST.0)),
        comment: tidy(&new.comment),
        created_by: tidy(&new.created_by),
        created_at: now,
    };
    let params = [
        silence.silence_id.as_str().into(),
        silence.rule.as_str().into(),
        labels_text(&silence.labels).into(),
        silence.starts_at.to_string().into(),
        silence.ends_at.to_string().into(),
        silence.comment.as_str().into(),
        silence.created_by.as_str().into(),
        silence.created_at.to_string().into(),
    ];
    write(warehouse, |transaction| transaction.execute(SILENCE, &params))?;
    Ok(silence)
}

/// 9999-01-01: both databases know this time.
const FARTHEST: Millis = Millis(253_370_764_800_000);

/// Silences that last or are still to come, the newest first.
///
/// # Errors
/// Failures of the warehouse.
pub fn silences(warehouse: &dyn Warehouse) -> Result<Vec<Silence>, MonitorError> {
    Ok(query_as(warehouse, SILENCES, &[Millis::now().to_string().into()])?)
}

/// Ends a silence now.
///
/// # Errors
/// [`MonitorError::Refused`] when it is not there or over; of the warehouse.
pub fn end_silence(warehouse: &dyn Warehouse, silence_id: &str) -> Result<(), MonitorError> {
    let params = [silence_id.into(), Millis::now().to_string().into()];
    match write(warehouse, |transaction| transaction.execute(END_SILENCE, &params))? {
        1 => Ok(()),
        _ => Err(MonitorError::Refused(format!("there is no silence {silence_id}, or it has ended"))),
    }
}

/// Stores what an evaluator has to store.
pub(crate) fn save(transaction: &mut dyn Transaction, writes: &[Write]) -> Result<(), WarehouseError> {
    for write in writes {
        match write {
            Write::Keep(alert) => transaction.execute(KEEP, &alert_params(alert))?,
            Write::Forget(alert_id) => transaction.execute(FORGET, &[alert_id.as_str().into()])?,
        };
    }
    Ok(())
}

/// Removes alerts and silences that were over before `limit`.
pub(crate) fn retire(transaction: &mut dyn Transaction, limit: Millis) -> Result<u64, WarehouseError> {
    let limit = [Value::from(limit.to_string())];
    Ok(transaction.execute(RETIRE, &limit)? + transaction.execute(RETIRE_SILENCES, &limit)?)
}

fn write<T>(
    warehouse: &dyn Warehouse,
    work: impl FnOnce(&mut dyn Transaction) -> Result<T, WarehouseError>,
) -> Result<T, MonitorError> {
    let mut session = warehouse.session(Schema::Ops)?;
    let mut transaction = session.begin()?;
    let result = work(transaction.as_mut())?;
    transaction.commit()?;
    Ok(result)
}

fn alerts(warehouse: &dyn Warehouse, sql: &str, params: &[Value]) -> Result<Vec<Alert>, MonitorError> {
    Ok(query_as(warehouse, sql, params)?)
}

fn alert_params(alert: &Alert) -> Vec<Value> {
    let time = |time: Option<Millis>| time.map_or(Value::Null, |time| time.to_string().into());
    vec![
        alert.alert_id.as_str().into(),
        alert.rule.as_str().into(),
        labels_text(&alert.labels).into(),
        alert.severity.word().into(),
        alert.state.word().into(),
        Value::Real(storable(alert.value)),
        Value::Real(storable(alert.worst)),
        Value::Real(alert.threshold),
        alert.context.to_string().into(),
        alert.pending_since.to_string().into(),
        time(alert.firing_since),
        time(alert.resolved_at),
        alert.updated_at.to_string().into(),
        time(alert.acknowledged_at),
        alert.acknowledged_by.as_deref().map_or(Value::Null, Value::from),
        alert.note.as_str().into(),
        alert.announced.word().into(),
    ]
}

/// SQLite treats a value that is not a number as null.
fn storable(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value }
}

impl FromRow for Alert {
    fn from_row(row: &Row<'_>) -> Result<Alert, WarehouseError> {
        Ok(Alert {
            alert_id: row.get("alert_id")?,
            rule: row.get("rule")?,
            labels: read_labels(row)?,
            severity: row.parse("severity", "a severity", |word: &str| match word {
                "critical" => Some(Severity::Critical),
                "warning" => Some(Severity::Warning),
                _ => None,
            })?,
            state: row.parse("state", "the state of an alert", |word: &str| match word {
                "pending" => Some(State::Pending),
                "firing" => Some(State::Firing),
                "resolved" => Some(State::Resolved),
                _ => None,
            })?,
            value: row.get("value")?,
            worst: row.get("worst")?,
            threshold: row.get("threshold")?,
            context: row.parse("context", "JSON", |text: &str| serde_json::from_str(text).ok())?,
            pending_since: row.get("pending_since")?,
            firing_since: row.get("firing_since")?,
            resolved_at: row.get("resolved_at")?,
            updated_at: row.get("updated_at")?,
            acknowledged_at: row.get("acknowledged_at")?,
            acknowledged_by: row.get("acknowledged_by")?,
            note: row.get("note")?,
            announced: row.parse("announced", "an announcement", |word: &str| match word {
                "" => Some(Announced::Nothing),
                "firing" => Some(Announced::Firing),
                "resolved" => Some(Announced::Resolved),
                _ => None,
            })?,
        })
    }
}

impl FromRow for Silence {
    fn from_row(row: &Row<'_>) -> Result<Silence, WarehouseError> {
        Ok(Silence {
            silence_id: row.get("silence_id")?,
            rule: row.get("rule")?,
            labels: read_labels(row)?,
            starts_at: row.get("starts_at")?,
            ends_at: row.get("ends_at")?,
            comment: row.get("comment")?,
            created_by: row.get("created_by")?,
            created_at: row.get("created_at")?,
        })
    }
}

/// Labels as they are stored, and as people write them in the console's addresses.
fn labels_text(labels: &Labels) -> String {
    serde_json::to_value(labels).unwrap_or_default().to_string()
}

pub(crate) fn read_labels(row: &Row<'_>) -> Result<Labels, WarehouseError> {
    row.parse("labels", "labels as JSON", |text: &str| serde_json::from_str(text).ok())
}

/// Without what could move a terminal's cursor, and of a length that a page can show.
fn tidy(text: &str) -> String {
    text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect()
}
