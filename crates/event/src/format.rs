//! Which wire format some bytes have.

use std::io::{self, ErrorKind, Read};

use crate::mark::without_mark;
use crate::{CsvColumns, Encoding, sniff_encoding, sniff_foreign};

/// Wire format of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object per line.
    Ndjson,
    /// JSON arrays, or objects that go over several lines each, one after the other.
    JsonArray,
    /// A header line and one row a line.
    Csv,
}

impl Format {
    /// The format that a file's name promises, before or after the ending of a compression.
    pub fn of_name(name: &str) -> Option<Format> {
        let name = name.to_ascii_lowercase();
        let stem = [".gz", ".zst"].iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(&name);
        match stem.rsplit_once('.')?.1 {
            "ndjson" | "jsonl" => Some(Format::Ndjson),
            "json" => Some(Format::JsonArray),
            "csv" => Some(Format::Csv),
            _ => None,
        }
    }
}

/// Bytes read first, and at most, to recognize the content.
const FIRST_BYTES: usize = 4 << 10;
const MOST_BYTES: usize = 64 << 10;

/// Enough to recognize a compression and most files without events.
const MAGIC_BYTES: usize = 16;

/// So many lines without a JSON object at the beginning of any are not NDJSON.
const LINES_LOOKED_AT: usize = 3;

/// The first bytes of an input, as many as are needed to recognize the content. `on_pause` decides
/// whether to continue when a live input is silent.
///
/// # Errors
/// When the input cannot be read, or with what `on_pause` says.
pub fn read_start(input: &mut dyn Read, mut on_pause: impl FnMut() -> io::Result<()>) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    while start.len() < MOST_BYTES && !is_telling(&start) {
        let filled = start.len();
        start.resize(filled + FIRST_BYTES, 0);
        let outcome = input.read(&mut start[filled..]);
        start.truncate(filled + *outcome.as_ref().unwrap_or(&0));
        match outcome {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::TimedOut => on_pause()?,
            Err(error) => return Err(error),
        }
    }
    Ok(start)
}

/// Whether more bytes would not change what these show.
fn is_telling(start: &[u8]) -> bool {
    if start.len() < MAGIC_BYTES {
        return false;
    }
    if sniff_encoding(start) != Encoding::Identity || sniff_foreign(start, Encoding::Identity).is_some() {
        return true;
    }
    let text = without_mark(start).trim_ascii_start();
    match text.split_first() {
        None => false,
        Some((b'[' | b'{', rest)) => rest.iter().any(|byte| !matches!(byte, b' ' | b'\t')),
        Some(_) => {
            let lines = memchr::memchr2_iter(b'\n', b'\r', text);
            begins_with_header(text)
                || has_object(text)
                || lines.take(LINES_LOOKED_AT).count() == LINES_LOOKED_AT
        }
    }
}

/// The format that the first (uncompressed) bytes show; none when there is only white space.
pub fn sniff_format(start: &[u8]) -> Option<Format> {
    let text = without_mark(start).trim_ascii_start();
    Some(match text.first()? {
        b'[' if opens_an_array(text) => Format::JsonArray,
        b'{' if opens_over_lines(text) => Format::JsonArray,
        b'{' => Format::Ndjson,
        _ if begins_with_header(text) => Format::Csv,
        // Of a file that was rotated or cut the first line lacks its beginning.
        _ if has_object(text) => Format::Ndjson,
        _ => Format::Csv,
    })
}

/// The same, where a name or a content type says something: it is believed where the bytes are not
/// clear.
pub fn find_format(start: &[u8], said: Option<Format>) -> Option<Format> {
    let found = sniff_format(start)?;
    let says_json = matches!(said, Some(Format::Ndjson | Format::JsonArray));
    if found == Format::Csv && says_json && !begins_with_header(without_mark(start).trim_ascii_start()) {
        return Some(Format::Ndjson);
    }
    Some(found)
}

/// Whether a value follows the bracket, and not a word: then it is a section of an INI file, or the
/// level of a log line.
fn opens_an_array(text: &[u8]) -> bool {
    text[1..].trim_ascii_start().first().is_none_or(|next| {
        matches!(next, b'{' | b'[' | b']' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n')
    })
}

/// Whether the first line is a brace and nothing else, as in JSON that was printed for people.
fn opens_over_lines(text: &[u8]) -> bool {
    let first_line = text.split(|byte| matches!(byte, b'\n' | b'\r')).next();
    first_line.is_some_and(|line| line.trim_ascii() == b"{" && line.len() < text.len())
}

/// Whether the first line names every column that an event needs.
fn begins_with_header(text: &[u8]) -> bool {
    let first_line = text.split(|byte| matches!(byte, b'\n' | b'\r')).next();
    first_line.is_some_and(|line| CsvColumns::parse(line).is_ok())
}

/// Whether a JSON object begins where a record does: at the beginning of a line, or after another one.
fn has_object(text: &[u8]) -> bool {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    memchr::memchr_iter(b'{', text).any(|at| {
        let before = text[..at].iter().rev().find(|byte| !is_space(byte));
        let behind = text[at + 1..].iter().find(|byte| !is_space(byte));
        matches!(before, Some(b'\n' | b'\r' | b'}')) && behind == Some(&b'"')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CUT: &str = "ub\":\"14102100\",\"C1\":1005}\n{\"id\":\"1\",\"click\":0}\n";

    #[test]
    fn a_cut_first_line_does_not_hide_ndjson() {
        let long = format!("{}{}", "x".repeat(5_000), CUT);
        for start in
            [CUT, &CUT.replace('\n', ""), &CUT.replace('\n', "\r\n\r\n"), &long, "# made by us\n{ \"id\":1}"]
        {
            assert_eq!(sniff_format(start.as_bytes()), Some(Format::Ndjson), "{start}");
        }
        for start in ["id,click\n1,{\"a\":1}\n", "a,b\n1,2\n", "\"a\",\"b\"\n\"{\",1\n", crate::CSV_HEADER] {
            assert_eq!(sniff_format(start.as_bytes()), Some(Format::Csv), "{start}");
        }
        assert_eq!(sniff_format(b"[databases]\nhost = here\n"), Some(Format::Csv));
        assert_eq!(sniff_format(b"[INFO] started\n{\"id\":1}\n"), Some(Format::Ndjson));
        for start in ["[", "[ ]", "\n[\n {", "[[1]]", "[null]"] {
            assert_eq!(sniff_format(start.as_bytes()), Some(Format::JsonArray), "{start}");
        }
        let json_cells = format!("{}\n{{\"id\":1}}\n", crate::CSV_HEADER);
        assert_eq!(sniff_format(json_cells.as_bytes()), Some(Format::Csv), "the header is usable");
    }

    #[test]
    fn a_name_is_believed_where_the_bytes_are_not_clear() {
        let said = |name: &str, start: &str| find_format(start.as_bytes(), Format::of_name(name));
        for name in ["a.ndjson", "a.jsonl.gz", "A.NDJSON.ZST", "a.json"] {
            assert_eq!(said(name, "14102100\",\"C1\":1005}\n"), Some(Format::Ndjson), "{name}");
            assert_eq!(said(name, crate::CSV_HEADER), Some(Format::Csv), "{name}");
            assert_eq!(said(name, "[{}]"), Some(Format::JsonArray), "{name}");
        }
        for name in ["a.csv", "a.log", "ndjson"] {
            assert_eq!(said(name, "14102100\",\"C1\":1005}\n"), Some(Format::Csv), "{name}");
        }
        assert_eq!(said("a.csv", "{\"id\":1}"), Some(Format::Ndjson));
        assert_eq!(said("a.ndjson", " \n"), None);
    }

    /// Gives a few bytes at a time, then pauses.
    struct Trickle<'a>(&'a [u8], bool);

    impl Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(ErrorKind::TimedOut.into());
            }
            let count = self.0.len().min(7);
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    #[test]
    fn no_more_is_read_than_it_takes() {
        let read = |text: &[u8]| read_start(&mut Trickle(text, false), || Ok(())).unwrap().len();
        assert!(read(&[b"{\"id\":\"1\",\"click\":0}\n".as_slice(), &[b'x'; 1_000]].concat()) < 30);
        let cut = read(&[CUT.as_bytes(), &[b'x'; 1_000]].concat());
        assert!((CUT.find("{\"").unwrap()..CUT.len()).contains(&cut), "{cut}");
        assert_eq!(read(&[b'x'; 100]), 100);
        assert!(read(&[b'x'; 200_000]) < MOST_BYTES + 7);
        assert!(read(&[b"a,b\n1,2\n3,4\n5,6\n".as_slice(), &[b'x'; 1_000]].concat()) < 30);
        let stopped = read_start(&mut Trickle(b"x", false), || Err(io::Error::other("stopped")));
        assert_eq!(stopped.unwrap_err().to_string(), "stopped");
    }
}
