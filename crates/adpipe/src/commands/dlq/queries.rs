//! Looking at the queue.

use std::io::Write;

use adpipe_dlq::report::{self, ErrorLine, Story};
use adpipe_dlq::{Dlq, Status, headers_to_json, jobs};
use adpipe_log::header;

use super::waiting::Waiting;
use crate::cli::dlq::{JobsArgs, ListArgs, ShowArgs};
use crate::output;
use crate::output::payload;

/// Longest text of a cell.
const CELL: usize = 60;

pub fn list(dlq: &Dlq, args: &ListArgs, waiting: Waiting) -> anyhow::Result<()> {
    if let Some(words) = waiting.words() {
        output::note(&words);
    }
    let filter = args.filter.filter();
    let mut after: Option<String> = None;
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut listed = 0;
    let mut total = None;
    loop {
        let page = report::list(dlq, &filter, after.as_deref(), (args.limit - listed).min(500))?;
        total = page.total.or(total);
        listed += page.errors.len();
        for error in &page.errors {
            if args.json { output::line(&serde_json::to_string(error)?)? } else { rows.push(row(error)) }
        }
        after = page.next;
        if after.is_none() || listed >= args.limit {
            break;
        }
    }
    if args.json {
        return Ok(());
    }
    if rows.is_empty() {
        return match waiting.errors {
            0 => output::line("no error matches"),
            _ => output::line("no stored error matches"),
        };
    }
    let header = ["id", "failed at (UTC)", "status", "type", "field", "message"];
    output::line(&output::table(&header, &[false; 6], &rows))?;
    if after.is_some() {
        let of = total.map(|total| format!(" of {}", output::grouped(total))).unwrap_or_default();
        output::note(&format!("the newest {}{of}; --limit shows more", output::grouped(listed as u64)));
    }
    Ok(())
}

fn row(error: &ErrorLine) -> Vec<String> {
    vec![
        error.error_id.clone(),
        error.last_failed_at.chars().take(19).collect(),
        error.status.clone(),
        error.error_type.clone(),
        error.field.clone().unwrap_or_default(),
        shortened(&error.message),
    ]
}

pub(super) fn shortened(text: &str) -> String {
    payload::shortened(text, CELL)
}

pub fn show(dlq: &Dlq, args: &ShowArgs) -> anyhow::Result<()> {
    let story = report::story(dlq, &args.id)?;
    if args.payload {
        // Byte for byte; on a terminal what would drive it is escaped.
        let mut out = output::results();
        out.write_all(&story.raw_payload)?;
        out.flush()?;
        return Ok(());
    }
    if args.json {
        let mut value = serde_json::to_value(&story)?;
        value["headers"] = serde_json::from_str(&headers_to_json(&story.headers))?;
        value["payload"] = String::from_utf8_lossy(&story.raw_payload).into();
        value["payload_is_utf8"] = std::str::from_utf8(&story.raw_payload).is_ok().into();
        value["edited_payload"] =
            story.edited_payload.as_ref().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).into();
        return output::json(&value);
    }
    print_story(&story)
}

/// An error that needs a decision before its retries are used up has a type that is not retried.
fn tries_of(error: &ErrorLine) -> String {
    if error.status == Status::Exhausted.as_str() && error.retry_count < error.max_retries {
        format!("{}; this type is not retried automatically and needs a decision", error.retry_count)
    } else {
        format!("{} of {}", error.retry_count, error.max_retries)
    }
}

fn print_story(story: &Story) -> anyhow::Result<()> {
    print_facts(story)?;
    for (name, value) in &story.headers.0 {
        output::line(&format!(
            "header        {name}: {}",
            payload::in_one_line(&String::from_utf8_lossy(value))
        ))?;
    }
    output::line(&format!("payload       {}", output::counted(story.raw_payload.len() as u64, "byte")))?;
    output::line(&payload::shown(&story.raw_payload))?;
    if let Some(edited) = &story.edited_payload {
        output::line("edited payload")?;
        output::line(&payload::shown(edited))?;
    }
    print_history(story)
}

fn print_facts(story: &Story) -> anyhow::Result<()> {
    let error = &story.error;
    let facts = [
        ("error", error.error_id.clone()),
        (
            "status",
            error.status.clone()
                + &error
                    .resolution
                    .as_ref()
                    .map(|how| format!(" ({})", how.replace('_', " ")))
                    .unwrap_or_default(),
        ),
        ("type", error.error_type.clone()),
        ("found by", error.stage.clone()),
        ("field", error.field.clone().unwrap_or_else(|| "–".to_owned())),
        ("message", error.message.clone()),
        ("group", error.fingerprint.clone()),
        ("from", format!("{} partition {} offset {}", error.topic, error.partition, error.offset)),
        ("first failed", error.first_failed_at.clone()),
        ("last failed", error.last_failed_at.clone()),
        ("retries", tries_of(error)),
        ("next retry", error.next_retry_at.clone().unwrap_or_else(|| "–".to_owned())),
    ];
    let header = |name: &str| story.headers.text(name);
    let file = header(header::SOURCE).map(|file| match header(header::ROW) {
        Some(row) => format!("{file} row {row}"),
        None => file.to_owned(),
    });
    for (name, value) in facts.into_iter().chain(file.map(|file| ("file", file))) {
        output::line(&format!("{name:<13} {}", payload::in_one_line(&value)))?;
    }
    Ok(())
}

fn print_history(story: &Story) -> anyhow::Result<()> {
    for one in &story.tries {
        let outcome = one.outcome.as_deref().unwrap_or("in progress").replace('_', " ");
        let reason = one.error_message.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        output::line(&format!(
            "attempt {:<3} {}  {outcome}{} ({})",
            one.attempt,
            one.started_at,
            payload::in_one_line(&reason),
            one.actor
        ))?;
    }
    for act in &story.acts {
        let more =
            act.reason.as_ref().or(act.patch.as_ref()).map(|more| format!(": {more}")).unwrap_or_default();
        output::line(&format!(
            "{:<7} {}  {}{}",
            act.actor,
            act.at,
            act.action.replace('_', " "),
            payload::in_one_line(&more)
        ))?;
    }
    Ok(())
}

pub fn stats(dlq: &Dlq, json: bool, waiting: Waiting) -> anyhow::Result<()> {
    let mut groups = report::groups(dlq)?;
    let totals = report::totals(&groups);
    if json {
        let by_status: serde_json::Map<String, serde_json::Value> = Status::ALL
            .into_iter()
            .map(|status| (status.as_str().to_owned(), totals[status as usize].into()))
            .collect();
        return output::json(
            &serde_json::json!({"errors": by_status, "groups": groups, "waiting": waiting.errors}),
        );
    }
    if let Some(words) = waiting.words() {
        output::line(&words)?;
    }
    if groups.is_empty() && waiting.errors == 0 {
        return output::line("no errors");
    }
    let number = output::grouped;
    let told: Vec<String> = Status::ALL
        .into_iter()
        .map(|status| format!("{} {}", number(totals[status as usize]), status.as_str()))
        .collect();
    output::line(&told.join(", "))?;
    groups.sort_by_key(|group| std::cmp::Reverse(group.open()));
    let rows: Vec<Vec<String>> = groups
        .iter()
        .map(|group| {
            let counts = group.counts;
            vec![
                group.fingerprint.clone(),
                number(group.open()),
                number(counts[Status::Resolved as usize]),
                number(counts[Status::Discarded as usize]),
                group.error_type.clone(),
                group.stage.clone(),
                group.field.clone().unwrap_or_default(),
                group.last_seen_at.chars().take(19).collect(),
                shortened(&group.message),
            ]
        })
        .collect();
    let header =
        ["group", "open", "resolved", "discarded", "type", "found by", "field", "newest (UTC)", "message"];
    output::line(&output::table(&header, &[false, true, true, true], &rows))
}

pub fn jobs(dlq: &Dlq, args: &JobsArgs) -> anyhow::Result<()> {
    let jobs = jobs::list(dlq, args.limit)?;
    if args.json {
        return output::json(&serde_json::to_value(&jobs)?);
    }
    if jobs.is_empty() {
        return output::line("no bulk actions yet");
    }
    let number = |count: i64| output::grouped(count.max(0) as u64);
    let rows: Vec<Vec<String>> = jobs
        .iter()
        .map(|job| {
            vec![
                job.job_id.clone(),
                job.created_at.chars().take(19).collect(),
                job.kind.replace('_', " "),
                job.state.clone(),
                number(job.changed),
                number(job.skipped),
                job.actor.clone(),
                shortened(job.message.as_deref().unwrap_or_default()),
            ]
        })
        .collect();
    let header = ["job", "begun (UTC)", "kind", "state", "changed", "left alone", "by", ""];
    output::line(&output::table(&header, &[false, false, false, false, true, true], &rows))
}
