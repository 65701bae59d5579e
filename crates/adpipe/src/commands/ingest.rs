//! `adpipe ingest`: files into the log, and with `--wait` until they are counted.

mod batch;
mod check;
mod progress;
mod source;
mod wait;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use adpipe_event::{Format, ReadError, RecordReader};
use adpipe_log::{AppendTicket, LogError, Records, SourcePosition, Topic};
use adpipe_metrics::Role;
use adpipe_runtime::Shutdown;
use adpipe_stream::backlog::Backlog;
use anyhow::Context;

use crate::cli::ways_in::{FileFormat, IngestArgs};
use crate::config::Config;
use crate::output;
use crate::services::Services;
use crate::signals;
use batch::Batch;
use check::Checker;
use progress::Progress;
use source::Source;

/// One append: large enough that an fsync costs little, small enough that memory stays small.
const APPEND_BYTES: usize = 4 << 20;

/// Records of one append; of short ones APPEND_BYTES would hold too many.
const APPEND_RECORDS: usize = 50_000;

/// How long a record of a live input waits for others before it goes to the log.
const LINGER: Duration = Duration::from_millis(100);

/// How long to wait before looking again whether the processor has caught up.
const CATCH_UP: Duration = Duration::from_millis(200);

/// What became of the files.
#[derive(Default)]
struct Ingested {
    records: u64,
    /// Of these, records of which only the beginning is kept.
    too_long: u64,
    resumed_from: u64,
    interrupted: bool,
    /// With `--max-errors`.
    checker: Option<Checker>,
}

impl Ingested {
    /// Looks at a batch that is about to be appended, with `--max-errors`; gives how many records of
    /// it were dropped.
    fn check(&mut self, file: &str, batch: &mut Batch) -> u64 {
        self.checker.as_mut().map_or(0, |checker| checker.check(file, batch))
    }

    /// Whether more records were invalid than may be.
    fn is_over(&self) -> bool {
        self.checker.as_ref().is_some_and(Checker::is_over)
    }

    fn note(&self) {
        if let Some(checker) = &self.checker {
            checker.note();
        }
    }
}

/// Ingests every file in turn.
pub fn run(config: Config, args: &IngestArgs) -> anyhow::Result<ExitCode> {
    let shutdown = Shutdown::new();
    signals::watch(&shutdown, signals::GRACE)?;
    // Every file must be readable before the first record of any is appended.
    let open = |path: &PathBuf| Source::open(path, &shutdown);
    let sources = args.files.iter().map(open).collect::<anyhow::Result<Vec<Source>>>()?;
    let services = Services::open(config)?;
    if args.wait {
        // Whoever counts them needs these.
        services.require_for(Role::Stream)?;
    }
    let ended = ingest_all(&services, sources, args, &shutdown);
    services.remember();
    ended
}

fn ingest_all(
    services: &Services,
    sources: Vec<Source>,
    args: &IngestArgs,
    shutdown: &Shutdown,
) -> anyhow::Result<ExitCode> {
    let mut before = wait::ends(services)?;
    if args.wait {
        // What waited already is counted first, so that the account below is of these files alone.
        wait::until_counted(services, &before, &before, shutdown)?;
        before = wait::ends(services)?;
    }
    let rules = services.config.event_rules();
    let mut ingested =
        Ingested { checker: args.max_errors.map(|limit| Checker::new(rules, limit)), ..Ingested::default() };
    for source in sources {
        let name = source.name.clone();
        ingest(services, source, args.format, shutdown, &mut ingested).with_context(|| name)?;
        if ingested.interrupted {
            ingested.note();
            output::note("stopped; start the same command again to go on");
            return Ok(signals::exit_code());
        }
        if ingested.is_over() {
            break;
        }
    }
    ingested.note();
    let is_within_limit = ingested.checker.as_ref().is_none_or(Checker::is_within_limit);
    let exit_code = if is_within_limit { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    let after = wait::ends(services)?;
    if !args.wait {
        report_appended(&ingested, services, args.json)?;
        return Ok(exit_code);
    }
    match wait::until_counted(services, &before, &after, shutdown)? {
        Some(counted) => wait::report(&counted, &ingested, args.json).map(|()| exit_code),
        None => {
            output::note("stopped waiting; the events are in the log and will be counted");
            Ok(signals::exit_code())
        }
    }
}

fn report_appended(ingested: &Ingested, services: &Services, json: bool) -> anyhow::Result<()> {
    if json {
        return output::json(&serde_json::json!({
            "appended": ingested.records, "resumed_from": ingested.resumed_from,
            "too_long": ingested.too_long, "checked": ingested.checker.as_ref().map(Checker::to_json),
        }));
    }
    output::line(&format!("{} durable in the log", output::counted(ingested.records, "record")))?;
    if ingested.too_long > 0 {
        output::line(&output::too_long(ingested.too_long, false))?;
    }
    if services.take_vacant_stream_role()?.is_some() {
        output::note("nobody counts them yet: run `adpipe up` or `adpipe run stream`, or use --wait");
    }
    Ok(())
}

/// Appends the records of one source, one append at a time: while one becomes durable the next is
/// read, and none is queued behind one that might fail, so that a source's position is never
/// ahead of its records.
fn ingest(
    services: &Services,
    source: Source,
    format: Option<FileFormat>,
    shutdown: &Shutdown,
    ingested: &mut Ingested,
) -> anyhow::Result<()> {
    let resume_from: u64 = match &source.identity {
        Some(identity) => services.log.source_position(identity)?.unwrap_or(0),
        None => 0,
    };
    if resume_from > 0 {
        output::note(&format!("{}: going on behind record {}", source.name, output::grouped(resume_from)));
        ingested.resumed_from += resume_from;
    }
    let mut progress = Progress::new(&source);
    let identity = source.identity.clone();
    let begun = source.reader(format.map(Format::from), &progress);
    let Some((reader, format)) = unless_stopped(begun, shutdown, ingested)? else {
        if !ingested.interrupted {
            output::note(&format!("warning: {} is empty", progress.name()));
        }
        return Ok(());
    };
    let max_record_bytes = services.config.ingest.max_record_size.bytes();
    let fields = services.config.event.fields.map();
    let mut reader = RecordReader::new(reader, format, max_record_bytes).with_fields(fields);
    let mut appender = Appender { services, shutdown, backlog: Backlog::new(), in_flight: None };
    let batch =
        Batch::new(progress.name(), &mut reader, fields, shutdown).map(Some).map_err(anyhow::Error::from);
    let Some(mut batch) = unless_stopped(batch, shutdown, ingested)? else { return Ok(()) };
    let mut taken = 0u64;
    loop {
        let mut is_paused = false;
        let more = match batch.take(&mut reader) {
            Ok(more) => more,
            // Nothing came for a moment on a live input: what is here goes to the log now.
            Err(ReadError::Io(error)) if error.kind() == std::io::ErrorKind::TimedOut => {
                is_paused = true;
                true
            }
            // In the middle of a record that does not end.
            Err(_) if shutdown.is_triggered() => true,
            Err(error) => {
                let row = taken + batch.records.len() as u64;
                if row > resume_from && !batch.records.is_empty() {
                    batch.keep_last((row - resume_from.max(taken)) as usize);
                    let kept = row - ingested.check(progress.name(), &mut batch);
                    let position = identity.map(|source| SourcePosition { source, position: Some(kept) });
                    ingested.too_long += batch.too_long.len() as u64;
                    appender.append(batch.take_records(), position)?;
                }
                appender.finish()?;
                return Err(error).with_context(|| match row {
                    0 => "nothing of it was taken".to_owned(),
                    _ => format!(
                        "cannot be read on behind record {row}; the records up to there are in the log, so \
                         ingest a whole copy (nothing is counted twice) or keep what was taken"
                    ),
                });
            }
        };
        if shutdown.is_triggered() && more {
            // A file is read again from its position; what came from a pipe came once.
            if identity.is_none() && !batch.records.is_empty() {
                ingested.check(progress.name(), &mut batch);
                ingested.records += batch.records.len() as u64;
                ingested.too_long += batch.too_long.len() as u64;
                appender.append(batch.take_records(), None)?;
            }
            appender.finish()?;
            ingested.interrupted = true;
            return Ok(());
        }
        let is_full = batch.records.byte_size() >= APPEND_BYTES || batch.records.len() >= APPEND_RECORDS;
        // A live input that never pauses must not wait for a full append either.
        let is_due = is_paused || (identity.is_none() && batch.begun.elapsed() >= LINGER);
        if more && !is_full && !is_due {
            continue;
        }
        let count = batch.records.len() as u64;
        taken += count;
        if taken <= resume_from && more {
            batch.clear();
            continue;
        }
        if taken - count < resume_from {
            batch.keep_last((taken - resume_from.min(taken)) as usize);
        }
        taken -= ingested.check(progress.name(), &mut batch);
        // Beyond the limit of errors there may be more, and it is not read.
        let is_whole = !more && !ingested.is_over();
        let position =
            identity.clone().map(|source| SourcePosition { source, position: (!is_whole).then_some(taken) });
        let appended = batch.records.len() as u64;
        ingested.too_long += batch.too_long.len() as u64;
        if appended > 0 || (position.is_some() && is_whole) {
            appender.append(batch.take_records(), position)?;
            ingested.records += appended;
            progress.appended(ingested.records);
        }
        if !more || ingested.is_over() {
            appender.finish()?;
            progress.finish();
            return Ok(());
        }
    }
}

/// What was read, unless it was not because the command was asked to end.
fn unless_stopped<T>(
    outcome: anyhow::Result<Option<T>>,
    shutdown: &Shutdown,
    ingested: &mut Ingested,
) -> anyhow::Result<Option<T>> {
    match outcome {
        Err(_) if shutdown.is_triggered() => {
            ingested.interrupted = true;
            Ok(None)
        }
        other => other,
    }
}

/// Appends one after the other, slowed down by the processor.
struct Appender<'a> {
    services: &'a Services,
    shutdown: &'a Shutdown,
    backlog: Backlog,
    in_flight: Option<AppendTicket>,
}

impl Appender<'_> {
    fn append(&mut self, records: Records, position: Option<SourcePosition>) -> anyhow::Result<()> {
        self.finish()?;
        self.wait_for_processor()?;
        let count = records.len() as u64;
        self.in_flight = Some(self.services.log.append(Topic::Raw, records, position)?);
        self.services.metrics.records_appended.with_label_values(&[Topic::Raw.name()]).inc_by(count);
        Ok(())
    }

    fn finish(&mut self) -> Result<(), LogError> {
        self.in_flight.take().map_or(Ok(()), AppendTicket::wait)
    }

    /// Back-pressure: while too much waits for the processor, nothing is added, as long as there
    /// is a processor to wait for.
    fn wait_for_processor(&self) -> anyhow::Result<()> {
        let (log, warehouse) = (self.services.log.as_ref(), self.services.warehouse.as_ref());
        let mut told = false;
        loop {
            let lag = self.backlog.records(log, warehouse)?;
            if lag < self.services.config.ingest.max_lag_records || self.shutdown.is_triggered() {
                return Ok(());
            }
            if self.services.take_vacant_stream_role()?.is_some() {
                return Ok(());
            }
            if !told {
                output::note(&format!(
                    "waiting for the processor: {} records are not counted yet",
                    output::grouped(lag)
                ));
                told = true;
            }
            self.shutdown.sleep(CATCH_UP);
        }
    }
}

impl From<FileFormat> for Format {
    fn from(format: FileFormat) -> Format {
        match format {
            FileFormat::Ndjson => Format::Ndjson,
            FileFormat::Json => Format::JsonArray,
            FileFormat::Csv => Format::Csv,
        }
    }
}
