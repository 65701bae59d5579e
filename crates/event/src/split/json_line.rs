//! Where a JSON record of NDJSON ends: at the line's end, or where the next object begins.
//!
//! Senders that concatenate JSON write objects one after the other, with or without white space. In
//! `}{"x`, the letter cannot follow the quote within one JSON text: were the quote the end of a string,
//! a comma, a colon or a bracket would come next. So this alone shows that a record ends, also where
//! one before it is damaged. Only where a key begins with such a byte, or there is none, brackets have
//! to be counted.

use super::element::Scanner;
use super::input::{Ahead, End, FindEnd};

/// Finds the end of an object.
#[derive(Debug, Default)]
pub(super) struct JsonLine {
    /// Where to look on.
    at: usize,
    scanner: Scanner,
    /// The scanner has seen the bytes before this.
    scanned: usize,
}

/// What follows a closing brace.
enum Next {
    /// An object, after this much white space.
    Object(usize),
    /// The next record, if the brace closes all that is open.
    Perhaps(usize),
    /// Nothing that ends a record.
    Other,
    Unknown,
}

impl FindEnd for JsonLine {
    fn find(&mut self, text: &[u8], ahead: Ahead) -> Option<End> {
        // A record of NDJSON has its only closing brace right before the line's end.
        while let Some(length) = memchr::memchr2(b'\n', b'}', &text[self.at..]) {
            let found = self.at + length;
            if text[found] == b'\n' {
                let line = &text[..found];
                let length = line.strip_suffix(b"\r").unwrap_or(line).len();
                return Some(End { length, taken: found + 1 });
            }
            let behind = found + 1;
            if text.get(behind) == Some(&b'\n') {
                return Some(End { length: behind, taken: behind + 1 });
            }
            match next(&text[behind..], ahead) {
                Next::Object(space) => return Some(End { length: behind, taken: behind + space }),
                Next::Perhaps(space) if self.closes_all(text, behind) => {
                    return Some(End { length: behind, taken: behind + space });
                }
                Next::Unknown => {
                    self.at = found;
                    return None;
                }
                Next::Perhaps(_) | Next::Other => self.at = behind,
            }
        }
        // The first half of a line end is looked at again together with the other.
        self.at = text.len() - usize::from(text.ends_with(b"\r"));
        None
    }

    fn length_at_end(&self, text: &[u8]) -> usize {
        // Half a line end.
        text.strip_suffix(b"\r").unwrap_or(text).len()
    }

    fn skip(&mut self, text: &[u8]) -> usize {
        self.closes_all(text, self.at);
        self.scanned -= self.at.min(self.scanned);
        std::mem::take(&mut self.at)
    }

    fn restart(&mut self) {
        self.at = 0;
        self.scanned = 0;
        self.scanner = Scanner::default();
    }
}

impl JsonLine {
    /// Whether every bracket and string is closed before `end`.
    fn closes_all(&mut self, text: &[u8], end: usize) -> bool {
        for byte in text.get(self.scanned..end).unwrap_or_default() {
            self.scanner.is_end(*byte);
        }
        self.scanned = self.scanned.max(end);
        self.scanner.is_closed()
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r')
}

fn next(text: &[u8], ahead: Ahead) -> Next {
    let unknown = |otherwise| if ahead == Ahead::More { Next::Unknown } else { otherwise };
    let Some(space) = text.iter().position(|byte| !is_space(*byte)) else {
        // A record that is complete is not too long because of the white space after it.
        return unknown(if ahead == Ahead::Limit { Next::Perhaps(text.len()) } else { Next::Other });
    };
    if text[space] != b'{' {
        return Next::Other;
    }
    let object = &text[space + 1..];
    let Some(key) = object.iter().position(|byte| !is_space(*byte)) else {
        return unknown(Next::Perhaps(space));
    };
    match (object[key], object.get(key + 1)) {
        (b'"', None) => unknown(Next::Perhaps(space)),
        (b'"', Some(b',' | b':' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n')) => Next::Perhaps(space),
        (b'"', Some(_)) => Next::Object(space),
        _ => Next::Perhaps(space),
    }
}
