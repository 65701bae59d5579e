//! Puts a backup back, into places where nothing is yet.
//!
//! Every file is checked before anything is written. What is restored is built next to its place and
//! renamed at the end, so that an interrupted restore leaves nothing that looks like data.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf, absolute};

use adpipe_runtime::Shutdown;

use crate::copy::{content_of, copy, make_folder, sync_folder};
use crate::manifest::{Kind, Manifest};
use crate::postgres;
use crate::tidy::sync_folders;
use crate::{BackupError, Progress};

/// Files named one by one when many are damaged.
const SHOWN: usize = 10;

/// What is being restored, within a folder that cannot be renamed: a mount point.
const WITHIN: &str = ".restoring";

/// Where things go.
#[derive(Debug, Clone)]
pub struct Targets {
    /// Folder of the embedded log; none when the log is elsewhere.
    pub log: Option<PathBuf>,
    /// The warehouse.
    pub warehouse: WarehouseTarget,
    /// Folder of the archive; none when it is in an object store.
    pub archive: Option<PathBuf>,
    /// Folder of messages to Slack.
    pub notifications: PathBuf,
    /// Folder of the tasks' output.
    pub task_logs: PathBuf,
    /// File of `adpipe ingest`'s positions.
    pub positions: PathBuf,
}

/// Where the warehouse goes.
#[derive(Debug, Clone)]
pub enum WarehouseTarget {
    /// Files in this folder.
    Folder(PathBuf),
    /// A database without adpipe's schemas.
    Postgres {
        /// libpq's variables, with the password.
        environment: Vec<(String, String)>,
        /// The address, without secrets.
        location: String,
        /// Whether adpipe's schemas are there already.
        has_data: bool,
    },
    /// It is restored by hand.
    ByHand,
}

/// Checks every file of a backup against its manifest.
///
/// # Errors
/// [`BackupError::Damaged`] names the files that are missing or not as they were written.
pub fn check(folder: &Path, progress: &Progress, shutdown: &Shutdown) -> Result<Manifest, BackupError> {
    progress.begin("checking");
    let manifest = Manifest::read(folder)?;
    progress.expect(manifest.bytes());
    let mut damaged = Vec::new();
    for entry in &manifest.files {
        let path = folder.join(&entry.path);
        match fs::metadata(&path) {
            Err(error) => damaged.push(format!("{}: {error}", entry.path)),
            Ok(metadata) if metadata.len() != entry.bytes => damaged.push(format!(
                "{}: has {} bytes instead of {}",
                entry.path,
                metadata.len(),
                entry.bytes
            )),
            Ok(_) => match content_of(&path, progress, shutdown) {
                Ok(content) if content.hash == entry.hash => {}
                Ok(_) => damaged.push(format!("{}: its content has changed", entry.path)),
                Err(BackupError::Stopped) => return Err(BackupError::Stopped),
                Err(error) => damaged.push(error.to_string()),
            },
        }
    }
    if damaged.is_empty() {
        return Ok(manifest);
    }
    let more = damaged.len().saturating_sub(SHOWN);
    damaged.truncate(SHOWN);
    if more > 0 {
        damaged.push(format!("and {more} more"));
    }
    Err(BackupError::Damaged { path: folder.to_path_buf(), reason: damaged.join("; ") })
}

/// Checks a backup and puts it back.
///
/// # Errors
/// [`BackupError::Refused`] when something is there already, or the backup is of another kind;
/// otherwise as [`check`]. Nothing is restored then.
pub fn restore(
    folder: &Path,
    targets: &Targets,
    progress: &Progress,
    shutdown: &Shutdown,
) -> Result<Manifest, BackupError> {
    let manifest = Manifest::read(folder)?;
    let places = Places::of(&manifest, targets)?;
    check(folder, progress, shutdown)?;
    let staged = Staged::begin(&places.folders())?;
    progress.begin("restoring");
    progress.expect(manifest.bytes());
    for entry in &manifest.files {
        let Some(place) = places.of_kind(entry.kind) else { continue };
        let to = staged.path(&place.join(&entry.target));
        if let Some(folder) = to.parent() {
            make_folder(folder)?;
        }
        let from = folder.join(&entry.path);
        let content = copy(&from, &to, progress, shutdown)?;
        if content.is_none_or(|content| content.hash != entry.hash) {
            return Err(BackupError::Damaged {
                path: from,
                reason: "it has changed in the meantime".to_owned(),
            });
        }
    }
    if let Some(dump) = manifest.files.iter().find(|entry| entry.kind == Kind::PostgresDump)
        && let WarehouseTarget::Postgres { environment, .. } = &targets.warehouse
    {
        progress.begin("pg_restore");
        postgres::restore(environment, &folder.join(&dump.path), shutdown)?;
    }
    staged.finish()?;
    Ok(manifest)
}

/// Where what is of a kind goes; none where it stays in the backup.
fn place_of(kind: Kind, targets: &Targets) -> Result<Option<PathBuf>, BackupError> {
    match kind {
        Kind::Log => {
            let log = targets.log.clone();
            log.map(Some).ok_or_else(|| other_kind("an embedded event log", "log.url names a Kafka cluster"))
        }
        Kind::Archive => {
            let archive = targets.archive.clone();
            archive
                .map(Some)
                .ok_or_else(|| other_kind("an archive in a folder", "archive.url names an object store"))
        }
        Kind::Warehouse => match &targets.warehouse {
            WarehouseTarget::Folder(folder) => Ok(Some(folder.clone())),
            WarehouseTarget::Postgres { .. } => {
                Err(other_kind("an embedded warehouse", "warehouse.url names PostgreSQL"))
            }
            WarehouseTarget::ByHand => Ok(None),
        },
        Kind::PostgresDump => check_dump_target(&targets.warehouse).map(|()| None),
        Kind::Notifications => Ok(Some(targets.notifications.clone())),
        Kind::TaskLogs => Ok(Some(targets.task_logs.clone())),
        Kind::Positions => Ok(targets.positions.parent().map(Path::to_path_buf)),
        Kind::Configuration => Ok(None),
    }
}

/// Whether a dump of PostgreSQL may go into this warehouse.
fn check_dump_target(warehouse: &WarehouseTarget) -> Result<(), BackupError> {
    match warehouse {
        WarehouseTarget::Postgres { has_data: false, .. } | WarehouseTarget::ByHand => Ok(()),
        WarehouseTarget::Postgres { location, .. } => Err(BackupError::Refused(format!(
            "{location}: already has adpipe's schemas; restore into an empty database"
        ))),
        WarehouseTarget::Folder(_) => Err(BackupError::Refused(
            "this backup holds a PostgreSQL warehouse; name an empty database by warehouse.url, \
             without --data, or restore the dump yourself and the rest with --without-warehouse"
                .to_owned(),
        )),
    }
}

/// Folders by kind; kinds that stay where they are have none.
struct Places(HashMap<Kind, PathBuf>);

impl Places {
    fn of(manifest: &Manifest, targets: &Targets) -> Result<Places, BackupError> {
        let mut places = Places(HashMap::new());
        for kind in [
            Kind::Log,
            Kind::Warehouse,
            Kind::PostgresDump,
            Kind::Archive,
            Kind::Notifications,
            Kind::TaskLogs,
            Kind::Positions,
        ] {
            if manifest.count(kind) == 0 {
                continue;
            }
            if let Some(place) = place_of(kind, targets)? {
                let place = absolute(&place).map_err(BackupError::file("write", &place))?;
                places.0.insert(kind, place);
            }
        }
        Ok(places)
    }

    fn of_kind(&self, kind: Kind) -> Option<&PathBuf> {
        self.0.get(&kind)
    }

    /// The folders that none of the others holds.
    fn folders(&self) -> Vec<PathBuf> {
        let mut folders: Vec<PathBuf> = self.0.values().cloned().collect();
        folders.sort();
        let mut outer: Vec<PathBuf> = Vec::new();
        for folder in folders {
            if !outer.iter().any(|known| folder.starts_with(known)) {
                outer.push(folder);
            }
        }
        outer
    }
}

fn other_kind(what: &str, but: &str) -> BackupError {
    BackupError::Refused(format!(
        "this backup holds {what}, but {but}; restore into a new folder with --data"
    ))
}

/// What is being restored, next to the places where it goes.
struct Staged {
    folders: Vec<StagedFolder>,
    is_done: bool,
}

struct StagedFolder {
    place: PathBuf,
    staging: PathBuf,
}

impl Staged {
    /// Looks whether the places are free, and makes the folders next to them.
    fn begin(places: &[PathBuf]) -> Result<Staged, BackupError> {
        let mut staged = Staged { folders: Vec::new(), is_done: false };
        for place in places {
            must_be_empty(place)?;
        }
        for place in places {
            let staging = staging_of(place)?;
            if staging.exists() {
                // Only a restore that was killed leaves a folder of this name.
                fs::remove_dir_all(&staging).map_err(BackupError::file("remove", &staging))?;
            }
            make_folder(&staging)?;
            staged.folders.push(StagedFolder { place: place.clone(), staging });
        }
        Ok(staged)
    }

    /// Where a file is for now.
    fn path(&self, to: &Path) -> PathBuf {
        let inner = self.folders.iter().find_map(|folder| {
            to.strip_prefix(&folder.place).ok().map(|relative| folder.staging.join(relative))
        });
        inner.unwrap_or_else(|| to.to_path_buf())
    }

    /// Moves everything into its place.
    fn finish(mut self) -> Result<(), BackupError> {
        for folder in &self.folders {
            sync_folders(&folder.staging)?;
        }
        for StagedFolder { place, staging } in &self.folders {
            let failed = BackupError::file("write", place);
            match staging.starts_with(place) {
                // An empty folder may be renamed over.
                false => fs::rename(staging, place).map_err(failed)?,
                true => move_out(staging, place).map_err(failed)?,
            }
            if let Some(parent) = place.parent() {
                sync_folder(parent)?;
            }
        }
        self.is_done = true;
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.is_done {
            for folder in &self.folders {
                let _ = fs::remove_dir_all(&folder.staging);
            }
        }
    }
}

fn must_be_empty(place: &Path) -> Result<(), BackupError> {
    let entries = match fs::read_dir(place) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(BackupError::file("read", place)(error)),
    };
    for entry in entries {
        let name = entry.map_err(BackupError::file("read", place))?.file_name();
        if name != WITHIN && name != "lost+found" {
            return Err(BackupError::Refused(format!(
                "{}: is not empty ({}); restore into a new folder, or move what is there away",
                place.display(),
                name.to_string_lossy()
            )));
        }
    }
    Ok(())
}

/// Next to the place; within it, if it is a separate disk.
fn staging_of(place: &Path) -> Result<PathBuf, BackupError> {
    let refused = || BackupError::Refused(format!("{}: cannot be restored into", place.display()));
    let (parent, name) = (place.parent().ok_or_else(refused)?, place.file_name().ok_or_else(refused)?);
    make_folder(parent)?;
    let device = |path: &Path| fs::metadata(path).map(|metadata| metadata.dev());
    if let Ok(own) = device(place)
        && own != device(parent).map_err(BackupError::file("read", parent))?
    {
        return Ok(place.join(WITHIN));
    }
    Ok(parent.join(format!(".{}{WITHIN}", name.to_string_lossy())))
}

/// The databases last: without them there is nothing that adpipe would take for data.
fn move_out(staging: &Path, place: &Path) -> std::io::Result<()> {
    let mut names = Vec::new();
    for entry in fs::read_dir(staging)? {
        names.push(entry?.file_name());
    }
    names.sort_by_key(|name| name.to_string_lossy().ends_with(".db"));
    for name in names {
        fs::rename(staging.join(&name), place.join(&name))?;
    }
    fs::remove_dir(staging)
}
