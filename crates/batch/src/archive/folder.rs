//! The archive in a local folder.
//!
//! A file is written under a name that no reader takes for a part, synced, and renamed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::store::{NewFile, PROBE, Store, StoreError, StoredFile, UNFINISHED, is_beside, is_ours};

/// Files below one folder, which need not be there yet.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
}

impl Folder {
    pub fn new(root: &Path) -> Folder {
        Folder { root: root.to_path_buf() }
    }
}

fn failed(path: &Path, error: impl ToString) -> StoreError {
    StoreError::failed(path.display(), error)
}

/// A rename is safe from a power failure once its folder is synced.
fn sync(folder: &Path) -> Result<(), StoreError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| failed(folder, error))
}

impl Folder {
    /// Adds the files of a folder, `""` or ending in `/`.
    fn list_below(&self, folder: &str, paths: &mut Vec<String>) -> Result<(), StoreError> {
        let whole = self.root.join(folder);
        for entry in fs::read_dir(&whole).map_err(|error| failed(&whole, error))? {
            let entry = entry.map_err(|error| failed(&whole, error))?;
            let path = format!("{folder}{}", entry.file_name().to_string_lossy());
            let kind = entry.file_type().map_err(|error| failed(&entry.path(), error))?;
            // A day may lie on another disk.
            let is_linked_day = kind.is_symlink() && folder.is_empty() && entry.path().is_dir();
            if kind.is_dir() || is_linked_day {
                self.list_below(&format!("{path}/"), paths)?;
            } else if !is_beside(&path) {
                paths.push(path);
            }
        }
        Ok(())
    }

    /// The archive itself is there, so that a file that is not is missing.
    fn is_there(&self) -> bool {
        self.root.is_dir()
    }
}

impl Store for Folder {
    fn location(&self) -> String {
        self.root.display().to_string()
    }

    fn create(&self, path: &str) -> Result<Box<dyn NewFile>, StoreError> {
        let finished = self.root.join(path);
        let (Some(folder), Some(name)) = (finished.parent(), finished.file_name()) else {
            return Err(failed(&finished, "is not the path of a file; please report this"));
        };
        if !folder.is_dir() {
            fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
            sync(&self.root)?;
        }
        let unfinished = folder.join(format!("{UNFINISHED}{}", name.to_string_lossy()));
        let file = File::create_new(&unfinished).map_err(|error| failed(&unfinished, error))?;
        Ok(Box::new(NewFolderFile { file: Some(file), unfinished, finished }))
    }

    fn open(&self, path: &str) -> Result<Box<dyn StoredFile>, StoreError> {
        let whole = self.root.join(path);
        let opened = File::open(&whole).and_then(|file| {
            let size = file.metadata()?.len();
            Ok(FolderFile { file, size })
        });
        match opened {
            Ok(file) => Ok(Box::new(file)),
            Err(error) if !self.is_there() => Err(failed(&self.root, error)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(StoreError::Missing(path.to_owned()))
            }
            Err(error) => Err(StoreError::Unreadable { path: path.to_owned(), reason: error.to_string() }),
        }
    }

    fn list(&self) -> Result<Vec<String>, StoreError> {
        let mut paths = Vec::new();
        match self.root.try_exists() {
            Ok(true) => self.list_below("", &mut paths)?,
            Ok(false) => {}
            Err(error) => return Err(failed(&self.root, error)),
        }
        Ok(paths)
    }

    fn remove(&self, path: &str) -> Result<(), StoreError> {
        let whole = self.root.join(path);
        match fs::remove_file(&whole) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(&whole, error)),
            _ => Ok(()),
        }
    }

    fn lock_folder(&self) -> Option<&Path> {
        Some(&self.root)
    }

    fn check(&self) -> Result<String, StoreError> {
        if !self.root.exists() {
            return Ok(format!("the first `adpipe etl` creates {}", self.location()));
        }
        let files = self.list()?.iter().filter(|path| is_ours(path)).count();
        let probe = self.root.join(format!("{PROBE}{}", std::process::id()));
        File::create(&probe)
            .and_then(|_| fs::remove_file(&probe))
            .map_err(|error| failed(&self.root, format!("cannot be written: {error}")))?;
        Ok(format!("{}: {files} files, can be written", self.location()))
    }
}

#[derive(Debug)]
struct NewFolderFile {
    file: Option<File>,
    unfinished: PathBuf,
    finished: PathBuf,
}

impl Write for NewFolderFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.file {
            Some(file) => file.write(bytes),
            None => Err(io::Error::other("the file is complete; please report this")),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl NewFile for NewFolderFile {
    fn complete(&mut self) -> Result<u64, StoreError> {
        let Some(file) = self.file.take() else {
            return Err(failed(&self.unfinished, "is already complete; please report this"));
        };
        file.sync_all()
            .and_then(|()| file.metadata())
            .map(|metadata| metadata.len())
            .map_err(|error| failed(&self.unfinished, error))
    }

    fn publish(&self) -> Result<(), StoreError> {
        fs::rename(&self.unfinished, &self.finished).map_err(|error| failed(&self.finished, error))?;
        match self.finished.parent() {
            Some(folder) => sync(folder),
            None => Ok(()),
        }
    }

    fn discard(&self) {
        let _ = fs::remove_file(&self.unfinished);
        let _ = fs::remove_file(&self.finished);
    }
}

impl Drop for NewFolderFile {
    fn drop(&mut self) {
        // It could not be written to its end: a full disk needs the room.
        if self.file.is_some() {
            let _ = fs::remove_file(&self.unfinished);
        }
    }
}

#[derive(Debug)]
struct FolderFile {
    file: File,
    size: u64,
}

impl StoredFile for FolderFile {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(buffer, position)
    }
}
