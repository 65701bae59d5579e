//! Where a row of CSV ends: at `\n`, `\r\n` or a lone `\r`.
//!
//! A `\n` always ends it, so that a quote left open spoils its own row and not the rest of the file.
//! A lone `\r` (files of old Macintosh programs) ends it outside of quotes; within a quoted cell it
//! is data, provided that the cell is closed before the line ends.

use super::input::{Ahead, End, FindEnd};

/// Finds the end of a row.
#[derive(Debug, Default)]
pub(super) struct CsvLine {
    /// Where to look on.
    at: usize,
    /// What comes from here on begins with a cell; before it every quote is closed.
    cells_from: usize,
    is_skipping: bool,
}

/// What a quoted cell that holds a `\r` comes to.
enum Quoted {
    /// Closed by the quote at this place.
    Closed(usize),
    /// Not closed, or not as CSV closes it.
    Open,
    Unknown,
}

impl FindEnd for CsvLine {
    fn find(&mut self, text: &[u8], ahead: Ahead) -> Option<End> {
        while let Some(length) = memchr::memchr2(b'\n', b'\r', &text[self.at..]) {
            let found = self.at + length;
            if text[found] == b'\n' {
                return Some(End { length: found, taken: found + 1 });
            }
            self.at = found;
            match text.get(found + 1) {
                Some(b'\n') => return Some(End { length: found, taken: found + 2 }),
                None if ahead != Ahead::End => return None,
                _ => {}
            }
            if self.is_skipping || !self.is_quoted(&text[..found]) {
                return Some(End { length: found, taken: found + 1 });
            }
            match closing_quote(text, found, ahead) {
                Quoted::Open => return Some(End { length: found, taken: found + 1 }),
                Quoted::Unknown => return None,
                Quoted::Closed(quote) => {
                    self.at = quote + 1;
                    // The comma, or the line's end, after the quote.
                    self.cells_from = quote + 2;
                }
            }
        }
        self.at = text.len();
        None
    }

    fn skip(&mut self, _text: &[u8]) -> usize {
        self.is_skipping = true;
        std::mem::take(&mut self.at)
    }

    fn restart(&mut self) {
        *self = CsvLine::default();
    }
}

impl CsvLine {
    /// Whether the row so far ends within a quoted cell.
    fn is_quoted(&self, row: &[u8]) -> bool {
        let Some(mut rest) = row.get(self.cells_from..) else { return false };
        if memchr::memchr(b'"', rest).is_none() {
            return false;
        }
        loop {
            if let Some(quoted) = rest.strip_prefix(b"\"") {
                let Some(close) = close_of(quoted) else { return true };
                rest = &quoted[close + 1..];
            }
            let Some(comma) = memchr::memchr(b',', rest) else { return false };
            rest = &rest[comma + 1..];
        }
    }
}

/// The quote that closes a cell, of what follows the one that opens it.
fn close_of(quoted: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let quote = from + memchr::memchr(b'"', &quoted[from..])?;
        if quoted.get(quote + 1) != Some(&b'"') {
            return Some(quote);
        }
        from = quote + 2;
    }
}

/// Looks from within a quoted cell for its end.
fn closing_quote(text: &[u8], from: usize, ahead: Ahead) -> Quoted {
    let mut from = from;
    while let Some(length) = memchr::memchr2(b'"', b'\n', &text[from..]) {
        let found = from + length;
        match (text[found], text.get(found + 1)) {
            (b'\n', _) => return Quoted::Open,
            (_, Some(b'"')) => from = found + 2,
            (_, Some(b',' | b'\r' | b'\n')) => return Quoted::Closed(found),
            (_, Some(_)) => return Quoted::Open,
            (_, None) if ahead == Ahead::End => return Quoted::Closed(found),
            (_, None) => break,
        }
    }
    if ahead == Ahead::More { Quoted::Unknown } else { Quoted::Open }
}
