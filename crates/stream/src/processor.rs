//! Makes each micro-batch one warehouse transaction.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use adpipe_counting::archived::{self, ArchivedIds, Judged, hours_of};
use adpipe_counting::micro_batch::MicroBatch;
use adpipe_counting::windows;
use adpipe_event::{ContentSum, ErrorType, EventError, Millis};
use adpipe_log::{EventLog, LogError, Topic};
use adpipe_metrics::{Metrics, Role};
use adpipe_warehouse::sums::HourContents;
use adpipe_warehouse::{
    Commit, Counts, Inserted, LatencyCounts, StreamWriter, Warehouse, WarehouseError, archive, invalid,
};

use crate::intake::{Committed, Intake};
use crate::send_errors::{self, InError};
use crate::{StreamConfig, StreamError, in_error, retries};
use adpipe_runtime::Backoff;
use adpipe_runtime::Shutdown;

/// Micro-batches between the two threads: one being filled, one waiting, one being written.
const QUEUED_BATCHES: usize = 1;

/// How long an order to end may go unnoticed.
const NOTICE: Duration = Duration::from_millis(50);

/// Reads `ad_events_raw` and `ad_events_retry` and counts their events, until the switch is off.
///
/// # Errors
/// Only what waiting cannot fix: a damaged log or warehouse. What was read and not committed is read
/// again at the next start.
pub fn run(
    config: &StreamConfig,
    log: &dyn EventLog,
    warehouse: &dyn Warehouse,
    metrics: &Metrics,
    shutdown: &Shutdown,
) -> Result<(), StreamError> {
    metrics.play(Role::Stream);
    let generation = AtomicU64::new(0);
    let (sender, receiver) = sync_channel(QUEUED_BATCHES);
    let committed = Committed::default();
    let reading = shutdown.part();
    let intake = Intake {
        config,
        log,
        warehouse,
        shutdown: &reading,
        generation: &generation,
        committed: &committed,
        batches: sender,
    };
    std::thread::scope(|scope| {
        let intake = std::thread::Builder::new()
            .name("stream-intake".to_owned())
            .spawn_scoped(scope, move || intake.run())
            .map_err(|error| StreamError::Thread(error.to_string()))?;
        let mut processor = Processor {
            config,
            log,
            warehouse,
            metrics,
            shutdown,
            generation: &generation,
            committed: &committed,
            writer: None,
            newest_events: HashMap::new(),
            archived: ArchivedIds::default(),
            backoff: Backoff::new("the warehouse"),
            log_backoff: Backoff::new("the event log (for errors)"),
        };
        let written = processor.run(&receiver);
        // An intake that waits for room in the queue notices that nothing reads it any more; one that
        // waits for records would not, and a failure would only be reported with the next record.
        reading.trigger();
        drop(receiver);
        let read = intake.join().map_err(|_| StreamError::Thread("the intake thread panicked".to_owned()))?;
        read.and(written)
    })
}

struct Processor<'a> {
    config: &'a StreamConfig,
    log: &'a dyn EventLog,
    warehouse: &'a dyn Warehouse,
    metrics: &'a Metrics,
    shutdown: &'a Shutdown,
    generation: &'a AtomicU64,
    committed: &'a Committed,
    writer: Option<Box<dyn StreamWriter>>,
    /// The newest event time committed in each partition: what "late" is measured by. Partitions are
    /// read in turn, so that in a backlog one may be hours of event time ahead of another.
    newest_events: HashMap<(Topic, u32), Millis>,
    archived: ArchivedIds,
    backoff: Backoff,
    log_backoff: Backoff,
}

impl Processor<'_> {
    fn run(&mut self, batches: &Receiver<MicroBatch>) -> Result<(), StreamError> {
        while !self.shutdown.is_triggered() {
            match batches.recv_timeout(NOTICE) {
                Ok(batch) => self.write(&batch)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        Ok(())
    }

    /// Writes a batch, however long it takes; gives up only when asked to end or when fenced.
    fn write(&mut self, batch: &MicroBatch) -> Result<(), StreamError> {
        let mut errors_sent = false;
        while !self.shutdown.is_triggered() {
            if batch.generation != self.generation.load(Ordering::Acquire) {
                return Ok(());
            }
            match self.try_write(batch, &mut errors_sent) {
                Ok(()) => {
                    self.backoff.succeeded();
                    self.log_backoff.succeeded();
                    return Ok(());
                }
                Err(StreamError::Warehouse(WarehouseError::Fenced { topic, partition, expected })) => {
                    tracing::warn!(%topic, partition, expected, "another processor continued from here; starting from its offset");
                    self.generation.fetch_add(1, Ordering::AcqRel);
                    return Ok(());
                }
                Err(StreamError::Warehouse(error)) if error.is_transient() => {
                    self.writer = None;
                    self.backoff.failed(&error, self.shutdown);
                }
                Err(StreamError::Log(error)) if error.is_transient() => {
                    self.log_backoff.failed(&error, self.shutdown);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn try_write(&mut self, batch: &MicroBatch, errors_sent: &mut bool) -> Result<(), StreamError> {
        if !*errors_sent {
            let failed = batch.failed.iter();
            let errors: Vec<InError<'_>> = failed
                .map(|failed| InError { origin: failed.origin, error: &failed.error, waits_for: None })
                .collect();
            send_errors::send(self.log, self.metrics, batch, &errors)?;
            *errors_sent = true;
        }
        let started = Instant::now();
        let commits = self.apply(batch)?;
        self.metrics.observe_commit(started.elapsed().as_secs_f64());
        self.count(batch, &commits);
        for share in &batch.shares {
            self.committed.note(share.topic, share.partition, share.next);
        }
        Ok(())
    }

    /// The promise: all effects of the batch and the next offsets, in one transaction.
    fn apply(&mut self, batch: &MicroBatch) -> Result<Vec<Commit>, StreamError> {
        let mut writer = match self.writer.take() {
            Some(writer) => writer,
            None => self.warehouse.stream_writer()?,
        };
        let hours = hours_of(&batch.events);
        let (mut transaction, judged) = loop {
            let mut transaction = writer.begin()?;
            for share in &batch.shares {
                transaction.claim(share.topic.name(), share.partition, share.first.0, share.next.0)?;
            }
            let archived = transaction.archived_hours(&hours)?;
            let unknown = self.archived.unknown(&archived);
            if unknown.is_empty() {
                break (transaction, self.archived.judge(&batch.events, &archived));
            }
            // Ids are read outside of a transaction, which would hold others up.
            drop(transaction);
            for hour in unknown {
                self.archived.load(self.warehouse, self.config.archive.as_deref(), hour.hour)?;
            }
        };
        let inserted = transaction.insert_events_except(&batch.events, &judged.except)?;
        let rejected = rejected(batch, &inserted, &judged);
        self.send_rejected(batch, &rejected)?;
        for (hour, reason) in &judged.unreadable {
            archive::note_unreadable(transaction.as_mut(), *hour, reason)?;
        }
        let mut contents = HourContents::new();
        contents.add_events(batch.events.event_times(), &batch.sums, &inserted.is_new);
        contents.store(transaction.as_mut())?;
        let windows = windows::aggregate(&batch.events, &inserted.is_new);
        transaction.add_metrics(&windows.minutes, &windows.hours)?;
        let commits = self.account(batch, &inserted, &rejected);
        transaction.record(&commits)?;
        for (commit, offsets) in commits.iter().zip(in_error::offsets(batch, &rejected)) {
            invalid::add(transaction.as_mut(), commit, &offsets)?;
        }
        transaction.record_replays(&retries::outcomes(batch, &inserted, &rejected))?;
        transaction.commit()?;
        self.writer = Some(writer);
        Ok(commits)
    }

    /// Errors of single events, durable before the transaction that leaves them out is.
    fn send_rejected(&self, batch: &MicroBatch, rejected: &Rejected) -> Result<(), LogError> {
        let errors: Vec<InError<'_>> = rejected
            .iter()
            .map(|(index, error)| {
                let is_waiting = error.error_type == ErrorType::Archive;
                let waits_for = is_waiting.then(|| batch.events.event_time(*index).floor_hour());
                InError { origin: batch.origins[*index], error, waits_for }
            })
            .collect();
        send_errors::send(self.log, self.metrics, batch, &errors)
    }

    /// What became of the records of each partition.
    fn account(&self, batch: &MicroBatch, inserted: &Inserted, rejected: &Rejected) -> Vec<Commit> {
        let mut all_counts: Vec<Counts> = batch.shares.iter().map(|share| share.counts).collect();
        let mut contents = vec![ContentSum::default(); batch.shares.len()];
        let lateness_ms = self.config.allowed_lateness.as_millis() as i64;
        let late_before: Vec<Option<i64>> = batch
            .shares
            .iter()
            .map(|share| {
                self.newest_events
                    .get(&(share.topic, share.partition))
                    .map(|newest| newest.0 - lateness_ms - 60_000)
            })
            .collect();
        for (index, origin) in batch.origins.iter().enumerate() {
            let share = batch.share_index(*origin);
            let counts = &mut all_counts[share];
            if inserted.is_new[index] {
                let minute = batch.events.event_time(index).floor_minute();
                counts.valid += 1;
                contents[share].add(batch.sums[index]);
                counts.clicks += u64::from(batch.events.click(index));
                counts.late += u64::from(late_before[share].is_some_and(|limit| minute.0 < limit));
            } else {
                counts.duplicates += 1;
            }
        }
        for (index, error) in rejected {
            let counts = &mut all_counts[batch.share_index(batch.origins[*index])];
            counts.duplicates -= 1;
            counts.add_invalid(error.error_type);
        }
        let committed_at = Millis::now();
        let latencies = batch.latencies(committed_at);
        batch
            .shares
            .iter()
            .zip(all_counts)
            .zip(latencies.into_iter().zip(contents))
            .map(|((share, counts), (latency, content))| Commit {
                topic: share.topic.name(),
                partition: share.partition,
                first_offset: share.first.0,
                next_offset: share.next.0,
                committed_at,
                counts,
                latency,
                content: Some(content),
            })
            .collect()
    }

    fn count(&mut self, batch: &MicroBatch, commits: &[Commit]) {
        let mut total = Counts::default();
        for commit in commits {
            total.add(&commit.counts);
        }
        let processed = &self.metrics.events_processed;
        processed.with_label_values(&["valid"]).inc_by(total.valid);
        processed.with_label_values(&["duplicate"]).inc_by(total.duplicates);
        processed.with_label_values(&["invalid"]).inc_by(total.invalid());
        for (error_type, count) in ErrorType::ALL.iter().zip(total.invalid_by_type) {
            self.metrics.events_invalid.with_label_values(&[error_type.as_str()]).inc_by(count);
        }
        self.metrics.count_late(total.late);
        // The account's own moment and buckets, so that /metrics and the console agree.
        let Some(committed_at) = commits.first().map(|commit| commit.committed_at) else { return };
        self.metrics.committed_at(committed_at.0 as f64 / 1_000.0);
        let mut latency = LatencyCounts::default();
        commits.iter().for_each(|commit| latency.add(&commit.latency));
        self.metrics.observe_latencies(&latency.0, batch.waited_ms(committed_at) as f64 / 1_000.0);
        for (index, origin) in batch.origins.iter().enumerate() {
            let share = &batch.shares[batch.share_index(*origin)];
            let event_time = batch.events.event_time(index);
            let newest = self.newest_events.entry((share.topic, share.partition)).or_insert(event_time);
            *newest = event_time.max(*newest);
        }
    }
}

/// Events that are not inserted and are errors, by index: those that the database itself refuses,
/// found one by one, so that their neighbours are counted; and those of hours that cannot be read.
pub(crate) type Rejected = BTreeMap<usize, EventError>;

fn rejected(batch: &MicroBatch, inserted: &Inserted, judged: &Judged) -> Rejected {
    let refused = inserted.refused.iter().map(|(index, reason)| {
        let message = format!("warehouse: {reason}");
        (*index, EventError { error_type: ErrorType::Sink, field: None, message })
    });
    let unjudged = judged.unjudged.iter().map(|index| {
        let hour = batch.events.event_time(*index).floor_hour();
        let reason = judged.unreadable.iter().find(|(unreadable, _)| *unreadable == hour);
        (*index, archived::error(hour, reason.map_or("", |(_, reason)| reason)))
    });
    refused.chain(unjudged).collect()
}
