//! The account of the archive, next to its parts: what they cannot say themselves.
//!
//! Parquet holds events. It does not say which files of the archive count, how far which raw file is
//! read, how far the log is counted, or what became of invalid records. The warehouse does; so that
//! `adpipe rebuild` can build a warehouse again, each run writes it down at its end:
//! `_adpipe/account-1.json` and `account-2.json` in turn. So one of them is always complete: whatever
//! happens to the newer one, the older one is still there.

use std::io::{Read, Write};

use adpipe_event::{ContentSum, ErrorType, Millis};
use adpipe_sql::section;
use adpipe_warehouse::{
    Commit, Counts, FromRow, Row, Table, Value, Warehouse, WarehouseError, WarehouseRead, for_each_row,
    query_table,
};
use serde::{Deserialize, Serialize};
use twox_hash::xxhash3_128::Hasher;

use crate::BatchError;
use crate::archive::{Archive, StoreError};

const ACCOUNT_SQL: &str = include_str!("../sql/account.sql");
const ARCHIVE_PARTS: &str = section(ACCOUNT_SQL, "archive_parts");
const ARCHIVE_PART_HOURS: &str = section(ACCOUNT_SQL, "archive_part_hours");
const FILES: &str = section(ACCOUNT_SQL, "files");
const OFFSETS: &str = section(ACCOUNT_SQL, "offsets");
const COMMITS: &str = section(ACCOUNT_SQL, "commits");
const MINUTES: &str = section(ACCOUNT_SQL, "minutes");

/// Raised with every change that an older adpipe would not understand.
const FORMAT: u32 = 1;

/// The two places, below the archive.
const PLACES: [&str; 2] = ["_adpipe/account-1.json", "_adpipe/account-2.json"];

/// Rows of a table, as the warehouse gave them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rows {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Their values; a text, a whole number, or nothing.
    pub rows: Vec<Vec<serde_json::Value>>,
}

/// The account of some records of a partition that follow each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Counted {
    pub topic: String,
    pub partition: u32,
    pub first_offset: u64,
    pub next_offset: u64,
    pub committed_at: String,
    pub records: u64,
    pub valid: u64,
    pub clicks: u64,
    pub duplicates: u64,
    /// By the type's name.
    pub invalid: std::collections::BTreeMap<String, u64>,
    pub late: u64,
    pub float_ids: u64,
    pub unknown_fields: u64,
    /// Sum of the contents of the valid events; none when a part of it is not known.
    #[serde(default)]
    pub content: Option<i64>,
}

/// What the warehouse knew at the end of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Account {
    /// Of this account.
    pub format: u32,
    /// Version of the adpipe that wrote it.
    pub adpipe: String,
    /// Which data set it is of.
    pub data_id: String,
    /// When, UTC.
    pub written_at: String,
    /// One more with each account.
    pub number: u64,
    /// `realtime.archive_parts`.
    pub archive_parts: Rows,
    /// `realtime.archive_part_hours`.
    pub archive_part_hours: Rows,
    /// `realtime.files`.
    pub files: Rows,
    /// `realtime.offsets`.
    pub offsets: Rows,
    /// `realtime.commits`, merged by the day.
    pub commits: Vec<Counted>,
    /// Figures by the minute are whole from here on; none when always.
    pub minutes_floor: Option<String>,
    /// Oldest minute that has figures; none without figures.
    pub first_minute: Option<String>,
}

/// The account and its checksum: xxh3-128 of its JSON without spaces.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    checksum: String,
    account: Account,
}

/// What is in the two places.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The newest account that is whole.
    pub account: Option<Account>,
    /// What is wrong with the others.
    pub damaged: Vec<String>,
}

/// Writes down what the warehouse knows now, unless it is written down.
pub(crate) fn write(warehouse: &dyn Warehouse, archive: &Archive, data_id: &str) -> Result<(), BatchError> {
    let before = read(archive)?.account;
    let mut account = of_warehouse(warehouse, data_id)?;
    if let Some(before) = &before {
        account.number = before.number;
        account.written_at.clone_from(&before.written_at);
        if account == *before {
            return Ok(());
        }
    }
    account.number += 1;
    account.written_at = Millis::now().to_string();
    let failed = |error: &dyn std::fmt::Display| BatchError::archive(archive.location(), error);
    let sealed = Sealed { checksum: checksum(&account).map_err(|error| failed(&error))?, account };
    let text = serde_json::to_vec(&sealed).map_err(|error| failed(&error))?;
    // Not where the previous one is.
    let place = PLACES[(sealed.account.number % 2) as usize];
    Ok(archive.put_beside(place, &text)?)
}

/// Reads both places.
pub(crate) fn read(archive: &Archive) -> Result<Found, BatchError> {
    let mut found = Found::default();
    for place in PLACES {
        let text = match archive.get_beside(place) {
            Ok(text) => text,
            Err(StoreError::Missing(_)) => continue,
            Err(error) => return Err(error.into()),
        };
        match unsealed(&text) {
            Ok(account) if account.format > FORMAT => {
                found.damaged.push(format!("{place}: a newer adpipe ({}) wrote it", account.adpipe));
            }
            Ok(account) => {
                if found.account.as_ref().is_none_or(|other| other.number < account.number) {
                    found.account = Some(account);
                }
            }
            Err(reason) => found.damaged.push(format!("{place}: {reason}")),
        }
    }
    Ok(found)
}

fn unsealed(text: &[u8]) -> Result<Account, String> {
    let sealed: Sealed = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let expected = checksum(&sealed.account).map_err(|error| error.to_string())?;
    if sealed.checksum == expected {
        Ok(sealed.account)
    } else {
        Err("its checksum does not match".to_owned())
    }
}

fn checksum(account: &Account) -> Result<String, serde_json::Error> {
    Ok(format!("{:032x}", Hasher::oneshot(&serde_json::to_vec(account)?)))
}

/// All of it as of one moment.
fn of_warehouse(warehouse: &dyn Warehouse, data_id: &str) -> Result<Account, BatchError> {
    let snapshot = warehouse.snapshot()?;
    let warehouse = snapshot.as_ref();
    let minutes = query_table(warehouse, MINUTES, &[])?;
    let minutes = minutes.one()?;
    Ok(Account {
        format: FORMAT,
        adpipe: env!("CARGO_PKG_VERSION").to_owned(),
        data_id: data_id.to_owned(),
        written_at: String::new(),
        number: 0,
        archive_parts: rows(warehouse, ARCHIVE_PARTS)?,
        archive_part_hours: rows(warehouse, ARCHIVE_PART_HOURS)?,
        files: rows(warehouse, FILES)?,
        offsets: rows(warehouse, OFFSETS)?,
        commits: commits(warehouse)?,
        minutes_floor: minutes.get("minutes_floor")?,
        first_minute: minutes.get("first_minute")?,
    })
}

fn rows(warehouse: &dyn WarehouseRead, sql: &str) -> Result<Rows, WarehouseError> {
    let table = query_table(warehouse, sql, &[])?;
    let mut rows = Vec::with_capacity(table.len());
    for row in table.iter() {
        rows.push(row.values().iter().map(to_json).collect::<Result<Vec<_>, _>>()?);
    }
    Ok(Rows { columns: table.columns, rows })
}

fn to_json(value: &Value) -> Result<serde_json::Value, WarehouseError> {
    match value {
        Value::Null => Ok(serde_json::Value::Null),
        Value::Int(number) => Ok((*number).into()),
        Value::Text(text) => Ok(text.as_str().into()),
        other => Err(of_another_kind(other)),
    }
}

fn from_json(value: &serde_json::Value) -> Result<Value, WarehouseError> {
    match value {
        serde_json::Value::Null => Ok(Value::Null),
        serde_json::Value::String(text) => Ok(Value::Text(text.clone())),
        serde_json::Value::Number(number) => {
            number.as_i64().map(Value::Int).ok_or_else(|| of_another_kind(value))
        }
        other => Err(of_another_kind(other)),
    }
}

fn of_another_kind(value: &dyn std::fmt::Display) -> WarehouseError {
    WarehouseError::Statement(format!("the account has a value of another kind: {value}"))
}

impl Rows {
    /// As the warehouse gave them.
    ///
    /// # Errors
    /// When a value is neither a text nor a whole number nor nothing, or a row has not a value for
    /// each column.
    pub fn table(&self) -> Result<Table, WarehouseError> {
        let mut rows = Vec::with_capacity(self.rows.len());
        for row in &self.rows {
            if row.len() != self.columns.len() {
                return Err(WarehouseError::Statement(format!(
                    "the account has a row of {} values under {} columns",
                    row.len(),
                    self.columns.len()
                )));
            }
            rows.push(row.iter().map(from_json).collect::<Result<Vec<_>, _>>()?);
        }
        Ok(Table { columns: self.columns.clone(), rows })
    }
}

/// The commits, those of a day that follow each other as one.
fn commits(warehouse: &dyn WarehouseRead) -> Result<Vec<Counted>, WarehouseError> {
    let types: Vec<&str> = ErrorType::ALL.iter().map(|error_type| error_type.as_str()).collect();
    let sql = COMMITS.replace("{types}", &types.join(", "));
    let mut merged: Vec<Counted> = Vec::new();
    for_each_row(warehouse, &sql, &[], |row| {
        let commit = Counted::from_row(&row)?;
        match merged.last_mut() {
            Some(last) if last.is_followed_by(&commit) => last.add(&commit),
            _ => merged.push(commit),
        }
        Ok::<(), WarehouseError>(())
    })
    .map_err(|error| match error {
        WarehouseError::Unusable { location, reason, .. } => WarehouseError::Unusable {
            location: warehouse.location(),
            reason: format!("realtime.commits cannot be read: {location}: {reason}"),
            advice: "restore a backup, or run `adpipe rebuild`",
        },
        other => other,
    })?;
    Ok(merged)
}

impl FromRow for Counted {
    fn from_row(row: &Row<'_>) -> Result<Counted, WarehouseError> {
        let mut counted = Counted {
            topic: row.get("topic")?,
            partition: row.get("partition")?,
            first_offset: row.get("first_offset")?,
            next_offset: row.get("next_offset")?,
            committed_at: row.get("committed_at")?,
            records: row.get("records")?,
            valid: row.get("valid")?,
            clicks: row.get("clicks")?,
            duplicates: row.get("duplicates")?,
            late: row.get("late")?,
            float_ids: row.get("float_ids")?,
            unknown_fields: row.get("unknown_fields")?,
            invalid: std::collections::BTreeMap::new(),
            content: None,
        };
        for error_type in ErrorType::ALL {
            let name = error_type.as_str();
            counted.invalid.insert(name.to_owned(), row.get(name)?);
        }
        let content = row.parse_optional("content_sum", "a sum of contents", ContentSum::from_i64)?;
        counted.content = content.map(ContentSum::to_i64);
        Ok(counted)
    }
}

impl Counted {
    fn is_followed_by(&self, next: &Counted) -> bool {
        const DAY: usize = "YYYY-MM-DD".len();
        let is_of_its_day = self.committed_at.get(..DAY) == next.committed_at.get(..DAY);
        self.topic == next.topic
            && self.partition == next.partition
            && self.next_offset == next.first_offset
            && is_of_its_day
    }

    fn add(&mut self, next: &Counted) {
        self.next_offset = next.next_offset;
        self.committed_at = next.committed_at.clone().max(std::mem::take(&mut self.committed_at));
        self.records += next.records;
        self.valid += next.valid;
        self.clicks += next.clicks;
        self.duplicates += next.duplicates;
        self.late += next.late;
        self.float_ids += next.float_ids;
        self.unknown_fields += next.unknown_fields;
        self.content = self.content_sum().zip(next.content_sum()).map(|(mut sum, more)| {
            sum.add(more);
            sum.to_i64()
        });
        for (name, count) in &next.invalid {
            *self.invalid.entry(name.clone()).or_default() += count;
        }
    }

    fn content_sum(&self) -> Option<ContentSum> {
        self.content.and_then(ContentSum::from_i64)
    }

    /// As it is recorded; none when it names a topic or a type that this adpipe does not know.
    pub fn to_commit(&self) -> Option<Commit> {
        let topic = adpipe_counting::TOPICS.iter().find(|topic| topic.name() == self.topic)?;
        let mut counts = Counts {
            records: self.records,
            valid: self.valid,
            clicks: self.clicks,
            duplicates: self.duplicates,
            late: self.late,
            float_ids: self.float_ids,
            unknown_fields: self.unknown_fields,
            ..Counts::default()
        };
        for (name, count) in &self.invalid {
            let error_type = ErrorType::ALL.into_iter().find(|known| known.as_str() == name)?;
            counts.invalid_by_type[error_type as usize] = *count;
        }
        Some(Commit {
            topic: topic.name(),
            partition: self.partition,
            first_offset: self.first_offset,
            next_offset: self.next_offset,
            committed_at: Millis::parse_sql(&self.committed_at)?,
            counts,
            latency: adpipe_warehouse::LatencyCounts::default(),
            content: self.content_sum(),
        })
    }
}

impl Archive {
    /// Replaces a small file next to the parts, whole or not at all.
    pub(crate) fn put_beside(&self, path: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.store.remove(&unfinished(path))?;
        let mut file = self.store.create(path)?;
        file.write_all(bytes).map_err(|error| StoreError::failed(self.store.location_of(path), error))?;
        file.complete()?;
        file.publish()
    }

    /// A small file next to the parts.
    pub(crate) fn get_beside(&self, path: &str) -> Result<Vec<u8>, StoreError> {
        let file = self.store.open(path)?;
        let mut bytes = Vec::new();
        let mut reader = StoredReader { file, position: 0 };
        match reader.read_to_end(&mut bytes) {
            Ok(_) => Ok(bytes),
            Err(error) => Err(StoreError::failed(self.store.location_of(path), error)),
        }
    }
}

/// What a run that was killed leaves behind of a file that it was writing.
fn unfinished(path: &str) -> String {
    match path.rsplit_once('/') {
        Some((folder, name)) => format!("{folder}/{}{name}", crate::archive::UNFINISHED),
        None => format!("{}{path}", crate::archive::UNFINISHED),
    }
}

struct StoredReader {
    file: Box<dyn crate::archive::StoredFile>,
    position: u64,
}

impl Read for StoredReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.file.read_at(self.position, buffer)?;
        self.position += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use adpipe_warehouse::sqlite::SqliteWarehouse;

    #[test]
    fn the_newest_whole_account_counts() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("processed")).unwrap();
        let archive = Archive::in_folder(&folder.path().join("processed"));
        assert!(read(&archive).unwrap().account.is_none());
        let warehouse = SqliteWarehouse::open(folder.path()).unwrap();
        for number in 1..=3 {
            warehouse.begin_at("ad_events_raw", number, 7).unwrap();
            // Written once for each state.
            for _ in 0..2 {
                write(&warehouse, &archive, "x").unwrap();
            }
            let account = read(&archive).unwrap().account.unwrap();
            assert_eq!((account.number, account.offsets.rows.len()), (number.into(), number as usize));
        }
        // Whatever becomes of the newest, the one before is there.
        let newest = folder.path().join("processed").join(PLACES[1]);
        let whole = std::fs::read(&newest).unwrap();
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            std::fs::write(&newest, changed).unwrap();
            let found = read(&archive).unwrap();
            assert_eq!((found.account.unwrap().number, found.damaged.len()), (2, 1), "byte {at}");
        }
        // The next one takes the place of the damaged one.
        write(&warehouse, &archive, "x").unwrap();
        let found = read(&archive).unwrap();
        assert_eq!((found.account.unwrap().number, found.damaged.len()), (3, 0));
    }
}
