//! `adpipe dlq`: look (`look.rs`), act (`act.rs`, by way of `running.rs`), files (`files.rs`).

mod act;
mod edits;
mod files;
mod look;
mod running;

use std::process::ExitCode;

use adpipe_dlq::Dlq;

use crate::cli::dlq::DlqAction;
use crate::config::Config;
use crate::services::Services;

/// Runs the command.
pub fn run(config: Config, action: &DlqAction) -> anyhow::Result<ExitCode> {
    let services = Services::open_existing(config)?;
    let dlq = services.dlq()?;
    let done = |()| ExitCode::SUCCESS;
    match action {
        DlqAction::List(args) => look::list(&dlq, args).map(done),
        DlqAction::Show(args) => look::show(&dlq, args).map(done),
        DlqAction::Stats(args) => look::stats(&dlq, args.json).map(done),
        DlqAction::Jobs(args) => look::jobs(&dlq, args).map(done),
        DlqAction::Check(args) => look::check(&services, args.json),
        DlqAction::Retry(args) => act::retry(&services, &dlq, args),
        DlqAction::Edit(args) => act::edit(&services, &dlq, args),
        DlqAction::Discard(args) => act::discard(&services, &dlq, args),
        DlqAction::Undo(args) => act::undo(&services, &dlq, args),
        DlqAction::Cancel(args) => act::cancel(&dlq, &args.job),
        DlqAction::Export(args) => files::export(&dlq, args).map(done),
        DlqAction::Import(args) => files::import(&services, &dlq, args),
    }
}

/// Who acts, for the record.
pub fn actor() -> String {
    let user = ["USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    let user: String = user.unwrap_or_default().chars().filter(|c| !c.is_control()).take(100).collect();
    if user.is_empty() { "cli".to_owned() } else { format!("cli:{user}") }
}

/// The errors that a filter means, in words.
fn how_many(dlq: &Dlq, filter: &adpipe_dlq::Filter) -> anyhow::Result<String> {
    Ok(match adpipe_dlq::search::count(dlq, filter)? {
        Some(count) => crate::output::counted(count, "error"),
        None => "all errors that the filter meets".to_owned(),
    })
}
