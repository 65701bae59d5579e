//! What is in the archive, by day, and what is still hot.

use adpipe_sql::section;
use adpipe_warehouse::{Value, Warehouse, WarehouseError, query_table};
use serde::Serialize;

use crate::answer::{count, text, time};

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

/// The archive's list.
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

/// Reads it.
pub(super) fn archive(warehouse: &dyn Warehouse) -> Result<Archive, WarehouseError> {
    let snapshot = warehouse.snapshot()?;
    let warehouse = snapshot.as_ref();
    let mut totals = [Sums::default(); SOURCES.len()];
    for row in query_table(warehouse, TOTALS, &[])?.rows {
        put(&mut totals, &row[0], &row[1..]);
    }
    let mut days: Vec<Day> = Vec::new();
    for row in query_table(warehouse, DAYS, &[Value::Int(MOST_DAYS)])?.rows {
        let date = text(&row[0]);
        if days.last().is_none_or(|last| last.date != date) {
            days.push(Day { date, sums: [Sums::default(); SOURCES.len()] });
        }
        if let Some(day) = days.last_mut() {
            put(&mut day.sums, &row[1], &row[2..]);
        }
    }
    let day_count = query_table(warehouse, DAY_COUNT, &[])?.rows.first().map_or(0, |row| count(&row[0]));
    let hours = query_table(warehouse, HOT_HOURS, &[Value::Int(MOST_HOURS)])?.rows;
    let hour = |index: usize| hours.first().map(|row| &row[index]);
    let hot = Hot {
        hours: hour(0).map_or(0, count),
        oldest: hour(1).and_then(time),
        newest: hour(2).and_then(time),
        not_archived: hour(3).map_or(0, count),
        oldest_not_archived: hour(4).and_then(time),
    };
    Ok(Archive { sources: SOURCES, totals, day_count, days, hot })
}

fn put(sums: &mut [Sums; SOURCES.len()], source: &Value, row: &[Value]) {
    let Some(place) = SOURCES.iter().position(|known| source.as_str() == Some(known)) else { return };
    sums[place] =
        Sums { parts: count(&row[0]), rows: count(&row[1]), clicks: count(&row[2]), bytes: count(&row[3]) };
}
