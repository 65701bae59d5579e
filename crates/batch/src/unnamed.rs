//! Files in the archive that no row of its list names: whose they are, and what may be done with them.
//!
//! Three kinds. A leftover is of a run that this warehouse knows: it was written before the
//! transaction that would have named it, or is the old half of a merge. It is removed when every event
//! in it is counted elsewhere. A part of adpipe's that this warehouse cannot explain and whose events
//! are not counted shows that warehouse and archive do not belong together: a run refuses to begin.
//! Everything else is left alone, and named.

use std::collections::{HashMap, HashSet};

use adpipe_sql::section;
use adpipe_warehouse::{
    ArchiveReadError, IdKey, IdSet, IdsOfHour, Warehouse, WarehouseError, archive as ids, for_each_row,
    query_table,
};
use serde::Serialize;

use crate::archive::{Archive, Origin, is_ours, run_in_name};
use crate::hours::HOT_IDS;
use crate::{BatchError, runs};

const ARCHIVE_SQL: &str = include_str!("../sql/archive.sql");
const PATHS: &str = section(ARCHIVE_SQL, "paths");

/// Bytes of ids held before they are read again.
const MAX_BYTES: usize = 64 << 20;

/// A file that no row names and that is left alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unnamed {
    /// Its path below the archive.
    pub file: String,
    /// Why it is left alone.
    pub reason: String,
}

/// What there is that no row names.
#[derive(Debug, Default)]
pub struct Found {
    /// Of runs that this warehouse knows, with every event counted elsewhere: may be removed.
    pub leftovers: Vec<String>,
    /// Left alone.
    pub kept: Vec<Unnamed>,
    /// Parts that this warehouse cannot explain, with events that are not counted.
    pub unexplained: Vec<Unnamed>,
    /// Parts that rows name and that are not there.
    pub missing: Vec<String>,
}

/// Compares the archive with its list.
///
/// # Errors
/// When the warehouse or the archive cannot be read.
pub fn look(warehouse: &dyn Warehouse, archive: &Archive) -> Result<Found, BatchError> {
    look_at(warehouse, archive, true)
}

/// The same for what is unexplained or missing: files of runs that did not finish are not read.
///
/// # Errors
/// The same as [`look`].
pub(crate) fn look_for_unexplained(
    warehouse: &dyn Warehouse,
    archive: &Archive,
) -> Result<Found, BatchError> {
    look_at(warehouse, archive, false)
}

fn look_at(warehouse: &dyn Warehouse, archive: &Archive, reads_leftovers: bool) -> Result<Found, BatchError> {
    // The archive first: what is named meanwhile is in the list, then.
    let files = archive.list()?;
    let named = query_table(warehouse, PATHS, &[])?;
    let named: HashSet<String> = named.column("path")?.into_iter().collect();
    let there: HashSet<&str> = files.iter().map(String::as_str).collect();
    let mut found = Found::default();
    found.missing.extend(named.iter().filter(|path| !there.contains(path.as_str())).cloned());
    found.missing.sort_unstable();
    let unnamed: Vec<String> = files.into_iter().filter(|path| !named.contains(path)).collect();
    if unnamed.is_empty() {
        return Ok(found);
    }
    let runs = runs::known(warehouse)?;
    let mut look = Look { warehouse, archive, reads_leftovers, runs, hours: HashMap::new() };
    for path in unnamed {
        look.judge(path, &mut found)?;
    }
    Ok(found)
}

struct Look<'a> {
    warehouse: &'a dyn Warehouse,
    archive: &'a Archive,
    reads_leftovers: bool,
    /// Whether each run that is known has finished.
    runs: HashMap<String, bool>,
    /// Counted ids of hours that were looked at, as several leftovers are of the same ones; none for an
    /// hour that cannot be read.
    hours: HashMap<i64, Option<IdSet>>,
}

impl Look<'_> {
    fn judge(&mut self, file: String, found: &mut Found) -> Result<(), BatchError> {
        let mut keep = |file: String, reason: String| found.kept.push(Unnamed { file, reason });
        if !is_ours(&file) {
            keep(file, "not a part of adpipe's".to_owned());
            return Ok(());
        }
        let origin = match self.archive.origin(&file) {
            Ok(origin) => origin,
            // Swept or renamed meanwhile.
            Err(ArchiveReadError::Missing(_)) => return Ok(()),
            Err(ArchiveReadError::Unavailable(reason)) => {
                return Err(BatchError::archive(self.archive.location(), reason));
            }
            Err(ArchiveReadError::Damaged { .. }) if self.is_begun_here(&file) => {
                found.leftovers.push(file);
                return Ok(());
            }
            Err(ArchiveReadError::Damaged { reason, .. }) => {
                keep(file, format!("cannot be read as a part: {reason}"));
                return Ok(());
            }
        };
        if !origin.is_adpipe {
            keep(file, "another program wrote it".to_owned());
            return Ok(());
        }
        let run_state = origin.run_id.as_ref().and_then(|run_id| self.runs.get(run_id)).copied();
        let is_of_unfinished = run_state == Some(false);
        let is_counted = (self.reads_leftovers || !is_of_unfinished) && self.is_counted(&file)?;
        match (run_state, is_counted) {
            (Some(_), true) => found.leftovers.push(file),
            (None, true) => keep(file, format!("{}; its events are counted in other parts", of_whom(&origin))),
            (Some(false), false) => keep(
                file,
                "a run that did not finish wrote it, and not all of its events are counted elsewhere; read its raw file again"
                    .to_owned(),
            ),
            // A file that was begun and never published was never counted either.
            (None, false) if file.contains("/.unfinished-") => keep(file, of_whom(&origin)),
            (Some(true) | None, false) => {
                let finished = "a run that finished wrote it, and no row names it any more".to_owned();
                let reason = if run_state.is_some() { finished } else { of_whom(&origin) };
                found.unexplained.push(Unnamed { file, reason });
            }
        }
        Ok(())
    }

    /// Whether a run of this data has begun the file. It has no end that could be read, and nobody has
    /// ever seen it.
    fn is_begun_here(&self, file: &str) -> bool {
        file.contains("/.unfinished-") && run_in_name(file).is_some_and(|id| self.runs.contains_key(id))
    }

    /// Whether every event of a file is in a part that a row names, or in `realtime.events`.
    fn is_counted(&mut self, file: &str) -> Result<bool, BatchError> {
        let mut hours: Vec<(adpipe_event::Millis, Vec<IdKey>)> = Vec::new();
        let read = self.archive.hours_and_ids(file, |hour, id| match hours.last_mut() {
            Some((last, keys)) if *last == hour => keys.push(IdKey::of(id)),
            _ => hours.push((hour, vec![IdKey::of(id)])),
        });
        match read {
            Ok(()) => {}
            Err(ArchiveReadError::Unavailable(reason)) => {
                return Err(BatchError::archive(self.archive.location(), reason));
            }
            Err(ArchiveReadError::Missing(_) | ArchiveReadError::Damaged { .. }) => return Ok(false),
        }
        for (hour, keys) in hours {
            if !self.hours.contains_key(&hour.0) {
                let counted = counted_ids(self.warehouse, self.archive, hour)?;
                let held = |ids: &Option<IdSet>| ids.as_ref().map_or(0, IdSet::byte_size);
                if self.hours.values().map(held).sum::<usize>() + held(&counted) > MAX_BYTES {
                    self.hours.clear();
                }
                self.hours.insert(hour.0, counted);
            }
            let counted = self.hours.get(&hour.0).and_then(Option::as_ref);
            if !counted.is_some_and(|ids| keys.iter().all(|key| ids.contains(*key))) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Ids of an hour that are counted; none when a part of it cannot be read.
fn counted_ids(
    warehouse: &dyn Warehouse,
    archive: &Archive,
    hour: adpipe_event::Millis,
) -> Result<Option<IdSet>, WarehouseError> {
    let IdsOfHour::Known(mut ids) = ids::ids_of_hour(warehouse, Some(archive), hour)? else {
        return Ok(None);
    };
    for_each_row(warehouse, HOT_IDS, &[hour.to_string().into()], |row| {
        ids.insert(IdKey::of(row.get("event_id")?));
        Ok::<(), WarehouseError>(())
    })?;
    Ok(Some(ids))
}

fn of_whom(origin: &Origin) -> String {
    match (&origin.run_id, &origin.data_id) {
        (None, _) => "adpipe wrote it before runs were recorded".to_owned(),
        (Some(run_id), None) => format!("run {run_id} wrote it, which this warehouse does not know"),
        (Some(run_id), Some(data_id)) => {
            format!("run {run_id} of data set {data_id} wrote it, which this warehouse does not know")
        }
    }
}
