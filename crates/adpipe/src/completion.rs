//! What Tab completes: words of the command line, files where files are meant, and the names of the
//! day (DAGs, alerts, models) from the configuration of the current folder. No database is asked.

use clap_complete::engine::CompletionCandidate;

use crate::config::{self, Config};
use crate::project;

fn configuration() -> Option<Config> {
    config::load(None).ok()
}

/// The DAGs that are configured.
pub fn dags() -> Vec<CompletionCandidate> {
    let dags = configuration().and_then(|config| crate::dags::load(&config).ok());
    let candidate = |dag: &adpipe_schedule::dag::Dag| {
        CompletionCandidate::new(&dag.id).help(Some(dag.description.clone().into()))
    };
    dags.iter().flat_map(|dags| dags.iter()).map(candidate).collect()
}

/// The alerts of the table.
pub fn alerts() -> Vec<CompletionCandidate> {
    let rules = configuration().and_then(|config| crate::alerts::rules(&config).ok());
    rules.iter().flat_map(|rules| rules.iter()).map(|rule| CompletionCandidate::new(&rule.name)).collect()
}

/// Models, seeds and tests of the project.
pub fn nodes() -> Vec<CompletionCandidate> {
    let names = configuration().and_then(|config| project::names(&config).ok()).unwrap_or_default();
    names.into_iter().map(CompletionCandidate::new).collect()
}

pub fn error_types() -> Vec<CompletionCandidate> {
    adpipe_event::ErrorType::ALL.iter().map(|kind| CompletionCandidate::new(kind.as_str())).collect()
}

/// Stores that can be accepted.
pub fn stores() -> Vec<CompletionCandidate> {
    adpipe_stores::Store::ALL.iter().map(|store| CompletionCandidate::new(store.name())).collect()
}
