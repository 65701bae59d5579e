//! What is in the stores, and what each records about the others.

use adpipe_log::{LogIdentity, PartitionRange, Topic};
use adpipe_warehouse::identity::{self, Found, Peer};
use adpipe_warehouse::lost::{self, StoredPlace};
use adpipe_warehouse::{Dialect, Schema, Warehouse, WarehouseError};

use crate::{Parts, Store, StoresError};

/// Under this name the others remember how many actions people took in the queue.
pub(super) const ACTIONS: &str = "errors:actions";

/// Under this name the others remember how far `realtime` was in raw files and the archive.
pub(super) const FILES: &str = "realtime:files";

/// Under this name the queue stores its place among the outcomes of retries.
pub(super) const REPLAYS: &str = "realtime.replays";

/// What a store remembers of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// The store that records it.
    pub by: Store,
    /// The other's id then.
    pub store_id: String,
    /// Its epoch then.
    pub epoch: u64,
    /// How far it was.
    pub how_far: u64,
    /// When that was.
    pub seen_at: String,
}

/// A schema as it was found.
#[derive(Debug, Clone)]
pub(super) enum Seen {
    /// It was read.
    There(Found),
    /// It is not to be read by this user.
    Unread,
    /// It is gone or damaged, and why.
    Unusable(String),
}

/// A partition of the log, and the places of its consumer.
#[derive(Debug, Clone)]
pub(super) struct Partition {
    pub topic: Topic,
    pub range: PartitionRange,
    /// Where its consumer continues: `realtime`, of the error topic `errors`.
    pub place: Option<StoredPlace>,
}

impl Partition {
    /// The name under which others remember it.
    pub fn name(&self) -> String {
        partition_name(self.topic, self.range.partition)
    }

    /// The store that consumes it.
    pub fn consumer(&self) -> Store {
        consumer_of(self.topic)
    }

    pub fn next_place(&self) -> u64 {
        self.place.as_ref().map_or(0, |place| place.next_offset)
    }
}

pub(super) fn consumer_of(topic: Topic) -> Store {
    match topic {
        Topic::Raw | Topic::Retry => Store::Realtime,
        Topic::Error => Store::Errors,
    }
}

pub(super) fn partition_name(topic: Topic, partition: u32) -> String {
    format!("log:{}/{partition}", topic.name())
}

/// Everything that is compared.
#[derive(Debug, Clone)]
pub(super) struct Survey {
    pub log: LogIdentity,
    pub log_place: String,
    /// Whether the log can be raised past its consumers.
    pub is_ours: bool,
    pub partitions: Vec<Partition>,
    /// In the order of [`identity::STORES`].
    pub stores: [Seen; 3],
    pub peers: [Vec<Peer>; 3],
    pub places: [String; 3],
    /// The number of the newest action in the queue.
    pub actions: u64,
    /// How far `realtime` is in what came by raw files or was archived.
    pub files: u64,
    /// Where the queue continues among the outcomes of retries.
    pub replays: u64,
    /// Asked only when `realtime` has no identity.
    pub archive_has_parts: bool,
    /// When it was taken.
    pub at: String,
}

impl Survey {
    pub fn take(parts: Parts<'_>) -> Result<Survey, StoresError> {
        let warehouse = parts.warehouse;
        // The records of the other stores first: what they are compared with only advances in the
        // meantime.
        let peers = read_peers(warehouse)?;
        let log = parts.log.identity()?;
        let stores = read_stores(warehouse)?;
        let is_there = |schema| {
            let index = identity::STORES.iter().position(|store| *store == schema);
            index.is_some_and(|index| matches!(stores[index], Seen::There(_)))
        };
        let mut partitions = Vec::new();
        for topic in Topic::ALL {
            let schema = consumer_of(topic).schema().unwrap_or(Schema::Realtime);
            // The places before the ends: a consumer's place is never beyond the end.
            let mut places = Vec::new();
            if is_there(schema) {
                places = lost::places(warehouse, schema, topic.name())?;
            }
            for range in parts.log.ranges(topic)? {
                let place = places.iter().find(|(partition, _)| *partition == range.partition);
                partitions.push(Partition { topic, range, place: place.map(|(_, place)| place.clone()) });
            }
        }
        let (mut actions, mut replays) = (0, 0);
        if is_there(Schema::Errors) {
            actions = identity::actions(warehouse)?;
            let places = lost::places(warehouse, Schema::Errors, REPLAYS)?;
            replays = places.first().map_or(0, |(_, place)| place.next_offset);
        }
        let files = if is_there(Schema::Realtime) { identity::files(warehouse)? } else { 0 };
        let is_new =
            matches!(&stores[0], Seen::There(found) if found.identity.is_none() && found.how_far == 0);
        let archive_has_parts =
            if is_new { (parts.archive_has_parts)().map_err(StoresError::Archive)? } else { false };
        Ok(Survey {
            log,
            log_place: parts.log.location(),
            is_ours: parts.raise.is_some(),
            partitions,
            stores,
            peers,
            places: identity::STORES.map(|schema| place_of(warehouse, schema)),
            actions,
            files,
            replays,
            archive_has_parts,
            at: adpipe_event::Millis::now().to_string(),
        })
    }

    /// A store as it was found; none when it could not be read.
    pub fn found(&self, store: Store) -> Option<&Found> {
        match &self.stores[index_of(store)?] {
            Seen::There(found) => Some(found),
            Seen::Unread | Seen::Unusable(_) => None,
        }
    }

    /// What a store remembers of another, or of a partition.
    pub fn memory(&self, by: Store, of: &str) -> Option<&Peer> {
        self.peers[index_of(by)?].iter().find(|peer| peer.store == of)
    }

    /// A store's memory of a partition, when it is of the log that it knows.
    pub fn partition_memory(&self, by: Store, partition: &str) -> Option<&Peer> {
        let log = self.memory(by, "log")?;
        self.memory(by, partition).filter(|peer| peer.store_id == log.store_id)
    }
}

/// What each store remembers of the others.
fn read_peers(warehouse: &dyn Warehouse) -> Result<[Vec<Peer>; 3], StoresError> {
    let mut peers: [Vec<Peer>; 3] = Default::default();
    for (of_store, schema) in peers.iter_mut().zip(identity::STORES) {
        *of_store = match identity::peers(warehouse, schema) {
            Err(WarehouseError::Unusable { .. }) => Vec::new(),
            read => unless_forbidden(warehouse, read)?.unwrap_or_default(),
        };
    }
    Ok(peers)
}

fn read_stores(warehouse: &dyn Warehouse) -> Result<[Seen; 3], StoresError> {
    let mut stores = [Seen::Unread, Seen::Unread, Seen::Unread];
    for (seen, schema) in stores.iter_mut().zip(identity::STORES) {
        *seen = match identity::read(warehouse, schema) {
            Ok(found) => Seen::There(found),
            Err(error) if is_forbidden(warehouse, &error) => Seen::Unread,
            Err(WarehouseError::Unusable { reason, advice, .. }) => {
                Seen::Unusable(format!("{reason}; {advice}"))
            }
            Err(error) => return Err(error.into()),
        };
    }
    Ok(stores)
}

/// The place of a schema's store in the arrays above; none for the log.
pub(super) fn index_of(store: Store) -> Option<usize> {
    let schema = store.schema()?;
    identity::STORES.iter().position(|of| *of == schema)
}

fn place_of(warehouse: &dyn Warehouse, schema: Schema) -> String {
    match warehouse.dialect() {
        Dialect::Sqlite => format!("{}/{}.db", warehouse.location(), schema.name()),
        Dialect::Postgres => format!("{}, schema {}", warehouse.location(), schema.name()),
    }
}

/// A user who only reads figures may not see the queue, which servers report in different ways.
fn is_forbidden(warehouse: &dyn Warehouse, error: &WarehouseError) -> bool {
    warehouse.dialect() == Dialect::Postgres && matches!(error, WarehouseError::Statement(_))
}

/// None for what this user may not read.
pub(super) fn unless_forbidden<T>(
    warehouse: &dyn Warehouse,
    read: Result<T, WarehouseError>,
) -> Result<Option<T>, WarehouseError> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) if is_forbidden(warehouse, &error) => Ok(None),
        Err(error) => Err(error),
    }
}
