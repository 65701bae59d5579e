//! Writes what follows from a judgement: identities, a raised log, and what each store remembers.

use adpipe_log::{Offset, Topic};
use adpipe_warehouse::identity::{self, Identity, Peer};
use adpipe_warehouse::lost::{self, LostRecords};
use adpipe_warehouse::{Schema, Warehouse};

use crate::judge::{Judgement, LogStep, Step, floors, log_how_far};
use crate::survey::{ACTIONS, FILES, Partition, Survey, index_of};
use crate::{Parts, State, Store, StoresError};

/// The name recorded when it settles automatically.
const ADPIPE: &str = "adpipe";

/// Does it, in an order that a crash at any point leaves to be done again.
pub(super) fn settle(parts: Parts<'_>, survey: &Survey, judgement: &Judgement) -> Result<(), StoresError> {
    for standing in judgement.standings(survey) {
        if let State::GoesOn(message) = &standing.state {
            tracing::warn!(store = standing.store.name(), "{message}");
        }
    }
    if judgement.log_step == LogStep::Raise {
        raise(parts, survey, judgement)?;
    }
    let mut data_id = judgement.data_id.clone();
    for store in [Store::Realtime, Store::Errors, Store::Ops] {
        let Some((index, schema)) = index_of(store).zip(store.schema()) else { continue };
        match judgement.steps[index] {
            Step::Make => {
                let wanted = data_id.clone().unwrap_or_else(identity::new_id);
                identity::make(parts.warehouse, schema, &wanted)?;
                // Another process may have been first: then its data set is ours.
                let made = identity::read(parts.warehouse, schema)?.identity;
                data_id = Some(made.map_or(wanted, |made| made.data_id));
            }
            Step::Renew => renew(parts, survey, judgement, store, schema)?,
            Step::None => {}
        }
    }
    let changed =
        judgement.log_step == LogStep::Raise || judgement.steps.iter().any(|step| *step != Step::None);
    match changed {
        // What was made has an id by now.
        true => remember(parts, &Survey::take(parts)?, judgement),
        false => remember(parts, survey, judgement),
    }
}

/// An older copy that continues exactly begins a new epoch.
fn renew(
    parts: Parts<'_>,
    survey: &Survey,
    judgement: &Judgement,
    store: Store,
    schema: Schema,
) -> Result<(), StoresError> {
    let Some(found) = survey.found(store) else { return Ok(()) };
    let Some(identity) = &found.identity else { return Ok(()) };
    let epoch = newest_epoch(survey, store).max(identity.epoch) + 1;
    let renewed = Identity { epoch, how_far: found.how_far, ..identity.clone() };
    let note = index_of(store).map_or("", |index| judgement.states[index].message());
    Ok(identity::adopt(parts.warehouse, schema, &renewed, &[], ADPIPE, note)?)
}

/// The newest epoch of a store that anybody remembers.
pub(super) fn newest_epoch(survey: &Survey, store: Store) -> u64 {
    let memories = Store::ALL.iter().filter_map(|by| survey.memory(*by, store.name()));
    memories.map(|peer| peer.epoch).max().unwrap_or(0)
}

/// Raises the log past everything that is known of it, and names what was not processed.
fn raise(parts: Parts<'_>, survey: &Survey, judgement: &Judgement) -> Result<(), StoresError> {
    let Some(raise) = parts.raise else { return Ok(()) };
    let mut wanted = Vec::new();
    for (partition, floor) in floors(survey, judgement) {
        let floor = floor.max(newest_error(parts.warehouse, survey, judgement, &partition)?);
        if let Some(lost) = lost_of(&partition, floor) {
            tracing::error!("acknowledged records are lost with the log: {}", crate::lost_in_words(&lost));
            lost::note_lost(parts.warehouse, &lost)?;
        }
        if partition.range.next < Offset(floor) {
            tracing::warn!(
                topic = partition.topic.name(),
                partition = partition.range.partition,
                log_ended_at = partition.range.next.0,
                goes_on_at = floor,
                "the log is older than what was read of it; it continues after that"
            );
            wanted.push((partition.topic, partition.range.partition, Offset(floor)));
        }
    }
    Ok(raise(&wanted)?)
}

/// An error may be in the queue before the offset after its record is stored.
fn newest_error(
    warehouse: &dyn Warehouse,
    survey: &Survey,
    judgement: &Judgement,
    partition: &Partition,
) -> Result<u64, StoresError> {
    let is_ours = survey.found(Store::Errors).is_some() && judgement.is_usable(Store::Errors);
    if is_ours && partition.topic != Topic::Error {
        Ok(lost::behind_newest_error(warehouse, partition.topic.name(), partition.range.partition)?)
    } else {
        Ok(0)
    }
}

/// What the log had of a partition and lacks now, as far as its consumer has not taken it.
fn lost_of(partition: &Partition, floor: u64) -> Option<LostRecords> {
    let first = partition.next_place().max(partition.range.next.0);
    (first < floor).then(|| LostRecords {
        topic: partition.topic.name().to_owned(),
        partition: partition.range.partition,
        first_offset: first,
        next_offset: floor,
        since: partition.place.as_ref().map(|place| place.updated_at.clone()),
        is_accepted: false,
    })
}

/// What every store should remember now.
pub(super) fn memories(survey: &Survey, judgement: &Judgement) -> Vec<Peer> {
    let peer = |store: String, store_id: &str, epoch, how_far| Peer {
        store,
        store_id: store_id.to_owned(),
        epoch,
        how_far,
        seen_at: survey.at.clone(),
    };
    let mut memories = Vec::new();
    if judgement.is_usable(Store::Log) {
        let log = &survey.log;
        memories.push(peer("log".to_owned(), &log.id, log.epoch, log_how_far(survey)));
        memories.extend(
            survey
                .partitions
                .iter()
                .map(|partition| peer(partition.name(), &log.id, log.epoch, partition.range.next.0)),
        );
    }
    for store in [Store::Realtime, Store::Errors, Store::Ops].into_iter().filter(|s| judgement.is_usable(*s))
    {
        let Some(identity) = survey.found(store).and_then(|found| found.identity.as_ref()) else { continue };
        memories.push(peer(store.name().to_owned(), &identity.store_id, identity.epoch, identity.how_far));
        if store == Store::Realtime {
            memories.push(peer(FILES.to_owned(), &identity.store_id, identity.epoch, survey.files));
        }
        if store == Store::Errors {
            memories.push(peer(ACTIONS.to_owned(), &identity.store_id, identity.epoch, survey.actions));
        }
    }
    memories
}

/// Has every store that fits remember the others, where it does not know it already.
fn remember(parts: Parts<'_>, survey: &Survey, judgement: &Judgement) -> Result<(), StoresError> {
    let memories = memories(survey, judgement);
    for store in [Store::Realtime, Store::Errors, Store::Ops] {
        let Some(schema) = store.schema().filter(|_| judgement.is_usable(store)) else { continue };
        match remember_in(parts.warehouse, survey, store, schema, &memories) {
            Ok(()) => {}
            // A process that may not write, or finds it locked, leaves it to the next one.
            Err(StoresError::Warehouse(error)) => {
                tracing::debug!(%error, store = store.name(), "cannot record the other stores now");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn remember_in(
    warehouse: &dyn Warehouse,
    survey: &Survey,
    store: Store,
    schema: Schema,
    memories: &[Peer],
) -> Result<(), StoresError> {
    let Some(found) = survey.found(store) else { return Ok(()) };
    let of_others: Vec<Peer> = memories.iter().filter(|peer| is_news(survey, store, peer)).cloned().collect();
    // How far the others are is the keeper's to remember: a command that only looks writes nothing.
    let is_other = |peer: &Peer| {
        let known = survey.memory(store, &peer.store);
        known.is_none_or(|known| (&known.store_id, known.epoch) != (&peer.store_id, peer.epoch))
    };
    if !of_others.iter().any(is_other) {
        return Ok(());
    }
    let mut session = warehouse.session(schema)?;
    Ok(identity::remember(session.as_mut(), schema, found.how_far, &of_others)?)
}

/// Whether a store does not know this of another yet.
pub(super) fn is_news(survey: &Survey, store: Store, peer: &Peer) -> bool {
    let is_own = peer.store.split(':').next() == Some(store.name());
    !is_own
        && survey.memory(store, &peer.store).is_none_or(|known| {
            (known.store_id.as_str(), known.epoch, known.how_far)
                != (peer.store_id.as_str(), peer.epoch, peer.how_far)
        })
}
