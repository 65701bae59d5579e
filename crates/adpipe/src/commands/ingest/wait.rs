//! Waiting until appended records are counted, and telling what they were.

use std::time::Duration;

use adpipe_log::{PartitionRange, Topic};
use adpipe_runtime::Shutdown;
use adpipe_warehouse::{Counts, audit};

use super::Ingested;
use super::check::Checker;
use crate::output;
use crate::services::Services;

const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The ends of the raw topic's partitions.
pub fn ends(services: &Services) -> anyhow::Result<Vec<PartitionRange>> {
    Ok(services.log.ranges(Topic::Raw)?)
}

/// Waits until everything before `after` is committed; none when asked to end. Processes the
/// records itself while no other process has that role.
pub fn until_counted(
    services: &Services,
    before: &[PartitionRange],
    after: &[PartitionRange],
    shutdown: &Shutdown,
) -> anyhow::Result<Option<Counts>> {
    loop {
        if is_committed(services, after)? {
            return account(services, before, after).map(Some);
        }
        if shutdown.is_triggered() {
            return Ok(None);
        }
        match services.take_vacant_stream_role()? {
            Some(_role) => process_until_committed(services, after, shutdown)?,
            None => drop(shutdown.sleep(LOOK_EVERY)),
        }
    }
}

fn is_committed(services: &Services, after: &[PartitionRange]) -> anyhow::Result<bool> {
    let offsets = services.warehouse.offsets(Topic::Raw.name())?;
    let committed = |partition: u32| {
        offsets.iter().find(|offset| offset.partition == partition).map_or(0, |offset| offset.next_offset)
    };
    Ok(after.iter().all(|range| committed(range.partition) >= range.next.0))
}

fn process_until_committed(
    services: &Services,
    after: &[PartitionRange],
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    let stop = Shutdown::new();
    std::thread::scope(|scope| {
        let processor = scope.spawn(|| services.run_stream(&stop));
        let outcome = loop {
            match is_committed(services, after) {
                Ok(false) if !shutdown.is_triggered() && !processor.is_finished() => {
                    stop.sleep(LOOK_EVERY);
                }
                other => break other.map(drop),
            }
        };
        stop.trigger();
        let processed = processor
            .join()
            .map_err(|_| anyhow::anyhow!("the stream processor panicked; please report this"))?;
        processed?;
        outcome
    })
}

/// The account of the commits between `before` and `after`.
fn account(
    services: &Services,
    before: &[PartitionRange],
    after: &[PartitionRange],
) -> anyhow::Result<Counts> {
    let mut total = Counts::default();
    for (start, end) in before.iter().zip(after) {
        let warehouse = services.warehouse.as_ref();
        let (topic, partition) = (Topic::Raw.name(), end.partition);
        total.add(&audit::account_between(warehouse, topic, partition, start.next.0, end.next.0)?);
    }
    Ok(total)
}

/// Says what the ingested records were.
pub fn report(counted: &Counts, ingested: &Ingested, json: bool) -> anyhow::Result<()> {
    if json {
        let [parse, schema, validation, future, sink, archive] = counted.invalid_by_type;
        return output::json(&serde_json::json!({
            "records": counted.records, "events": counted.valid, "clicks": counted.clicks,
            "duplicates": counted.duplicates, "invalid": counted.invalid(), "parse": parse,
            "schema": schema, "validation": validation, "future": future, "sink": sink, "archive": archive,
            "late": counted.late, "float_ids": counted.float_ids, "unknown_fields": counted.unknown_fields,
            "too_long": ingested.too_long, "checked": ingested.checker.as_ref().map(Checker::to_json),
        }));
    }
    let number = output::grouped;
    let rate = output::rate(counted.clicks, counted.valid);
    let rate = rate.map(|rate| format!(" (CTR {rate})")).unwrap_or_default();
    output::line(&format!(
        "{}: {} with {}{rate}, {}, {} invalid",
        output::counted(counted.records, "record"),
        output::counted(counted.valid, "event"),
        output::counted(counted.clicks, "click"),
        output::counted(counted.duplicates, "duplicate"),
        number(counted.invalid()),
    ))?;
    if ingested.too_long > 0 {
        output::line(&output::too_long(ingested.too_long, false))?;
    }
    if counted.records != ingested.records {
        output::note(&format!(
            "note: {} of these came from other senders at the same time; they were counted together",
            number(counted.records.saturating_sub(ingested.records))
        ));
    }
    for (error_type, count) in adpipe_event::ErrorType::ALL.iter().zip(counted.invalid_by_type) {
        if count > 0 {
            output::line(&format!("  {} {}", number(count), error_type.as_str()))?;
        }
    }
    if counted.float_ids > 0 {
        output::note(&format!(
            "warning: {} in float notation (like 1.4e+19): they may have lost digits before they came here, \
             and different events may share one",
            output::counted(counted.float_ids, "id")
        ));
    }
    if counted.unknown_fields > 0 {
        output::note(&format!(
            "note: {} fields that adpipe does not know were ignored",
            number(counted.unknown_fields)
        ));
    }
    Ok(())
}
