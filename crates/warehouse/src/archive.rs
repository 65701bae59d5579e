//! What whoever writes events must know of the archive: which hours it holds, and their ids.
//!
//! An event is in `realtime.events`, in a part of the archive, or in both. `realtime.hours` has a
//! row for each hour of which the archive holds events, with the number of those that are in
//! `realtime.events` as well (`hot_copies`). Where that is all of them, the primary key of
//! `realtime.events` alone says what is a duplicate; else the ids of the archive's parts do, as
//! they were at the hour's `version`. Versions are read in the transaction that inserts, which
//! nobody who adds to the archive can come between.

use adpipe_event::Millis;
use adpipe_sql::section;

use crate::report::{Ctr, count};
use crate::{IdKey, IdSet, Value, Warehouse, WarehouseError, query_table};

const ARCHIVE_SQL: &str = include_str!("../sql/report/archive.sql");
pub(crate) const HOUR: &str = section(ARCHIVE_SQL, "hour");
const PARTS_OF_HOUR: &str = section(ARCHIVE_SQL, "parts_of_hour");
const ARCHIVED_TOTAL: &str = section(ARCHIVE_SQL, "archived_total");
const FILES_TOTAL: &str = section(ARCHIVE_SQL, "files_total");
const MINUTES_FLOOR: &str = section(ARCHIVE_SQL, "minutes_floor");

/// How often parts that were merged meanwhile are looked up anew.
const ATTEMPTS: u32 = 5;

/// An hour of which the archive holds events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArchivedHour {
    /// Its start.
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

    pub(crate) fn from_row(hour: Millis, row: &[Value]) -> ArchivedHour {
        ArchivedHour {
            hour,
            version: row[0].as_i64().unwrap_or(0),
            archived_rows: count(&row[1]),
            hot_copies: count(&row[2]),
        }
    }
}

/// Why ids cannot be read from the archive.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ArchiveReadError {
    /// There is no such part: it was merged with others.
    #[error("the archive has no part {0}")]
    Missing(String),
    /// The archive cannot be read now.
    #[error("{0}")]
    Unavailable(String),
    /// The part is damaged.
    #[error("{0}")]
    Damaged(String),
}

/// Reads ids out of the archive's parts.
pub trait ArchiveIds: Send + Sync + std::fmt::Debug {
    /// Calls `on_id` with each id that the part `path` holds of one hour.
    ///
    /// # Errors
    /// [`ArchiveReadError`]; ids given before it are sound.
    fn ids_of_hour(
        &self,
        path: &str,
        hour: Millis,
        on_id: &mut dyn FnMut(&str),
    ) -> Result<(), ArchiveReadError>;
}

/// What the archive holds of an hour; none when nothing.
pub fn archived_hour(
    warehouse: &dyn Warehouse,
    hour: Millis,
) -> Result<Option<ArchivedHour>, WarehouseError> {
    let table = query_table(warehouse, HOUR, &[hour.to_string().into()])?;
    Ok(table.rows.first().map(|row| ArchivedHour::from_row(hour, row)))
}

/// The ids that the archive holds of an hour; with `archive` none, there must be none.
///
/// # Errors
/// Of the warehouse or the archive, with what to do.
pub fn ids_of_hour(
    warehouse: &dyn Warehouse,
    archive: Option<&dyn ArchiveIds>,
    hour: Millis,
) -> Result<IdSet, WarehouseError> {
    let mut failure = ArchiveReadError::Missing(String::new());
    for _ in 0..ATTEMPTS {
        let paths = query_table(warehouse, PARTS_OF_HOUR, &[hour.to_string().into()])?;
        let mut ids = IdSet::new();
        let mut read = || -> Result<(), ArchiveReadError> {
            for row in &paths.rows {
                let archive = archive.ok_or_else(|| {
                    ArchiveReadError::Unavailable("this process was not told where the archive is".to_owned())
                })?;
                archive.ids_of_hour(&row[0].to_string(), hour, &mut |id| {
                    ids.insert(IdKey::of(id));
                })?;
            }
            Ok(())
        };
        match read() {
            Ok(()) => return Ok(ids),
            Err(missing @ ArchiveReadError::Missing(_)) => failure = missing,
            Err(other) => {
                failure = other;
                break;
            }
        }
    }
    let location = "archive".to_owned();
    let reason = failure.to_string();
    Err(match failure {
        ArchiveReadError::Damaged(_) => WarehouseError::Unusable {
            location,
            reason,
            advice: "restore the part from a copy of the archive",
        },
        _ => WarehouseError::Unavailable {
            location,
            reason,
            advice: "see that archive.url names the folder where `adpipe etl` writes, and that it can be read",
        },
    })
}

/// All that the archive holds, and how many of its events are in `realtime.events`, too.
pub fn archived_total(warehouse: &dyn Warehouse) -> Result<(Ctr, u64), WarehouseError> {
    let table = query_table(warehouse, ARCHIVED_TOTAL, &[])?;
    let row = table.rows.first();
    Ok(row.map_or((Ctr::default(), 0), |row| {
        (Ctr { impressions: count(&row[0]), clicks: count(&row[1]) }, count(&row[2]))
    }))
}

/// Events and clicks that raw files added.
pub fn files_total(warehouse: &dyn Warehouse) -> Result<Ctr, WarehouseError> {
    let table = query_table(warehouse, FILES_TOTAL, &[])?;
    let row = table.rows.first();
    Ok(row.map_or(Ctr::default(), |row| Ctr { impressions: count(&row[0]), clicks: count(&row[1]) }))
}

/// From when on figures by the minute are whole; none when always.
pub fn minutes_floor(warehouse: &dyn Warehouse) -> Result<Option<Millis>, WarehouseError> {
    let table = query_table(warehouse, MINUTES_FLOOR, &[])?;
    Ok(table.rows.first().and_then(|row| Millis::parse_sql(&row[0].to_string())))
}
