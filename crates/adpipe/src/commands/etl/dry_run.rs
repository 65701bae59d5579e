//! Where a dry run without data works: it must not leave any data behind.

use std::path::PathBuf;

use anyhow::Context;

use crate::config::{Config, embedded_folder};
use crate::signals;

/// Stores for one dry run, gone with it.
pub struct Scratch(PathBuf);

impl Scratch {
    /// Points log and warehouse to a temporary folder if neither exists yet. If there is data, or a
    /// server, a dry run only reads it.
    pub fn instead_of_none(config: &mut Config) -> anyhow::Result<Option<Scratch>> {
        let is_missing =
            |key, url: &str, file| embedded_folder(key, url).is_ok_and(|folder| !folder.join(file).exists());
        if !is_missing("log.url", &config.log.url, "log.db")
            || !is_missing("warehouse.url", &config.warehouse.url, "realtime.db")
        {
            return Ok(None);
        }
        let name = format!("adpipe-dry-run-{}-{}", std::process::id(), adpipe_warehouse::identity::new_id());
        let folder = std::env::temp_dir().join(name);
        // Fails if the folder contains something else.
        std::fs::create_dir(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        signals::remove_at_end(folder.clone());
        let url = format!("sqlite:{}", folder.display());
        config.log.url.clone_from(&url);
        config.warehouse.url = url;
        Ok(Some(Scratch(folder)))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
