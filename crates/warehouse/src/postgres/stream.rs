//! The stream processor's transaction on PostgreSQL.
//!
//! Order within it: claim, the archive's lock, events, minutes, hours, account. Every writer keeps to it and sorts
//! its rows by key, so two writers that meet wait for each other instead of deadlocking.

use adpipe_event::{EventBatch, Millis};
use adpipe_sql::section;
use postgres::types::ToSql;
use postgres::{Client, Error, Statement, Transaction};

use super::failure::failure;
use super::id_sets::IdSets;
use super::insert::Inserter;
use super::partitions::{Day, KnownDays};
use super::query::table;
use super::session::Prepared;
use super::settings::PostgresSettings;
use super::statements::Statements;
use super::wire::Time;
use crate::order::sorted_by_key;
use crate::row_sum::offset_sum;
use crate::{
    ArchivedHour, Commit, Inserted, MetricRow, Replay, StreamTransaction, StreamWriter, Table, Value,
    WarehouseError,
};

const STREAM_SQL: &str = include_str!("../../sql/postgres/stream.sql");
const RECORD_COMMIT: &str = section(STREAM_SQL, "record_commit");
const RECORD_REPLAY: &str = section(STREAM_SQL, "record_replay");

pub(super) struct PostgresWriter {
    pub client: Client,
    pub statements: Statements,
    pub settings: PostgresSettings,
    pub ids: IdSets,
    pub days: KnownDays,
    pub prepared: Prepared,
}

fn over() -> WarehouseError {
    WarehouseError::Statement("the transaction has ended; please report this".to_owned())
}

impl StreamWriter for PostgresWriter {
    fn begin(&mut self) -> Result<Box<dyn StreamTransaction + '_>, WarehouseError> {
        let settings = &self.settings;
        let transaction = self.client.transaction().map_err(|error| failure(settings.location(), &error))?;
        Ok(Box::new(PostgresTransaction {
            transaction: Some(transaction),
            statements: &self.statements,
            settings,
            ids: &mut self.ids,
            days: &mut self.days,
            prepared: &mut self.prepared,
        }))
    }
}

struct PostgresTransaction<'w> {
    /// None once it is committed.
    transaction: Option<Transaction<'w>>,
    statements: &'w Statements,
    settings: &'w PostgresSettings,
    ids: &'w mut IdSets,
    days: &'w mut KnownDays,
    prepared: &'w mut Prepared,
}

impl Drop for PostgresTransaction<'_> {
    fn drop(&mut self) {
        // Undone (or perhaps not: a commit whose answer was lost): what was learned from it is
        // void. It is read from the table again.
        if self.transaction.is_some() {
            self.ids.clear();
        }
    }
}

impl<'w> PostgresTransaction<'w> {
    fn checked<T>(&self, result: Result<T, Error>) -> Result<T, WarehouseError> {
        result.map_err(|error| failure(self.settings.location(), &error))
    }

    fn open(&mut self) -> Result<&mut Transaction<'w>, WarehouseError> {
        self.transaction.as_mut().ok_or_else(over)
    }

    fn run(
        &mut self,
        pick: fn(&Statements) -> &Statement,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, WarehouseError> {
        let statement = pick(self.statements);
        let result = self.open()?.execute(statement, params);
        self.checked(result)
    }

    /// Loads the ids of an hour that is touched for the first time.
    fn know(&mut self, hour: Millis) -> Result<bool, WarehouseError> {
        if self.ids.knows(hour) {
            return Ok(true);
        }
        let Some(room) = self.ids.room_for(hour) else { return Ok(false) };
        let statement = &self.statements.ids_of_hour;
        let limit = room as i64 + 1;
        let rows = self.open()?.query(statement, &[&Time(hour), &limit]);
        let rows = self.checked(rows)?;
        let fits = rows.len() <= room;
        self.ids.load(hour, fits.then(|| rows.iter().map(|row| row.get::<_, &str>(0))));
        Ok(fits)
    }

    /// Inserts the events at `order`, which is sorted by key.
    fn insert_sorted(&mut self, events: &EventBatch, order: &[usize]) -> Result<Inserted, WarehouseError> {
        let mut believed_new = Vec::with_capacity(order.len());
        let mut unknown = Vec::new();
        let mut last: Option<(Millis, &str)> = None;
        let mut hour_is_known = false;
        for index in order {
            let (hour, id) = (events.event_time(*index).floor_hour(), events.id(*index));
            if last.is_none_or(|(last_hour, _)| last_hour != hour) {
                hour_is_known = self.know(hour)?;
            }
            let is_repeated = last == Some((hour, id));
            last = Some((hour, id));
            if is_repeated || self.ids.contains(hour, id) {
                continue;
            }
            if hour_is_known { &mut believed_new } else { &mut unknown }.push(*index);
        }
        let mut inserter = Inserter {
            statements: self.statements,
            events,
            ingested_at: Millis::now(),
            is_new: vec![false; events.len()],
            refused: Vec::new(),
            met_conflict: false,
        };
        let transaction = self.open()?;
        let outcome = inserter
            .insert(transaction, &believed_new)
            .and_then(|()| inserter.insert_by_key(transaction, &unknown));
        let Inserter { is_new, refused, met_conflict, .. } = inserter;
        self.checked(outcome)?;
        self.learn(events, &believed_new, &is_new, met_conflict);
        Ok(Inserted { is_new, refused })
    }

    /// Notes what is new. Void unless the transaction commits; see `drop`.
    fn learn(&mut self, events: &EventBatch, rows: &[usize], is_new: &[bool], met_conflict: bool) {
        for row in rows {
            let hour = events.event_time(*row).floor_hour();
            if met_conflict {
                // Another process writes to these hours: what we know about them is out of date.
                self.ids.forget(hour);
            } else if is_new[*row] {
                self.ids.insert(hour, events.id(*row));
            }
        }
    }

    fn add(
        &mut self,
        pick: fn(&Statements) -> &Statement,
        rows: &[MetricRow<'_>],
    ) -> Result<(), WarehouseError> {
        if rows.is_empty() {
            return Ok(());
        }
        fn column<'r, 'a, T>(rows: &'r [MetricRow<'a>], value: impl Fn(&'r MetricRow<'a>) -> T) -> Vec<T> {
            rows.iter().map(value).collect()
        }
        let windows = column(rows, |row| Time(row.window_start));
        let banners = column(rows, |row| i16::from(row.banner_pos));
        let devices = column(rows, |row| i16::from(row.device_type));
        let connections = column(rows, |row| i16::from(row.device_conn_type));
        let sites = column(rows, |row| row.site_category);
        let apps = column(rows, |row| row.app_category);
        let impressions = column(rows, |row| row.impressions as i64);
        let clicks = column(rows, |row| row.clicks as i64);
        self.run(pick, &[&windows, &banners, &devices, &connections, &sites, &apps, &impressions, &clicks])?;
        Ok(())
    }
}

impl StreamTransaction for PostgresTransaction<'_> {
    fn claim(&mut self, topic: &str, partition: u32, first: u64, next: u64) -> Result<(), WarehouseError> {
        let now = Time(Millis::now());
        let sum = offset_sum("realtime.offsets", topic, partition, next).as_i64();
        let params: [&(dyn ToSql + Sync); 6] =
            [&topic, &(partition as i32), &(first as i64), &(next as i64), &now, &sum];
        match self.run(|statements| &statements.claim, &params)? {
            0 => Err(WarehouseError::Fenced { topic: topic.to_owned(), partition, expected: first }),
            _ => Ok(()),
        }
    }

    fn archived_hours(&mut self, hours: &[Millis]) -> Result<Vec<ArchivedHour>, WarehouseError> {
        self.run(|statements| &statements.share_archive, &[])?;
        let wanted: Vec<Time> = hours.iter().map(|hour| Time(*hour)).collect();
        let statement = &self.statements.archived_hours;
        let found = self.open()?.query(statement, &[&wanted]).and_then(|rows| table(&rows));
        self.checked(found)?.read()
    }

    fn lock_archive(&mut self) -> Result<(), WarehouseError> {
        self.run(|statements| &statements.lock_archive, &[]).map(drop)
    }

    fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64, WarehouseError> {
        let Some(transaction) = self.transaction.as_mut() else { return Err(over()) };
        self.prepared.execute(transaction, self.settings.location(), sql, params)
    }

    fn query(&mut self, sql: &str, params: &[Value]) -> Result<Table, WarehouseError> {
        let Some(transaction) = self.transaction.as_mut() else { return Err(over()) };
        self.prepared.query(transaction, self.settings.location(), sql, params)
    }

    fn insert_events_except(
        &mut self,
        events: &EventBatch,
        except: &[bool],
    ) -> Result<Inserted, WarehouseError> {
        if events.is_empty() {
            return Ok(Inserted::default());
        }
        self.ids.start_batch();
        let order = sorted_by_key(events, except);
        self.days.ensure(self.settings, order.iter().map(|index| Day::of(events.event_time(*index))))?;
        self.insert_sorted(events, &order)
    }

    fn add_metrics(
        &mut self,
        minutes: &[MetricRow<'_>],
        hours: &[MetricRow<'_>],
    ) -> Result<(), WarehouseError> {
        self.add(|statements| &statements.add_minutes, minutes)?;
        self.add(|statements| &statements.add_hours, hours)
    }

    fn record(&mut self, commits: &[Commit]) -> Result<(), WarehouseError> {
        commits.iter().try_for_each(|commit| self.execute(RECORD_COMMIT, &commit.row()).map(drop))
    }

    fn record_replays(&mut self, replays: &[Replay]) -> Result<(), WarehouseError> {
        let now = Millis::now();
        replays.iter().try_for_each(|replay| self.execute(RECORD_REPLAY, &replay.row(now)).map(drop))
    }

    fn commit(mut self: Box<Self>) -> Result<(), WarehouseError> {
        let Some(transaction) = self.transaction.take() else { return Ok(()) };
        let result = transaction.commit();
        if result.is_err() {
            self.ids.clear();
        }
        self.checked(result)
    }
}
