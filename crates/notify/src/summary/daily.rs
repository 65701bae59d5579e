//! Once a day, over restarts and over any number of processes.

use adpipe_event::Millis;
use adpipe_sql::section;
use adpipe_warehouse::{Schema, Value, Warehouse};
use jiff::ToSpan;
use jiff::civil::{Date, date};

use super::read;
use crate::config::SlackConfig;
use crate::error::NotifyError;
use crate::notice::{Entry, summary_name};
use crate::spool::Spool;

const SUMMARY_SQL: &str = include_str!("../../sql/summary.sql");
const CLAIM_FIRST: &str = section(SUMMARY_SQL, "claim_first");
const CLAIM: &str = section(SUMMARY_SQL, "claim");
const CLAIM_DONE: &str = section(SUMMARY_SQL, "claim_done");

/// A process that claimed a day and has not stored its summary within this time counts as dead.
const CLAIM_MS: i64 = 600_000;

/// The day whose summary should have been sent by now: yesterday, or, before the set time, the day
/// before it.
///
/// # Errors
/// When the calendar has no such day.
pub fn due_day(config: &SlackConfig, now: Millis) -> Result<Date, NotifyError> {
    let local = config.time_zone.local(now);
    let is_time = now >= config.time_zone.moment(local.date(), config.daily_summary.at.0)?;
    Ok(local.date().checked_sub(if is_time { 1.day() } else { 2.days() })?)
}

/// Stores the summary that is due, unless it is stored already. True if it was stored now.
///
/// A day is claimed in the warehouse, so that of several processes one stores it; the summary of a day
/// on which no process ran comes when one runs, until the next one is due. The very first call on a
/// warehouse claims what is due without sending it.
///
/// # Errors
/// Failures of the warehouse and of the spool.
pub fn store_due(
    spool: &Spool,
    warehouse: &dyn Warehouse,
    config: &SlackConfig,
    owner: &str,
    now: Millis,
) -> Result<bool, NotifyError> {
    let day = due_day(config, now)?;
    let name = summary_name(&day.to_string());
    let epoch = i64::from((day - date(1970, 1, 1)).get_days());
    let owner_and_day = || [Value::from(owner), Value::Int(epoch)];
    let mut session = warehouse.session(Schema::Ops)?;
    if spool.told(&name)?.is_some() || spool.waiting_names()?.binary_search(&name).is_ok() {
        // It was stored here; a crash may have come before that was noted.
        let mut transaction = session.begin()?;
        transaction.execute(CLAIM_DONE, &owner_and_day())?;
        transaction.commit()?;
        return Ok(false);
    }
    let is_ours = {
        let mut transaction = session.begin()?;
        let [owner, day] = owner_and_day();
        let at: Value = now.to_string().into();
        let stale: Value = Millis(now.0 - CLAIM_MS).to_string().into();
        let is_first = transaction.execute(CLAIM_FIRST, &[owner.clone(), day.clone(), at.clone()])? == 1;
        let is_ours = !is_first && transaction.execute(CLAIM, &[owner, day, at, stale])? == 1;
        transaction.commit()?;
        is_ours
    };
    if !is_ours {
        return Ok(false);
    }
    let summary = read(warehouse, day, &config.time_zone)?;
    spool.put(&Entry::Summary { stored_at: now.0, summary: Box::new(summary) })?;
    let mut transaction = session.begin()?;
    transaction.execute(CLAIM_DONE, &owner_and_day())?;
    transaction.commit()?;
    Ok(true)
}
