//! What makes errors one cause: type, stage, field, and the message with its values masked.

use std::hash::BuildHasher;

/// Longest masked message; the beginning is enough to identify a cause.
const LONGEST: usize = 300;

/// The message with everything that differs from record to record replaced: quoted text by `"…"`,
/// numbers by `#`.
pub fn mask(message: &str) -> String {
    let mut masked = String::with_capacity(message.len());
    let mut rest = message.chars().peekable();
    let mut after_word = false;
    while let Some(character) = rest.next() {
        if matches!(character, '"' | '`' | '“') {
            let close = if character == '“' { '”' } else { character };
            skip_quoted(&mut rest, close);
            masked.push_str("\"…\"");
        } else if character == '\'' && skip_character(&mut rest) {
            masked.push_str("\"…\"");
        } else if (character.is_ascii_digit() || is_sign(character, &rest)) && !after_word {
            skip_number(&mut rest);
            masked.push('#');
        } else {
            masked.push(character);
        }
        after_word = character.is_alphabetic() || (after_word && character.is_ascii_digit());
        if masked.len() > LONGEST {
            masked.push('…');
            break;
        }
    }
    masked
}

fn skip_quoted(rest: &mut std::iter::Peekable<std::str::Chars<'_>>, close: char) {
    while let Some(character) = rest.next() {
        if character == '\\' {
            rest.next();
        } else if character == close {
            return;
        }
    }
}

/// Skips the rest of a number. Of a range, `0..=99`, the dots stay.
fn skip_number(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    while let Some(next) = rest.peek().copied() {
        let is_point = next == '.' && rest.clone().nth(1).is_some_and(|digit| digit.is_ascii_digit());
        if !next.is_ascii_alphanumeric() && next != '_' && !is_point {
            return;
        }
        rest.next();
    }
}

/// A sign is part of its number.
fn is_sign(character: char, rest: &std::iter::Peekable<std::str::Chars<'_>>) -> bool {
    character == '-' && rest.clone().next().is_some_and(|next| next.is_ascii_digit())
}

/// Skips a quoted character after its first quote, as in `x'` and `\n'`. False, with nothing skipped,
/// for an apostrophe.
fn skip_character(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> bool {
    let mut ahead = rest.clone();
    let is_escape = ahead.next() == Some('\\');
    let closed = if is_escape {
        // What is escaped may be a quote itself.
        ahead.next().is_some() && ahead.any(|next| next == '\'')
    } else {
        ahead.next() == Some('\'')
    };
    if closed {
        *rest = ahead;
    }
    closed
}

/// The group's id: sixteen hexadecimal digits, the same in every process and version.
pub(crate) fn fingerprint(error_type: &str, stage: &str, field: Option<&str>, masked: &str) -> String {
    let hasher = foldhash::quality::FixedState::with_seed(0x64_6c_71);
    let text = format!("{error_type}\u{1f}{stage}\u{1f}{}\u{1f}{masked}", field.unwrap_or_default());
    format!("{:016x}", hasher.hash_one(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_masked_and_words_stay() {
        for (message, masked) in [
            ("banner_pos is 120, more than 99", "banner_pos is #, more than #"),
            (
                "click is \"may\\\"be\", not 0 or 1",
                "click is \"…\", not 0 or 1".replace("0 or 1", "# or #").as_str(),
            ),
            ("'}' at byte 5 where a value should be", "\"…\" at byte # where a value should be"),
            ("'\\u{1f}' at byte 5", "\"…\" at byte #"),
            ("it doesn't 'fit'", "it doesn't 'fit'"),
            ("'\\'' at byte 5", "\"…\" at byte #"),
            ("C21 -77 is out of range -1..=9", "C21 # is out of range #..=#"),
            ("C14 is missing", "C14 is missing"),
            ("byte 0x1f at 3.5e7", "byte # at #"),
            ("unterminated \"quote", "unterminated \"…\""),
        ] {
            assert_eq!(mask(message), masked);
        }
        assert!(mask(&"é".repeat(1_000)).len() < 310);
    }

    #[test]
    fn the_fingerprint_is_of_the_cause() {
        let of = |field, message| fingerprint("validation", "stream", field, &mask(message));
        assert_eq!(of(Some("click"), "click is 3"), of(Some("click"), "click is 77"));
        assert_ne!(of(Some("click"), "click is 3"), of(Some("hour"), "click is 3"));
        // Stored in tables: it may never change.
        assert_eq!(fingerprint("a", "b", None, "c").len(), 16);
    }
}
