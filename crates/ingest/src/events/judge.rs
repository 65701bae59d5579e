//! Whether a body is worth storing: what it holds, as far as that is to be known before the first
//! of its records goes into the log.
//!
//! Every record is counted; some, chosen at random, are parsed. Only a body that looks bad by these
//! is parsed whole, so an ordinary one costs nothing worth mentioning.

use adpipe_event::{CsvColumns, ErrorType, EventError, FieldMap, InputRecord, Millis, Parser, Rules};
use axum::http::StatusCode;

use crate::http::Refusal;

/// One of so many records is looked at, on average.
const SAMPLE: u32 = 64;

/// No event is shorter than this, whatever its format: what is wrong with such a record cannot be
/// repaired either.
const SHORTEST_EVENT_BYTES: usize = 24;

/// A body is refused when more than this part of its records are unreadable: 9 of 10.
const UNREADABLE_PART: (u64, u64) = (9, 10);

/// What one body may hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct ContentLimits {
    pub max_records: u64,
    /// Unreadable records of a body that holds hardly anything else.
    pub max_errors: u64,
    pub max_record_bytes: usize,
}

/// Looks at the records of a body, one after the other.
pub(super) struct Judge<'l> {
    limits: &'l ContentLimits,
    parser: Parser,
    now: Millis,
    /// Records until one is looked at; always 0 when all are.
    until_sample: u32,
    is_thorough: bool,
    records: u64,
    too_long: u64,
    sampled: u64,
    unreadable: u64,
}

/// What is to be said of a whole body.
pub(super) enum Judged {
    /// So many records; some of them are longer than a record may be.
    Fine { records: u64, too_long: u64 },
    /// Most of what was looked at is unreadable: all of it has to be looked at.
    Doubtful,
}

impl<'l> Judge<'l> {
    /// Looks at some of the records.
    pub fn sampling(limits: &'l ContentLimits, fields: &FieldMap) -> Judge<'l> {
        Judge::new(limits, fields, false)
    }

    /// Looks at every record.
    pub fn thorough(limits: &'l ContentLimits, fields: &FieldMap) -> Judge<'l> {
        Judge::new(limits, fields, true)
    }

    fn new(limits: &'l ContentLimits, fields: &FieldMap, is_thorough: bool) -> Judge<'l> {
        Judge {
            limits,
            parser: Parser::new(Rules { fields: fields.clone(), ..Rules::default() }),
            now: Millis::now(),
            until_sample: 0,
            is_thorough,
            records: 0,
            too_long: 0,
            sampled: 0,
            unreadable: 0,
        }
    }

    /// Takes note of the next record.
    ///
    /// # Errors
    /// 413 when the body holds more records than it may.
    pub fn look_at(&mut self, record: &InputRecord<'_>, columns: Option<&CsvColumns>) -> Result<(), Refusal> {
        self.records += 1;
        if self.records > self.limits.max_records {
            let limit = self.limits.max_records;
            let message = format!(
                "the body holds more than {limit} records (ingest.max_body_records); send it in parts"
            );
            return Err(Refusal::wrong(StatusCode::PAYLOAD_TOO_LARGE, message));
        }
        self.too_long += u64::from(record.truncated_from.is_some());
        if self.until_sample > 0 {
            self.until_sample -= 1;
            return Ok(());
        }
        if !self.is_thorough {
            self.until_sample = rand::random_range(0..2 * SAMPLE - 1);
        }
        self.sampled += 1;
        let parsed = match columns {
            Some(columns) => self.parser.parse_csv(columns, record.payload, self.now),
            None => self.parser.parse_json(record.payload, self.now),
        };
        let is_unreadable = parsed.is_err_and(|error| is_unreadable(&error, record.payload));
        self.unreadable += u64::from(is_unreadable);
        Ok(())
    }

    /// Judges a body whose records were all looked at.
    ///
    /// # Errors
    /// 413 when every record is too long, 422 when hardly any is readable.
    pub fn end(&self) -> Result<Judged, Refusal> {
        if self.too_long > 0 && self.too_long == self.records {
            let limit = self.limits.max_record_bytes;
            let message = format!(
                "every record of the body is longer than {limit} bytes (ingest.max_record_size); nothing was stored"
            );
            return Err(Refusal::wrong(StatusCode::PAYLOAD_TOO_LARGE, message));
        }
        let fine = Judged::Fine { records: self.records, too_long: self.too_long };
        if self.records <= self.limits.max_errors {
            return Ok(fine);
        }
        if !self.is_thorough {
            return Ok(if self.unreadable * 2 > self.sampled { Judged::Doubtful } else { fine });
        }
        let (part, of) = UNREADABLE_PART;
        if self.unreadable > self.limits.max_errors && self.unreadable * of > self.records * part {
            let message = format!(
                "{} of the {} records cannot be read as events, more than ingest.max_body_errors = {}; \
                 check format and compression of the body; nothing was stored",
                self.unreadable, self.records, self.limits.max_errors
            );
            return Err(Refusal::wrong(StatusCode::UNPROCESSABLE_ENTITY, message));
        }
        Ok(fine)
    }
}

fn is_unreadable(error: &EventError, payload: &[u8]) -> bool {
    match error.error_type {
        ErrorType::Parse => true,
        ErrorType::Schema => payload.len() < SHORTEST_EVENT_BYTES,
        ErrorType::Validation | ErrorType::Future | ErrorType::Sink | ErrorType::Archive => false,
    }
}
