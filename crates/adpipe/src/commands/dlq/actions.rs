//! Doing something with errors: by id at once, by filter as a bulk action (`bulk.rs`).

use std::process::ExitCode;

use adpipe_dlq::actions::{self, Actor};
use adpipe_dlq::jobs::{self, Work};
use adpipe_dlq::repair::{self, Edit, Edited, try_edit};
use adpipe_dlq::sending::{Sending, before_sending};
use adpipe_dlq::{Dlq, DlqError};
use anyhow::{Context, bail};

use super::bulk::bulk;
use super::{dry_run, due, edits, outcomes};
use crate::actor::actor;
use crate::cli::dlq::{DiscardArgs, EditArgs, PaceArgs, RetryArgs, SelectionArgs, UndoArgs};
use crate::config::ConfigError;
use crate::output;
use crate::services::Services;

pub fn retry(services: &Services, dlq: &Dlq, args: &RetryArgs) -> anyhow::Result<ExitCode> {
    let selection = &args.selection;
    if args.due {
        return due::send(services, dlq, &args.pace, selection.json);
    }
    if selection.ids.is_empty() {
        return bulk(services, dlq, selection, &Work::Retry, &args.pace, "send", "again");
    }
    let name = actor();
    let sendings = all_before_sending(dlq, &selection.ids)?;
    let changed = actions::retry(dlq, &selection.ids, Actor { name: &name, job_id: None })?;
    tell_changed(selection, changed, "sent again")?;
    outcomes::tell(services, dlq, &sendings, &args.pace, selection.json)
}

pub fn edit(services: &Services, dlq: &Dlq, args: &EditArgs) -> anyhow::Result<ExitCode> {
    let (selection, edit) = (&args.selection, edits::of(args)?);
    if args.dry_run {
        return dry_run::run(dlq, args, &edit);
    }
    if selection.ids.is_empty() {
        return match edit {
            Edit::Patch(patch) if !args.no_retry => {
                bulk(services, dlq, selection, &Work::Edit(patch), &args.pace, "edit", "and send them again")
            }
            Edit::Patch(_) => {
                bail!(ConfigError::flag("--no-retry requires ids; a bulk edit always sends what it edits"))
            }
            Edit::Payload(_) | Edit::Row { .. } | Edit::Undo => {
                bail!(ConfigError::flag("--payload and --undo require ids of errors"))
            }
        };
    }
    if matches!(edit, Edit::Payload(_)) && selection.ids.len() > 1 {
        bail!(ConfigError::flag(format!(
            "--payload replaces the payload of one error; {} ids were given",
            selection.ids.len()
        )));
    }
    let name = actor();
    let sends = !args.no_retry && !matches!(edit, Edit::Undo);
    let would_fail = told_beforehand(dlq, &selection.ids, &edit)?;
    if would_fail > 0 && sends && !args.force {
        bail!(
            "nothing was changed: {} would fail again; correct the edit, or add --force to send {} anyway, \
             or --no-retry to save without sending",
            output::counted(would_fail, "error"),
            if would_fail == 1 { "it" } else { "them" }
        );
    }
    let sendings = all_before_sending(dlq, &selection.ids)?;
    for id in &selection.ids {
        repair::edit(dlq, id, &edit, sends, Actor { name: &name, job_id: None })
            .with_context(|| id.clone())?;
    }
    tell_changed(selection, selection.ids.len() as u64, "edited")?;
    if sends {
        outcomes::tell(services, dlq, &sendings, &args.pace, selection.json)
    } else {
        Ok(ExitCode::SUCCESS)
    }
}

pub fn discard(services: &Services, dlq: &Dlq, args: &DiscardArgs) -> anyhow::Result<ExitCode> {
    let selection = &args.selection;
    if selection.ids.is_empty() {
        let pace = PaceArgs::plain();
        return bulk(services, dlq, selection, &Work::Discard(args.reason.clone()), &pace, "discard", "");
    }
    let name = actor();
    let changed = actions::discard(dlq, &selection.ids, &args.reason, Actor { name: &name, job_id: None })?;
    tell_changed(selection, changed, "discarded")?;
    Ok(ExitCode::SUCCESS)
}

pub fn undo(services: &Services, dlq: &Dlq, args: &UndoArgs) -> anyhow::Result<ExitCode> {
    let selection = &args.selection;
    if selection.ids.is_empty() {
        let pace = PaceArgs::plain();
        return bulk(services, dlq, selection, &Work::UndoDiscard, &pace, "take back", "");
    }
    let name = actor();
    let changed = actions::undo_discard(dlq, &selection.ids, Actor { name: &name, job_id: None })?;
    tell_changed(selection, changed, "taken back")?;
    Ok(ExitCode::SUCCESS)
}

pub fn cancel(dlq: &Dlq, job_id: &str) -> anyhow::Result<ExitCode> {
    let was_open = jobs::cancel(dlq, job_id, &actor())?;
    output::line(if was_open { "cancelled; what was done stays done" } else { "it had already ended" })?;
    Ok(ExitCode::SUCCESS)
}

fn all_before_sending(dlq: &Dlq, ids: &[String]) -> anyhow::Result<Vec<Sending>> {
    ids.iter().map(|id| Ok(before_sending(dlq, id)?)).collect()
}

/// Says of each error what would become of it, before anything is done; gives how many would fail.
fn told_beforehand(dlq: &Dlq, ids: &[String], edit: &Edit) -> anyhow::Result<u64> {
    let mut would_fail = 0;
    for id in ids {
        let before = repair::content(dlq, id)?.ok_or_else(|| DlqError::no_error(id))?;
        if let Edited::StillInvalid(_, error) = try_edit(dlq.settings(), &before, edit) {
            would_fail += 1;
            output::note(&format!("{id}: if sent now, it would fail: {}", error.message));
        }
    }
    Ok(would_fail)
}

/// Says how many of the named errors were changed. Others were of a status that does not allow it.
fn tell_changed(selection: &SelectionArgs, changed: u64, done: &str) -> anyhow::Result<()> {
    let named = selection.ids.len() as u64;
    if selection.json {
        return output::json(&serde_json::json!({"changed": changed, "left_alone": named - changed}));
    }
    output::line(&format!("{} {done}", output::counted(changed, "error")))?;
    if changed < named {
        output::note(&format!(
            "{} left alone: only pending and exhausted errors can be changed, and only discarded ones can be undone",
            output::counted(named - changed, "error")
        ));
    }
    Ok(())
}
