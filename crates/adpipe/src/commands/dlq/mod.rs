//! `adpipe dlq`: look (`queries.rs`), act (`actions.rs`, `bulk.rs`, `due.rs`), files (`files.rs`). Whoever
//! acts waits for the outcomes by way of `outcomes.rs` and `running.rs`; `waiting.rs` stores what
//! nobody has stored yet, so that no answer leaves it out.

mod actions;
mod bulk;
mod check;
mod dry_run;
mod due;
mod edits;
mod files;
mod outcomes;
mod queries;
mod running;
pub mod waiting;

use std::process::ExitCode;

use self::waiting::Waiting;
use crate::cli::dlq::DlqAction;
use crate::config::Config;
use crate::services::Services;

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
        DlqAction::List(args) => queries::list(&dlq, args, waiting).map(done),
        DlqAction::Show(args) => queries::show(&dlq, args).map(done),
        DlqAction::Stats(args) => queries::stats(&dlq, args.json, waiting).map(done),
        DlqAction::Jobs(args) => queries::jobs(&dlq, args).map(done),
        DlqAction::Check(args) => check::run(services, args.json, waiting),
        DlqAction::Retry(args) => actions::retry(services, &dlq, args),
        DlqAction::Edit(args) => actions::edit(services, &dlq, args),
        DlqAction::Discard(args) => actions::discard(services, &dlq, args),
        DlqAction::Undo(args) => actions::undo(services, &dlq, args),
        DlqAction::Cancel(args) => actions::cancel(&dlq, &args.job),
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
