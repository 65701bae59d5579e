//! `adpipe stores accept`: an older copy was restored on purpose.

use adpipe_log::Offset;
use adpipe_warehouse::identity::{self, Identity};
use adpipe_warehouse::lost::{self, LostRecords};

use crate::judge::{Judgement, judge};
use crate::settle::{memories, newest_epoch};
use crate::survey::{Partition, Survey, index_of};
use crate::{Parts, State, Store, Stores, StoresError};

/// Takes a store as it is for a part of the data set, on the record, in a new epoch; of the log also
/// every record that is named as lost. Gives how the stores stand then.
///
/// # Errors
/// [`StoresError::Refused`] when there is nothing to accept or it cannot be, with what to do.
pub fn accept(parts: Parts<'_>, store: Store, actor: &str) -> Result<Stores, StoresError> {
    let survey = Survey::take(parts)?;
    let judgement = judge(&survey);
    match store.schema() {
        None => accept_log(parts, &survey, &judgement, actor)?,
        Some(_) => accept_store(parts, &survey, &judgement, store, actor)?,
    }
    // The log may have to be raised past what is now part of the data set.
    crate::open(parts)
}

fn accept_log(
    parts: Parts<'_>,
    survey: &Survey,
    judgement: &Judgement,
    actor: &str,
) -> Result<(), StoresError> {
    let is_stopped = matches!(judgement.log, State::Stopped(_));
    if is_stopped && parts.raise.is_none() {
        moved_with_its_offsets(survey)?;
    }
    if is_stopped && parts.raise.is_some() {
        return Err(StoresError::Refused(format!(
            "another log cannot be accepted: {}",
            judgement.log.message()
        )));
    }
    if !is_stopped && crate::not_accepted(parts.warehouse)?.is_empty() {
        return Err(StoresError::Refused(
            "the log fits the other stores; there is nothing to accept".to_owned(),
        ));
    }
    let log = parts.log.identity()?;
    lost::accept_lost(parts.warehouse, (&log.id, log.epoch), actor, judgement.log.message())?;
    if is_stopped {
        let mut accepted = judge(survey);
        accepted.log = State::Sound;
        let now = Survey::take(parts)?;
        remember_everywhere(parts, &now, &accepted)?;
    }
    Ok(())
}

/// Topics that were moved keep their offsets: else what is stored of them would mean other records.
fn moved_with_its_offsets(survey: &Survey) -> Result<(), StoresError> {
    for partition in &survey.partitions {
        let (place, range) = (partition.next_place(), partition.range);
        if partition.place.is_some() && (Offset(place) > range.next || Offset(place) < range.first) {
            return Err(StoresError::Refused(format!(
                "{} partition {} has offsets {} to {}, and {place} comes next: these topics were not moved \
                 with their offsets, so adpipe cannot continue with them; use a new database for them (warehouse.url)",
                partition.topic.name(),
                range.partition,
                range.first.0,
                range.next.0
            )));
        }
    }
    Ok(())
}

fn missing(partition: &Partition, from: u64, to: u64) -> LostRecords {
    LostRecords {
        topic: partition.topic.name().to_owned(),
        partition: partition.range.partition,
        first_offset: from,
        next_offset: to,
        since: partition.place.as_ref().map(|place| place.updated_at.clone()),
        is_accepted: false,
    }
}

fn accept_store(
    parts: Parts<'_>,
    survey: &Survey,
    judgement: &Judgement,
    store: Store,
    actor: &str,
) -> Result<(), StoresError> {
    let fits = || {
        StoresError::Refused(format!("{} fits the other stores; there is nothing to accept", store.name()))
    };
    let (Some(index), Some(schema)) = (index_of(store), store.schema()) else { return Err(fits()) };
    let State::Stopped(reason) = &judgement.states[index] else { return Err(fits()) };
    let Some(found) = survey.found(store) else {
        return Err(StoresError::Refused(format!("{} cannot be accepted: {reason}", store.name())));
    };
    let data_id = judgement.data_id.clone().unwrap_or_else(identity::new_id);
    let own = found.identity.as_ref().filter(|own| own.data_id == data_id);
    let identity = Identity {
        data_id,
        store_id: own.map_or_else(identity::new_id, |own| own.store_id.clone()),
        epoch: newest_epoch(survey, store).max(own.map_or(0, |own| own.epoch)) + 1,
        how_far: found.how_far,
    };
    // What the log no longer has for this store goes on the record first.
    for lost in gone_for(parts, survey, store)? {
        tracing::warn!("not to be processed any more: {lost}");
        lost::note_lost(parts.warehouse, &lost)?;
    }
    let peers: Vec<_> =
        memories(survey, judgement).into_iter().filter(|peer| peer.store != store.name()).collect();
    identity::adopt(parts.warehouse, schema, &identity, &peers, actor, reason)?;
    let now = Survey::take(parts)?;
    let mut accepted = judge(survey);
    accepted.states[index] = State::Sound;
    remember_everywhere(parts, &now, &accepted)
}

/// Records that come next for a store and that the log does not have: retired, or in a gap.
fn gone_for(parts: Parts<'_>, survey: &Survey, store: Store) -> Result<Vec<LostRecords>, StoresError> {
    let mut gone = Vec::new();
    for partition in survey.partitions.iter().filter(|partition| partition.consumer() == store) {
        // A store without a place begins with the oldest record, wherever that is.
        let Some(place) = &partition.place else { continue };
        let (place, first) = (place.next_offset, partition.range.first.0);
        if place < first {
            gone.push(missing(partition, place, first));
        }
        for gap in parts.log.gaps(partition.topic)? {
            let from = gap.from.0.max(place);
            if gap.partition == partition.range.partition && from < gap.to.0 {
                gone.push(missing(partition, from, gap.to.0));
            }
        }
    }
    Ok(gone)
}

fn remember_everywhere(parts: Parts<'_>, survey: &Survey, judgement: &Judgement) -> Result<(), StoresError> {
    let memories = memories(survey, judgement);
    for store in [Store::Realtime, Store::Errors, Store::Ops].into_iter().filter(|s| judgement.is_usable(*s))
    {
        let (Some(found), Some(schema)) = (survey.found(store), store.schema()) else { continue };
        let others: Vec<_> = memories
            .iter()
            .filter(|peer| peer.store.split(':').next() != Some(store.name()))
            .cloned()
            .collect();
        let mut session = parts.warehouse.session(schema)?;
        identity::remember(session.as_mut(), schema, found.how_far, &others)?;
    }
    Ok(())
}
