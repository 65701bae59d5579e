//! Judgements over surveys that are made by hand; the whole matrix is in `crates/adpipe/tests/stores.rs`.

use adpipe_log::{LogIdentity, Offset, PartitionRange, Topic};
use adpipe_warehouse::identity::{Found, Identity, Peer};
use adpipe_warehouse::lost::StoredPlace;

use crate::judge::{LogStep, Step, judge};
use crate::survey::{Partition, Seen, Survey, partition_name};
use crate::{State, Store};

const NOW: &str = "2026-01-01 00:00:00";

fn found(data_id: &str, store_id: &str, how_far: u64) -> Seen {
    let identity = Identity { data_id: data_id.to_owned(), store_id: store_id.to_owned(), epoch: 1, how_far };
    Seen::There(Found { identity: Some(identity), how_far })
}

fn peer(store: &str, store_id: &str, how_far: u64) -> Peer {
    Peer {
        store: store.to_owned(),
        store_id: store_id.to_owned(),
        epoch: if store.starts_with("log") { 0 } else { 1 },
        how_far,
        seen_at: NOW.to_owned(),
    }
}

fn partition(topic: Topic, next: u64) -> Partition {
    Partition {
        topic,
        range: PartitionRange { partition: 0, first: Offset(0), next: Offset(next) },
        place: Some(StoredPlace { next_offset: next, updated_at: NOW.to_owned() }),
    }
}

/// Three stores and a log of 100 records that fit each other.
fn sound() -> Survey {
    let raw = partition_name(Topic::Raw, 0);
    let log = [peer("log", "L", 100), peer(&raw, "L", 100)];
    let of = |own: &str| {
        let stores = [peer("realtime", "R", 100), peer("errors", "E", 7), peer("ops", "O", 5)];
        stores.into_iter().filter(|peer| peer.store != own).chain(log.clone()).collect::<Vec<_>>()
    };
    Survey {
        log: LogIdentity { id: "L".to_owned(), epoch: 0 },
        log_place: "log.db".to_owned(),
        is_ours: true,
        partitions: vec![partition(Topic::Raw, 100), partition(Topic::Error, 0), partition(Topic::Retry, 0)],
        stores: [found("D", "R", 100), found("D", "E", 7), found("D", "O", 5)],
        peers: [of("realtime"), of("errors"), of("ops")],
        places: ["realtime", "errors", "ops"].map(str::to_owned),
        actions: 0,
        files: 0,
        replays: 0,
        archive_has_parts: false,
        at: NOW.to_owned(),
    }
}

#[test]
fn what_fits_is_sound() {
    let judgement = judge(&sound());
    assert_eq!(judgement.states, [State::Sound, State::Sound, State::Sound]);
    assert_eq!((judgement.log, judgement.log_step), (State::Sound, LogStep::None));
}

#[test]
fn a_log_that_ends_before_its_readers_is_raised_and_another_is_refused() {
    let mut survey = sound();
    survey.partitions[0].range.next = Offset(60);
    assert_eq!(judge(&survey).log_step, LogStep::Raise);
    // On Kafka nobody can raise it.
    survey.is_ours = false;
    assert!(matches!(judge(&survey).log, State::Stopped(_)));

    let mut survey = sound();
    survey.log.id = "other".to_owned();
    assert!(!judge(&survey).is_usable(Store::Log));
    for partition in &mut survey.partitions {
        partition.range.next = Offset(0);
    }
    assert_eq!(judge(&survey).log_step, LogStep::Raise, "an empty one is new");
}

#[test]
fn an_older_realtime_goes_on_while_the_log_has_what_comes_next() {
    let mut survey = sound();
    survey.stores[0] = found("D", "R", 40);
    survey.partitions[0].place = Some(StoredPlace { next_offset: 40, updated_at: NOW.to_owned() });
    let judgement = judge(&survey);
    assert!(matches!(judgement.states[0], State::GoesOn(_)), "{:?}", judgement.states[0]);
    assert_eq!(judgement.steps[0], Step::Renew);
    survey.peers[2].push(peer("realtime:files", "R", 9));
    assert!(matches!(judge(&survey).states[0], State::Stopped(_)), "what files brought is not in the log");
    survey.peers[2].pop();
    survey.partitions[0].range.first = Offset(41);
    assert!(matches!(judge(&survey).states[0], State::Stopped(_)));
    assert_eq!(judge(&survey).states[1], State::Sound);
}

#[test]
fn the_one_that_is_of_another_data_set_is_found_by_the_others() {
    for (index, store) in [Store::Realtime, Store::Errors, Store::Ops].into_iter().enumerate() {
        let mut survey = sound();
        survey.stores[index] = found("other", "X", 1_000);
        survey.peers[index] = vec![peer("log", "other log", 9)];
        let judgement = judge(&survey);
        for other in [Store::Realtime, Store::Errors, Store::Ops] {
            assert_eq!(judgement.is_usable(other), other != store, "{store:?}: {other:?}");
        }
    }
}

#[test]
fn a_queue_that_people_acted_in_is_not_filled_again() {
    let mut survey = sound();
    survey.stores[1] = Seen::There(Found { identity: None, how_far: 0 });
    survey.peers[1] = Vec::new();
    survey.partitions[1].place = None;
    assert_eq!(judge(&survey).steps[1], Step::Make);
    survey.peers[0].push(peer("errors:actions", "E", 3));
    assert!(!judge(&survey).is_usable(Store::Errors));
}
