//! What Tab completes: words of the command line, files where files are meant, and the names of the
//! day (DAGs, alerts, models) from the configuration of the current folder. No database is asked.

use std::path::PathBuf;

use clap::CommandFactory;
use clap_complete::engine::CompletionCandidate;
use clap_complete::env::Shells;
use clap_complete::{CompleteEnv, Shell};

use crate::cli::Cli;
use crate::commands::transform;
use crate::config::{self, Config};

/// Set by the scripts when they ask what a word may become.
const VARIABLE: &str = "COMPLETE";

/// Answers the question of a completion script, and ends; does nothing otherwise.
pub fn answer() {
    CompleteEnv::with_factory(Cli::command).var(VARIABLE).complete();
}

/// Prints the script that asks this program.
pub fn print_script(shell: Shell) -> anyhow::Result<()> {
    let name = shell.to_string();
    let shells = Shells::builtins();
    let Some(script) = shells.completer(&name) else {
        anyhow::bail!("there is no completion for {name}");
    };
    let mut text = Vec::new();
    script.write_registration(VARIABLE, "adpipe", "adpipe", &own_name(), &mut text)?;
    let mut out = std::io::stdout();
    std::io::Write::write_all(&mut out, &text)?;
    Ok(())
}

/// How this program was called; by its whole path where it is not on PATH.
fn own_name() -> String {
    let name = PathBuf::from(std::env::args_os().next().unwrap_or_else(|| "adpipe".into()));
    let is_path = name.components().count() > 1;
    let name = if is_path { std::path::absolute(&name).unwrap_or(name) } else { name };
    name.to_string_lossy().into_owned()
}

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
    let names = configuration().and_then(|config| transform::names(&config).ok()).unwrap_or_default();
    names.into_iter().map(CompletionCandidate::new).collect()
}

/// Types of errors.
pub fn error_types() -> Vec<CompletionCandidate> {
    adpipe_event::ErrorType::ALL.iter().map(|kind| CompletionCandidate::new(kind.as_str())).collect()
}

/// Stores that can be accepted.
pub fn stores() -> Vec<CompletionCandidate> {
    adpipe_stream::stores::Store::ALL.iter().map(|store| CompletionCandidate::new(store.name())).collect()
}
