//! Old commits become one row a partition and hour. Each is compared with its sum before, so that
//! damage is not added up into a row that looks sound.

use adpipe_event::ContentSum;
use adpipe_sql::section;

use crate::commit::{COMMIT_COLUMNS, sealed_commit};
use crate::row_sum::row_sum;
use crate::{Transaction, Value, WarehouseError};

const MERGE_SQL: &str = include_str!("../sql/report/merge.sql");
const COMMITS_WITHIN: &str = section(MERGE_SQL, "commits_within");
const DELETE_WITHIN: &str = section(MERGE_SQL, "delete_within");
const INSERT_MERGED: &str = section(MERGE_SQL, "insert_merged");

// A commit is merged by its columns' places: its sum covers all of them, in this order.
const NEXT_OFFSET: usize = 3;
const COMMITTED_AT: usize = 4;
const COUNTS: std::ops::Range<usize> = 5..18;
const LATENCY_COUNTS: usize = 18;
const CONTENT_SUM: usize = 19;
const ROW_SUM: usize = 20;

/// Merges what `mergeable` gives for commits before a time; gives by how many rows there are fewer.
pub(crate) fn merge(
    transaction: &mut dyn Transaction,
    mergeable: &str,
    before: &str,
) -> Result<u64, WarehouseError> {
    let mut fewer = 0;
    for range in &transaction.query(mergeable, &[before.into()])?.rows {
        let commits = transaction.query(COMMITS_WITHIN, range)?.rows;
        if let Some(damaged) = commits.iter().find(|commit| !is_sound(commit)) {
            tracing::error!(
                topic = %damaged[0],
                partition = %damaged[1],
                first_offset = %damaged[2],
                "a row of realtime.commits is not as it was written; run `adpipe verify --deep`"
            );
            continue;
        }
        let Some(one) = merged(&commits) else { continue };
        let deleted = transaction.execute(DELETE_WITHIN, range)?;
        transaction.execute(INSERT_MERGED, &one)?;
        fewer += deleted.saturating_sub(1);
    }
    Ok(fewer)
}

/// Rows without a sum are as old as they are: nothing says that they are not sound.
fn is_sound(commit: &[Value]) -> bool {
    commit[ROW_SUM] == Value::Null || commit[ROW_SUM] == row_sum("realtime.commits", &commit[..ROW_SUM])
}

/// One row for all; none when there is nothing to merge, or something is not a number.
fn merged(commits: &[Vec<Value>]) -> Option<[Value; COMMIT_COLUMNS]> {
    let (first, last) = (commits.first()?, commits.last()?);
    if commits.len() < 2 {
        return None;
    }
    let mut row: [Value; COMMIT_COLUMNS - 1] = std::array::from_fn(|column| first[column].clone());
    row[NEXT_OFFSET] = last[NEXT_OFFSET].clone();
    let newest = commits.iter().filter_map(|commit| commit[COMMITTED_AT].as_str()).max()?;
    row[COMMITTED_AT] = newest.into();
    for column in COUNTS {
        let sum = commits.iter().map(|commit| commit[column].as_i64()).sum::<Option<i64>>()?;
        row[column] = Value::Int(sum);
    }
    row[LATENCY_COUNTS] = "".into();
    let mut content = Some(ContentSum::default());
    for commit in commits {
        match commit[CONTENT_SUM].as_i64().and_then(ContentSum::from_i64) {
            Some(sum) => content.iter_mut().for_each(|content| content.add(sum)),
            None => content = None,
        }
    }
    row[CONTENT_SUM] = content.map(ContentSum::to_i64).into();
    let mut sealed = sealed_commit(row);
    if commits.iter().any(|commit| commit[ROW_SUM] == Value::Null) {
        sealed[ROW_SUM] = Value::Null;
    }
    Some(sealed)
}
