//! Waiting until appended records are counted.

use std::time::Duration;

use adpipe_log::{PartitionRange, Topic};
use adpipe_runtime::Shutdown;
use adpipe_warehouse::{Counts, audit};

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
