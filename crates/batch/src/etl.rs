//! One run: files to segments to commits, then what belongs to it.
//!
//! `threads.rs` has what happens to the files side by side.

use std::time::Instant;

use adpipe_runtime::Shutdown;
use adpipe_runtime::progress::Progress;
use adpipe_warehouse::identity;

use crate::archive::Stamp;
use crate::back_ends::BackEnds;
use crate::config::EtlConfig;
use crate::discover::{RawFile, discover};
use crate::report::{Report, file_reports, unreadable_report};
use crate::threads::Reading;
use crate::unreadable::{self, Unreadable};
use crate::{BatchError, account, closed, files, hashes, hot, lock, merge, runs, sweep};

/// Steps of a run that writes, as [`Progress`] shows them; the caller has retention as the last one.
const STEPS: u64 = 7;

/// Runs to the end, or until the switch is off.
///
/// # Errors
/// What ends the run; a file that cannot be read does not, it is in the report.
pub fn run(
    config: &EtlConfig,
    back_ends: BackEnds<'_>,
    progress: &Progress,
    shutdown: &Shutdown,
) -> Result<Report, BatchError> {
    let started = Instant::now();
    let _lock = if config.dry_run { None } else { Some(lock::take(back_ends.archive, back_ends.warehouse)?) };
    let mut report = Report { dry_run: config.dry_run, ..Report::default() };
    progress.expect_steps(if config.dry_run { 1 } else { STEPS });
    if config.dry_run {
        read_raw_files(config, back_ends, &Unreadable::default(), progress, shutdown, &mut report)?
    } else {
        write_all(config, back_ends, progress, shutdown, &mut report)?
    }
    report.stopped = shutdown.is_triggered();
    report.took = started.elapsed();
    Ok(report)
}

/// A run that writes: recorded before its first file, cleaned up after its last.
fn write_all(
    config: &EtlConfig,
    back_ends: BackEnds<'_>,
    progress: &Progress,
    whole_run: &Shutdown,
    report: &mut Report,
) -> Result<(), BatchError> {
    let shutdown = &whole_run.part();
    progress.begin("checking the archive");
    let found = sweep::look_before(back_ends)?;
    let unreadable = unreadable::look_before(back_ends, &found)?;
    let stamp = Stamp::of_new_run(identity::data_id(back_ends.warehouse)?);
    runs::begin(back_ends.warehouse, &stamp.run_id)?;
    let archive = back_ends.archive.written_by(stamp.clone());
    let back_ends = BackEnds { archive: &archive, ..back_ends };
    report.hashed = hashes::set_missing(back_ends, &unreadable, shutdown)?;

    read_raw_files(config, back_ends, &unreadable, progress, shutdown, report)?;
    // As if it had been stopped: the next run does the rest.
    if report.is_cut_off() {
        shutdown.trigger();
    }
    files::copy_to_ops(back_ends.warehouse)?;
    progress.begin("archiving closed hours");
    if !shutdown.is_triggered() {
        report.archived_from_stream = closed::archive(config, back_ends, &unreadable, progress, shutdown)?;
    }
    progress.begin("filling realtime.events");
    if !shutdown.is_triggered() {
        report.made_hot = hot::fill(config.hot, back_ends, &unreadable, progress, shutdown)?;
    }
    // Before parts become one: then what a merged part has is in the account by its old parts.
    account::write(back_ends.warehouse, back_ends.archive, &stamp.data_id)?;
    progress.begin("merging small files");
    if !shutdown.is_triggered() {
        report.merged = merge::merge(config.merge_files, back_ends, &unreadable, progress, shutdown)?;
    }
    progress.begin("finishing");
    unreadable.store(back_ends.warehouse)?;
    report.unreadable_hours = unreadable.hours();
    // The file may be removed once it is reported as done.
    back_ends.warehouse.sync()?;
    if !shutdown.is_triggered() {
        let (swept, left) = sweep::sweep(back_ends)?;
        report.swept = swept;
        report.unnamed = left.kept.into_iter().chain(left.unexplained).collect();
        runs::finish(back_ends.warehouse, &stamp.run_id)?;
    }
    account::write(back_ends.warehouse, back_ends.archive, &stamp.data_id)
}

fn read_raw_files(
    config: &EtlConfig,
    back_ends: BackEnds<'_>,
    unreadable: &Unreadable,
    progress: &Progress,
    shutdown: &Shutdown,
    report: &mut Report,
) -> Result<(), BatchError> {
    let started = Instant::now();
    progress.begin("reading raw files");
    let mut found = discover(&config.raw_folder, &config.named);
    if let Some(date) = config.date.as_deref().filter(|_| config.named.is_empty()) {
        found.only_of(date);
    }
    if !found.files.is_empty() {
        let files = &found.files;
        let size = |file: &RawFile| std::fs::metadata(&file.path).map_or(0, |metadata| metadata.len());
        progress.expect_files(files.iter().map(size).sum());
        let outcome = Reading { config, back_ends, files, unreadable, progress, shutdown }.run()?;
        report.over_limit = outcome.over_limit;
        report.parts = outcome.committed.parts;
        report.part_bytes = outcome.committed.part_bytes;
        report.files = file_reports(files, outcome.settled, outcome.committed.accounts);
    }
    report.files.extend(found.unreadable.iter().map(unreadable_report));
    report.passed_over = found.passed_over;
    report.took_files = started.elapsed();
    Ok(())
}
