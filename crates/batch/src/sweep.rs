//! Begins and ends a run's work on what no row of the archive's list names.

use crate::BatchError;
use crate::etl::Place;
use crate::unnamed::{self, Found};

/// Looks before a run begins. Parts that the warehouse cannot explain, and whose events are not
/// counted, mean that it is older than the archive, or another's: then nothing is begun.
pub(crate) fn look_before(place: Place<'_>) -> Result<Found, BatchError> {
    let found = unnamed::look_for_unexplained(place.warehouse, place.archive)?;
    match found.unexplained.first() {
        None => Ok(found),
        Some(example) => {
            let count = found.unexplained.len();
            Err(BatchError::Foreign {
                location: place.archive.location(),
                parts: format!("{count} {}", if count == 1 { "part" } else { "parts" }),
                example: example.file.clone(),
                why: example.reason.clone(),
            })
        }
    }
}

/// Removes the leftovers of runs that this warehouse knows, each of whose events is counted
/// elsewhere. Gives how many, and what is left.
pub(crate) fn sweep(place: Place<'_>) -> Result<(u64, Found), BatchError> {
    // What vouches for a file must be safe from a power failure before the file goes.
    place.warehouse.sync()?;
    let mut found = unnamed::look(place.warehouse, place.archive)?;
    for path in &found.leftovers {
        place.archive.remove(path)?;
    }
    let swept = found.leftovers.drain(..).count() as u64;
    Ok((swept, found))
}
