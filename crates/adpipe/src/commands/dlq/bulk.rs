//! Actions on everything that a filter meets.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use adpipe_dlq::jobs::{self, Job, Work};
use adpipe_dlq::repair;
use adpipe_dlq::{Dlq, Filter, Status};
use adpipe_runtime::Shutdown;
use anyhow::bail;
use indicatif::ProgressBar;

use super::dry_run;
use super::running::{self, Ended, Look};
use crate::actor::actor;
use crate::cli::dlq::{PaceArgs, SelectionArgs};
use crate::config::ConfigError;
use crate::output;
use crate::services::Services;
use crate::signals;

/// An action on everything that a filter meets.
pub fn bulk(
    services: &Services,
    dlq: &Dlq,
    selection: &SelectionArgs,
    work: &Work,
    pace: &PaceArgs,
    verb: &str,
    rest: &str,
) -> anyhow::Result<ExitCode> {
    let filter = selection.filter.filter();
    filter.check()?;
    if filter.is_everything() && !selection.all {
        bail!(ConfigError::flag("say which errors: ids, a filter such as --group, or --all"));
    }
    let works_on: &[Status] = match work {
        Work::UndoDiscard => &[Status::Discarded],
        _ => &[Status::Pending, Status::Exhausted],
    };
    let meant = filter.only(works_on);
    if let Work::Edit(patch) = work {
        let run = repair::dry_run(dlq, &filter, patch, dry_run::ERRORS)?;
        output::note(&dry_run::summary(&run));
    }
    if !selection.yes && !confirmed(&format!("{verb} {} {rest}", how_many(dlq, &meant)?))? {
        output::note("nothing was done");
        return Ok(ExitCode::SUCCESS);
    }
    let job = start(dlq, &filter, work, pace)?;
    follow(services, dlq, &job, pace, selection.json)
}

fn start(dlq: &Dlq, filter: &Filter, work: &Work, pace: &PaceArgs) -> anyhow::Result<Job> {
    Ok(jobs::create(dlq, filter, work, pace.canary.unwrap_or(0), &actor())?)
}

/// Asks on the terminal; without one, `--yes` is needed.
fn confirmed(what: &str) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!(ConfigError::flag(format!(
            "this would {}; add --yes to do it without being asked",
            what.trim()
        )));
    }
    eprint!("{}? [y/N] ", what.trim());
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// Waits for a bulk action and what comes of it; Ctrl-C cancels it.
fn follow(
    services: &Services,
    dlq: &Dlq,
    job: &Job,
    pace: &PaceArgs,
    json: bool,
) -> anyhow::Result<ExitCode> {
    if pace.no_wait {
        let told = format!("bulk action {} continues in `adpipe up` or `adpipe run dlq`", job.job_id);
        if json {
            output::json(&serde_json::to_value(job)?)?
        } else {
            output::line(&told)?
        }
        return Ok(ExitCode::SUCCESS);
    }
    let shutdown = Shutdown::new();
    signals::watch(&shutdown, signals::GRACE)?;
    let bar = if job.total > 0 { ProgressBar::new(job.total as u64) } else { ProgressBar::no_length() };
    let sends = matches!(job.kind.as_str(), "retry" | "edit");
    let ended = running::until(services, dlq, &shutdown, pace.wait, || {
        let now = jobs::get(dlq, &job.job_id)?;
        let done = (now.changed + now.skipped) as u64;
        bar.set_position(done);
        let outcomes = if sends { jobs::outcomes(dlq, &job.job_id)? } else { jobs::Outcomes::default() };
        if !now.is_open() && outcomes.waiting == 0 {
            return Ok(Look::Over);
        }
        bar.set_message(format!("{} wait for their outcome", outcomes.waiting));
        Ok(Look::Waiting(done + outcomes.applied + outcomes.already_counted + outcomes.failed))
    })?;
    bar.finish_and_clear();
    let was_cancelled = ended == Ended::Interrupted && jobs::cancel(dlq, &job.job_id, &actor())?;
    if was_cancelled {
        output::note("cancelled; what was done stays done");
    }
    let now = jobs::get(dlq, &job.job_id)?;
    let failed = print_job(dlq, &now, sends, json)?;
    if ended == Ended::GaveUp {
        output::note(&running::gave_up(pace.wait));
    }
    Ok(match (ended, now.state.as_str()) {
        (Ended::Interrupted, _) => signals::exit_code(),
        (Ended::GaveUp, _) | (_, "stopped") => ExitCode::FAILURE,
        _ if failed > 0 => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    })
}

/// Says what a bulk action has come to; gives how many errors failed again.
fn print_job(dlq: &Dlq, job: &Job, sends: bool, json: bool) -> anyhow::Result<u64> {
    let outcomes = jobs::outcomes(dlq, &job.job_id)?;
    let failures = if sends { jobs::failures(dlq, &job.job_id)? } else { Vec::new() };
    let (not_due, first_due) = if sends { jobs::not_due(dlq, &job.job_id)? } else { (0, None) };
    if json {
        let mut value = serde_json::to_value(job)?;
        value["outcomes"] = serde_json::to_value(outcomes)?;
        value["failures"] = serde_json::to_value(&failures)?;
        value["not_due"] = not_due.into();
        value["next_due"] = first_due.into();
        output::json(&value)?;
        return Ok(outcomes.failed);
    }
    let number = output::grouped;
    output::line(&format!(
        "{} changed, {} left alone ({})",
        output::counted(job.changed as u64, "error"),
        number(job.skipped as u64),
        job.state
    ))?;
    if let Some(message) = &job.message {
        output::line(&format!("  {message}"))?;
    }
    if sends {
        output::line(&format!(
            "  {} applied, {} already counted, {} failed again, {} not known yet",
            number(outcomes.applied),
            number(outcomes.already_counted),
            number(outcomes.failed),
            number(outcomes.waiting)
        ))?;
    }
    for (reason, count) in &failures {
        output::line(&format!("  {} {reason}", number(*count)))?;
    }
    if let Some(first) = first_due.filter(|_| not_due > 0) {
        output::line(&format!(
            "  {} not due: retried automatically, the first at {first} UTC",
            output::counted(not_due, "error")
        ))?;
    }
    Ok(outcomes.failed)
}

/// The errors that a filter means, in words.
fn how_many(dlq: &Dlq, filter: &adpipe_dlq::Filter) -> anyhow::Result<String> {
    Ok(match adpipe_dlq::search::count(dlq, filter)? {
        Some(count) => crate::output::counted(count, "error"),
        None => "all errors that match the filter".to_owned(),
    })
}
