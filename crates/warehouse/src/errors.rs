//! The dead-letter queue as retention and `adpipe verify` need it; the queue itself is a crate.

use adpipe_event::Topic;
use adpipe_sql::section;

use crate::{
    FromRow, PartitionOffset, Row, Value, WarehouseError, WarehouseRead, for_each_row, query_as, query_table,
};

const ERRORS_SQL: &str = include_str!("../sql/report/errors.sql");
const OFFSETS: &str = section(ERRORS_SQL, "offsets");
const POSITIONS: &str = section(ERRORS_SQL, "positions");
const RECORDED: &str = section(ERRORS_SQL, "recorded");

/// Where the queue continues in each partition of `ad_events_error`.
pub fn offsets(warehouse: &dyn WarehouseRead) -> Result<Vec<PartitionOffset>, WarehouseError> {
    query_as(warehouse, OFFSETS, &[Topic::Error.name().into()])
}

impl FromRow for PartitionOffset {
    fn from_row(row: &Row<'_>) -> Result<PartitionOffset, WarehouseError> {
        Ok(PartitionOffset { partition: row.get("partition")?, next_offset: row.get("next_offset")? })
    }
}

/// Calls `on_offset` with every failed record of a partition from `from` on, in no order.
pub fn positions(
    warehouse: &dyn WarehouseRead,
    topic: &str,
    partition: u32,
    from: u64,
    mut on_offset: impl FnMut(u64),
) -> Result<(), WarehouseError> {
    let params = [topic.into(), Value::Int(partition.into()), Value::Int(from as i64)];
    for_each_row(warehouse, POSITIONS, &params, |row| {
        on_offset(row.get("record_offset")?);
        Ok(())
    })
}

/// Failures before an offset of a partition that are on record.
pub fn recorded(
    warehouse: &dyn WarehouseRead,
    topic: &str,
    partition: u32,
    before: u64,
) -> Result<u64, WarehouseError> {
    let params = [topic.into(), Value::Int(partition.into()), Value::Int(before as i64)];
    query_table(warehouse, RECORDED, &params)?.one()?.get("failures")
}
