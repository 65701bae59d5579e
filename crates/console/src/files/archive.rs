//! What is in the archive, by day, and what is still hot.

use adpipe_sql::section;
use adpipe_warehouse::{Row, Value, Warehouse, WarehouseError, query_table};
use serde::Serialize;

use crate::answer::time;

const SQL: &str = include_str!("../../sql/files.sql");
const TOTALS: &str = section(SQL, "archive_totals");
const DAYS: &str = section(SQL, "archive_days");
const DAY_COUNT: &str = section(SQL, "archive_day_count");
const HOT_HOURS: &str = section(SQL, "hot_hours");

/// Days that are shown.
const MOST_DAYS: i64 = 92;

/// Hours that are looked for: more than a hot window has, however many stray ones there are.
const MOST_HOURS: i64 = 2_000;

/// Where an archived file's events came from, in the order of every list here.
const SOURCES: [&str; 3] = ["file", "stream", "merged"];

#[derive(Debug, Serialize)]
pub(super) struct Archive {
    sources: [&'static str; SOURCES.len()],
    /// By source.
    totals: [Sums; SOURCES.len()],
    /// How many days there are; the list may hold fewer.
    day_count: u64,
    /// The newest first.
    days: Vec<Day>,
    hot: Hot,
}

/// Sums over Parquet files.
#[derive(Debug, Default, Clone, Copy, Serialize)]
struct Sums {
    parts: u64,
    rows: u64,
    clicks: u64,
    bytes: u64,
}

#[derive(Debug, Serialize)]
struct Day {
    /// YYYY-MM-DD.
    date: String,
    /// By source.
    sums: [Sums; SOURCES.len()],
}

/// Hours of `realtime.events`. Times are ms since the Unix epoch.
#[derive(Debug, Serialize)]
struct Hot {
    hours: u64,
    oldest: Option<i64>,
    newest: Option<i64>,
    /// Of which nothing is in the archive yet.
    not_archived: u64,
    oldest_not_archived: Option<i64>,
}

pub(super) fn archive(warehouse: &dyn Warehouse) -> Result<Archive, WarehouseError> {
    let snapshot = warehouse.snapshot()?;
    let warehouse = snapshot.as_ref();
    let mut totals = [Sums::default(); SOURCES.len()];
    for row in query_table(warehouse, TOTALS, &[])?.iter() {
        put(&mut totals, &row)?;
    }
    let mut days: Vec<Day> = Vec::new();
    for row in query_table(warehouse, DAYS, &[Value::Int(MOST_DAYS)])?.iter() {
        let date: String = row.get("event_date")?;
        if days.last().is_none_or(|last| last.date != date) {
            days.push(Day { date, sums: [Sums::default(); SOURCES.len()] });
        }
        if let Some(day) = days.last_mut() {
            put(&mut day.sums, &row)?;
        }
    }
    let day_count = query_table(warehouse, DAY_COUNT, &[])?.one()?.get("days")?;
    let hours = query_table(warehouse, HOT_HOURS, &[Value::Int(MOST_HOURS)])?;
    let hours = hours.one()?;
    let hot = Hot {
        hours: hours.get("hours")?,
        oldest: time(&hours, "oldest")?,
        newest: time(&hours, "newest")?,
        not_archived: hours.get("not_archived")?,
        oldest_not_archived: time(&hours, "oldest_not_archived")?,
    };
    Ok(Archive { sources: SOURCES, totals, day_count, days, hot })
}

fn put(sums: &mut [Sums; SOURCES.len()], row: &Row<'_>) -> Result<(), WarehouseError> {
    let known = |name: &str| SOURCES.iter().position(|known| *known == name);
    let place = row.parse("source", "where a part came from", known)?;
    let (parts, rows) = (row.get("parts")?, row.get("events")?);
    sums[place] = Sums { parts, rows, clicks: row.get("clicks")?, bytes: row.get("bytes")? };
    Ok(())
}
