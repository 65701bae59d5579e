//! Cells of CSV.
//!
//! A spreadsheet runs a cell that begins with `=`, `+`, `-` or `@` as a formula, also from a file
//! (OWASP, "CSV Injection"). Such a text, and one that begins with an apostrophe, gets an apostrophe in front:
//! spreadsheets take that for the mark of a text. Removing one apostrophe from the front of every
//! text that has one gives back the texts as they are. Numbers stay numbers.

use std::borrow::Cow;

use adpipe_warehouse::Value;

/// Whether cells are written for people or for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cells {
    /// No text is a formula.
    Harmless,
    /// Every text as it is.
    Exact,
}

impl Cells {
    /// A value as a cell, quoted where CSV needs it (RFC 4180).
    pub fn cell(self, value: &Value) -> String {
        match value {
            Value::Text(text) => self.text(text),
            other => quoted(&other.to_string()).into_owned(),
        }
    }

    /// A text as a cell.
    pub fn text(self, text: &str) -> String {
        if self == Cells::Harmless && is_formula(text) {
            quoted(&format!("'{text}")).into_owned()
        } else {
            quoted(text).into_owned()
        }
    }
}

/// Whether a spreadsheet would not take the text for a text. Some remove tabs and line ends first,
/// and some know the wide forms of the signs.
fn is_formula(text: &str) -> bool {
    let begins = text.starts_with([
        '=', '+', '-', '@', '\t', '\r', '\n', '\'', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}',
    ]);
    begins && !is_number(text)
}

/// Digits with a sign, a point and an exponent, as databases write numbers; nothing else that Rust
/// reads as one.
fn is_number(text: &str) -> bool {
    let is_digit_or_mark =
        |byte: u8| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E');
    text.bytes().all(is_digit_or_mark) && text.parse::<f64>().is_ok()
}

fn quoted(text: &str) -> Cow<'_, str> {
    if text.contains([',', '"', '\n', '\r']) {
        Cow::Owned(format!("\"{}\"", text.replace('"', "\"\"")))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_is_a_formula_and_numbers_stay_numbers() {
        let cell = |text: &str| Cells::Harmless.text(text);
        for (text, expected) in [
            ("=1+1", "'=1+1"),
            ("=HYPERLINK(\"x\",1)", "\"'=HYPERLINK(\"\"x\"\",1)\""),
            ("+A1", "'+A1"),
            ("-2+3|cmd", "'-2+3|cmd"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("\r=1", "\"'\r=1\""),
            ("\u{ff1d}1", "'\u{ff1d}1"),
            ("'tis", "''tis"),
            ("-", "'-"),
            ("-1", "-1"),
            ("+1.5e3", "+1.5e3"),
            ("a=b", "a=b"),
            ("", ""),
        ] {
            assert_eq!(cell(text), expected, "{text:?}");
            assert_eq!(Cells::Exact.text(text), quoted(text), "{text:?}");
        }
        assert_eq!(Cells::Harmless.cell(&Value::Int(-5)), "-5");
        assert_eq!(Cells::Harmless.cell(&Value::Real(-0.5)), "-0.5");
        assert_eq!(Cells::Harmless.cell(&Value::Null), "");
    }

    #[test]
    fn taking_one_apostrophe_away_gives_the_text_back() {
        let signs = ['\'', '=', '+', '-', '@', '\t', '\r', '\n', '0', '.', 'a', ',', '"'];
        let texts = signs.iter().flat_map(|first| {
            signs.iter().flat_map(move |second| signs.map(|third| format!("{first}{second}{third}")))
        });
        for text in texts {
            let cell = Cells::Harmless.text(&text);
            let read = match cell.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
                Some(inner) => inner.replace("\"\"", "\""),
                None => cell,
            };
            assert_eq!(read.strip_prefix('\'').unwrap_or(&read), text, "{text:?}");
        }
    }
}
