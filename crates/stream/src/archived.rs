//! Which events of a batch the archive has already.
//!
//! Sets of ids by hour, read from the archive at first touch and void as soon as the hour's version
//! is another one. The least recently used ones are let go of.

use adpipe_event::{EventBatch, Millis};
use adpipe_warehouse::{ArchiveIds, ArchivedHour, IdKey, IdSet, Warehouse, WarehouseError, archive};
use hashbrown::HashMap;

/// Ids held in all: some 10 to 20 bytes each.
const MAX_IDS: usize = 4_000_000;

struct Known {
    version: i64,
    ids: IdSet,
    used_at: u64,
}

/// The ids of archived hours that batches have touched.
#[derive(Default)]
pub(crate) struct ArchivedIds {
    hours: HashMap<Millis, Known>,
    batch: u64,
}

impl ArchivedIds {
    /// The hours of `archived` whose ids must be asked and are not known as they are now.
    pub fn unknown(&self, archived: &[ArchivedHour]) -> Vec<ArchivedHour> {
        let is_known = |hour: &ArchivedHour| {
            self.hours.get(&hour.hour).is_some_and(|known| known.version == hour.version)
        };
        archived.iter().filter(|hour| hour.needs_ids() && !is_known(hour)).copied().collect()
    }

    /// Reads the ids of an hour.
    pub fn load(
        &mut self,
        warehouse: &dyn Warehouse,
        source: Option<&dyn ArchiveIds>,
        hour: Millis,
    ) -> Result<(), WarehouseError> {
        // The version first: ids that are added behind it make the set void, not wrong.
        let Some(archived) = archive::archived_hour(warehouse, hour)? else { return Ok(()) };
        let ids = archive::ids_of_hour(warehouse, source, hour)?;
        self.make_room(ids.len());
        self.hours.insert(hour, Known { version: archived.version, ids, used_at: self.batch });
        Ok(())
    }

    /// For each event, whether the archive has it; empty when it has none. All hours that need ids
    /// must be known.
    pub fn find(&mut self, events: &EventBatch, archived: &[ArchivedHour]) -> Vec<bool> {
        self.batch += 1;
        if !archived.iter().any(ArchivedHour::needs_ids) {
            return Vec::new();
        }
        for hour in archived.iter().filter(|hour| hour.needs_ids()) {
            if let Some(known) = self.hours.get_mut(&hour.hour) {
                known.used_at = self.batch;
            }
        }
        let is_asked = |hour: Millis| archived.iter().any(|asked| asked.hour == hour && asked.needs_ids());
        (0..events.len())
            .map(|index| {
                let hour = events.event_time(index).floor_hour();
                is_asked(hour)
                    && self
                        .hours
                        .get(&hour)
                        .is_some_and(|known| known.ids.contains(IdKey::of(events.id(index))))
            })
            .collect()
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

/// The hours of a batch, each once, in order.
pub(crate) fn hours_of(events: &EventBatch) -> Vec<Millis> {
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
