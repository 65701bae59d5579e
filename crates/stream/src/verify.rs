//! The proof that nothing was lost or counted twice: everything is counted again.
//!
//! `account.rs`: what was committed against the log and the dead-letter queue. `recount.rs`: every record
//! that the log still holds. `figures.rs`: events against sums, and sums against each other.

mod account;
mod figures;
mod recount;

use std::time::Duration;

use adpipe_counting::Check;
use adpipe_counting::pending_errors::pending_errors;
use adpipe_event::{FieldMap, Millis};
use adpipe_log::EventLog;
use adpipe_runtime::progress::Progress;
use adpipe_warehouse::report::{self, Totals};
use adpipe_warehouse::{ArchiveIds, Warehouse, archive, audit, lost};

use crate::StreamError;
use account::{
    account_is_whole, every_error_is_kept, every_partition_is_known, nothing_is_torn, read_partitions,
};
use figures::figures_agree;
use recount::nothing_is_missing;

/// The whole proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What was checked, in the order in which it was.
    pub checks: Vec<Check>,
    /// Records in the log that the processor has yet to count; the proof is about the others.
    pub waiting: u64,
    /// What was not looked at, in a few words each.
    pub not_checked: Vec<String>,
    /// The totals of the warehouse, as the console and Prometheus show them.
    pub totals: Totals,
}

impl Verdict {
    /// Whether every line holds.
    pub fn holds(&self) -> bool {
        self.checks.iter().all(|check| check.holds)
    }
}

/// Compares log and warehouse, as of one moment of the warehouse. `minutes_kept` is how long minute
/// figures are kept: hours older than that have none to compare.
///
/// # Errors
/// When log or warehouse cannot be read.
pub fn verify(
    log: &dyn EventLog,
    warehouse: &dyn Warehouse,
    minutes_kept: Duration,
) -> Result<Verdict, StreamError> {
    let (fields, progress) = (FieldMap::default(), Progress::new());
    recount_all(&Scope { log, warehouse, archive: None, fields: &fields, minutes_kept, progress: &progress })
}

/// What is verified, and who follows the progress.
pub struct Scope<'a> {
    /// The event log.
    pub log: &'a dyn EventLog,
    /// The warehouse.
    pub warehouse: &'a dyn Warehouse,
    /// Where events are looked for that are in the archive only; none: nowhere.
    pub archive: Option<&'a dyn ArchiveIds>,
    /// What names the fields of records have.
    pub fields: &'a FieldMap,
    /// How long minute figures are kept: hours older than that have none to compare.
    pub minutes_kept: Duration,
    /// How far it has come.
    pub progress: &'a Progress,
}

/// Steps of [`recount_all`], as [`Progress`] shows them.
pub const STEPS: u64 = 3;

/// Steps of [`compare_sums`].
pub const QUICK_STEPS: u64 = 1;

/// Recounts every record, after the files of log and warehouse.
///
/// # Errors
/// When log, warehouse or archive cannot be read.
pub fn recount_all(scope: &Scope<'_>) -> Result<Verdict, StreamError> {
    let mut not_checked = Vec::new();
    scope.progress.begin("checking the files of log and warehouse");
    let storage = storage_is_sound(scope.log, scope.warehouse, &mut not_checked)?;
    let mut verdict = compare(scope, true)?;
    verdict.checks.insert(0, storage);
    verdict.not_checked.splice(0..0, not_checked);
    Ok(verdict)
}

/// Compares the sums that are stored, and reads neither records nor files.
///
/// # Errors
/// When log or warehouse cannot be read.
pub fn compare_sums(scope: &Scope<'_>) -> Result<Verdict, StreamError> {
    let mut verdict = compare(scope, false)?;
    verdict.not_checked.extend(
        [
            "pages and indexes of the files",
            "records of the log one by one",
            "events against hourly figures by every dimension",
        ]
        .map(str::to_owned),
    );
    Ok(verdict)
}

fn compare(scope: &Scope<'_>, recounts: bool) -> Result<Verdict, StreamError> {
    let Scope { log, warehouse, minutes_kept, progress, .. } = *scope;
    if recounts {
        progress.begin("recounting the records of the log");
    }
    // The warehouse first: an error is in its topic before the offset after it is stored, so that every
    // error of this moment is found, in the dead-letter queue or on the way there.
    let snapshot = warehouse.snapshot()?;
    let warehouse = snapshot.as_ref();
    let partitions = read_partitions(log, warehouse)?;
    let commits = audit::commits(warehouse)?;
    let is_event_topic = |name: &str| adpipe_counting::TOPICS.iter().any(|topic| topic.name() == name);
    let pending = pending_errors(log, warehouse, is_event_topic)?;
    let newest = warehouse.newest_minute()?.unwrap_or_default();
    let floor = archive::minutes_floor(warehouse)?.unwrap_or(Millis(i64::MIN));
    let minutes_since = Millis(newest.0 - minutes_kept.as_millis() as i64).max(floor);
    let totals = report::totals(warehouse)?;
    let mut checks = vec![
        every_partition_is_known(warehouse, &partitions, &commits)?,
        account_is_whole(&partitions, &commits, log.is_dense(), &lost::lost_records(warehouse)?),
        nothing_is_torn(log, warehouse, &partitions)?,
    ];
    if recounts {
        checks.push(nothing_is_missing(scope, warehouse, &partitions, &commits, &pending)?);
    }
    progress.begin("comparing sums");
    checks.push(every_error_is_kept(warehouse, &partitions, &commits, &pending)?);
    checks.extend(figures_agree(warehouse, &totals, minutes_since, recounts)?);
    let waiting = partitions
        .iter()
        .map(|part| part.range.next.0.saturating_sub(part.committed.max(part.range.first.0)));
    Ok(Verdict { checks, waiting: waiting.sum(), not_checked: Vec::new(), totals })
}

/// The files of log and warehouse, before anything is read from them by a damaged index.
fn storage_is_sound(
    log: &dyn EventLog,
    warehouse: &dyn Warehouse,
    not_checked: &mut Vec<String>,
) -> Result<Check, StreamError> {
    let mut damages = Vec::new();
    match log.check_storage()? {
        Some(found) => damages.extend(found.into_iter().map(|damage| format!("log.db: {damage}"))),
        None => not_checked.push("files of the brokers".to_owned()),
    }
    match warehouse.check_storage()? {
        Some(found) => damages.extend(found),
        None => not_checked.push("files of the database server (pg_amcheck)".to_owned()),
    }
    Ok(check("pages, indexes and definitions of the files", damages, "sound".to_owned()))
}

fn check(name: &'static str, gaps: Vec<String>, detail: String) -> Check {
    if gaps.is_empty() {
        Check { name, holds: true, detail }
    } else {
        Check { name, holds: false, detail: gaps.join("; ") }
    }
}
