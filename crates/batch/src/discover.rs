//! Which files there are to read, and what is passed over.

use std::fs::{self, File, FileType};
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use adpipe_runtime::account_name;

/// A raw file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its name in the account: relative to the raw folder if it is in there, else as given.
    pub name: String,
}

/// A file or folder that is not read, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotRead {
    /// Its path, as it was found.
    pub name: String,
    /// Why, and what to do.
    pub reason: String,
}

/// The files that a run reads, and those it does not.
#[derive(Debug, Default)]
pub struct Discovered {
    /// To be read, in the order of their names.
    pub files: Vec<RawFile>,
    /// To be read, if only that were possible.
    pub unreadable: Vec<NotRead>,
    /// Not meant to be read.
    pub passed_over: Vec<NotRead>,
}

/// Endings of raw files, before that of a compression.
const FORMATS: [&str; 4] = [".csv", ".ndjson", ".jsonl", ".json"];
const COMPRESSIONS: [&str; 2] = [".gz", ".zst"];

/// Endings before that of a compression that promise something else than events.
const NO_EVENTS: [&str; 6] = [".tar", ".parquet", ".avro", ".orc", ".zip", ".sql"];

/// Endings of archives and of other compressions.
const TO_UNPACK: [&str; 10] =
    [".zip", ".tar", ".tgz", ".tar.gz", ".tar.zst", ".7z", ".rar", ".bz2", ".xz", ".lz4"];

/// Endings that programs give to files while they write them.
const UNFINISHED: [&str; 6] = [".tmp", ".part", ".partial", ".crdownload", ".download", "~"];

/// Looks through `named`, or through the raw folder when none is named. Of folders it takes the
/// files that end like raw files, hidden ones not; of named files any.
pub fn discover(raw_folder: &Path, named: &[PathBuf]) -> Discovered {
    let base = raw_folder.canonicalize().unwrap_or_else(|_| raw_folder.to_path_buf());
    let mut finder = Finder { base, found: Discovered::default() };
    if named.is_empty() {
        // A raw folder that is not there yet holds no files.
        if raw_folder.exists() {
            finder.look_into(raw_folder);
        }
    }
    for path in named {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => finder.look_into(path),
            Ok(_) => finder.add(path),
            Err(error) => finder.fail(path, &error),
        }
    }
    let mut found = finder.found;
    found.unify();
    found.passed_over.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

impl Discovered {
    /// Keeps each file once, and of different files with one name only the first: their accounts could
    /// not be distinguished.
    fn unify(&mut self) {
        self.files.sort_by(|a, b| (&a.name, &a.path).cmp(&(&b.name, &b.path)));
        let mut files: Vec<RawFile> = Vec::with_capacity(self.files.len());
        for file in self.files.drain(..) {
            match files.last() {
                Some(before) if before.name == file.name => {
                    let whole = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
                    if whole(&before.path) != whole(&file.path) {
                        let name = format!("{:?}", file.path);
                        let reason =
                            format!("cannot be distinguished from {:?}; rename one of them", before.path);
                        self.unreadable.push(NotRead { name, reason });
                    }
                }
                _ => files.push(file),
            }
        }
        self.files = files;
    }

    /// Passes over the files whose names do not hold a date.
    pub fn only_of(&mut self, date: &str) {
        let (files, others): (Vec<_>, Vec<_>) =
            self.files.drain(..).partition(|file| is_of_date(&file.name, date));
        self.files = files;
        let reason = format!("its name does not contain the date {date} (--date)");
        let passed_over = others.into_iter().map(|file| NotRead { name: file.name, reason: reason.clone() });
        self.passed_over.extend(passed_over);
        self.passed_over.sort_by(|a, b| a.name.cmp(&b.name));
    }
}

/// Opens a file, and nothing else: opening a pipe would wait for its writer.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    let file_type = fs::metadata(path)?.file_type();
    if file_type.is_file() {
        return File::open(path);
    }
    Err(io::Error::other(format!("it is {}, not a file", kind(file_type))))
}

fn kind(file_type: FileType) -> &'static str {
    match file_type {
        _ if file_type.is_dir() => "a folder",
        _ if file_type.is_fifo() => "a pipe",
        _ if file_type.is_socket() => "a socket",
        _ => "a device",
    }
}

struct Finder {
    base: PathBuf,
    found: Discovered,
}

impl Finder {
    fn name(&self, path: &Path) -> String {
        let whole = path.canonicalize().ok();
        let inside = whole.as_deref().and_then(|whole| whole.strip_prefix(&self.base).ok());
        account_name(inside.unwrap_or(path))
    }

    fn add(&mut self, path: &Path) {
        let name = self.name(path);
        self.found.files.push(RawFile { path: path.to_path_buf(), name });
    }

    fn fail(&mut self, path: &Path, error: &io::Error) {
        let name = account_name(path);
        self.found.unreadable.push(NotRead { name, reason: format!("cannot be read: {error}") });
    }

    fn pass_over(&mut self, path: &Path, reason: impl Into<String>) {
        let name = self.name(path);
        self.found.passed_over.push(NotRead { name, reason: reason.into() });
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
                self.pass_over(&path, "the name begins with a dot, like that of a hidden file");
                continue;
            }
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() => self.look_into(&path),
                Ok(metadata) if metadata.is_file() => match why_not_raw(&name) {
                    None => self.add(&path),
                    Some(reason) => self.pass_over(&path, reason),
                },
                Ok(metadata) => self.pass_over(&path, format!("{}, not a file", kind(metadata.file_type()))),
                Err(error) => self.fail(&path, &error),
            }
        }
    }
}

/// Why a file with this name is not read; none when it is.
fn why_not_raw(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    if ends(&FORMATS) {
        return None;
    }
    if ends(&TO_UNPACK) {
        return Some("an archive; unpack it, or compress the files in it with gzip or zstd");
    }
    let stem = COMPRESSIONS.iter().find_map(|compression| name.strip_suffix(compression));
    // Whatever else a compressed file is called, its content says what it is.
    if stem.is_some_and(|stem| !NO_EVENTS.iter().any(|ending| stem.ends_with(ending))) {
        return None;
    }
    if ends(&UNFINISHED) {
        return Some("still being written, judging by its ending; rename it when it is complete");
    }
    Some("does not end in .csv, .ndjson, .jsonl, .json, .gz or .zst; name it on the command line to read it")
}

/// Whether a name says that the file is of a date (`YYYY-MM-DD`): the date as it is, or its digits in a
/// row, perhaps with the hour after them, or with underscores.
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
        for name in ["a.csv", "a.CSV.gz", "b.ndjson.zst", "c.json", "train.gz", "events.log.ZST"] {
            assert_eq!(why_not_raw(name), None, "{name}");
        }
        for (name, reason) in [
            ("a.csv.part", "being written"),
            ("a.csv.tmp", "being written"),
            ("a.parquet", "does not end in"),
            ("a.sql.gz", "does not end in"),
            ("csv", "does not end in"),
            ("train.csv.zip", "unpack"),
            ("day.tar.gz", "unpack"),
        ] {
            assert!(why_not_raw(name).is_some_and(|why| why.contains(reason)), "{name}");
        }
    }
}
