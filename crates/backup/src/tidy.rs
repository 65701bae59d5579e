//! The parts of the archive that a backup's folder holds, and what is removed from it.
//!
//! A part is removed only when a manifest or the list of an interrupted run says that a backup put
//! it there. That list, `parts.ndjson`, gets a line before a part is copied and another one with the
//! hash afterwards, so that the next run need not copy it again.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use adpipe_runtime::Shutdown;
use serde::{Deserialize, Serialize};

use crate::copy::{Content, copy, create_private, make_folder, sync_folder};
use crate::manifest::{Kind, Manifest};
use crate::take::{ARCHIVE, TAKEN};
use crate::{BackupError, Progress};

const LIST: &str = "parts.ndjson";

/// A line of the list.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    path: String,
    content: Option<LineContent>,
}

#[derive(Debug, Serialize, Deserialize)]
struct LineContent {
    bytes: u64,
    hash: String,
}

/// The parts that lie in the backup's folder.
pub(crate) struct Parts {
    /// Where they are.
    folder: PathBuf,
    list_path: PathBuf,
    list: File,
    /// Whole ones, by their path in the archive.
    whole: HashMap<String, Content>,
    /// Those of them that lay there before this run.
    kept: HashSet<String>,
    /// Everything that a backup has put there, whole or not.
    ours: HashSet<String>,
}

impl Parts {
    /// What is there: by the manifest, and by the lists of interrupted runs.
    pub fn begin(folder: &Path, own: &str, before: Option<&Manifest>) -> Result<Parts, BackupError> {
        let parts_folder = folder.join(ARCHIVE);
        make_folder(&parts_folder)?;
        let list_path = folder.join(own).join(LIST);
        let list = create_private(&list_path)?;
        let mut parts = Parts {
            folder: parts_folder,
            list_path,
            list,
            whole: HashMap::new(),
            kept: HashSet::new(),
            ours: HashSet::new(),
        };
        for leftover in own_folders(folder)? {
            for line in lines(&leftover.join(LIST)) {
                parts.ours.insert(line.path.clone());
                if let Some(LineContent { bytes, hash }) = line.content {
                    parts.keep(line.path, Content { bytes, hash });
                }
            }
        }
        let listed = before.iter().flat_map(|manifest| &manifest.files);
        for entry in listed.filter(|entry| entry.kind == Kind::Archive) {
            parts.ours.insert(entry.target.clone());
            parts.keep(entry.target.clone(), Content { bytes: entry.bytes, hash: entry.hash.clone() });
        }
        Ok(parts)
    }

    fn keep(&mut self, path: String, content: Content) {
        let found = fs::metadata(self.folder.join(&path)).map(|metadata| metadata.len());
        if found.is_ok_and(|found| found == content.bytes) {
            self.kept.insert(path.clone());
            self.whole.insert(path, content);
        }
    }

    /// Whether a part of this size is there.
    pub fn has(&self, path: &str, bytes: u64) -> bool {
        // One that was not as listed when it was copied would not be as listed now.
        self.whole.get(path).is_some_and(|content| content.bytes == bytes || !self.kept.contains(path))
    }

    /// A part that is there.
    pub fn content(&self, path: &str) -> Option<Content> {
        self.whole.get(path).cloned()
    }

    /// Whether it was there before this run.
    pub fn is_kept(&self, path: &str) -> bool {
        self.kept.contains(path)
    }

    /// Copies a part; gives its bytes, or none when the archive has it not.
    pub fn copy(
        &mut self,
        archive: &Path,
        path: &str,
        progress: &Progress,
        shutdown: &Shutdown,
    ) -> Result<Option<u64>, BackupError> {
        let to = self.folder.join(path);
        if let Some(folder) = to.parent() {
            make_folder(folder)?;
        }
        self.note(path, None)?;
        self.ours.insert(path.to_owned());
        if to.exists() {
            // Of a run that was killed while it copied.
            fs::remove_file(&to).map_err(BackupError::file("remove", &to))?;
        }
        let Some(content) = copy(&archive.join(path), &to, progress, shutdown)? else { return Ok(None) };
        self.note(path, Some(&content))?;
        self.kept.remove(path);
        let bytes = content.bytes;
        self.whole.insert(path.to_owned(), content);
        Ok(Some(bytes))
    }

    fn note(&mut self, path: &str, content: Option<&Content>) -> Result<(), BackupError> {
        let content = content.map(|content| LineContent { bytes: content.bytes, hash: content.hash.clone() });
        let line = Line { path: path.to_owned(), content };
        let failed = BackupError::file("write", &self.list_path);
        let write = || -> std::io::Result<()> {
            let mut text = serde_json::to_vec(&line)?;
            text.push(b'\n');
            (&self.list).write_all(&text)
        };
        write().map_err(failed)
    }

    /// Makes their folders safe from a power failure.
    pub fn sync(&self) -> Result<(), BackupError> {
        sync_folders(&self.folder)
    }
}

/// Whole lines of a list; what is not readable was being written when its run was killed.
fn lines(path: &Path) -> Vec<Line> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The folders of single backups.
fn own_folders(folder: &Path) -> Result<Vec<PathBuf>, BackupError> {
    let taken = folder.join(TAKEN);
    let mut folders = Vec::new();
    for entry in fs::read_dir(&taken).map_err(BackupError::file("read", &taken))? {
        let entry = entry.map_err(BackupError::file("read", &taken))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'T') {
            folders.push(entry.path());
        }
    }
    Ok(folders)
}

/// Removes what an interrupted backup has copied, but for parts of the archive and their list: the next
/// one continues with these.
pub(crate) fn abandon(own: &Path) {
    for entry in fs::read_dir(own).into_iter().flatten().flatten() {
        if entry.file_name() == LIST {
            continue;
        }
        let _ = match entry.file_type() {
            Ok(kind) if kind.is_dir() => fs::remove_dir_all(entry.path()),
            _ => fs::remove_file(entry.path()),
        };
    }
}

/// Removes what belonged to earlier backups only. What cannot be removed now is for the next run.
pub(crate) fn tidy(folder: &Path, manifest: &Manifest, parts: Parts) {
    let named: HashSet<&str> = manifest
        .files
        .iter()
        .filter(|entry| entry.kind == Kind::Archive)
        .map(|entry| entry.target.as_str())
        .collect();
    let mut failed = false;
    for path in parts.ours.iter().filter(|path| !named.contains(path.as_str())) {
        let whole = parts.folder.join(path);
        failed |= fs::remove_file(&whole).is_err_and(|error| error.kind() != std::io::ErrorKind::NotFound);
        // Its day's folder, when it was the last one.
        let _ = whole.parent().map(fs::remove_dir);
    }
    let own = folder.join(&manifest.folder);
    for leftover in own_folders(folder).unwrap_or_default() {
        if leftover != own {
            // The lists of interrupted runs go last: they say what is ours.
            failed |= !failed && fs::remove_dir_all(&leftover).is_err();
        }
    }
    if failed {
        tracing::warn!(folder = %folder.display(), "files of an earlier backup could not be removed; the next backup tries again");
    }
}

/// Syncs a folder and all below it.
pub(crate) fn sync_folders(folder: &Path) -> Result<(), BackupError> {
    for entry in fs::read_dir(folder).map_err(BackupError::file("read", folder))? {
        let entry = entry.map_err(BackupError::file("read", folder))?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            sync_folders(&entry.path())?;
        }
    }
    sync_folder(folder)
}
