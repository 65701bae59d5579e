//! `adpipe man`: a page for each command.

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use clap::CommandFactory;
use clap_mangen::Man;

use crate::cli::{Cli, ManArgs};
use crate::config::ConfigError;
use crate::output;

/// Prints one page, or writes all into a folder.
pub fn run(args: &ManArgs) -> anyhow::Result<()> {
    match &args.out {
        Some(folder) => write_all(folder),
        None => print(&args.command),
    }
}

fn write_all(folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    write_with_commands(&command, folder)
        .with_context(|| format!("cannot write into {}", folder.display()))?;
    output::note(&format!(
        "wrote the pages into {}; read them with `man {}`",
        folder.display(),
        folder.join("adpipe.1").display()
    ));
    Ok(())
}

/// The page of a command and those of its commands, however deep.
fn write_with_commands(command: &clap::Command, folder: &Path) -> std::io::Result<()> {
    page_of(command).generate_to(folder)?;
    command
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
        .try_for_each(|command| write_with_commands(command, folder))
}

/// Every page says at its foot which adpipe it is of; by itself it would name the command as a program.
fn page_of(command: &clap::Command) -> Man {
    Man::new(command.clone()).source(concat!("adpipe ", env!("CARGO_PKG_VERSION")))
}

fn print(words: &[String]) -> anyhow::Result<()> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let mut found = &command;
    for word in words {
        found = found.find_subcommand(word).ok_or_else(|| {
            let names: Vec<&str> = found
                .get_subcommands()
                .filter(|command| !command.is_hide_set())
                .map(clap::Command::get_name)
                .collect();
            let known = match names.as_slice() {
                [] => format!("{} has no commands of its own", found.get_name()),
                names => format!("there are: {}", names.join(", ")),
            };
            ConfigError::Flag(format!("there is no page for {}; {known}", words.join(" ")))
        })?;
    }
    let mut page = Vec::new();
    page_of(found).render(&mut page)?;
    let mut out = std::io::stdout();
    out.write_all(&page)?;
    Ok(out.flush()?)
}
