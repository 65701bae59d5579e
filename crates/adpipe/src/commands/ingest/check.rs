//! `--max-errors`: each record is looked at before it is appended.
//!
//! The processor decides what an event is; this look comes to the same result by the same rules, for
//! the price of parsing twice. Errors that only the database or the archive raises do not count.

use adpipe_event::{ErrorLimit, ErrorType, EventError, Millis, Parser, Rules};
use serde_json::{Value, json};

use super::batch::Batch;
use crate::output;

/// Invalid records that are named one by one.
const NAMED: usize = 5;

/// Counts the invalid records of all sources together.
pub struct Checker {
    parser: Parser,
    limit: ErrorLimit,
    records: u64,
    invalid: u64,
    named: Vec<Named>,
    over: Option<Named>,
}

/// An invalid record.
struct Named {
    file: String,
    row: u64,
    error: EventError,
}

impl Checker {
    pub fn new(rules: Rules, limit: ErrorLimit) -> Checker {
        let parser = Parser::new(rules);
        Checker { parser, limit, records: 0, invalid: 0, named: Vec::new(), over: None }
    }

    /// Looks at a batch that is about to be appended. Where it has one more invalid record than may
    /// be, that one and what follows is dropped; gives how many.
    pub fn check(&mut self, file: &str, batch: &mut Batch) -> u64 {
        let (count, now) = (batch.records.len(), Millis::now());
        for index in 0..count {
            self.records += 1;
            let Some(error) = self.error_of(batch, index, now) else { continue };
            self.invalid += 1;
            let named = Named { file: file.to_owned(), row: batch.records.row_at(index).unwrap_or(0), error };
            if !self.limit.allows(self.invalid, self.records, false) {
                self.over = Some(named);
                batch.keep_first(index);
                return (count - index) as u64;
            }
            if self.named.len() < NAMED {
                self.named.push(named);
            }
        }
        0
    }

    fn error_of(&mut self, batch: &Batch, index: usize, now: Millis) -> Option<EventError> {
        if let Some(length) = batch.truncated_from(index) {
            let message = format!("the record has {length} bytes, more than a record may have");
            return Some(EventError { error_type: ErrorType::Parse, field: None, message });
        }
        let payload = batch.records.payload_at(index)?;
        let parsed = match &batch.columns {
            Some(columns) => self.parser.parse_csv(columns, payload, now),
            None => self.parser.parse_json(payload, now),
        };
        parsed.err()
    }

    /// Whether a record went beyond the limit.
    pub fn is_over(&self) -> bool {
        self.over.is_some()
    }

    /// Whether all of it keeps the limit, once everything was read.
    pub fn is_within_limit(&self) -> bool {
        self.over.is_none() && self.limit.allows(self.invalid, self.records, true)
    }

    /// Names the first invalid records, and why it ended if it did.
    pub fn note(&self) {
        for named in &self.named {
            output::note(&named.shown());
        }
        let unnamed = self.invalid - self.named.len() as u64 - u64::from(self.is_over());
        if unnamed > 0 {
            output::note(&format!("… and {} more invalid", output::grouped(unnamed)));
        }
        if self.is_within_limit() {
            return;
        }
        let met = format!(
            "{} of {} invalid, more than --max-errors {}",
            output::grouped(self.invalid),
            output::counted(self.records, "record"),
            self.limit
        );
        output::note(&match &self.over {
            Some(over) => format!(
                "stopped before {}; {met}; the records before it are in the log, and the same command continues there",
                over.shown()
            ),
            None => format!("{met}; everything is in the log"),
        });
    }

    /// The same for machines.
    pub fn to_json(&self) -> Value {
        json!({
            "invalid": self.invalid, "within_limit": self.is_within_limit(),
            "first": self.named.iter().map(Named::to_json).collect::<Vec<_>>(),
            "stopped_before": self.over.as_ref().map(Named::to_json),
        })
    }
}

impl Named {
    /// As compilers and editors write it: `FILE:ROW: MESSAGE`.
    fn shown(&self) -> String {
        format!("{}:{}: {}", self.file, self.row, self.error.message)
    }

    fn to_json(&self) -> Value {
        json!({
            "file": self.file, "row": self.row, "type": self.error.error_type.as_str(),
            "message": self.error.message,
        })
    }
}
