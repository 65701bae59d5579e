//! Some records of the log, parsed: what one warehouse transaction will hold.

use adpipe_event::{
    ContentHasher, ContentSum, CsvColumns, EventBatch, EventError, FieldMap, Millis, Parser, Rules,
};
use adpipe_log::{Headers, Offset, Record, RecordBatch, Topic, header};
use adpipe_warehouse::{Counts, LatencyCounts};

/// Where a record lies within its micro-batch.
#[derive(Debug, Clone, Copy)]
pub struct Origin {
    /// Index of the run of records.
    pub run: u32,
    /// Index of the record in the run.
    pub record: u32,
}

/// A record that is in error.
#[derive(Debug)]
pub struct Failed {
    /// Which record.
    pub origin: Origin,
    /// What is wrong with it.
    pub error: EventError,
}

/// A partition's part of the micro-batch.
#[derive(Debug)]
pub struct Share {
    /// Topic of the partition.
    pub topic: Topic,
    /// Partition number.
    pub partition: u32,
    /// First offset.
    pub first: Offset,
    /// Offset after the last.
    pub next: Offset,
    /// Account of the records, without what only the warehouse knows (valid, duplicate, late).
    pub counts: Counts,
}

/// Consecutive records of some partitions, parsed and validated.
#[derive(Debug, Default)]
pub struct MicroBatch {
    /// Events that keep all rules.
    pub events: EventBatch,
    /// Of the events' contents, by the event's index.
    pub sums: Vec<ContentSum>,
    /// Which record each event came from, by the event's index.
    pub origins: Vec<Origin>,
    /// Records that break a rule.
    pub failed: Vec<Failed>,
    /// The records themselves.
    pub runs: Vec<RecordBatch>,
    /// One for each partition that has records here.
    pub shares: Vec<Share>,
    /// Index of each run's share, by the run's index.
    shares_of_runs: Vec<usize>,
    /// Which assignment it was read under; see `adpipe_stream::processor`.
    pub generation: u64,
    /// Sums the contents of its events.
    pub hasher: ContentHasher,
}

impl MicroBatch {
    /// An empty one, to be read under an assignment.
    pub fn of_generation(generation: u64) -> MicroBatch {
        MicroBatch { generation, ..MicroBatch::default() }
    }

    /// Number of records.
    pub fn records(&self) -> usize {
        self.events.len() + self.failed.len()
    }

    /// Payload bytes held.
    pub fn byte_size(&self) -> usize {
        self.runs.iter().map(RecordBatch::byte_size).sum()
    }

    /// True when it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Parses the records of a run into this batch. The time when the log took a record decides whether
    /// it is in the future, so that a record processed again after a crash gets the same result.
    pub fn add(&mut self, run: RecordBatch, parsing: &mut Parsing) {
        let share_index = self.share_of(&run);
        let run_index = self.runs.len() as u32;
        parsing.start_run();
        for (index, record) in run.iter().enumerate() {
            let origin = Origin { run: run_index, record: index as u32 };
            let appended_at = Millis(record.appended_at_ms);
            match parsing.parse(record.payload, record.headers, record.header_set, appended_at) {
                Ok(parsed) => {
                    let counts = &mut self.shares[share_index].counts;
                    counts.float_ids += u64::from(parsed.warnings.float_id);
                    counts.unknown_fields += u64::from(parsed.warnings.unknown_fields);
                    self.sums.push(self.hasher.sum(&parsed.event));
                    self.events.push(&parsed.event);
                    self.origins.push(origin);
                }
                Err(error) => {
                    self.shares[share_index].counts.add_invalid(error.error_type);
                    self.failed.push(Failed { origin, error });
                }
            }
        }
        self.shares[share_index].counts.records += run.len() as u64;
        self.shares_of_runs.push(share_index);
        self.runs.push(run);
    }

    fn share_of(&mut self, run: &RecordBatch) -> usize {
        let next = run.next_offset();
        let is_of_share = |share: &Share| share.topic == run.topic && share.partition == run.partition;
        if let Some(index) = self.shares.iter().position(is_of_share) {
            debug_assert_eq!(self.shares[index].next, run.base_offset, "a partition is read without gaps");
            self.shares[index].next = next;
            return index;
        }
        let (topic, partition, first) = (run.topic, run.partition, run.covered_from);
        self.shares.push(Share { topic, partition, first, next, counts: Counts::default() });
        self.shares.len() - 1
    }

    /// How long the records of each share had waited at `now`, by the order of the shares.
    pub fn latencies(&self, now: Millis) -> Vec<LatencyCounts> {
        let mut latencies = vec![LatencyCounts::default(); self.shares.len()];
        for (run, index) in self.runs.iter().zip(&self.shares_of_runs) {
            latencies[*index].observe((now.0 - run.appended_at_ms).max(0), run.len() as u64);
        }
        latencies
    }

    /// How long all records together had waited at `now`, ms.
    pub fn waited_ms(&self, now: Millis) -> i64 {
        self.runs.iter().map(|run| (now.0 - run.appended_at_ms).max(0) * run.len() as i64).sum()
    }

    /// Index of the share that an origin belongs to.
    pub fn share_index(&self, origin: Origin) -> usize {
        self.shares_of_runs[origin.run as usize]
    }

    /// The record that an origin names.
    pub fn record(&self, origin: Origin) -> Option<Record<'_>> {
        self.runs[origin.run as usize].get(origin.record as usize)
    }
}

/// Turns payloads into events by the format that their headers name.
#[derive(Debug)]
pub struct Parsing {
    parser: Parser,
    fields: FieldMap,
    /// Columns of the newest header set, with its index within the run.
    columns: Option<(usize, Result<CsvColumns, EventError>)>,
    /// The header line those columns came from, kept over runs as it rarely changes.
    known_header: Vec<u8>,
    known_columns: Option<CsvColumns>,
}

impl Parsing {
    /// Parses by these rules.
    pub fn new(rules: Rules) -> Parsing {
        let (fields, parser) = (rules.fields.clone(), Parser::new(rules));
        Parsing { parser, fields, columns: None, known_header: Vec::new(), known_columns: None }
    }

    /// Forgets what header set indexes mean: they are counted again in each run.
    pub fn start_run(&mut self) {
        self.columns = None;
    }

    /// Parses a single payload, as the processor would.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn parse_one<'a>(
        &'a mut self,
        payload: &'a [u8],
        headers: &Headers,
        now: Millis,
    ) -> Result<adpipe_event::Parsed<'a>, EventError> {
        self.start_run();
        self.parse(payload, headers, 0, now)
    }

    /// Parses a record with the headers of its set, whose columns are read once in a run.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn parse<'a>(
        &'a mut self,
        payload: &'a [u8],
        headers: &Headers,
        header_set: usize,
        now: Millis,
    ) -> Result<adpipe_event::Parsed<'a>, EventError> {
        if headers.0.is_empty() {
            return self.parser.parse_json(payload, now);
        }
        if let Some(length) = headers.text(header::TRUNCATED_FROM) {
            return Err(EventError::too_long(length));
        }
        if headers.text(header::FORMAT) != Some("csv") {
            return self.parser.parse_json(payload, now);
        }
        if self.columns.as_ref().is_none_or(|(index, _)| *index != header_set) {
            self.columns = Some((header_set, self.columns_of(headers)));
        }
        match &self.columns {
            Some((_, Ok(columns))) => self.parser.parse_csv(columns, payload, now),
            Some((_, Err(error))) => Err(error.clone()),
            None => self.parser.parse_json(payload, now),
        }
    }

    fn columns_of(&mut self, headers: &Headers) -> Result<CsvColumns, EventError> {
        let line = headers.get(header::COLUMNS).unwrap_or_default();
        if let Some(columns) = self.known_columns.as_ref().filter(|_| self.known_header == line) {
            return Ok(columns.clone());
        }
        let columns = CsvColumns::parse_by(line, &self.fields)
            .map_err(|error| unreadable(format!("csv header: {error}")))?;
        self.known_header = line.to_vec();
        self.known_columns = Some(columns.clone());
        Ok(columns)
    }
}

fn unreadable(message: String) -> EventError {
    EventError { error_type: adpipe_event::ErrorType::Parse, field: None, message }
}
