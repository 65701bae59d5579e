//! Hashes for parts from before hashes were kept: set once the part is what its list says.

use std::collections::BTreeMap;

use adpipe_event::Millis;
use adpipe_runtime::Shutdown;
use adpipe_sql::section;
use adpipe_warehouse::{ArchiveReadError, Schema, Value, query_table};

use crate::BatchError;
use crate::back_ends::BackEnds;
use crate::unreadable::{Unreadable, listed_hours};

const ARCHIVE_SQL: &str = include_str!("../sql/archive.sql");
const UNHASHED_PARTS: &str = section(ARCHIVE_SQL, "unhashed_parts");
const SET_HASH: &str = section(ARCHIVE_SQL, "set_hash");

/// Sets the hash of parts that have none; gives how many. A part that is not what its list says is
/// noted as damaged.
pub(crate) fn set_missing(
    back_ends: BackEnds<'_>,
    unreadable: &Unreadable,
    shutdown: &Shutdown,
) -> Result<u64, BatchError> {
    let parts = query_table(back_ends.warehouse, UNHASHED_PARTS, &[])?;
    let mut set = 0;
    for row in parts.iter() {
        if shutdown.is_triggered() {
            break;
        }
        let path: String = row.get("path")?;
        let listed = Listed {
            rows: row.get("rows")?,
            clicks: row.get("clicks")?,
            bytes: row.get("bytes")?,
            hours: listed_hours(back_ends.warehouse, &path)?,
        };
        match hash_when_as_listed(back_ends, &path, &listed) {
            Ok(hash) => {
                let mut session = back_ends.warehouse.session(Schema::Realtime)?;
                let mut transaction = session.begin()?;
                let params: [Value; 2] = [path.as_str().into(), hash.into()];
                set += transaction.execute(SET_HASH, &params)?;
                transaction.commit()?;
            }
            Err(error) => unreadable.note_part(back_ends.warehouse, &path, &error)?,
        }
    }
    Ok(set)
}

#[derive(Debug, PartialEq, Eq)]
struct Listed {
    rows: u64,
    clicks: u64,
    bytes: u64,
    hours: BTreeMap<Millis, (u64, u64)>,
}

fn hash_when_as_listed(
    back_ends: BackEnds<'_>,
    path: &str,
    listed: &Listed,
) -> Result<String, ArchiveReadError> {
    let (hash, bytes) = back_ends.archive.hash(path)?;
    let mut found = Listed { rows: 0, clicks: 0, bytes, hours: BTreeMap::new() };
    back_ends.archive.figures(path, |figure| {
        let click = u64::from(figure.click);
        let (rows, clicks) = found.hours.entry(figure.event_time.floor_hour()).or_default();
        (*rows, *clicks) = (*rows + 1, *clicks + click);
        (found.rows, found.clicks) = (found.rows + 1, found.clicks + click);
    })?;
    if found == *listed {
        Ok(hash)
    } else {
        Err(ArchiveReadError::Damaged {
            path: path.to_owned(),
            reason: format!(
                "it has {} events, {} clicks and {} bytes, and the archive's list says {}, {} and {}, or others by the hour",
                found.rows, found.clicks, found.bytes, listed.rows, listed.clicks, listed.bytes
            ),
        })
    }
}
