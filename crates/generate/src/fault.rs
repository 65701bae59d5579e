//! Broken records. Each has exactly one fault, so there is one right answer to what is wrong with it;
//! and each has its own id, so that it can be repaired and sent again.
//!
//! Only faults about whose error type `docs/EVENTS.md` leaves no doubt are made.

use crate::account::BadKind;
use crate::chance::Chance;
use crate::config::{FUTURE_FROM_MS, FUTURE_TO_MS, Format};
use crate::event::{Event, Field};
use crate::render::{Patch, Style};
use crate::text::{push_i32, push_u64};

const SMALL_NUMBERS: [Field; 3] = [Field::BannerPos, Field::DeviceType, Field::DeviceConnType];

const REQUIRED_NUMBERS: [Field; 4] =
    [Field::Click, Field::BannerPos, Field::DeviceType, Field::DeviceConnType];

const OPTIONAL_NUMBERS: [Field; 9] = [
    Field::C1,
    Field::C14,
    Field::C15,
    Field::C16,
    Field::C17,
    Field::C18,
    Field::C19,
    Field::C20,
    Field::C21,
];

const TEXTS: [Field; 9] = [
    Field::SiteId,
    Field::SiteDomain,
    Field::SiteCategory,
    Field::AppId,
    Field::AppDomain,
    Field::AppCategory,
    Field::DeviceId,
    Field::DeviceIp,
    Field::DeviceModel,
];

/// Ways to be unreadable.
#[derive(Debug, Clone, Copy)]
enum ParseFault {
    /// JSON that ends too early.
    Truncated,
    /// Printable characters that mean nothing.
    Garbage,
    /// Bytes that are not even text.
    Binary,
    /// A line of some other program.
    Foreign,
    /// A text whose bytes are not UTF-8.
    InvalidUtf8,
    /// JSON followed by something else.
    Trailing,
    /// JSON without its first colon.
    MissingColon,
    /// JSON in single quotes.
    SingleQuotes,
    /// A word that is not JSON value.
    BareWord,
    /// CSV with too few cells.
    MissingCells,
    /// CSV with too many cells.
    ExtraCells,
    /// CSV with a quote that is never closed.
    OpenQuote,
    /// CSV with semicolons.
    Semicolons,
}

const JSON_PARSE_FAULTS: [ParseFault; 9] = [
    ParseFault::Truncated,
    ParseFault::Garbage,
    ParseFault::InvalidUtf8,
    ParseFault::Trailing,
    ParseFault::Binary,
    ParseFault::MissingColon,
    ParseFault::SingleQuotes,
    ParseFault::Foreign,
    ParseFault::BareWord,
];

const CSV_PARSE_FAULTS: [ParseFault; 8] = [
    ParseFault::MissingCells,
    ParseFault::ExtraCells,
    ParseFault::OpenQuote,
    ParseFault::Garbage,
    ParseFault::InvalidUtf8,
    ParseFault::Semicolons,
    ParseFault::Binary,
    ParseFault::Foreign,
];

/// Ways to lack a field or to have one of the wrong type.
#[derive(Debug, Clone, Copy)]
enum SchemaFault {
    /// A required field is not there.
    Missing,
    /// A required number is a word.
    WordForNumber,
    /// An optional number is a word.
    WordForOptionalNumber,
    /// A required number is another JSON type.
    OtherForNumber,
    /// A required text is another JSON type.
    OtherForText,
    /// The id or the time is another JSON type.
    OtherForKey,
}

const JSON_SCHEMA_FAULTS: [SchemaFault; 6] = [
    SchemaFault::Missing,
    SchemaFault::WordForNumber,
    SchemaFault::WordForOptionalNumber,
    SchemaFault::OtherForNumber,
    SchemaFault::OtherForText,
    SchemaFault::OtherForKey,
];

const CSV_SCHEMA_FAULTS: [SchemaFault; 3] =
    [SchemaFault::Missing, SchemaFault::WordForNumber, SchemaFault::WordForOptionalNumber];

/// Ways to be out of range.
#[derive(Debug, Clone, Copy)]
enum ValidationFault {
    /// A position or type above 99.
    TooHigh,
    /// A position or type below 0.
    Negative,
    /// A click that is neither 0 nor 1.
    Click,
    /// A text of no characters (JSON only: an empty CSV cell may as well be a missing one).
    EmptyText,
    /// A text of more than 64 characters.
    LongText,
    /// An id of more than 128 characters.
    LongId,
    /// An id with a character outside ASCII.
    ForeignId,
    /// An optional number below -1.
    OptionalTooLow,
    /// A day or hour no calendar has.
    Impossible,
}

const JSON_VALIDATION_FAULTS: [ValidationFault; 9] = [
    ValidationFault::TooHigh,
    ValidationFault::Click,
    ValidationFault::EmptyText,
    ValidationFault::LongText,
    ValidationFault::Impossible,
    ValidationFault::Negative,
    ValidationFault::OptionalTooLow,
    ValidationFault::LongId,
    ValidationFault::ForeignId,
];

const CSV_VALIDATION_FAULTS: [ValidationFault; 8] = [
    ValidationFault::TooHigh,
    ValidationFault::Click,
    ValidationFault::LongText,
    ValidationFault::Impossible,
    ValidationFault::Negative,
    ValidationFault::OptionalTooLow,
    ValidationFault::LongId,
    ValidationFault::ForeignId,
];

const FOREIGN_LINES: [&str; 5] = [
    "<html><body><h1>502 Bad Gateway</h1></body></html>",
    "ERROR upstream timed out while reading response header",
    "Traceback (most recent call last):",
    "-----BEGIN LOG-----",
    "GET /pixel.gif?click=1 HTTP/1.1",
];
const INVALID_UTF8: [&[u8]; 5] = [b"\xff\xfe\xfd", b"ab\xc3(", b"caf\xe9", b"\xed\xa0\x80", b"\xc0\xaf"];
const TRAILING: [&str; 5] = ["}", "]", " x", ",", "\"\""];
const BARE_WORDS: [&str; 4] = ["undefined", "NaN", "None", "-"];
const WORDS: [&str; 5] = ["top", "yes", "n/a", "one", "mobile"];
const NOT_NUMBERS: [&str; 5] = ["true", "null", "{}", "[1]", "1.5"];
const NOT_TEXTS: [&str; 4] = ["true", "null", "{\"id\":\"0badc0de\"}", "[]"];
const IMPOSSIBLE_TIMES: [&str; 8] = [
    "2014-13-21T10:00:00.000Z",
    "2014-02-30T10:00:00.000Z",
    "2014-06-31T10:00:00.000Z",
    "2014-10-21T25:00:00.000Z",
    "14132110",
    "14023010",
    "14063110",
    "14102125",
];

/// Makes broken records, taking turns through the error types and their variants.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    turn: usize,
}

impl Faults {
    /// Appends a broken record made from `event`, without a newline.
    pub(crate) fn write(
        &mut self,
        out: &mut Vec<u8>,
        event: &Event,
        style: Style,
        clock_ms: i64,
        chance: &mut Chance,
    ) -> BadKind {
        let kind = BadKind::ALL[self.turn % BadKind::ALL.len()];
        let variant = self.turn / BadKind::ALL.len();
        self.turn = self.turn.wrapping_add(1);
        let mut maker = Maker { out, event, style, chance };
        match kind {
            BadKind::Parse => maker.break_parse(variant),
            BadKind::Schema => maker.break_schema(variant),
            BadKind::Validation => maker.break_validation(variant),
            BadKind::Future => maker.move_to_future(clock_ms),
        }
        kind
    }
}

/// What it takes to make one broken record.
struct Maker<'a> {
    out: &'a mut Vec<u8>,
    event: &'a Event,
    style: Style,
    chance: &'a mut Chance,
}

impl Maker<'_> {
    fn break_parse(&mut self, variant: usize) {
        let start = self.out.len();
        let fault = match self.style.format {
            Format::Ndjson => JSON_PARSE_FAULTS[variant % JSON_PARSE_FAULTS.len()],
            Format::Csv => CSV_PARSE_FAULTS[variant % CSV_PARSE_FAULTS.len()],
        };
        match fault {
            ParseFault::Truncated => {
                self.write(Patch::Keep);
                let length = self.out.len() - start;
                let kept = 1 + self.chance.below(length as u32 - 1) as usize;
                self.out.truncate(start + kept);
            }
            ParseFault::Garbage => self.write_noise(b'%', 0x21, 0x7e),
            ParseFault::Binary => self.write_noise(0x9f, 0x80, 0xff),
            ParseFault::Foreign => {
                let line = self.pick(&FOREIGN_LINES, "ERROR");
                self.out.extend_from_slice(line.as_bytes());
            }
            ParseFault::InvalidUtf8 => {
                let text = self.pick(&INVALID_UTF8, b"\xff");
                self.put_text(&TEXTS, text);
            }
            ParseFault::Trailing => {
                self.write(Patch::Keep);
                let trailing = self.pick(&TRAILING, "}");
                self.out.extend_from_slice(trailing.as_bytes());
            }
            ParseFault::MissingColon => {
                self.write(Patch::Keep);
                let colon = self.out[start..].iter().position(|&byte| byte == b':');
                self.out.remove(start + colon.unwrap_or(0));
            }
            ParseFault::SingleQuotes => {
                self.write(Patch::Keep);
                self.replace_all(start, b'"', b'\'');
            }
            ParseFault::BareWord => {
                let word = self.pick(&BARE_WORDS, "NaN");
                self.put(&REQUIRED_NUMBERS, word.as_bytes());
            }
            ParseFault::MissingCells => {
                self.write(Patch::Keep);
                let lost = self.chance.between(1, 23);
                for _ in 0..lost {
                    let comma = self.out[start..].iter().rposition(|&byte| byte == b',');
                    self.out.truncate(start + comma.unwrap_or(0));
                }
            }
            ParseFault::ExtraCells => {
                self.write(Patch::Keep);
                let added = self.chance.between(1, 5);
                for _ in 0..added {
                    self.out.extend_from_slice(b",1");
                }
            }
            ParseFault::OpenQuote => self.put(&TEXTS, b"\"0badc0de"),
            ParseFault::Semicolons => {
                self.write(Patch::Keep);
                self.replace_all(start, b',', b';');
            }
        }
    }

    fn break_schema(&mut self, variant: usize) {
        let format = self.style.format;
        let fault = match format {
            Format::Ndjson => JSON_SCHEMA_FAULTS[variant % JSON_SCHEMA_FAULTS.len()],
            Format::Csv => CSV_SCHEMA_FAULTS[variant % CSV_SCHEMA_FAULTS.len()],
        };
        match fault {
            SchemaFault::Missing => {
                let required: &[&[Field]] = match format {
                    Format::Ndjson => &[&[Field::Id, Field::Hour], &REQUIRED_NUMBERS, &TEXTS],
                    Format::Csv => &[&REQUIRED_NUMBERS],
                };
                let group = self.pick(required, &REQUIRED_NUMBERS);
                let field = self.pick(group, Field::Click);
                self.write(Patch::Omit(field));
            }
            SchemaFault::WordForNumber => {
                let word = self.pick(&WORDS, "top");
                self.put_text(&REQUIRED_NUMBERS, word.as_bytes());
            }
            SchemaFault::WordForOptionalNumber => {
                let word = self.pick(&WORDS, "top");
                self.put_text(&OPTIONAL_NUMBERS, word.as_bytes());
            }
            SchemaFault::OtherForNumber => {
                let value = self.pick(&NOT_NUMBERS, "true");
                self.put(&REQUIRED_NUMBERS, value.as_bytes());
            }
            SchemaFault::OtherForText => {
                let value = self.pick(&NOT_TEXTS, "true");
                self.put(&TEXTS, value.as_bytes());
            }
            SchemaFault::OtherForKey => {
                let value = self.pick(&NOT_TEXTS, "true");
                self.put(&[Field::Id, Field::Hour], value.as_bytes());
            }
        }
    }

    fn break_validation(&mut self, variant: usize) {
        let fault = match self.style.format {
            Format::Ndjson => JSON_VALIDATION_FAULTS[variant % JSON_VALIDATION_FAULTS.len()],
            Format::Csv => CSV_VALIDATION_FAULTS[variant % CSV_VALIDATION_FAULTS.len()],
        };
        match fault {
            ValidationFault::TooHigh => {
                let number = self.chance.between(100, 199) as i32;
                self.put_number(&SMALL_NUMBERS, number);
            }
            ValidationFault::Negative => {
                let number = -(self.chance.between(1, 9) as i32);
                self.put_number(&SMALL_NUMBERS, number);
            }
            ValidationFault::Click => {
                let number = self.chance.between(2, 9) as i32;
                self.put_number(&[Field::Click], number);
            }
            ValidationFault::EmptyText => self.put_text(&TEXTS, b""),
            ValidationFault::LongText => {
                let length = self.chance.between(65, 200) as usize;
                self.put_text(&TEXTS, &vec![b'f'; length]);
            }
            ValidationFault::LongId => {
                let length = self.chance.between(129, 300) as usize;
                self.put_text(&[Field::Id], &vec![b'9'; length]);
            }
            ValidationFault::ForeignId => {
                let mut id = "é".as_bytes().to_vec();
                push_u64(&mut id, self.event.id);
                self.put_text(&[Field::Id], &id);
            }
            ValidationFault::OptionalTooLow => {
                let number = -(self.chance.between(2, 999) as i32);
                self.put_number(&OPTIONAL_NUMBERS, number);
            }
            ValidationFault::Impossible => {
                let time = self.pick(&IMPOSSIBLE_TIMES, "14132110");
                self.put_text(&[Field::Hour], time.as_bytes());
            }
        }
    }

    fn move_to_future(&mut self, clock_ms: i64) {
        let spread_ms = (FUTURE_TO_MS - FUTURE_FROM_MS) as u32;
        let ahead_ms = FUTURE_FROM_MS + i64::from(self.chance.below(spread_ms));
        let later = Event { time_ms: clock_ms + ahead_ms, ..*self.event };
        self.style.write(self.out, &later, Patch::Keep);
    }

    fn write(&mut self, patch: Patch<'_>) {
        self.style.write(self.out, self.event, patch);
    }

    /// Writes the event with `bytes`, as they are, in one of `fields`.
    fn put(&mut self, fields: &[Field], bytes: &[u8]) {
        let field = self.pick(fields, Field::Click);
        self.write(Patch::Put(field, bytes));
    }

    /// Writes the event with `text`, in quotes if the format requires them, in one of `fields`.
    fn put_text(&mut self, fields: &[Field], text: &[u8]) {
        match self.style.format {
            Format::Csv => self.put(fields, text),
            Format::Ndjson => self.put(fields, &[b"\"", text, b"\""].concat()),
        }
    }

    fn put_number(&mut self, fields: &[Field], number: i32) {
        let mut digits = Vec::new();
        push_i32(&mut digits, number);
        self.put(fields, &digits);
    }

    /// Writes `first` and then some bytes from `lowest` to `highest`, but none that separates or
    /// quotes CSV cells: in CSV the noise is one cell, which is too few.
    fn write_noise(&mut self, first: u8, lowest: u8, highest: u8) {
        self.out.push(first);
        let length = self.chance.between(3, 80);
        for _ in 0..length {
            let byte = self.chance.between(u32::from(lowest), u32::from(highest)) as u8;
            let separates = matches!(byte, b',' | b'"');
            self.out.push(if separates { b'?' } else { byte });
        }
    }

    fn replace_all(&mut self, start: usize, from: u8, to: u8) {
        for byte in &mut self.out[start..] {
            if *byte == from {
                *byte = to;
            }
        }
    }

    /// One of `choices`; `default` only stands in for an empty list, which none of ours is.
    fn pick<T: Copy>(&mut self, choices: &[T], default: T) -> T {
        self.chance.pick(choices).copied().unwrap_or(default)
    }
}
