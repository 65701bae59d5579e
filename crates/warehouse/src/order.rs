//! The order in which a batch's events are written.

use adpipe_event::EventBatch;

/// Indexes of the events in the order of the primary key, so that neighbours in the key are
/// written one after the other. Stable: of two events with one key, the first one wins. Without
/// those for which `except` holds, which has one value an event, or none.
pub(crate) fn sorted_by_key(events: &EventBatch, except: &[bool]) -> Vec<usize> {
    let is_left_out = |index: &usize| except.get(*index).copied().unwrap_or(false);
    let mut order: Vec<usize> = (0..events.len()).filter(|index| !is_left_out(index)).collect();
    order.sort_by(|a, b| {
        let hours = events.event_time(*a).floor_hour().cmp(&events.event_time(*b).floor_hour());
        hours.then_with(|| events.id(*a).cmp(events.id(*b)))
    });
    order
}
