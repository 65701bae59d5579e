//! The dead-letter queue as retention and `adpipe verify` need it; the queue itself is a crate.

use adpipe_sql::section;

use crate::{PartitionOffset, Value, Warehouse, WarehouseError, query_table};

const ERRORS_SQL: &str = include_str!("../sql/report/errors.sql");
const OFFSETS: &str = section(ERRORS_SQL, "offsets");
const POSITIONS: &str = section(ERRORS_SQL, "positions");
const RECORDED: &str = section(ERRORS_SQL, "recorded");

/// Where the queue goes on in each partition of `ad_events_error`.
pub fn offsets(warehouse: &dyn Warehouse) -> Result<Vec<PartitionOffset>, WarehouseError> {
    let table = query_table(warehouse, OFFSETS, &["ad_events_error".into()])?;
    let offset = |row: &Vec<Value>| {
        let partition = row[0].as_i64().and_then(|partition| u32::try_from(partition).ok());
        let next_offset = row[1].as_i64().and_then(|next| u64::try_from(next).ok());
        let offset = partition.zip(next_offset);
        offset.map(|(partition, next_offset)| PartitionOffset { partition, next_offset }).ok_or_else(|| {
            WarehouseError::damaged("errors.offsets", format!("partition {}, offset {}", row[0], row[1]))
        })
    };
    table.rows.iter().map(offset).collect()
}

/// Calls `on_offset` with every failed record of a partition from `from` on, in no order.
pub fn positions(
    warehouse: &dyn Warehouse,
    topic: &str,
    partition: u32,
    from: u64,
    mut on_offset: impl FnMut(u64),
) -> Result<(), WarehouseError> {
    let params = [topic.into(), Value::Int(partition.into()), Value::Int(from as i64)];
    let mut damage = Ok(());
    warehouse.query(POSITIONS, &params, &mut |_, row| {
        match row[0].as_i64().and_then(|offset| u64::try_from(offset).ok()) {
            Some(offset) => on_offset(offset),
            None => damage = Err(WarehouseError::damaged("errors.dlq_errors", format!("offset {}", row[0]))),
        }
        damage.is_ok()
    })?;
    damage
}

/// Failures before an offset of a partition that are on record.
pub fn recorded(
    warehouse: &dyn Warehouse,
    topic: &str,
    partition: u32,
    before: u64,
) -> Result<u64, WarehouseError> {
    let params = [topic.into(), Value::Int(partition.into()), Value::Int(before as i64)];
    let table = query_table(warehouse, RECORDED, &params)?;
    Ok(table.rows.first().and_then(|row| row[0].as_i64()).unwrap_or(0) as u64)
}
