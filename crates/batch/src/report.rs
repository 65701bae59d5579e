//! What a run did, for people and machines.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use adpipe_event::Millis;
use adpipe_warehouse::Counts;

use crate::commit::Account;
use crate::discover::{NotRead, RawFile};
use crate::files::FileState;
use crate::identity::Plan;
use crate::limit::OverLimit;
use crate::unnamed::Unnamed;

/// What became of one file.
#[derive(Debug, Clone)]
pub struct FileReport {
    /// Its name in the account.
    pub name: String,
    /// `done`, `unchanged`, `empty`, `damaged`, `unreadable`, or `stopped`.
    pub state: &'static str,
    /// Why it was read: `new`, `grown`, `replaced`, `continued`, `forced`; empty when it was not.
    pub because: &'static str,
    /// What is wrong with it; empty when nothing.
    pub message: String,
    /// What this run took of it.
    pub counts: Counts,
    /// Of these, the records that were longer than a record may be: only their beginning is kept.
    pub too_long: u64,
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

    /// Whether it needs attention.
    pub fn is_failed(&self) -> bool {
        matches!(self.state, "damaged" | "unreadable")
    }
}

/// What a run did.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// By file, in the order of their names.
    pub files: Vec<FileReport>,
    /// Files and other entries of the raw folder that were not read, and why.
    pub passed_over: Vec<NotRead>,
    /// Nothing was written.
    pub dry_run: bool,
    /// Asked to stop before it was done.
    pub stopped: bool,
    /// Files of the archive that were written from raw files.
    pub parts: u64,
    /// Bytes of the parts that were written.
    pub part_bytes: u64,
    /// Events that came by stream and are in the archive now.
    pub archived_from_stream: u64,
    /// Events of the archive that were put into `realtime.events`.
    pub made_hot: u64,
    /// Events that left `realtime.events`, as the archive has them.
    pub left_hot: u64,
    /// Small files of the archive that were merged, and how many they became.
    pub merged: (u64, u64),
    /// Leftovers of crashed runs.
    pub swept: u64,
    /// Files in the archive that no row of its list names, and that are left alone.
    pub unnamed: Vec<Unnamed>,
    /// Hours with a part that is missing or damaged: their events wait in the dead-letter queue.
    pub unreadable_hours: Vec<(Millis, String)>,
    /// Parts from before hashes were kept that have one now.
    pub hashed: u64,
    /// There were more invalid rows than the user allows.
    pub over_limit: Option<OverLimit>,
    /// How long all of it took; the command that prints it sets its own time.
    pub took: Duration,
    /// Of it: from opening the first raw file to committing the last row.
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

    /// Records that were longer than a record may be.
    pub fn too_long(&self) -> u64 {
        self.files.iter().map(|file| file.too_long).sum()
    }

    /// Whether a file needs attention.
    pub fn is_failed(&self) -> bool {
        self.over_limit.is_some() || self.files.iter().any(FileReport::is_failed)
    }

    /// Whether too many invalid rows ended it before all files were read.
    pub fn is_cut_off(&self) -> bool {
        self.over_limit.as_ref().is_some_and(|over| over.place.is_some())
    }
}

/// Of a file that was not read.
pub(crate) fn settled_report(file: &RawFile, plan: Plan) -> FileReport {
    let mut report = FileReport {
        name: file.name.clone(),
        state: "empty",
        because: "",
        message: String::new(),
        counts: Default::default(),
        too_long: 0,
        total: Default::default(),
        first_event: None,
        last_event: None,
    };
    match plan {
        Plan::Unchanged(row) => {
            report.state = if row.state == FileState::Damaged { "damaged" } else { "unchanged" };
            (report.first_event, report.last_event) = (row.first_event, row.last_event);
            (report.message, report.total) = (row.message, row.counts);
        }
        Plan::Failed(message) => (report.state, report.message) = ("unreadable", message),
        Plan::Empty | Plan::Read { .. } => {}
    }
    report
}

/// Of what cannot be looked into.
pub(crate) fn unreadable_report(unreadable: &NotRead) -> FileReport {
    let file = RawFile { path: PathBuf::new(), name: unreadable.name.clone() };
    settled_report(&file, Plan::Failed(unreadable.reason.clone()))
}

/// Reports in the order of the files.
pub(crate) fn file_reports(
    files: &[RawFile],
    mut reports: Vec<FileReport>,
    accounts: HashMap<usize, Account>,
) -> Vec<FileReport> {
    reports.extend(accounts.into_iter().map(|(file, account)| FileReport {
        name: files[file].name.clone(),
        state: match account.row.state {
            FileState::Reading => "stopped",
            state => state.as_str(),
        },
        because: account.because.as_str(),
        message: account.row.message,
        counts: account.counts,
        too_long: account.too_long,
        total: account.row.counts,
        first_event: account.row.first_event,
        last_event: account.row.last_event,
    }));
    reports.sort_by(|a, b| a.name.cmp(&b.name));
    reports
}
