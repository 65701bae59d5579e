//! Which events of a batch the archive has already.
//!
//! Sets of ids by hour, read from the archive at first use and void once the hour's version changes.
//! The least recently used sets are dropped.
//!
//! If a part of an hour is missing or damaged, it is unknown which of its events were counted. Its
//! events become errors of type `archive`, which the dead-letter queue retries automatically once the
//! part can be read; all others continue.

use std::sync::Arc;
use std::time::{Duration, Instant};

use adpipe_event::{ErrorType, EventBatch, EventError, Millis};
use adpipe_warehouse::{
    ArchiveIds, ArchivedHour, IdKey, IdSet, IdsOfHour, WarehouseError, WarehouseRead, archive,
};
use hashbrown::HashMap;

/// Ids held in all: about 10 to 20 bytes each.
const MAX_IDS: usize = 4_000_000;

/// How long an hour is taken for unreadable before its parts are looked at again.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(10);

struct HourIds {
    version: i64,
    ids: IdSet,
    used_at: u64,
}

/// An hour with a part that is missing or damaged.
struct Unreadable {
    version: i64,
    reason: Arc<str>,
    /// When it is looked at again.
    until: Instant,
}

/// The ids of archived hours that batches have touched.
#[derive(Default)]
pub struct ArchivedIds {
    hours: HashMap<Millis, HourIds>,
    unreadable: HashMap<Millis, Unreadable>,
    batch: u64,
}

/// What the archive says of a batch's events.
#[derive(Default)]
pub struct Judged {
    /// For each event whether it is not to be inserted; empty when all are.
    pub except: Vec<bool>,
    /// Those of them that cannot be judged, by index, because parts of their hours cannot be read.
    pub unjudged: Vec<usize>,
    /// The hours of these, and why.
    pub unreadable: Vec<(Millis, Arc<str>)>,
}

impl ArchivedIds {
    /// The hours of `archived` whose ids must be asked and are not known as they are now.
    pub fn unknown(&self, archived: &[ArchivedHour]) -> Vec<ArchivedHour> {
        let now = Instant::now();
        let is_known = |hour: &ArchivedHour| {
            self.hours.get(&hour.hour).is_some_and(|known| known.version == hour.version)
                || self
                    .unreadable
                    .get(&hour.hour)
                    .is_some_and(|hour_of_old| hour_of_old.version == hour.version && hour_of_old.until > now)
        };
        archived.iter().filter(|hour| hour.needs_ids() && !is_known(hour)).copied().collect()
    }

    /// Reads the ids of an hour, or learns why they cannot be read.
    pub fn load(
        &mut self,
        warehouse: &dyn WarehouseRead,
        source: Option<&dyn ArchiveIds>,
        hour: Millis,
    ) -> Result<(), WarehouseError> {
        // The version first: ids that are added later make the set void, not wrong.
        let Some(archived) = archive::archived_hour(warehouse, hour)? else { return Ok(()) };
        let version = archived.version;
        match archive::ids_of_hour(warehouse, source, hour)? {
            IdsOfHour::Known(ids) => {
                self.unreadable.remove(&hour);
                self.make_room(ids.len());
                self.hours.insert(hour, HourIds { version, ids, used_at: self.batch });
            }
            IdsOfHour::Unreadable(reason) => {
                if !self.unreadable.contains_key(&hour) {
                    tracing::error!(%hour, %reason, "events of this hour wait until the archive's part is back");
                }
                self.hours.remove(&hour);
                let until = Instant::now() + LOOK_AGAIN_AFTER;
                self.unreadable.insert(hour, Unreadable { version, reason: reason.into(), until });
            }
        }
        Ok(())
    }

    /// What the archive says of each event. All hours that need ids must be known.
    pub fn judge(&mut self, events: &EventBatch, archived: &[ArchivedHour]) -> Judged {
        self.batch += 1;
        let mut judged = Judged::default();
        let asked: Vec<Millis> =
            archived.iter().filter(|hour| hour.needs_ids()).map(|hour| hour.hour).collect();
        if asked.is_empty() {
            return judged;
        }
        for hour in &asked {
            match self.hours.get_mut(hour) {
                Some(known) => known.used_at = self.batch,
                None => {
                    let reason = self.unreadable.get(hour).map(|unreadable| Arc::clone(&unreadable.reason));
                    judged.unreadable.push((*hour, reason.unwrap_or_else(|| "it was not read".into())));
                }
            }
        }
        judged.except.resize(events.len(), false);
        for index in 0..events.len() {
            let hour = events.event_time(index).floor_hour();
            if !asked.contains(&hour) {
                continue;
            }
            match self.hours.get(&hour) {
                Some(known) => judged.except[index] = known.ids.contains(IdKey::of(events.id(index))),
                None => {
                    judged.except[index] = true;
                    judged.unjudged.push(index);
                }
            }
        }
        judged
    }

    fn make_room(&mut self, wanted: usize) {
        let mut held: usize = self.hours.values().map(|known| known.ids.len()).sum();
        while held + wanted > MAX_IDS {
            let oldest = self.hours.iter().min_by_key(|(_, known)| known.used_at).map(|(hour, _)| *hour);
            let Some(known) = oldest.and_then(|hour| self.hours.remove(&hour)) else { return };
            held -= known.ids.len();
        }
    }
}

/// The error of an event whose hour cannot be read.
pub fn error(hour: Millis, reason: &str) -> EventError {
    EventError {
        error_type: ErrorType::Archive,
        field: None,
        message: format!("hour {hour} cannot be checked for duplicates: {reason}"),
    }
}

/// The hours of a batch, each once, in order.
pub fn hours_of(events: &EventBatch) -> Vec<Millis> {
    let mut hours: Vec<Millis> = Vec::new();
    for time in events.event_times() {
        let hour = time.floor_hour();
        if hours.last() != Some(&hour) {
            hours.push(hour);
        }
    }
    hours.sort_unstable();
    hours.dedup();
    hours
}
