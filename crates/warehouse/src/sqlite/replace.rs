//! Puts another `realtime.db` in the place of a folder's own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::SqliteWarehouse;
use crate::{Schema, WarehouseError};

const FILE: &str = "realtime.db";

impl SqliteWarehouse {
    /// Ends this warehouse, which was opened by [`open_beside`](Self::open_beside), and gives its
    /// `realtime.db` the place of the folder's own, which is kept under the name that is returned.
    /// `stamp` is a part of that name. No other process may have the folder open.
    ///
    /// # Errors
    /// When a file cannot be moved. The former one is then still there.
    pub fn replace_realtime(self, stamp: &str) -> Result<Option<PathBuf>, WarehouseError> {
        let (folder, new) = (self.folder.clone(), self.path(Schema::Realtime));
        drop(self);
        let failed = |error: &dyn std::fmt::Display| WarehouseError::Unavailable {
            location: folder.display().to_string(),
            reason: format!("{FILE} cannot be replaced: {error}"),
            advice: "make the folder and its files writable for this user, and run the command again",
        };
        fold_in(&new).map_err(|error| failed(&error))?;
        replace(&folder, &new, stamp).map_err(|error| failed(&error))
    }
}

/// Copies the log of changes into the file, and removes it.
fn fold_in(file: &Path) -> rusqlite::Result<()> {
    let connection = Connection::open(file)?;
    connection.query_row("pragma wal_checkpoint(truncate)", [], |_| Ok(()))?;
    connection.close().map_err(|(_, error)| error)
}

fn replace(folder: &Path, new: &Path, stamp: &str) -> io::Result<Option<PathBuf>> {
    let old = folder.join(FILE);
    let kept = folder.join(format!("{FILE}.before-rebuild-{stamp}"));
    let beside = |file: &Path, suffix: &str| {
        let mut name = file.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let has_old = old.exists();
    if has_old {
        // A damaged one keeps its log of changes, under its new name. It must not be found next to the
        // new file: SQLite would take it for that one's.
        let _ = fold_in(&old);
    }
    let log_of_changes = beside(&old, "-wal");
    if log_of_changes.exists() {
        fs::rename(&log_of_changes, beside(&kept, "-wal"))?;
    }
    match fs::remove_file(beside(&old, "-shm")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::File::open(new)?.sync_all()?;
    if has_old {
        fs::hard_link(&old, &kept)?;
    }
    fs::rename(new, &old)?;
    fs::File::open(folder)?.sync_all()?;
    Ok(has_old.then_some(kept))
}

#[cfg(test)]
mod tests {
    use crate::sqlite::SqliteWarehouse;
    use crate::{Warehouse, WarehouseRead};

    #[test]
    fn the_other_file_takes_the_place_and_the_former_one_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let staging = folder.path().join(".rebuilding");
        SqliteWarehouse::open(folder.path()).unwrap().begin_at("old", 0, 1).unwrap();
        let new = SqliteWarehouse::open_beside(folder.path(), &staging).unwrap();
        new.begin_at("new", 0, 2).unwrap();
        assert!(new.offsets("old").unwrap().is_empty());
        let kept = new.replace_realtime("x").unwrap().unwrap();
        assert!(kept.ends_with("realtime.db.before-rebuild-x") && kept.exists());
        let warehouse = SqliteWarehouse::open(folder.path()).unwrap();
        assert_eq!(warehouse.offsets("new").unwrap().len(), 1);
        assert!(warehouse.offsets("old").unwrap().is_empty());
        // A damaged one is kept as well, with its log of changes.
        drop(warehouse);
        std::fs::write(folder.path().join("realtime.db"), "damaged").unwrap();
        std::fs::write(folder.path().join("realtime.db-wal"), "changes").unwrap();
        let new = SqliteWarehouse::open_beside(folder.path(), &staging).unwrap();
        let kept = new.replace_realtime("y").unwrap().unwrap();
        assert_eq!(std::fs::read(&kept).unwrap(), b"damaged");
        SqliteWarehouse::open(folder.path()).unwrap().begin_at("new", 0, 2).unwrap();
    }
}
