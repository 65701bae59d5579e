//! Names of the input, looked up as fast as names that the compiler knows.
//!
//! The first and the last eight bytes of a name with its length say nearly everything about it: they
//! choose the slot, and up to sixteen bytes they are the name. So a look-up is a multiplication and
//! two comparisons of words, no call and no loop over bytes.

use crate::fields::Target;

/// Names by a hash of their ends; open addressing, at most a quarter full.
#[derive(Debug)]
pub(crate) struct NameTable {
    slots: Box<[Option<Slot>]>,
    shift: u32,
}

#[derive(Debug, Clone)]
struct Slot {
    ends: Ends,
    place: Target,
    name: Box<[u8]>,
}

/// The ends of a name; of one that is shorter than a word they overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ends {
    head: u64,
    tail: u64,
    length: usize,
}

impl Ends {
    #[inline]
    fn of(name: &[u8]) -> Ends {
        let length = name.len();
        let (head, tail) = if let (Some(head), Some(tail)) = (name.first_chunk::<8>(), name.last_chunk::<8>())
        {
            (u64::from_le_bytes(*head), u64::from_le_bytes(*tail))
        } else if let (Some(head), Some(tail)) = (name.first_chunk::<4>(), name.last_chunk::<4>()) {
            (u64::from(u32::from_le_bytes(*head)), u64::from(u32::from_le_bytes(*tail)))
        } else {
            let byte = |at: usize| name.get(at).copied().map_or(0, u64::from);
            (byte(0), byte(1) | byte(2) << 8)
        };
        Ends { head, tail, length }
    }

    /// Whether names with these ends are equal.
    #[inline]
    fn is_all(self) -> bool {
        self.length <= 16
    }

    #[inline]
    fn hash(self) -> u64 {
        // An odd number near 2^64 divided by the golden ratio. Source: Knuth, TAOCP volume 3, 6.4.
        const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
        (self.head.wrapping_mul(GOLDEN) ^ self.tail.rotate_left(29))
            .wrapping_add(self.length as u64)
            .wrapping_mul(GOLDEN)
    }
}

impl NameTable {
    /// A table of these names, each of which occurs once.
    pub fn new(names: Vec<(Vec<u8>, Target)>) -> NameTable {
        let size = (names.len() * 4).next_power_of_two().max(64);
        let mut table =
            NameTable { slots: vec![None; size].into_boxed_slice(), shift: 64 - size.trailing_zeros() };
        for (name, place) in names {
            let ends = Ends::of(&name);
            let mut at = table.first_slot(ends);
            while table.slots[at].is_some() {
                at = table.following(at);
            }
            table.slots[at] = Some(Slot { ends, place, name: name.into_boxed_slice() });
        }
        table
    }

    /// The place of a name.
    #[inline]
    pub fn find(&self, name: &[u8]) -> Option<Target> {
        let ends = Ends::of(name);
        let mut at = self.first_slot(ends);
        while let Some(slot) = &self.slots[at] {
            if slot.ends == ends && (ends.is_all() || *slot.name == *name) {
                return Some(slot.place);
            }
            at = self.following(at);
        }
        None
    }

    #[inline]
    fn first_slot(&self, ends: Ends) -> usize {
        (ends.hash() >> self.shift) as usize
    }

    #[inline]
    fn following(&self, at: usize) -> usize {
        (at + 1) % self.slots.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_and_no_other() {
        let base = "abcdefghijklmnopqrstuvwxyz";
        let mut names: Vec<String> = (1..=26).map(|length| base[..length].to_owned()).collect();
        // The same ends and length, and another middle.
        names.extend((0..10).map(|number| format!("begins_so{number}and_ends_so")));
        names.extend(["", "id", "di", "ab\0", "ab"].map(str::to_owned));
        names.sort();
        names.dedup();
        let place = |index: usize| Target { field: (index % 25) as u8, rank: (index / 25) as u8 };
        let indexed = names.iter().enumerate();
        let table = NameTable::new(indexed.map(|(at, name)| (name.as_bytes().to_vec(), place(at))).collect());
        for (index, name) in names.iter().enumerate() {
            assert_eq!(table.find(name.as_bytes()), Some(place(index)), "{name:?}");
            for other in [format!("{name}x"), format!("x{name}"), name.to_uppercase()] {
                let expected = names.iter().position(|known| *known == other).map(place);
                assert_eq!(table.find(other.as_bytes()), expected, "{other:?}");
            }
        }
    }
}
