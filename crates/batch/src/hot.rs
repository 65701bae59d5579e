//! Puts what the archive has of the hot window into `realtime.events`.
//!
//! A run adds its events to the archive and the figures only; which of them are hot is known when
//! its newest one is. Safe to do twice: the primary key takes each event once, and
//! `realtime.hours` counts what it took in the same transaction.

use std::ops::Range;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use adpipe_event::{EventBatch, Millis};
use adpipe_runtime::Shutdown;
use adpipe_runtime::progress::{Progress, Unit};
use adpipe_sql::section;
use adpipe_warehouse::{
    FromRow, PartName, StreamWriter, Value, Warehouse, WarehouseError, added_part, query_table,
};

use crate::BatchError;
use crate::back_ends::{BackEnds, newest_hour};
use crate::unreadable::Unreadable;

const ARCHIVE_SQL: &str = include_str!("../sql/archive.sql");
const COLD_HOURS: &str = section(ARCHIVE_SQL, "cold_hours");
const COLD_EVENTS: &str = section(ARCHIVE_SQL, "cold_events");
const ADD_COPIES: &str = section(ARCHIVE_SQL, "add_copies");

const HOUR_MS: i64 = 3_600_000;

/// Events of one transaction: short enough not to hold the stream up.
const EVENTS_A_COMMIT: usize = 20_000;

/// Fills the window of this length; gives how many events it put there.
pub(crate) fn fill(
    window: Duration,
    back_ends: BackEnds<'_>,
    unreadable: &Unreadable,
    progress: &Progress,
    shutdown: &Shutdown,
) -> Result<u64, BatchError> {
    let Some(newest) = newest_hour(back_ends.warehouse)? else { return Ok(0) };
    let kept_since = Millis(newest.0 - window.as_millis() as i64).floor_hour();
    let cold = query_table(back_ends.warehouse, COLD_HOURS, &[kept_since.to_string().into()])?;
    // By part: a part holds several hours, and is read once for all of them.
    let mut parts: Vec<PartHours> = Vec::new();
    for row in cold.iter() {
        let (part, hour) = (PartName::from_row(&row)?, row.get("event_hour")?);
        match parts.last_mut() {
            Some((last, hours)) if *last == part => hours.push(hour),
            _ => parts.push((part, vec![hour])),
        }
    }
    if parts.is_empty() {
        return Ok(0);
    }
    let wanted = query_table(back_ends.warehouse, COLD_EVENTS, &[kept_since.to_string().into()])?;
    progress.expect(wanted.one()?.get("events")?, Unit::Events);
    let (sender, decoded) = sync_channel(1);
    std::thread::scope(|scope| {
        let parts = &parts;
        let reading = std::thread::Builder::new()
            .name("etl-hot".to_owned())
            .spawn_scoped(scope, move || decode(back_ends, unreadable, parts, &sender))
            .map_err(|error| BatchError::Thread(error.to_string()))?;
        let outcome = insert_all(back_ends.warehouse, parts, &decoded, progress, shutdown);
        // Ends the reading.
        drop(decoded);
        let read = reading.join();
        let made_hot = outcome?;
        read.map_err(|_| BatchError::Thread("a thread panicked; please report this".to_owned()))??;
        Ok(made_hot)
    })
}

/// Hours of a part that are to be filled in, in the order of time.
type PartHours = (PartName, Vec<Millis>);

/// Decodes the next events while the last ones are being inserted: gives them with the index of their
/// part, until they are no longer taken. A part that cannot be read is skipped.
fn decode(
    back_ends: BackEnds<'_>,
    unreadable: &Unreadable,
    parts: &[PartHours],
    decoded: &SyncSender<(usize, EventBatch)>,
) -> Result<(), BatchError> {
    let archive = back_ends.archive;
    for (index, (part, hours)) in parts.iter().enumerate() {
        let (Some(first), Some(last)) = (hours.first(), hours.last()) else { continue };
        let times = *first..Millis(last.0 + HOUR_MS);
        let mut is_wanted = true;
        let read = archive.check_part(part).and_then(|()| {
            archive.events(&part.path, Some(times), |events| {
                is_wanted = is_wanted && decoded.send((index, events)).is_ok();
            })
        });
        if let Err(error) = read {
            unreadable.note_part(back_ends.warehouse, &part.path, &error)?;
        }
        if !is_wanted {
            break;
        }
    }
    Ok(())
}

fn insert_all(
    warehouse: &dyn Warehouse,
    parts: &[PartHours],
    decoded: &Receiver<(usize, EventBatch)>,
    progress: &Progress,
    shutdown: &Shutdown,
) -> Result<u64, BatchError> {
    let mut writer = warehouse.stream_writer()?;
    let mut made_hot = 0;
    while let Ok((part, events)) = decoded.recv() {
        for hour in &parts[part].1 {
            let start = events.event_times().partition_point(|time| time < hour);
            let end = events.event_times().partition_point(|time| time.0 < hour.0 + HOUR_MS);
            for start in (start..end).step_by(EVENTS_A_COMMIT) {
                if shutdown.is_triggered() {
                    return Ok(made_hot);
                }
                let rows = start..end.min(start + EVENTS_A_COMMIT);
                let inserted = insert(writer.as_mut(), &events, &rows, *hour)?;
                progress.add(inserted);
                made_hot += inserted;
            }
        }
    }
    Ok(made_hot)
}

fn insert(
    writer: &mut dyn StreamWriter,
    events: &EventBatch,
    rows: &Range<usize>,
    hour: Millis,
) -> Result<u64, WarehouseError> {
    let others: Vec<bool> = (0..events.len()).map(|index| !rows.contains(&index)).collect();
    let mut transaction = writer.begin()?;
    transaction.lock_archive()?;
    let inserted = transaction.insert_events_except(events, &others)?;
    if let Some((_, reason)) = inserted.refused.first() {
        let refused = inserted.refused.len();
        tracing::warn!(
            refused,
            reason,
            "realtime.events refuses events; they are in archive and figures only"
        );
    }
    let rows = inserted.is_new.iter().filter(|is_new| **is_new).count() as u64;
    if rows > 0 {
        let more = added_part(&[0, 0, 0, rows as i64]);
        transaction
            .execute(ADD_COPIES, &[hour.to_string().into(), Value::Int(rows as i64), Value::Int(more)])?;
        transaction.commit()?;
    }
    Ok(rows)
}
