//! What belongs to a backup.
//!
//! Written last, next to its place, synced and renamed: a backup has it whole or is none.

use std::fs;
use std::io::Write;
use std::path::{Component, Path};

use serde::{Deserialize, Serialize};

use crate::BackupError;
use crate::copy::{create_private, sync_folder};

/// Its name in the backup's folder.
pub const MANIFEST: &str = "manifest.json";

/// Raised with every change that an older adpipe would not understand.
const FORMAT: u32 = 1;

/// What a file is, which says where it goes back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The event log.
    Log,
    /// A file of the embedded warehouse.
    Warehouse,
    /// PostgreSQL's schemas, as `pg_dump` writes them.
    PostgresDump,
    /// A part of the archive, or its account.
    Archive,
    /// Messages to Slack that wait, and what became of others.
    Notifications,
    /// Output of the tasks.
    TaskLogs,
    /// The configuration: kept for people, never put back.
    Configuration,
    /// How far `adpipe ingest` has come in its files, with Kafka.
    Positions,
}

/// A file of the backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// What it is.
    pub kind: Kind,
    /// Its place, below the backup's folder.
    pub path: String,
    /// Where it goes, below the place of its kind.
    pub target: String,
    /// Size.
    pub bytes: u64,
    /// xxh3-128 of the content, hexadecimal.
    pub hash: String,
}

/// The whole list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Of this list.
    pub format: u32,
    /// Version of the adpipe that took the backup.
    pub adpipe: String,
    /// The moment that it shows, UTC.
    pub taken_at: String,
    /// Folder of this backup's own files, below the backup's folder.
    pub folder: String,
    /// Where log, warehouse and archive were, without secrets.
    pub log: String,
    /// As `log`.
    pub warehouse: String,
    /// As `log`.
    pub archive: String,
    /// What belongs to the pipeline and is not in here, in words.
    pub not_included: Vec<String>,
    /// Every file.
    pub files: Vec<FileEntry>,
}

/// The manifest and its own checksum: xxh3-128 of its JSON without spaces.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    checksum: String,
    backup: Manifest,
}

#[derive(Deserialize)]
struct AnyFormat {
    backup: OnlyFormat,
}

#[derive(Deserialize)]
struct OnlyFormat {
    format: u32,
    adpipe: String,
}

impl Manifest {
    /// The format that this adpipe writes.
    pub(crate) const FORMAT: u32 = FORMAT;

    /// The manifest of the backup in this folder.
    ///
    /// # Errors
    /// [`BackupError::Refused`] when there is none, or a newer adpipe wrote it;
    /// [`BackupError::Damaged`] when it is not as it was written.
    pub fn read(folder: &Path) -> Result<Manifest, BackupError> {
        let path = folder.join(MANIFEST);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(BackupError::Refused(format!(
                    "{}: not a complete backup, {MANIFEST} is missing; it is written last, so run `adpipe backup` \
                     to its end first, or name another folder",
                    folder.display()
                )));
            }
            Err(error) => return Err(BackupError::file("read", &path)(error)),
        };
        let damaged = |reason: String| BackupError::Damaged { path: path.clone(), reason };
        let any: AnyFormat = serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
        if any.backup.format > FORMAT {
            return Err(BackupError::Refused(format!(
                "{}: it was written by a newer adpipe ({}); update adpipe",
                path.display(),
                any.backup.adpipe
            )));
        }
        let sealed: Sealed = serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
        if sealed.checksum != checksum(&sealed.backup, &path)? {
            return Err(damaged("its checksum does not match".to_owned()));
        }
        if let Some(entry) = sealed.backup.files.iter().find(|entry| !entry.stays_below()) {
            return Err(damaged(format!("it names {:?} for {:?}", entry.path, entry.target)));
        }
        Ok(sealed.backup)
    }

    /// Replaces the manifest in this folder.
    pub(crate) fn write(self, folder: &Path) -> Result<Manifest, BackupError> {
        let path = folder.join(MANIFEST);
        let sealed = Sealed { checksum: checksum(&self, &path)?, backup: self };
        let unfinished = folder.join(format!(".{MANIFEST}.unfinished"));
        let failed = |error: std::io::Error| BackupError::file("write", &unfinished)(error);
        let text = serde_json::to_vec_pretty(&sealed).map_err(|error| failed(error.into()))?;
        match fs::remove_file(&unfinished) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let mut file = create_private(&unfinished)?;
        file.write_all(&text).and_then(|()| file.sync_all()).map_err(failed)?;
        fs::rename(&unfinished, &path).map_err(BackupError::file("write", &path))?;
        sync_folder(folder)?;
        Ok(sealed.backup)
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|entry| entry.bytes).sum()
    }

    /// How many files of a kind there are.
    pub fn count(&self, kind: Kind) -> usize {
        self.files.iter().filter(|entry| entry.kind == kind).count()
    }
}

impl FileEntry {
    /// Whether its paths stay below the folders that they are joined to.
    fn stays_below(&self) -> bool {
        [&self.path, &self.target].into_iter().all(|path| {
            !path.is_empty()
                && Path::new(path).components().all(|component| matches!(component, Component::Normal(_)))
        })
    }
}

fn checksum(manifest: &Manifest, path: &Path) -> Result<String, BackupError> {
    let text = serde_json::to_vec(manifest)
        .map_err(|error| BackupError::file("write", path)(std::io::Error::from(error)))?;
    Ok(crate::copy::hex(twox_hash::xxhash3_128::Hasher::oneshot(&text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Manifest {
        Manifest {
            format: FORMAT,
            adpipe: "1.2.3".to_owned(),
            taken_at: "2026-01-02 03:04:05".to_owned(),
            folder: "taken/x".to_owned(),
            log: "sqlite:data".to_owned(),
            warehouse: "sqlite:data".to_owned(),
            archive: "data/processed".to_owned(),
            not_included: Vec::new(),
            files: vec![FileEntry {
                kind: Kind::Log,
                path: "taken/x/log.db".to_owned(),
                target: "log.db".to_owned(),
                bytes: 7,
                hash: "00".to_owned(),
            }],
        }
    }

    #[test]
    fn every_changed_byte_of_a_manifest_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let written = example().write(folder.path()).unwrap();
        assert_eq!(Manifest::read(folder.path()).unwrap(), written);
        let path = folder.path().join(MANIFEST);
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            fs::write(&path, &changed).unwrap();
            // Only a space that became another may pass.
            match Manifest::read(folder.path()) {
                Ok(read) => assert_eq!(read, written, "byte {at}"),
                Err(error) => assert!(error.to_string().contains("manifest.json"), "{error}"),
            }
        }
    }

    #[test]
    fn a_newer_or_reaching_manifest_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        Manifest { format: FORMAT + 1, ..example() }.write(folder.path()).unwrap();
        assert!(Manifest::read(folder.path()).unwrap_err().to_string().contains("newer adpipe"));
        let mut reaching = example();
        reaching.files[0].target = "../log.db".to_owned();
        reaching.write(folder.path()).unwrap();
        assert!(Manifest::read(folder.path()).unwrap_err().to_string().contains("../log.db"));
    }
}
