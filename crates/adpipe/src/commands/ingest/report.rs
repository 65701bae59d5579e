//! What became of the files: in the log, counted, and checked with `--max-errors`.

use adpipe_ingest::{Checker, Ingested, InvalidRecord};
use adpipe_warehouse::Counts;
use serde_json::{Value, json};

use crate::output;
use crate::services::Services;

/// Says how many records are in the log.
pub fn appended(ingested: &Ingested, services: &Services, json: bool) -> anyhow::Result<()> {
    if json {
        return output::json(&json!({
            "appended": ingested.records, "resumed_from": ingested.resumed_from,
            "too_long": ingested.too_long, "checked": ingested.checker.as_ref().map(checked),
        }));
    }
    output::line(&format!("{} durable in the log", output::counted(ingested.records, "record")))?;
    if ingested.too_long > 0 {
        output::line(&output::too_long(ingested.too_long, false))?;
    }
    if services.take_vacant_stream_role()?.is_some() {
        output::note("not counted yet: run `adpipe up` or `adpipe run stream`, or use --wait");
    }
    Ok(())
}

/// Says what the ingested records were.
pub fn counted(counted: &Counts, ingested: &Ingested, json: bool) -> anyhow::Result<()> {
    if json {
        return output::json(&as_json(counted, ingested));
    }
    let number = output::grouped;
    let rate = output::rate(counted.clicks, counted.valid);
    let rate = rate.map(|rate| format!(" (CTR {rate})")).unwrap_or_default();
    output::line(&format!(
        "{}: {} with {}{rate}, {}, {} invalid",
        output::counted(counted.records, "record"),
        output::counted(counted.valid, "event"),
        output::counted(counted.clicks, "click"),
        output::counted(counted.duplicates, "duplicate"),
        number(counted.invalid()),
    ))?;
    if ingested.too_long > 0 {
        output::line(&output::too_long(ingested.too_long, false))?;
    }
    if counted.records != ingested.records {
        output::note(&format!(
            "note: {} of these came from other senders at the same time; they were counted together",
            number(counted.records.saturating_sub(ingested.records))
        ));
    }
    for (error_type, count) in adpipe_event::ErrorType::ALL.iter().zip(counted.invalid_by_type) {
        if count > 0 {
            output::line(&format!("  {} {}", number(count), error_type.as_str()))?;
        }
    }
    if counted.float_ids > 0 {
        output::note(&format!(
            "warning: {} in float notation (like 1.4e+19): they may have lost digits before they arrived, \
             and different events may share one",
            output::counted(counted.float_ids, "id")
        ));
    }
    if counted.unknown_fields > 0 {
        output::note(&format!(
            "note: {} fields that adpipe does not know were ignored",
            number(counted.unknown_fields)
        ));
    }
    Ok(())
}

fn as_json(counted: &Counts, ingested: &Ingested) -> serde_json::Value {
    let [parse, schema, validation, future, sink, archive] = counted.invalid_by_type;
    json!({
        "records": counted.records, "events": counted.valid, "clicks": counted.clicks,
        "duplicates": counted.duplicates, "invalid": counted.invalid(), "parse": parse,
        "schema": schema, "validation": validation, "future": future, "sink": sink, "archive": archive,
        "late": counted.late, "float_ids": counted.float_ids, "unknown_fields": counted.unknown_fields,
        "too_long": ingested.too_long, "checked": ingested.checker.as_ref().map(checked),
    })
}

/// Names the first invalid records, and why it ended if it did.
pub fn note_invalid(checker: &Checker) {
    for record in checker.named() {
        output::note(&place_and_message(record));
    }
    let named = checker.named().len() as u64;
    let unnamed = checker.invalid() - named - u64::from(checker.is_over());
    if unnamed > 0 {
        output::note(&format!("… and {} more invalid", output::grouped(unnamed)));
    }
    if checker.is_within_limit() {
        return;
    }
    let met = format!(
        "{} of {} invalid, more than --max-errors {}",
        output::grouped(checker.invalid()),
        output::counted(checker.records(), "record"),
        checker.limit()
    );
    output::note(&match checker.stopped_before() {
        Some(record) => format!(
            "stopped before {}; {met}; the records before it are in the log, and the same command continues there",
            place_and_message(record)
        ),
        None => format!("{met}; everything is in the log"),
    });
}

fn checked(checker: &Checker) -> Value {
    json!({
        "invalid": checker.invalid(), "within_limit": checker.is_within_limit(),
        "first": checker.named().iter().map(invalid_record).collect::<Vec<_>>(),
        "stopped_before": checker.stopped_before().map(invalid_record),
    })
}

/// As compilers and editors write it: `FILE:ROW: MESSAGE`.
fn place_and_message(record: &InvalidRecord) -> String {
    format!("{}:{}: {}", record.file, record.row, record.error.message)
}

fn invalid_record(record: &InvalidRecord) -> Value {
    json!({
        "file": record.file, "row": record.row, "type": record.error.error_type.as_str(),
        "message": record.error.message,
    })
}
