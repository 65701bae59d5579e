//! `adpipe etl`: raw files to the archive and the warehouse.

mod dry_run;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use adpipe_batch::{BackEnds, EtlConfig, Progress, Report};
use adpipe_event::Millis;
use adpipe_runtime::Shutdown;

use crate::cli::ways_in::EtlArgs;
use crate::config::{Config, ConfigError};
use crate::services::Services;
use crate::{output, progress_bar, signals};

/// Runs batch once. Exit code 1 when a file could not be read to its end, 130 or 143 when a signal stopped it.
pub fn run(mut config: Config, args: &EtlArgs) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let etl = etl_config(&config, args)?;
    let shutdown = Shutdown::new();
    signals::watch(&shutdown, signals::GRACE)?;
    let _scratch = if args.dry_run { dry_run::Scratch::instead_of_none(&mut config)? } else { None };
    let services = Services::open(config)?;
    let progress = Progress::new();
    let back_ends = BackEnds {
        warehouse: services.warehouse.as_ref(),
        log: services.log.as_ref(),
        archive: &services.archive,
        metrics: &services.metrics,
    };
    let work = || -> anyhow::Result<Report> {
        let mut report = adpipe_batch::run(&etl, back_ends, &progress, &shutdown)?;
        if !args.dry_run && !report.stopped {
            // What the archive has now may leave the hot window.
            progress.begin("applying retention");
            report.left_hot = services.warehouse.retire(services.retention().warehouse)?.events;
        }
        Ok(report)
    };
    let worked = progress_bar::shown("etl", || progress.look(), work);
    services.remember();
    let mut report = worked??;
    // What a clock on the wall shows, whatever the time went into.
    report.took = started.elapsed();
    report::print(&report, args.json)?;
    if let Some(over) = &report.over_limit {
        eprintln!("{}", report::over_limit(over));
    }
    Ok(match (report.stopped, report.is_failed()) {
        (true, _) => {
            output::note("stopped; run the same command again to continue");
            signals::exit_code()
        }
        (_, true) => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    })
}

fn etl_config(config: &Config, args: &EtlArgs) -> anyhow::Result<EtlConfig> {
    if let Some(date) = &args.date
        && (date.len() != "YYYY-MM-DD".len() || Millis::parse_sql(&format!("{date} 00:00:00")).is_none())
    {
        anyhow::bail!(ConfigError::Flag(format!("--date {date:?} is not a date like 2014-10-21")));
    }
    Ok(EtlConfig {
        named: args.files.clone(),
        date: args.date.clone(),
        force: args.force,
        dry_run: args.dry_run,
        max_errors: args.max_errors,
        ..settings(config)
    })
}

/// What the configuration says about batch, for every file of the raw folder.
pub fn settings(config: &Config) -> EtlConfig {
    EtlConfig {
        raw_folder: PathBuf::from(&config.etl.raw_folder),
        named: Vec::new(),
        date: None,
        force: false,
        dry_run: false,
        max_record_bytes: config.ingest.max_record_size.bytes(),
        max_future: config.stream.max_future.0,
        fields: config.event.fields.map().clone(),
        minutes: config.retention.minutes.0,
        hot: config.retention.events.of(&config.warehouse.url),
        close_after: config.etl.close_after.0,
        segment_rows: config.etl.segment_rows,
        merge_files: config.archive.merge_files,
        max_errors: None,
    }
}
