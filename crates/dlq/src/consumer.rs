//! Stores the records of `ad_events_error`: each failure once, complete, in its group.

use std::collections::HashSet;
use std::time::Duration;

use adpipe_event::Millis;
use adpipe_log::{Consumer, LogError, Offset, Polled, RecordBatch, Topic};
use adpipe_runtime::Shutdown;
use adpipe_sql::section;
use adpipe_warehouse::{Transaction, Value, WarehouseError, offset_sum};

use crate::Dlq;
use crate::error::DlqError;
use crate::failure::Failure;
use crate::groups::GroupChanges;
use crate::headers::headers_to_json;
use crate::retry::backoff::first_retry;
use crate::retry::outcome;
use crate::status::Status;
use crate::sums::{cause_sum, edit_sum, record_sum, state_sum};
use crate::voids::Judge;
use adpipe_runtime::ids::new_id;

const CONSUMER_SQL: &str = include_str!("../sql/consumer.sql");
pub(crate) const OFFSETS: &str = section(CONSUMER_SQL, "offsets");
const BEGIN_AT: &str = section(CONSUMER_SQL, "begin_at");
const CLAIM: &str = section(CONSUMER_SQL, "claim");
const INSERT: &str = section(CONSUMER_SQL, "insert");
const INSERT_END: &str = section(CONSUMER_SQL, "insert_end");

/// Payload bytes asked of the log at once; a transaction holds no more than about this.
const READ_BYTES: usize = 1 << 20;
const IDLE: Duration = Duration::from_millis(200);

/// Rows of one insert: enough that the round trip to a server no longer counts.
const ROWS_AN_INSERT: usize = 50;
const COLUMNS: usize = 24;

/// Reads the topic until the switch is off. It runs until the first failure: the caller waits out what
/// passes and calls it again; it continues from the stored offsets.
///
/// # Errors
/// Failures of the log or the warehouse.
pub fn run(dlq: &Dlq, shutdown: &Shutdown) -> Result<(), DlqError> {
    let mut consumer = dlq.log().consume(Topic::Error)?;
    let mut assigned = Vec::new();
    while !shutdown.is_triggered() {
        match consumer.poll(READ_BYTES, IDLE)? {
            Polled::Assigned(partitions) => {
                seek_all(dlq, consumer.as_mut(), &partitions)?;
                assigned = partitions;
            }
            Polled::Batch(batch) => match store(dlq, &batch) {
                Ok(()) => consumer.committed(batch.partition, batch.next_offset()),
                Err(DlqError::Warehouse(WarehouseError::Fenced { .. })) => {
                    tracing::warn!(
                        partition = batch.partition,
                        "another reader of the errors continued from here"
                    );
                    seek_all(dlq, consumer.as_mut(), &assigned)?;
                }
                Err(error) => return Err(error),
            },
            Polled::Idle => {}
        }
    }
    Ok(())
}

fn seek_all(dlq: &Dlq, consumer: &mut dyn Consumer, partitions: &[u32]) -> Result<(), DlqError> {
    for range in dlq.log().ranges(Topic::Error)? {
        if partitions.contains(&range.partition) {
            let next = begin(dlq, Topic::Error.name(), range.partition, range.first.0)?;
            // Said here, as Kafka itself would begin at its oldest record after offset 0.
            if next < range.first.0 {
                let (topic, partition, oldest) = (Topic::Error.name(), range.partition, range.first.0);
                return Err(LogError::OutOfRange { topic, partition, wanted: next, oldest }.into());
            }
            consumer.seek(range.partition, Offset(next));
        }
    }
    Ok(())
}

/// The stored offset of a partition; `first`, and stored, when there is none.
pub(crate) fn begin(dlq: &Dlq, topic: &str, partition: u32, first: u64) -> Result<u64, DlqError> {
    dlq.transact(|transaction| {
        let now = Millis::now().to_string();
        let key = [topic.into(), Value::Int(partition.into())];
        let sum = offset_sum("errors.offsets", topic, partition, first);
        let params = [key[0].clone(), key[1].clone(), Value::Int(first as i64), now.into(), sum];
        transaction.execute(BEGIN_AT, &params)?;
        let table = transaction.query(OFFSETS, &key)?;
        Ok(table.first().map(|row| row.get("next_offset")).transpose()?.unwrap_or(first))
    })
}

/// Advances a stored offset; fails if another process has.
pub(crate) fn claim(
    transaction: &mut dyn Transaction,
    topic: &str,
    partition: u32,
    first: u64,
    next: u64,
) -> Result<(), DlqError> {
    let now = Millis::now().to_string();
    let params = [
        topic.into(),
        Value::Int(partition.into()),
        Value::Int(first as i64),
        Value::Int(next as i64),
        now.into(),
        offset_sum("errors.offsets", topic, partition, next),
    ];
    match transaction.execute(CLAIM, &params)? {
        0 => Err(WarehouseError::Fenced { topic: topic.to_owned(), partition, expected: first }.into()),
        _ => Ok(()),
    }
}

/// Stores a batch of the error topic in one transaction with the next offset.
pub(crate) fn store(dlq: &Dlq, batch: &RecordBatch) -> Result<(), DlqError> {
    let failures: Vec<Failure> = batch.iter().map(|record| Failure::of(batch, &record)).collect();
    let failed_again = dlq.transact(|transaction| {
        let (first, next) = (batch.covered_from.0, batch.next_offset().0);
        claim(transaction, batch.topic.name(), batch.partition, first, next)?;
        let judge = Judge::of(transaction, &failures)?;
        let mut changes = GroupChanges::default();
        let mut failed_again = 0;
        let mut new = Vec::new();
        for failure in failures.iter().filter(|failure| !judge.is_void(failure)) {
            match outcome::failed_again(dlq, transaction, failure, &mut changes)? {
                outcome::Repeat::Of => failed_again += 1,
                outcome::Repeat::Known => {}
                outcome::Repeat::Unknown => new.push(failure),
            }
        }
        insert_new(dlq, transaction, &new, &mut changes)?;
        changes.apply(transaction)?;
        Ok(failed_again)
    })?;
    dlq.metrics().dlq_retries.with_label_values(&["failed"]).inc_by(failed_again);
    Ok(())
}

/// Inserts those that are not there yet.
pub(crate) fn insert_new(
    dlq: &Dlq,
    transaction: &mut dyn Transaction,
    failures: &[&Failure],
    changes: &mut GroupChanges,
) -> Result<u64, DlqError> {
    let mut inserted = 0;
    for failures in failures.chunks(ROWS_AN_INSERT) {
        let ids: Vec<String> = failures.iter().map(|failure| new_id(failure.at)).collect();
        let mut params = Vec::with_capacity(failures.len() * COLUMNS);
        let mut statuses = Vec::with_capacity(failures.len());
        for (failure, id) in failures.iter().zip(&ids) {
            statuses.push(push_row(dlq, failure, id, &mut params));
        }
        let statement = insert_statement(failures.len(), dlq.is_postgres());
        let table = transaction.query(&statement, &params)?;
        let is_new: HashSet<&str> = table.column("error_id")?.into_iter().collect();
        for ((failure, id), status) in failures.iter().zip(&ids).zip(statuses) {
            if is_new.contains(id.as_str()) {
                changes.arrived(failure, id);
                changes.count(&failure.fingerprint, status, 1);
                inserted += 1;
            }
        }
    }
    Ok(inserted)
}

fn insert_statement(rows: usize, is_postgres: bool) -> String {
    // To SQLite `$7` is a name, and it looks for the name of each of a thousand among all others.
    let place = |number: usize| if is_postgres { format!("${number}") } else { "?".to_owned() };
    let row = |row: usize| {
        let places: Vec<String> = (1..=COLUMNS).map(|column| place(row * COLUMNS + column)).collect();
        format!("({})", places.join(", "))
    };
    let rows: Vec<String> = (0..rows).map(row).collect();
    format!("{INSERT}{}{INSERT_END}", rows.join(",\n"))
}

fn push_row(dlq: &Dlq, failure: &Failure, id: &str, params: &mut Vec<Value>) -> Status {
    let next_retry = first_retry(dlq.settings(), failure);
    let status = next_retry.status();
    let [next_retry_at, waits_for] = next_retry.columns();
    let at = Value::from(failure.at.to_string());
    let record: [Value; 8] = [
        id.into(),
        failure.topic.as_str().into(),
        Value::Int(failure.partition.into()),
        Value::Int(failure.offset as i64),
        failure.stage.into(),
        if failure.key.is_empty() { Value::Null } else { failure.key.clone().into() },
        failure.payload.clone().into(),
        headers_to_json(&failure.headers).into(),
    ];
    let state: [Value; 13] = [
        id.into(),
        status.as_str().into(),
        Value::Null,
        Value::Int(0),
        Value::Int(dlq.settings().max_retries.into()),
        next_retry_at,
        Value::Null,
        "adpipe".into(),
        Value::Null,
        at.clone(),
        Value::Null,
        Value::Null,
        waits_for.clone(),
    ];
    let sums = [
        record_sum(&record, &at),
        cause_sum(id, failure),
        edit_sum(id, &Value::Null, &Value::Null),
        state_sum(&state),
    ];
    params.extend(record);
    params.extend([
        failure.error_type.as_str().into(),
        failure.field.clone().into(),
        failure.message.as_str().into(),
        failure.fingerprint.as_str().into(),
    ]);
    let [_, status_name, _, retry_count, max_retries, next_retry_at, _, actor, _, last_failed_at, ..] = state;
    params.extend([
        status_name,
        retry_count,
        max_retries,
        next_retry_at,
        actor,
        at,
        last_failed_at,
        waits_for,
    ]);
    params.extend(sums);
    status
}
