//! Places that a key names, as far as they are folders of this machine.

use std::path::PathBuf;

use super::error::ConfigError;

/// The folder of an embedded back end.
pub fn embedded_folder(key: &'static str, url: &str) -> Result<PathBuf, ConfigError> {
    match url.split_once(':') {
        Some(("sqlite", folder)) if !folder.is_empty() => Ok(PathBuf::from(folder)),
        _ => Err(ConfigError::Key {
            key,
            message: match key {
                "warehouse.url" => format!(
                    "{:?} is not understood; this adpipe knows \"sqlite:FOLDER\" and \"postgres://USER@HOST:5432/DATABASE\"",
                    adpipe_warehouse::postgres::masked(url)
                ),
                "log.url" => format!(
                    "{url:?} is not understood; write \"sqlite:FOLDER\" or \"kafka://HOST:PORT[,HOST:PORT]\""
                ),
                _ => format!("{url:?} is not understood; this adpipe knows \"sqlite:FOLDER\""),
            },
        }),
    }
}

/// Fails when this does not name a folder.
pub fn check_archive_folder(url: &str) -> Result<(), ConfigError> {
    let wrong = |message: &str| Err(ConfigError::Key { key: "archive.url", message: message.to_owned() });
    if url.contains("://") {
        return wrong("is not understood; write a folder, or \"s3://BUCKET/PREFIX\"");
    }
    if url.is_empty() {
        return wrong("must name a folder, or \"s3://BUCKET/PREFIX\"");
    }
    Ok(())
}
