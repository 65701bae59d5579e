//! Files and folders that only their user may look into: records, payloads and logs may hold anything.
//!
//! New ones are made with mode 0600 and 0700. Existing ones are tightened when they are opened; a
//! folder only when everything in it is adpipe's, because someone else may need the other files. If
//! that is refused, it stays as it is, with one warning.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// True once a warning was logged.
static WARNED: AtomicBool = AtomicBool::new(false);

/// Names that adpipe gives what it makes in a data folder.
const OWN_NAMES: [&str; 11] = [
    "demo",
    "raw",
    "processed",
    "task-logs",
    "notifications",
    "transform",
    "log.db",
    "realtime.db",
    "analytics.db",
    "errors.db",
    "ops.db",
];

/// How the names of others of its files end.
const OWN_ENDINGS: [&str; 7] = [".db-wal", ".db-shm", ".lock", ".positions", ".journal", ".json", ".new"];

/// Makes a folder, and those above it, or tightens one that is there and wholly adpipe's.
///
/// # Errors
/// When it is not there and cannot be made.
pub fn folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        if holds_only(path, is_own) {
            tighten(path, 0o700);
        }
        return Ok(());
    }
    make_folder(path)
}

/// Makes a folder that is adpipe's alone, or tightens it, whatever is in it.
///
/// # Errors
/// When it is not there and cannot be made.
pub fn own_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        tighten(path, 0o700);
        return Ok(());
    }
    make_folder(path)
}

/// A file to be opened or made: with `options`, and for its user alone.
///
/// # Errors
/// The same as [`OpenOptions::open`].
pub fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let file = with_mode(options, 0o600).open(path)?;
    tighten(path, 0o600);
    Ok(file)
}

/// Makes a file again with these bytes.
///
/// # Errors
/// When it cannot be written.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = open(path, OpenOptions::new().write(true).create(true).truncate(true))?;
    file.write_all(bytes)
}

/// Has a database file be its user's alone, making it empty when it is missing. SQLite gives the files
/// next to it the same mode.
///
/// # Errors
/// When it is missing and cannot be made.
pub fn database(path: &Path) -> io::Result<()> {
    if !path.exists() {
        match with_mode(OpenOptions::new().write(true).create_new(true), 0o600).open(path) {
            // Another process created it in the meantime.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => drop(made?),
        }
    }
    for end in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        tighten(&PathBuf::from(name), 0o600);
    }
    Ok(())
}

fn holds_only(folder: &Path, is_wanted: impl Fn(&str) -> bool) -> bool {
    let Ok(mut entries) = std::fs::read_dir(folder) else { return false };
    entries.all(|entry| entry.is_ok_and(|entry| entry.file_name().to_str().is_some_and(&is_wanted)))
}

fn is_own(name: &str) -> bool {
    OWN_NAMES.contains(&name) || OWN_ENDINGS.iter().any(|end| name.ends_with(end))
}

#[cfg(unix)]
fn make_folder(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(unix)]
fn with_mode(options: &mut OpenOptions, mode: u32) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(mode)
}

/// Takes away what others may do with it.
#[cfg(unix)]
fn tighten(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    let Ok(metadata) = std::fs::metadata(path) else { return };
    let found = metadata.permissions().mode() & 0o777;
    if found & !mode == 0 {
        return;
    }
    if let Err(error) = std::fs::set_permissions(path, std::fs::Permissions::from_mode(found & mode))
        && !WARNED.swap(true, Ordering::Relaxed)
    {
        tracing::warn!(%error, path = %path.display(), "others can read this, and its mode cannot be changed");
    }
}

#[cfg(not(unix))]
fn make_folder(path: &Path) -> io::Result<()> {
    std::fs::create_dir_all(path)
}

#[cfg(not(unix))]
fn with_mode(options: &mut OpenOptions, _mode: u32) -> &mut OpenOptions {
    options
}

#[cfg(not(unix))]
fn tighten(_path: &Path, _mode: u32) {}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn new_and_old_files_are_their_users_alone() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("deep/data");
        super::folder(&data).unwrap();
        assert_eq!(mode(&data), 0o700);
        database(&data.join("log.db")).unwrap();
        assert_eq!(mode(&data.join("log.db")), 0o600);

        std::fs::write(data.join("log.db-wal"), "").unwrap();
        for (path, old) in
            [(data.join("log.db"), 0o644), (data.join("log.db-wal"), 0o664), (data.clone(), 0o755)]
        {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(old)).unwrap();
        }
        super::folder(&data).unwrap();
        database(&data.join("log.db")).unwrap();
        assert_eq!((mode(&data), mode(&data.join("log.db"))), (0o700, 0o600));
        assert_eq!(mode(&data.join("log.db-wal")), 0o600);
    }

    #[test]
    fn a_folder_that_others_use_too_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        std::fs::write(data.join("thesis.txt"), "").unwrap();
        std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o755)).unwrap();
        super::folder(&data).unwrap();
        assert_eq!(mode(&data), 0o755);
        own_folder(&data).unwrap();
        assert_eq!(mode(&data), 0o700);
    }
}
