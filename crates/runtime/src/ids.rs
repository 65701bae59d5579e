//! Ids whose order is that of their time: UUID version 7, RFC 9562 section 5.7.

use adpipe_event::Millis;

/// A new id of that time.
pub fn new_id(at: Millis) -> String {
    let millis = at.0.max(0) as u64;
    uuid::Builder::from_unix_timestamp_millis(millis, &rand::random()).into_uuid().hyphenated().to_string()
}

/// Smaller than every id of that time, and not smaller than any id of the time before.
pub fn first_id_at(at: Millis) -> String {
    let millis = (at.0.max(0) as u64).min((1 << 48) - 1);
    format!("{:08x}-{:04x}-7000-8000-000000000000", millis >> 16, millis & 0xffff)
}

/// Behind every id there is.
pub const LAST_ID: &str = "ffffffff-ffff-ffff-ffff-ffffffffffff";

/// Before every id there is.
pub const FIRST_ID: &str = "00000000-0000-0000-0000-000000000000";

/// Whether a text is an id as we write them.
pub fn is_id(text: &str) -> bool {
    uuid::Uuid::try_parse(text).is_ok_and(|id| id.hyphenated().to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_ordered_by_their_time() {
        let (early, late) = (Millis(1_700_000_000_000), Millis(1_700_000_000_001));
        let (a, b) = (new_id(early), new_id(late));
        assert!(is_id(&a) && a < b && a >= first_id_at(early) && a < first_id_at(late));
        assert!(b.as_str() < LAST_ID && a.as_str() > FIRST_ID);
        assert!(!is_id("x") && !is_id(&a.to_uppercase()));
    }
}
