//! What is written into the tables, row by row.

use adpipe_event::{ErrorType, Millis};
use adpipe_sql::section;
use adpipe_warehouse::{
    Commit, Dialect, Row, StreamTransaction, Table, Value, WarehouseError, offset_sum, query_table,
};
use hashbrown::HashSet;

use super::parts::{Archived, KnownPart};
use super::work::{RebuildReport, Work};
use crate::BatchError;
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
    let files = account.files.table()?;
    put_rows(transaction, "realtime.files", &files, |_| Ok(true))?;
    for row in files.iter() {
        books.valid += row.get::<u64>("valid")?;
        books.clicks += row.get::<u64>("clicks")?;
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

/// Inserts those of the rows that are wanted.
fn put_rows(
    transaction: &mut dyn StreamTransaction,
    table: &str,
    rows: &Table,
    is_wanted: impl Fn(&Row<'_>) -> Result<bool, WarehouseError>,
) -> Result<(), WarehouseError> {
    let places: Vec<String> = (1..=rows.columns.len()).map(|number| format!("${number}")).collect();
    let insert = format!("insert into {table} ({}) values ({})", rows.columns.join(", "), places.join(", "));
    for row in rows.iter() {
        if is_wanted(&row)? {
            transaction.execute(&insert, row.values())?;
        }
    }
    Ok(())
}

/// Parts that the account has as they are get its own rows.
fn name_parts(
    work: &Work<'_>,
    transaction: &mut dyn StreamTransaction,
    archived: &Archived,
) -> Result<(), BatchError> {
    let (parts, hours) = (work.account.archive_parts.table()?, work.account.archive_part_hours.table()?);
    let by_account: HashSet<&str> = parts.column("path")?.into_iter().collect();
    let is_as_accounted = |part: &&KnownPart| by_account.contains(part.path.as_str());
    let taken: HashSet<&str> =
        archived.parts.iter().filter(is_as_accounted).map(|part| part.path.as_str()).collect();
    let is_taken = |row: &Row<'_>| Ok(taken.contains(row.get::<&str>("path")?));
    put_rows(transaction, "realtime.archive_parts", &parts, is_taken)?;
    put_rows(transaction, "realtime.archive_part_hours", &hours, is_taken)?;
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
    let files = work.account.files.table()?;
    for row in query_table(work.back_ends.warehouse, REPORTED_FILES, &[])?.iter() {
        let (mut file, invalid) = reported_file(&row)?;
        let known = accounted(&files, &file)?;
        let counts = file.counts;
        if known.is_some_and(|known| known.records >= counts.records) {
            continue;
        }
        file.counts.invalid_by_type =
            invalid_by_type(work, &file.error_topic(), 0, 0..u64::MAX >> 1, invalid)?;
        files::put(transaction, &file)?;
        books.valid += counts.valid;
        books.clicks += counts.clicks;
        if let Some(known) = known {
            books.valid -= known.valid;
            books.clicks -= known.clicks;
        }
        report.synthesised.push(format!(
            "{}: its account comes from ops.ingest_files; it will be read again, and its rows count as duplicates",
            file.path
        ));
    }
    Ok(())
}

/// What the account has of a reading.
#[derive(Clone, Copy)]
struct Accounted {
    records: u64,
    valid: u64,
    clicks: u64,
}

fn accounted(files: &Table, file: &FileRow) -> Result<Option<Accounted>, WarehouseError> {
    for row in files.iter() {
        let is_it = row.get::<&str>("path")? == file.path
            && row.get::<&str>("content")? == file.content
            && row.get::<i64>("reading")? == file.reading;
        if is_it {
            let (records, valid) = (row.get("records")?, row.get("valid")?);
            return Ok(Some(Accounted { records, valid, clicks: row.get("clicks")? }));
        }
    }
    Ok(None)
}

/// A reading as `ops.ingest_files` has it, and how many of its records are in error.
fn reported_file(row: &Row<'_>) -> Result<(FileRow, u64), WarehouseError> {
    let size = row.get("size")?;
    let state = row.get::<&str>("state")?;
    let records: u64 = row.get("records")?;
    let file = FileRow {
        path: row.get("path")?,
        content: row.get("content")?,
        reading: row.get("reading")?,
        size,
        // Nothing has this hash or time: the file is taken for another one and read again.
        size_hash: String::new(),
        modified: String::new(),
        state: if state == "replaced" { FileState::Replaced } else { FileState::Done },
        message: "rebuilt from ops.ingest_files".to_owned(),
        position: size,
        next_row: records + 1,
        tail: None,
        counts: adpipe_warehouse::Counts {
            records,
            valid: row.get("valid")?,
            clicks: row.get("clicks")?,
            duplicates: row.get("duplicates")?,
            float_ids: row.get("float_ids")?,
            ..Default::default()
        },
        first_event: row.get("first_event")?,
        last_event: row.get("last_event")?,
        started_at: row.get("started_at")?,
        content_sum: None,
    };
    Ok((file, row.get("invalid")?))
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
    for row in query_table(work.back_ends.warehouse, ERROR_TYPES, &params)?.iter() {
        let error_type =
            row.parse("error_type", "a type of error", |name: &str| name.parse::<ErrorType>().ok())?;
        let count = row.get::<u64>("errors")?.min(left);
        by_type[error_type as usize] += count;
        left -= count;
    }
    by_type[ErrorType::Parse as usize] += left;
    Ok(by_type)
}

/// Says where the processor continues in a partition.
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
