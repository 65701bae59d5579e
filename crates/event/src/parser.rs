//! From a record's bytes to an event.

use crate::csv::{self, CsvColumns};
use crate::fields::Own;
use crate::json;
use crate::validate::{FIELD_COUNT, RawValue, validate};
use crate::{Event, EventError, FieldMap, Millis, Warnings};

/// Rules that the user may set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// How far ahead of the clock an event's time may be, ms.
    pub max_future_ms: i64,
    /// Which fields of the input give those of an event.
    pub fields: FieldMap,
}

impl Rules {
    /// Takes an event of any time: whether it was ahead of the clock was decided before.
    pub fn of_any_time(fields: FieldMap) -> Rules {
        Rules { max_future_ms: i64::MAX, fields }
    }
}

impl Default for Rules {
    fn default() -> Rules {
        Rules { max_future_ms: 3_600_000, fields: FieldMap::default() }
    }
}

/// An event, and what is odd about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parsed<'a> {
    /// The event.
    pub event: Event<'a>,
    /// What is odd about it.
    pub warnings: Warnings,
}

/// Parses and validates records one by one. Keeps a buffer for texts that have to be rewritten
/// (escapes, doubled quotes), so that an event can borrow from it; all others borrow from the record.
#[derive(Debug, Default)]
pub struct Parser {
    rules: Rules,
    rewritten: String,
}

/// The fields of a record before validation.
pub(crate) struct Fields<'a> {
    pub values: [RawValue<'a>; FIELD_COUNT],
    pub unknown: u32,
    /// Whether the whole record is printable ASCII: then so is every text in it, which does not have to
    /// be checked separately.
    pub is_plain: bool,
}

impl Fields<'_> {
    /// None yet, of this record.
    pub fn of(record: &[u8]) -> Self {
        Fields { values: [const { RawValue::Absent }; FIELD_COUNT], unknown: 0, is_plain: is_plain(record) }
    }

    /// Whether the field's text is printable ASCII for certain.
    pub fn has_plain(&self, field: usize) -> bool {
        self.is_plain && !matches!(self.values[field], RawValue::RewrittenText(_))
    }
}

/// Whether all is printable ASCII.
pub(crate) fn is_plain(text: &[u8]) -> bool {
    // A largest byte is found sixteen at a time, a byte that is out of range one at a time.
    text.iter().fold(0, |most: u8, byte| most.max(byte.wrapping_sub(b' '))) <= b'~' - b' '
}

impl Parser {
    /// A parser with these rules.
    pub fn new(rules: Rules) -> Parser {
        Parser { rules, rewritten: String::new() }
    }

    /// Parses one JSON object. `now` is the clock that `future` is measured by.
    ///
    /// # Errors
    /// The first broken rule, in the order of the fields.
    pub fn parse_json<'a>(&'a mut self, payload: &'a [u8], now: Millis) -> Result<Parsed<'a>, EventError> {
        let Parser { rules, rewritten } = self;
        rewritten.clear();
        let Some(mapping) = rules.fields.mapping() else {
            let fields = json::fields(payload, rewritten, Own)?;
            return validate(&fields, rewritten, rules, now);
        };
        let mut fields = json::fields(payload, rewritten, mapping)?;
        mapping.fill(&mut fields);
        validate(&fields, rewritten, rules, now).map_err(|error| mapping.explain(error))
    }

    /// Parses one CSV row; `columns` were read with the parser's own fields.
    ///
    /// # Errors
    /// The first broken rule, in the order of the fields.
    pub fn parse_csv<'a>(
        &'a mut self,
        columns: &CsvColumns,
        line: &'a [u8],
        now: Millis,
    ) -> Result<Parsed<'a>, EventError> {
        let Parser { rules, rewritten } = self;
        rewritten.clear();
        let mut fields = csv::fields(columns, line, rewritten)?;
        let Some(mapping) = rules.fields.mapping() else {
            return validate(&fields, rewritten, rules, now);
        };
        mapping.fill(&mut fields);
        validate(&fields, rewritten, rules, now).map_err(|error| mapping.explain(error))
    }
}
