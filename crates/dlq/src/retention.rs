//! Removes errors that were closed long ago, with their history. How many failures each partition
//! had is kept, for `adpipe verify`; and so is an error whose record the log still holds.

use std::collections::BTreeMap;
use std::time::Duration;

use adpipe_event::Millis;
use adpipe_log::Topic;
use adpipe_sql::section;
use adpipe_warehouse::{Value, added_part, added_sum, query_table};

use crate::Dlq;
use crate::error::DlqError;
use crate::groups::GroupChanges;
use crate::row::status_of;
use crate::status::Status;
use crate::voids::VOID_RESOLUTION;

const RETENTION_SQL: &str = include_str!("../sql/retention.sql");
const CLOSED: &str = section(RETENTION_SQL, "closed");
const REPEATS_OF: &str = section(RETENTION_SQL, "repeats_of");
const NOTE_RETIRED: &str = section(RETENTION_SQL, "note_retired");
const DELETE_ERROR: &str = section(RETENTION_SQL, "delete_error");
const DELETE_PARTS: [&str; 3] = [
    section(RETENTION_SQL, "delete_repeats"),
    section(RETENTION_SQL, "delete_tries"),
    section(RETENTION_SQL, "delete_actions"),
];
const DROP_HOURS: &str = section(RETENTION_SQL, "drop_hours");
const DROP_EMPTY_GROUPS: &str = section(RETENTION_SQL, "drop_empty_groups");
const RETIRED_TOTAL: &str = section(RETENTION_SQL, "retired_total");
const DROP_SAMPLES: &str = section(include_str!("../sql/report.sql"), "drop_samples");

/// Errors removed in one transaction.
const ERRORS_A_STEP: i64 = 500;

/// How long the figures by hour and by minute are kept.
const FIGURES_KEPT: Duration = Duration::from_secs(8 * 86_400);

/// Removes what is no longer kept; gives how many errors were removed.
///
/// # Errors
/// Failures of the warehouse; what was removed before stays removed, and is accounted for.
pub fn retire(dlq: &Dlq) -> Result<u64, DlqError> {
    let settings = dlq.settings();
    let mut removed = 0;
    let ago = |kept: Duration| Millis(Millis::now().0 - kept.as_millis() as i64).to_string();
    for (status, kept) in
        [(Status::Resolved, settings.keep_resolved), (Status::Discarded, settings.keep_discarded)]
    {
        for source in error_sources(dlq)? {
            loop {
                let step = retire_step(dlq, status, &ago(kept), &source)?;
                removed += step;
                if step == 0 {
                    break;
                }
            }
        }
    }
    let figures = Value::from(ago(FIGURES_KEPT));
    dlq.transact(|transaction| {
        for statement in [DROP_HOURS, DROP_SAMPLES] {
            transaction.execute(statement, std::slice::from_ref(&figures))?;
        }
        transaction.execute(DROP_EMPTY_GROUPS, &[ago(settings.keep_discarded).into()])?;
        Ok(())
    })?;
    Ok(removed)
}

/// Where errors come from, and up to which offset the log no longer holds their records.
struct ErrorSource {
    topic: &'static str,
    partition: u32,
    before: u64,
    retries_before: u64,
}

fn error_sources(dlq: &Dlq) -> Result<Vec<ErrorSource>, DlqError> {
    let retries_before = dlq.log().ranges(Topic::Retry)?.iter().map(|range| range.first.0).min().unwrap_or(0);
    // Rows of files are in no log.
    let mut sources =
        vec![ErrorSource { topic: "file:", partition: 0, before: i64::MAX as u64, retries_before }];
    for topic in Topic::ALL {
        for range in dlq.log().ranges(topic)? {
            let (partition, before) = (range.partition, range.first.0);
            sources.push(ErrorSource { topic: topic.name(), partition, before, retries_before });
        }
    }
    Ok(sources)
}

fn retire_step(
    dlq: &Dlq,
    status: Status,
    closed_before: &str,
    source: &ErrorSource,
) -> Result<u64, DlqError> {
    dlq.transact(|transaction| {
        let params = [
            closed_before.into(),
            status.as_str().into(),
            Value::Int(ERRORS_A_STEP),
            source.topic.into(),
            Value::Int(source.partition.into()),
            Value::Int(source.before as i64),
            Value::Int(source.retries_before as i64),
        ];
        let closed = transaction.query(CLOSED, &params)?;
        let mut changes = GroupChanges::default();
        let mut failures: BTreeMap<(String, i64), i64> = BTreeMap::new();
        let mut removed = 0;
        for row in closed.iter() {
            let id = row.get::<&Value>("error_id")?.clone();
            let repeats = transaction.query(REPEATS_OF, std::slice::from_ref(&id))?;
            if transaction.execute(DELETE_ERROR, &[id.clone(), status.as_str().into()])? == 0 {
                continue;
            }
            for statement in DELETE_PARTS {
                transaction.execute(statement, std::slice::from_ref(&id))?;
            }
            let place = (row.get("topic")?, row.get("partition")?);
            changes.count(row.get("fingerprint")?, status_of(&row)?, -1);
            if row.get::<&str>("resolution")? != VOID_RESOLUTION {
                *failures.entry(place).or_default() += 1;
            }
            for repeat in repeats.iter() {
                let key = (repeat.get("topic")?, repeat.get("partition")?);
                *failures.entry(key).or_default() += repeat.get::<i64>("failures")?;
            }
            removed += 1;
        }
        for ((topic, partition), failures) in failures {
            let key = [topic.into(), Value::Int(partition)];
            let sum = Value::Int(added_sum("errors.retired", &key, &[failures]));
            let [topic, partition] = key;
            let more = Value::Int(added_part(&[failures]));
            transaction.execute(NOTE_RETIRED, &[topic, partition, Value::Int(failures), sum, more])?;
        }
        changes.apply(transaction)?;
        Ok(removed)
    })
}

/// Failures that were removed, ever.
pub(crate) fn retired_total(dlq: &Dlq) -> Result<u64, DlqError> {
    let table = query_table(dlq.warehouse(), RETIRED_TOTAL, &[])?;
    Ok(table.one()?.get("failures")?)
}
