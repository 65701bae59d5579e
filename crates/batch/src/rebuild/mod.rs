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
mod work;

use adpipe_log::EventLog;
use adpipe_runtime::Shutdown;
use adpipe_runtime::progress::Progress;
use adpipe_warehouse::Schema;

use self::work::Work;
pub use self::work::{RebuildConfig, RebuildReport};
use crate::account::{self, Account};
use crate::archive::Stamp;
use crate::back_ends::BackEnds;
use crate::unreadable::Unreadable;
use crate::{BatchError, hot, lock};

/// Steps of a rebuild, as [`Progress`] shows them; the caller has retention as the last one.
const STEPS: u64 = 4;

/// Makes the warehouse of this place again. `data_id` is the data set that the other stores are of,
/// as far as they say.
///
/// # Errors
/// [`BatchError::Stopped`] when the switch went off: then nothing has changed.
pub fn rebuild(
    config: &RebuildConfig,
    back_ends: BackEnds<'_>,
    data_id: Option<&str>,
    progress: &Progress,
    shutdown: &Shutdown,
) -> Result<RebuildReport, BatchError> {
    let _lock = lock::take(back_ends.archive, back_ends.warehouse)?;
    let mut report = RebuildReport::default();
    let account = read_account(back_ends, &mut report)?;
    let named = data_id.into_iter().chain([account.data_id.as_str()]);
    let data_id = named.map(str::to_owned).find(|id| !id.is_empty());
    let stamp = Stamp { source: "merged", ..Stamp::of_new_run(data_id.clone().unwrap_or_default()) };
    let archive = back_ends.archive.written_by(stamp);
    let back_ends = BackEnds { archive: &archive, ..back_ends };
    let mut writer = back_ends.warehouse.stream_writer()?;
    let mut transaction = writer.begin()?;
    transaction.lock_archive()?;
    tables::empty(transaction.as_mut(), back_ends.warehouse.dialect())?;
    progress.expect_steps(STEPS);
    let work = Work { config, back_ends, account: &account, data_id: data_id.as_deref(), progress, shutdown };
    let mut archived = parts::count(&work, transaction.as_mut(), &mut report)?;
    if archived.parts.is_empty() && !work.has_account() && !log_has_records(back_ends.log)? {
        let reason = "there is nothing to rebuild from: no part of an archive, and no record in the log";
        return Err(BatchError::archive(back_ends.archive.location(), reason));
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
    back_ends.warehouse.sync()?;
    drop(writer);
    if let Some(data_id) = &data_id {
        adpipe_warehouse::identity::make(back_ends.warehouse, Schema::Realtime, data_id)?;
    }
    progress.begin("filling realtime.events");
    // What is not done here is done by the next `adpipe etl`.
    report.made_hot = hot::fill(config.hot, back_ends, &Unreadable::default(), progress, shutdown)?;
    Ok(report)
}

fn read_account(back_ends: BackEnds<'_>, report: &mut RebuildReport) -> Result<Account, BatchError> {
    let found = account::read(back_ends.archive)?;
    report.problems.extend(found.damaged);
    let account = found.account.unwrap_or_default();
    if account.number > 0 {
        report.account_of = Some(account.written_at.clone());
    }
    Ok(account)
}

fn log_has_records(log: &dyn EventLog) -> Result<bool, BatchError> {
    for topic in adpipe_counting::TOPICS {
        if log.ranges(topic)?.iter().any(|range| range.next.0 > 0) {
            return Ok(true);
        }
    }
    Ok(false)
}
