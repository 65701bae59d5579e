//! The account of raw files: rows of `realtime.files`, and their copy in `ops.ingest_files`.

use adpipe_event::{ContentSum, ErrorType, Millis};
use adpipe_runtime::Shutdown;
use adpipe_sql::section;
use adpipe_warehouse::{
    Counts, FromRow, Row, Schema, StreamTransaction, Value, Warehouse, WarehouseError, covered, query_as,
    query_table, row_sum,
};

use crate::{BatchError, retry};

const FILES_SQL: &str = include_str!("../sql/files.sql");
const FILES_OF_PATH: &str = section(FILES_SQL, "files_of_path");
const PROGRESS: &str = section(FILES_SQL, "progress");
const PUT_FILE: &str = section(FILES_SQL, "put_file");
const REPLACE_OTHERS: &str = section(FILES_SQL, "replace_others");
const NOT_COPIED: &str = section(FILES_SQL, "not_copied");
const COPY: &str = section(FILES_SQL, "copy");

/// Place of the state among the values of a row.
const STATE: usize = 6;

/// What a reading of a file has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileState {
    /// Not at its end yet; the next run continues.
    Reading,
    /// Read to its end.
    Done,
    /// Read up to a place after which it cannot be read.
    Damaged,
    /// Another content took its name.
    Replaced,
}

impl FileState {
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

    fn read(row: &Row<'_>) -> Result<FileState, WarehouseError> {
        row.parse("state", "the state of a file", |text: &str| match text {
            "reading" => Some(FileState::Reading),
            "done" => Some(FileState::Done),
            "damaged" => Some(FileState::Damaged),
            "replaced" => Some(FileState::Replaced),
            _ => None,
        })
    }
}

/// A last line without a line end: it may continue when the file grows.
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
    pub size_hash: String,
    /// The file's own time then, nanoseconds.
    pub modified: String,
    /// What has become of it.
    pub state: FileState,
    /// Why it is damaged; empty otherwise.
    pub message: String,
    /// Uncompressed bytes (of a JSON array: elements) that are committed.
    pub position: u64,
    /// Number of the row after them.
    pub next_row: u64,
    /// What is at its end.
    pub tail: Option<Tail>,
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
    // What is read here is written back with its own sum.
    covered::must_be_sound(warehouse, "realtime.files", "path = $1", &[path.into()])?;
    query_as(warehouse, FILES_OF_PATH, &[path.into()])
}

impl FromRow for FileRow {
    fn from_row(row: &Row<'_>) -> Result<FileRow, WarehouseError> {
        Ok(FileRow {
            path: row.get("path")?,
            content: row.get("content")?,
            reading: row.get("reading")?,
            size: row.get("size")?,
            size_hash: row.get("size_hash")?,
            modified: row.get("modified")?,
            state: FileState::read(row)?,
            message: row.get("message")?,
            position: row.get("position")?,
            next_row: row.get("next_row")?,
            tail: read_tail(row)?,
            counts: Counts::from_row(row)?,
            first_event: row.get("first_event")?,
            last_event: row.get("last_event")?,
            started_at: row.get("started_at")?,
            content_sum: row.parse_optional("content_sum", "a sum of contents", ContentSum::from_i64)?,
        })
    }
}

/// What is at the end of a reading; a position below 0 stands for nothing.
fn read_tail(row: &Row<'_>) -> Result<Option<Tail>, WarehouseError> {
    let (position, outcome): (i64, i64) = (row.get("tail_position")?, row.get("tail_is_event")?);
    let outcome = TailOutcome::from_number(outcome);
    Ok(u64::try_from(position).ok().map(|position| Tail { position, outcome }))
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
    table.read_first()
}

impl FromRow for Progress {
    fn from_row(row: &Row<'_>) -> Result<Progress, WarehouseError> {
        Ok(Progress {
            position: row.get("position")?,
            next_row: row.get("next_row")?,
            records: row.get("records")?,
            state: FileState::read(row)?,
        })
    }
}

pub(crate) fn put(transaction: &mut dyn StreamTransaction, row: &FileRow) -> Result<(), WarehouseError> {
    let int = |count: u64| Value::Int(count as i64);
    let time = |time: Option<Millis>| Value::from(time.map(|time| time.to_string()));
    let counts = &row.counts;
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
    ];
    values.extend(counts.values());
    values.extend([
        int(counts.float_ids),
        int(counts.unknown_fields),
        time(row.first_event),
        time(row.last_event),
        row.started_at.to_string().into(),
        content_sum.clone(),
    ]);
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
pub(crate) fn begin(warehouse: &dyn Warehouse, row: &FileRow, shutdown: &Shutdown) -> Result<(), BatchError> {
    retry::until_written(shutdown, || {
        let mut writer = warehouse.stream_writer()?;
        let mut transaction = writer.begin()?;
        put(transaction.as_mut(), row)?;
        Ok(transaction.commit()?)
    })
}

/// Brings `ops.ingest_files` up to what `realtime.files` says. Safe to do twice, and done again at
/// the next run when this one ends before it.
pub(crate) fn copy_to_ops(warehouse: &dyn Warehouse) -> Result<(), WarehouseError> {
    let changed = query_table(warehouse, NOT_COPIED, &[])?;
    if changed.is_empty() {
        return Ok(());
    }
    let mut session = warehouse.session(Schema::Ops)?;
    let mut transaction = session.begin()?;
    for row in changed.iter() {
        // The columns of the one statement are the parameters of the other.
        transaction.execute(COPY, row.values())?;
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
