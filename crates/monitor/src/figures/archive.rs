//! The archive: hours that should be in it, and hours that cannot be read.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use adpipe_event::Millis;
use adpipe_warehouse::archive::{self, OpenHour};
use serde_json::{Value as Json, json};

use super::{MonitorError, Sources, single};
use crate::signal::Reading;

/// Looking for the oldest open hour reads the times of all its events: not at each look.
const ASKED_EVERY: Duration = Duration::from_secs(60);

/// What was found, and when.
pub(super) type KnownOpenHour = Option<(Instant, Option<OpenHour>)>;

/// The oldest hour that is not wholly in the archive.
fn oldest_open_hour(sources: &Sources) -> Result<Option<OpenHour>, MonitorError> {
    let mut known = sources.memory.open_hour.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((at, open)) = *known
        && at.elapsed() < ASKED_EVERY
    {
        return Ok(open);
    }
    let open = archive::oldest_open_hour(sources.warehouse.as_ref())?;
    *known = Some((Instant::now(), open));
    Ok(open)
}

/// Seconds that it waits: 0 before its end, and when there is none.
pub(super) fn waits_s(sources: &Sources, now: Millis) -> Result<f64, MonitorError> {
    let waits = |open: OpenHour| (now.0 - open.waits_since().0).max(0) as f64 / 1_000.0;
    Ok(oldest_open_hour(sources)?.map_or(0.0, waits))
}

pub(super) fn behind(sources: &Sources, now: Millis) -> Result<Vec<Reading>, MonitorError> {
    let context = match oldest_open_hour(sources)? {
        Some(open) => json!({ "hour": open.hour.to_string(), "since": open.waits_since().to_string() }),
        None => Json::Null,
    };
    Ok(single(waits_s(sources, now)?, context))
}

pub(super) fn unreadable(sources: &Sources) -> Result<Vec<Reading>, MonitorError> {
    let hours = archive::unreadable_hours(sources.warehouse.as_ref())?;
    let context = match hours.first() {
        Some(first) => json!({ "hour": first.hour.to_string(), "message": first.reason }),
        None => Json::Null,
    };
    Ok(single(hours.len() as f64, context))
}

/// How many hours cannot be read.
pub(super) fn unreadable_hours(sources: &Sources) -> Result<u64, MonitorError> {
    Ok(archive::unreadable_hours(sources.warehouse.as_ref())?.len() as u64)
}
