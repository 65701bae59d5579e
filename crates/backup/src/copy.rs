//! Copies files, with their hashes, readable only by their owner.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use adpipe_runtime::Shutdown;
use twox_hash::xxhash3_128::Hasher;

use crate::{BackupError, Progress};

const PIECE_BYTES: usize = 1 << 20;

/// A file's size and hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Content {
    pub bytes: u64,
    pub hash: String,
}

/// As written in a manifest.
pub(crate) fn hex(hash: u128) -> String {
    format!("{hash:032x}")
}

/// A new file that only its owner reads.
pub(crate) fn create_private(path: &Path) -> Result<File, BackupError> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(BackupError::file("write", path))
}

/// A folder, and those above it, that only its owner enters.
pub(crate) fn make_folder(path: &Path) -> Result<(), BackupError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(BackupError::file("make", path))
}

/// Makes what was created or renamed in a folder safe from a power failure.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), BackupError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(BackupError::file("write", folder))
}

/// Copies a file to a new path and syncs it; gives what was read. `None` when there is no such file.
pub(crate) fn copy(
    from: &Path,
    to: &Path,
    progress: &Progress,
    shutdown: &Shutdown,
) -> Result<Option<Content>, BackupError> {
    let mut source = match File::open(from) {
        Ok(source) => source,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(BackupError::file("read", from)(error)),
    };
    let mut target = create_private(to)?;
    let content = pump(&mut source, from, progress, shutdown, |piece| {
        target.write_all(piece).map_err(BackupError::file("write", to))
    });
    let content = content.and_then(|content| {
        target.sync_all().map_err(BackupError::file("write", to))?;
        Ok(content)
    });
    if content.is_err() {
        // A full disk needs the room.
        let _ = fs::remove_file(to);
    }
    content.map(Some)
}

/// Size and hash of a file.
pub(crate) fn content_of(
    path: &Path,
    progress: &Progress,
    shutdown: &Shutdown,
) -> Result<Content, BackupError> {
    let mut file = File::open(path).map_err(BackupError::file("read", path))?;
    pump(&mut file, path, progress, shutdown, |_| Ok(()))
}

fn pump(
    source: &mut File,
    path: &Path,
    progress: &Progress,
    shutdown: &Shutdown,
    mut on_piece: impl FnMut(&[u8]) -> Result<(), BackupError>,
) -> Result<Content, BackupError> {
    let mut hasher = Hasher::new();
    let mut piece = vec![0; PIECE_BYTES];
    let mut bytes = 0;
    loop {
        if shutdown.is_triggered() {
            return Err(BackupError::Stopped);
        }
        match source.read(&mut piece) {
            Ok(0) => return Ok(Content { bytes, hash: hex(hasher.finish_128()) }),
            Ok(count) => {
                hasher.write(&piece[..count]);
                on_piece(&piece[..count])?;
                bytes += count as u64;
                progress.add(count as u64);
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(BackupError::file("read", path)(error)),
        }
    }
}
