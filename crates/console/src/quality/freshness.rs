//! How fresh the sources of the dbt project are.
//!
//! The thresholds are those of its `_sources.yml`. Here the newest commit shows when events were last
//! stored: dbt's `max(ingested_at)` would read every event there is.

use adpipe_event::Millis;
use adpipe_sql::section;
use adpipe_warehouse::{Warehouse, WarehouseError, query_table};
use serde::Serialize;

use crate::answer::time;

const SQL: &str = include_str!("../../sql/quality.sql");
const NEWEST_COMMIT: &str = section(SQL, "newest_commit");

const DAY_MS: i64 = 86_400_000;

/// By which time a source is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Judged {
    /// When its rows were stored.
    Committed,
    /// When the events took place.
    EventTime,
}

/// A table, the statement for its newest event time, and what is expected of it.
struct Expected {
    table: &'static str,
    newest: &'static str,
    judged: Judged,
    warn_after: i64,
    /// You may be working on data of 2014: then old event times are not an error.
    error_after: Option<i64>,
}

const SOURCES: [Expected; 3] = [
    Expected {
        table: "realtime.events",
        newest: section(SQL, "newest_event_hour"),
        judged: Judged::Committed,
        warn_after: DAY_MS,
        error_after: Some(7 * DAY_MS),
    },
    Expected {
        table: "realtime.metrics",
        newest: section(SQL, "newest_minute"),
        judged: Judged::EventTime,
        warn_after: DAY_MS,
        error_after: None,
    },
    Expected {
        table: "realtime.metrics_hourly",
        newest: section(SQL, "newest_hour"),
        judged: Judged::EventTime,
        warn_after: DAY_MS,
        error_after: None,
    },
];

/// A source and what was found. Times and spans are in ms.
#[derive(Debug, Serialize)]
pub(super) struct Source {
    table: &'static str,
    /// Start of the newest hour or minute of event time.
    newest_event: Option<i64>,
    /// When it was last added to.
    newest_commit: Option<i64>,
    judged: Judged,
    warn_after: i64,
    error_after: Option<i64>,
    /// `empty`, `pass`, `warn` or `error`.
    state: &'static str,
}

/// Looks at the sources of `warehouse`.
pub(super) fn sources(warehouse: &dyn Warehouse, now: Millis) -> Result<Vec<Source>, WarehouseError> {
    let newest = |sql: &str| -> Result<Option<i64>, WarehouseError> {
        query_table(warehouse, sql, &[])?.first().map_or(Ok(None), |row| time(&row, "newest"))
    };
    let newest_commit = newest(NEWEST_COMMIT)?;
    let source = |expected: &Expected| {
        let newest_event = newest(expected.newest)?;
        Ok(Source {
            table: expected.table,
            newest_event,
            newest_commit: newest_event.and(newest_commit),
            judged: expected.judged,
            warn_after: expected.warn_after,
            error_after: expected.error_after,
            state: state(expected, newest_event, newest_commit, now),
        })
    };
    SOURCES.iter().map(source).collect()
}

fn state(expected: &Expected, event: Option<i64>, commit: Option<i64>, now: Millis) -> &'static str {
    let judged = match expected.judged {
        Judged::Committed => event.and(commit),
        Judged::EventTime => event,
    };
    let Some(newest) = judged else { return "empty" };
    let age = now.0 - newest;
    match age {
        _ if expected.error_after.is_some_and(|after| age > after) => "error",
        _ if age > expected.warn_after => "warn",
        _ => "pass",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_age() {
        let now = Millis(1_000 * DAY_MS);
        let ago = |days: i64| Some(now.0 - days * DAY_MS);
        let [events, minutes, _] = &SOURCES;
        for (expected, event, commit, found) in [
            (events, ago(4_000), ago(0), "pass"),
            (events, ago(0), ago(1), "pass"),
            (events, ago(0), ago(2), "warn"),
            (events, ago(0), ago(8), "error"),
            (events, None, ago(8), "empty"),
            (events, ago(0), None, "empty"),
            (minutes, ago(4_000), ago(0), "warn"),
            (minutes, ago(0), None, "pass"),
            (minutes, None, None, "empty"),
        ] {
            assert_eq!(state(expected, event, commit, now), found, "{event:?} {commit:?}");
        }
    }
}
