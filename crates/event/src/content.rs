//! A sum of an event's content: what proves that a stored event is still what was received.

use twox_hash::xxhash3_64;

use crate::{Event, INT_FIELDS, TEXT_FIELDS};

/// Sums are taken modulo 2^62: two of them can be added in SQL, where numbers have 63 bits.
const MASK: u64 = (1 << 62) - 1;

/// Stands for "no value" among numbers, all of which are >= -1.
const NO_VALUE: i32 = i32::MIN;

/// What is hashed: time, click and codes; numbers; lengths of the texts; then the texts.
const FIRST_INT: usize = 12;
const FIRST_LENGTH: usize = FIRST_INT + 4 * INT_FIELDS.len();
const HEAD_BYTES: usize = FIRST_LENGTH + 2 * (1 + TEXT_FIELDS.len());

/// The sum of the contents of any number of events, in any order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ContentSum(u64);

impl ContentSum {
    /// Adds other events.
    pub fn add(&mut self, other: ContentSum) {
        self.0 = (self.0 + other.0) & MASK;
    }

    /// Takes events off that were added before.
    pub fn take(&mut self, other: ContentSum) {
        self.0 = self.0.wrapping_sub(other.0) & MASK;
    }

    /// As stored: never negative.
    pub fn to_i64(self) -> i64 {
        self.0 as i64
    }

    /// What [`to_i64`](Self::to_i64) gave; none when it cannot have.
    pub fn from_i64(stored: i64) -> Option<ContentSum> {
        u64::try_from(stored).ok().filter(|sum| *sum <= MASK).map(ContentSum)
    }
}

/// Hashes events one after the other without allocating for each.
///
/// The hash is XXH3 (64 bits, <https://xxhash.com>) of every field: the same for an event wherever
/// it is stored. It is part of the stored format: a change would make every sum wrong.
#[derive(Debug, Default)]
pub struct ContentHasher {
    bytes: Vec<u8>,
}

impl ContentHasher {
    /// The sum of one event.
    pub fn sum(&mut self, event: &Event<'_>) -> ContentSum {
        let mut head = [0; HEAD_BYTES];
        head[..8].copy_from_slice(&event.event_time.0.to_le_bytes());
        let codes = [event.banner_pos, event.device_type, event.device_conn_type];
        head[8] = u8::from(event.click);
        head[9..FIRST_INT].copy_from_slice(&codes);
        for (place, number) in head[FIRST_INT..FIRST_LENGTH].chunks_exact_mut(4).zip(event.ints) {
            place.copy_from_slice(&number.unwrap_or(NO_VALUE).to_le_bytes());
        }
        // Lengths come first, so that no two events share their bytes. A text has at most 256 bytes.
        let texts = [event.id].into_iter().chain(event.texts);
        for (place, text) in head[FIRST_LENGTH..].chunks_exact_mut(2).zip(texts.clone()) {
            place.copy_from_slice(&(text.len() as u16).to_le_bytes());
        }
        self.bytes.clear();
        self.bytes.extend_from_slice(&head);
        texts.for_each(|text| self.bytes.extend_from_slice(text.as_bytes()));
        ContentSum(xxhash3_64::Hasher::oneshot(&self.bytes) & MASK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Millis;

    const EVENT: Event<'_> = Event {
        id: "1000009418151094273",
        click: true,
        event_time: Millis(1_413_849_600_000),
        banner_pos: 1,
        device_type: 2,
        device_conn_type: 3,
        texts: ["a", "b", "c", "d", "e", "f", "g", "h", "i"],
        ints: [Some(1), None, Some(3), Some(4), Some(5), Some(6), Some(7), Some(8), Some(-1)],
    };

    #[test]
    fn the_sum_is_part_of_the_stored_format() {
        assert_eq!(ContentHasher::default().sum(&EVENT).to_i64(), 4_099_750_917_184_349_752);
    }

    #[test]
    fn every_field_counts() {
        let mut hasher = ContentHasher::default();
        let mut others = vec![
            Event { id: "1000009418151094272", ..EVENT },
            Event { click: false, ..EVENT },
            Event { event_time: Millis(EVENT.event_time.0 + 1), ..EVENT },
            Event { banner_pos: 0, ..EVENT },
            Event { device_type: 0, ..EVENT },
            Event { device_conn_type: 0, ..EVENT },
        ];
        for column in 0..9 {
            let (mut texts, mut ints) = (EVENT.texts, EVENT.ints);
            texts[column] = "other";
            ints[column] = Some(99);
            others.extend([Event { texts, ..EVENT }, Event { ints, ..EVENT }]);
        }
        for other in others {
            assert_ne!(hasher.sum(&other), hasher.sum(&EVENT), "{other:?}");
        }
    }

    #[test]
    fn sums_add_up_in_any_order() {
        let mut hasher = ContentHasher::default();
        let (one, two) = (hasher.sum(&EVENT), hasher.sum(&Event { click: false, ..EVENT }));
        let (mut left, mut right) = (one, two);
        left.add(two);
        right.add(one);
        assert_eq!(left, right);
        left.take(two);
        assert_eq!(left, one);
        assert_eq!(ContentSum::from_i64(one.to_i64()), Some(one));
        assert_eq!(ContentSum::from_i64(-1), None);
    }
}
