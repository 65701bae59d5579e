//! What writers of events must know about the archive: which hours it holds, and their ids.
//!
//! An event is in `realtime.events`, in a part of the archive, or in both. `realtime.hours` has a row
//! for each hour of which the archive holds events, with the number of those that are in
//! `realtime.events` as well (`hot_copies`). Where that is all of them, the primary key of
//! `realtime.events` alone says what is a duplicate; else the ids of the archive's parts do, as they
//! were at the hour's `version`. Versions are read in the transaction that inserts, which blocks
//! everything that adds to the archive.

use adpipe_event::Millis;
use adpipe_sql::section;

use crate::report::Ctr;
use crate::{
    FromRow, IdKey, IdSet, Row, Schema, StreamTransaction, Value, Warehouse, WarehouseError, WarehouseRead,
    query_as, query_table,
};

const ARCHIVE_SQL: &str = include_str!("../sql/report/archive.sql");
pub(crate) const HOUR: &str = section(ARCHIVE_SQL, "hour");
const PARTS_OF_HOUR: &str = section(ARCHIVE_SQL, "parts_of_hour");
const OLDEST_OPEN_HOUR: &str = section(ARCHIVE_SQL, "oldest_open_hour");
const FIRST_INGESTED: &str = section(ARCHIVE_SQL, "first_ingested");
const UNREADABLE_HOURS: &str = section(ARCHIVE_SQL, "unreadable_hours");
const NOTE_UNREADABLE: &str = section(ARCHIVE_SQL, "note_unreadable");
const FORGET_UNREADABLE: &str = section(ARCHIVE_SQL, "forget_unreadable");
const ARCHIVED_TOTAL: &str = section(ARCHIVE_SQL, "archived_total");
const MINUTES_FLOOR: &str = section(ARCHIVE_SQL, "minutes_floor");

/// How often parts that were merged in the meantime are looked up again.
const ATTEMPTS: u32 = 5;

/// An hour of which the archive holds events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArchivedHour {
    /// First moment of the hour.
    pub hour: Millis,
    /// Grows with each part that is added.
    pub version: i64,
    /// Events in the archive.
    pub archived_rows: u64,
    /// Those of them that are in `realtime.events`, too.
    pub hot_copies: u64,
}

impl ArchivedHour {
    /// Whether some events are in the archive only, so that its ids must be asked.
    pub fn needs_ids(&self) -> bool {
        self.archived_rows > self.hot_copies
    }
}

impl FromRow for ArchivedHour {
    fn from_row(row: &Row<'_>) -> Result<ArchivedHour, WarehouseError> {
        Ok(ArchivedHour {
            hour: row.get("event_hour")?,
            version: row.get::<u64>("version")? as i64,
            archived_rows: row.get("archived_rows")?,
            hot_copies: row.get("hot_copies")?,
        })
    }
}

/// A part as the archive's list has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartName {
    /// Its path below the archive.
    pub path: String,
    /// XXH3-128 of the whole file, hexadecimal; none for a part from before hashes were kept.
    pub hash: Option<String>,
}

/// Why ids cannot be read from the archive.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ArchiveReadError {
    /// There is no such part: it was merged with others, moved away or deleted.
    #[error("archive part \"{0}\" is missing")]
    Missing(String),
    /// The archive cannot be read now.
    #[error("{0}")]
    Unavailable(String),
    /// The part is damaged: which one, and what was found.
    #[error("archive part \"{path}\" is damaged: {reason}")]
    Damaged {
        /// Its path below the archive.
        path: String,
        /// What was found.
        reason: String,
    },
}

/// The ids that the archive holds of an hour, or why they are not known.
#[derive(Debug)]
pub enum IdsOfHour {
    /// All of them.
    Known(IdSet),
    /// A part is missing or damaged: what, and where.
    Unreadable(String),
}

impl IdsOfHour {
    /// The ids.
    ///
    /// # Errors
    /// The reason when a part cannot be read.
    pub fn known(self) -> Result<IdSet, String> {
        match self {
            IdsOfHour::Known(ids) => Ok(ids),
            IdsOfHour::Unreadable(reason) => Err(reason),
        }
    }
}

/// An hour of which a part is missing or damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableHour {
    /// First moment of the hour.
    pub hour: Millis,
    /// Which part, and what is wrong with it.
    pub reason: String,
    /// Since when this is known, as stored.
    pub since: String,
}

/// Reads ids out of the archive's parts.
pub trait ArchiveIds: Send + Sync + std::fmt::Debug {
    /// Calls `on_id` with each id that a part holds of one hour. The part's hash is compared before,
    /// once a process.
    ///
    /// # Errors
    /// [`ArchiveReadError`].
    fn ids_of_hour(
        &self,
        part: &PartName,
        hour: Millis,
        on_id: &mut dyn FnMut(&str),
    ) -> Result<(), ArchiveReadError>;
}

/// What the archive holds of an hour; none when nothing.
pub fn archived_hour(
    warehouse: &dyn WarehouseRead,
    hour: Millis,
) -> Result<Option<ArchivedHour>, WarehouseError> {
    query_table(warehouse, HOUR, &[hour.to_string().into()])?.read_first()
}

/// The parts that hold events of an hour.
pub fn parts_of_hour(warehouse: &dyn WarehouseRead, hour: Millis) -> Result<Vec<PartName>, WarehouseError> {
    query_as(warehouse, PARTS_OF_HOUR, &[hour.to_string().into()])
}

impl FromRow for PartName {
    fn from_row(row: &Row<'_>) -> Result<PartName, WarehouseError> {
        Ok(PartName { path: row.get("path")?, hash: row.get("hash")? })
    }
}

/// The ids that the archive holds of an hour; with `archive` none, there must be none. A part that is
/// missing or damaged makes the hour unreadable, which is not an error of this function: other hours
/// continue.
///
/// # Errors
/// Failures of the warehouse, or of an archive that cannot be reached; waiting may help.
pub fn ids_of_hour(
    warehouse: &dyn WarehouseRead,
    archive: Option<&dyn ArchiveIds>,
    hour: Millis,
) -> Result<IdsOfHour, WarehouseError> {
    let unavailable = |reason: String| WarehouseError::Unavailable {
        location: "archive".to_owned(),
        reason,
        advice: "check that archive.url names the folder where `adpipe etl` writes, and that it can be read",
    };
    let mut known_missing = None;
    for _ in 0..ATTEMPTS {
        let parts = parts_of_hour(warehouse, hour)?;
        let mut ids = IdSet::new();
        let mut read = || -> Result<(), ArchiveReadError> {
            for part in &parts {
                let archive = archive.ok_or_else(|| {
                    ArchiveReadError::Unavailable("this process was not told where the archive is".to_owned())
                })?;
                archive.ids_of_hour(part, hour, &mut |id| {
                    ids.insert(IdKey::of(id));
                })?;
            }
            Ok(())
        };
        match read() {
            Ok(()) => return Ok(IdsOfHour::Known(ids)),
            // Merged in the meantime, if the list no longer names it.
            Err(missing @ ArchiveReadError::Missing(_)) => {
                let is_named_still = known_missing.as_ref() == Some(&parts);
                if is_named_still {
                    return Ok(IdsOfHour::Unreadable(missing.to_string()));
                }
                known_missing = Some(parts);
            }
            Err(damaged @ ArchiveReadError::Damaged { .. }) => {
                return Ok(IdsOfHour::Unreadable(damaged.to_string()));
            }
            Err(ArchiveReadError::Unavailable(reason)) => return Err(unavailable(reason)),
        }
    }
    Err(unavailable(format!("the parts of hour {hour} change all the time")))
}

/// The oldest hour that is not wholly in the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenHour {
    /// First moment of the hour.
    pub hour: Millis,
    /// When its first event came.
    pub first_ingested: Millis,
}

impl OpenHour {
    /// Since when it could have been archived, but for the pause that an hour is left open: since its
    /// end, or since its events came, when that was later.
    pub fn waits_since(&self) -> Millis {
        const HOUR_MS: i64 = 3_600_000;
        Millis(self.hour.0 + HOUR_MS).max(self.first_ingested)
    }
}

/// The oldest hour that has events which are not in the archive; none when there is none.
pub fn oldest_open_hour(warehouse: &dyn WarehouseRead) -> Result<Option<OpenHour>, WarehouseError> {
    let oldest = query_table(warehouse, OLDEST_OPEN_HOUR, &[])?.one()?.get("event_hour")?;
    let Some(hour): Option<Millis> = oldest else { return Ok(None) };
    let first = query_table(warehouse, FIRST_INGESTED, &[hour.to_string().into()])?;
    let first_ingested: Option<Millis> = first.one()?.get("first_ingested")?;
    Ok(first_ingested.map(|first_ingested| OpenHour { hour, first_ingested }))
}

/// Hours that are known to have a part that is missing or damaged.
pub fn unreadable_hours(warehouse: &dyn WarehouseRead) -> Result<Vec<UnreadableHour>, WarehouseError> {
    query_as(warehouse, UNREADABLE_HOURS, &[])
}

impl FromRow for UnreadableHour {
    fn from_row(row: &Row<'_>) -> Result<UnreadableHour, WarehouseError> {
        Ok(UnreadableHour {
            hour: row.get("event_hour")?,
            reason: row.get("reason")?,
            since: row.get("since")?,
        })
    }
}

/// Notes in a transaction that an hour cannot be read.
pub fn note_unreadable(
    transaction: &mut dyn StreamTransaction,
    hour: Millis,
    reason: &str,
) -> Result<(), WarehouseError> {
    transaction.execute(NOTE_UNREADABLE, &unreadable_row(hour, reason)).map(drop)
}

/// Notes hours that cannot be read, with the reason, and forgets others that can be read again: what
/// waits for these is sent again.
pub fn change_unreadable(
    warehouse: &dyn Warehouse,
    unreadable: &[(Millis, String)],
    readable: &[Millis],
) -> Result<(), WarehouseError> {
    if unreadable.is_empty() && readable.is_empty() {
        return Ok(());
    }
    let mut session = warehouse.session(Schema::Realtime)?;
    let mut transaction = session.begin()?;
    for (hour, reason) in unreadable {
        transaction.execute(NOTE_UNREADABLE, &unreadable_row(*hour, reason))?;
    }
    for hour in readable {
        transaction.execute(FORGET_UNREADABLE, &[hour.to_string().into()])?;
    }
    transaction.commit()
}

fn unreadable_row(hour: Millis, reason: &str) -> [Value; 3] {
    [hour.to_string().into(), reason.into(), Millis::now().to_string().into()]
}

/// Looks again at the parts of hours that are known to be unreadable: gives the hours that can be
/// read now, and forgets them.
///
/// # Errors
/// Failures of the warehouse. An archive that cannot be reached says nothing about its parts.
pub fn look_again(
    warehouse: &dyn Warehouse,
    archive: &dyn ArchiveIds,
) -> Result<Vec<Millis>, WarehouseError> {
    let mut readable = Vec::new();
    // A part holds many hours.
    let mut looked_at: Vec<(PartName, bool)> = Vec::new();
    for UnreadableHour { hour, .. } in unreadable_hours(warehouse)? {
        let mut is_readable = true;
        for part in parts_of_hour(warehouse, hour)? {
            let known =
                looked_at.iter().find(|(looked_at, _)| *looked_at == part).map(|(_, is_sound)| *is_sound);
            let is_sound = match known {
                Some(is_sound) => is_sound,
                None => {
                    let is_sound = archive.ids_of_hour(&part, hour, &mut |_| {}).is_ok();
                    looked_at.push((part, is_sound));
                    is_sound
                }
            };
            if !is_sound {
                is_readable = false;
                break;
            }
        }
        if is_readable {
            readable.push(hour);
        }
    }
    change_unreadable(warehouse, &[], &readable)?;
    Ok(readable)
}

/// All that the archive holds, and how many of its events are in `realtime.events`, too.
pub fn archived_total(warehouse: &dyn WarehouseRead) -> Result<(Ctr, u64), WarehouseError> {
    let table = query_table(warehouse, ARCHIVED_TOTAL, &[])?;
    let row = table.one()?;
    Ok((Ctr::from_row(&row)?, row.get("hot_copies")?))
}

/// From when on figures by the minute are whole; none when always.
pub fn minutes_floor(warehouse: &dyn WarehouseRead) -> Result<Option<Millis>, WarehouseError> {
    let table = query_table(warehouse, MINUTES_FLOOR, &[])?;
    table.first().map(|row| row.get("kept_since")).transpose()
}
