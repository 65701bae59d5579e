//! Merges the small files of a day, which readers pay for one by one.
//!
//! The new files are named and the old ones forgotten in one transaction; then the old ones go. Ids and
//! counts of every hour stay as they are, so no reader is affected. A crash in between leaves files
//! whose events are all in the new ones: a leftover (`unnamed.rs`).

use adpipe_event::EventBatch;
use adpipe_runtime::Shutdown;
use adpipe_runtime::progress::{Progress, Unit};
use adpipe_sql::section;
use adpipe_warehouse::{FromRow, PartName, Value, query_table};

use crate::BatchError;
use crate::archive::{PartFile, rows_by_date};
use crate::back_ends::BackEnds;
use crate::commit::add_part_row;
use crate::unreadable::Unreadable;

const ARCHIVE_SQL: &str = include_str!("../sql/archive.sql");
const SMALL_PARTS: &str = section(ARCHIVE_SQL, "small_parts");
const REMOVE_PART: &str = section(ARCHIVE_SQL, "remove_part");
const REMOVE_PART_HOURS: &str = section(ARCHIVE_SQL, "remove_part_hours");

/// A file with fewer rows is small.
const SMALL_ROWS: i64 = 100_000;

/// Rows of a merged file, at most.
const MERGED_ROWS: u64 = 300_000;

/// Merges the small files of days that have at least `least` of them. Gives how many files became
/// how many.
pub(crate) fn merge(
    least: u64,
    back_ends: BackEnds<'_>,
    unreadable: &Unreadable,
    progress: &Progress,
    shutdown: &Shutdown,
) -> Result<(u64, u64), BatchError> {
    if least < 2 {
        return Ok((0, 0));
    }
    let small =
        query_table(back_ends.warehouse, SMALL_PARTS, &[SMALL_ROWS.into(), Value::Int(least as i64)])?;
    progress.expect(small.column::<u64>("rows")?.iter().sum(), Unit::Events);
    let mut merged = (0, 0);
    let mut group: Vec<PartName> = Vec::new();
    let (mut group_date, mut group_rows) = (String::new(), 0);
    for row in small.iter() {
        let (date, part): (String, PartName) = (row.get("event_date")?, PartName::from_row(&row)?);
        let rows: u64 = row.get("rows")?;
        if date != group_date || group_rows + rows > MERGED_ROWS {
            merge_group(back_ends, unreadable, &mut group, &mut merged)?;
            (group_date, group_rows) = (date, 0);
        }
        if shutdown.is_triggered() {
            return Ok(merged);
        }
        group_rows += rows;
        progress.add(rows);
        group.push(part);
    }
    merge_group(back_ends, unreadable, &mut group, &mut merged)?;
    Ok(merged)
}

fn merge_group(
    back_ends: BackEnds<'_>,
    unreadable: &Unreadable,
    group: &mut Vec<PartName>,
    merged: &mut (u64, u64),
) -> Result<(), BatchError> {
    let names = std::mem::take(group);
    if names.len() < 2 {
        return Ok(());
    }
    let (batches, paths) = read_parts(back_ends, unreadable, names)?;
    if paths.len() < 2 {
        return Ok(());
    }
    let archive = back_ends.archive;
    let batches: Vec<&EventBatch> = batches.iter().collect();
    let mut parts: Vec<PartFile> = Vec::new();
    for rows in rows_by_date(&batches, |_, _| true) {
        parts.push(archive.with_source("merged").write(&batches, &rows)?);
    }
    parts.iter().try_for_each(PartFile::publish)?;
    name_instead(back_ends, &parts, &paths)?;
    paths.iter().try_for_each(|path| archive.remove(path))?;
    merged.0 += paths.len() as u64;
    merged.1 += parts.len() as u64;
    Ok(())
}

/// The events of these parts, and the paths of those that can be read.
fn read_parts(
    back_ends: BackEnds<'_>,
    unreadable: &Unreadable,
    names: Vec<PartName>,
) -> Result<(Vec<EventBatch>, Vec<String>), BatchError> {
    let archive = back_ends.archive;
    let (mut batches, mut paths) = (Vec::new(), Vec::new());
    for part in names {
        let mut of_part = Vec::new();
        let read = archive
            .check_part(&part)
            .and_then(|()| archive.events(&part.path, None, |events| of_part.push(events)));
        match read {
            Ok(()) => {
                batches.append(&mut of_part);
                paths.push(part.path);
            }
            // It stays as it is, and so does what the list says of it.
            Err(error) => unreadable.note_part(back_ends.warehouse, &part.path, &error)?,
        }
    }
    Ok((batches, paths))
}

/// Has the list name the new parts and no longer the old ones.
fn name_instead(back_ends: BackEnds<'_>, parts: &[PartFile], old_paths: &[String]) -> Result<(), BatchError> {
    let mut writer = back_ends.warehouse.stream_writer()?;
    let mut transaction = writer.begin()?;
    transaction.lock_archive()?;
    for path in old_paths {
        let path: [Value; 1] = [path.as_str().into()];
        if transaction.execute(REMOVE_PART, &path)? != 1 {
            parts.iter().for_each(PartFile::discard);
            return Err(BatchError::Overtaken);
        }
        transaction.execute(REMOVE_PART_HOURS, &path)?;
    }
    for part in parts {
        add_part_row(transaction.as_mut(), &part.row(), "merged")?;
    }
    transaction.commit()?;
    // A power failure could undo a commit that is not synced: the old files would be named again.
    back_ends.warehouse.sync()?;
    Ok(())
}
