//! The raw files' part of `adpipe verify`: each row in error is in the dead-letter queue, or on its
//! way there.
//!
//! The queue may have more than the accounts say: of a row that was cut off and came whole later,
//! and of rows whose errors are durable and whose segment is not committed yet.

use std::collections::HashMap;

use adpipe_counting::Check;
use adpipe_counting::pending_errors::pending_errors;
use adpipe_log::EventLog;
use adpipe_sql::section;
use adpipe_warehouse::{Warehouse, query_table};

use crate::BatchError;
use crate::files::error_topic;

const FILES_SQL: &str = include_str!("../sql/files.sql");
const ERRORS_BY_CONTENT: &str = section(FILES_SQL, "errors_by_content");
const ERRORS_IN_QUEUE: &str = section(FILES_SQL, "errors_in_queue");

/// Gaps reported one by one.
const SHOWN_GAPS: usize = 20;

/// Compares the accounts of the files with the queue; none when no file was ever read.
///
/// # Errors
/// When log or warehouse cannot be read.
pub fn audit_errors(log: &dyn EventLog, warehouse: &dyn Warehouse) -> Result<Option<Check>, BatchError> {
    // The warehouse first: errors are in their topic before their rows are in the account.
    let snapshot = warehouse.snapshot()?;
    let accounts = query_table(snapshot.as_ref(), ERRORS_BY_CONTENT, &[])?;
    if accounts.is_empty() {
        return Ok(None);
    }
    let mut stored: HashMap<String, u64> = HashMap::new();
    for row in query_table(snapshot.as_ref(), ERRORS_IN_QUEUE, &[])?.iter() {
        stored.insert(row.get("topic")?, row.get("errors")?);
    }
    let pending_errors = pending_errors(log, snapshot.as_ref(), |topic| topic.starts_with("file:"))?;
    let (mut total, mut waiting) = (0, 0);
    let mut gaps = Vec::new();
    for row in accounts.iter() {
        // A file is a topic of one partition.
        let place = (error_topic(row.get("path")?, row.get("content")?), 0);
        let topic = &place.0;
        let counted: u64 = row.get("errors")?;
        let in_queue = stored.get(topic).copied().unwrap_or(0);
        let named = pending_errors.get(&place).map_or(0, |rows| rows.len() as u64);
        (total, waiting) = (total + counted, waiting + named);
        if counted > in_queue + named {
            gaps.push(format!(
                "{topic}: {counted} rows are invalid, the dead-letter queue has {in_queue} and {named} are on their way"
            ));
        }
    }
    gaps.truncate(SHOWN_GAPS);
    let detail = match waiting {
        0 => format!("{total} errors"),
        waiting => format!("{total} errors; {waiting} are still in ad_events_error"),
    };
    let holds = gaps.is_empty();
    let detail = if holds { detail } else { gaps.join("; ") };
    Ok(Some(Check { name: "every error of a file is in the dead-letter queue", holds, detail }))
}
