//! A quick look at the archive for `adpipe doctor`: is every part there, and are some of them sound?

use adpipe_sql::section;
use adpipe_warehouse::{ArchiveReadError, PartName, Warehouse, query_as, query_table};

use crate::BatchError;
use crate::archive::Archive;
use crate::unnamed::{self, Found};

const ARCHIVE_SQL: &str = include_str!("../sql/archive.sql");
const LISTED_PARTS: &str = section(ARCHIVE_SQL, "listed_parts");
const NEWEST_PART: &str = section(ARCHIVE_SQL, "newest_part");

/// What the sampled parts are like.
#[derive(Debug)]
pub struct Sample {
    /// Parts that the list names.
    pub listed: usize,
    /// Parts of them without a hash.
    pub without_hash: usize,
    /// Files compared with the list, parts that are missing among them.
    pub found: Found,
    /// Parts whose hash was compared.
    pub compared: usize,
    /// What is wrong with some of these.
    pub damaged: Vec<ArchiveReadError>,
}

/// Looks whether every part is there, and compares the hash of the newest and of `sample` others, drawn
/// by `seed`.
///
/// # Errors
/// When the warehouse or the archive cannot be read.
pub fn sample(
    warehouse: &dyn Warehouse,
    archive: &Archive,
    sample: usize,
    seed: u64,
) -> Result<Sample, BatchError> {
    let found = unnamed::look(warehouse, archive)?;
    let mut parts: Vec<PartName> = query_as(warehouse, LISTED_PARTS, &[])?;
    let (listed, without_hash) = (parts.len(), parts.iter().filter(|part| part.hash.is_none()).count());
    parts.retain(|part| part.hash.is_some() && !found.missing.contains(&part.path));
    let newest = query_table(warehouse, NEWEST_PART, &[])?;
    let newest: Option<String> = newest.first().map(|row| row.get("path")).transpose()?;
    let mut chosen: Vec<PartName> =
        parts.iter().filter(|part| Some(&part.path) == newest.as_ref()).cloned().collect();
    parts.retain(|part| Some(&part.path) != newest.as_ref());
    let mut state = seed;
    for _ in 0..sample.min(parts.len()) {
        let at = (split_mix(&mut state) % parts.len() as u64) as usize;
        chosen.push(parts.swap_remove(at));
    }
    let mut damaged = Vec::new();
    for part in &chosen {
        match archive.check_part(part) {
            Ok(()) => {}
            Err(ArchiveReadError::Unavailable(reason)) => {
                return Err(BatchError::archive(archive.location(), reason));
            }
            Err(error) => damaged.push(error),
        }
    }
    Ok(Sample { listed, without_hash, found, compared: chosen.len(), damaged })
}

/// The next of a row of numbers that a seed begins. Source: Steele, Lea, Flood, "Fast splittable
/// pseudorandom number generators", OOPSLA 2014.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
