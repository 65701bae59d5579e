//! Which records of a micro-batch are in error: part of its account, as an error that the account
//! does not know is void.

use adpipe_counting::micro_batch::{MicroBatch, Origin};
use adpipe_warehouse::invalid::OffsetSet;

use crate::processor::Rejected;

/// Offsets in error, by the order of the shares.
pub(crate) fn offsets(batch: &MicroBatch, rejected: &Rejected) -> Vec<OffsetSet> {
    let mut by_share = vec![Vec::new(); batch.shares.len()];
    let mut note = |origin: Origin| {
        let offset = batch.runs[origin.run as usize].base_offset.0 + u64::from(origin.record);
        by_share[batch.share_index(origin)].push(offset);
    };
    batch.failed.iter().for_each(|failed| note(failed.origin));
    rejected.iter().for_each(|(index, _)| note(batch.origins[*index]));
    by_share.into_iter().map(OffsetSet::from_iter).collect()
}
