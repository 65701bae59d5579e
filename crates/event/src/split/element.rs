//! Where an element of a JSON array ends, or an object that goes over several lines.

use super::input::{Ahead, End, FindEnd};

/// What ends a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum EndsAt {
    /// A comma or the bracket that closes the array.
    #[default]
    Separator,
    /// The bracket that closes what was opened.
    Close,
    /// Nothing but the end of the input.
    Never,
}

/// Finds the end of an element.
#[derive(Debug, Default)]
pub(super) struct Element {
    pub ends_at: EndsAt,
    /// The separator that ended the newest one.
    pub ended_by: Option<u8>,
    at: usize,
    scanner: Scanner,
}

impl FindEnd for Element {
    fn find(&mut self, text: &[u8], _ahead: Ahead) -> Option<End> {
        let rest = &text[self.at..];
        let found = match self.ends_at {
            EndsAt::Separator => rest.iter().position(|byte| self.scanner.is_end(*byte)),
            EndsAt::Close => rest.iter().position(|byte| self.scanner.is_close(*byte)),
            EndsAt::Never => None,
        };
        let Some(length) = found else {
            self.at = text.len();
            self.ended_by = None;
            return None;
        };
        let end = self.at + length;
        self.ended_by = Some(text[end]);
        let is_part = self.ends_at == EndsAt::Close;
        Some(End { length: end + usize::from(is_part), taken: end + 1 })
    }

    fn skip(&mut self, _text: &[u8]) -> usize {
        std::mem::take(&mut self.at)
    }

    fn restart(&mut self) {
        self.at = 0;
        self.scanner = Scanner::default();
    }
}

/// Follows strings and brackets.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    depth: u32,
    in_string: bool,
    escaped: bool,
}

impl Scanner {
    /// Whether the byte is the bracket that closes what the first byte opened.
    fn is_close(&mut self, byte: u8) -> bool {
        let depth_before = self.depth;
        self.is_end(byte);
        depth_before == 1 && self.depth == 0
    }

    /// Whether nothing is open.
    pub fn is_closed(&self) -> bool {
        self.depth == 0 && !self.in_string
    }

    /// Whether the byte is the comma or bracket that ends the element.
    pub fn is_end(&mut self, byte: u8) -> bool {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return false;
        }
        match byte {
            b'"' => self.in_string = true,
            b'[' | b'{' => self.depth += 1,
            b',' | b']' if self.depth == 0 => return true,
            b']' | b'}' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        false
    }
}
