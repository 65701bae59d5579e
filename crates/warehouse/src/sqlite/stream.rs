//! The stream processor's transaction on SQLite.

use std::path::PathBuf;

use adpipe_event::{EventBatch, Millis};
use adpipe_sql::section;
use adpipe_sql::trouble::Trouble;
use rusqlite::{CachedStatement, Connection, params};

use super::STREAM_SQL;
use super::session::SqliteTransaction;
use crate::order::sorted_by_key;
use crate::row_sum::offset_sum;
use crate::{
    ArchivedHour, Commit, Inserted, MetricRow, Replay, StreamTransaction, StreamWriter, Table, Transaction,
    Value, WarehouseError, archive,
};

const CLAIM: &str = section(STREAM_SQL, "claim");
const INSERT_EVENT: &str = section(STREAM_SQL, "insert_event");
const ADD_MINUTE: &str = section(STREAM_SQL, "add_minute");
const ADD_HOUR: &str = section(STREAM_SQL, "add_hour");
const RECORD_COMMIT: &str = section(STREAM_SQL, "record_commit");
const RECORD_REPLAY: &str = section(STREAM_SQL, "record_replay");

pub(super) struct SqliteWriter {
    pub connection: Connection,
    pub folder: PathBuf,
}

impl StreamWriter for SqliteWriter {
    fn begin(&mut self) -> Result<Box<dyn StreamTransaction + '_>, WarehouseError> {
        Ok(Box::new(SqliteTransaction::begin(&mut self.connection, &self.folder)?))
    }
}

impl SqliteTransaction<'_> {
    fn try_insert_events(&self, events: &EventBatch, except: &[bool]) -> rusqlite::Result<Inserted> {
        let mut insert = self.transaction.prepare_cached(INSERT_EVENT)?;
        let mut inserted = Inserted { is_new: vec![false; events.len()], refused: Vec::new() };
        let ingested_at = Millis::now().to_string();
        let mut hour = TimeText::default();
        let mut time = TimeText::default();
        for index in sorted_by_key(events, except) {
            let outcome = bind_event(&mut insert, events, index, &ingested_at, &mut hour, &mut time)
                .and_then(|()| insert.raw_execute());
            match outcome {
                Ok(rows) => inserted.is_new[index] = rows > 0,
                Err(error) if Trouble::of(&error) == Trouble::Constraint => {
                    inserted.refused.push((index, error.to_string()));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(inserted)
    }

    fn try_add(&self, statement: &str, rows: &[MetricRow<'_>]) -> rusqlite::Result<()> {
        let mut add = self.transaction.prepare_cached(statement)?;
        let mut window = TimeText::default();
        for row in rows {
            add.execute(params![
                window.of(row.window_start),
                row.banner_pos,
                row.device_type,
                row.device_conn_type,
                row.site_category,
                row.app_category,
                row.impressions as i64,
                row.clicks as i64,
            ])?;
        }
        Ok(())
    }
}

impl StreamTransaction for SqliteTransaction<'_> {
    fn claim(&mut self, topic: &str, partition: u32, first: u64, next: u64) -> Result<(), WarehouseError> {
        let now = Millis::now().to_string();
        let sum = offset_sum("realtime.offsets", topic, partition, next);
        let params = [
            topic.into(),
            Value::Int(partition.into()),
            Value::Int(first as i64),
            Value::Int(next as i64),
            now.into(),
            sum,
        ];
        match Transaction::execute(self, CLAIM, &params)? {
            0 => Err(WarehouseError::Fenced { topic: topic.to_owned(), partition, expected: first }),
            _ => Ok(()),
        }
    }

    fn archived_hours(&mut self, hours: &[Millis]) -> Result<Vec<ArchivedHour>, WarehouseError> {
        let mut found = Vec::new();
        for hour in hours {
            found.extend(
                Transaction::query(self, archive::HOUR, &[hour.to_string().into()])?
                    .read_first::<ArchivedHour>()?,
            );
        }
        Ok(found)
    }

    fn lock_archive(&mut self) -> Result<(), WarehouseError> {
        // The transaction has had the file's write lock since it began.
        Ok(())
    }

    fn insert_events_except(
        &mut self,
        events: &EventBatch,
        except: &[bool],
    ) -> Result<Inserted, WarehouseError> {
        self.checked(self.try_insert_events(events, except))
    }

    fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64, WarehouseError> {
        Transaction::execute(self, sql, params)
    }

    fn query(&mut self, sql: &str, params: &[Value]) -> Result<Table, WarehouseError> {
        Transaction::query(self, sql, params)
    }

    fn add_metrics(
        &mut self,
        minutes: &[MetricRow<'_>],
        hours: &[MetricRow<'_>],
    ) -> Result<(), WarehouseError> {
        self.checked(self.try_add(ADD_MINUTE, minutes))?;
        self.checked(self.try_add(ADD_HOUR, hours))
    }

    fn record(&mut self, commits: &[Commit]) -> Result<(), WarehouseError> {
        commits
            .iter()
            .try_for_each(|commit| Transaction::execute(self, RECORD_COMMIT, &commit.row()).map(drop))
    }

    fn record_replays(&mut self, replays: &[Replay]) -> Result<(), WarehouseError> {
        let now = Millis::now();
        replays
            .iter()
            .try_for_each(|replay| Transaction::execute(self, RECORD_REPLAY, &replay.row(now)).map(drop))
    }

    fn commit(self: Box<Self>) -> Result<(), WarehouseError> {
        Transaction::commit(self)
    }
}

/// Remembers the text of the last time, as neighbours often share it.
#[derive(Default)]
struct TimeText {
    time: Option<Millis>,
    text: String,
}

impl TimeText {
    fn of(&mut self, time: Millis) -> &str {
        if self.time != Some(time) {
            self.text.clear();
            time.write_sql(&mut self.text);
            self.time = Some(time);
        }
        &self.text
    }
}

fn bind_event(
    insert: &mut CachedStatement<'_>,
    events: &EventBatch,
    index: usize,
    ingested_at: &str,
    hour: &mut TimeText,
    time: &mut TimeText,
) -> rusqlite::Result<()> {
    let event = events.event(index);
    insert.raw_bind_parameter(1, hour.of(event.event_time.floor_hour()))?;
    insert.raw_bind_parameter(2, event.id)?;
    insert.raw_bind_parameter(3, time.of(event.event_time))?;
    insert.raw_bind_parameter(4, event.click)?;
    insert.raw_bind_parameter(5, event.banner_pos)?;
    insert.raw_bind_parameter(6, event.device_type)?;
    insert.raw_bind_parameter(7, event.device_conn_type)?;
    for (position, text) in event.texts.iter().enumerate() {
        insert.raw_bind_parameter(8 + position, text)?;
    }
    for (position, number) in event.ints.iter().enumerate() {
        insert.raw_bind_parameter(17 + position, number)?;
    }
    insert.raw_bind_parameter(26, ingested_at)
}
