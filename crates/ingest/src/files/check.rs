//! A look at each record before it is appended, where only so many may be invalid.
//!
//! The processor decides what an event is; this look comes to the same result by the same rules, for
//! the price of parsing twice. Errors that only the database or the archive raises do not count.

use adpipe_event::{ErrorLimit, EventError, Millis, Parser, Rules};

use crate::feeder::RecordFeeder;

/// Invalid records that are named one by one.
const NAMED: usize = 5;

/// Counts the invalid records of all sources together.
pub struct Checker {
    parser: Parser,
    limit: ErrorLimit,
    records: u64,
    invalid: u64,
    named: Vec<InvalidRecord>,
    over: Option<InvalidRecord>,
}

/// An invalid record.
#[derive(Debug)]
pub struct InvalidRecord {
    /// Its file, as the user wrote it.
    pub file: String,
    /// Its row of the file, from 1.
    pub row: u64,
    /// What is wrong with it.
    pub error: EventError,
}

impl Checker {
    /// Nothing was looked at yet.
    pub fn new(rules: Rules, limit: ErrorLimit) -> Checker {
        let parser = Parser::new(rules);
        Checker { parser, limit, records: 0, invalid: 0, named: Vec::new(), over: None }
    }

    /// Looks at the records that are about to be appended. Where it has one more invalid record than may
    /// be, that one and what follows is dropped; gives how many.
    pub(super) fn check(&mut self, file: &str, feeder: &mut RecordFeeder) -> u64 {
        let (count, now) = (feeder.records().len(), Millis::now());
        for index in 0..count {
            self.records += 1;
            let Some(error) = self.error_of(feeder, index, now) else { continue };
            self.invalid += 1;
            let row = feeder.records().row_at(index).unwrap_or(0);
            let named = InvalidRecord { file: file.to_owned(), row, error };
            if !self.limit.allows(self.invalid, self.records, false) {
                self.over = Some(named);
                feeder.keep_first(index);
                return (count - index) as u64;
            }
            if self.named.len() < NAMED {
                self.named.push(named);
            }
        }
        0
    }

    fn error_of(&mut self, feeder: &RecordFeeder, index: usize, now: Millis) -> Option<EventError> {
        if let Some(length) = feeder.truncated_from(index) {
            return Some(EventError::too_long(length));
        }
        let payload = feeder.records().payload_at(index)?;
        let parsed = match feeder.columns() {
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

    /// The first invalid records, apart from the one that went beyond the limit.
    pub fn named(&self) -> &[InvalidRecord] {
        &self.named
    }

    /// How many invalid records there were, named or not.
    pub fn invalid(&self) -> u64 {
        self.invalid
    }

    /// How many records were looked at.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// How many may be invalid.
    pub fn limit(&self) -> ErrorLimit {
        self.limit
    }

    /// The record that went beyond the limit; it and what follows it were not appended.
    pub fn stopped_before(&self) -> Option<&InvalidRecord> {
        self.over.as_ref()
    }
}
