//! Payloads, made fit to show: never more than a page can bear, and with the bad place marked.

use std::ops::Range;

use adpipe_dlq::repair::Content;
use adpipe_event::FieldMap;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::fields::fields;

/// Bytes of a payload on a page.
pub(super) const SHOWN_BYTES: usize = 64 << 10;

/// Bytes as a page shows them.
#[derive(Debug, Serialize)]
pub(super) struct View {
    /// How many there are.
    pub bytes: usize,
    /// Whether all of them, not only the shown ones, are text.
    pub is_utf8: bool,
    /// The first of them, at most [`SHOWN_BYTES`].
    pub base64: String,
    /// From which byte to which one something is wrong.
    pub mark: Option<(usize, usize)>,
}

impl View {
    pub fn new(bytes: &[u8], mark: Option<Range<usize>>) -> View {
        View {
            bytes: bytes.len(),
            is_utf8: std::str::from_utf8(bytes).is_ok(),
            base64: STANDARD.encode(&bytes[..bytes.len().min(SHOWN_BYTES)]),
            mark: mark.map(|range| (range.start, range.end)),
        }
    }
}

/// The part of a payload that its error is about: the field to blame, or the byte that the message
/// names. Nothing when that is not there, as with a field that is missing.
pub(super) fn bad_part(
    content: &Content,
    field: Option<&str>,
    message: &str,
    map: &FieldMap,
) -> Option<Range<usize>> {
    if let Some(field) = field {
        let found = fields(content);
        let of_name = |name: &str| found.iter().rev().find(|known| known.name == name);
        return map.names(field).into_iter().find_map(of_name).map(|found| found.value.clone());
    }
    let (_, rest) = message.rsplit_once(" at byte ")?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let at: usize = rest[..digits].parse().ok()?;
    let payload = &content.payload;
    if at > payload.len() {
        return None;
    }
    Some(at..payload.len().min(at + character_length(&payload[at..])))
}

/// Bytes of the character that begins here; 1 where none does.
fn character_length(bytes: &[u8]) -> usize {
    (1..=4.min(bytes.len())).find(|length| std::str::from_utf8(&bytes[..*length]).is_ok()).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use adpipe_log::Headers;

    fn content(payload: &[u8]) -> Content {
        Content { payload: payload.to_vec(), headers: Headers::default() }
    }

    #[test]
    fn the_bad_part_is_found() {
        let own = FieldMap::default();
        let json = content(br#"{"a":1,"click":7,"click":9}"#);
        assert_eq!(bad_part(&json, Some("click"), "click is 9", &own), Some(25..26));
        assert_eq!(bad_part(&json, Some("hour"), "hour is missing", &own), None);
        let message = "'}' at byte 3 where a value should be";
        assert_eq!(bad_part(&content(b"{\"a}"), None, message, &own), Some(3..4));
        assert_eq!(bad_part(&content("{\"a클".as_bytes()), None, message, &own), Some(3..6));
        assert_eq!(bad_part(&content(b"{\"a\xff"), None, "not valid UTF-8 at byte 3", &own), Some(3..4));
        assert_eq!(bad_part(&content(b"{\"a"), None, "the record ends at byte 3 where", &own), Some(3..3));
        assert_eq!(bad_part(&content(b"x"), None, "at byte 99", &own), None);
        assert_eq!(bad_part(&content(b"x"), None, "no place at all", &own), None);
    }

    #[test]
    fn long_payloads_are_cut() {
        let view = View::new(&vec![b'a'; SHOWN_BYTES + 1], None);
        assert_eq!((view.bytes, view.is_utf8), (SHOWN_BYTES + 1, true));
        assert_eq!(STANDARD.decode(view.base64).unwrap().len(), SHOWN_BYTES);
    }
}
