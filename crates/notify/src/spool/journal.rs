//! What became of each name, a line for each message.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use adpipe_event::Millis;
use serde::{Deserialize, Serialize};

use super::files;
use crate::error::NotifyError;

const DAY_MS: i64 = 86_400_000;

/// How long a name is remembered.
const KEEP_MS: i64 = 7 * DAY_MS;

/// How long the journal remembers that an alert's firing was sent or held back, and that it has not
/// ended.
const KEEP_FIRED_MS: i64 = 90 * DAY_MS;

/// What became of something to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Slack has it.
    Sent,
    /// Slack has a reminder of it.
    Reminded,
    /// Slack will never take it.
    Refused,
    /// `slack_config.json` does not want it.
    NotWanted,
    /// It is silenced, or its firing was.
    Silenced,
    /// Too many waited, or for too long.
    Dropped,
}

/// A line of the journal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Line {
    /// When, UTC milliseconds.
    pub at: i64,
    /// The message's kind.
    pub kind: String,
    /// What became of it.
    pub outcome: Outcome,
    /// What it was about.
    pub names: Vec<String>,
}

#[derive(Debug)]
struct Remembered {
    at: i64,
    outcome: Outcome,
    newest: i64,
}

/// The file, and what is known of it.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    /// Which file was read, and how far.
    inode: u64,
    read: u64,
    names: HashMap<String, Remembered>,
    sent: Vec<(i64, String)>,
}

impl Journal {
    pub fn open(path: PathBuf) -> Result<Journal, NotifyError> {
        let mut journal = Journal { path, inode: 0, read: 0, names: HashMap::new(), sent: Vec::new() };
        journal.refresh()?;
        Ok(journal)
    }

    fn failed(&self, source: std::io::Error) -> NotifyError {
        NotifyError::Spool { path: self.path.clone(), source }
    }

    /// Reads what another process has added, or all of it when that one has shortened it.
    pub fn refresh(&mut self) -> Result<(), NotifyError> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(self.failed(error)),
        };
        let metadata = file.metadata().map_err(|error| self.failed(error))?;
        if metadata.ino() != self.inode || metadata.len() < self.read {
            (self.inode, self.read) = (metadata.ino(), 0);
            self.names.clear();
            self.sent.clear();
        }
        if metadata.len() == self.read {
            return Ok(());
        }
        let mut bytes = Vec::new();
        let read = file.seek(SeekFrom::Start(self.read)).and_then(|_| file.read_to_end(&mut bytes));
        read.map_err(|error| self.failed(error))?;
        // A line without its end is still being written, or was cut off by a crash.
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        self.read += whole as u64;
        for line in bytes[..whole].split(|byte| *byte == b'\n') {
            if let Ok(line) = serde_json::from_slice::<Line>(line) {
                self.remember(line);
            }
        }
        Ok(())
    }

    fn remember(&mut self, line: Line) {
        // A line without a kind is what is left of one that was shortened: no message of its own.
        if matches!(line.outcome, Outcome::Sent | Outcome::Reminded) && !line.kind.is_empty() {
            self.sent.push((line.at, line.kind));
        }
        for name in line.names {
            match self.names.get_mut(&name) {
                // A reminder changes nothing of what became of it.
                Some(remembered) if line.outcome == Outcome::Reminded => remembered.newest = line.at,
                _ => {
                    let remembered = Remembered { at: line.at, outcome: line.outcome, newest: line.at };
                    self.names.insert(name, remembered);
                }
            }
        }
    }

    pub fn outcome(&self, name: &str) -> Option<Outcome> {
        self.names.get(name).map(|remembered| remembered.outcome)
    }

    /// When a message last named it.
    pub fn newest(&self, name: &str) -> Option<Millis> {
        self.names.get(name).map(|remembered| Millis(remembered.newest))
    }

    pub fn sent_since(&self, since: Millis) -> Vec<(Millis, String)> {
        let is_since = |sent: &&(i64, String)| sent.0 > since.0;
        self.sent.iter().filter(is_since).map(|(at, kind)| (Millis(*at), kind.clone())).collect()
    }

    /// Adds a line; it is on the disk when this returns.
    pub fn append(&mut self, line: Line) -> Result<(), NotifyError> {
        self.refresh()?;
        let written = (|| {
            let mut file = adpipe_sql::private::open(
                &self.path,
                OpenOptions::new().create(true).append(true).read(true),
            )?;
            let mut text = serde_json::to_vec(&line)?;
            text.push(b'\n');
            // Behind a line that a crash cut off.
            if file.metadata()?.len() > self.read {
                text.insert(0, b'\n');
            }
            file.write_all(&text)?;
            file.sync_data()
        })();
        written.map_err(|error| self.failed(error))?;
        self.refresh()
    }

    /// Forgets what is old.
    pub fn compact(&mut self, now: Millis) -> Result<(), NotifyError> {
        self.refresh()?;
        let mut lines: Vec<Line> = Vec::new();
        for (name, remembered) in &self.names {
            let id = match remembered.outcome {
                Outcome::Sent => name.strip_suffix(".fired"),
                Outcome::Silenced => name.strip_suffix(".silenced"),
                _ => None,
            };
            let is_open = id.is_some_and(|id| !self.names.contains_key(&format!("{id}.resolved")));
            let keep = if is_open { KEEP_FIRED_MS } else { KEEP_MS };
            if now.0 - remembered.at <= keep {
                let line = |at, outcome| Line { at, kind: String::new(), outcome, names: vec![name.clone()] };
                lines.push(line(remembered.at, remembered.outcome));
                if remembered.newest > remembered.at {
                    lines.push(line(remembered.newest, Outcome::Reminded));
                }
            }
        }
        // Per message only what throttling needs.
        let hour_ago = now.0 - 3_600_000;
        let recent = self.sent.iter().filter(|(at, _)| *at > hour_ago);
        lines.extend(recent.map(|(at, kind)| Line {
            at: *at,
            kind: kind.clone(),
            outcome: Outcome::Sent,
            names: Vec::new(),
        }));
        lines.sort_by_key(|line| line.at);
        let mut text = Vec::new();
        for line in &lines {
            text.extend(serde_json::to_vec(line).unwrap_or_default());
            text.push(b'\n');
        }
        files::write(&self.path, &text)?;
        self.refresh()
    }
}
