//! A warehouse some of whose stores must not be written to: writing to them is refused with the reason,
//! the others can be written, and all can be read.

use std::sync::{Arc, PoisonError, RwLock};

use adpipe_event::{EventBatch, Millis};

use crate::{
    Dialect, OnRow, PartitionOffset, QueryLimits, RetentionPolicy, Retired, Schema, Session, StreamWriter,
    Value, Warehouse, WarehouseError, WarehouseRead,
};

const ADVICE: &str = "`adpipe stores` shows all of them";

/// The warehouse, and what is stopped in it. Clones of the inner one are not guarded.
pub struct GuardedWarehouse {
    inner: Arc<dyn Warehouse>,
    stopped: RwLock<Vec<(Schema, String)>>,
}

impl GuardedWarehouse {
    /// A warehouse in which nothing is stopped.
    pub fn new(inner: Arc<dyn Warehouse>) -> GuardedWarehouse {
        GuardedWarehouse { inner, stopped: RwLock::default() }
    }

    /// The warehouse itself.
    pub fn unguarded(&self) -> &Arc<dyn Warehouse> {
        &self.inner
    }

    /// Stops writing to these, and to nothing else, from now on.
    pub fn stop(&self, stopped: Vec<(Schema, String)>) {
        *self.stopped.write().unwrap_or_else(PoisonError::into_inner) = stopped;
    }

    fn check(&self, schema: Schema) -> Result<(), WarehouseError> {
        let stopped = self.stopped.read().unwrap_or_else(PoisonError::into_inner);
        match stopped.iter().find(|(of, _)| *of == schema) {
            None => Ok(()),
            Some((_, reason)) => Err(WarehouseError::Unusable {
                location: self.inner.location(),
                reason: format!("store {} is stopped: {reason}", schema.name()),
                advice: ADVICE,
            }),
        }
    }
}

impl WarehouseRead for GuardedWarehouse {
    fn offsets(&self, topic: &str) -> Result<Vec<PartitionOffset>, WarehouseError> {
        self.inner.offsets(topic)
    }

    fn newest_minute(&self) -> Result<Option<Millis>, WarehouseError> {
        self.inner.newest_minute()
    }

    fn contains(&self, events: &EventBatch) -> Result<Vec<bool>, WarehouseError> {
        self.inner.contains(events)
    }

    fn query(
        &self,
        sql: &str,
        params: &[Value],
        on_row: &mut OnRow<'_>,
    ) -> Result<Vec<String>, WarehouseError> {
        self.inner.query(sql, params, on_row)
    }

    fn dialect(&self) -> Dialect {
        self.inner.dialect()
    }

    fn location(&self) -> String {
        self.inner.location()
    }
}

impl Warehouse for GuardedWarehouse {
    fn begin_at(&self, topic: &str, partition: u32, first: u64) -> Result<(), WarehouseError> {
        self.check(Schema::Realtime)?;
        self.inner.begin_at(topic, partition, first)
    }

    fn stream_writer(&self) -> Result<Box<dyn StreamWriter>, WarehouseError> {
        self.check(Schema::Realtime)?;
        self.inner.stream_writer()
    }

    fn session(&self, writes: Schema) -> Result<Box<dyn Session>, WarehouseError> {
        self.check(writes)?;
        self.inner.session(writes)
    }

    fn query_within(
        &self,
        sql: &str,
        limits: &QueryLimits,
        on_row: &mut OnRow<'_>,
    ) -> Result<Vec<String>, WarehouseError> {
        self.inner.query_within(sql, limits, on_row)
    }

    fn snapshot(&self) -> Result<Box<dyn WarehouseRead + '_>, WarehouseError> {
        self.inner.snapshot()
    }

    fn sync(&self) -> Result<(), WarehouseError> {
        self.inner.sync()
    }

    fn retire(&self, policy: RetentionPolicy) -> Result<Retired, WarehouseError> {
        self.check(Schema::Realtime)?;
        self.inner.retire(policy)
    }

    fn check_storage(&self) -> Result<Option<Vec<String>>, WarehouseError> {
        self.inner.check_storage()
    }

    fn is_stopped(&self, schema: Schema) -> bool {
        self.check(schema).is_err()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::SqliteWarehouse;

    #[test]
    fn what_is_stopped_can_be_read_and_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let guarded = GuardedWarehouse::new(Arc::new(SqliteWarehouse::open(folder.path()).unwrap()));
        assert!(guarded.session(Schema::Errors).is_ok());
        guarded.stop(vec![(Schema::Errors, "it is gone".to_owned())]);
        let refused = guarded.session(Schema::Errors).err().unwrap();
        assert!(refused.to_string().contains("errors is stopped: it is gone"), "{refused}");
        assert!(guarded.session(Schema::Ops).is_ok() && guarded.stream_writer().is_ok());
        assert!(guarded.offsets("ad_events_raw").unwrap().is_empty());
        guarded.stop(vec![(Schema::Realtime, "it is older".to_owned())]);
        assert!(guarded.begin_at("ad_events_raw", 0, 0).is_err() && guarded.stream_writer().is_err());
        assert!(guarded.session(Schema::Errors).is_ok());
    }
}
