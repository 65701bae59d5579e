//! Reads a JSON object of known fields without building it (RFC 8259).
//!
//! Of a key that occurs twice the last value counts, as in most JSON readers. Which keys are known is a
//! parameter, so that reading our own names costs nothing where a source has others.

use std::ops::Range;

use crate::fields::Names;
use crate::foreign::sniff_foreign_record;
use crate::mark::mark_length;
use crate::raw::{Fields, RawValue};
use crate::{ErrorType, EventError};

/// How deep a record may be nested, its own braces included.
const DEEPEST: u32 = 64;

/// The known fields of an object.
pub(crate) fn fields<'a, N: Names>(
    payload: &'a [u8],
    rewritten: &mut String,
    names: N,
) -> Result<Fields<'a>, EventError> {
    object_of(payload, rewritten, names).map_err(|error| named(error, payload))
}

/// What cannot be read because it is something else is named.
#[cold]
fn named(error: EventError, payload: &[u8]) -> EventError {
    match sniff_foreign_record(payload).filter(|_| error.error_type == ErrorType::Parse) {
        Some(reason) => EventError::parse(format!("the record {reason}")),
        None => error,
    }
}

fn object_of<'a, N: Names>(
    payload: &'a [u8],
    rewritten: &mut String,
    names: N,
) -> Result<Fields<'a>, EventError> {
    let mut reader = Reader::of_object(payload)?;
    let fields = reader.object(rewritten, names)?;
    reader.end()?;
    Ok(fields)
}

/// Calls `on_member` with the name and the value of every member of an object, where texts that were
/// rewritten lie in the text it is given.
pub(crate) fn each_member<'a>(
    payload: &'a [u8],
    mut on_member: impl FnMut(&str, RawValue<'a>, &str),
) -> Result<(), EventError> {
    let mut reader = Reader::of_object(payload)?;
    let mut rewritten = String::new();
    reader.each_member(&mut rewritten, |reader, name, rewritten| {
        let name = match name {
            Str::Plain(name) => name.to_owned(),
            Str::Rewritten(range) => rewritten[range].to_owned(),
        };
        reader.colon()?;
        let value = reader.value(rewritten)?;
        on_member(&name, value, rewritten);
        Ok(())
    })?;
    reader.end()
}

struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

/// A string as it is, or rewritten without its escapes.
enum Str<'a> {
    Plain(&'a str),
    Rewritten(Range<usize>),
}

impl<'a> Reader<'a> {
    /// Stands on the brace that opens an object.
    fn of_object(payload: &'a [u8]) -> Result<Reader<'a>, EventError> {
        let text = std::str::from_utf8(payload)
            .map_err(|error| EventError::parse(format!("not valid UTF-8 at byte {}", error.valid_up_to())))?;
        let mut reader = Reader { text, bytes: payload, at: mark_length(payload) };
        reader.skip_space();
        match reader.peek() {
            Some(b'{') => Ok(reader),
            _ => Err(reader.not_an_object()),
        }
    }

    /// Nothing may follow the object.
    fn end(&mut self) -> Result<(), EventError> {
        self.skip_space();
        if self.at == self.bytes.len() { Ok(()) } else { Err(self.unexpected("the end of the record")) }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn unexpected(&self, wanted: &str) -> EventError {
        match self.text.get(self.at..).and_then(|rest| rest.chars().next()) {
            Some(found) => {
                EventError::parse(format!("{found:?} at byte {} where {wanted} should be", self.at))
            }
            None => {
                EventError::parse(format!("the record ends at byte {} where {wanted} should be", self.at))
            }
        }
    }

    /// Valid JSON that is not an object has the wrong shape; anything else is not readable.
    fn not_an_object(mut self) -> EventError {
        if self.at == self.bytes.len() {
            return EventError::parse("the record is empty");
        }
        if let Err(error) = self.skip_value(0) {
            return error;
        }
        self.skip_space();
        if self.at != self.bytes.len() {
            return self.unexpected("the end of the record");
        }
        EventError {
            error_type: ErrorType::Schema,
            field: None,
            message: "the record is JSON but not an object".to_owned(),
        }
    }

    fn object<N: Names>(&mut self, rewritten: &mut String, names: N) -> Result<Fields<'a>, EventError> {
        let mut fields = Fields::of(self.bytes);
        let mut ranks = N::Ranks::default();
        self.each_member(rewritten, |reader, name, rewritten| {
            let known = match name {
                Str::Plain(name) => names.place(name.as_bytes()),
                Str::Rewritten(range) => names.place(rewritten[range].as_bytes()),
            };
            reader.colon()?;
            match known {
                Some(place) => N::put(&mut fields, &mut ranks, place, reader.value(rewritten)?),
                None => {
                    reader.skip_value(1)?;
                    fields.unknown += 1;
                }
            }
            Ok(())
        })?;
        Ok(fields)
    }

    /// Reads an object; `on_member` is called after a name and reads colon and value.
    #[inline(always)]
    fn each_member(
        &mut self,
        rewritten: &mut String,
        mut on_member: impl FnMut(&mut Self, Str<'a>, &mut String) -> Result<(), EventError>,
    ) -> Result<(), EventError> {
        self.at += 1;
        self.skip_space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.unexpected("a field name"));
            }
            let name = self.string(rewritten)?;
            on_member(self, name, rewritten)?;
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.unexpected("',' or '}'")),
            }
            self.skip_space();
        }
    }

    #[inline]
    fn colon(&mut self) -> Result<(), EventError> {
        self.skip_space();
        if self.peek() != Some(b':') {
            return Err(self.unexpected("':'"));
        }
        self.at += 1;
        self.skip_space();
        Ok(())
    }

    fn value(&mut self, rewritten: &mut String) -> Result<RawValue<'a>, EventError> {
        match self.peek() {
            Some(b'"') => Ok(match self.string(rewritten)? {
                Str::Plain(text) => RawValue::Text(text),
                Str::Rewritten(range) => RawValue::RewrittenText(range),
            }),
            Some(b'-' | b'0'..=b'9') => self.number().map(RawValue::Number),
            Some(b'n') => self.literal("null").map(|()| RawValue::Absent),
            Some(b't') => self.literal("true").map(|()| RawValue::Other("true")),
            Some(b'f') => self.literal("false").map(|()| RawValue::Other("false")),
            Some(b'[') => self.skip_value(1).map(|()| RawValue::Other("an array")),
            Some(b'{') => self.skip_value(1).map(|()| RawValue::Other("an object")),
            _ => Err(self.unexpected("a value")),
        }
    }

    fn literal(&mut self, word: &'static str) -> Result<(), EventError> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(self.unexpected("a value"));
        }
        self.at += word.len();
        Ok(())
    }

    fn number(&mut self) -> Result<&'a str, EventError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.skip_digits(),
            _ => return Err(self.unexpected("a digit")),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.some_digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.some_digits()?;
        }
        Ok(&self.text[start..self.at])
    }

    fn skip_digits(&mut self) {
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
    }

    fn some_digits(&mut self) -> Result<(), EventError> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(self.unexpected("a digit"));
        }
        self.skip_digits();
        Ok(())
    }

    /// Reads a string; the reader is at its opening quote.
    fn string(&mut self, rewritten: &mut String) -> Result<Str<'a>, EventError> {
        self.at += 1;
        let start = self.at;
        self.skip_plain();
        if self.peek() == Some(b'"') {
            let text = &self.text[start..self.at];
            self.at += 1;
            return Ok(Str::Plain(text));
        }
        let rewritten_start = rewritten.len();
        rewritten.push_str(&self.text[start..self.at]);
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Str::Rewritten(rewritten_start..rewritten.len()));
                }
                Some(b'\\') => rewritten.push(self.escape()?),
                Some(_) => return Err(self.unexpected("a string without raw control characters")),
                None => return Err(self.unexpected("the end of a string")),
            }
            let plain = self.at;
            self.skip_plain();
            rewritten.push_str(&self.text[plain..self.at]);
        }
    }

    /// Continues to the next quote, backslash or control character, eight bytes at a time.
    #[inline]
    fn skip_plain(&mut self) {
        while let Some(chunk) = self.bytes[self.at..].first_chunk::<8>() {
            let special = special_bytes(u64::from_le_bytes(*chunk));
            if special != 0 {
                self.at += (special.trailing_zeros() / 8) as usize;
                return;
            }
            self.at += 8;
        }
        while let Some(byte) = self.peek() {
            if byte == b'"' || byte == b'\\' || byte < b' ' {
                return;
            }
            self.at += 1;
        }
    }

    fn escape(&mut self) -> Result<char, EventError> {
        self.at += 1;
        let character = match self.peek() {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.unicode_escape();
            }
            _ => return Err(self.unexpected("an escape")),
        };
        self.at += 1;
        Ok(character)
    }

    fn unicode_escape(&mut self) -> Result<char, EventError> {
        let first = self.four_hex()?;
        let code = match first {
            0xD800..=0xDBFF => {
                if !self.bytes[self.at..].starts_with(b"\\u") {
                    return Err(self.unexpected("the second half of a surrogate pair"));
                }
                self.at += 2;
                let second = self.four_hex()?;
                if !(0xDC00..=0xDFFF).contains(&second) {
                    return Err(self.unexpected("the second half of a surrogate pair"));
                }
                0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)
            }
            single => single,
        };
        char::from_u32(code).ok_or_else(|| self.unexpected("the first half of a surrogate pair"))
    }

    fn four_hex(&mut self) -> Result<u32, EventError> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| (byte as char).to_digit(16));
            let Some(digit) = digit else { return Err(self.unexpected("a hexadecimal digit")) };
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }

    /// Reads over any value and checks its grammar.
    fn skip_value(&mut self, depth: u32) -> Result<(), EventError> {
        match self.peek() {
            Some(b'"') => self.skip_string(),
            Some(b'-' | b'0'..=b'9') => self.number().map(drop),
            Some(b'n') => self.literal("null"),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'[' | b'{') if depth >= DEEPEST => {
                Err(EventError::parse(format!("nested deeper than {DEEPEST} levels at byte {}", self.at)))
            }
            Some(b'[') => self.skip_members(b']', depth, false),
            Some(b'{') => self.skip_members(b'}', depth, true),
            _ => Err(self.unexpected("a value")),
        }
    }

    fn skip_members(&mut self, close: u8, depth: u32, named: bool) -> Result<(), EventError> {
        self.at += 1;
        self.skip_space();
        if self.peek() == Some(close) {
            self.at += 1;
            return Ok(());
        }
        loop {
            if named {
                if self.peek() != Some(b'"') {
                    return Err(self.unexpected("a field name"));
                }
                self.skip_string()?;
                self.skip_space();
                if self.peek() != Some(b':') {
                    return Err(self.unexpected("':'"));
                }
                self.at += 1;
                self.skip_space();
            }
            self.skip_value(depth + 1)?;
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(byte) if byte == close => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.unexpected("',' or the closing bracket")),
            }
            self.skip_space();
        }
    }

    fn skip_string(&mut self) -> Result<(), EventError> {
        self.at += 1;
        loop {
            self.skip_plain();
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape().map(drop)?,
                Some(_) => return Err(self.unexpected("a string without raw control characters")),
                None => return Err(self.unexpected("the end of a string")),
            }
        }
    }
}

/// A bit in the high place of each byte that is a quote, a backslash or below a space. Bits above
/// the lowest may be false alarms (borrows), the lowest never is. Source: Sean Anderson, "Bit
/// Twiddling Hacks", a byte less than n.
#[inline]
fn special_bytes(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let quotes = word ^ (ONES * b'"' as u64);
    let backslashes = word ^ (ONES * b'\\' as u64);
    let is_quote = quotes.wrapping_sub(ONES) & !quotes;
    let is_backslash = backslashes.wrapping_sub(ONES) & !backslashes;
    let is_control = word.wrapping_sub(ONES * b' ' as u64) & !word;
    (is_quote | is_backslash | is_control) & HIGHS
}
