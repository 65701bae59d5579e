//! The event log's part of the report.

use std::path::Path;

#[cfg(feature = "kafka")]
use adpipe_log::kafka::{KafkaLog, KafkaOptions};
use adpipe_log::sqlite::SqliteLog;
use adpipe_log::{EventLog, LogError, Offset, RecordBatch, Topic};

use super::finding::{Finding, State, add};
use crate::config::Config;
use crate::log_place::LogPlace;
use crate::output;

/// Checks the log, and makes what is missing when asked to.
pub fn check(
    place: &LogPlace,
    config: &Config,
    fix: bool,
    findings: &mut Vec<Finding>,
) -> Option<Box<dyn EventLog>> {
    let checked = match place {
        LogPlace::Embedded(folder) => check_embedded(folder, findings),
        #[cfg(feature = "kafka")]
        LogPlace::Kafka(options) => check_kafka(options, config, fix, findings),
    };
    #[cfg(not(feature = "kafka"))]
    let _ = (config, fix);
    match checked {
        Ok(log) => log,
        Err(error) => {
            add(findings, "event log", State::Bad, error.to_string());
            None
        }
    }
}

/// Opens the log and reads all of it: every checksum is looked at.
fn check_embedded(folder: &Path, findings: &mut Vec<Finding>) -> Result<Option<Box<dyn EventLog>>, LogError> {
    if !folder.join("log.db").exists() {
        let text = format!("{} has none yet; the first event creates it", folder.display());
        add(findings, "event log", State::Notice, text);
        return Ok(None);
    }
    let log = SqliteLog::open(folder)?;
    let problems = log.check()?;
    if !problems.is_empty() {
        let text = format!(
            "{}: {}; restore the file from a copy, or move it away to start an empty one",
            log.location(),
            problems.join("; ")
        );
        add(findings, "event log", State::Bad, text);
    }
    let records = read_everything(&log)?;
    if problems.is_empty() {
        let text = format!("{}: {} records, all intact", log.location(), output::grouped(records));
        add(findings, "event log", State::Good, text);
    }
    add_gaps(&log, findings)?;
    Ok(Some(Box::new(log)))
}

/// Reads every record that is kept, and gives their number.
fn read_everything(log: &SqliteLog) -> Result<u64, LogError> {
    let mut records = 0;
    for topic in Topic::ALL {
        for range in log.ranges(topic)? {
            let mut next: Offset = range.first;
            while next < range.next {
                let batches = match log.read(topic, range.partition, next, 4 << 20) {
                    // Offsets that the log skipped are on record.
                    Err(LogError::OutOfRange { oldest, .. }) if oldest > next.0 => {
                        next = Offset(oldest);
                        continue;
                    }
                    other => other?,
                };
                next = batches.last().map_or(range.next, RecordBatch::next_offset);
                records += batches.iter().map(|batch| batch.len() as u64).sum::<u64>();
            }
        }
    }
    Ok(records)
}

/// Names the offsets that the log skipped: whatever had them before is not in this file.
fn add_gaps(log: &SqliteLog, findings: &mut Vec<Finding>) -> Result<(), LogError> {
    for topic in Topic::ALL {
        for gap in log.gaps(topic)? {
            let text = format!(
                "{} partition {}: offsets {} to {} were skipped, because the log was older than its readers; \
                 send records that had them and were not counted again",
                topic.name(),
                gap.partition,
                gap.from,
                gap.to
            );
            add(findings, "event log", State::Notice, text);
        }
    }
    Ok(())
}

/// Connects and looks at the topics; their records are the brokers' to check.
#[cfg(feature = "kafka")]
fn check_kafka(
    options: &KafkaOptions,
    config: &Config,
    fix: bool,
    findings: &mut Vec<Finding>,
) -> Result<Option<Box<dyn EventLog>>, LogError> {
    let max_age = config.log.max_age.0;
    let log = KafkaLog::connect(options.clone())?;
    let missing = log.missing_topics()?;
    if !missing.is_empty() && !fix {
        for (topic, command) in missing.iter().zip(log.topic_commands(max_age)?) {
            let name = options.topic_name(*topic);
            let text = format!("there is no topic {name}; run `adpipe doctor --fix`, or `{command}`");
            add(findings, "topic", State::Bad, text);
        }
        return Ok(None);
    }
    if !missing.is_empty() {
        log.create_topics(max_age)?;
        for topic in missing {
            add(findings, "topic", State::Good, format!("made {}", options.topic_name(topic)));
        }
    }
    check_settings(&log, options, findings)?;
    let mut partitions = 0;
    let mut records = 0;
    for topic in Topic::ALL {
        for range in log.ranges(topic)? {
            partitions += 1;
            records += range.next.0 - range.first.0;
        }
    }
    let text = format!(
        "{}: {} records in {partitions} partitions of {} topics",
        log.location(),
        output::grouped(records),
        Topic::ALL.len()
    );
    add(findings, "event log", State::Good, text);
    Ok(Some(Box::new(log)))
}

/// Whether the brokers keep what our promises need.
#[cfg(feature = "kafka")]
fn check_settings(
    log: &KafkaLog,
    options: &KafkaOptions,
    findings: &mut Vec<Finding>,
) -> Result<(), LogError> {
    for settings in log.topic_settings()? {
        let name = options.topic_name(settings.topic);
        if settings.are_hidden() {
            let text = format!(
                "{name}: its settings are hidden from this user; grant DescribeConfigs on the topic to have them checked"
            );
            add(findings, "topic", State::Notice, text);
        }
        if settings.is_compacted() {
            let text = format!(
                "{name} is compacted: Kafka would remove records before they are counted; run `{}`",
                settings.uncompact_command(options)
            );
            add(findings, "topic", State::Bad, text);
        }
        if settings.has_senders_times() {
            let text = format!(
                "{name} keeps the senders' times, so a sender's clock decides which events are in the future; run `{}`",
                settings.timestamp_command(options)
            );
            add(findings, "topic", State::Notice, text);
        }
    }
    Ok(())
}

/// The processes that share the partitions of a log.
#[cfg(feature = "kafka")]
pub fn check_group(log: Option<&dyn EventLog>, findings: &mut Vec<Finding>) {
    let Some(log) = log else { return };
    let (state, text) = match log.consumers(Topic::Raw) {
        Ok(Some(0) | None) => {
            (State::Notice, "is not running; start one or more with `adpipe run stream`".to_owned())
        }
        Ok(Some(1)) => (State::Good, "is running".to_owned()),
        Ok(Some(count)) => (State::Good, format!("{count} are running and share the partitions")),
        Err(error) => (State::Bad, error.to_string()),
    };
    add(findings, "processor", state, text);
}
