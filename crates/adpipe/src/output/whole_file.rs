//! A file that is there whole or not at all: written next to its place and renamed at the end.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;

/// A file being written. Dropped without [`finish`](WholeFile::finish), it leaves nothing behind; a
/// process that is killed leaves a hidden file next to the place, and what was there before.
pub struct WholeFile {
    file: BufWriter<File>,
    place: PathBuf,
    beside: PathBuf,
    is_finished: bool,
}

impl WholeFile {
    /// Starts a file. Anything other than an ordinary file (`/dev/stdout`, a pipe) cannot be replaced
    /// by renaming, so it is written directly.
    pub fn begin(place: &Path) -> anyhow::Result<WholeFile> {
        let is_ordinary = !place.exists() || place.is_file();
        let beside = match (is_ordinary, place.file_name()) {
            (true, Some(name)) => {
                let hidden = format!(".{}.{}", name.to_string_lossy(), std::process::id());
                place.with_file_name(hidden)
            }
            _ => place.to_path_buf(),
        };
        let file = File::create(&beside).with_context(|| format!("cannot write {}", place.display()))?;
        Ok(WholeFile { file: BufWriter::new(file), place: place.to_path_buf(), beside, is_finished: false })
    }

    /// Puts the file into its place, safe from a power failure.
    pub fn finish(mut self) -> anyhow::Result<()> {
        let done = (|| {
            self.file.flush()?;
            if self.beside == self.place {
                return Ok(());
            }
            self.file.get_ref().sync_all()?;
            std::fs::rename(&self.beside, &self.place)
        })();
        self.is_finished = done.is_ok();
        done.with_context(|| format!("cannot write {}", self.place.display()))
    }
}

impl Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

impl Drop for WholeFile {
    fn drop(&mut self) {
        if !self.is_finished && self.beside != self.place {
            let _ = std::fs::remove_file(&self.beside);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_there_whole_or_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("errors.ndjson");
        std::fs::write(&place, "before").unwrap();
        let mut file = WholeFile::begin(&place).unwrap();
        file.write_all(b"half").unwrap();
        file.flush().unwrap();
        assert_eq!(std::fs::read_to_string(&place).unwrap(), "before");
        drop(file);
        let mut file = WholeFile::begin(&place).unwrap();
        file.write_all(b"whole").unwrap();
        file.finish().unwrap();
        assert_eq!(std::fs::read_to_string(&place).unwrap(), "whole");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
        assert!(WholeFile::begin(&folder.path().join("no/such")).is_err());
        WholeFile::begin(Path::new("/dev/null")).unwrap().finish().unwrap();
        assert!(Path::new("/dev/null").exists());
    }
}
