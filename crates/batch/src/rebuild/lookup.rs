//! Which events some parts of the archive hold, without holding all their ids at once.

use adpipe_event::Millis;
use adpipe_warehouse::{ArchiveIds, IdKey, IdSet};
use hashbrown::HashMap;

use super::parts::KnownPart;
use crate::BatchError;
use crate::archive::Archive;

/// Bytes of ids held before hours that were asked for long ago are dropped.
const MAX_BYTES: usize = 128 << 20;

/// Ids of some parts, by the hour, read when they are asked for.
pub(super) struct Lookup<'a> {
    archive: &'a Archive,
    parts: HashMap<Millis, Vec<&'a KnownPart>>,
    sets: HashMap<Millis, (IdSet, u64)>,
    asked: u64,
}

impl<'a> Lookup<'a> {
    pub fn new(archive: &'a Archive, parts: impl Iterator<Item = &'a KnownPart>) -> Lookup<'a> {
        let mut by_hour: HashMap<Millis, Vec<&KnownPart>> = HashMap::new();
        for part in parts {
            for hour in part.hours.keys() {
                by_hour.entry(*hour).or_default().push(part);
            }
        }
        Lookup { archive, parts: by_hour, sets: HashMap::new(), asked: 0 }
    }

    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    pub fn contains(&mut self, time: Millis, key: IdKey) -> Result<bool, BatchError> {
        let hour = time.floor_hour();
        let Some(parts) = self.parts.get(&hour) else { return Ok(false) };
        self.asked += 1;
        if let Some((ids, asked)) = self.sets.get_mut(&hour) {
            *asked = self.asked;
            return Ok(ids.contains(key));
        }
        let mut ids = IdSet::new();
        for part in parts {
            self.archive
                .ids_of_hour(&part.name(), hour, &mut |id| {
                    ids.insert(IdKey::of(id));
                })
                .map_err(|error| BatchError::archive(self.archive.location(), error))?;
        }
        let is_there = ids.contains(key);
        self.sets.insert(hour, (ids, self.asked));
        self.let_go();
        Ok(is_there)
    }

    fn let_go(&mut self) {
        let mut held: usize = self.sets.values().map(|(ids, _)| ids.byte_size()).sum();
        while held > MAX_BYTES && self.sets.len() > 1 {
            let oldest = self.sets.iter().min_by_key(|(_, (_, asked))| *asked).map(|(hour, _)| *hour);
            let Some((ids, _)) = oldest.and_then(|hour| self.sets.remove(&hour)) else { break };
            held -= ids.byte_size();
        }
    }
}
