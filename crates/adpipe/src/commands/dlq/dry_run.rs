//! What an edit would do, said before it is done.

use std::process::ExitCode;

use adpipe_dlq::repair::{self, DryRun, Edit};
use adpipe_dlq::{Dlq, DlqError};
use anyhow::bail;

use crate::cli::dlq::EditArgs;
use crate::config::ConfigError;
use crate::output;

/// Errors that a dry run looks at.
pub const ERRORS: u64 = 10_000;

pub fn run(dlq: &Dlq, args: &EditArgs, edit: &Edit) -> anyhow::Result<ExitCode> {
    let (ids, filter) = (&args.selection.ids, args.selection.filter.filter());
    for id in ids {
        repair::content(dlq, id)?.ok_or_else(|| DlqError::no_error(id))?;
    }
    let run = match edit {
        _ if !ids.is_empty() => repair::dry_run_of(dlq, ids, edit)?,
        Edit::Patch(patch) => repair::dry_run(dlq, &filter, patch, ERRORS)?,
        _ => bail!(ConfigError::flag("--payload and --undo require ids of errors")),
    };
    if args.selection.json {
        output::json(&serde_json::to_value(&run)?)?
    } else {
        print(&run)?
    }
    Ok(ExitCode::SUCCESS)
}

/// The run in one line.
pub fn summary(run: &DryRun) -> String {
    let number = output::grouped;
    format!(
        "{} would be counted, {} would fail again, {} do not fit the edit, {} would not change{}",
        number(run.valid),
        number(run.still_invalid),
        number(run.does_not_fit),
        number(run.unchanged),
        if run.is_complete { String::new() } else { format!(" (of the first {})", number(run.looked_at)) }
    )
}

fn print(run: &DryRun) -> anyhow::Result<()> {
    let whole = if run.is_complete { "all of them" } else { "there are more" };
    output::line(&format!(
        "{} checked ({whole}); nothing was changed",
        output::counted(run.looked_at, "error")
    ))?;
    output::line(&format!("  {}", summary(run)))?;
    for (reason, count) in &run.reasons {
        output::line(&format!("  {} {reason}", output::grouped(*count)))?;
    }
    for sample in &run.samples {
        output::line(&format!("\n{}\n- {}\n+ {}", sample.error_id, sample.before, sample.after))?;
        if let Some(problem) = &sample.problem {
            output::line(&format!("  would fail again: {problem}"))?;
        }
    }
    Ok(())
}
