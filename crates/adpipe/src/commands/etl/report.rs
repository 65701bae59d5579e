//! The report, for people and as JSON.

use std::collections::BTreeMap;

use adpipe_batch::discover::NotRead;
use adpipe_batch::{FileReport, OverLimit, Report};
use adpipe_event::ErrorType;
use adpipe_warehouse::Counts;
use serde_json::{Value, json};

use crate::output;

/// Files shown in the table; all of them are in the JSON, and in `ops.ingest_files`.
const SHOWN_FILES: usize = 40;

/// Names shown of files that were passed over for one reason.
const SHOWN_PASSED_OVER: usize = 5;

pub fn print(report: &Report, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        return output::json(&to_json(report));
    }
    let header = [
        "file",
        "state",
        "rows",
        "valid",
        "clicks",
        "CTR",
        "duplicates",
        "invalid",
        "float ids",
        "from (UTC)",
        "to (UTC)",
    ];
    let right = [false, false, true, true, true, true, true, true, true, false, false];
    let (interesting, unchanged): (Vec<&FileReport>, Vec<&FileReport>) =
        report.files.iter().partition(|file| file.state != "unchanged");
    let listed: Vec<&FileReport> = interesting.iter().chain(&unchanged).copied().take(SHOWN_FILES).collect();
    if !listed.is_empty() {
        let rows: Vec<Vec<String>> = listed.iter().map(|file| row(file, report.dry_run)).collect();
        output::line(&output::table(&header, &right, &rows))?;
    }
    if report.files.len() > listed.len() {
        let more = report.files.len() - listed.len();
        output::line(&format!("… and {} more; --json lists all", output::counted(more as u64, "file")))?;
    }
    for file in &report.files {
        if file.counts.invalid() > 0 {
            output::line(&format!("{}: {}", file.name, by_type(&file.counts, report.dry_run)))?;
        }
        if file.too_long > 0 {
            output::line(&format!("{}: {}", file.name, output::too_long(file.too_long, report.dry_run)))?;
        }
        if !file.message.is_empty() {
            output::line(&format!("{}: {}", file.name, file.message))?;
        }
    }
    passed_over(&report.passed_over)?;
    summary(report)
}

/// What was passed over, one line a reason.
fn passed_over(files: &[NotRead]) -> anyhow::Result<()> {
    let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for file in files {
        by_reason.entry(&file.reason).or_default().push(&file.name);
    }
    for (reason, names) in by_reason {
        let mut shown = names[..names.len().min(SHOWN_PASSED_OVER)].join(", ");
        if names.len() > SHOWN_PASSED_OVER {
            let more = output::grouped((names.len() - SHOWN_PASSED_OVER) as u64);
            shown.push_str(&format!(" and {more} more (--json lists all)"));
        }
        output::line(&format!("passed over: {shown}: {reason}"))?;
    }
    Ok(())
}

fn summary(report: &Report) -> anyhow::Result<()> {
    let counts = report.counts();
    let seconds = report.took.as_secs_f64().max(1e-3);
    output::line(&format!(
        "{}{}: {} = {} valid + {} + {} invalid in {:.1} s ({} rows/s)",
        if report.dry_run { "dry run, nothing written: " } else { "" },
        output::counted(report.files.len() as u64, "file"),
        output::counted(counts.records, "row"),
        output::grouped(counts.valid),
        output::counted(counts.duplicates, "duplicate"),
        output::grouped(counts.invalid()),
        seconds,
        output::grouped((counts.records as f64 / seconds) as u64),
    ))?;
    let mut also = Vec::new();
    if report.parts > 0 {
        let parts = output::counted(report.parts, "file");
        also.push(format!("{parts} of {:.1} MB added to the archive", report.part_bytes as f64 / 1e6));
    }
    for (count, what) in [
        (report.archived_from_stream, "that came by stream archived"),
        (report.made_hot, "put into realtime.events"),
        (report.left_hot, "left realtime.events, archived"),
    ] {
        if count > 0 {
            also.push(format!("{} {what}", output::counted(count, "event")));
        }
    }
    if report.merged.0 > 0 {
        also.push(format!("{} small files merged into {}", report.merged.0, report.merged.1));
    }
    if report.swept > 0 {
        also.push(format!("{} of a crashed run removed", output::counted(report.swept, "file")));
    }
    if report.hashed > 0 {
        also.push(format!("hashes set for {}", output::counted(report.hashed, "older file")));
    }
    if !also.is_empty() {
        output::line(&also.join("; "))?;
    }
    exceptions(report)
}

/// What was left out or left alone, and why.
fn exceptions(report: &Report) -> anyhow::Result<()> {
    if let Some((hour, reason)) = report.unreadable_hours.first() {
        output::line(&format!(
            "WARNING: events of {} wait in the dead-letter queue, because parts of the archive cannot be read; {hour}: {reason}; put the part back, and they are retried automatically",
            output::counted(report.unreadable_hours.len() as u64, "hour")
        ))?;
    }
    let unnamed = report.unnamed.iter().map(|unnamed| (&unnamed.file, &unnamed.reason)).collect();
    list("in the archive that no row names, kept", unnamed)
}

fn list(what: &str, files: Vec<(&String, &String)>) -> anyhow::Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    output::line(&format!("{} {what}:", output::counted(files.len() as u64, "file")))?;
    for (name, reason) in files.iter().take(SHOWN_FILES) {
        output::line(&format!("  {name}: {reason}"))?;
    }
    if files.len() > SHOWN_FILES {
        output::line(&format!("  … and {} more; --json lists all", files.len() - SHOWN_FILES))
    } else {
        Ok(())
    }
}

/// Why a run ended that met too many invalid rows.
pub fn over_limit(over: &OverLimit) -> String {
    let met = format!(
        "{} of {} invalid, more than --max-errors {}",
        output::grouped(over.invalid),
        output::counted(over.records, "row"),
        over.limit
    );
    match &over.place {
        Some((file, row, reason)) => output::terminal::escaped(&format!(
            "stopped before {file} row {}: {reason}; {met}; the rows before it are done, and the next run continues there",
            output::grouped(*row)
        ))
        .into_owned(),
        None => format!("{met}; everything was read"),
    }
}

fn row(file: &FileReport, dry_run: bool) -> Vec<String> {
    // Nothing is done about a file in a dry run.
    let state = if dry_run && file.state == "done" { "checked" } else { file.state };
    let state = match file.because {
        "" | "new" => state.to_owned(),
        because => format!("{state}, {because}"),
    };
    // Of a file that was not read, what was read of it before.
    let counts = if file.because.is_empty() { &file.total } else { &file.counts };
    let time = |time: Option<adpipe_event::Millis>| time.map_or(String::new(), |time| time.to_string());
    vec![
        file.name.clone(),
        state,
        output::grouped(counts.records),
        output::grouped(counts.valid),
        output::grouped(counts.clicks),
        output::rate(counts.clicks, counts.valid).unwrap_or_default(),
        output::grouped(counts.duplicates),
        output::grouped(counts.invalid()),
        output::grouped(counts.float_ids),
        time(file.first_event),
        time(file.last_event),
    ]
}

fn by_type(counts: &Counts, dry_run: bool) -> String {
    let kinds = ErrorType::ALL.iter().zip(counts.invalid_by_type).filter(|(_, count)| *count > 0);
    let kinds: Vec<String> =
        kinds.map(|(kind, count)| format!("{} {}", output::grouped(count), kind.as_str())).collect();
    let place = if dry_run {
        "without --dry-run they go to ad_events_error"
    } else {
        "they are in ad_events_error; see `adpipe dlq stats`"
    };
    format!("invalid: {}; {place}", kinds.join(", "))
}

/// `too_long` is known of this run alone.
fn counts_json(counts: &Counts, too_long: Option<u64>) -> Value {
    let by_type: serde_json::Map<String, Value> = ErrorType::ALL
        .iter()
        .zip(counts.invalid_by_type)
        .map(|(kind, count)| (kind.as_str().to_owned(), count.into()))
        .collect();
    let mut value = json!({
        "rows": counts.records, "valid": counts.valid, "clicks": counts.clicks,
        "duplicates": counts.duplicates, "invalid": counts.invalid(), "invalid_by_type": by_type,
        "float_ids": counts.float_ids, "unknown_fields": counts.unknown_fields,
    });
    if let Some(too_long) = too_long {
        value["too_long"] = too_long.into();
    }
    value
}

fn to_json(report: &Report) -> Value {
    let files: Vec<Value> = report
        .files
        .iter()
        .map(|file| {
            json!({
                "file": file.name, "state": file.state, "because": file.because, "message": file.message,
                "this_run": counts_json(&file.counts, Some(file.too_long)), "total": counts_json(&file.total, None), "ctr": file.ctr(),
                "first_event": file.first_event.map(|time| time.to_string()),
                "last_event": file.last_event.map(|time| time.to_string()),
            })
        })
        .collect();
    let unreadable: Vec<Value> = report
        .unreadable_hours
        .iter()
        .map(|(hour, reason)| json!({"hour": hour.to_string(), "reason": reason}))
        .collect();
    let passed_over: Vec<Value> =
        report.passed_over.iter().map(|file| json!({"file": file.name, "reason": file.reason})).collect();
    json!({
        "dry_run": report.dry_run, "stopped": report.stopped, "failed": report.is_failed(),
        "files": files, "passed_over": passed_over,
        "this_run": counts_json(&report.counts(), Some(report.too_long())),
        "archive": {"parts": report.parts, "bytes": report.part_bytes,
                    "from_stream": report.archived_from_stream,
                    "merged": report.merged.0, "merged_into": report.merged.1, "swept": report.swept,
                    "hashed": report.hashed, "unnamed": report.unnamed, "unreadable_hours": unreadable},
        "over_limit": report.over_limit.as_ref().map(|over| json!({
            "invalid": over.invalid, "rows": over.records, "limit": over.limit.to_string(),
            "file": over.place.as_ref().map(|(file, ..)| file),
            "row": over.place.as_ref().map(|(_, row, _)| row),
            "message": over.place.as_ref().map(|(.., message)| message),
        })),
        "hot": {"in": report.made_hot, "out": report.left_hot},
        "seconds": report.took.as_secs_f64(), "seconds_for_files": report.took_files.as_secs_f64(),
    })
}
