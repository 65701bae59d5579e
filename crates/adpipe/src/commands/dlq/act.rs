//! Doing something with errors: by id at once, by filter as a bulk action.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use adpipe_dlq::actions::{self, Actor};
use adpipe_dlq::jobs::{self, Job, Work};
use adpipe_dlq::repair::{self, DryRun, Edit};
use adpipe_dlq::report::{self, totals};
use adpipe_dlq::{Dlq, Filter, Status};
use adpipe_stream::shutdown::Shutdown;
use anyhow::bail;
use indicatif::ProgressBar;

use super::{actor, edits, how_many, running};
use crate::cli::dlq::{DiscardArgs, EditArgs, PaceArgs, RetryArgs, SelectionArgs, UndoArgs};
use crate::output;
use crate::services::Services;
use crate::signals;

/// Errors that a dry run looks at.
const DRY_RUN_ERRORS: u64 = 10_000;

/// How long to wait for the outcomes of what was sent.
const OUTCOME_PATIENCE: Duration = Duration::from_secs(30);

/// Stopped by Ctrl-C.
const INTERRUPTED: u8 = 130;

pub fn retry(services: &Services, dlq: &Dlq, args: &RetryArgs) -> anyhow::Result<ExitCode> {
    let selection = &args.selection;
    if args.due {
        return send_due(services, dlq, selection.json);
    }
    if selection.ids.is_empty() {
        return bulk(services, dlq, selection, &Work::Retry, &args.pace, "send", "again");
    }
    let name = actor();
    let changed = actions::retry(dlq, &selection.ids, Actor { name: &name, job_id: None })?;
    tell_changed(selection, changed, "sent again")?;
    after_sending(services, dlq, selection, &args.pace)
}

pub fn edit(services: &Services, dlq: &Dlq, args: &EditArgs) -> anyhow::Result<ExitCode> {
    let (selection, edit) = (&args.selection, edits::of(args)?);
    if args.dry_run {
        return dry_run(dlq, args, &edit);
    }
    if selection.ids.is_empty() {
        return match edit {
            Edit::Patch(patch) if !args.no_retry => {
                bulk(services, dlq, selection, &Work::Edit(patch), &args.pace, "edit", "and send them again")
            }
            Edit::Patch(_) => bail!("--no-retry goes with ids; a bulk edit sends what it mends"),
            Edit::Payload(_) | Edit::Undo => bail!("--payload and --undo go with ids of errors"),
        };
    }
    if matches!(edit, Edit::Payload(_)) && selection.ids.len() > 1 {
        bail!("--payload replaces the payload of one error; {} ids were given", selection.ids.len());
    }
    let name = actor();
    let sends = !args.no_retry && !matches!(edit, Edit::Undo);
    for id in &selection.ids {
        repair::edit(dlq, id, &edit, sends, Actor { name: &name, job_id: None })
            .map_err(|error| anyhow::anyhow!("{id}: {error}"))?;
    }
    tell_changed(selection, selection.ids.len() as u64, "edited")?;
    match sends {
        true => after_sending(services, dlq, selection, &args.pace),
        false => Ok(ExitCode::SUCCESS),
    }
}

pub fn discard(services: &Services, dlq: &Dlq, args: &DiscardArgs) -> anyhow::Result<ExitCode> {
    let selection = &args.selection;
    if selection.ids.is_empty() {
        let pace = PaceArgs { canary: None, no_wait: false };
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
        let pace = PaceArgs { canary: None, no_wait: false };
        return bulk(services, dlq, selection, &Work::UndoDiscard, &pace, "take back", "");
    }
    let name = actor();
    let changed = actions::undo_discard(dlq, &selection.ids, Actor { name: &name, job_id: None })?;
    tell_changed(selection, changed, "taken back")?;
    Ok(ExitCode::SUCCESS)
}

pub fn cancel(dlq: &Dlq, job_id: &str) -> anyhow::Result<ExitCode> {
    let was_open = jobs::cancel(dlq, job_id, &actor())?;
    output::line(if was_open { "cancelled; what was done stays done" } else { "it had ended already" })?;
    Ok(ExitCode::SUCCESS)
}

/// Says how many of the named errors were changed. Others were of a status that does not allow it.
fn tell_changed(selection: &SelectionArgs, changed: u64, done: &str) -> anyhow::Result<()> {
    let named = selection.ids.len() as u64;
    if selection.json {
        return output::json(&serde_json::json!({"changed": changed, "left_alone": named - changed}));
    }
    output::line(&format!("{} {done}", output::counted(changed, "error")))?;
    if changed < named {
        eprintln!(
            "{} left alone: only pending and exhausted errors can be worked on, and discarded ones taken back",
            output::counted(named - changed, "error")
        );
    }
    Ok(())
}

/// Waits for the outcomes of single errors and tells them.
fn after_sending(
    services: &Services,
    dlq: &Dlq,
    selection: &SelectionArgs,
    pace: &PaceArgs,
) -> anyhow::Result<ExitCode> {
    if pace.no_wait {
        return Ok(ExitCode::SUCCESS);
    }
    let shutdown = Shutdown::new();
    signals::watch(&shutdown)?;
    let is_known = |id: &String| -> anyhow::Result<bool> {
        let tries = report::story(dlq, id)?.tries;
        Ok(tries.last().is_none_or(|newest| newest.outcome.is_some()))
    };
    let waits_for_sender = |id: &String| -> anyhow::Result<bool> {
        let story = report::story(dlq, id)?;
        let by_hand =
            story.acts.last().is_some_and(|act| act.action == "retry" && story.error.status == "pending");
        Ok(by_hand
            && story
                .tries
                .last()
                .is_none_or(|newest| newest.started_at < story.acts[story.acts.len() - 1].at))
    };
    let is_over = running::until(services, dlq, &shutdown, || {
        for id in &selection.ids {
            if waits_for_sender(id)? || !is_known(id)? {
                return Ok(false);
            }
        }
        Ok(true)
    })?;
    if !is_over {
        eprintln!("stopped waiting; the retries go on where `adpipe up` or `adpipe run dlq` runs");
        return Ok(ExitCode::from(INTERRUPTED));
    }
    let mut has_failed = false;
    for id in &selection.ids {
        let story = report::story(dlq, id)?;
        let Some(newest) = story.tries.last() else { continue };
        let outcome = newest.outcome.as_deref().unwrap_or("unknown").replace('_', " ");
        let reason = newest.error_message.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        has_failed |= newest.outcome.as_deref() == Some("failed");
        match selection.json {
            true => output::line(&serde_json::json!({"error_id": id, "outcome": newest.outcome, "error_message": newest.error_message}).to_string())?,
            false => output::line(&format!("{id}  {outcome}{reason}"))?,
        }
    }
    Ok(if has_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Sends what is due by itself, waits for the outcomes, and ends.
fn send_due(services: &Services, dlq: &Dlq, json: bool) -> anyhow::Result<ExitCode> {
    let shutdown = Shutdown::new();
    signals::watch(&shutdown)?;
    let before = totals(&report::groups(dlq)?);
    let mut sent_at: Option<Instant> = None;
    let is_over = running::until(services, dlq, &shutdown, || {
        let is_stored = adpipe_dlq::role::lag(dlq)?.iter().all(|(_, records)| *records == 0);
        if !is_stored || adpipe_dlq::retry::sender::due(dlq)? > 0 {
            sent_at = None;
            return Ok(false);
        }
        // Where no stream processor runs the outcomes come later; that is for it to mend.
        let waited = sent_at.get_or_insert_with(Instant::now).elapsed();
        let under_way = totals(&report::groups(dlq)?)[Status::Retrying as usize];
        Ok(under_way == 0 || waited > OUTCOME_PATIENCE)
    })?;
    let after = totals(&report::groups(dlq)?);
    let resolved = after[Status::Resolved as usize].saturating_sub(before[Status::Resolved as usize]);
    let (pending, exhausted) = (after[Status::Pending as usize], after[Status::Exhausted as usize]);
    match json {
        true => output::json(
            &serde_json::json!({"resolved": resolved, "pending": pending, "exhausted": exhausted}),
        )?,
        false => output::line(&format!(
            "{} resolved; {} pending, {} exhausted",
            output::counted(resolved, "error"),
            output::grouped(pending),
            output::grouped(exhausted)
        ))?,
    }
    Ok(if is_over { ExitCode::SUCCESS } else { ExitCode::from(INTERRUPTED) })
}

fn dry_run(dlq: &Dlq, args: &EditArgs, edit: &Edit) -> anyhow::Result<ExitCode> {
    let Edit::Patch(patch) = edit else {
        bail!("a dry run shows what --set, --rename, --cast, --drop or --patch would do");
    };
    if !args.selection.ids.is_empty() {
        bail!("a dry run is of a filter, such as --group");
    }
    let run = repair::dry_run(dlq, &args.selection.filter.filter(), patch, DRY_RUN_ERRORS)?;
    match args.selection.json {
        true => output::json(&serde_json::to_value(&run)?)?,
        false => print_dry_run(&run)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn print_dry_run(run: &DryRun) -> anyhow::Result<()> {
    let number = output::grouped;
    let whole = if run.is_complete { "all of them" } else { "there are more" };
    output::line(&format!(
        "{} looked at ({whole}); nothing was changed",
        output::counted(run.looked_at, "error")
    ))?;
    output::line(&format!(
        "  {} would be counted, {} would fail again, {} do not fit the edit, {} would not change",
        number(run.valid),
        number(run.still_invalid),
        number(run.does_not_fit),
        number(run.unchanged)
    ))?;
    for (reason, count) in &run.reasons {
        output::line(&format!("  {} {reason}", number(*count)))?;
    }
    for sample in &run.samples {
        output::line(&format!("\n{}\n- {}\n+ {}", sample.error_id, sample.before, sample.after))?;
        if let Some(problem) = &sample.problem {
            output::line(&format!("  would fail again: {problem}"))?;
        }
    }
    Ok(())
}

/// An action on everything that a filter meets.
fn bulk(
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
        bail!("say which errors: ids, a filter such as --group, or --all");
    }
    let works_on: &[Status] = match work {
        Work::UndoDiscard => &[Status::Discarded],
        _ => &[Status::Pending, Status::Exhausted],
    };
    let meant = filter.only(works_on);
    if !selection.yes && !confirmed(&format!("{verb} {} {rest}", how_many(dlq, &meant)?))? {
        eprintln!("nothing was done");
        return Ok(ExitCode::SUCCESS);
    }
    let job = start(dlq, &filter, work, pace)?;
    follow(services, dlq, &job, pace.no_wait, selection.json)
}

fn start(dlq: &Dlq, filter: &Filter, work: &Work, pace: &PaceArgs) -> anyhow::Result<Job> {
    Ok(jobs::create(dlq, filter, work, pace.canary.unwrap_or(0), &actor())?)
}

/// Asks on the terminal; without one, `--yes` is needed.
fn confirmed(what: &str) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("this would {}; add --yes to do it without being asked", what.trim());
    }
    eprint!("{}? [y/N] ", what.trim());
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// Waits for a bulk action and what comes of it; Ctrl-C cancels it.
fn follow(services: &Services, dlq: &Dlq, job: &Job, no_wait: bool, json: bool) -> anyhow::Result<ExitCode> {
    if no_wait {
        let told = format!("bulk action {} goes on where `adpipe up` or `adpipe run dlq` runs", job.job_id);
        match json {
            true => output::json(&serde_json::to_value(job)?)?,
            false => output::line(&told)?,
        }
        return Ok(ExitCode::SUCCESS);
    }
    let shutdown = Shutdown::new();
    signals::watch(&shutdown)?;
    let bar = if job.total > 0 { ProgressBar::new(job.total as u64) } else { ProgressBar::no_length() };
    let sends = matches!(job.kind.as_str(), "retry" | "edit");
    let is_over = running::until(services, dlq, &shutdown, || {
        let now = jobs::get(dlq, &job.job_id)?;
        bar.set_position((now.changed + now.skipped) as u64);
        if now.is_open() {
            return Ok(false);
        }
        let waiting = if sends { jobs::outcomes(dlq, &job.job_id)?.waiting } else { 0 };
        bar.set_message(format!("{waiting} wait for their outcome"));
        Ok(waiting == 0)
    })?;
    bar.finish_and_clear();
    if !is_over && jobs::cancel(dlq, &job.job_id, &actor())? {
        eprintln!("cancelled; what was done stays done");
    }
    let now = jobs::get(dlq, &job.job_id)?;
    print_job(dlq, &now, sends, json)?;
    Ok(match (is_over, now.state.as_str()) {
        (false, _) => ExitCode::from(INTERRUPTED),
        (_, "stopped") => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    })
}

fn print_job(dlq: &Dlq, job: &Job, sends: bool, json: bool) -> anyhow::Result<()> {
    let outcomes = jobs::outcomes(dlq, &job.job_id)?;
    let failures = if sends { jobs::failures(dlq, &job.job_id)? } else { Vec::new() };
    if json {
        let mut value = serde_json::to_value(job)?;
        value["outcomes"] = serde_json::to_value(outcomes)?;
        value["failures"] = serde_json::to_value(&failures)?;
        return output::json(&value);
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
    Ok(())
}
