//! `adpipe rebuild`: schema `realtime` again, from archive and log.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use adpipe_batch::{BackEnds, BatchError, Progress, RebuildConfig, RebuildReport};
use adpipe_event::Millis;
use adpipe_log::EventLog;
#[cfg(feature = "kafka")]
use adpipe_log::kafka::KafkaLog;
use adpipe_log::sqlite::SqliteLog;
use adpipe_metrics::Metrics;
use adpipe_runtime::Shutdown;
use adpipe_stores::Store;
use adpipe_warehouse::sqlite::SqliteWarehouse;
use adpipe_warehouse::{Warehouse, identity};
use anyhow::bail;
use serde_json::json;

use crate::archive_place;
use crate::cli::recovery::RebuildArgs;
use crate::config::{Config, ConfigError};
use crate::log_place::LogPlace;
use crate::services::{Services, VERSION, retention_of, role_folder, take_role};
use crate::signals;
use crate::warehouse_place::WarehousePlace;
use crate::{output, progress_bar};

/// Folder of the file that is being made, below the warehouse's.
const STAGING: &str = ".rebuilding";

/// Makes the warehouse again. Exit code 1 when something is damaged or missing.
pub fn run(config: &Config, args: &RebuildArgs) -> anyhow::Result<ExitCode> {
    let place = WarehousePlace::of(config)?;
    if let WarehousePlace::Postgres(settings) = &place
        && !args.yes
        && !args.dry_run
    {
        bail!(ConfigError::flag(format!(
            "{}: schema realtime is replaced, in one transaction, and no copy of it is kept; run `adpipe backup` first, \
             then `adpipe rebuild --yes`",
            settings.location()
        )));
    }
    let _role = match role_folder(config)? {
        Some(folder) => match take_role(&folder, "stream")? {
            Some(lock) => Some(lock),
            None => bail!("{}: adpipe is running on this folder; stop it first", folder.display()),
        },
        None => None,
    };
    let shutdown = Shutdown::new();
    signals::watch(&shutdown, signals::GRACE)?;
    let made = match &place {
        WarehousePlace::Folder(folder) => in_folder(config, args, folder, &shutdown),
        WarehousePlace::Postgres(_) => {
            let warehouse = place.open()?;
            rebuild(config, args, warehouse.as_ref(), &shutdown).map(|report| (report, None))
        }
    };
    match made {
        Ok((report, kept)) => {
            if !args.dry_run {
                accept(config)?;
            }
            print(&report, kept.as_deref(), args)?;
            Ok(if report.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Err(error) if matches!(error.downcast_ref(), Some(BatchError::Stopped)) => {
            output::note("stopped; nothing has changed");
            Ok(signals::exit_code())
        }
        Err(error) => Err(error),
    }
}

/// The other stores know the previous realtime: the new one takes its place for them, on the record.
fn accept(config: &Config) -> anyhow::Result<()> {
    let services = Services::open_unsettled(config.clone())?;
    if services.look_at_stores()?.stopped(Store::Realtime).is_some() {
        services.accept_store(Store::Realtime, "adpipe rebuild")?;
    }
    drop(services);
    // A store that is only older than what the others record is settled when it is opened, as at any
    // start.
    Services::open(config.clone())?.remember();
    Ok(())
}

/// Makes another `realtime.db` and puts it in the place of the folder's own.
fn in_folder(
    config: &Config,
    args: &RebuildArgs,
    folder: &Path,
    shutdown: &Shutdown,
) -> anyhow::Result<(RebuildReport, Option<PathBuf>)> {
    let staging = folder.join(STAGING);
    // Of a rebuild that was killed.
    remove(&staging)?;
    let warehouse = SqliteWarehouse::open_beside(folder, &staging)?;
    let made = rebuild(config, args, &warehouse, shutdown);
    let kept = match &made {
        Ok(_) if !args.dry_run => {
            let stamp = Millis::now().to_string().replace(['-', ':', '.'], "").replace(' ', "T");
            warehouse.replace_realtime(&stamp)?
        }
        _ => {
            drop(warehouse);
            None
        }
    };
    remove(&staging)?;
    Ok((made?, kept))
}

fn remove(staging: &Path) -> anyhow::Result<()> {
    match std::fs::remove_dir_all(staging) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            bail!("cannot remove {}: {error}", staging.display())
        }
        _ => Ok(()),
    }
}

fn rebuild(
    config: &Config,
    args: &RebuildArgs,
    warehouse: &dyn Warehouse,
    shutdown: &Shutdown,
) -> anyhow::Result<RebuildReport> {
    let log: Arc<dyn EventLog> = match LogPlace::of(config)? {
        LogPlace::Embedded(folder) => Arc::new(SqliteLog::open(&folder)?),
        #[cfg(feature = "kafka")]
        LogPlace::Kafka(options) => Arc::new(KafkaLog::open(options)?),
    };
    let archive = archive_place::open(config)?;
    let metrics = Metrics::new(VERSION)?;
    let back_ends = BackEnds { warehouse, log: log.as_ref(), archive: &archive, metrics: &metrics };
    let how = RebuildConfig {
        minutes: config.retention.minutes.0,
        hot: config.retention.events.of(&config.warehouse.url),
        fields: config.event.fields.map().clone(),
        dry_run: args.dry_run,
    };
    let data_id = data_id(warehouse)?;
    let progress = Progress::new();
    let work = || -> anyhow::Result<RebuildReport> {
        let report = adpipe_batch::rebuild(&how, back_ends, data_id.as_deref(), &progress, shutdown)?;
        if !args.dry_run {
            // Minutes that are kept no longer.
            progress.begin("applying retention");
            warehouse.retire(retention_of(config).warehouse)?;
        }
        Ok(report)
    };
    progress_bar::shown("rebuild", || progress.look(), work)?
}

/// The data set that the other stores are of; none when no store says.
fn data_id(warehouse: &dyn Warehouse) -> anyhow::Result<Option<String>> {
    for schema in identity::STORES {
        if let Some(found) = identity::read(warehouse, schema)?.identity {
            return Ok(Some(found.data_id));
        }
    }
    Ok(None)
}

fn print(report: &RebuildReport, kept: Option<&Path>, args: &RebuildArgs) -> anyhow::Result<()> {
    if args.json {
        return output::json(&json!({
            "dry_run": args.dry_run, "account_of": report.account_of,
            "archive": {"parts": report.parts, "events": report.archived, "redundant": report.redundant,
                        "rewritten": report.rewritten},
            "log": {"events": report.from_log, "replayed": report.replayed},
            "hot": report.made_hot, "synthesised": report.synthesised, "problems": report.problems,
            "kept": kept,
        }));
    }
    let made = if args.dry_run { "dry run, nothing changed: there are" } else { "made again:" };
    output::line(&format!(
        "{made} {} of {} of the archive and {} that only the log has",
        output::counted(report.archived, "event"),
        output::counted(report.parts, "part"),
        output::counted(report.from_log, "event"),
    ))?;
    match &report.account_of {
        Some(written_at) => {
            output::line(&format!("files and offsets are those of {written_at} UTC, the archive's account"))?
        }
        None => output::line(
            "the archive has no account: the next `adpipe etl` reads files again, and their rows count as duplicates",
        )?,
    }
    for part in &report.redundant {
        output::line(&format!("not needed: {part}; its events are in other parts"))?;
    }
    for part in &report.rewritten {
        output::line(&format!("rewritten without events of other parts: {part}"))?;
    }
    for what in &report.synthesised {
        output::line(&format!("filled in: {what}"))?;
    }
    if let Some(kept) = kept {
        output::line(&format!("the previous file is {}", kept.display()))?;
    }
    for problem in &report.problems {
        output::error(problem);
    }
    Ok(())
}
