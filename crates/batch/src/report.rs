//! What a run did, for people and machines.

use std::time::Duration;

use adpipe_event::Millis;
use adpipe_warehouse::Counts;

/// What became of one file.
#[derive(Debug, Clone)]
pub struct FileReport {
    /// Its name in the account.
    pub name: String,
    /// `done`, `unchanged`, `empty`, `damaged`, `unreadable`, or `stopped`.
    pub state: &'static str,
    /// Why it was read: `new`, `grown`, `replaced`, `went on`, `forced`; empty when it was not.
    pub because: &'static str,
    /// What is wrong with it; empty when nothing.
    pub message: String,
    /// What this run took of it.
    pub counts: Counts,
    /// All that was taken of this content, by earlier runs, too.
    pub total: Counts,
    /// Oldest event, of all that was taken.
    pub first_event: Option<Millis>,
    /// Newest event.
    pub last_event: Option<Millis>,
}

impl FileReport {
    /// Clicks / events, duplicates left out; none without events.
    pub fn ctr(&self) -> Option<f64> {
        (self.total.valid > 0).then(|| self.total.clicks as f64 / self.total.valid as f64)
    }

    /// Whether somebody has to look at it.
    pub fn is_failed(&self) -> bool {
        matches!(self.state, "damaged" | "unreadable")
    }
}

/// What a run did.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// By file, in the order of their names.
    pub files: Vec<FileReport>,
    /// Nothing was written.
    pub dry_run: bool,
    /// Asked to stop before it was done.
    pub stopped: bool,
    /// Files of the archive that were written from raw files.
    pub parts: u64,
    /// Their size.
    pub part_bytes: u64,
    /// Events that came by stream and are in the archive now.
    pub archived_from_stream: u64,
    /// Events of the archive that were put into `realtime.events`.
    pub made_hot: u64,
    /// Events that left `realtime.events`, as the archive has them.
    pub left_hot: u64,
    /// Small files of the archive that were merged, and how many they became.
    pub merged: (u64, u64),
    /// What crashed runs had left behind.
    pub swept: u64,
    /// How long it took.
    pub took: Duration,
    /// Of it: the raw files.
    pub took_files: Duration,
}

impl Report {
    /// What this run took of all files.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for file in &self.files {
            counts.add(&file.counts);
        }
        counts
    }

    /// Whether somebody has to look at a file.
    pub fn is_failed(&self) -> bool {
        self.files.iter().any(FileReport::is_failed)
    }
}
