//! From a record's bytes to an event.

use crate::csv::{self, CsvColumns};
use crate::fields::Own;
use crate::json;
use crate::validate::validate;
use crate::{EventError, FieldMap, Millis, Parsed};

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

/// Parses and validates records one by one. Keeps a buffer for texts that have to be rewritten
/// (escapes, doubled quotes), so that an event can borrow from it; all others borrow from the record.
#[derive(Debug, Default)]
pub struct Parser {
    rules: Rules,
    rewritten: String,
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
            return validate(&fields, rewritten, rules.max_future_ms, now);
        };
        let mut fields = json::fields(payload, rewritten, mapping)?;
        mapping.fill(&mut fields);
        validate(&fields, rewritten, rules.max_future_ms, now).map_err(|error| mapping.explain(error))
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
            return validate(&fields, rewritten, rules.max_future_ms, now);
        };
        mapping.fill(&mut fields);
        validate(&fields, rewritten, rules.max_future_ms, now).map_err(|error| mapping.explain(error))
    }
}
