//! The account of raw files: rows of `realtime.files`, and their copy in `ops.ingest_files`.

use std::time::{Duration, Instant};

use adpipe_event::{ContentSum, ErrorType, Millis};
use adpipe_runtime::Backoff;
use adpipe_runtime::Shutdown;
use adpipe_sql::section;
use adpipe_warehouse::{
    Counts, Schema, StreamTransaction, Value, Warehouse, WarehouseError, covered, query_table, row_sum,
};

const FILES_SQL: &str = include_str!("../sql/files.sql");
const FILES_OF_PATH: &str = section(FILES_SQL, "files_of_path");
const PROGRESS: &str = section(FILES_SQL, "progress");
const PUT_FILE: &str = section(FILES_SQL, "put_file");
const REPLACE_OTHERS: &str = section(FILES_SQL, "replace_others");
const NOT_COPIED: &str = section(FILES_SQL, "not_copied");
const COPY: &str = section(FILES_SQL, "copy");

/// How long a warehouse that cannot be written is waited for.
const PATIENCE: Duration = Duration::from_secs(120);

/// Place of the state among the values of a row.
const STATE: usize = 6;

/// What a reading of a file has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileState {
    /// Not at its end yet; the next run goes on.
    Reading,
    /// Read to its end.
    Done,
    /// Read up to a place behind which it cannot be read.
    Damaged,
    /// Another content took its name.
    Replaced,
}

impl FileState {
    /// As stored.
    pub fn as_str(self) -> &'static str {
        match self {
            FileState::Reading => "reading",
            FileState::Done => "done",
            FileState::Damaged => "damaged",
            FileState::Replaced => "replaced",
        }
    }

    /// What it adds to the sum of its row.
    fn number(self) -> i64 {
        match self {
            FileState::Reading => 0,
            FileState::Done => 1,
            FileState::Damaged => 2,
            FileState::Replaced => 3,
        }
    }

    fn from_text(text: &str) -> FileState {
        match text {
            "done" => FileState::Done,
            "damaged" => FileState::Damaged,
            "replaced" => FileState::Replaced,
            _ => FileState::Reading,
        }
    }
}

/// A last line without a line end: it may go on when the file grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tail {
    /// Where it begins, in uncompressed bytes.
    pub position: u64,
    /// What it was as it stood.
    pub outcome: TailOutcome,
}

/// What a last line was as it stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TailOutcome {
    /// A whole event.
    Event,
    /// In error; the type is not known of accounts that were written before it was kept.
    Error(Option<ErrorType>),
}

impl TailOutcome {
    /// As stored: 1 for an event, 0 for an error, or less than 0 for one whose type is known.
    fn as_number(self) -> i64 {
        match self {
            TailOutcome::Event => 1,
            TailOutcome::Error(None) => 0,
            TailOutcome::Error(Some(error_type)) => -1 - error_type as i64,
        }
    }

    fn from_number(number: i64) -> TailOutcome {
        match number {
            1.. => TailOutcome::Event,
            _ => {
                let of_type = |error_type: &ErrorType| -1 - *error_type as i64 == number;
                TailOutcome::Error(ErrorType::ALL.into_iter().find(of_type))
            }
        }
    }
}

/// One reading of one content of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct FileRow {
    /// The file's name in the account.
    pub path: String,
    /// Names the content: its hash when it was first seen.
    pub content: String,
    /// 1, and one more for each `--force`.
    pub reading: i64,
    /// Bytes that were there to be read.
    pub size: u64,
    /// Hash of these bytes.
    pub size_hash: String,
    /// The file's own time then, nanoseconds.
    pub modified: String,
    /// What has become of it.
    pub state: FileState,
    /// Why it is damaged; empty otherwise.
    pub message: String,
    /// Uncompressed bytes (of a JSON array: elements) that are committed.
    pub position: u64,
    /// Number of the row behind them.
    pub next_row: u64,
    /// What is at its end.
    pub tail: Option<Tail>,
    /// What its records were.
    pub counts: Counts,
    /// Oldest event, duplicates included.
    pub first_event: Option<Millis>,
    /// Newest event.
    pub last_event: Option<Millis>,
    /// When its reading began.
    pub started_at: Millis,
    /// Of the events that it added; none when some were added before sums were kept.
    pub content_sum: Option<ContentSum>,
}

impl FileRow {
    /// What its records are named by in the error topic: `file:NAME@HASH`.
    pub fn error_topic(&self) -> String {
        error_topic(&self.path, &self.content)
    }
}

/// What rows of a content are named by in the error topic.
pub(crate) fn error_topic(path: &str, content: &str) -> String {
    format!("file:{path}@{content}")
}

/// All readings of a file, oldest first.
pub(crate) fn of_path(warehouse: &dyn Warehouse, path: &str) -> Result<Vec<FileRow>, WarehouseError> {
    // What is read here is written back with a sum of its own.
    covered::must_be_sound(warehouse, "realtime.files", "path = $1", &[path.into()])?;
    let table = query_table(warehouse, FILES_OF_PATH, &[path.into()])?;
    Ok(table.rows.iter().map(|row| read(path, row)).collect())
}

fn read(path: &str, row: &[Value]) -> FileRow {
    let number = |index: usize| row[index].as_i64().unwrap_or(0);
    let count = |index: usize| number(index) as u64;
    let time = |index: usize| row[index].as_str().and_then(Millis::parse_sql);
    FileRow {
        path: path.to_owned(),
        content: row[0].to_string(),
        reading: number(1),
        size: count(2),
        size_hash: row[3].to_string(),
        modified: row[4].to_string(),
        state: FileState::from_text(&row[5].to_string()),
        message: row[6].to_string(),
        position: count(7),
        next_row: count(8),
        tail: (number(9) >= 0)
            .then(|| Tail { position: count(9), outcome: TailOutcome::from_number(number(10)) }),
        counts: Counts {
            records: count(11),
            valid: count(12),
            clicks: count(13),
            duplicates: count(14),
            invalid_by_type: [count(15), count(16), count(17), count(18), count(19), count(20)],
            late: 0,
            float_ids: count(21),
            unknown_fields: count(22),
        },
        first_event: time(23),
        last_event: time(24),
        started_at: time(25).unwrap_or_default(),
        content_sum: row[26].as_i64().and_then(ContentSum::from_i64),
    }
}

/// How far a reading is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress {
    pub position: u64,
    pub next_row: u64,
    pub records: u64,
    pub state: FileState,
}

impl Progress {
    pub fn of(row: &FileRow) -> Progress {
        Progress {
            position: row.position,
            next_row: row.next_row,
            records: row.counts.records,
            state: row.state,
        }
    }
}

pub(crate) fn progress(
    transaction: &mut dyn StreamTransaction,
    row: &FileRow,
) -> Result<Option<Progress>, WarehouseError> {
    let key: [Value; 3] = [row.path.as_str().into(), row.content.as_str().into(), row.reading.into()];
    let table = transaction.query(PROGRESS, &key)?;
    Ok(table.rows.first().map(|found| Progress {
        position: found[0].as_i64().unwrap_or(0) as u64,
        next_row: found[1].as_i64().unwrap_or(0) as u64,
        records: found[2].as_i64().unwrap_or(0) as u64,
        state: FileState::from_text(&found[3].to_string()),
    }))
}

pub(crate) fn put(transaction: &mut dyn StreamTransaction, row: &FileRow) -> Result<(), WarehouseError> {
    let int = |count: u64| Value::Int(count as i64);
    let time = |time: Option<Millis>| Value::from(time.map(|time| time.to_string()));
    let counts = &row.counts;
    let [parse, schema, validation, future, sink, archive] = counts.invalid_by_type.map(int);
    let now = Value::from(Millis::now().to_string());
    let content_sum = Value::from(row.content_sum.map(ContentSum::to_i64));
    let key: [Value; 3] = [row.path.as_str().into(), row.content.as_str().into(), row.reading.into()];
    let [path, content, reading] = key.clone();
    let mut values: Vec<Value> = vec![
        path,
        content,
        reading,
        int(row.size),
        row.size_hash.as_str().into(),
        row.modified.as_str().into(),
        row.message.as_str().into(),
        int(row.position),
        int(row.next_row),
        Value::Int(row.tail.map_or(-1, |tail| tail.position as i64)),
        Value::Int(row.tail.map_or(0, |tail| tail.outcome.as_number())),
        int(counts.records),
        int(counts.valid),
        int(counts.clicks),
        int(counts.duplicates),
        parse,
        schema,
        validation,
        future,
        sink,
        archive,
        int(counts.float_ids),
        int(counts.unknown_fields),
        time(row.first_event),
        time(row.last_event),
        row.started_at.to_string().into(),
        content_sum.clone(),
    ];
    let sum = row_sum("realtime.files", &values).as_i64().map(|sum| sum + row.state.number());
    // The sum covers the state apart from the rest, and not when the row was written.
    values.insert(STATE, row.state.as_str().into());
    values.pop();
    values.extend([now.clone(), content_sum, sum.into()]);
    transaction.execute(PUT_FILE, &values)?;
    let [path, content, reading] = key;
    transaction.execute(REPLACE_OTHERS, &[path, content, reading, now])?;
    Ok(())
}

/// Notes that a reading begins, waiting for a warehouse that cannot be written now.
pub(crate) fn begin(
    warehouse: &dyn Warehouse,
    row: &FileRow,
    shutdown: &Shutdown,
) -> Result<(), WarehouseError> {
    let started = Instant::now();
    let mut backoff = Backoff::new("the warehouse");
    let try_it = || {
        let mut writer = warehouse.stream_writer()?;
        let mut transaction = writer.begin()?;
        put(transaction.as_mut(), row)?;
        transaction.commit()
    };
    loop {
        match try_it() {
            Err(error) if error.is_transient() && started.elapsed() < PATIENCE => {
                backoff.failed(&error, shutdown);
                if shutdown.is_triggered() {
                    return Err(error);
                }
            }
            other => return other,
        }
    }
}

/// Brings `ops.ingest_files` up to what `realtime.files` says. Safe to do twice, and done again at
/// the next run when this one ends before it.
pub(crate) fn copy_to_ops(warehouse: &dyn Warehouse) -> Result<(), WarehouseError> {
    let changed = query_table(warehouse, NOT_COPIED, &[])?;
    if changed.rows.is_empty() {
        return Ok(());
    }
    let mut session = warehouse.session(Schema::Ops)?;
    let mut transaction = session.begin()?;
    for row in &changed.rows {
        transaction.execute(COPY, row)?;
    }
    transaction.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_last_line_was_is_stored_as_a_number() {
        let types = ErrorType::ALL.into_iter().map(|error_type| TailOutcome::Error(Some(error_type)));
        for outcome in [TailOutcome::Event, TailOutcome::Error(None)].into_iter().chain(types) {
            assert_eq!(TailOutcome::from_number(outcome.as_number()), outcome);
        }
    }
}
