//! The figures of the warehouse against its events, and against each other.

use adpipe_event::Millis;
use adpipe_warehouse::audit::{self, Disagreement};
use adpipe_warehouse::report::Totals;
use adpipe_warehouse::{WarehouseRead, archive};

use super::{Check, check};
use crate::StreamError;

/// Compares every sum with what it is a sum of; minute figures since a moment, as older ones are not kept.
pub(super) fn figures_agree(
    warehouse: &dyn WarehouseRead,
    totals: &Totals,
    minutes_since: Millis,
    recounts: bool,
) -> Result<Vec<Check>, StreamError> {
    let no_residue = || "no residue".to_owned();
    let mut checks = vec![events_are_the_account(warehouse, totals)?];
    if recounts {
        checks.push(check(
            "hourly figures = events, by every dimension",
            shown(audit::events_against_hours(warehouse)?),
            no_residue(),
        ));
    }
    checks.extend([
        archive_is_whole(warehouse)?,
        check(
            "minute figures = hourly figures",
            shown(audit::minutes_against_hours(warehouse, minutes_since)?),
            format!("no residue since {minutes_since}"),
        ),
        check(
            "5-minute figures = minute figures",
            shown(audit::five_minutes_against_minutes(warehouse)?),
            no_residue(),
        ),
        check(
            "counted contents = hourly figures, by the hour",
            shown(audit::counts_against_figures(warehouse)?),
            no_residue(),
        ),
        check(
            "counts of causes = errors in the dead-letter queue",
            audit::groups_against_errors(warehouse)?,
            no_residue(),
        ),
    ]);
    Ok(checks)
}

/// Places that do not agree, in words.
fn shown(disagreements: Vec<Disagreement>) -> Vec<String> {
    disagreements
        .iter()
        .map(|gap| {
            format!(
                "{}: {} events and {} clicks against {} and {}",
                gap.window_start,
                gap.left.impressions,
                gap.left.clicks,
                gap.right.impressions,
                gap.right.clicks
            )
        })
        .collect()
}

fn events_are_the_account(warehouse: &dyn WarehouseRead, totals: &Totals) -> Result<Check, StreamError> {
    let (streamed, from_files, recorded) = (totals.stream.valid, totals.files.valid, totals.all());
    let hot = audit::events_total(warehouse)?;
    let (archived, copies) = archive::archived_total(warehouse)?;
    let events = (hot.impressions + archived.impressions).saturating_sub(copies);
    let hourly = audit::hourly_total(warehouse)?;
    let mut gaps = Vec::new();
    if recorded.valid != events {
        gaps.push(format!("{} events were recorded, {events} are there", recorded.valid));
    }
    if hourly.impressions != events {
        gaps.push(format!("events: {events}, hourly figures: {}", hourly.impressions));
    }
    if hourly.clicks != recorded.clicks {
        gaps.push(format!("{} clicks were recorded, hourly figures: {}", recorded.clicks, hourly.clicks));
    }
    let mut detail = format!("{events} events, {} clicks", hourly.clicks);
    if archived.impressions > 0 {
        detail += &format!(
            ": {streamed} streamed, {from_files} from files; {} in the archive, {} hot, {copies} in both",
            archived.impressions, hot.impressions
        );
    }
    Ok(check("events = recorded = hourly figures", gaps, detail))
}

fn archive_is_whole(warehouse: &dyn WarehouseRead) -> Result<Check, StreamError> {
    let mut gaps = shown(audit::archived_hours_against_figures(warehouse)?);
    gaps.extend(shown(audit::parts_against_hours(warehouse)?));
    gaps.extend(shown(audit::parts_against_their_hours(warehouse)?));
    Ok(check("archived + hot events = hourly figures, by the hour", gaps, "no residue".to_owned()))
}
