//! `ops.alerts` and `ops.silences`: every statement by name.
//!
//! The monitor alone changes where an alert stands ([`save`], in a transaction that checks its
//! lease); people acknowledge and silence, by the command line or the console.

use std::time::Duration;

use adpipe_event::Millis;
use adpipe_sql::section;
use adpipe_warehouse::{Schema, Transaction, Value, Warehouse, WarehouseError, query_table};

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
/// Of the warehouse.
pub fn open_alerts(warehouse: &dyn Warehouse) -> Result<Vec<Alert>, MonitorError> {
    alerts(warehouse, OPEN, &[])
}

/// Open alerts, and those that are over and of which people were not told, the oldest first.
pub(crate) fn unfinished(warehouse: &dyn Warehouse) -> Result<Vec<Alert>, MonitorError> {
    alerts(warehouse, UNFINISHED, &[])
}

/// Alerts that fire, or were over at or after a time; the newest first, at most 10,000.
///
/// # Errors
/// Of the warehouse.
pub fn history(warehouse: &dyn Warehouse, since: Millis) -> Result<Vec<Alert>, MonitorError> {
    alerts(warehouse, HISTORY, &[since.to_string().into()])
}

/// An alert.
///
/// # Errors
/// Of the warehouse.
pub fn alert(warehouse: &dyn Warehouse, alert_id: &str) -> Result<Option<Alert>, MonitorError> {
    Ok(alerts(warehouse, ONE, &[alert_id.into()])?.pop())
}

/// Somebody takes an open alert on: it is not told again, but for its end. Who does so again
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
            Err(MonitorError::Refused(format!("{} {alert_id} is over; nothing is left to do", alert.rule)))
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
    /// Why.
    pub comment: String,
    /// Who.
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
        return Err(MonitorError::Refused("a silence must last for some time".to_owned()));
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
/// Of the warehouse.
pub fn silences(warehouse: &dyn Warehouse) -> Result<Vec<Silence>, MonitorError> {
    let rows = query_table(warehouse, SILENCES, &[Millis::now().to_string().into()])?.rows;
    rows.iter().map(|row| Ok(read_silence(row)?)).collect()
}

/// Ends a silence now.
///
/// # Errors
/// [`MonitorError::Refused`] when it is not there or over; of the warehouse.
pub fn end_silence(warehouse: &dyn Warehouse, silence_id: &str) -> Result<(), MonitorError> {
    let params = [silence_id.into(), Millis::now().to_string().into()];
    match write(warehouse, |transaction| transaction.execute(END_SILENCE, &params))? {
        1 => Ok(()),
        _ => Err(MonitorError::Refused(format!("there is no silence {silence_id}, or it is over"))),
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
    let rows = query_table(warehouse, sql, params)?.rows;
    rows.iter().map(|row| Ok(read_alert(row)?)).collect()
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

/// SQLite takes a value that is no number for null.
fn storable(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value }
}

fn read_alert(row: &[Value]) -> Result<Alert, WarehouseError> {
    Ok(Alert {
        alert_id: text(&row[0])?,
        rule: text(&row[1])?,
        labels: read_labels(&row[2])?,
        severity: match row[3].as_str() {
            Some("critical") => Severity::Critical,
            Some("warning") => Severity::Warning,
            _ => return Err(odd("severity", &row[3])),
        },
        state: match row[4].as_str() {
            Some("pending") => State::Pending,
            Some("firing") => State::Firing,
            Some("resolved") => State::Resolved,
            _ => return Err(odd("state", &row[4])),
        },
        value: number(&row[5])?,
        worst: number(&row[6])?,
        threshold: number(&row[7])?,
        context: serde_json::from_str(&text(&row[8])?).map_err(|_| odd("JSON text", &row[8]))?,
        pending_since: time(&row[9])?,
        firing_since: maybe_time(&row[10])?,
        resolved_at: maybe_time(&row[11])?,
        updated_at: time(&row[12])?,
        acknowledged_at: maybe_time(&row[13])?,
        acknowledged_by: row[14].as_str().map(str::to_owned),
        note: text(&row[15])?,
        announced: match row[16].as_str() {
            Some("") => Announced::Nothing,
            Some("firing") => Announced::Firing,
            Some("resolved") => Announced::Resolved,
            _ => return Err(odd("announcement", &row[16])),
        },
    })
}

fn read_silence(row: &[Value]) -> Result<Silence, WarehouseError> {
    Ok(Silence {
        silence_id: text(&row[0])?,
        rule: text(&row[1])?,
        labels: read_labels(&row[2])?,
        starts_at: time(&row[3])?,
        ends_at: time(&row[4])?,
        comment: text(&row[5])?,
        created_by: text(&row[6])?,
        created_at: time(&row[7])?,
    })
}

/// Labels as they are stored, and as people write them in the console's addresses.
fn labels_text(labels: &Labels) -> String {
    serde_json::to_value(labels).unwrap_or_default().to_string()
}

fn read_labels(value: &Value) -> Result<Labels, WarehouseError> {
    value.as_str().and_then(|text| serde_json::from_str(text).ok()).ok_or_else(|| odd("set of labels", value))
}

/// Without what could move a terminal's cursor, and of a length that a page can show.
fn tidy(text: &str) -> String {
    text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect()
}

/// What is not in the table as it should be: somebody else wrote to it.
fn odd(what: &str, value: &Value) -> WarehouseError {
    WarehouseError::Statement(format!("ops: {value:?} is not a {what}"))
}

fn text(value: &Value) -> Result<String, WarehouseError> {
    value.as_str().map(str::to_owned).ok_or_else(|| odd("text", value))
}

fn number(value: &Value) -> Result<f64, WarehouseError> {
    value.as_f64().ok_or_else(|| odd("number", value))
}

fn time(value: &Value) -> Result<Millis, WarehouseError> {
    value.as_str().and_then(Millis::parse_sql).ok_or_else(|| odd("time", value))
}

fn maybe_time(value: &Value) -> Result<Option<Millis>, WarehouseError> {
    if *value == Value::Null { Ok(None) } else { time(value).map(Some) }
}
