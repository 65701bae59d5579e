//! Archives the hours that came by stream, once they are closed.
//!
//! Events of `realtime.events` that are not archived are those whose id is in no part of their hour.
//! They are written into parts, and one transaction names the parts and counts the events as copies;
//! retention then removes them once they have left the hot window. Figures do not change. Events that
//! come in meanwhile stay as they are, for the next run. Every closed hour is archived, whatever its
//! date; one with a part that cannot be read is left as it is.

use adpipe_event::{EventBatch, Millis};
use adpipe_runtime::Shutdown;
use adpipe_runtime::progress::{Progress, Unit};
use adpipe_sql::section;
use adpipe_warehouse::{IdKey, IdSet, IdsOfHour, StreamWriter, Value, archive, query_table};

use crate::archive::{PartFile, rows_by_date};
use crate::back_ends::BackEnds;
use crate::commit::add_part;
use crate::config::EtlConfig;
use crate::hours::HOUR_NOW;
use crate::unreadable::Unreadable;
use crate::{BatchError, stored_event};

const ARCHIVE_SQL: &str = include_str!("../sql/archive.sql");
const CLOSED_HOURS: &str = section(ARCHIVE_SQL, "closed_hours");
const EVENTS_OF_HOUR: &str = section(ARCHIVE_SQL, "events_of_hour");

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// Events of one part, about.
const EVENTS_A_PART: usize = 200_000;

/// Archives what is closed; gives how many events.
pub(crate) fn archive(
    config: &EtlConfig,
    back_ends: BackEnds<'_>,
    unreadable: &Unreadable,
    progress: &Progress,
    shutdown: &Shutdown,
) -> Result<u64, BatchError> {
    let closed_before = Millis(Millis::now().0 - HOUR_MS - config.close_after.as_millis() as i64);
    let hours = query_table(back_ends.warehouse, CLOSED_HOURS, &[closed_before.to_string().into()])?;
    if hours.is_empty() {
        return Ok(0);
    }
    progress.expect(hours.column::<u64>("events")?.iter().sum(), Unit::Events);
    let writer = back_ends.warehouse.stream_writer()?;
    let mut work = Work { back_ends, unreadable, writer, pending: Pending::default(), archived: 0 };
    for row in hours.iter() {
        if shutdown.is_triggered() {
            break;
        }
        work.take_hour(row.get("event_hour")?)?;
        progress.add(row.get("events")?);
    }
    work.flush()?;
    Ok(work.archived)
}

/// Events that are read and not yet archived.
#[derive(Default)]
struct Pending {
    events: EventBatch,
    /// Hours of them, and the version each was read at.
    hours: Vec<(Millis, i64)>,
}

struct Work<'a> {
    back_ends: BackEnds<'a>,
    unreadable: &'a Unreadable,
    writer: Box<dyn StreamWriter>,
    pending: Pending,
    archived: u64,
}

impl Work<'_> {
    fn take_hour(&mut self, hour: Millis) -> Result<(), BatchError> {
        // A part holds one day.
        let day = |time: Millis| time.0.div_euclid(DAY_MS);
        if self.pending.hours.last().is_some_and(|(last, _)| day(*last) != day(hour)) {
            self.flush()?;
        }
        let hour_text: [Value; 1] = [hour.to_string().into()];
        let warehouse = self.back_ends.warehouse;
        let now = query_table(warehouse, HOUR_NOW, &hour_text)?;
        let version: i64 = now.one()?.get("version")?;
        let known = match version {
            0 => IdSet::new(),
            _ => match archive::ids_of_hour(warehouse, Some(self.back_ends.archive), hour)? {
                IdsOfHour::Known(ids) => ids,
                IdsOfHour::Unreadable(reason) => {
                    self.unreadable.note(hour, &reason);
                    return Ok(());
                }
            },
        };
        self.pending.hours.push((hour, version));
        let mut failed = None;
        warehouse.query(EVENTS_OF_HOUR, &hour_text, &mut |row| {
            let row = row.values();
            if !push_event(&mut self.pending.events, row, &known) {
                failed = Some(stored_event::name_of(row));
            }
            if self.pending.events.len() >= EVENTS_A_PART {
                return false;
            }
            failed.is_none()
        })?;
        if let Some(id) = failed {
            let reason = format!("{id}: not an event as adpipe writes it; run `adpipe verify --deep`");
            return Err(BatchError::archive(self.back_ends.archive.location(), reason));
        }
        if self.pending.events.len() >= EVENTS_A_PART {
            self.flush()?;
            // The rest of the hour, without what is archived now.
            return self.take_hour(hour);
        }
        Ok(())
    }

    /// Archives what is pending.
    fn flush(&mut self) -> Result<(), BatchError> {
        let pending = std::mem::take(&mut self.pending);
        if pending.events.is_empty() {
            return Ok(());
        }
        let archive = self.back_ends.archive.with_source("stream");
        let mut parts: Vec<PartFile> = Vec::new();
        for rows in rows_by_date(&[&pending.events], |_, _| true) {
            parts.push(archive.write(&[&pending.events], &rows)?);
        }
        parts.iter().try_for_each(PartFile::publish)?;
        let mut transaction = self.writer.begin()?;
        transaction.lock_archive()?;
        for (hour, version) in &pending.hours {
            let now = transaction.query(HOUR_NOW, &[hour.to_string().into()])?;
            if now.one()?.get::<i64>("version")? != *version {
                parts.iter().for_each(PartFile::discard);
                return Err(BatchError::Overtaken);
            }
        }
        for part in &parts {
            add_part(transaction.as_mut(), part, "stream", 1)?;
        }
        transaction.commit()?;
        self.archived += pending.events.len() as u64;
        Ok(())
    }
}

/// Adds an event as `events_of_hour` gives it, unless the archive has it. False when it is not one
/// that adpipe wrote.
fn push_event(events: &mut EventBatch, row: &[Value], known: &IdSet) -> bool {
    let Some((_, event)) = stored_event::read(row) else { return false };
    if !known.contains(IdKey::of(event.id)) {
        events.push(&event);
    }
    true
}
