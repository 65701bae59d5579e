//! The configuration that is in force for one call: file and variables, then the flags.

use crate::cli::Cli;
use crate::config::{Config, ConfigError, Origin};

/// What is in force for this call. `default_data` is the folder when no `--data` is given.
pub fn configuration(cli: &Cli, default_data: Option<&str>) -> Result<Config, ConfigError> {
    let mut config = crate::config::load(cli.config.as_deref())?;
    let data = cli.data.as_ref().map(|folder| folder.display().to_string());
    if let Some(folder) = data.as_deref().or(default_data) {
        config.log.url = format!("sqlite:{folder}");
        config.warehouse.url = format!("sqlite:{folder}");
        config.scheduler.log_folder = format!("{folder}/task-logs");
        config.etl.raw_folder = format!("{folder}/raw");
        config.archive.url = format!("{folder}/processed");
        config.notify.spool = format!("{folder}/notifications");
        let flag = if cli.data.is_some() { "--data" } else { "adpipe demo" };
        for key in [
            "log.url",
            "warehouse.url",
            "scheduler.log_folder",
            "etl.raw_folder",
            "archive.url",
            "notify.spool",
        ] {
            config.origins.set(key, Origin::Flag(flag));
        }
        config.flags.extend(["--data".into(), folder.into()]);
    }
    if let Some(file) = &cli.config {
        config.flags.extend(["--config".into(), file.into()]);
    }
    Ok(config)
}
