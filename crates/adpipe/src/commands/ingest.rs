//! `adpipe ingest`: files into the log, and with `--wait` until they are counted.

mod progress;
mod report;
mod wait;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use adpipe_event::Format;
use adpipe_ingest::{
    Checker, Ended, FileIngest, IngestError, Ingested, Lag, LagError, LagGauge, Notice, Source,
};
use adpipe_metrics::Role;
use adpipe_runtime::Shutdown;
use adpipe_stream::backlog;
use anyhow::Context;

use crate::cli::ways_in::{FileFormat, IngestArgs};
use crate::config::{Config, ConfigError};
use crate::output;
use crate::services::Services;
use crate::signals;
use progress::Progress;

/// Ingests every file in turn.
pub fn run(config: Config, args: &IngestArgs) -> anyhow::Result<ExitCode> {
    let shutdown = Shutdown::new();
    signals::watch(&shutdown, signals::GRACE)?;
    // Every file must be readable before the first record of any is appended.
    let open = |path: &PathBuf| Source::open(path, &shutdown).map_err(as_usage);
    let sources = args.files.iter().map(open).collect::<anyhow::Result<Vec<Source>>>()?;
    let services = Services::open(config)?;
    if args.wait {
        // The processor needs these.
        services.require_for(Role::Stream)?;
    }
    let ended = ingest_and_report(&services, sources, args, &shutdown);
    services.remember();
    ended
}

/// A folder among the files is wrong usage; all else is a failure.
fn as_usage(error: IngestError) -> anyhow::Error {
    match error {
        IngestError::Folder { .. } => ConfigError::flag(error.to_string()).into(),
        other => other.into(),
    }
}

fn ingest_and_report(
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
    let (ingested, ended) = ingest_all(services, sources, args, shutdown)?;
    if let Some(checker) = &ingested.checker {
        report::note_invalid(checker);
    }
    if ended == Ended::Interrupted {
        output::note("stopped; start the same command again to continue");
        return Ok(signals::exit_code());
    }
    let is_within_limit = ingested.checker.as_ref().is_none_or(Checker::is_within_limit);
    let exit_code = if is_within_limit { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    let after = wait::ends(services)?;
    if !args.wait {
        report::appended(&ingested, services, args.json)?;
        return Ok(exit_code);
    }
    match wait::until_counted(services, &before, &after, shutdown)? {
        Some(counted) => report::counted(&counted, &ingested, args.json).map(|()| exit_code),
        None => {
            output::note("stopped waiting; the events are in the log and will be counted");
            Ok(signals::exit_code())
        }
    }
}

/// Ingests the sources up to the first that does not come to its end.
fn ingest_all(
    services: &Services,
    sources: Vec<Source>,
    args: &IngestArgs,
    shutdown: &Shutdown,
) -> anyhow::Result<(Ingested, Ended)> {
    let (lag, config) = (lag_gauge(services), &services.config);
    let has_processor = || Ok(services.take_vacant_stream_role()?.is_none());
    let files = FileIngest {
        log: services.log.as_ref(),
        metrics: &services.metrics,
        lag: &lag,
        max_lag_records: config.ingest.max_lag_records,
        has_processor: &has_processor,
        max_record_bytes: config.ingest.max_record_size.bytes(),
        fields: config.event.fields.map(),
        format: args.format.map(Format::from),
        shutdown,
    };
    let checker = args.max_errors.map(|limit| Checker::new(config.event_rules(), limit));
    let mut ingested = Ingested { checker, ..Ingested::default() };
    for source in sources {
        let progress = Progress::new(&source);
        let show = |notice| show(notice, &progress);
        let ended = files.ingest(source, &mut ingested, &show).with_context(|| progress.name().to_owned())?;
        if ended != Ended::Interrupted {
            progress.finish();
        }
        if ended != Ended::Whole {
            return Ok((ingested, ended));
        }
    }
    Ok((ingested, Ended::Whole))
}

fn lag_gauge(services: &Services) -> LagGauge {
    let (log, warehouse) = (Arc::clone(&services.log), Arc::clone(&services.warehouse));
    LagGauge::new(move || {
        let records = backlog::records(log.as_ref(), warehouse.as_ref());
        // Errors leave the log by themselves; only records are waited for.
        records.map(|records| Lag { records, errors: 0 }).map_err(|error| LagError::Stores(error.into()))
    })
}

fn show(notice: Notice, progress: &Progress) {
    match notice {
        Notice::Resumes { record } => {
            let record = output::grouped(record);
            output::note(&format!("{}: continuing after record {record}", progress.name()));
        }
        Notice::Empty => output::note(&format!("warning: {} is empty", progress.name())),
        Notice::Waits { records } => {
            let records = output::grouped(records);
            output::note(&format!("waiting for the processor: {records} records are not counted yet"));
        }
        Notice::Appended { records } => progress.appended(records),
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
