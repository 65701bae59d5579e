//! Takes a backup.
//!
//! Parts of the archive first, as far as they are there already, then the moment, then the parts
//! that came in between: so the moment is short of few. A merge may remove a part that the moment
//! names before it is copied; then another moment is taken, of which the merge is a part.

use std::fs;
use std::path::{Path, PathBuf};

use adpipe_event::Millis;
use adpipe_runtime::RoleLock;
use adpipe_runtime::Shutdown;
use adpipe_warehouse::Warehouse;

use crate::copy::{Content, copy, create_private, make_folder, sync_folder};
use crate::cut::{self, ListedPart, Seen};
use crate::manifest::{FileEntry, Kind, MANIFEST, Manifest};
use crate::postgres::{self, DUMP, Moment};
use crate::source::{ArchiveSource, LogSource, Sources, WarehouseSource};
use crate::tidy::{self, Parts};
use crate::{BackupError, Progress};

/// Folder of the archive's parts, below the backup's.
pub(crate) const ARCHIVE: &str = "archive";

/// Folder of the single backups' own files, below the backup's.
pub(crate) const TAKEN: &str = "taken";

const LOCK: &str = ".backup";
const LOCK_FILE: &str = ".backup.lock";

/// So many moments are tried; a part that is missing from each is missing from the archive.
const MOMENTS: u32 = 5;

/// What was done.
#[derive(Debug)]
pub struct Taken {
    /// What the backup holds.
    pub manifest: Manifest,
    /// Bytes that had to be copied; the others lay there already.
    pub copied: u64,
    /// Parts of the archive that lay there already.
    pub kept_parts: u64,
    /// What should be in it and could not be read, or is not as the warehouse says.
    pub problems: Vec<String>,
}

/// Copies everything into a folder: a new or empty one, or one that holds a backup.
///
/// # Errors
/// [`BackupError::Stopped`] when the switch went off. Whatever the error, a backup that was there
/// before is still there, whole.
pub fn take(
    sources: &Sources,
    folder: &Path,
    progress: &Progress,
    shutdown: &Shutdown,
) -> Result<Taken, BackupError> {
    prepare(folder)?;
    make_lock_file(folder)?;
    let lock = RoleLock::take(folder, LOCK).map_err(BackupError::file("write", folder))?;
    let _lock = lock.ok_or_else(|| BackupError::Busy(folder.to_path_buf()))?;
    let before = match Manifest::read(folder) {
        Ok(manifest) => Some(manifest),
        Err(BackupError::Damaged { path, reason }) => {
            tracing::warn!(path = %path.display(), reason, "the previous backup is damaged; everything is copied again");
            None
        }
        Err(_) if !folder.join(MANIFEST).exists() => None,
        Err(error) => return Err(error),
    };
    let stamp = Millis::now().to_string().replace(['-', ':', '.'], "").replace(' ', "T");
    let own = format!("{TAKEN}/{stamp}");
    make_folder(&folder.join(&own))?;
    let parts = Parts::begin(folder, &own, before.as_ref())?;
    let mut run = Run {
        sources,
        folder,
        own,
        progress,
        shutdown,
        parts,
        files: Vec::new(),
        copied: 0,
        kept_parts: 0,
        problems: Vec::new(),
    };
    let taken_at = match run.copy_all() {
        Ok(taken_at) => taken_at,
        Err(error) => {
            tidy::abandon(&folder.join(&run.own));
            return Err(error);
        }
    };
    run.finish(taken_at)
}

/// Makes the folder, or looks whether it is one of ours.
fn prepare(folder: &Path) -> Result<(), BackupError> {
    make_folder(folder)?;
    let mut entries = fs::read_dir(folder).map_err(BackupError::file("read", folder))?;
    let is_ours = folder.join(MANIFEST).exists() || folder.join(LOCK_FILE).exists();
    if !is_ours && entries.next().is_some() {
        return Err(BackupError::Refused(format!(
            "{}: holds files that are not a backup; name a new or empty folder, or one that holds a backup",
            folder.display()
        )));
    }
    Ok(())
}

/// Creates the lock file, readable only by its owner.
fn make_lock_file(folder: &Path) -> Result<(), BackupError> {
    match create_private(&folder.join(LOCK_FILE)) {
        Err(BackupError::File { source, .. }) if source.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map(drop),
    }
}

struct Run<'a> {
    sources: &'a Sources,
    folder: &'a Path,
    /// Folder of this backup's own files, below the backup's.
    own: String,
    progress: &'a Progress,
    shutdown: &'a Shutdown,
    parts: Parts,
    files: Vec<FileEntry>,
    copied: u64,
    kept_parts: u64,
    problems: Vec<String>,
}

/// All stores at one moment.
enum AtMoment<'a> {
    Files(Vec<Seen>),
    Server(Moment<'a>),
}

impl AtMoment<'_> {
    fn files(&self) -> &[Seen] {
        match self {
            AtMoment::Files(files) => files,
            AtMoment::Server(moment) => &moment.log,
        }
    }

    fn archive_parts(&self) -> Result<Vec<ListedPart>, BackupError> {
        match self {
            AtMoment::Files(files) => match files.iter().find(|file| file.name == "realtime.db") {
                Some(realtime) => realtime.archive_parts(),
                None => Ok(Vec::new()),
            },
            AtMoment::Server(moment) => moment.archive_parts(),
        }
    }
}

impl<'a> Run<'a> {
    /// Gives the time of the moment.
    fn copy_all(&mut self) -> Result<String, BackupError> {
        let (taken_at, moment) = self.moment_with_parts()?;
        self.copy_databases(&moment)?;
        drop(moment);
        // After the moment: a message that is stored twice is sent once; one that is stored nowhere is
        // never sent.
        self.progress.begin("messages, logs, configuration");
        for (kind, source) in &self.sources.folders {
            self.copy_folder(*kind, source)?;
        }
        for (kind, source, name) in &self.sources.files {
            let path = format!("{}/{}/{name}", self.own, folder_of(*kind));
            self.copy_file(*kind, source, &path, name)?;
        }
        Ok(taken_at)
    }

    fn moment(&self) -> Result<AtMoment<'a>, BackupError> {
        let log = match &self.sources.log {
            LogSource::Embedded(folder) => Some(folder.as_path()),
            LogSource::Kafka(_) => None,
        };
        match &self.sources.warehouse {
            WarehouseSource::Folder(folder) => {
                cut::begin(log, Some(folder), self.shutdown).map(AtMoment::Files)
            }
            WarehouseSource::Postgres { warehouse, .. } => {
                let warehouse: &dyn Warehouse = warehouse.as_ref();
                postgres::begin(warehouse, log, self.shutdown).map(AtMoment::Server)
            }
        }
    }

    /// A moment, all of whose parts of the archive are copied.
    fn moment_with_parts(&mut self) -> Result<(String, AtMoment<'a>), BackupError> {
        let ArchiveSource::Folder(archive) = &self.sources.archive else {
            return Ok((Millis::now().to_string(), self.moment()?));
        };
        self.progress.begin("archive");
        let listed = self.moment()?.archive_parts()?;
        self.copy_parts(archive, &listed)?;
        let mut moments = 1;
        loop {
            let (taken_at, moment) = (Millis::now().to_string(), self.moment()?);
            let listed = moment.archive_parts()?;
            let missing = self.copy_parts(archive, &listed)?;
            if !missing.is_empty() && moments < MOMENTS {
                moments += 1;
                continue;
            }
            for path in missing {
                self.problems.push(format!("{}: is missing", archive.join(path).display()));
            }
            self.take_parts(archive, &listed);
            return Ok((taken_at, moment));
        }
    }

    /// Copies those parts that the backup has not; gives those that are not there any more.
    fn copy_parts(&mut self, archive: &Path, listed: &[ListedPart]) -> Result<Vec<String>, BackupError> {
        let wanted: Vec<&ListedPart> =
            listed.iter().filter(|part| !self.parts.has(&part.path, part.bytes)).collect();
        self.progress.expect(wanted.iter().map(|part| part.bytes).sum());
        let mut missing = Vec::new();
        for part in wanted {
            match self.parts.copy(archive, &part.path, self.progress, self.shutdown)? {
                Some(bytes) => self.copied += bytes,
                None => missing.push(part.path.clone()),
            }
        }
        Ok(missing)
    }

    /// Makes the parts that are copied a part of this backup.
    fn take_parts(&mut self, archive: &Path, listed: &[ListedPart]) {
        for part in listed {
            let Some(Content { bytes, hash }) = self.parts.content(&part.path) else { continue };
            let is_as_listed = bytes == part.bytes && part.hash.as_ref().is_none_or(|listed| *listed == hash);
            if !is_as_listed {
                let place = archive.join(&part.path);
                self.problems.push(format!("{}: is not as it was written", place.display()));
            }
            self.kept_parts += u64::from(self.parts.is_kept(&part.path));
            self.files.push(FileEntry {
                kind: Kind::Archive,
                path: format!("{ARCHIVE}/{}", part.path),
                target: part.path.clone(),
                bytes,
                hash,
            });
        }
    }

    fn copy_databases(&mut self, moment: &AtMoment<'_>) -> Result<(), BackupError> {
        for file in moment.files() {
            self.progress.expect(file.bytes()?);
        }
        for file in moment.files() {
            self.progress.begin(&file.name);
            let kind = if file.name == "log.db" { Kind::Log } else { Kind::Warehouse };
            let path = format!("{}/{}", self.own, file.name);
            let content = file.copy_to(&self.folder.join(&path), self.progress, self.shutdown)?;
            self.add(kind, path, file.name.clone(), content);
        }
        if let (AtMoment::Server(moment), WarehouseSource::Postgres { environment, .. }) =
            (moment, &self.sources.warehouse)
        {
            self.progress.begin("pg_dump");
            let path = format!("{}/{DUMP}", self.own);
            let content = moment.dump(environment, &self.folder.join(&path), self.shutdown)?;
            self.add(Kind::PostgresDump, path, DUMP.to_owned(), content);
        }
        Ok(())
    }

    /// Copies a folder whose files come and go: whole when none went while it was copied.
    fn copy_folder(&mut self, kind: Kind, source: &Path) -> Result<(), BackupError> {
        const PASSES: u32 = 5;
        let own = format!("{}/{}", self.own, folder_of(kind));
        for pass in 1..=PASSES {
            let mut all_there = true;
            for relative in files_below(source)? {
                let path = format!("{own}/{relative}");
                all_there &= self.copy_file(kind, &source.join(&relative), &path, &relative)?;
            }
            if all_there || pass == PASSES {
                break;
            }
            self.files.retain(|entry| entry.kind != kind);
            let folder = self.folder.join(&own);
            fs::remove_dir_all(&folder).map_err(BackupError::file("remove", &folder))?;
        }
        Ok(())
    }

    /// Copies a file if it is there; false when it is not.
    fn copy_file(&mut self, kind: Kind, from: &Path, path: &str, target: &str) -> Result<bool, BackupError> {
        let to = self.folder.join(path);
        if let Some(folder) = to.parent() {
            make_folder(folder)?;
        }
        match copy(from, &to, self.progress, self.shutdown)? {
            Some(content) => {
                self.progress.expect(content.bytes);
                self.add(kind, path.to_owned(), target.to_owned(), content);
                Ok(true)
            }
            None => Ok(false),
        }
    }

    fn add(&mut self, kind: Kind, path: String, target: String, content: Content) {
        self.copied += content.bytes;
        self.files.push(FileEntry { kind, path, target, bytes: content.bytes, hash: content.hash });
    }

    /// Makes it the backup of this folder, and removes what was the backup before.
    fn finish(mut self, taken_at: String) -> Result<Taken, BackupError> {
        self.progress.begin("manifest");
        self.files.sort_by(|a, b| a.path.cmp(&b.path));
        tidy::sync_folders(&self.folder.join(&self.own))?;
        sync_folder(&self.folder.join(TAKEN))?;
        self.parts.sync()?;
        let sources = self.sources;
        let mut not_included: Vec<String> = self.problems.clone();
        let log = match &sources.log {
            LogSource::Embedded(folder) => format!("sqlite:{}", folder.display()),
            LogSource::Kafka(address) => {
                not_included.push(format!("the event log, which is on Kafka ({address})"));
                address.clone()
            }
        };
        let archive = match &sources.archive {
            ArchiveSource::Folder(folder) => folder.display().to_string(),
            ArchiveSource::Store(address) => {
                not_included.push(format!("the archive, which is in an object store ({address})"));
                address.clone()
            }
        };
        let warehouse = match &sources.warehouse {
            WarehouseSource::Folder(folder) => format!("sqlite:{}", folder.display()),
            WarehouseSource::Postgres { location, .. } => location.clone(),
        };
        let manifest = Manifest {
            format: Manifest::FORMAT,
            adpipe: sources.version.clone(),
            taken_at,
            folder: self.own.clone(),
            log,
            warehouse,
            archive,
            not_included,
            files: self.files,
        };
        let manifest = manifest.write(self.folder)?;
        tidy::tidy(self.folder, &manifest, self.parts);
        Ok(Taken { manifest, copied: self.copied, kept_parts: self.kept_parts, problems: self.problems })
    }
}

/// Name of a kind's folder among a backup's own files.
fn folder_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Notifications => "notifications",
        Kind::TaskLogs => "task-logs",
        Kind::Configuration => "configuration",
        Kind::Positions => "positions",
        Kind::Log | Kind::Warehouse | Kind::PostgresDump => "databases",
        Kind::Archive => ARCHIVE,
    }
}

/// Files below a folder that need not be there, without locks and what is being written; a journal
/// comes after the files it describes.
fn files_below(folder: &Path) -> Result<Vec<String>, BackupError> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(relative) = folders.pop() {
        let path = folder.join(&relative);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(BackupError::file("read", &path)(error)),
        };
        for entry in entries {
            let entry = entry.map_err(BackupError::file("read", &path))?;
            let kind = entry.file_type().map_err(BackupError::file("read", &entry.path()))?;
            let below = relative.join(entry.file_name());
            let name = entry.file_name().to_string_lossy().into_owned();
            if kind.is_dir() {
                folders.push(below);
            } else if kind.is_file() && !name.starts_with('.') && !name.ends_with(".lock") {
                // Names that are not UTF-8 are not adpipe's.
                files.extend(below.to_str().map(str::to_owned));
            }
        }
    }
    files.sort_by_key(|path| (path.ends_with(".ndjson"), path.clone()));
    Ok(files)
}
