//! Commits segments, one after the other, in the order of the files.
//!
//! Errors first, durable in their topic; then one transaction: check whether events of these hours were
//! added in the meantime, and count those as duplicates; name the parts, raise the hours' versions, add
//! the figures, move the files' accounts on. The position in a file's account is the fence: a commit
//! whose answer was lost is found done, not done twice.

use std::collections::BTreeMap;

use adpipe_counting::windows;
use adpipe_event::{EventBatch, Millis};
use adpipe_log::{ErrorRecord, EventLog, Headers, Records, Topic, error_record, header};
use adpipe_metrics::Metrics;
use adpipe_runtime::Shutdown;
use adpipe_sql::section;
use adpipe_warehouse::{
    Counts, IdKey, IdSet, StreamTransaction, StreamWriter, Value, Warehouse, WarehouseError, added_part,
    added_sum, row_sum,
};
use hashbrown::HashMap;

use crate::archive::{Archive, OfHour, PartFile};
use crate::files::{self, FileRow, FileState, Progress};
use crate::hours::{HOT_IDS, HOUR_NOW};
use crate::identity::Because;
use crate::segment::{ErrorRow, FileStart, Segment};
use crate::{BatchError, retry};

const ARCHIVE_SQL: &str = include_str!("../sql/archive.sql");
const ADD_PART: &str = section(ARCHIVE_SQL, "add_part");
const ADD_PART_HOUR: &str = section(ARCHIVE_SQL, "add_part_hour");
const ADD_TO_HOUR: &str = section(ARCHIVE_SQL, "add_to_hour");
const RAISE_MINUTES_FLOOR: &str = section(ARCHIVE_SQL, "raise_minutes_floor");

/// A file as far as it is committed.
pub(crate) struct Account {
    pub row: FileRow,
    pub because: Because,
    /// What this run took.
    pub counts: Counts,
    /// Of these, records of which only the beginning is kept.
    pub too_long: u64,
    is_stored: bool,
    columns: Option<String>,
}

/// Commits segments.
pub(crate) struct Committer<'a> {
    pub warehouse: &'a dyn Warehouse,
    pub log: &'a dyn EventLog,
    pub archive: &'a Archive,
    pub metrics: &'a Metrics,
    pub shutdown: &'a Shutdown,
    /// Figures by the minute are added from here on only.
    pub minutes_since: Millis,
    pub dry_run: bool,
    writer: Option<Box<dyn StreamWriter>>,
    /// Versions of hours after this run's own commits.
    versions: HashMap<Millis, i64>,
    /// By the file's number.
    pub accounts: HashMap<usize, Account>,
    pub parts: u64,
    pub part_bytes: u64,
}

impl<'a> Committer<'a> {
    pub fn new(
        warehouse: &'a dyn Warehouse,
        log: &'a dyn EventLog,
        archive: &'a Archive,
        metrics: &'a Metrics,
        shutdown: &'a Shutdown,
        minutes_since: Millis,
        dry_run: bool,
    ) -> Committer<'a> {
        Committer {
            warehouse,
            log,
            archive,
            metrics,
            shutdown,
            minutes_since,
            dry_run,
            writer: None,
            versions: HashMap::new(),
            accounts: HashMap::new(),
            parts: 0,
            part_bytes: 0,
        }
    }

    /// Commits a segment, however often it must be tried.
    pub fn commit(&mut self, mut segment: Segment) -> Result<(), BatchError> {
        for (file, delta) in &mut segment.deltas {
            if let Some(start) = delta.start.take() {
                let FileStart { row, because, is_stored, columns, .. } = start;
                let counts = Counts::default();
                let account = Account { row, because, counts, too_long: 0, is_stored, columns };
                self.accounts.insert(*file, account);
            }
        }
        if !self.dry_run {
            self.send_errors(&segment.errors)?;
            segment.publish()?;
            let shutdown = self.shutdown;
            retry::until_written(shutdown, || {
                let tried = self.try_commit(&mut segment);
                if tried.is_err() {
                    self.writer = None;
                }
                tried
            })?;
        }
        self.note(&segment);
        Ok(())
    }

    fn try_commit(&mut self, segment: &mut Segment) -> Result<(), BatchError> {
        let mut writer = match self.writer.take() {
            Some(writer) => writer,
            None => self.warehouse.stream_writer()?,
        };
        {
            let mut transaction = writer.begin()?;
            transaction.lock_archive()?;
            if self.is_done(transaction.as_mut(), segment)? {
                drop(transaction);
                self.writer = Some(writer);
                return Ok(());
            }
            self.look_again(transaction.as_mut(), segment)?;
            for part in &segment.parts {
                add_part(transaction.as_mut(), part, "file", 0)?;
            }
            let batches: Vec<(&EventBatch, &[bool])> =
                segment.pieces.iter().map(|piece| (&piece.events, piece.is_new.as_slice())).collect();
            segment.content().store(transaction.as_mut())?;
            let windows = windows::aggregate_all(batches, self.minutes_since);
            transaction.add_metrics(&windows.minutes, &windows.hours)?;
            raise_minutes_floor(transaction.as_mut(), self.minutes_since)?;
            for (file, row) in self.rows_behind(segment) {
                debug_assert!(self.accounts.contains_key(&file));
                files::put(transaction.as_mut(), &row)?;
            }
            transaction.commit()?;
        }
        self.writer = Some(writer);
        Ok(())
    }

    /// Whether a commit whose answer was lost has come through. Fails if the accounts are neither where
    /// this run left them nor where it would put them.
    fn is_done(
        &self,
        transaction: &mut dyn StreamTransaction,
        segment: &Segment,
    ) -> Result<bool, BatchError> {
        let mut is_done = false;
        for (file, wanted) in self.rows_behind(segment) {
            let Some(account) = self.accounts.get(&file) else { continue };
            let stored = files::progress(transaction, &wanted)?;
            let before = account.is_stored.then(|| Progress::of(&account.row));
            let behind = Progress::of(&wanted);
            // A grown file is `done` in its account until more of it is.
            let is_before = match (stored, before) {
                (None, None) => true,
                (Some(stored), Some(before)) => {
                    Progress { state: FileState::Reading, ..stored }
                        == Progress { state: FileState::Reading, ..before }
                }
                _ => false,
            };
            match stored {
                Some(stored) if stored == behind && !is_before => is_done = true,
                _ if is_before => {}
                _ => return Err(BatchError::Overtaken),
            }
        }
        Ok(is_done)
    }

    /// Looks whether anybody has added events of the segment's hours since their ids were read.
    fn look_again(
        &mut self,
        transaction: &mut dyn StreamTransaction,
        segment: &mut Segment,
    ) -> Result<(), BatchError> {
        let mut dropped = 0;
        for base in segment.hours.clone() {
            let hour: [Value; 1] = [base.hour.to_string().into()];
            let now = transaction.query(HOUR_NOW, &hour)?;
            let now = now.one()?;
            // The archive is this run's alone, by its lock.
            let expected = self.versions.get(&base.hour).copied().unwrap_or(base.version);
            if now.get::<i64>("version")? != expected.max(base.version) {
                return Err(BatchError::Overtaken);
            }
            if now.get::<i64>("hot_only")? != base.hot_only {
                let mut ids = IdSet::new();
                for row in transaction.query(HOT_IDS, &hour)?.iter() {
                    ids.insert(IdKey::of(row.get("event_id")?));
                }
                dropped += segment.drop_counted(base.hour, &ids);
            }
        }
        if dropped > 0 {
            tracing::info!(dropped, "the stream has counted some of these events in the meantime");
            segment.discard();
            segment.encode(self.archive)?;
            segment.publish()?;
        }
        Ok(())
    }

    /// The files' accounts after the segment.
    fn rows_behind(&self, segment: &Segment) -> Vec<(usize, FileRow)> {
        let mut rows: Vec<(usize, FileRow)> = Vec::new();
        for (file, delta) in &segment.deltas {
            let Some(account) = self.accounts.get(file) else { continue };
            let mut row = account.row.clone();
            row.counts.add(&delta.counts);
            row.content_sum.iter_mut().for_each(|sum| sum.add(delta.content));
            if let Some(error_type) = delta.taken_back {
                row.counts.take_invalid(error_type);
            }
            if let Some((position, next_row, tail)) = delta.end {
                (row.position, row.next_row, row.tail) = (position, next_row, tail);
            }
            row.first_event = [row.first_event, delta.first_event].into_iter().flatten().min();
            row.last_event = row.last_event.max(delta.last_event);
            if let Some((state, message)) = &delta.state {
                (row.state, row.message) = (*state, message.clone());
            }
            rows.push((*file, row));
        }
        rows
    }

    /// Continues after a committed segment.
    fn note(&mut self, segment: &Segment) {
        for (file, row) in self.rows_behind(segment) {
            if let Some(account) = self.accounts.get_mut(&file) {
                (account.row, account.is_stored) = (row, true);
            }
        }
        for (file, delta) in &segment.deltas {
            if let Some(account) = self.accounts.get_mut(file) {
                account.counts.add(&delta.counts);
            }
        }
        for error in segment.errors.iter().filter(|error| error.record.truncated_from.is_some()) {
            if let Some(account) = self.accounts.get_mut(&error.file) {
                account.too_long += 1;
            }
        }
        for hour in segment.parts.iter().flat_map(|part| part.hours.keys()) {
            let base = segment.hours.iter().find(|base| base.hour == *hour).map_or(0, |base| base.version);
            let version = self.versions.entry(*hour).or_insert(base);
            *version = (*version).max(base) + 1;
        }
        self.parts += segment.parts.len() as u64;
        self.part_bytes += segment.parts.iter().map(|part| part.bytes).sum::<u64>();
    }

    /// Errors into their topic, durable, with all that is needed to repair and replay them.
    fn send_errors(&self, errors: &[ErrorRow]) -> Result<(), BatchError> {
        let now = Millis::now();
        for these in error_record::appends(errors, |error| error.record.payload.len()) {
            adpipe_log::append_and_wait(self.log, Topic::Error, || self.error_records(these, now), None)?;
            let appended = &self.metrics.records_appended;
            appended.with_label_values(&[Topic::Error.name()]).inc_by(these.len() as u64);
        }
        Ok(())
    }

    fn error_records(&self, errors: &[ErrorRow], now: Millis) -> Records {
        let mut records = Records::new();
        for error in errors {
            let Some(account) = self.accounts.get(&error.file) else { continue };
            let headers = records.add_headers(error_headers(account, error, now));
            // A key keeps the errors of one file in one partition.
            let fits = records.push(account.row.path.as_bytes(), &error.record.payload, headers);
            debug_assert!(fits, "an append is far smaller than a buffer");
        }
        records
    }
}

fn error_headers(account: &Account, error: &ErrorRow, now: Millis) -> Headers {
    let record = &error.record;
    let mut headers = Headers::default();
    if let Some(columns) = &account.columns {
        headers = headers.with(header::FORMAT, "csv").with(header::COLUMNS, columns.as_str());
    }
    if let Some(length) = record.truncated_from {
        headers = headers.with(header::TRUNCATED_FROM, length.to_string());
    }
    headers =
        headers.with(header::SOURCE, account.row.path.as_str()).with(header::ROW, error.row.to_string());
    let topic = account.row.error_topic();
    ErrorRecord::new((&topic, 0, error.row), &record.error, now, record.waits_for).write(headers)
}

/// Names a part and raises its hours' versions; `hot` of each hour's rows stay in
/// `realtime.events`: all of them (1), or none (0).
pub(crate) fn add_part(
    transaction: &mut dyn StreamTransaction,
    part: &PartFile,
    source: &str,
    hot: u64,
) -> Result<(), WarehouseError> {
    add_part_row(transaction, &part.row(), source)?;
    for (hour, of_hour) in &part.hours {
        add_to_hour(transaction, *hour, *of_hour, of_hour.rows * hot)?;
    }
    Ok(())
}

/// Raises an hour's version, by what a part has of it, and by how many of that are hot, too.
pub(crate) fn add_to_hour(
    transaction: &mut dyn StreamTransaction,
    hour: Millis,
    of_hour: OfHour,
    copies: u64,
) -> Result<(), WarehouseError> {
    let int = |count: u64| Value::Int(count as i64);
    let numbers = [1, of_hour.rows as i64, of_hour.clicks as i64, copies as i64];
    let hour = Value::from(hour.to_string());
    let sum = added_sum("realtime.hours", std::slice::from_ref(&hour), &numbers);
    let (new, more) = (Value::Int(sum), Value::Int(added_part(&numbers)));
    let values = [hour, int(of_hour.rows), int(of_hour.clicks), int(copies), new, more];
    transaction.execute(ADD_TO_HOUR, &values).map(drop)
}

/// Notes from when on figures by the minute are whole.
pub(crate) fn raise_minutes_floor(
    transaction: &mut dyn StreamTransaction,
    since: Millis,
) -> Result<(), WarehouseError> {
    if since == Millis(i64::MIN) {
        // Nothing has been counted yet: all figures by the minute will be whole.
        return Ok(());
    }
    let floor = Value::from(since.to_string());
    let sum = row_sum("realtime.minutes_floor", &[Value::Int(1), floor.clone()]);
    transaction.execute(RAISE_MINUTES_FLOOR, &[floor, sum]).map(drop)
}

/// What the archive's list has of a part.
pub(crate) struct PartRow<'a> {
    pub path: &'a str,
    pub event_date: &'a str,
    pub first_event: Millis,
    pub last_event: Millis,
    pub rows: u64,
    pub clicks: u64,
    pub bytes: u64,
    pub hash: &'a str,
    pub hours: &'a BTreeMap<Millis, OfHour>,
}

impl PartFile {
    /// What the archive's list is to have of it.
    pub(crate) fn row(&self) -> PartRow<'_> {
        PartRow {
            path: &self.path,
            event_date: &self.event_date,
            first_event: self.first_event,
            last_event: self.last_event,
            rows: self.rows,
            clicks: self.clicks,
            bytes: self.bytes,
            hash: &self.hash,
            hours: &self.hours,
        }
    }
}

/// Names a part, and what it has of each hour.
pub(crate) fn add_part_row(
    transaction: &mut dyn StreamTransaction,
    part: &PartRow<'_>,
    source: &str,
) -> Result<(), WarehouseError> {
    let int = |count: u64| Value::Int(count as i64);
    let mut values: Vec<Value> = vec![
        part.path.into(),
        part.event_date.into(),
        part.first_event.to_string().into(),
        part.last_event.to_string().into(),
        int(part.rows),
        int(part.clicks),
        int(part.bytes),
        source.into(),
        Millis::now().to_string().into(),
    ];
    // Without the hash: that is compared with the file, and set later for parts from before.
    let sum = row_sum("realtime.archive_parts", &values);
    values.extend([part.hash.into(), sum]);
    transaction.execute(ADD_PART, &values)?;
    for (hour, of_hour) in part.hours {
        let hour = Value::from(hour.to_string());
        let mut values = vec![hour, part.path.into(), int(of_hour.rows), int(of_hour.clicks)];
        values.push(row_sum("realtime.archive_part_hours", &values));
        transaction.execute(ADD_PART_HOUR, &values)?;
    }
    Ok(())
}
