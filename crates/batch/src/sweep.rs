//! Removes what crashed runs have left behind in the archive.

use std::collections::HashSet;

use adpipe_event::Millis;
use adpipe_sql::section;
use adpipe_warehouse::query_table;

use crate::BatchError;
use crate::archive::{date_of, is_written_before};
use crate::etl::Place;

const ARCHIVE_SQL: &str = include_str!("../sql/archive.sql");
const PATHS: &str = section(ARCHIVE_SQL, "paths");

const DAY_MS: i64 = 24 * 3_600_000;

/// Removes the files that no row names; gives how many. Refuses to when the warehouse names none
/// and they are old: then they are not what its own first run left behind, but another's archive.
pub(crate) fn sweep(place: Place<'_>) -> Result<u64, BatchError> {
    let named = query_table(place.warehouse, PATHS, &[])?;
    let named: HashSet<String> = named.rows.iter().map(|row| row[0].to_string()).collect();
    let strays = place.archive.strays(&named)?;
    if strays.is_empty() {
        return Ok(0);
    }
    let days_ago = date_of(Millis(Millis::now().0 - 2 * DAY_MS));
    if named.is_empty()
        && let Some(example) = strays.iter().find(|path| is_written_before(path, &days_ago))
    {
        let location = place.archive.location();
        return Err(BatchError::Foreign { location, example: example.clone() });
    }
    place.warehouse.sync()?;
    place.archive.sweep(&strays)?;
    Ok(strays.len() as u64)
}
