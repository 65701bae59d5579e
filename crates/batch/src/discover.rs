//! Which files there are to read.

use std::fs;
use std::path::{Path, PathBuf};

/// A raw file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its name in the account: relative to the raw folder when it lies in there, else as given.
    pub name: String,
}

/// What cannot be looked into, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The file or folder.
    pub name: String,
    /// What the system says.
    pub reason: String,
}

/// Endings of raw files, before that of a compression.
const FORMATS: [&str; 4] = [".csv", ".ndjson", ".jsonl", ".json"];
const COMPRESSIONS: [&str; 3] = ["", ".gz", ".zst"];

/// Looks through `named`, or through the raw folder when none is named. Of folders it takes the
/// files that end like raw files, hidden ones not; of named files any. In the order of their names.
pub fn discover(raw_folder: &Path, named: &[PathBuf]) -> (Vec<RawFile>, Vec<Unreadable>) {
    let base = raw_folder.canonicalize().unwrap_or_else(|_| raw_folder.to_path_buf());
    let mut found = Found { base, files: Vec::new(), unreadable: Vec::new() };
    if named.is_empty() {
        // A raw folder that is not there yet holds no files.
        if raw_folder.exists() {
            found.look_into(raw_folder);
        }
    }
    for path in named {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => found.look_into(path),
            Ok(_) => found.add(path),
            Err(error) => found.fail(path, &error),
        }
    }
    found.files.sort_by(|a, b| a.name.cmp(&b.name));
    found.files.dedup_by(|a, b| a.name == b.name);
    (found.files, found.unreadable)
}

struct Found {
    base: PathBuf,
    files: Vec<RawFile>,
    unreadable: Vec<Unreadable>,
}

impl Found {
    fn add(&mut self, path: &Path) {
        let name = match path.canonicalize() {
            Ok(whole) => whole.strip_prefix(&self.base).map(Path::to_path_buf).unwrap_or(path.to_path_buf()),
            Err(_) => path.to_path_buf(),
        };
        self.files.push(RawFile { path: path.to_path_buf(), name: name.to_string_lossy().into_owned() });
    }

    fn fail(&mut self, path: &Path, error: &std::io::Error) {
        let name = path.display().to_string();
        self.unreadable.push(Unreadable { name, reason: format!("cannot be read: {error}") });
    }

    fn look_into(&mut self, folder: &Path) {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => return self.fail(folder, &error),
        };
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    self.fail(folder, &error);
                    continue;
                }
            };
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if name.starts_with('.') {
                continue;
            }
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() => self.look_into(&path),
                Ok(metadata) if metadata.is_file() && is_raw(&name) => self.add(&path),
                Ok(_) => {}
                Err(error) => self.fail(&path, &error),
            }
        }
    }
}

fn is_raw(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    FORMATS.iter().any(|format| {
        COMPRESSIONS.iter().any(|compression| name.ends_with(&format!("{format}{compression}")))
    })
}

/// Whether a name says that the file is of a date (`YYYY-MM-DD`): the date as it stands, or its
/// digits in a row, perhaps with the hour behind them, or with underscores.
pub fn is_of_date(name: &str, date: &str) -> bool {
    let digits = date.replace('-', "");
    let by_runs = |wanted: &str| {
        name.match_indices(wanted).any(|(at, _)| {
            let before = name[..at].chars().next_back();
            !before.is_some_and(|character| character.is_ascii_digit())
        })
    };
    name.contains(date) || by_runs(&digits) || name.contains(&date.replace('-', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_found_in_a_name() {
        for name in ["2014-10-21.csv", "x/20141021/a.csv", "h_2014102105.csv", "event_2014_10_21.ndjson.gz"] {
            assert!(is_of_date(name, "2014-10-21"), "{name}");
        }
        for name in ["2014-10-22.csv", "120141021.csv", "train.csv"] {
            assert!(!is_of_date(name, "2014-10-21"), "{name}");
        }
    }

    #[test]
    fn raw_files_are_told_by_their_ending() {
        for name in ["a.csv", "a.CSV.gz", "b.ndjson.zst", "c.json"] {
            assert!(is_raw(name), "{name}");
        }
        for name in ["a.csv.part", "a.parquet", "csv", "a.csv.tmp"] {
            assert!(!is_raw(name), "{name}");
        }
    }
}
