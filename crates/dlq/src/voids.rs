//! Errors that are void. The stream processor appends errors before it commits; when it dies in
//! between, the next attempt may decide otherwise. The commit says which records are in error: an
//! error of a record that a commit took as anything else never was one.
//!
//! Each error is looked at once: [`settle`] follows the commits, and what arrives after they were
//! looked at is judged when it is stored ([`Judge`]).

use std::collections::BTreeMap;

use adpipe_counting::TOPICS;
use adpipe_event::Millis;
use adpipe_log::Topic;
use adpipe_sql::section;
use adpipe_warehouse::invalid::{Verdicts, verdicts_in};
use adpipe_warehouse::{PartitionOffset, Row, Transaction, Value, query_table};

use crate::Dlq;
use crate::consumer::{OFFSETS, begin, claim};
use crate::error::DlqError;
use crate::failure::Failure;
use crate::groups::GroupChanges;
use crate::row::{change_state, status_of};
use crate::status::Status;
use crate::sums::outcome_sum;

const VOIDS_SQL: &str = include_str!("../sql/voids.sql");
const HOLD_STORES: &str = section(VOIDS_SQL, "hold_stores");
const ERRORS: &str = section(VOIDS_SQL, "errors");
const REPEATS: &str = section(VOIDS_SQL, "repeats");
const VOID: &str = section(VOIDS_SQL, "void");
const REVIVE: &str = section(VOIDS_SQL, "revive");
const DROP_REPEAT: &str = section(VOIDS_SQL, "drop_repeat");
const REOPEN_TRY: &str = section(VOIDS_SQL, "reopen_try");

/// What is written into `resolution`.
pub(crate) const VOID_RESOLUTION: &str = "void";

/// Errors looked at in one transaction.
const ERRORS_A_STEP: i64 = 2_000;

/// Under which name it is stored how far the commits of a topic were looked at.
fn place_of(topic: &str) -> String {
    format!("realtime.invalid_offsets:{topic}")
}

/// Looks at the commits since the last time; gives how many errors are void by them.
///
/// # Errors
/// Failures of the warehouse; `Fenced` when another process does the same.
pub fn settle(dlq: &Dlq) -> Result<u64, DlqError> {
    let mut voided = 0;
    for topic in TOPICS {
        for committed in dlq.warehouse().offsets(topic.name())? {
            voided += settle_partition(dlq, topic, committed)?;
        }
    }
    Ok(voided)
}

/// The same for one partition, up to what is committed of it.
pub(crate) fn settle_partition(dlq: &Dlq, topic: Topic, committed: PartitionOffset) -> Result<u64, DlqError> {
    let (topic, partition) = (topic.name(), committed.partition);
    let key = [place_of(topic).into(), Value::Int(partition.into())];
    let stored = query_table(dlq.warehouse(), OFFSETS, &key)?;
    let mut reached = match stored.first() {
        Some(row) => row.get("next_offset")?,
        None => begin(dlq, &place_of(topic), partition, 0)?,
    };
    let mut voided = 0;
    while reached != committed.next_offset {
        let step = settle_step(dlq, topic, partition, reached, committed.next_offset)?;
        reached = step.reached;
        voided += step.voided;
    }
    if voided > 0 {
        tracing::info!(topic, partition, voided, "errors of an attempt that was not committed are void");
    }
    Ok(voided)
}

struct Step {
    reached: u64,
    voided: u64,
}

fn settle_step(dlq: &Dlq, topic: &str, partition: u32, from: u64, committed: u64) -> Result<Step, DlqError> {
    dlq.transact(|transaction| {
        let now = Value::from(Millis::now().to_string());
        transaction.execute(HOLD_STORES, &[Topic::Error.name().into(), now.clone()])?;
        let range = |to: u64| {
            [topic.into(), Value::Int(partition.into()), Value::Int(from as i64), Value::Int(to as i64)]
        };
        let mut params = range(committed).to_vec();
        params.push(Value::Int(ERRORS_A_STEP));
        let errors = transaction.query(ERRORS, &params)?;
        // Less than is stored: the warehouse was set back, and decides again from there.
        let reached = match errors.iter().next_back() {
            Some(last) if errors.len() as i64 == ERRORS_A_STEP => last.get::<u64>("record_offset")? + 1,
            _ => committed,
        };
        claim(transaction, &place_of(topic), partition, from, reached)?;
        let verdicts = verdicts_in(transaction, topic, partition, from, reached)?;
        let mut changes = GroupChanges::default();
        let mut voided = 0;
        for row in errors.iter() {
            voided += u64::from(settle_error(transaction, &row, &verdicts, &now, &mut changes)?);
        }
        for row in transaction.query(REPEATS, &range(reached))?.iter() {
            if verdicts.is_void(row.get("record_offset")?) {
                drop_repeat(transaction, topic, partition, &row)?;
                voided += 1;
            }
        }
        changes.apply(transaction)?;
        Ok(Step { reached, voided })
    })
}

/// Marks an error that is void, or brings back one that is not; true when it is void from now on.
fn settle_error(
    transaction: &mut dyn Transaction,
    row: &Row<'_>,
    verdicts: &Verdicts,
    now: &Value,
    changes: &mut GroupChanges,
) -> Result<bool, DlqError> {
    let offset = row.get("record_offset")?;
    let error_id: &str = row.get("error_id")?;
    let (status, fingerprint) = (status_of(row)?, row.get("fingerprint")?);
    let is_marked = row.get::<&str>("resolution")? == VOID_RESOLUTION;
    let is_void = verdicts.is_void(offset);
    if is_void && !is_marked {
        let params = [error_id.into(), status.as_str().into(), now.clone()];
        change_state(transaction, VOID, &params)?;
        changes.moved(fingerprint, status, Status::Resolved);
        return Ok(true);
    }
    if !is_void && is_marked && offset >= verdicts.from() {
        change_state(transaction, REVIVE, &[error_id.into()])?;
        changes.moved(fingerprint, status, Status::Exhausted);
    }
    Ok(false)
}

/// Forgets a failure of a retry that is void; the retry is open again.
fn drop_repeat(
    transaction: &mut dyn Transaction,
    topic: &str,
    partition: u32,
    row: &Row<'_>,
) -> Result<(), DlqError> {
    let offset: u64 = row.get("record_offset")?;
    let key = [topic.into(), Value::Int(partition.into()), Value::Int(offset as i64)];
    transaction.execute(DROP_REPEAT, &key)?;
    let (error_id, attempt): (&str, i64) = (row.get("error_id")?, row.get("attempt")?);
    let sum = outcome_sum(error_id, attempt, [const { Value::Null }; 4]);
    transaction.execute(REOPEN_TRY, &[error_id.into(), Value::Int(attempt), sum])?;
    Ok(())
}

/// Knows of errors that are about to be stored whether they are void.
pub(crate) struct Judge(BTreeMap<(String, u32), Verdicts>);

impl Judge {
    /// For these failures. What the commits were not looked at for is [`settle`]'s.
    pub fn of(transaction: &mut dyn Transaction, failures: &[Failure]) -> Result<Judge, DlqError> {
        let mut first_offsets: BTreeMap<(String, u32), u64> = BTreeMap::new();
        let is_event_topic = |name: &str| TOPICS.iter().any(|topic| topic.name() == name);
        for failure in failures.iter().filter(|failure| is_event_topic(&failure.topic)) {
            let first = first_offsets.entry((failure.topic.clone(), failure.partition)).or_insert(u64::MAX);
            *first = failure.offset.min(*first);
        }
        let mut by_place = BTreeMap::new();
        for ((topic, partition), first) in first_offsets {
            let key = [place_of(&topic).into(), Value::Int(partition.into())];
            let looked_at = transaction.query(OFFSETS, &key)?;
            let looked_at = looked_at.first().map(|row| row.get("next_offset")).transpose()?.unwrap_or(0);
            if first < looked_at {
                let verdicts = verdicts_in(transaction, &topic, partition, first, looked_at)?;
                by_place.insert((topic, partition), verdicts);
            }
        }
        Ok(Judge(by_place))
    }

    pub fn is_void(&self, failure: &Failure) -> bool {
        let place = (failure.topic.clone(), failure.partition);
        self.0.get(&place).is_some_and(|verdicts| verdicts.is_void(failure.offset))
    }
}
