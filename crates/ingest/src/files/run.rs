//! One source into the log, one append at a time.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use adpipe_event::{CsvColumns, ReadError, RecordReader};
use adpipe_log::{Records, SourcePosition};
use adpipe_runtime::Shutdown;

use super::appender::Appender;
use super::source::{Input, Source};
use super::{Checker, Ended, FileIngest, IngestError, Ingested, Notice};
use crate::feeder::RecordFeeder;

/// One append: large enough that an fsync costs little, small enough that memory stays small.
const APPEND_BYTES: usize = 4 << 20;

/// Records of one append; of short ones APPEND_BYTES would hold too many.
const APPEND_RECORDS: usize = 50_000;

/// How long a record of a live input waits for others before it goes to the log.
const LINGER: Duration = Duration::from_millis(100);

/// Appends the records of a source after those that are in the log already.
pub(super) fn ingest<'r>(
    ingest: &'r FileIngest<'r>,
    source: Source,
    ingested: &'r mut Ingested,
    show: &'r dyn Fn(Notice),
) -> Result<Ended, IngestError> {
    let resume_from = match &source.identity {
        Some(identity) => ingest.log.source_position(identity)?.unwrap_or(0),
        None => 0,
    };
    if resume_from > 0 {
        show(Notice::Resumes { record: resume_from });
        ingested.resumed_from += resume_from;
    }
    let (name, identity) = (source.name.clone(), source.identity.clone());
    let (reader, feeder) = match open(ingest, source) {
        Ok(Some(opened)) => opened,
        Ok(None) => {
            show(Notice::Empty);
            return Ok(Ended::Whole);
        }
        Err(_) if ingest.shutdown.is_triggered() => return Ok(Ended::Interrupted),
        Err(error) => return Err(error),
    };
    let (appender, begun) = (Appender::new(ingest, show), Instant::now());
    Run { name, identity, resume_from, taken: 0, reader, feeder, begun, appender, ingested, ingest, show }
        .run()
}

/// The records of a source, and an empty feeder for them; none when it has no bytes.
fn open(
    ingest: &FileIngest<'_>,
    source: Source,
) -> Result<Option<(RecordReader<Input>, RecordFeeder)>, IngestError> {
    let name = source.name.clone();
    let Some((input, format)) = source.reader(ingest.format)? else { return Ok(None) };
    let reader = RecordReader::new(input, format, ingest.max_record_bytes);
    let mut reader = reader.with_fields(ingest.fields);
    let columns = columns(&mut reader, ingest.shutdown)?;
    let feeder = RecordFeeder::of_file(&name, ingest.fields, columns.as_ref());
    Ok(Some((reader, feeder)))
}

/// The columns of CSV, once its header has come.
fn columns(reader: &mut RecordReader<Input>, shutdown: &Shutdown) -> Result<Option<CsvColumns>, ReadError> {
    loop {
        match reader.columns() {
            Ok(columns) => return Ok(columns.cloned()),
            // A live input that has not begun yet.
            Err(error) if is_pause(&error) && !shutdown.is_triggered() => {}
            Err(error) => return Err(error),
        }
    }
}

/// Whether a live input only paused, and may be read on.
fn is_pause(error: &ReadError) -> bool {
    matches!(error, ReadError::Io(error) if error.kind() == ErrorKind::TimedOut)
}

/// What reading came to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    /// There may be more.
    More,
    /// Nothing came for a moment on a live input: what is here goes to the log now.
    Pause,
    /// There is no more.
    End,
}

struct Run<'r> {
    name: String,
    /// Under which its position is kept; none for what comes only once.
    identity: Option<String>,
    /// Records that were taken by an earlier run.
    resume_from: u64,
    /// Records that were taken from the feeder, those of an earlier run included.
    taken: u64,
    reader: RecordReader<Input>,
    feeder: RecordFeeder,
    /// When the feeder was last emptied.
    begun: Instant,
    appender: Appender<'r>,
    ingested: &'r mut Ingested,
    ingest: &'r FileIngest<'r>,
    show: &'r dyn Fn(Notice),
}

impl Run<'_> {
    fn run(mut self) -> Result<Ended, IngestError> {
        loop {
            let step = self.read_record()?;
            if step != Step::End && self.ingest.shutdown.is_triggered() {
                return self.interrupt();
            }
            if !self.is_due(step) {
                continue;
            }
            if let Some(ended) = self.append(step == Step::End)? {
                return Ok(ended);
            }
        }
    }

    fn read_record(&mut self) -> Result<Step, IngestError> {
        match self.reader.next_record() {
            Ok(Some(record)) => {
                let fits = self.feeder.add(&record);
                debug_assert!(fits, "an append is far smaller than a buffer");
                Ok(Step::More)
            }
            Ok(None) => Ok(Step::End),
            Err(error) if is_pause(&error) => Ok(Step::Pause),
            // In the middle of a record that does not end.
            Err(_) if self.ingest.shutdown.is_triggered() => Ok(Step::More),
            Err(error) => Err(self.keep_what_was_read(error)?),
        }
    }

    fn is_due(&self, step: Step) -> bool {
        let records = self.feeder.records();
        let is_full = records.byte_size() >= APPEND_BYTES || records.len() >= APPEND_RECORDS;
        // A live input that never pauses must not wait for a full append either.
        let is_late = || self.identity.is_none() && self.begun.elapsed() >= LINGER;
        step != Step::More || is_full || is_late()
    }

    /// Appends what the feeder holds, but for what an earlier run took. Says how the source ended if
    /// it did.
    fn append(&mut self, at_end: bool) -> Result<Option<Ended>, IngestError> {
        let count = self.feeder.records().len() as u64;
        let before = self.taken;
        self.taken += count;
        if self.taken <= self.resume_from && !at_end {
            drop(self.take_records());
            return Ok(None);
        }
        if before < self.resume_from {
            self.feeder.keep_last(self.taken.saturating_sub(self.resume_from) as usize);
        }
        self.taken -= self.check();
        let is_over = self.ingested.checker.as_ref().is_some_and(Checker::is_over);
        // Beyond the limit of errors there may be more, and it is not read.
        let is_whole = at_end && !is_over;
        let position = self.identity.clone();
        let position =
            position.map(|source| SourcePosition { source, position: (!is_whole).then_some(self.taken) });
        let appended = self.feeder.records().len() as u64;
        self.ingested.too_long += self.feeder.too_long();
        if appended > 0 || (position.is_some() && is_whole) {
            let records = self.take_records();
            self.appender.append(records, position)?;
            self.ingested.records += appended;
            (self.show)(Notice::Appended { records: self.ingested.records });
        }
        if !at_end && !is_over {
            return Ok(None);
        }
        self.appender.finish()?;
        Ok(Some(if is_over { Ended::TooManyInvalid } else { Ended::Whole }))
    }

    /// A file is read again from its position; what came from a pipe came once, so it is kept.
    fn interrupt(&mut self) -> Result<Ended, IngestError> {
        if self.identity.is_none() && !self.feeder.records().is_empty() {
            self.check();
            self.ingested.records += self.feeder.records().len() as u64;
            self.ingested.too_long += self.feeder.too_long();
            let records = self.take_records();
            self.appender.append(records, None)?;
        }
        self.appender.finish()?;
        Ok(Ended::Interrupted)
    }

    /// Appends what was read before the source could not be read on, and gives what to say of it.
    fn keep_what_was_read(&mut self, error: ReadError) -> Result<IngestError, IngestError> {
        let row = self.taken + self.feeder.records().len() as u64;
        if row > self.resume_from && !self.feeder.records().is_empty() {
            self.feeder.keep_last((row - self.resume_from.max(self.taken)) as usize);
            let kept = row - self.check();
            let position = self.identity.take();
            let position = position.map(|source| SourcePosition { source, position: Some(kept) });
            self.ingested.too_long += self.feeder.too_long();
            let records = self.take_records();
            self.appender.append(records, position)?;
        }
        self.appender.finish()?;
        Ok(match row {
            0 => IngestError::Nothing(error),
            _ => IngestError::Partly { row, source: error },
        })
    }

    /// Looks at what is about to be appended, where only so many records may be invalid; gives how
    /// many of them were dropped.
    fn check(&mut self) -> u64 {
        let checker = self.ingested.checker.as_mut();
        checker.map_or(0, |checker| checker.check(&self.name, &mut self.feeder))
    }

    fn take_records(&mut self) -> Records {
        self.begun = Instant::now();
        self.feeder.take_with_room()
    }
}
