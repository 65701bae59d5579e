//! Which ids are in `realtime.events` already, exactly, by event hour.
//!
//! With it a COPY normally meets no conflict, which is twice as fast as asking the primary key row by
//! row. It is only ever a hint: the key decides, and a hint that proves wrong (another writer was here)
//! is dropped. Memory is bounded by the number of ids; an hour that does not fit is "unknown", and its
//! rows take the path that uses the key.

use std::hash::BuildHasher;

use adpipe_event::Millis;
use hashbrown::{HashMap, HashTable};

/// Ids held in all: about 40 bytes each, so 80 MB.
pub(super) const MAX_IDS: usize = 2_000_000;

/// An hour that was used within so many batches is not dropped to make room for another: that would
/// load them in turns.
const RECENT_BATCHES: u64 = 16;

/// An hour that did not fit is not tried again for so many batches.
const BATCHES_WITHOUT: u64 = 64;

/// The ids of one hour, one after the other.
#[derive(Default)]
struct HourIds {
    text: String,
    ends: Vec<u32>,
    table: HashTable<u32>,
    used_at: u64,
}

type Hasher = foldhash::quality::RandomState;

impl HourIds {
    fn get(&self, index: u32) -> &str {
        let index = index as usize;
        let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        &self.text[start..self.ends[index] as usize]
    }

    fn contains(&self, hasher: &Hasher, id: &str) -> bool {
        self.table.find(hasher.hash_one(id), |index| self.get(*index) == id).is_some()
    }

    fn insert(&mut self, hasher: &Hasher, id: &str) {
        let index = self.ends.len() as u32;
        self.text.push_str(id);
        self.ends.push(self.text.len() as u32);
        let (text, ends) = (&self.text, &self.ends);
        self.table.insert_unique(hasher.hash_one(id), index, |index| {
            let index = *index as usize;
            let start = if index == 0 { 0 } else { ends[index - 1] as usize };
            hasher.hash_one(&text[start..ends[index] as usize])
        });
    }
}

/// Sets of ids; the least recently used ones are dropped.
pub(super) struct IdSets {
    hours: HashMap<Millis, HourIds>,
    /// Hours that did not fit, and the batch from which on to try again.
    too_large: HashMap<Millis, u64>,
    hasher: Hasher,
    batch: u64,
    ids: usize,
    max_ids: usize,
}

impl IdSets {
    pub fn new(max_ids: usize) -> IdSets {
        IdSets {
            hours: HashMap::new(),
            too_large: HashMap::new(),
            hasher: Hasher::default(),
            batch: 0,
            ids: 0,
            max_ids,
        }
    }

    /// Starts a batch: what it uses counts as recently used.
    pub fn start_batch(&mut self) {
        self.batch += 1;
    }

    /// True when the hour's ids are known.
    pub fn knows(&mut self, hour: Millis) -> bool {
        let batch = self.batch;
        self.hours.get_mut(&hour).map(|ids| ids.used_at = batch).is_some()
    }

    /// How many ids an hour that is to be loaded may have; none when it is not to be tried now.
    pub fn room_for(&mut self, hour: Millis) -> Option<usize> {
        if self.too_large.get(&hour).is_some_and(|again_at| *again_at > self.batch) {
            return None;
        }
        self.let_go_of_old();
        let room = self.max_ids.saturating_sub(self.ids);
        (room > 0).then_some(room)
    }

    /// Takes the hour's ids, or notes that there were more than it had room for.
    pub fn load<'a>(&mut self, hour: Millis, ids: Option<impl Iterator<Item = &'a str>>) {
        let Some(ids) = ids else {
            self.too_large.insert(hour, self.batch + BATCHES_WITHOUT);
            return;
        };
        let mut loaded = HourIds { used_at: self.batch, ..HourIds::default() };
        for id in ids {
            loaded.insert(&self.hasher, id);
        }
        self.ids += loaded.ends.len();
        self.hours.insert(hour, loaded);
    }

    /// True when the id is known to be there.
    pub fn contains(&self, hour: Millis, id: &str) -> bool {
        self.hours.get(&hour).is_some_and(|ids| ids.contains(&self.hasher, id))
    }

    /// Notes a new id of a known hour.
    pub fn insert(&mut self, hour: Millis, id: &str) {
        if let Some(ids) = self.hours.get_mut(&hour) {
            ids.insert(&self.hasher, id);
            self.ids += 1;
        }
        // One hour may grow beyond all room while it is used in every batch.
        if self.ids > self.max_ids.saturating_mul(2) {
            self.forget(hour);
            self.too_large.insert(hour, self.batch + BATCHES_WITHOUT);
        }
    }

    /// Forgets an hour, to be loaded again.
    pub fn forget(&mut self, hour: Millis) {
        if let Some(ids) = self.hours.remove(&hour) {
            self.ids -= ids.ends.len();
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.hours.clear();
        self.ids = 0;
    }

    /// Drops the least recently used hours while the others need the room.
    fn let_go_of_old(&mut self) {
        let enough = self.max_ids / 2;
        while self.ids > enough {
            let oldest = self.hours.iter().min_by_key(|(_, ids)| ids.used_at);
            let Some((hour, _)) =
                oldest.filter(|(_, ids)| ids.used_at + RECENT_BATCHES < self.batch).map(|(h, i)| (*h, i))
            else {
                return;
            };
            self.forget(hour);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour(number: i64) -> Millis {
        Millis(number * 3_600_000)
    }

    #[test]
    fn knows_exactly_what_it_was_told() {
        let mut sets = IdSets::new(100);
        sets.start_batch();
        assert!(!sets.knows(hour(1)));
        sets.load(hour(1), Some(["a", "b"].into_iter()));
        sets.insert(hour(1), "c");
        sets.insert(hour(2), "never loaded");
        assert!(["a", "b", "c"].iter().all(|id| sets.contains(hour(1), id)));
        assert!(!sets.contains(hour(1), "ab") && !sets.contains(hour(2), "never loaded"));
        sets.forget(hour(1));
        assert!(!sets.contains(hour(1), "a"));
        assert_eq!(sets.ids, 0);
    }

    #[test]
    fn memory_is_bounded_and_old_hours_go_first() {
        let mut sets = IdSets::new(100);
        let ids: Vec<String> = (0..60).map(|number| number.to_string()).collect();
        for number in 0..2 {
            sets.start_batch();
            assert!(sets.room_for(hour(number)).is_some());
            sets.load(hour(number), Some(ids[..40].iter().map(String::as_str)));
        }
        assert_eq!(sets.room_for(hour(2)), Some(20), "both are in use, what is left is little");
        sets.load(hour(2), None::<std::iter::Empty<&str>>);
        assert_eq!(sets.room_for(hour(2)), None, "did not fit, is not tried again at once");
        for _ in 0..BATCHES_WITHOUT {
            sets.start_batch();
            sets.knows(hour(1));
        }
        assert!(sets.room_for(hour(2)).is_some_and(|room| room >= 60));
        assert!(sets.knows(hour(1)) && !sets.knows(hour(0)));
    }
}
