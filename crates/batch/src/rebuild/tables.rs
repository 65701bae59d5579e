//! What is written into the tables, row by row.

use adpipe_event::{ErrorType, Millis};
use adpipe_sql::section;
use adpipe_warehouse::{Commit, Dialect, StreamTransaction, Value, WarehouseError, offset_sum, query_table};
use hashbrown::HashSet;

use super::parts::{Archived, Known};
use super::{RebuildReport, Work};
use crate::BatchError;
use crate::account::Rows;
use crate::commit::{PartRow, add_part_row, add_to_hour, raise_minutes_floor};
use crate::files::{self, FileRow, FileState};

const REBUILD_SQL: &str = include_str!("../../sql/rebuild.sql");
const NO_TIMEOUTS: &str = section(REBUILD_SQL, "no_timeouts");
const NO_IDLE_TIMEOUT: &str = section(REBUILD_SQL, "no_idle_timeout");
const TABLES: &str = section(REBUILD_SQL, "tables");
const PUT_OFFSET: &str = section(REBUILD_SQL, "put_offset");
const PUT_INVALID_SINCE: &str = section(REBUILD_SQL, "put_invalid_since");
const REPORTED_FILES: &str = section(REBUILD_SQL, "reported_files");

/// What is on record of counted events, files and commits together.
#[derive(Debug, Default)]
pub(super) struct Books {
    pub valid: u64,
    pub clicks: u64,
    pub commits: Vec<Commit>,
}

impl Books {
    pub fn add(&mut self, commit: Commit) {
        self.valid += commit.counts.valid;
        self.clicks += commit.counts.clicks;
        self.commits.push(commit);
    }
}

/// Empties what is made again.
pub(super) fn empty(transaction: &mut dyn StreamTransaction, dialect: Dialect) -> Result<(), WarehouseError> {
    if dialect == Dialect::Postgres {
        transaction.execute(NO_TIMEOUTS, &[])?;
        transaction.execute(NO_IDLE_TIMEOUT, &[])?;
    }
    for table in TABLES.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("--")) {
        transaction.execute(&format!("delete from {table}"), &[])?;
    }
    Ok(())
}

/// Names the parts, and takes over what the account has of files and commits.
pub(super) fn take_over(
    work: &Work<'_>,
    transaction: &mut dyn StreamTransaction,
    archived: &Archived,
    report: &mut RebuildReport,
) -> Result<Books, BatchError> {
    let account = work.account;
    name_parts(work, transaction, archived)?;
    let floor = match (&account.minutes_floor, work.has_account()) {
        (Some(floor), _) => Millis::parse_sql(floor),
        (None, true) => None,
        (None, false) => (!archived.parts.is_empty()).then_some(archived.minutes_since),
    };
    if let Some(floor) = floor {
        raise_minutes_floor(transaction, floor)?;
    }
    let mut books = Books::default();
    put_rows(transaction, "realtime.files", &account.files)?;
    for row in &account.files.rows {
        books.valid += account.files.number(row, "valid");
        books.clicks += account.files.number(row, "clicks");
    }
    reported_files(work, transaction, &mut books, report)?;
    for counted in &account.commits {
        match counted.to_commit() {
            Some(commit) => books.add(commit),
            None => report.problems.push(format!(
                "{} partition {}: the account of offset {} cannot be read",
                counted.topic, counted.partition, counted.first_offset
            )),
        }
    }
    Ok(books)
}

fn put_rows(transaction: &mut dyn StreamTransaction, table: &str, rows: &Rows) -> Result<(), WarehouseError> {
    let insert = rows.insert(table);
    for row in &rows.rows {
        transaction.execute(&insert, &Rows::values(row))?;
    }
    Ok(())
}

/// Parts that the account has as they are get its own rows.
fn name_parts(
    work: &Work<'_>,
    transaction: &mut dyn StreamTransaction,
    archived: &Archived,
) -> Result<(), BatchError> {
    let (parts, hours) = (&work.account.archive_parts, &work.account.archive_part_hours);
    let by_account: HashSet<&str> = parts.rows.iter().map(|row| parts.text(row, "path")).collect();
    let is_as_accounted = |part: &&Known| by_account.contains(part.path.as_str());
    let taken: HashSet<&str> =
        archived.parts.iter().filter(is_as_accounted).map(|part| part.path.as_str()).collect();
    let of_taken = |rows: &Rows| Rows {
        columns: rows.columns.clone(),
        rows: rows.rows.iter().filter(|row| taken.contains(rows.text(row, "path"))).cloned().collect(),
    };
    put_rows(transaction, "realtime.archive_parts", &of_taken(parts))?;
    put_rows(transaction, "realtime.archive_part_hours", &of_taken(hours))?;
    for part in archived.parts.iter().filter(|part| !is_as_accounted(part)) {
        let row = PartRow {
            path: &part.path,
            event_date: &part.event_date,
            first_event: part.first_event,
            last_event: part.last_event,
            rows: part.rows,
            clicks: part.clicks,
            bytes: part.bytes,
            hash: &part.hash,
            hours: &part.hours,
        };
        add_part_row(transaction, &row, part.source)?;
    }
    for part in &archived.parts {
        for (hour, of_hour) in &part.hours {
            add_to_hour(transaction, *hour, *of_hour, 0)?;
        }
    }
    Ok(())
}

/// Readings that the account has not, or not as far, as `ops.ingest_files` reports them. How far the
/// file was read is not known: it is read again, and its rows are duplicates then.
fn reported_files(
    work: &Work<'_>,
    transaction: &mut dyn StreamTransaction,
    books: &mut Books,
    report: &mut RebuildReport,
) -> Result<(), BatchError> {
    let files = &work.account.files;
    let reported = query_table(work.place.warehouse, REPORTED_FILES, &[])?;
    for row in &reported.rows {
        let text = |column: usize| row[column].as_str().unwrap_or_default();
        let number = |column: usize| row[column].as_i64().unwrap_or(0).max(0) as u64;
        let reading = number(2);
        let known = files.rows.iter().find(|known| {
            files.text(known, "path") == text(0)
                && files.text(known, "content") == text(1)
                && files.number(known, "reading") == reading
        });
        let known_records = known.map(|known| files.number(known, "records"));
        if known_records.is_some_and(|records| records >= number(6)) {
            continue;
        }
        let time = |column: usize| row[column].as_str().and_then(Millis::parse_sql);
        let mut file = FileRow {
            path: text(0).to_owned(),
            content: text(1).to_owned(),
            reading: reading as i64,
            size: number(3),
            // Nothing has this hash or time: the file is taken for another one and read again.
            size_hash: String::new(),
            modified: String::new(),
            state: if text(4) == "replaced" { FileState::Replaced } else { FileState::Done },
            message: "made again from ops.ingest_files".to_owned(),
            position: number(3),
            next_row: number(6) + 1,
            tail: None,
            counts: adpipe_warehouse::Counts {
                records: number(6),
                valid: number(7),
                clicks: number(8),
                duplicates: number(10),
                float_ids: number(11),
                ..Default::default()
            },
            first_event: time(12),
            last_event: time(13),
            started_at: time(14).unwrap_or_default(),
            content_sum: None,
        };
        file.counts.invalid_by_type =
            invalid_by_type(work, &file.error_topic(), 0, 0..u64::MAX >> 1, number(9))?;
        files::put(transaction, &file)?;
        books.valid += number(7);
        books.clicks += number(8);
        if let Some(known) = known {
            books.valid -= files.number(known, "valid");
            books.clicks -= files.number(known, "clicks");
        }
        report.synthesised.push(format!(
            "{}: its account is that of ops.ingest_files; it will be read again, and its rows are duplicates then",
            file.path
        ));
    }
    Ok(())
}

/// How many records of each type are in error, `total` in all: as the queue says, and what it does
/// not say as `parse`.
pub(super) fn invalid_by_type(
    work: &Work<'_>,
    topic: &str,
    partition: u32,
    offsets: std::ops::Range<u64>,
    total: u64,
) -> Result<[u64; ErrorType::ALL.len()], BatchError> {
    const ERROR_TYPES: &str = section(REBUILD_SQL, "error_types");
    let params = [
        topic.into(),
        Value::Int(partition.into()),
        Value::Int(offsets.start as i64),
        Value::Int(offsets.end as i64),
    ];
    let mut by_type = [0; ErrorType::ALL.len()];
    let mut left = total;
    for row in &query_table(work.place.warehouse, ERROR_TYPES, &params)?.rows {
        let known = ErrorType::ALL.into_iter().find(|known| Some(known.as_str()) == row[0].as_str());
        if let Some(error_type) = known {
            let count = (row[1].as_i64().unwrap_or(0).max(0) as u64).min(left);
            by_type[error_type as usize] += count;
            left -= count;
        }
    }
    by_type[ErrorType::Parse as usize] += left;
    Ok(by_type)
}

/// Says where the processor goes on in a partition.
pub(super) fn put_offset(
    transaction: &mut dyn StreamTransaction,
    topic: &str,
    partition: u32,
    next: u64,
) -> Result<(), WarehouseError> {
    let values = [
        topic.into(),
        Value::Int(partition.into()),
        Value::Int(next as i64),
        Millis::now().to_string().into(),
        offset_sum("realtime.offsets", topic, partition, next),
    ];
    transaction.execute(PUT_OFFSET, &values)?;
    let values = [topic.into(), Value::Int(partition.into()), Value::Int(next as i64)];
    transaction.execute(PUT_INVALID_SINCE, &values).map(drop)
}
