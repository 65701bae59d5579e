//! Compares the stores with what the others record about them. Changes nothing.

use adpipe_log::{Offset, Topic};
use adpipe_warehouse::identity::{Found, Identity, Peer};

use crate::resume::{cure, goes_on};
use crate::survey::{Partition, Remembered, Seen, Survey, index_of};
use crate::{Standing, State, Store};

/// What is to be done about a store of the warehouse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing.
    None,
    /// It becomes part of the data set.
    Make,
    /// It is an older copy that continues exactly: it gets a new epoch.
    Renew,
}

/// What is to be done about the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LogStep {
    /// Nothing.
    None,
    /// It is gone or older: its next records must come after everything that its consumers know.
    Raise,
}

/// What was found out.
#[derive(Debug)]
pub(super) struct Judgement {
    /// The data set that these stores are of; none when none of them is of any.
    pub data_id: Option<String>,
    pub log: State,
    pub log_step: LogStep,
    /// In the order of `identity::STORES`.
    pub states: [State; 3],
    pub steps: [Step; 3],
}

impl Judgement {
    /// The state of each store, for people.
    pub fn standings(&self, survey: &Survey) -> Vec<Standing> {
        Store::ALL.iter().map(|store| self.standing(survey, *store)).collect()
    }

    fn standing(&self, survey: &Survey, store: Store) -> Standing {
        let known = remembered(survey, store.name()).into_iter().map(|(by, peer)| known_of(by, peer));
        let known = known.collect();
        let Some(index) = index_of(store) else {
            return Standing {
                store,
                place: survey.log_place.clone(),
                data_id: None,
                store_id: Some(survey.log.id.clone()),
                epoch: survey.log.epoch,
                how_far: log_how_far(survey),
                known,
                state: self.log.clone(),
            };
        };
        let found = survey.found(store);
        let identity = found.and_then(|found| found.identity.as_ref());
        Standing {
            store,
            place: survey.places[index].clone(),
            data_id: identity.map(|identity| identity.data_id.clone()),
            store_id: identity.map(|identity| identity.store_id.clone()),
            epoch: identity.map_or(0, |identity| identity.epoch),
            how_far: found.map_or(0, |found| found.how_far),
            known,
            state: self.states[index].clone(),
        }
    }

    /// Whether a store may be written to.
    pub fn is_usable(&self, store: Store) -> bool {
        let state = index_of(store).map_or(&self.log, |index| &self.states[index]);
        !matches!(state, State::Stopped(_))
    }
}

/// How far the log is: the records it ever had.
pub(super) fn log_how_far(survey: &Survey) -> u64 {
    survey.partitions.iter().map(|partition| partition.range.next.0).sum()
}

fn known_of(by: Store, peer: &Peer) -> Remembered {
    Remembered {
        by,
        store_id: peer.store_id.clone(),
        epoch: peer.epoch,
        how_far: peer.how_far,
        seen_at: peer.seen_at.clone(),
    }
}

/// Which store records another one, and what.
fn remembered<'s>(survey: &'s Survey, name: &str) -> Vec<(Store, &'s Peer)> {
    let stores = Store::ALL.into_iter();
    stores.filter_map(|by| Some((by, survey.memory(by, name)?))).collect()
}

/// Compares everything.
pub(super) fn judge(survey: &Survey) -> Judgement {
    let data_id = data_set_of(survey);
    let mut judgement = Judgement {
        data_id,
        log: State::Sound,
        log_step: LogStep::None,
        states: [State::Sound, State::Sound, State::Sound],
        steps: [Step::None, Step::None, Step::None],
    };
    // A store of another data set says nothing about ours.
    for store in [Store::Realtime, Store::Errors, Store::Ops] {
        let Some(index) = index_of(store) else { continue };
        if let Some(message) = foreign(survey, &judgement, store) {
            judgement.states[index] = State::Stopped(message);
        }
    }
    let ours = Ours::of(survey, &judgement);
    (judgement.log, judgement.log_step) = judge_log(survey, &ours);
    for store in [Store::Realtime, Store::Errors, Store::Ops] {
        let Some(index) = index_of(store) else { continue };
        if matches!(judgement.states[index], State::Stopped(_)) {
            continue;
        }
        let (state, step) = match &survey.stores[index] {
            Seen::Unread => (State::Sound, Step::None),
            Seen::Unusable(reason) => (State::Stopped(reason.clone()), Step::None),
            Seen::There(found) => judge_store(survey, &ours, &judgement, store, found),
        };
        judgement.states[index] = state;
        judgement.steps[index] = step;
    }
    judgement
}

/// The data set that most of the stores are of; `realtime` decides a tie.
fn data_set_of(survey: &Survey) -> Option<String> {
    let mut votes: Vec<(String, u32)> = Vec::new();
    for store in [Store::Realtime, Store::Errors, Store::Ops] {
        let Some(identity) = survey.found(store).and_then(|found| found.identity.as_ref()) else { continue };
        // A store that records this very log counts twice.
        let knows_log = survey.memory(store, "log").is_some_and(|log| log.store_id == survey.log.id);
        let weight = if knows_log { 2 } else { 1 };
        match votes.iter_mut().find(|(data_id, _)| *data_id == identity.data_id) {
            Some((_, votes)) => *votes += weight,
            None => votes.push((identity.data_id.clone(), weight)),
        }
    }
    // The first of equals wins: `realtime` votes first.
    let most = votes.iter().map(|(_, votes)| *votes).max()?;
    votes.into_iter().find(|(_, votes)| *votes == most).map(|(data_id, _)| data_id)
}

fn foreign(survey: &Survey, judgement: &Judgement, store: Store) -> Option<String> {
    let identity = survey.found(store)?.identity.as_ref()?;
    let ours = judgement.data_id.as_ref()?;
    (identity.data_id != *ours).then(|| {
        format!(
            "it belongs to another data set ({}, the others belong to {ours}); put its own copy back, or run \
             `adpipe stores accept {}` to continue with this one",
            identity.data_id,
            store.name()
        )
    })
}

/// The stores of this data set whose memory counts.
struct Ours(Vec<Store>);

impl Ours {
    fn of(survey: &Survey, judgement: &Judgement) -> Ours {
        let is_ours = |store: &Store| {
            index_of(*store).is_some_and(|index| {
                judgement.states[index] == State::Sound && matches!(survey.stores[index], Seen::There(_))
            })
        };
        Ours(Store::ALL.into_iter().filter(is_ours).collect())
    }

    /// What they remember of a store.
    fn remember<'s>(&self, survey: &'s Survey, name: &str) -> Vec<(Store, &'s Peer)> {
        remembered(survey, name).into_iter().filter(|(by, _)| self.0.contains(by)).collect()
    }
}

fn judge_log(survey: &Survey, ours: &Ours) -> (State, LogStep) {
    let known = ours.remember(survey, "log");
    let is_known = known.iter().any(|(_, log)| log.store_id == survey.log.id);
    let is_empty = survey.partitions.iter().all(|partition| partition.range.first == partition.range.next);
    let may_be_taken = known.is_empty() || is_known || (is_empty && survey.is_ours);
    if !may_be_taken {
        return (State::Stopped(other_log(survey)), LogStep::None);
    }
    let is_older_epoch =
        known.iter().any(|(_, log)| log.store_id == survey.log.id && log.epoch > survey.log.epoch);
    let behind = behind(survey, ours);
    if !is_older_epoch && behind.is_empty() {
        return (State::Sound, LogStep::None);
    }
    let ends = behind.iter().map(|(partition, needed)| {
        format!(
            "{} partition {} ends at {}, not at {needed}",
            partition.topic.name(),
            partition.range.partition,
            partition.range.next.0
        )
    });
    let ends = ends.collect::<Vec<_>>().join(", ");
    if !survey.is_ours {
        let message = format!(
            "its topics are shorter than what was read of them, so they were created again or restored: \
             {ends}; restore the topics, or use a new database for them (warehouse.url)"
        );
        return (State::Stopped(message), LogStep::None);
    }
    let what = if is_known || known.is_empty() { "it is an older copy" } else { "it was missing and is new" };
    let ends = if ends.is_empty() { "no offset is missing".to_owned() } else { ends };
    let message = format!("{what}: {ends}; new records continue after what the other stores know");
    (State::GoesOn(message), LogStep::Raise)
}

fn other_log(survey: &Survey) -> String {
    if survey.is_ours {
        "it is not the log that the other stores know, and it is not empty; put their own log.db back (with \
                 log.db-wal, if there is one); if that is lost, move this one away, and adpipe continues with a new one"
            .to_owned()
    } else {
        "it is not the Kafka cluster that the other stores know; correct log.url or log.topic_prefix, use a \
                  new database for it (warehouse.url), or, if the topics were moved with their offsets, run `adpipe \
                  stores accept log`"
            .to_owned()
    }
}

/// Partitions whose next offset is below what another store knows, and that offset.
fn behind<'s>(survey: &'s Survey, ours: &Ours) -> Vec<(&'s Partition, u64)> {
    let needed = survey.partitions.iter().map(|partition| (partition, needed(survey, ours, partition)));
    needed.filter(|(partition, needed)| partition.range.next < Offset(*needed)).collect()
}

/// The offset that the next record of a partition must have at least.
fn needed(survey: &Survey, ours: &Ours, partition: &Partition) -> u64 {
    let name = partition.name();
    let remembered = ours.0.iter().filter_map(|by| survey.partition_memory(*by, &name));
    let mut needed = remembered.map(|peer| peer.how_far).max().unwrap_or(0);
    if ours.0.contains(&partition.consumer()) {
        needed = needed.max(partition.next_place());
    }
    if partition.topic == Topic::Retry && partition.range.partition == 0 && ours.0.contains(&Store::Errors) {
        needed = needed.max(survey.replays);
    }
    needed
}

/// For raising the log: all partitions and the offsets they must reach.
pub(super) fn floors(survey: &Survey, judgement: &Judgement) -> Vec<(Partition, u64)> {
    let ours =
        Ours(Store::ALL.into_iter().filter(|store| is_of_data_set(survey, judgement, *store)).collect());
    survey.partitions.iter().map(|partition| (partition.clone(), needed(survey, &ours, partition))).collect()
}

fn is_of_data_set(survey: &Survey, judgement: &Judgement, store: Store) -> bool {
    survey.found(store).is_some_and(|found| {
        found.identity.as_ref().is_none_or(|identity| Some(&identity.data_id) == judgement.data_id.as_ref())
    })
}

fn judge_store(
    survey: &Survey,
    ours: &Ours,
    judgement: &Judgement,
    store: Store,
    found: &Found,
) -> (State, Step) {
    let memories = ours.remember(survey, store.name());
    let Some(identity) = &found.identity else {
        return without_identity(survey, judgement, store, found, &memories);
    };
    let newer = memories.iter().filter(|(by, peer)| is_newer(survey, store, identity, *by, peer));
    let Some((by, peer)) = newer.max_by_key(|(_, peer)| (peer.epoch, peer.how_far)) else {
        return (State::Sound, Step::None);
    };
    let what = format!(
        "it is an older copy: {} has seen it at {} (epoch {}) on {} UTC, it is at {} (epoch {})",
        by.name(),
        peer.how_far,
        peer.epoch,
        peer.seen_at,
        identity.how_far,
        identity.epoch
    );
    match goes_on(survey, &judgement.log_step, store, &memories) {
        Ok(()) => (State::GoesOn(format!("{what}; it continues exactly from there")), Step::Renew),
        Err(reason) => (State::Stopped(format!("{what}, and {reason}; {}", cure(store))), Step::None),
    }
}

/// Whether another store records a later state of the store.
fn is_newer(survey: &Survey, store: Store, identity: &Identity, by: Store, peer: &Peer) -> bool {
    if peer.store_id == identity.store_id {
        return (peer.epoch, peer.how_far) > (identity.epoch, identity.how_far);
    }
    // One of the two is older: the one that the other remembers to have been further.
    let remembers_more = survey.memory(store, by.name()).is_some_and(|of_by| {
        let by = survey.found(by).and_then(|found| found.identity.as_ref());
        by.is_some_and(|by| {
            by.store_id == of_by.store_id && (of_by.epoch, of_by.how_far) > (by.epoch, by.how_far)
        })
    });
    !remembers_more && peer.epoch >= identity.epoch
}

fn without_identity(
    survey: &Survey,
    judgement: &Judgement,
    store: Store,
    found: &Found,
    memories: &[(Store, &Peer)],
) -> (State, Step) {
    let is_empty = found.how_far == 0;
    let Some((by, peer)) = memories.iter().max_by_key(|(_, peer)| (peer.epoch, peer.how_far)) else {
        // Data from before stores had identities, or a new data set, unless something shows that there was more.
        let reason = match store {
            Store::Realtime if is_empty => there_was_a_realtime(survey),
            _ => None,
        };
        // Beside a `realtime` that is gone nothing is begun, so that its copy finds what it knows.
        let waits = store != Store::Realtime
            && judgement.data_id.is_none()
            && matches!(judgement.states[0], State::Stopped(_));
        return match reason {
            None if waits => (State::Sound, Step::None),
            None => (State::Sound, Step::Make),
            Some(reason) => (State::Stopped(format!("it is gone: {reason}; {}", cure(store))), Step::None),
        };
    };
    let what = if is_empty { "it is gone" } else { "it is an older copy" };
    let what = format!("{what}: {} has seen it at {} on {} UTC", by.name(), peer.how_far, peer.seen_at);
    match goes_on(survey, &judgement.log_step, store, memories) {
        Ok(()) => (State::GoesOn(format!("{what}; it is filled again from the log")), Step::Make),
        Err(reason) => (State::Stopped(format!("{what}, and {reason}; {}", cure(store))), Step::None),
    }
}

/// What shows that a warehouse which is new and empty is not the first one.
fn there_was_a_realtime(survey: &Survey) -> Option<String> {
    if survey.archive_has_parts {
        return Some("the archive has parts that no list names".to_owned());
    }
    // Retention of the embedded log removes nothing that was not counted.
    let retired = survey.partitions.iter().find(|partition| {
        survey.is_ours && partition.consumer() == Store::Realtime && partition.range.first > Offset(0)
    })?;
    Some(format!(
        "records of {} partition {} before offset {} were counted and removed from the log",
        retired.topic.name(),
        retired.range.partition,
        retired.range.first.0
    ))
}
