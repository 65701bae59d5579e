//! Sets of event ids: exact, and small enough to hold millions.

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

use hashbrown::HashTable;

/// How a set represents an id: ids that are whole numbers of at most 64 bits, as Avazu's are, by their
/// value; others by 128 bits of SipHash under keys of this process, where two ids in a billion meet
/// with a chance of 10^-21.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IdKey {
    /// The number that the id is the shortest decimal text of.
    Number(u64),
    /// The hash of any other text.
    Text(u128),
}

impl IdKey {
    /// The key of an id.
    pub fn of(id: &str) -> IdKey {
        match number(id.as_bytes()) {
            Some(number) => IdKey::Number(number),
            None => {
                let [first, second] = text_hashers();
                IdKey::Text(u128::from(first.hash_one(id)) << 64 | u128::from(second.hash_one(id)))
            }
        }
    }
}

fn text_hashers() -> &'static [RandomState; 2] {
    static HASHERS: OnceLock<[RandomState; 2]> = OnceLock::new();
    HASHERS.get_or_init(|| [RandomState::new(), RandomState::new()])
}

/// The value of a text that no other text has: no leading zeros, no sign.
fn number(text: &[u8]) -> Option<u64> {
    const LONGEST: usize = 20;
    if text.is_empty() || text.len() > LONGEST || (text[0] == b'0' && text.len() > 1) {
        return None;
    }
    let mut value: u64 = 0;
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    Some(value)
}

type Hasher = foldhash::fast::RandomState;

/// A set of ids.
#[derive(Debug, Clone, Default)]
pub struct IdSet {
    numbers: HashTable<u64>,
    texts: HashTable<u128>,
    hasher: Hasher,
}

impl IdSet {
    /// An empty set.
    pub fn new() -> IdSet {
        IdSet::default()
    }

    /// Adds an id; true when it was not there.
    pub fn insert(&mut self, key: IdKey) -> bool {
        let hasher = &self.hasher;
        match key {
            IdKey::Number(number) => {
                let hash = hasher.hash_one(number);
                let rehash = |number: &u64| hasher.hash_one(number);
                match self.numbers.entry(hash, |other| *other == number, rehash) {
                    hashbrown::hash_table::Entry::Occupied(_) => false,
                    hashbrown::hash_table::Entry::Vacant(vacant) => {
                        vacant.insert(number);
                        true
                    }
                }
            }
            IdKey::Text(text) => {
                let rehash = |text: &u128| *text as u64;
                match self.texts.entry(text as u64, |other| *other == text, rehash) {
                    hashbrown::hash_table::Entry::Occupied(_) => false,
                    hashbrown::hash_table::Entry::Vacant(vacant) => {
                        vacant.insert(text);
                        true
                    }
                }
            }
        }
    }

    /// Whether an id is there.
    pub fn contains(&self, key: IdKey) -> bool {
        match key {
            IdKey::Number(number) => {
                self.numbers.find(self.hasher.hash_one(number), |other| *other == number).is_some()
            }
            IdKey::Text(text) => self.texts.find(text as u64, |other| *other == text).is_some(),
        }
    }

    /// Number of ids.
    pub fn len(&self) -> usize {
        self.numbers.len() + self.texts.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes held, about.
    pub fn byte_size(&self) -> usize {
        self.numbers.capacity() * 10 + self.texts.capacity() * 19
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_look_alike_are_told_apart() {
        let ids = [
            "0",
            "00",
            "1",
            "01",
            "+1",
            "1 ",
            "18446744073709551615",
            "18446744073709551616",
            "1.4e+19",
            "1.4e19",
            "abc",
            "ABC",
            "-1",
            "10000000000000000000",
        ];
        let mut set = IdSet::new();
        for id in ids {
            assert!(!set.contains(IdKey::of(id)), "{id}");
            assert!(set.insert(IdKey::of(id)), "{id}");
            assert!(!set.insert(IdKey::of(id)), "{id}");
        }
        assert_eq!(set.len(), ids.len());
        assert!(ids.iter().all(|id| set.contains(IdKey::of(id))));
        assert_eq!(IdKey::of("18446744073709551615"), IdKey::Number(u64::MAX));
    }
}
