//! How far `adpipe ingest` has come in each source, in a small local file.
//!
//! Kafka has no transaction that could hold a position of ours, so it is written after the records are
//! durable. A process that is killed in between sends those records again: their ids are then known and
//! count as duplicates, so the figures stay exact.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::{LogError, SourcePosition};

/// The file with the positions: a line each, the position, a tab and the source.
#[derive(Debug)]
pub(super) struct Positions {
    path: PathBuf,
}

impl Positions {
    pub fn at(path: PathBuf) -> Positions {
        Positions { path }
    }

    pub fn of(&self, source: &str) -> Result<Option<u64>, LogError> {
        Ok(self.read()?.get(&escaped(source)).copied())
    }

    /// Keeps or forgets a position. Other processes may do so at the same time.
    pub fn save(&self, position: &SourcePosition) -> Result<(), LogError> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        adpipe_sql::private::folder(folder).map_err(|error| self.failure(&error))?;
        let lock = make(&self.path.with_extension("lock")).map_err(|error| self.failure(&error))?;
        lock.lock().map_err(|error| self.failure(&error))?;
        let mut positions = self.read()?;
        let key = escaped(&position.source);
        match position.position {
            Some(records) => drop(positions.insert(key, records)),
            None if positions.remove(&key).is_none() => return Ok(()),
            None => {}
        }
        self.write(&positions).map_err(|error| self.failure(&error))
    }

    fn read(&self) -> Result<BTreeMap<String, u64>, LogError> {
        let text = match std::fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(self.failure(&error)),
        };
        // A line that is not understood costs a second sending of one source, no more.
        Ok(text
            .lines()
            .filter_map(|line| line.split_once('\t'))
            .filter_map(|(records, source)| Some((source.to_owned(), records.parse().ok()?)))
            .collect())
    }

    /// Never half a file: written under another name, then renamed.
    fn write(&self, positions: &BTreeMap<String, u64>) -> std::io::Result<()> {
        let beside = self.path.with_extension("new");
        let mut file = make(&beside)?;
        for (source, records) in positions {
            writeln!(file, "{records}\t{source}")?;
        }
        file.sync_all()?;
        std::fs::rename(&beside, &self.path)
    }

    fn failure(&self, error: &std::io::Error) -> LogError {
        LogError::unavailable(
            &self.path,
            format!("cannot store the position of an ingest: {error}"),
            "make the folder writable, or set ingest.positions_file",
        )
    }
}

fn make(path: &Path) -> std::io::Result<File> {
    adpipe_sql::private::open(path, std::fs::OpenOptions::new().write(true).create(true).truncate(true))
}

/// A source is one line.
fn escaped(source: &str) -> String {
    source.replace('\\', "\\\\").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_kept_and_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep").join("ingest.positions");
        let position = |source: &str, position| SourcePosition { source: source.to_owned(), position };
        let positions = Positions::at(path.clone());
        assert_eq!(positions.of("a").unwrap(), None);
        positions.save(&position("a\tb\n", Some(7))).unwrap();
        positions.save(&position("c", Some(8))).unwrap();
        positions.save(&position("c", Some(9))).unwrap();
        let reopened = Positions::at(path);
        assert_eq!(reopened.of("a\tb\n").unwrap(), Some(7));
        assert_eq!(reopened.of("c").unwrap(), Some(9));
        reopened.save(&position("c", None)).unwrap();
        assert_eq!(reopened.of("c").unwrap(), None);
    }
}
