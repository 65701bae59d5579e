//! Runs of batch on record: each part says which run wrote it, and the warehouse which runs there were.
//!
//! A run is recorded, durable, before it writes its first file, and is noted as finished when it has
//! left nothing behind. So a file that no row names is a leftover only if its run is known and did not
//! finish.

use std::collections::HashMap;

use adpipe_event::Millis;
use adpipe_sql::section;
use adpipe_warehouse::{Row, Schema, Warehouse, WarehouseError, query_table};

const ARCHIVE_SQL: &str = include_str!("../sql/archive.sql");
const BEGIN_RUN: &str = section(ARCHIVE_SQL, "begin_run");
const FINISH_RUN: &str = section(ARCHIVE_SQL, "finish_run");
const RUNS: &str = section(ARCHIVE_SQL, "runs");

/// Records a run that begins.
pub(crate) fn begin(warehouse: &dyn Warehouse, run_id: &str) -> Result<(), WarehouseError> {
    note(warehouse, BEGIN_RUN, run_id)
}

/// Notes that a run came to its end.
pub(crate) fn finish(warehouse: &dyn Warehouse, run_id: &str) -> Result<(), WarehouseError> {
    note(warehouse, FINISH_RUN, run_id)
}

fn note(warehouse: &dyn Warehouse, statement: &str, run_id: &str) -> Result<(), WarehouseError> {
    let mut session = warehouse.session(Schema::Realtime)?;
    let mut transaction = session.begin()?;
    transaction.execute(statement, &[run_id.into(), Millis::now().to_string().into()])?;
    transaction.commit()
}

/// The runs that this warehouse knows, and whether each came to its end.
pub(crate) fn known(warehouse: &dyn Warehouse) -> Result<HashMap<String, bool>, WarehouseError> {
    let table = query_table(warehouse, RUNS, &[])?;
    let run = |row: Row<'_>| Ok((row.get("run_id")?, row.get::<Option<Millis>>("finished_at")?.is_some()));
    table.iter().map(run).collect()
}
