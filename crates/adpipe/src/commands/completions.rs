//! `adpipe completions`, and the answer to what its scripts ask. `completion.rs` knows the words.

use std::path::PathBuf;

use clap::CommandFactory;
use clap_complete::env::Shells;
use clap_complete::{CompleteEnv, Shell};

use crate::cli::Cli;

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
