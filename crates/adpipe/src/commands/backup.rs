//! `adpipe backup` and `adpipe restore`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use adpipe_backup::{
    ArchiveSource, BackupError, Kind, LogSource, Manifest, Progress, Sources, Taken, Targets,
    WarehouseSource, WarehouseTarget,
};
use adpipe_runtime::Shutdown;
use adpipe_runtime::progress::{Look, Unit};
use adpipe_warehouse::postgres::PostgresWarehouse;
use serde_json::json;

use crate::cli::recovery::{BackupArgs, RestoreArgs};
use crate::config::{Config, ConfigError};
use crate::log_place::LogPlace;
use crate::progress_bar;
use crate::services::VERSION;
use crate::warehouse_place::WarehousePlace;
use crate::{output, signals};

/// The configuration's file, when none is named.
const CONFIGURATION: &str = "adpipe.toml";

/// Takes a backup. Exit code 1 when something that belongs to it could not be read.
pub fn take(config: &Config, config_file: Option<&Path>, args: &BackupArgs) -> anyhow::Result<ExitCode> {
    let sources = sources(config, config_file)?;
    let work = |progress: &Progress, shutdown: &Shutdown| {
        adpipe_backup::take(&sources, &args.folder, progress, shutdown)
    };
    match run(work)? {
        Ok(taken) => {
            report_taken(&args.folder, &taken, args.json)?;
            Ok(if taken.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Err(BackupError::Stopped) => {
            output::note(&format!("stopped; a previous backup in {} is still intact", args.folder.display()));
            Ok(signals::exit_code())
        }
        Err(error) => Err(error.into()),
    }
}

/// Puts a backup back, or only checks it.
pub fn restore(config: &Config, args: &RestoreArgs) -> anyhow::Result<ExitCode> {
    let targets = if args.check { None } else { Some(targets(config, args)?) };
    let work = |progress: &Progress, shutdown: &Shutdown| match &targets {
        None => adpipe_backup::check(&args.folder, progress, shutdown),
        Some(targets) => adpipe_backup::restore(&args.folder, targets, progress, shutdown),
    };
    match run(work)? {
        Ok(manifest) => {
            report_restored(config, &manifest, args)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(BackupError::Stopped) => {
            output::note("stopped; nothing was restored");
            Ok(signals::exit_code())
        }
        Err(error) => Err(error.into()),
    }
}

fn run<T: Send>(
    work: impl FnOnce(&Progress, &Shutdown) -> Result<T, BackupError> + Send,
) -> anyhow::Result<Result<T, BackupError>> {
    let shutdown = Shutdown::new();
    signals::watch(&shutdown, signals::GRACE)?;
    let progress = Progress::new();
    let look = || Look {
        name: progress.current(),
        done: progress.done(),
        total: progress.total(),
        unit: Unit::Bytes,
        ..Look::default()
    };
    progress_bar::shown("backup", look, || work(&progress, &shutdown))
}

fn sources(config: &Config, config_file: Option<&Path>) -> anyhow::Result<Sources> {
    let log = match LogPlace::of(config)? {
        LogPlace::Embedded(folder) => LogSource::Embedded(folder),
        #[cfg(feature = "kafka")]
        LogPlace::Kafka(_) => LogSource::Kafka(config.log.url.clone()),
    };
    let place = WarehousePlace::of(config)?;
    place.must_have_data()?;
    let warehouse = match &place {
        WarehousePlace::Folder(folder) => WarehouseSource::Folder(folder.clone()),
        WarehousePlace::Postgres(settings) => WarehouseSource::Postgres {
            warehouse: place.open()?,
            environment: settings.environment(),
            location: settings.location().to_owned(),
        },
    };
    let archive = match archive_folder(config) {
        Some(folder) => ArchiveSource::Folder(folder),
        None => ArchiveSource::Store(config.archive.url.clone()),
    };
    let named = |file: &str, name: &str| (Kind::Configuration, PathBuf::from(file), name.to_owned());
    let config_file = config_file.unwrap_or(Path::new(CONFIGURATION));
    Ok(Sources {
        version: VERSION.to_owned(),
        log,
        warehouse,
        archive,
        folders: vec![
            (Kind::Notifications, PathBuf::from(&config.notify.spool)),
            (Kind::TaskLogs, PathBuf::from(&config.scheduler.log_folder)),
        ],
        files: vec![
            (Kind::Configuration, config_file.to_path_buf(), CONFIGURATION.to_owned()),
            named(&config.scheduler.dags_file, "dags.toml"),
            named(&config.alerts.rules_file, "alerts.toml"),
            named(&config.notify.config_file, "slack_config.json"),
            (
                Kind::Positions,
                PathBuf::from(&config.ingest.positions_file),
                file_name(&config.ingest.positions_file),
            ),
        ],
    })
}

fn file_name(path: &str) -> String {
    Path::new(path).file_name().map_or_else(|| path.to_owned(), |name| name.to_string_lossy().into_owned())
}

/// The archive's folder; none when it is in an object store.
fn archive_folder(config: &Config) -> Option<PathBuf> {
    (!config.archive.url.contains("://")).then(|| PathBuf::from(&config.archive.url))
}

fn targets(config: &Config, args: &RestoreArgs) -> anyhow::Result<Targets> {
    let log = match LogPlace::of(config)? {
        LogPlace::Embedded(folder) => Some(folder),
        #[cfg(feature = "kafka")]
        LogPlace::Kafka(_) => None,
    };
    let place = WarehousePlace::of(config)?;
    let warehouse = match &place {
        _ if args.without_warehouse => WarehouseTarget::ByHand,
        WarehousePlace::Folder(folder) => WarehouseTarget::Folder(folder.clone()),
        WarehousePlace::Postgres(settings) => WarehouseTarget::Postgres {
            environment: settings.environment(),
            location: settings.location().to_owned(),
            has_data: PostgresWarehouse::is_prepared(settings)?,
        },
    };
    if config.ingest.positions_file.is_empty() {
        let message = "must name a file".to_owned();
        return Err(ConfigError::Key { key: "ingest.positions_file", message }.into());
    }
    Ok(Targets {
        log,
        warehouse,
        archive: archive_folder(config),
        notifications: PathBuf::from(&config.notify.spool),
        task_logs: PathBuf::from(&config.scheduler.log_folder),
        positions: PathBuf::from(&config.ingest.positions_file),
    })
}

fn report_taken(folder: &Path, taken: &Taken, as_json: bool) -> anyhow::Result<()> {
    let manifest = &taken.manifest;
    if as_json {
        return output::json(&json!({
            "folder": folder, "taken_at": manifest.taken_at, "adpipe": manifest.adpipe,
            "files": manifest.files.len(), "bytes": manifest.bytes(), "copied_bytes": taken.copied,
            "archive_parts": manifest.count(Kind::Archive), "archive_parts_kept": taken.kept_parts,
            "not_included": manifest.not_included, "problems": taken.problems,
        }));
    }
    output::line(&format!(
        "{}: everything as of {} UTC: {}, {}; copied {}, {} of the archive already there",
        folder.display(),
        manifest.taken_at,
        output::counted(manifest.files.len() as u64, "file"),
        megabytes(manifest.bytes()),
        megabytes(taken.copied),
        output::counted(taken.kept_parts, "part"),
    ))?;
    for missing in &manifest.not_included {
        output::line(&format!("not included: {missing}"))?;
    }
    if !taken.problems.is_empty() {
        output::note("the rest is a complete backup; `adpipe verify` says what is wrong with the archive");
    }
    Ok(())
}

fn report_restored(config: &Config, manifest: &Manifest, args: &RestoreArgs) -> anyhow::Result<()> {
    if args.json {
        return output::json(&json!({
            "folder": args.folder, "taken_at": manifest.taken_at, "adpipe": manifest.adpipe,
            "files": manifest.files.len(), "bytes": manifest.bytes(), "restored": !args.check,
            "not_included": manifest.not_included,
        }));
    }
    let what = format!(
        "the backup of {} UTC by adpipe {}: {}, {}",
        manifest.taken_at,
        manifest.adpipe,
        output::counted(manifest.files.len() as u64, "file"),
        megabytes(manifest.bytes())
    );
    if args.check {
        return output::line(&format!("{} is complete: {what}", args.folder.display()));
    }
    output::line(&format!("restored {what}"))?;
    for missing in &manifest.not_included {
        output::line(&format!("not included: {missing}"))?;
    }
    let flags: Vec<String> = config.flags.iter().map(|flag| flag.to_string_lossy().into_owned()).collect();
    let flags = if flags.is_empty() { String::new() } else { format!(" {}", flags.join(" ")) };
    let configuration = args.folder.join(&manifest.folder).join("configuration");
    output::line("next steps:")?;
    output::line(&format!("  adpipe verify{flags}      proves that nothing is missing"))?;
    output::line(&format!("  adpipe up{flags}          continues from there"))?;
    output::line(
        "  then send the events that came after the backup again; those that it already has are duplicates",
    )?;
    if manifest.count(Kind::Configuration) > 0 {
        let place = configuration.display();
        output::line(&format!("the configuration of that time is in {place}; backups contain no secrets"))?;
    }
    Ok(())
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
