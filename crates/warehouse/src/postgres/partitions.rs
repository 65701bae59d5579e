//! The days of `realtime.events`: made ahead or on demand, dropped only when archived.

use std::collections::HashSet;

use adpipe_event::Millis;
use adpipe_sql::section;
use postgres::{Client, Error};

use super::connect::{Purpose, connect};
use super::failure::failure;
use super::settings::PostgresSettings;
use super::wire::Time;
use crate::row_sum::added_part;
use crate::{RetentionPolicy, WarehouseError};

const PARTITIONS_SQL: &str = include_str!("../../sql/postgres/partitions.sql");
const LOCK: &str = section(PARTITIONS_SQL, "lock");
const MAKE_DAY: &str = section(PARTITIONS_SQL, "make_day");
const DAY_EXISTS: &str = section(PARTITIONS_SQL, "day_exists");
const LOCK_DAY: &str = section(PARTITIONS_SQL, "lock_day");
const COUNT_DAY: &str = section(PARTITIONS_SQL, "count_day");
const DROP_DAY: &str = section(PARTITIONS_SQL, "drop_day");
const NEWEST_HOUR: &str = section(PARTITIONS_SQL, "newest_hour");
const LEAVING_DAYS: &str = section(PARTITIONS_SQL, "leaving_days");
const COPIES_OF_DAY: &str = section(PARTITIONS_SQL, "copies_of_day");
const FORGET_COPIES: &str = section(PARTITIONS_SQL, "forget_copies");

const STREAM_SQL: &str = include_str!("../../sql/postgres/stream.sql");
const LOCK_ARCHIVE: &str = section(STREAM_SQL, "lock_archive");

const DAY_MS: i64 = 24 * 3_600_000;

/// A day of event time (UTC).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Day(i64);

impl Day {
    pub fn of(time: Millis) -> Day {
        Day(time.0.div_euclid(DAY_MS))
    }

    fn start(self) -> Millis {
        Millis(self.0 * DAY_MS)
    }

    /// `events_20141021`.
    fn table(self) -> String {
        let date = self.start().to_string();
        format!("events_{}", date.split(' ').next().unwrap_or_default().replace('-', ""))
    }

    fn fill(self, sql: &str) -> String {
        let (from, to) = (self.start().to_string(), Day(self.0 + 1).start().to_string());
        sql.replace("{table}", &self.table()).replace("{from}", &from).replace("{to}", &to)
    }
}

/// Remembers which days have a partition, so that they are not looked up for each batch. A day dropped
/// in the meantime fails the batch, and the next writer starts without this knowledge.
#[derive(Default)]
pub(super) struct KnownDays {
    days: HashSet<Day>,
}

impl KnownDays {
    /// Makes the partitions that are missing, on a separate connection: they must be visible to all
    /// writers at once, whatever becomes of the batch that needs them.
    pub fn ensure(
        &mut self,
        settings: &PostgresSettings,
        days: impl Iterator<Item = Day>,
    ) -> Result<(), WarehouseError> {
        let mut missing: Vec<Day> = days.filter(|day| !self.days.contains(day)).collect();
        missing.sort_unstable();
        missing.dedup();
        if missing.is_empty() {
            return Ok(());
        }
        let mut client = connect(settings, Purpose::Writing)?;
        make(&mut client, &missing).map_err(|error| failure(settings.location(), &error))?;
        self.days.extend(missing);
        Ok(())
    }
}

/// Makes the partitions of today and tomorrow, so that midnight does not block writers.
pub(super) fn make_ahead(client: &mut Client) -> Result<(), Error> {
    let today = Day::of(Millis::now());
    make(client, &[today, Day(today.0 + 1)])
}

fn make(client: &mut Client, days: &[Day]) -> Result<(), Error> {
    let mut missing = Vec::new();
    for day in days {
        let exists: bool = client.query_one(DAY_EXISTS, &[&day.table()])?.try_get(0)?;
        if !exists {
            missing.push(*day);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let mut transaction = client.transaction()?;
    transaction.execute(LOCK, &[])?;
    for day in missing {
        transaction.batch_execute(&day.fill(MAKE_DAY))?;
    }
    transaction.commit()
}

/// Drops the days that the hot window has left behind and whose events the archive has all.
/// Gives the number of events.
pub(super) fn drop_archived_days(
    settings: &PostgresSettings,
    client: &mut Client,
    policy: RetentionPolicy,
) -> Result<u64, WarehouseError> {
    let fail = |error: Error| failure(settings.location(), &error);
    let newest: Option<Time> =
        client.query_one(NEWEST_HOUR, &[]).and_then(|row| row.try_get(0)).map_err(fail)?;
    let Some(newest) = newest else { return Ok(0) };
    let kept_since = Day::of(Millis(newest.0.0 - policy.events.as_millis() as i64));
    let mut dropped = 0;
    for row in client.query(LEAVING_DAYS, &[&Time(kept_since.start())]).map_err(fail)? {
        let day: Time = row.try_get(0).map_err(fail)?;
        match drop_day(settings, Day::of(day.0)) {
            Ok(rows) => dropped += rows.unwrap_or(0),
            // An event came in meanwhile: the day stays until that one is archived, too.
            Err(WarehouseError::Statement(reason)) => tracing::debug!(reason, "a day is kept"),
            Err(error) => return Err(error),
        }
    }
    Ok(dropped)
}

/// Drops a day whose events are all archived; none when there is no such day.
pub(super) fn drop_day(settings: &PostgresSettings, day: Day) -> Result<Option<u64>, WarehouseError> {
    let fail = |error: Error| failure(settings.location(), &error);
    let mut client = connect(settings, Purpose::Writing)?;
    let mut transaction = client.transaction().map_err(fail)?;
    // A writer that has checked whether it needs the archive's ids is done before the day is dropped.
    transaction.execute(LOCK_ARCHIVE, &[]).map_err(fail)?;
    transaction.execute(LOCK, &[]).map_err(fail)?;
    let exists: bool =
        transaction.query_one(DAY_EXISTS, &[&day.table()]).and_then(|row| row.try_get(0)).map_err(fail)?;
    if !exists {
        return Ok(None);
    }
    transaction.batch_execute(&day.fill(LOCK_DAY)).map_err(fail)?;
    let rows: i64 =
        transaction.query_one(&day.fill(COUNT_DAY), &[]).and_then(|row| row.try_get(0)).map_err(fail)?;
    let (from, to) = (Time(day.start()), Time(Day(day.0 + 1).start()));
    let archived: i64 =
        transaction.query_one(COPIES_OF_DAY, &[&from, &to]).and_then(|row| row.try_get(0)).map_err(fail)?;
    if rows != archived {
        return Err(WarehouseError::Statement(format!(
            "realtime.{} has {rows} rows and {archived} of them are archived; archive the others first",
            day.table()
        )));
    }
    transaction.execute(FORGET_COPIES, &[&from, &to, &added_part(&[0, 0, 0, 1])]).map_err(fail)?;
    transaction.batch_execute(&day.fill(DROP_DAY)).map_err(fail)?;
    transaction.commit().map_err(fail)?;
    Ok(Some(rows as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_named_by_its_date() {
        let day = Day::of(Millis::parse_sql("2014-10-21 23:59:59").unwrap());
        assert_eq!(day.table(), "events_20141021");
        let sql = day.fill(MAKE_DAY);
        assert!(sql.contains("from ('2014-10-21 00:00:00+00') to ('2014-10-22 00:00:00+00')"), "{sql}");
    }
}
