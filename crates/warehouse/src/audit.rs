//! What `adpipe verify` asks the warehouse: every table against the others.

use adpipe_event::Millis;
use adpipe_sql::section;

use crate::report::Ctr;
use crate::{Counts, Dialect, FromRow, Row, Value, WarehouseError, WarehouseRead, query_as, query_table};

const AUDIT_SQL: &str = include_str!("../sql/report/audit.sql");
const COMMITS: &str = section(AUDIT_SQL, "commits");
const OFFSET_PLACES: &str = section(AUDIT_SQL, "offset_places");
const ACCOUNT_BETWEEN: &str = section(AUDIT_SQL, "account_between");
const EVENTS_TOTAL: &str = section(AUDIT_SQL, "events_total");
const HOURLY_TOTAL: &str = section(AUDIT_SQL, "hourly_total");
const EVENTS_AGAINST_HOURS: &str = section(AUDIT_SQL, "events_against_hours");

const SUMS_SQL: &str = include_str!("../sql/report/sums.sql");
const COUNTS_AGAINST_FIGURES: &str = section(SUMS_SQL, "counts_against_figures");
const GROUPS_AGAINST_ERRORS: &str = section(SUMS_SQL, "groups_against_errors");
const ERRORS_WITHOUT_GROUP: &str = section(SUMS_SQL, "errors_without_group");

const ARCHIVE_SQL: &str = include_str!("../sql/report/archive.sql");
const PARTS_AGAINST_HOURS: &str = section(ARCHIVE_SQL, "parts_against_hours");
const PARTS_AGAINST_THEIR_HOURS: &str = section(ARCHIVE_SQL, "parts_against_their_hours");
const ARCHIVED_HOURS_AGAINST_FIGURES: &str = section(ARCHIVE_SQL, "archived_hours_against_figures");

const SQLITE_AUDIT_SQL: &str = include_str!("../sql/sqlite/audit.sql");
const SQLITE_MINUTES: &str = section(SQLITE_AUDIT_SQL, "minutes_against_hours");
const SQLITE_FIVE_MINUTES: &str = section(SQLITE_AUDIT_SQL, "five_minutes_against_minutes");

const POSTGRES_AUDIT_SQL: &str = include_str!("../sql/postgres/audit.sql");
const POSTGRES_MINUTES: &str = section(POSTGRES_AUDIT_SQL, "minutes_against_hours");
const POSTGRES_FIVE_MINUTES: &str = section(POSTGRES_AUDIT_SQL, "five_minutes_against_minutes");

/// One row of the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitRow {
    /// Topic name.
    pub topic: String,
    /// Partition number.
    pub partition: u32,
    /// First offset.
    pub first_offset: u64,
    /// Offset after the last.
    pub next_offset: u64,
    /// Records, as recorded.
    pub records: u64,
    /// Events counted.
    pub valid: u64,
    /// Events counted before.
    pub duplicates: u64,
    /// Invalid records.
    pub invalid: u64,
}

/// A place where two tables do not agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disagreement {
    /// Start of the window.
    pub window_start: String,
    /// Figures of the one table.
    pub left: Ctr,
    /// Figures of the other.
    pub right: Ctr,
}

/// The whole account, by topic, partition and offset.
pub fn commits(warehouse: &dyn WarehouseRead) -> Result<Vec<CommitRow>, WarehouseError> {
    query_as(warehouse, COMMITS, &[])
}

impl FromRow for CommitRow {
    fn from_row(row: &Row<'_>) -> Result<CommitRow, WarehouseError> {
        Ok(CommitRow {
            topic: row.get("topic")?,
            partition: row.get("partition")?,
            first_offset: row.get("first_offset")?,
            next_offset: row.get("next_offset")?,
            records: row.get("records")?,
            valid: row.get("valid")?,
            duplicates: row.get("duplicates")?,
            invalid: row.get("invalid")?,
        })
    }
}

/// Topic and partition of every stored offset.
pub fn offset_places(warehouse: &dyn WarehouseRead) -> Result<Vec<(String, u32)>, WarehouseError> {
    let table = query_table(warehouse, OFFSET_PLACES, &[])?;
    table.iter().map(|row| Ok((row.get("topic")?, row.get("partition")?))).collect()
}

/// The account of the commits that touch the offsets `first..next` of a partition.
pub fn account_between(
    warehouse: &dyn WarehouseRead,
    topic: &str,
    partition: u32,
    first: u64,
    next: u64,
) -> Result<Counts, WarehouseError> {
    let parameters: [Value; 4] =
        [topic.into(), i64::from(partition).into(), (first as i64).into(), (next as i64).into()];
    Counts::from_row(&query_table(warehouse, ACCOUNT_BETWEEN, &parameters)?.one()?)
}

/// All of `realtime.events`.
pub fn events_total(warehouse: &dyn WarehouseRead) -> Result<Ctr, WarehouseError> {
    total(warehouse, EVENTS_TOTAL)
}

/// All of `realtime.metrics_hourly`.
pub fn hourly_total(warehouse: &dyn WarehouseRead) -> Result<Ctr, WarehouseError> {
    total(warehouse, HOURLY_TOTAL)
}

fn total(warehouse: &dyn WarehouseRead, sql: &str) -> Result<Ctr, WarehouseError> {
    Ctr::from_row(&query_table(warehouse, sql, &[])?.one()?)
}

/// The first twenty places where `realtime.events` and `realtime.metrics_hourly` do not agree, by
/// every dimension.
pub fn events_against_hours(warehouse: &dyn WarehouseRead) -> Result<Vec<Disagreement>, WarehouseError> {
    disagreements(warehouse, EVENTS_AGAINST_HOURS, &[])
}

/// The first twenty hours that begin at or after `since` and where `realtime.metrics` and
/// `realtime.metrics_hourly` do not agree.
pub fn minutes_against_hours(
    warehouse: &dyn WarehouseRead,
    since: Millis,
) -> Result<Vec<Disagreement>, WarehouseError> {
    let sql = match warehouse.dialect() {
        Dialect::Sqlite => SQLITE_MINUTES,
        Dialect::Postgres => POSTGRES_MINUTES,
    };
    disagreements(warehouse, sql, &[since.to_string().into()])
}

/// The first twenty 5-minute windows where `realtime.metrics_5m` and `realtime.metrics` do not agree.
pub fn five_minutes_against_minutes(
    warehouse: &dyn WarehouseRead,
) -> Result<Vec<Disagreement>, WarehouseError> {
    let sql = match warehouse.dialect() {
        Dialect::Sqlite => SQLITE_FIVE_MINUTES,
        Dialect::Postgres => POSTGRES_FIVE_MINUTES,
    };
    disagreements(warehouse, sql, &[])
}

/// The first twenty hours where the archive's list and its parts' own figures do not agree.
pub fn parts_against_hours(warehouse: &dyn WarehouseRead) -> Result<Vec<Disagreement>, WarehouseError> {
    disagreements(warehouse, PARTS_AGAINST_HOURS, &[])
}

/// The first twenty hours where `realtime.content_sums` has counted other events than the figures.
pub fn counts_against_figures(warehouse: &dyn WarehouseRead) -> Result<Vec<Disagreement>, WarehouseError> {
    disagreements(warehouse, COUNTS_AGAINST_FIGURES, &[])
}

/// The first causes of the dead-letter queue whose counts are not those of its errors, and the first
/// errors without a cause, in words.
pub fn groups_against_errors(warehouse: &dyn WarehouseRead) -> Result<Vec<String>, WarehouseError> {
    let mut gaps = Vec::new();
    for row in query_table(warehouse, GROUPS_AGAINST_ERRORS, &[])?.iter() {
        // Shown as stored: what does not agree may be damaged.
        let shown = |name| row.get::<&Value>(name);
        gaps.push(format!(
            "cause {}: {} errors {}, there are {}",
            shown("fingerprint")?,
            shown("counted")?,
            shown("status")?,
            shown("errors")?
        ));
    }
    for row in query_table(warehouse, ERRORS_WITHOUT_GROUP, &[])?.iter() {
        gaps.push(format!("error {} has no cause", row.get::<&Value>("error_id")?));
    }
    Ok(gaps)
}

/// The first twenty parts whose rows are not those of their hours.
pub fn parts_against_their_hours(warehouse: &dyn WarehouseRead) -> Result<Vec<Disagreement>, WarehouseError> {
    disagreements(warehouse, PARTS_AGAINST_THEIR_HOURS, &[])
}

/// The first twenty hours of which something is archived and where archive and hot events together
/// are not what the hourly figures say.
pub fn archived_hours_against_figures(
    warehouse: &dyn WarehouseRead,
) -> Result<Vec<Disagreement>, WarehouseError> {
    disagreements(warehouse, ARCHIVED_HOURS_AGAINST_FIGURES, &[])
}

fn disagreements(
    warehouse: &dyn WarehouseRead,
    sql: &str,
    params: &[Value],
) -> Result<Vec<Disagreement>, WarehouseError> {
    query_as(warehouse, sql, params)
}

impl FromRow for Disagreement {
    fn from_row(row: &Row<'_>) -> Result<Disagreement, WarehouseError> {
        let window_start = row.get::<&Value>("place")?.to_string();
        let (left_impressions, right_impressions) =
            (row.get("left_impressions")?, row.get("right_impressions")?);
        let (left_clicks, right_clicks) = (row.get("left_clicks")?, row.get("right_clicks")?);
        Ok(Disagreement {
            window_start,
            left: Ctr { impressions: left_impressions, clicks: left_clicks },
            right: Ctr { impressions: right_impressions, clicks: right_clicks },
        })
    }
}
