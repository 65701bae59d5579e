//! Begins and ends a run's work on what no row of the archive's list names.

use crate::BatchError;
use crate::back_ends::BackEnds;
use crate::unnamed::{self, Found};

/// Looks before a run begins. Parts that the warehouse cannot explain, and whose events are not
/// counted, mean that it is older than the archive, or another's: then nothing is begun.
pub(crate) fn look_before(back_ends: BackEnds<'_>) -> Result<Found, BatchError> {
    let found = unnamed::look_for_unexplained(back_ends.warehouse, back_ends.archive)?;
    match found.unexplained.first() {
        None => Ok(found),
        Some(example) => {
            let count = found.unexplained.len();
            Err(BatchError::Foreign {
                location: back_ends.archive.location(),
                parts: format!("{count} {}", if count == 1 { "part" } else { "parts" }),
                example: example.file.clone(),
                why: example.reason.clone(),
            })
        }
    }
}

/// Removes the leftovers of runs that this warehouse knows, each of whose events is counted
/// elsewhere. Gives how many, and what is left.
pub(crate) fn sweep(back_ends: BackEnds<'_>) -> Result<(u64, Found), BatchError> {
    // What vouches for a file must be safe from a power failure before the file goes.
    back_ends.warehouse.sync()?;
    let mut found = unnamed::look(back_ends.warehouse, back_ends.archive)?;
    for path in &found.leftovers {
        back_ends.archive.remove(path)?;
    }
    let swept = found.leftovers.drain(..).count() as u64;
    Ok((swept, found))
}
