//! `adpipe dlq`: look (`look.rs`), act (`act.rs`, `bulk.rs`, `due.rs`), files (`files.rs`). Commands
//! that act wait for the outcomes through `outcomes.rs` and `running.rs`; `waiting.rs` stores errors
//! that are not stored yet, so that no answer leaves them out.

mod act;
mod bulk;
mod check;
mod dry_run;
mod due;
mod edits;
mod files;
mod look;
mod outcomes;
mod running;
pub mod waiting;

use std::process::ExitCode;

use adpipe_dlq::Dlq;

use self::waiting::Waiting;
use crate::cli::dlq::DlqAction;
use crate::config::Config;
use crate::services::Services;

/// Runs the command.
pub fn run(config: Config, action: &DlqAction) -> anyhow::Result<ExitCode> {
    let services = Services::open_existing(config)?;
    let done = act_on(&services, action);
    services.remember();
    done
}

fn act_on(services: &Services, action: &DlqAction) -> anyhow::Result<ExitCode> {
    let dlq = services.dlq()?;
    let done = |()| ExitCode::SUCCESS;
    let waiting = if looks_at_all(action) { waiting::store(services, &dlq)? } else { Waiting::default() };
    match action {
        DlqAction::List(args) => look::list(&dlq, args, waiting).map(done),
        DlqAction::Show(args) => look::show(&dlq, args).map(done),
        DlqAction::Stats(args) => look::stats(&dlq, args.json, waiting).map(done),
        DlqAction::Jobs(args) => look::jobs(&dlq, args).map(done),
        DlqAction::Check(args) => check::run(services, args.json, waiting),
        DlqAction::Retry(args) => act::retry(services, &dlq, args),
        DlqAction::Edit(args) => act::edit(services, &dlq, args),
        DlqAction::Discard(args) => act::discard(services, &dlq, args),
        DlqAction::Undo(args) => act::undo(services, &dlq, args),
        DlqAction::Cancel(args) => act::cancel(&dlq, &args.job),
        DlqAction::Export(args) => files::export(&dlq, args).map(done),
        DlqAction::Import(args) => files::import(services, &dlq, args),
    }
}

/// Whether the answer would be wrong without the errors that are not stored yet.
fn looks_at_all(action: &DlqAction) -> bool {
    match action {
        DlqAction::List(_) | DlqAction::Stats(_) | DlqAction::Check(_) | DlqAction::Export(_) => true,
        DlqAction::Retry(args) => args.selection.ids.is_empty() && !args.due,
        DlqAction::Edit(args) => args.selection.ids.is_empty(),
        DlqAction::Discard(args) => args.selection.ids.is_empty(),
        DlqAction::Show(_)
        | DlqAction::Undo(_)
        | DlqAction::Cancel(_)
        | DlqAction::Jobs(_)
        | DlqAction::Import(_) => false,
    }
}

/// The person who acts, for the record.
pub fn actor() -> String {
    let user = ["USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    let user: String = user.unwrap_or_default().chars().filter(|c| !c.is_control()).take(100).collect();
    if user.is_empty() { "cli".to_owned() } else { format!("cli:{user}") }
}

/// The errors that a filter means, in words.
fn how_many(dlq: &Dlq, filter: &adpipe_dlq::Filter) -> anyhow::Result<String> {
    Ok(match adpipe_dlq::search::count(dlq, filter)? {
        Some(count) => crate::output::counted(count, "error"),
        None => "all errors that match the filter".to_owned(),
    })
}
