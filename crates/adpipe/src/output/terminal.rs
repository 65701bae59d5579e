//! What may be sent to a terminal.
//!
//! A record may hold anything: sequences that move the cursor, set the window's title or type for the
//! user, and characters that show text in another order than it is stored (Trojan Source,
//! CVE-2021-42574). On a terminal they are shown as `\u001b`, which is also how JSON writes them, so
//! that JSON keeps its meaning. What is not a terminal, a file or another program, gets the bytes.

use std::borrow::Cow;
use std::io::{BufWriter, IsTerminal, Stdout, Write};

/// Whether this character drives a terminal or hides what the text says: C0, C1 and DEL, and the
/// bidirectional controls (Unicode Standard Annex 9) and line separators.
fn is_driving(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}')
}

fn escape(text: &str, is_kept: impl Fn(char) -> bool) -> Cow<'_, str> {
    let is_escaped = |character: char| is_driving(character) && !is_kept(character);
    if !text.contains(is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '\n' if is_escaped('\n') => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' if is_escaped('\t') => shown.push_str("\\t"),
            // All of them are in the first plane.
            other if is_escaped(other) => shown.push_str(&format!("\\u{:04x}", u32::from(other))),
            other => shown.push(other),
        }
    }
    Cow::Owned(shown)
}

/// Text in one line with nothing that drives a terminal.
pub fn escaped(text: &str) -> Cow<'_, str> {
    escape(text, |_| false)
}

/// The same of a whole output, for a terminal: its line ends and tabs stay. For anything else it is
/// the text itself.
pub fn harmless(text: &str, is_terminal: bool) -> Cow<'_, str> {
    if is_terminal { escape(text, |character| matches!(character, '\n' | '\t')) } else { Cow::Borrowed(text) }
}

/// Columns of the terminal that results go to; none when they go elsewhere.
pub fn width() -> Option<usize> {
    terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| usize::from(width.0))
}

/// The beginning of a text that is longer than so many columns, with `…` at its end.
pub fn cut(text: &str, most: usize) -> Cow<'_, str> {
    if super::width(text) <= most {
        return Cow::Borrowed(text);
    }
    let mut used = 1;
    let mut shown = String::new();
    for character in text.chars() {
        used += unicode_width::UnicodeWidthChar::width(character).unwrap_or(0);
        if used > most {
            break;
        }
        shown.push(character);
    }
    shown.push('…');
    Cow::Owned(shown)
}

/// Stdout, buffered: as it is for a file or another program, harmless for a terminal.
pub struct Results<W: Write = Stdout> {
    out: BufWriter<W>,
    is_terminal: bool,
    /// The beginning of a character whose rest is still to come.
    begun: Vec<u8>,
}

impl Results {
    /// The process' own.
    pub fn stdout() -> Results {
        let out = std::io::stdout();
        Results { is_terminal: out.is_terminal(), out: BufWriter::new(out), begun: Vec::new() }
    }
}

impl<W: Write> Results<W> {
    fn write_shown(&mut self) -> std::io::Result<()> {
        let bytes = std::mem::take(&mut self.begun);
        let mut rest = bytes.as_slice();
        loop {
            let (valid, damaged) = match std::str::from_utf8(rest) {
                Ok(text) => return self.out.write_all(harmless(text, true).as_bytes()),
                Err(error) => (error.valid_up_to(), error.error_len()),
            };
            let text = std::str::from_utf8(&rest[..valid]).unwrap_or_default();
            self.out.write_all(harmless(text, true).as_bytes())?;
            let Some(length) = damaged else {
                self.begun = rest[valid..].to_vec();
                return Ok(());
            };
            self.out.write_all("\u{fffd}".as_bytes())?;
            rest = &rest[valid + length..];
        }
    }
}

impl<W: Write> Write for Results<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if !self.is_terminal {
            return self.out.write(bytes);
        }
        self.begun.extend_from_slice(bytes);
        self.write_shown()?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        if !std::mem::take(&mut self.begun).is_empty() {
            self.out.write_all("\u{fffd}".as_bytes())?;
        }
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_drives_a_terminal_is_escaped() {
        let nasty = "a\u{1b}[2J\u{9b}1m\u{202e}b\u{7f}\u{2066}\r\n\tc 김";
        assert_eq!(escaped(nasty), "a\\u001b[2J\\u009b1m\\u202eb\\u007f\\u2066\\r\\n\\tc 김");
        assert_eq!(harmless(nasty, true), "a\\u001b[2J\\u009b1m\\u202eb\\u007f\\u2066\\r\n\tc 김");
        assert_eq!(harmless(nasty, false), nasty);
        let json = serde_json::to_string(nasty).unwrap();
        let shown = harmless(&json, true);
        assert!(!shown.contains(is_driving), "{shown}");
        assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), nasty, "JSON keeps its meaning");
    }

    #[test]
    fn characters_may_come_in_pieces() {
        let text = "김\u{202e}\u{1b}é".as_bytes();
        for size in 1..5 {
            let mut shown = Vec::new();
            let mut results =
                Results { out: BufWriter::new(&mut shown), is_terminal: true, begun: Vec::new() };
            for piece in text.chunks(size).chain([&b"\xffx"[..], &b"\xec"[..]]) {
                results.write_all(piece).unwrap();
            }
            results.flush().unwrap();
            drop(results);
            assert_eq!(String::from_utf8(shown).unwrap(), "김\\u202e\\u001bé\u{fffd}x\u{fffd}");
        }
    }
}
