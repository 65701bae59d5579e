//! The folder where announcements wait, and what is remembered of those that went.
//!
//! ```text
//! waiting/NAME.json   to be told; written beside it, synced and renamed
//! told/NAME.json      told to fire, not over yet: for reminders
//! refused/NAME.json   what Slack will not take, for people to look at
//! journal.ndjson      what became of each name; a line is written after Slack's answer and
//!                     before anything moves
//! sender.lock         held by the one process that sends
//! ```
//!
//! A name is sent once: it is not stored again while it waits, nor once the journal has it. There is
//! one exception: a process that dies between Slack's answer and the journal's line posts again.

mod files;
mod journal;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use adpipe_event::Millis;
use adpipe_runtime::RoleLock;

pub use journal::{Line, Outcome};

use crate::error::NotifyError;
use crate::notice::Entry;
use files::{WAITING_MOST, list, remove, rename, write};
use journal::Journal;

/// How many refused messages are kept.
const REFUSED_MOST: usize = 1_000;

/// A leftover of a process that died while it wrote.
const TEMPORARY_AGE: Duration = Duration::from_secs(3_600);

/// What became of storing an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// It waits now.
    New,
    /// It waits, or went, already.
    Known,
}

/// What waits to be told, as files of a folder, and what became of it.
pub struct Spool {
    folder: PathBuf,
    journal: Mutex<Journal>,
}

/// Held by the process that sends.
#[derive(Debug)]
pub struct SenderLock {
    _lock: RoleLock,
}

impl Spool {
    /// Opens the folder, making it when it is not there.
    ///
    /// # Errors
    /// When it cannot be made or read.
    pub fn open(folder: &Path) -> Result<Spool, NotifyError> {
        for name in ["waiting", "told", "refused"] {
            let path = folder.join(name);
            adpipe_sql::private::own_folder(&path).map_err(|source| NotifyError::Spool { path, source })?;
        }
        let journal = Journal::open(folder.join("journal.ndjson"))?;
        Ok(Spool { folder: folder.to_path_buf(), journal: Mutex::new(journal) })
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, place: &str, name: &str) -> PathBuf {
        self.folder.join(place).join(format!("{name}.json"))
    }

    /// Takes the sender's role, unless another process has it.
    ///
    /// # Errors
    /// When the lock file cannot be made.
    pub fn take_sender(&self) -> Result<Option<SenderLock>, NotifyError> {
        let lock = RoleLock::take(&self.folder, "sender")
            .map_err(|source| NotifyError::Spool { path: self.folder.join("sender.lock"), source })?;
        Ok(lock.map(|lock| SenderLock { _lock: lock }))
    }

    /// Puts in order what a crash left behind. For the sender, at its start and once a day.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub fn tidy(&self, _sender: &SenderLock, now: Millis) -> Result<(), NotifyError> {
        // Before the journal is shortened, which may forget what became of them.
        self.read_waiting(&mut HashMap::new())?;
        let mut journal = self.journal();
        for name in list(&self.folder.join("told"))? {
            let is_over = journal.outcome(&name.replace(".fired", ".resolved")).is_some();
            if is_over {
                remove(&self.file("told", &name))?;
            }
        }
        journal.compact(now)?;
        drop(journal);
        for place in ["", "waiting", "told", "refused"] {
            files::remove_temporary(&self.folder.join(place), TEMPORARY_AGE);
        }
        let refused = list(&self.folder.join("refused"))?;
        for name in refused.iter().take(refused.len().saturating_sub(REFUSED_MOST)) {
            remove(&self.file("refused", name))?;
        }
        Ok(())
    }

    /// Stores an entry. When this returns, it is on the disk.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put(&self, entry: &Entry) -> Result<Stored, NotifyError> {
        let name = entry.name();
        let path = self.file("waiting", &name);
        // First the folder, then the journal: what moves meanwhile is seen in one of them.
        if path.exists() || self.told(&name)?.is_some() {
            return Ok(Stored::Known);
        }
        let waiting = list(&self.folder.join("waiting"))?;
        if waiting.len() >= WAITING_MOST {
            // Names sort by time.
            for oldest in waiting.iter().take(waiting.len() + 1 - WAITING_MOST) {
                tracing::warn!(name = oldest, "too many messages wait for Slack; the oldest is dropped");
                self.settle(std::slice::from_ref(oldest), "", Outcome::Dropped, Millis::now())?;
            }
        }
        write(&path, &serde_json::to_vec(entry).unwrap_or_default())?;
        Ok(Stored::New)
    }

    /// What became of a name; none while it waits or was never stored.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn told(&self, name: &str) -> Result<Option<Outcome>, NotifyError> {
        let mut journal = self.journal();
        journal.refresh()?;
        Ok(journal.outcome(name))
    }

    /// What became of a name, without looking at the disk.
    pub fn remembered(&self, name: &str) -> Option<Outcome> {
        self.journal().outcome(name)
    }

    /// Brings `known` up to date with what waits, by name. What cannot be read is put aside.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn read_waiting(&self, known: &mut HashMap<String, Entry>) -> Result<(), NotifyError> {
        let names = list(&self.folder.join("waiting"))?;
        known.retain(|name, _| names.binary_search(name).is_ok());
        for name in names {
            if known.contains_key(&name) {
                continue;
            }
            // A crash came between the journal's line and the move.
            if let Some(outcome) = self.told(&name)? {
                self.settle_file(&name, outcome)?;
                continue;
            }
            match self.read("waiting", &name) {
                Ok(Some(entry)) if entry.name() == name => drop(known.insert(name, entry)),
                Ok(None) => {}
                Ok(Some(_)) | Err(_) => {
                    tracing::warn!(name, "a stored message cannot be read; it is moved to refused/");
                    rename(&self.file("waiting", &name), &self.file("refused", &name))?;
                }
            }
        }
        Ok(())
    }

    /// Alerts whose firing was sent and that have not ended, with the time of their newest message.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn read_told(&self) -> Result<Vec<(String, Entry, Millis)>, NotifyError> {
        let mut told = Vec::new();
        for name in list(&self.folder.join("told"))? {
            if let (Ok(Some(entry)), Some(at)) = (self.read("told", &name), self.journal().newest(&name)) {
                told.push((name, entry, at));
            }
        }
        Ok(told)
    }

    fn read(&self, place: &str, name: &str) -> Result<Option<Entry>, NotifyError> {
        let path = self.file(place, name);
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| NotifyError::Spool {
                path,
                source: std::io::Error::new(std::io::ErrorKind::InvalidData, error),
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(NotifyError::Spool { path, source }),
        }
    }

    /// Remembers what became of names, in one line, and then moves their files.
    ///
    /// # Errors
    /// When the journal cannot be written: then nothing has moved.
    pub fn settle(
        &self,
        names: &[String],
        kind: &str,
        outcome: Outcome,
        now: Millis,
    ) -> Result<(), NotifyError> {
        self.journal().append(Line { at: now.0, kind: kind.to_owned(), outcome, names: names.to_vec() })?;
        for name in names {
            self.settle_file(name, outcome)?;
        }
        Ok(())
    }

    fn settle_file(&self, name: &str, outcome: Outcome) -> Result<(), NotifyError> {
        let waiting = self.file("waiting", name);
        match outcome {
            Outcome::Sent if name.ends_with(".fired") => rename(&waiting, &self.file("told", name))?,
            Outcome::Refused => rename(&waiting, &self.file("refused", name))?,
            Outcome::Reminded => {}
            _ => remove(&waiting)?,
        }
        if let Some(fired) = crate::notice::fired_of(name) {
            remove(&self.file("told", &fired))?;
        }
        Ok(())
    }

    /// Messages sent within the last hour, oldest first: when, and of which kind.
    pub fn sent_since(&self, since: Millis) -> Vec<(Millis, String)> {
        self.journal().sent_since(since)
    }

    /// Drops what has waited since before a moment. For processes that no longer have a webhook.
    ///
    /// # Errors
    /// When the folder or the journal cannot be written.
    pub fn drop_waiting_before(&self, before: Millis, now: Millis) -> Result<usize, NotifyError> {
        let mut waiting = HashMap::new();
        self.read_waiting(&mut waiting)?;
        let mut names: Vec<String> = waiting
            .iter()
            .filter(|(_, entry)| entry.stored_at() < before)
            .map(|(name, _)| name.clone())
            .collect();
        names.sort();
        if !names.is_empty() {
            self.settle(&names, "", Outcome::Dropped, now)?;
        }
        Ok(names.len())
    }

    /// Names that wait, sorted; for tests and for people.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn waiting_names(&self) -> Result<Vec<String>, NotifyError> {
        list(&self.folder.join("waiting"))
    }

    /// A name for this spool that stays, unlike any other's.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn identity(&self) -> Result<String, NotifyError> {
        let path = self.folder.join("identity");
        if let Ok(identity) = std::fs::read_to_string(&path)
            && !identity.trim().is_empty()
        {
            return Ok(identity.trim().to_owned());
        }
        let identity = format!("spool-{:032x}", rand::random::<u128>());
        write(&path, identity.as_bytes())?;
        Ok(identity)
    }
}
