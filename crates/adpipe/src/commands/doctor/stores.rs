//! Whether the stores belong together, and which roles of a running process have stopped.

use std::path::Path;

use adpipe_stores::{State as Standing, lost_in_words};

use super::finding::{Finding, State, add};
use crate::config::Config;
use crate::services::Services;
use crate::supervisor::STOPPED_ROLES;

/// Compares what each store remembers of the others.
pub fn check(config: &Config, findings: &mut Vec<Finding>) {
    let looked = Services::open_unsettled(config.clone()).and_then(|services| Ok(services.look_at_stores()?));
    let stores = match looked {
        Ok(stores) => stores,
        Err(error) => return add(findings, "stores", State::Bad, format!("{error:#}")),
    };
    for standing in &stores.standings {
        let text = format!("{}: {}", standing.store.name(), standing.state.message());
        match &standing.state {
            Standing::Sound => {}
            Standing::GoesOn(_) => add(findings, "stores", State::Notice, text),
            Standing::Stopped(_) => add(findings, "stores", State::Bad, text),
        }
    }
    for lost in &stores.lost {
        add(findings, "stores", State::Bad, format!("lost with the log: {}", lost_in_words(lost)));
    }
    if stores.lost.is_empty() && stores.standings.iter().all(|standing| standing.state == Standing::Sound) {
        add(findings, "stores", State::Good, "log, realtime, errors and ops fit each other".to_owned());
    }
}

/// What the running process has written about its roles.
pub fn check_roles(folder: &Path, findings: &mut Vec<Finding>) {
    let Ok(text) = std::fs::read_to_string(folder.join(STOPPED_ROLES)) else { return };
    let Ok(stopped) = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&text) else {
        return;
    };
    for (role, reason) in stopped {
        let reason = reason.as_str().unwrap_or_default();
        add(findings, "role", State::Bad, format!("{role} has stopped and is retried: {reason}"));
    }
}
