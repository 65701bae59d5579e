//! Sums of rows: what shows that a row of an account is still what was written.
//!
//! A row's sum is written with it, covers its key, and is never computed from what is stored: an
//! update either writes all that the sum covers, or adds to the sum what it adds to the row. So a
//! later update does not make a damaged row look sound.

use twox_hash::xxhash3_64;

use crate::Value;

/// Sums are below 2^62, as those of contents are.
const MASK: u64 = (1 << 62) - 1;

/// Room for what [`AddedSum`]s add: their keys are below 2^44.
const KEY_MASK: u64 = (1 << 44) - 1;

/// The sum of a row's values, in the order of the table's entry in [`COVERED`]. `name` is the
/// table, and what of it the sum covers where a row has several.
///
/// The hash is XXH3 (64 bits) of the name and of each value with its type and length. It is part
/// of the stored format.
pub fn row_sum(name: &str, values: &[Value]) -> Value {
    Value::Int(hash(name, values, MASK) as i64)
}

fn hash(name: &str, values: &[Value], mask: u64) -> u64 {
    let mut bytes = Vec::with_capacity(256);
    let mut push = |kind: u8, value: &[u8]| {
        bytes.push(kind);
        bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
        bytes.extend_from_slice(value);
    };
    push(b'@', name.as_bytes());
    for value in values {
        match value {
            Value::Null => push(b'0', &[]),
            Value::Int(number) => push(b'i', &number.to_le_bytes()),
            Value::Real(number) => push(b'r', &number.to_bits().to_le_bytes()),
            Value::Text(text) => push(b't', text.as_bytes()),
            Value::Blob(blob) => push(b'b', blob),
        }
    }
    xxhash3_64::Hasher::oneshot(&bytes) & mask
}

/// The sum of a row that says where a reader continues.
pub fn offset_sum(table: &str, topic: &str, partition: u32, next: u64) -> Value {
    row_sum(table, &[topic.into(), Value::Int(partition.into()), Value::Int(next as i64)])
}

/// What a number of a row adds to its sum, by the number's place among [`Kind::Added`]'s columns.
/// Counts below 2^42 fit.
const WEIGHTS: [i64; 4] = [524_309, 655_373, 786_433, 917_503];

/// The sum of a row whose numbers are added to: a hash of its key, and each number times a weight.
pub fn added_sum(name: &str, key: &[Value], numbers: &[i64]) -> i64 {
    hash(name, key, KEY_MASK) as i64 + added_part(numbers)
}

/// What adding these numbers to a row adds to its sum.
pub fn added_part(numbers: &[i64]) -> i64 {
    numbers.iter().zip(WEIGHTS).map(|(number, weight)| number.wrapping_mul(weight)).fold(0, i64::wrapping_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_part_of_the_stored_format() {
        let values = [Value::Null, Value::Int(-1), Value::Text("x".to_owned()), Value::Blob(vec![0])];
        assert_eq!(row_sum("realtime.commits", &values), Value::Int(1_977_834_949_958_590_079));
    }

    #[test]
    fn types_places_and_lengths_count() {
        let sum = |values: &[Value]| row_sum("t", values);
        let text = |text: &str| Value::Text(text.to_owned());
        assert_ne!(sum(&[text("ab"), text("")]), sum(&[text("a"), text("b")]));
        assert_ne!(sum(&[text("1")]), sum(&[Value::Int(1)]));
        assert_ne!(sum(&[Value::Null]), sum(&[text("")]));
        assert_ne!(sum(&[text("a"), text("b")]), sum(&[text("b"), text("a")]));
        assert_ne!(row_sum("t", &[text("a")]), row_sum("u", &[text("a")]));
    }

    #[test]
    fn what_is_added_to_a_row_is_added_to_its_sum() {
        let key = [Value::Text("2014-10-21 00:00:00".to_owned())];
        let (before, added) = ([1, 10, 3, 10], [1, 5, 2, 0]);
        let after = [2, 15, 5, 10];
        assert_eq!(
            added_sum("realtime.hours", &key, &before) + added_part(&added),
            added_sum("realtime.hours", &key, &after)
        );
    }
}
