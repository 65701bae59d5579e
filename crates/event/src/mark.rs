//! Byte order marks, which Windows programs put in front of text.

/// U+FEFF in UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// The bytes without a UTF-8 byte order mark in front of them.
pub fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(MARK).unwrap_or(bytes)
}

/// Length of the mark that some bytes begin with.
pub(crate) fn mark_length(bytes: &[u8]) -> usize {
    if bytes.starts_with(MARK) { MARK.len() } else { 0 }
}

/// The text of a file that people write: UTF-8, with or without a byte order mark.
///
/// # Errors
/// What else it is and what to do, in words.
pub fn decode_text(mut bytes: Vec<u8>) -> Result<String, String> {
    if let Some(reason) = crate::foreign::sniff_wide_text(&bytes) {
        return Err(format!("it {reason}"));
    }
    bytes.drain(..mark_length(&bytes));
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = 1 + memchr::memchr_iter(b'\n', &error.as_bytes()[..at]).count();
        format!("it is not valid UTF-8 in line {line}; save it as UTF-8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_with_and_without_a_mark() {
        for bytes in ["[log]\n", "\u{feff}[log]\n"] {
            assert_eq!(decode_text(bytes.as_bytes().to_vec()).as_deref(), Ok("[log]\n"));
        }
        assert_eq!(decode_text(Vec::new()).as_deref(), Ok(""));
    }

    #[test]
    fn text_in_another_encoding_is_named() {
        let utf16: Vec<u8> = "\u{feff}[log]".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(decode_text(utf16).unwrap_err().contains("UTF-16"));
        let latin = b"# one\n# caf\xe9\n".to_vec();
        assert_eq!(decode_text(latin).unwrap_err(), "it is not valid UTF-8 in line 2; save it as UTF-8");
    }
}
