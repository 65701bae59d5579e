//! Records that the log once had, that were never processed, and that were lost with it.

use adpipe_sql::section;

use crate::identity::{self, IDENTITY_SQL, transact, whole};
use crate::{
    FromRow, Row, Schema, Value, Warehouse, WarehouseError, WarehouseRead, offset_sum, query_as, query_table,
    row_sum,
};

const LOST: &str = section(IDENTITY_SQL, "lost");
const NOTE_LOST: &str = section(IDENTITY_SQL, "note_lost");
const ACCEPT_LOST: &str = section(IDENTITY_SQL, "accept_lost");
const NOT_ACCEPTED: &str = section(IDENTITY_SQL, "not_accepted");
const REALTIME_PLACES: &str = section(IDENTITY_SQL, "realtime_places");
const ERRORS_PLACES: &str = section(IDENTITY_SQL, "errors_places");
const MOVE_REALTIME_PLACE: &str = section(IDENTITY_SQL, "move_realtime_place");
const MOVE_ERRORS_PLACE: &str = section(IDENTITY_SQL, "move_errors_place");
const NEWEST_ERROR: &str = section(IDENTITY_SQL, "newest_error");

/// Some records of a partition that are gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostRecords {
    /// Their topic.
    pub topic: String,
    /// Their partition.
    pub partition: u32,
    /// First offset that is lost.
    pub first_offset: u64,
    /// Behind the last.
    pub next_offset: u64,
    /// When something of the partition was last processed: they were sent after it, or a little before.
    pub since: Option<String>,
    /// True once the loss was acknowledged.
    pub is_accepted: bool,
}

impl std::fmt::Display for LostRecords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let records = self.next_offset - self.first_offset;
        write!(
            f,
            "{} partition {}: {records} records, offsets {} to {}; send again what was sent ",
            self.topic,
            self.partition,
            self.first_offset,
            self.next_offset - 1
        )?;
        match &self.since {
            Some(since) => write!(f, "since {since} UTC"),
            None => f.write_str("so far"),
        }
    }
}

/// Columns that name a row of `realtime.lost_records`.
const KEY: usize = 3;

/// The sum of when and by whom a row was accepted; both null while it is not.
fn accepted_sum(key: &[Value], accepted: [Value; 2]) -> Value {
    row_sum("realtime.lost_records.accepted_sum", &[key, &accepted[..]].concat())
}

/// All that is known to be lost.
///
/// # Errors
/// Failures of the warehouse.
pub fn lost_records(warehouse: &dyn WarehouseRead) -> Result<Vec<LostRecords>, WarehouseError> {
    query_as(warehouse, LOST, &[])
}

impl FromRow for LostRecords {
    fn from_row(row: &Row<'_>) -> Result<LostRecords, WarehouseError> {
        Ok(LostRecords {
            topic: row.get("topic")?,
            partition: row.get("partition")?,
            first_offset: row.get("first_offset")?,
            next_offset: row.get("next_offset")?,
            since: row.get("since")?,
            is_accepted: row.get::<Option<&str>>("accepted_at")?.is_some(),
        })
    }
}

/// Notes them; nothing happens when they are known.
///
/// # Errors
/// Failures of the warehouse.
pub fn note_lost(warehouse: &dyn Warehouse, lost: &LostRecords) -> Result<(), WarehouseError> {
    let mut params: Vec<Value> = vec![
        lost.topic.as_str().into(),
        Value::Int(lost.partition.into()),
        whole(lost.first_offset),
        whole(lost.next_offset),
        lost.since.clone().into(),
        identity::now(),
    ];
    let sum = row_sum("realtime.lost_records", &params);
    let not_accepted = accepted_sum(&params[..KEY], [Value::Null, Value::Null]);
    params.extend([sum, not_accepted]);
    transact(warehouse, Schema::Realtime, |transaction| transaction.execute(NOTE_LOST, &params).map(drop))
}

/// Says of all of them that it is known, for a log of this id and epoch.
///
/// # Errors
/// Failures of the warehouse.
pub fn accept_lost(
    warehouse: &dyn Warehouse,
    (log_id, log_epoch): (&str, u64),
    actor: &str,
    note: &str,
) -> Result<(), WarehouseError> {
    transact(warehouse, Schema::Realtime, |transaction| {
        for row in transaction.query(NOT_ACCEPTED, &[])?.iter() {
            let key = row.values();
            let accepted = [identity::now(), actor.into()];
            let mut params = key.to_vec();
            params.extend(accepted.clone());
            params.push(accepted_sum(key, accepted));
            transaction.execute(ACCEPT_LOST, &params)?;
        }
        let who = ("log", log_id, log_epoch);
        identity::note_accepted(transaction, Schema::Realtime, who, actor, note)
    })
}

/// A place up to which a store has taken a partition of the log, and when it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPlace {
    /// The next offset that it will take.
    pub next_offset: u64,
    /// When it took the last.
    pub updated_at: String,
}

/// The places of a store (`realtime`, else `errors`) in the partitions of a topic, which may be
/// `realtime.replays`.
///
/// # Errors
/// Failures of the warehouse.
pub fn places(
    warehouse: &dyn WarehouseRead,
    schema: Schema,
    topic: &str,
) -> Result<Vec<(u32, StoredPlace)>, WarehouseError> {
    let statement = if schema == Schema::Realtime { REALTIME_PLACES } else { ERRORS_PLACES };
    let table = query_table(warehouse, statement, &[topic.into()])?;
    let place = |row: Row<'_>| {
        let partition = row.get("partition")?;
        let next_offset = row.get("next_offset")?;
        Ok((partition, StoredPlace { next_offset, updated_at: row.get("updated_at")? }))
    };
    table.iter().map(place).collect()
}

/// Moves that place over records that are gone; does nothing when it is no longer `from`.
///
/// # Errors
/// Failures of the warehouse.
pub fn move_place(
    warehouse: &dyn Warehouse,
    schema: Schema,
    (topic, partition): (&str, u32),
    (from, to): (u64, u64),
) -> Result<(), WarehouseError> {
    let statement = if schema == Schema::Realtime { MOVE_REALTIME_PLACE } else { MOVE_ERRORS_PLACE };
    let table = if schema == Schema::Realtime { "realtime.offsets" } else { "errors.offsets" };
    let sum = offset_sum(table, topic, partition, to);
    let params = [topic.into(), Value::Int(partition.into()), whole(from), whole(to), identity::now(), sum];
    transact(warehouse, schema, |transaction| transaction.execute(statement, &params).map(drop))
}

/// The offset after the newest record of a partition that the queue knows as an error.
///
/// # Errors
/// Failures of the warehouse.
pub fn behind_newest_error(
    warehouse: &dyn WarehouseRead,
    topic: &str,
    partition: u32,
) -> Result<u64, WarehouseError> {
    let table = query_table(warehouse, NEWEST_ERROR, &[topic.into(), Value::Int(partition.into())])?;
    Ok(table.one()?.get::<Option<u64>>("next_offset")?.unwrap_or(0))
}
