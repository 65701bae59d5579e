//! Whether a store that is gone or older ends, from the log alone, where it would have been.

use adpipe_log::{Offset, Topic};
use adpipe_warehouse::identity::Peer;

use crate::Store;
use crate::judge::LogStep;
use crate::survey::{ACTIONS, FILES, Survey};

/// Whether a store that is older, or empty, ends where it would have been, from the log alone.
pub(super) fn goes_on(
    survey: &Survey,
    log_step: &LogStep,
    store: Store,
    memories: &[(Store, &Peer)],
) -> Result<(), String> {
    match store {
        Store::Realtime => {
            let is_new = survey.found(store).is_some_and(|found| found.how_far == 0);
            if is_new && survey.archive_has_parts {
                return Err("the archive has parts that no list names".to_owned());
            }
            let files = memories.iter().filter_map(|(by, _)| survey.memory(*by, FILES));
            if files.map(|peer| peer.how_far).max().unwrap_or(0) > survey.files {
                return Err("raw files were read or hours were archived since".to_owned());
            }
            log_has_all(survey, log_step, store, memories)
        }
        Store::Errors => {
            log_has_all(survey, log_step, store, memories)?;
            let actions = memories.iter().filter_map(|(by, _)| survey.memory(*by, ACTIONS));
            if actions.map(|peer| peer.how_far).max().unwrap_or(0) > survey.actions {
                return Err("people have acted on errors since".to_owned());
            }
            retries_are_known(survey)
        }
        Store::Ops | Store::Log => Err("what it held is nowhere else".to_owned()),
    }
}

/// Whether the log, unchanged since, still has everything that the store's consumer needs.
fn log_has_all(
    survey: &Survey,
    log_step: &LogStep,
    store: Store,
    memories: &[(Store, &Peer)],
) -> Result<(), String> {
    // A log that was raised lacks records. What the store itself remembers comes first: it may be
    // from before that.
    let own = survey.memory(store, "log");
    let log = own.or_else(|| memories.iter().find_map(|(by, _)| survey.memory(*by, "log")));
    let is_same = log.is_none_or(|log| log.store_id == survey.log.id && log.epoch == survey.log.epoch);
    if !is_same || *log_step == LogStep::Raise {
        return Err("the log lacks records that were processed since".to_owned());
    }
    for partition in survey.partitions.iter().filter(|partition| partition.consumer() == store) {
        let place = partition.next_place();
        if partition.range.first > Offset(place) {
            return Err(format!(
                "the log has {} partition {} only from offset {} on, and {place} comes next",
                partition.topic.name(),
                partition.range.partition,
                partition.range.first.0
            ));
        }
    }
    Ok(())
}

/// A queue that does not know all retries that were sent does not know their outcomes.
fn retries_are_known(survey: &Survey) -> Result<(), String> {
    for partition in survey.partitions.iter().filter(|partition| partition.topic == Topic::Retry) {
        let known = survey.partition_memory(Store::Errors, &partition.name());
        if partition.range.next > Offset(known.map_or(0, |peer| peer.how_far)) {
            return Err("errors were sent again since".to_owned());
        }
    }
    Ok(())
}

/// What a person can do about a store that is gone or older.
pub(super) fn cure(store: Store) -> String {
    let name = store.name();
    let back = format!(
        "stop adpipe and put the newest copy back, or run `adpipe stores accept {name}` to continue with what is there"
    );
    match store {
        Store::Realtime => format!("{back}, or run `adpipe rebuild` to build it again from archive and log"),
        _ => back,
    }
}
