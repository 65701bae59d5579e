//! `adpipe topic`: what the event log holds, record by record.

mod create;

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use adpipe_event::Millis;
use adpipe_log::sqlite::SqliteLog;
use adpipe_log::{ErrorRecord, EventLog, Headers, Offset, PartitionRange, Record, Topic};
use anyhow::bail;
use serde_json::json;

use crate::cli::topic::{TopicAction, TopicShowArgs};
use crate::config::Config;
use crate::log_place::LogPlace;
use crate::output;
use crate::output::payload;

/// Bytes that are read at once.
const READ_BYTES: usize = 4 << 20;

/// Records that are shown when nothing is said.
const USUAL: u64 = 20;

/// Longest text of a cell.
const CELL: usize = 60;

pub fn run(config: &Config, action: &TopicAction) -> anyhow::Result<ExitCode> {
    match action {
        TopicAction::List(args) => list(open(config)?.as_ref(), args.json)?,
        TopicAction::Show(args) => show(open(config)?.as_ref(), args)?,
        TopicAction::Create(args) => create::run(config, args.json)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The log alone, and only one that is there.
fn open(config: &Config) -> anyhow::Result<Arc<dyn EventLog>> {
    Ok(match LogPlace::of(config)? {
        LogPlace::Embedded(folder) => {
            if !folder.join("log.db").exists() {
                bail!("no event log in {} yet; `adpipe ingest FILE` creates one", folder.display());
            }
            Arc::new(SqliteLog::open(&folder)?)
        }
        #[cfg(feature = "kafka")]
        LogPlace::Kafka(options) => Arc::new(adpipe_log::kafka::KafkaLog::open(options)?),
    })
}

fn list(log: &dyn EventLog, json: bool) -> anyhow::Result<()> {
    let (mut rows, mut values) = (Vec::new(), Vec::new());
    for topic in Topic::ALL {
        for range in log.ranges(topic)? {
            let PartitionRange { partition, first, next } = range;
            rows.push(vec![
                topic.name().to_owned(),
                partition.to_string(),
                first.0.to_string(),
                next.0.to_string(),
                output::grouped(next.0 - first.0),
            ]);
            values.push(json!({
                "topic": topic.name(), "partition": partition, "first_offset": first.0, "next_offset": next.0,
            }));
        }
    }
    if json {
        return output::json(&values.into());
    }
    let header = ["topic", "partition", "first offset", "next offset", "offsets kept"];
    output::line(&output::table(&header, &[false, true, true, true, true], &rows))
}

/// A record that outlives its batch.
struct Found {
    partition: u32,
    offset: Offset,
    at: Millis,
    key: Vec<u8>,
    payload: Vec<u8>,
    headers: Headers,
}

impl Found {
    fn of(partition: u32, record: Record<'_>) -> Found {
        Found {
            partition,
            offset: record.offset,
            at: Millis(record.appended_at_ms),
            key: record.key.to_vec(),
            payload: record.payload.to_vec(),
            headers: record.own_headers(),
        }
    }
}

fn show(log: &dyn EventLog, args: &TopicShowArgs) -> anyhow::Result<()> {
    let ranges = log.ranges(args.topic)?;
    let limit = args.limit.unwrap_or(if args.offset.is_some() { 1 } else { USUAL });
    let wanted: Vec<&PartitionRange> =
        ranges.iter().filter(|range| args.partition.is_none_or(|wanted| range.partition == wanted)).collect();
    if let (Some(partition), true) = (args.partition, wanted.is_empty()) {
        let name = args.topic.name();
        bail!("{name} has no partition {partition}; `adpipe topic list` shows which there are");
    }
    let mut found = Vec::new();
    for range in wanted {
        let from = match args.offset {
            Some(offset) => within(args.topic, range, offset)?,
            None => Offset(range.next.0.saturating_sub(limit).max(range.first.0)),
        };
        read(log, args.topic, range, from, limit, &mut found)?;
    }
    if args.offset.is_none() {
        // The newest of all partitions, the newest last.
        found.sort_by_key(|record| (record.at, record.partition, record.offset));
        found.drain(..found.len().saturating_sub(limit as usize));
    }
    print(&found, args)
}

fn within(topic: Topic, range: &PartitionRange, offset: Offset) -> anyhow::Result<Offset> {
    if (range.first..range.next).contains(&offset) {
        return Ok(offset);
    }
    let place = format!("{} partition {}", topic.name(), range.partition);
    if range.first == range.next {
        bail!("{place} holds no records now");
    }
    let last = range.next.0 - 1;
    bail!("{place} holds offsets {} to {last}, not {}", range.first, offset)
}

/// Reads records of one partition, over offsets that the log skipped.
fn read(
    log: &dyn EventLog,
    topic: Topic,
    range: &PartitionRange,
    from: Offset,
    limit: u64,
    found: &mut Vec<Found>,
) -> anyhow::Result<()> {
    let gaps = log.gaps(topic)?;
    let (mut from, mut left) = (from, limit);
    while left > 0 && from < range.next {
        let skipped =
            gaps.iter().find(|gap| gap.partition == range.partition && (gap.from..gap.to).contains(&from));
        if let Some(gap) = skipped {
            from = gap.to;
            continue;
        }
        let batches = log.read(topic, range.partition, from, READ_BYTES)?;
        if batches.is_empty() {
            break;
        }
        for batch in &batches {
            let records = batch.iter().filter(|record| record.offset >= from).take(left as usize);
            let before = found.len();
            found.extend(records.map(|record| Found::of(range.partition, record)));
            left -= (found.len() - before) as u64;
            from = from.max(batch.next_offset());
        }
    }
    Ok(())
}

fn print(found: &[Found], args: &TopicShowArgs) -> anyhow::Result<()> {
    if args.payload {
        let mut out = output::results();
        if let Some(record) = found.first() {
            out.write_all(&record.payload)?;
        }
        return Ok(out.flush()?);
    }
    if args.json {
        return found.iter().try_for_each(|record| output::line(&as_json(args.topic, record).to_string()));
    }
    if found.is_empty() {
        return output::line("no records");
    }
    if args.offset.is_some() && args.limit.is_none() {
        return found.iter().try_for_each(|record| print_whole(args.topic, record));
    }
    let is_of_errors = args.topic == Topic::Error;
    let mut header = vec!["partition", "offset", "appended (UTC)", "key"];
    if is_of_errors {
        header.extend(["type", "from", "message"]);
    }
    header.push("payload");
    let rows: Vec<Vec<String>> = found.iter().map(|record| row(record, is_of_errors)).collect();
    output::line(&output::table(&header, &[true, true], &rows))
}

fn row(record: &Found, is_of_errors: bool) -> Vec<String> {
    let mut row = vec![
        record.partition.to_string(),
        record.offset.0.to_string(),
        record.at.to_string(),
        payload::shortened(&String::from_utf8_lossy(&record.key), CELL),
    ];
    if is_of_errors {
        let error = ErrorRecord::read(&record.headers);
        let origin = error.origin().map(|(topic, partition, offset)| format!("{topic} {partition} {offset}"));
        row.extend([
            error.error_type.unwrap_or_default().to_owned(),
            payload::shortened(&origin.unwrap_or_default(), CELL),
            payload::shortened(error.message.unwrap_or_default(), CELL),
        ]);
    }
    row.push(payload::shortened(&String::from_utf8_lossy(&record.payload), CELL));
    row
}

fn print_whole(topic: Topic, record: &Found) -> anyhow::Result<()> {
    let place = format!("{} partition {} offset {}", topic.name(), record.partition, record.offset);
    output::line(&format!("record        {place}"))?;
    output::line(&format!("appended      {} UTC", record.at))?;
    output::line(&format!("key           {}", payload::in_one_line(&String::from_utf8_lossy(&record.key))))?;
    for (name, value) in &record.headers.0 {
        let value = payload::in_one_line(&String::from_utf8_lossy(value));
        output::line(&format!("header        {name}: {value}"))?;
    }
    output::line(&format!("payload       {}", output::counted(record.payload.len() as u64, "byte")))?;
    output::line(&payload::shown(&record.payload))
}

fn as_json(topic: Topic, record: &Found) -> serde_json::Value {
    let headers: serde_json::Map<String, serde_json::Value> = record
        .headers
        .0
        .iter()
        .map(|(name, value)| (name.clone(), String::from_utf8_lossy(value).into_owned().into()))
        .collect();
    json!({
        "topic": topic.name(), "partition": record.partition, "offset": record.offset.0,
        "appended_at": record.at.to_string(), "key": String::from_utf8_lossy(&record.key),
        "headers": headers, "payload": String::from_utf8_lossy(&record.payload),
        "payload_is_utf8": std::str::from_utf8(&record.payload).is_ok(),
    })
}
