//! What could not be stored in the warehouse, in a file on this machine: if the monitor dies while the
//! warehouse is down, the end of an alert must still be notified.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::alert::Alert;

/// The file, and whether there is anything in it.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    is_empty: bool,
}

impl Journal {
    /// In this folder.
    pub fn new(folder: &Path) -> Journal {
        Journal { path: folder.join("monitor.journal"), is_empty: false }
    }

    /// What a monitor that died could not store. One that cannot be read is reported and ignored: its
    /// alerts become pending again if necessary.
    pub fn read(&self) -> Vec<Alert> {
        let text = match std::fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
            Err(error) => {
                tracing::warn!(file = %self.path.display(), %error, "cannot be read");
                return Vec::new();
            }
        };
        serde_json::from_str(&text).unwrap_or_else(|error| {
            tracing::warn!(file = %self.path.display(), %error, "is not what a monitor wrote");
            Vec::new()
        })
    }

    /// Replaces what is in it. A power failure may lose it, a crash does not.
    pub fn write(&mut self, alerts: &[Alert]) -> std::io::Result<()> {
        if alerts.is_empty() {
            return self.clear();
        }
        let new = self.path.with_extension("new");
        let mut file = adpipe_sql::private::open(
            &new,
            std::fs::OpenOptions::new().write(true).create(true).truncate(true),
        )?;
        serde_json::to_writer(&mut file, alerts)?;
        file.flush()?;
        std::fs::rename(&new, &self.path)?;
        self.is_empty = false;
        Ok(())
    }

    /// All of it is in the warehouse.
    pub fn clear(&mut self) -> std::io::Result<()> {
        if self.is_empty {
            return Ok(());
        }
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => self.is_empty = true,
        }
        Ok(())
    }
}
