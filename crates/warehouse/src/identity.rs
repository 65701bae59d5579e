//! The identity of a store, how far it is, and what it records about the others.
//!
//! A *store* here is a schema that keeps what nothing else has: `realtime`, `errors`, `ops`. All stores
//! of one data set share a data id; each has its own id, an epoch that grows when a copy is accepted in
//! its place, and a number that grows with every commit. Each records those of the others, so a store
//! that is gone, older or from another data set is detected by comparing it with the others.
//! [`crate::lost`] keeps the account of what was lost with a log.
//!
//! `adpipe_stores` compares and judges; this file only reads and writes.

use adpipe_event::Millis;
use adpipe_sql::section;

use crate::{
    Dialect, FromRow, Row, Schema, Session, Transaction, Value, Warehouse, WarehouseError, WarehouseRead,
    query_table,
};

pub(crate) const IDENTITY_SQL: &str = include_str!("../sql/report/identity.sql");
const READ_REALTIME: &str = section(IDENTITY_SQL, "read_realtime");
const READ_ERRORS: &str = section(IDENTITY_SQL, "read_errors");
const READ_OPS: &str = section(IDENTITY_SQL, "read_ops");
const PEERS: &str = section(IDENTITY_SQL, "peers");
const ACTIONS: &str = section(IDENTITY_SQL, "actions");
const FILES: &str = section(IDENTITY_SQL, "files");
const MAKE: &str = section(IDENTITY_SQL, "make");
const GO_ON: &str = section(IDENTITY_SQL, "go_on");
const REMEMBER: &str = section(IDENTITY_SQL, "remember");
const FORGET: &str = section(IDENTITY_SQL, "forget");
const ADOPT: &str = section(IDENTITY_SQL, "adopt");
const NOTE_ACCEPTED: &str = section(IDENTITY_SQL, "note_accepted");
const EXISTS: &str = section(IDENTITY_SQL, "exists");

/// The stores that have an identity. (Marts can always be made again.)
pub const STORES: [Schema; 3] = [Schema::Realtime, Schema::Errors, Schema::Ops];

/// The identity of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Shared by all stores of one data set.
    pub data_id: String,
    /// This store's own.
    pub store_id: String,
    /// Grows when a copy is accepted in its place.
    pub epoch: u64,
    /// Only grows with what is committed in it.
    pub how_far: u64,
}

/// What a store remembers of another, or of one partition of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// `realtime`, `errors`, `ops`, `log`, or `log:TOPIC/PARTITION`.
    pub store: String,
    /// The other's own id.
    pub store_id: String,
    /// The epoch of the other, as it was then.
    pub epoch: u64,
    /// How far it was; of a partition the next offset.
    pub how_far: u64,
    /// When that was.
    pub seen_at: String,
}

/// A store as it is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// None when it has not been made part of a data set yet.
    pub identity: Option<Identity>,
    /// How far it is by its content, whatever its identity says.
    pub how_far: u64,
}

/// The id of the data set. Makes one when this warehouse has none yet.
///
/// # Errors
/// Failures of the warehouse.
pub fn data_id(warehouse: &dyn Warehouse) -> Result<String, WarehouseError> {
    if let Some(identity) = read(warehouse, Schema::Realtime)?.identity {
        return Ok(identity.data_id);
    }
    let data_id = new_id();
    make(warehouse, Schema::Realtime, &data_id)?;
    // Another process may have been first.
    Ok(read(warehouse, Schema::Realtime)?.identity.map_or(data_id, |identity| identity.data_id))
}

/// Reads a store's identity. To compare it, read first what the others record: a store advances in the
/// meantime.
///
/// # Errors
/// Failures of the warehouse; [`WarehouseError::Unusable`] when the schema is not there.
pub fn read(warehouse: &dyn WarehouseRead, schema: Schema) -> Result<Found, WarehouseError> {
    let statement = match schema {
        Schema::Errors => READ_ERRORS,
        Schema::Ops => READ_OPS,
        Schema::Realtime | Schema::Analytics => READ_REALTIME,
    };
    let table = match query_table(warehouse, statement, &[]) {
        Ok(table) => table,
        Err(error) => return Err(explained(warehouse, schema, error)),
    };
    table.one().and_then(|row| Found::from_row(&row)).map_err(|error| unreadable(warehouse, schema, &error))
}

/// Reads what a store remembers of the others.
///
/// # Errors
/// The same as [`read`].
pub fn peers(warehouse: &dyn WarehouseRead, schema: Schema) -> Result<Vec<Peer>, WarehouseError> {
    let table = query_table(warehouse, &of(PEERS, schema), &[])
        .map_err(|error| explained(warehouse, schema, error))?;
    table.read().map_err(|error| unreadable(warehouse, schema, &error))
}

impl FromRow for Found {
    fn from_row(row: &Row<'_>) -> Result<Found, WarehouseError> {
        let data_id: Option<String> = row.get("data_id")?;
        let how_far = row.get("found_how_far")?;
        let identity = data_id.map(|data_id| {
            Ok::<Identity, WarehouseError>(Identity {
                data_id,
                store_id: row.get("store_id")?,
                epoch: row.get("epoch")?,
                how_far: row.get::<u64>("how_far")?.max(how_far),
            })
        });
        Ok(Found { identity: identity.transpose()?, how_far })
    }
}

impl FromRow for Peer {
    fn from_row(row: &Row<'_>) -> Result<Peer, WarehouseError> {
        Ok(Peer {
            store: row.get("store")?,
            store_id: row.get("store_id")?,
            epoch: row.get("epoch")?,
            how_far: row.get("how_far")?,
            seen_at: row.get("seen_at")?,
        })
    }
}

/// The highest number of an action that people took in the queue; 0 for none ever.
///
/// # Errors
/// Failures of the warehouse.
pub fn actions(warehouse: &dyn WarehouseRead) -> Result<u64, WarehouseError> {
    query_table(warehouse, ACTIONS, &[])?.one()?.get("newest")
}

/// How far `realtime` is in what came by raw files or was archived; 0 for none ever.
///
/// # Errors
/// Failures of the warehouse.
pub fn files(warehouse: &dyn WarehouseRead) -> Result<u64, WarehouseError> {
    query_table(warehouse, FILES, &[])?.one()?.get("how_far")
}

/// Makes a store part of a data set, when it is of none.
///
/// # Errors
/// Failures of the warehouse.
pub fn make(warehouse: &dyn Warehouse, schema: Schema, data_id: &str) -> Result<(), WarehouseError> {
    let params = [data_id.into(), new_id().into(), Value::Int(0), now()];
    transact(warehouse, schema, |transaction| transaction.execute(&of(MAKE, schema), &params).map(drop))
}

/// Stores how far a store is, and what it now knows of the others.
///
/// # Errors
/// Failures of the warehouse.
pub fn remember(
    session: &mut dyn Session,
    schema: Schema,
    how_far: u64,
    peers: &[Peer],
) -> Result<(), WarehouseError> {
    let mut transaction = session.begin()?;
    for (statement, params) in remembering(schema, how_far, peers) {
        transaction.execute(&statement, &params)?;
    }
    transaction.commit()
}

/// The statements of [`remember`], for other kinds of transactions.
pub fn remembering(schema: Schema, how_far: u64, peers: &[Peer]) -> Vec<(String, Vec<Value>)> {
    let statement = of(REMEMBER, schema);
    let go_on = (of(GO_ON, schema), vec![whole(how_far)]);
    let peers = peers.iter().map(|peer| (statement.clone(), peer_params(peer).to_vec()));
    std::iter::once(go_on).chain(peers).collect()
}

/// Accepts a store as it is as part of the data set: with its own id, a new epoch, on the record. What
/// it remembered of the others is replaced by `peers`.
///
/// # Errors
/// Failures of the warehouse.
pub fn adopt(
    warehouse: &dyn Warehouse,
    schema: Schema,
    identity: &Identity,
    peers: &[Peer],
    actor: &str,
    note: &str,
) -> Result<(), WarehouseError> {
    let remembered = self::peers(warehouse, schema)?;
    make(warehouse, schema, &identity.data_id)?;
    transact(warehouse, schema, |transaction| {
        transaction.execute(
            &of(ADOPT, schema),
            &[
                identity.data_id.as_str().into(),
                identity.store_id.as_str().into(),
                whole(identity.epoch),
                whole(identity.how_far),
            ],
        )?;
        for peer in remembered.iter().filter(|peer| !peer.store.starts_with("log")) {
            transaction.execute(&of(FORGET, schema), &[peer.store.as_str().into()])?;
        }
        for peer in peers {
            transaction.execute(&of(REMEMBER, schema), &peer_params(peer))?;
        }
        let who = (schema.name(), identity.store_id.as_str(), identity.epoch);
        note_accepted(transaction, schema, who, actor, note)
    })
}

/// Puts on the record who accepted which store (name, id, epoch).
///
/// # Errors
/// Failures of the warehouse.
pub(crate) fn note_accepted(
    transaction: &mut dyn Transaction,
    schema: Schema,
    (store, store_id, epoch): (&str, &str, u64),
    actor: &str,
    note: &str,
) -> Result<(), WarehouseError> {
    let params = [now(), actor.into(), store.into(), store_id.into(), whole(epoch), note.into()];
    transaction.execute(&of(NOTE_ACCEPTED, schema), &params).map(drop)
}

/// A new id: a UUID of version 7.
pub fn new_id() -> String {
    let millis = Millis::now().0.max(0) as u64;
    uuid::Builder::from_unix_timestamp_millis(millis, &rand::random()).into_uuid().hyphenated().to_string()
}

pub(crate) fn transact(
    warehouse: &dyn Warehouse,
    schema: Schema,
    work: impl FnOnce(&mut dyn Transaction) -> Result<(), WarehouseError>,
) -> Result<(), WarehouseError> {
    let mut session = warehouse.session(schema)?;
    let mut transaction = session.begin()?;
    work(transaction.as_mut())?;
    transaction.commit()
}

fn peer_params(peer: &Peer) -> [Value; 5] {
    [
        peer.store.as_str().into(),
        peer.store_id.as_str().into(),
        whole(peer.epoch),
        whole(peer.how_far),
        peer.seen_at.as_str().into(),
    ]
}

fn of(statement: &str, schema: Schema) -> String {
    statement.replace("{schema}", schema.name())
}

pub(crate) fn now() -> Value {
    Millis::now().to_string().into()
}

pub(crate) fn whole(number: u64) -> Value {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

fn unreadable(warehouse: &dyn WarehouseRead, schema: Schema, error: &WarehouseError) -> WarehouseError {
    let found = match error {
        WarehouseError::Unusable { location, reason, .. } => format!("{location}: {reason}"),
        other => other.to_string(),
    };
    WarehouseError::Unusable {
        location: warehouse.location(),
        reason: format!("the identity of {} cannot be read: {found}", schema.name()),
        advice: "restore it from a copy",
    }
}

/// On PostgreSQL a schema can be dropped by itself.
fn explained(warehouse: &dyn WarehouseRead, schema: Schema, error: WarehouseError) -> WarehouseError {
    if warehouse.dialect() != Dialect::Postgres || !matches!(error, WarehouseError::Statement(_)) {
        return error;
    }
    let exists = query_table(warehouse, &of(EXISTS, schema), &[]);
    match exists.and_then(|table| table.one()?.get::<bool>("is_there")) {
        Ok(false) => WarehouseError::Unusable {
            location: warehouse.location(),
            reason: format!("schema {} does not exist", schema.name()),
            advice: "restore it from a copy of the database (pg_restore --schema)",
        },
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::SqliteWarehouse;

    #[test]
    fn a_store_is_made_once_and_remembers_the_highest() {
        let folder = tempfile::tempdir().unwrap();
        let warehouse = SqliteWarehouse::open(folder.path()).unwrap();
        assert_eq!(read(&warehouse, Schema::Realtime).unwrap().identity, None);
        let id = data_id(&warehouse).unwrap();
        assert_eq!(data_id(&warehouse).unwrap(), id);
        for schema in STORES {
            make(&warehouse, schema, &id).unwrap();
            let peer = |how_far, epoch| Peer {
                store: "log:ad_events_raw/0".to_owned(),
                store_id: "l".to_owned(),
                epoch,
                how_far,
                seen_at: Millis::now().to_string(),
            };
            let mut session = warehouse.session(schema).unwrap();
            for (seen, epoch, expected) in [(7, 1, 7), (5, 1, 7), (6, 2, 6)] {
                remember(session.as_mut(), schema, seen, &[peer(seen, epoch)]).unwrap();
                assert_eq!(peers(&warehouse, schema).unwrap()[0].how_far, expected);
                assert_eq!(read(&warehouse, schema).unwrap().identity.unwrap().how_far, 7);
            }
        }
    }
}
