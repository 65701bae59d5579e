//! `adpipe verify --deep`: everything that is stored against its sum.
//!
//! `contents.rs` reads every event of the archive and of `realtime.events`; this compares them, by
//! the hour, with what was counted (`realtime.content_sums`) and with the figures. Rows of accounts
//! and of the dead-letter queue are compared by `adpipe_warehouse::covered`.

mod contents;
mod figures;

use std::time::Duration;

use adpipe_counting::Check;
use adpipe_event::{ContentSum, Millis};
use adpipe_runtime::progress::Progress;
use adpipe_sql::section;
use adpipe_warehouse::covered::{self, NOT_COVERED};
use adpipe_warehouse::sums::{self, Content};
use adpipe_warehouse::{Schema, Warehouse, WarehouseRead, archive as archived};

use self::contents::Contents;
use self::figures::StoredFigures;
use crate::BatchError;
use crate::archive::Archive;

const DEEP_SQL: &str = include_str!("../../sql/deep.sql");
const HOURLY: &str = section(DEEP_SQL, "hourly");
const MINUTES: &str = section(DEEP_SQL, "minutes");

/// Gaps named one by one.
const SHOWN_GAPS: usize = 20;

/// What the deep check found.
#[derive(Debug, Default)]
pub struct Deep {
    /// Lines of the proof.
    pub checks: Vec<Check>,
    /// What could not be compared, in a few words each.
    pub not_checked: Vec<String>,
    /// What has no sum to be compared with until it is sealed.
    pub without_sum: Vec<String>,
    /// Hours that have no sum, with what is stored of them.
    unsealed: Vec<(Millis, Content)>,
}

/// Steps of [`verify`], as [`Progress`] shows them.
pub const STEPS: u64 = 2;

/// Compares everything. `minutes_kept` is how long figures by the minute are kept.
///
/// # Errors
/// When the warehouse cannot be read; a part that cannot be read is a gap.
pub fn verify(
    warehouse: &dyn Warehouse,
    archive: &Archive,
    minutes_kept: Duration,
    progress: &Progress,
) -> Result<Deep, BatchError> {
    let snapshot = warehouse.snapshot()?;
    let mut deep = Deep::default();
    progress.begin("rows of accounts and of the queue");
    rows(snapshot.as_ref(), &mut deep)?;
    progress.begin("contents of events");
    let contents = contents::read(snapshot.as_ref(), warehouse, archive, progress)?;
    if contents.is_moving {
        let text = "contents of events (the archive is being changed: run it again in a moment)";
        deep.not_checked.push(text.to_owned());
    } else {
        compare_contents(snapshot.as_ref(), &contents, &mut deep)?;
        compare_figures(snapshot.as_ref(), &contents, minutes_kept, &mut deep)?;
    }
    deep.not_checked.extend(NOT_COVERED.iter().map(|text| (*text).to_owned()));
    Ok(deep)
}

fn check(name: &'static str, mut gaps: Vec<String>, detail: String) -> Check {
    let holds = gaps.is_empty();
    let more = gaps.len().saturating_sub(SHOWN_GAPS);
    gaps.truncate(SHOWN_GAPS);
    if more > 0 {
        gaps.push(format!("and {more} more"));
    }
    Check { name, holds, detail: if holds { detail } else { gaps.join("; ") } }
}

fn rows(warehouse: &dyn WarehouseRead, deep: &mut Deep) -> Result<(), BatchError> {
    let found = covered::check_rows(warehouse)?;
    let detail = format!("{} sums of rows", found.sound);
    deep.checks.push(check("rows of accounts and of the queue = as written", found.damaged, detail));
    let without: u64 = found.without_sum.iter().map(|(_, rows)| rows).sum();
    if without > 0 {
        let tables: Vec<&str> = found.without_sum.iter().map(|(table, _)| *table).collect();
        let tables = tables.join(", ");
        deep.without_sum
            .push(format!("{without} sums of rows from before sums were kept (--seal; {tables})"));
    }
    Ok(())
}

fn compare_contents(
    warehouse: &dyn WarehouseRead,
    contents: &Contents,
    deep: &mut Deep,
) -> Result<(), BatchError> {
    let (stored, unreadable) = sums::stored_contents(warehouse)?;
    let mut gaps = contents.gaps.clone();
    gaps.extend(unreadable.iter().map(|hour| format!("realtime.content_sums, {hour:?}: not an hour")));
    let hours = contents.hours.keys().chain(stored.keys()).collect::<std::collections::BTreeSet<_>>();
    let (mut events, mut total) = (0, Some(ContentSum::default()));
    for hour in hours.iter().filter(|hour| !contents.unread.contains(**hour)) {
        let found = contents.hours.get(*hour).copied().unwrap_or_default().content;
        let Some(wanted) = stored.get(*hour) else {
            gaps.push(format!("{hour}: {} events are there, none was counted", found.events));
            continue;
        };
        events += found.events;
        let sum = wanted.sum.map(ContentSum::from_i64);
        if let (Some(Some(sum)), Some(total)) = (sum, &mut total) {
            total.add(sum);
        }
        if wanted.events != found.events as i64 {
            gaps.push(format!("{hour}: {} events were counted, {} are there", wanted.events, found.events));
        } else if sum.is_none() {
            total = None;
            deep.unsealed.push((**hour, found));
        } else if sum != Some(Some(found.sum)) {
            gaps.push(format!("{hour}: its {} events are not as they were counted", found.events));
        }
    }
    let detail = format!("{events} events of {} hours", hours.len());
    deep.checks.push(check("contents of events = as counted, by the hour", gaps, detail));
    if !deep.unsealed.is_empty() {
        let hours = deep.unsealed.len();
        deep.without_sum.push(format!("contents of {hours} hours from before sums were kept (--seal)"));
    }
    if !contents.unread.is_empty() {
        deep.not_checked
            .push(format!("contents of {} hours in parts that cannot be read", contents.unread.len()));
        total = None;
    }
    compare_accounts(warehouse, total, deep)
}

/// What batches say they counted, against all hours together.
fn compare_accounts(
    warehouse: &dyn WarehouseRead,
    total: Option<ContentSum>,
    deep: &mut Deep,
) -> Result<(), BatchError> {
    const NAME: &str = "contents counted by commits and files = by the hours";
    match (sums::counted_content(warehouse)?, total) {
        (Some(counted), Some(total)) => {
            let gaps = if counted == total {
                Vec::new()
            } else {
                vec!["they counted other events than the hours have".to_owned()]
            };
            deep.checks.push(check(NAME, gaps, "no residue".to_owned()));
        }
        _ => deep
            .not_checked
            .push("contents by commit and file (some are from before sums were kept)".to_owned()),
    }
    Ok(())
}

fn compare_figures(
    warehouse: &dyn WarehouseRead,
    contents: &Contents,
    minutes_kept: Duration,
    deep: &mut Deep,
) -> Result<(), BatchError> {
    let newest = warehouse.newest_minute()?.unwrap_or_default();
    let floor = archived::minutes_floor(warehouse)?.unwrap_or(Millis(i64::MIN));
    let minutes_since = Millis(newest.0 - minutes_kept.as_millis() as i64).max(floor);
    let mut stored = StoredFigures::default();
    for (sql, is_hourly) in [(HOURLY, true), (MINUTES, false)] {
        warehouse.query(sql, &[], &mut |row| {
            if is_hourly {
                stored.add_hourly(&row)
            } else {
                stored.add_minute(&row)
            };
            true
        })?;
    }
    let mut gaps: Vec<String> =
        stored.unreadable.iter().map(|row| format!("{row}: not a row of figures")).collect();
    let hours: std::collections::BTreeSet<&Millis> =
        stored.hours.keys().chain(contents.hours.keys()).collect();
    let mut minutes_unchecked = 0;
    for hour in hours.into_iter().filter(|hour| !contents.unread.contains(*hour)) {
        let found = contents.hours.get(hour).copied().unwrap_or_default().figures;
        let figures = stored.hours.get(hour).copied().unwrap_or_default();
        if !found.same_hours(&figures) {
            gaps.push(format!("{hour}: hourly figures are not those of its events"));
        }
        if *hour < minutes_since {
            minutes_unchecked += u64::from(!figures.has_no_minutes());
        } else if !found.same_minutes(&figures) {
            gaps.push(format!("{hour}: minute figures are not those of its events"));
        }
    }
    if minutes_unchecked > 0 {
        deep.not_checked.push(format!("minute figures before {minutes_since}, which retention removes"));
    }
    let name = "hourly and minute figures = events, by every dimension";
    deep.checks.push(check(name, gaps, format!("minutes since {minutes_since}")));
    Ok(())
}

/// Stores the sums that are missing, of what was just found to add up. Gives how many hours and
/// how many rows got one.
///
/// # Errors
/// Failures of the warehouse. What was stored before stays.
pub fn seal(warehouse: &dyn Warehouse, deep: &Deep) -> Result<(u64, u64), BatchError> {
    let mut hours = 0;
    if !deep.unsealed.is_empty() {
        let mut session = warehouse.session(Schema::Realtime)?;
        let mut transaction = session.begin()?;
        for (hour, content) in &deep.unsealed {
            hours += u64::from(sums::seal_content(transaction.as_mut(), *hour, *content)?);
        }
        transaction.commit()?;
    }
    Ok((hours, covered::seal_rows(warehouse)?))
}
