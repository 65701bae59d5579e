//! Transactions on small tables: the dead-letter queue's, the runs', the marts'.

use crate::{Table, Value, WarehouseError};

/// A schema: on SQLite a separate file, which is what a transaction can lock and what is atomic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Schema {
    /// Events, metrics, offsets.
    Realtime,
    /// What the transformations write.
    Analytics,
    /// The dead-letter queue.
    Errors,
    /// Runs, files, tests, alerts.
    Ops,
}

impl Schema {
    /// Every schema.
    pub const ALL: [Schema; 4] = [Schema::Realtime, Schema::Analytics, Schema::Errors, Schema::Ops];

    /// Its name in SQL.
    pub fn name(self) -> &'static str {
        match self {
            Schema::Realtime => "realtime",
            Schema::Analytics => "analytics",
            Schema::Errors => "errors",
            Schema::Ops => "ops",
        }
    }
}

/// A connection that writes one schema and reads the others. A commit is on the disk when it
/// returns. After [`WarehouseError::Unavailable`] take a new one.
pub trait Session: Send {
    /// Starts a transaction. Dropped without commit, it leaves nothing behind.
    ///
    /// On SQLite it holds the schema's write lock from here on, so keep it short.
    fn begin(&mut self) -> Result<Box<dyn Transaction + '_>, WarehouseError>;
}

/// Statements that take effect together or not at all. `$1`, `$2` … stand for the parameters, by
/// number, on both databases.
pub trait Transaction {
    /// Runs a statement without a result; gives the number of rows it changed.
    fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64, WarehouseError>;

    /// Runs a statement with a result (`returning …` is one, too), which must be small.
    fn query(&mut self, sql: &str, params: &[Value]) -> Result<Table, WarehouseError>;

    /// Runs any number of statements without parameters.
    fn script(&mut self, sql: &str) -> Result<(), WarehouseError>;

    /// Makes it all visible and durable.
    fn commit(self: Box<Self>) -> Result<(), WarehouseError>;
}
