//! Makes schema `realtime` again, from the archive and the log (`adpipe rebuild`).
//!
//! 1. The archive's account (`account.rs`) says what the warehouse knew at the end of a run: files,
//!    offsets, commits.
//! 2. Every part is read (`parts.rs`). Each event counts once, in whichever parts it is; damaged
//!    parts are left out and named.
//! 3. The log is read from its first record to where the account has counted it: what is in no part is
//!    a hot event (`replay.rs`). After that, the processor continues by itself, except for records that
//!    a part of a later run proves to be counted: these are counted here as they were then.
//! 4. What is left to explain is recorded as filled in, and what is missing is named (`balance.rs`).
//!
//! All of it is one transaction: whatever ends it, nothing has changed.

mod balance;
mod lookup;
mod parts;
mod replay;
mod tables;

use std::time::Duration;

use adpipe_event::FieldMap;
use adpipe_log::EventLog;
use adpipe_runtime::Shutdown;
use adpipe_runtime::progress::Progress;
use adpipe_warehouse::Schema;

use crate::account::{self, Account};
use crate::archive::Stamp;
use crate::etl::Place;
use crate::unreadable::Unreadable;
use crate::{BatchError, hot, lock};

/// Steps of a rebuild, as [`Progress`] shows them; the caller has retention as the last one.
const STEPS: u64 = 4;

/// What a rebuild is to do.
#[derive(Debug, Clone)]
pub struct RebuildConfig {
    /// How long figures by the minute are kept, counted back from the newest.
    pub minutes: Duration,
    /// The hot window.
    pub hot: Duration,
    /// Which fields of the input give those of an event.
    pub fields: FieldMap,
    /// Change nothing; say what there is.
    pub dry_run: bool,
}

/// What was found and done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RebuildReport {
    /// When the account was written that it is made by; none without an account.
    pub account_of: Option<String>,
    /// Parts that count, and their events.
    pub parts: u64,
    /// Events in them.
    pub archived: u64,
    /// Events that are in the log only, or have not been archived yet.
    pub from_log: u64,
    /// Clicks among them.
    pub clicks_from_log: u64,
    /// Records after the account that a part proves to be counted.
    pub replayed: u64,
    /// Parts whose events are all in others.
    pub redundant: Vec<String>,
    /// Parts some of whose events are in others: the rest was written into new ones.
    pub rewritten: Vec<String>,
    /// What nothing recorded any more and was filled in, in words.
    pub synthesised: Vec<String>,
    /// What is damaged or missing, in words.
    pub problems: Vec<String>,
    /// Events put into the hot window.
    pub made_hot: u64,
}

/// Makes the warehouse of this place again. `data_id` is the data set that the other stores are of,
/// as far as they say.
///
/// # Errors
/// [`BatchError::Stopped`] when the switch went off: then nothing has changed.
pub fn rebuild(
    config: &RebuildConfig,
    place: Place<'_>,
    data_id: Option<&str>,
    progress: &Progress,
    shutdown: &Shutdown,
) -> Result<RebuildReport, BatchError> {
    let _lock = lock::take(place.archive, place.warehouse)?;
    let mut report = RebuildReport::default();
    let found = account::read(place.archive)?;
    report.problems.extend(found.damaged);
    let account = found.account.unwrap_or_default();
    if account.number > 0 {
        report.account_of = Some(account.written_at.clone());
    }
    let data_id = data_id
        .filter(|id| !id.is_empty())
        .map(str::to_owned)
        .or_else(|| Some(account.data_id.clone()).filter(|id| !id.is_empty()));
    let stamp = Stamp { source: "merged", ..Stamp::of_new_run(data_id.clone().unwrap_or_default()) };
    let archive = place.archive.written_by(stamp);
    let place = Place { archive: &archive, ..place };
    let mut writer = place.warehouse.stream_writer()?;
    let mut transaction = writer.begin()?;
    transaction.lock_archive()?;
    tables::empty(transaction.as_mut(), place.warehouse.dialect())?;
    progress.expect_steps(STEPS);
    let work = Work { config, place, account: &account, data_id: data_id.as_deref(), progress, shutdown };
    let mut archived = parts::count(&work, transaction.as_mut(), &mut report)?;
    if archived.parts.is_empty() && !work.has_account() && !log_has_records(place.log)? {
        let reason = "there is nothing to rebuild from: no part of an archive, and no record in the log";
        return Err(BatchError::archive(place.archive.location(), reason));
    }
    let mut books = tables::take_over(&work, transaction.as_mut(), &archived, &mut report)?;
    let places = replay::replay(&work, transaction.as_mut(), &mut archived, &mut books, &mut report)?;
    balance::balance(&work, transaction.as_mut(), &archived, books, &places, &mut report)?;
    if shutdown.is_triggered() {
        return Err(BatchError::Stopped);
    }
    if config.dry_run {
        drop(transaction);
        archived.discard();
        return Ok(report);
    }
    archived.publish()?;
    transaction.commit()?;
    place.warehouse.sync()?;
    drop(writer);
    if let Some(data_id) = &data_id {
        adpipe_warehouse::identity::make(place.warehouse, Schema::Realtime, data_id)?;
    }
    progress.begin("filling realtime.events");
    // What is not done here is done by the next `adpipe etl`.
    report.made_hot = hot::fill(config.hot, place, &Unreadable::default(), progress, shutdown)?;
    Ok(report)
}

fn log_has_records(log: &dyn EventLog) -> Result<bool, BatchError> {
    for topic in adpipe_stream::TOPICS {
        if log.ranges(topic)?.iter().any(|range| range.next.0 > 0) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What every step needs.
struct Work<'a> {
    config: &'a RebuildConfig,
    place: Place<'a>,
    account: &'a Account,
    data_id: Option<&'a str>,
    progress: &'a Progress,
    shutdown: &'a Shutdown,
}

impl Work<'_> {
    fn go_on(&self) -> Result<(), BatchError> {
        if self.shutdown.is_triggered() { Err(BatchError::Stopped) } else { Ok(()) }
    }

    fn has_account(&self) -> bool {
        self.account.number > 0
    }
}
