//! Takes a consumer over records that are gone and named, and over nothing else.

use adpipe_log::{LogError, Topic};
use adpipe_warehouse::{Warehouse, WarehouseError, lost};

use crate::survey::consumer_of;

/// The outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crossing {
    /// The stored place is now after the gap: start from it.
    Crossed,
    /// What lies before the gap is not committed yet: wait, and start from the stored place.
    NotThere,
    /// What is missing was not named. It must not be skipped.
    Refused,
}

/// Moves the stored place of a partition's consumer over the offsets that the log refuses, when all
/// of them are on record as lost.
///
/// # Errors
/// Failures of the warehouse.
pub fn cross(warehouse: &dyn Warehouse, refused: &LogError) -> Result<Crossing, WarehouseError> {
    let LogError::OutOfRange { topic, partition, wanted, oldest } = refused else {
        return Ok(Crossing::Refused);
    };
    let consumer = Topic::from_name(topic).and_then(|topic| consumer_of(topic).schema());
    let Some(schema) = consumer.filter(|_| oldest > wanted) else { return Ok(Crossing::Refused) };
    let lost = lost::lost_records(warehouse)?;
    let is_named = lost.iter().any(|lost| {
        lost.topic == *topic
            && lost.partition == *partition
            && (lost.first_offset..lost.next_offset).contains(wanted)
            && lost.next_offset >= *oldest
    });
    if !is_named {
        return Ok(Crossing::Refused);
    }
    let places = lost::places(warehouse, schema, topic)?;
    let place = places.iter().find(|(of, _)| of == partition).map(|(_, place)| place.next_offset);
    if place != Some(*wanted) {
        return Ok(Crossing::NotThere);
    }
    lost::move_place(warehouse, schema, (topic, *partition), (*wanted, *oldest))?;
    tracing::warn!(topic, partition, from = wanted, to = oldest, "continuing after records that are gone");
    Ok(Crossing::Crossed)
}
