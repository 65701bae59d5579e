//! Appending: a ticket resolves when Kafka has every record of its append.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, PurgeConfig, ThreadedProducer};

use super::context::NewestError;
use super::failure::failure;
use super::options::{BROKER_TIMEOUT, KafkaOptions};
use super::positions::Positions;
use crate::{
    AppendReply, AppendTicket, Headers, LogError, MAX_QUEUED_BYTES, Records, SourcePosition, Topic, header,
};

/// Bytes on their way to the brokers before appends are refused with [`LogError::Busy`]: as much
/// as the embedded log has waiting and being written.
const MAX_IN_FLIGHT_BYTES: usize = 2 * MAX_QUEUED_BYTES;

/// What a record costs in memory next to its bytes: a flood of tiny ones is bounded, too.
const RECORD_OVERHEAD_BYTES: usize = 128;

/// How long to wait for room in librdkafka's own queue, which is larger than ours.
const QUEUE_PAUSE: Duration = Duration::from_millis(1);

pub(super) struct Producer {
    options: Arc<KafkaOptions>,
    producer: ThreadedProducer<DeliveryContext>,
    in_flight: Arc<AtomicUsize>,
    positions: Arc<Positions>,
}

impl Producer {
    pub fn open(options: &Arc<KafkaOptions>) -> Result<Producer, LogError> {
        let context = DeliveryContext { options: Arc::clone(options), newest_error: NewestError::default() };
        let producer = options
            .producer()
            .create_with_context(context)
            .map_err(|error| failure(options, None, &error, None))?;
        Ok(Producer {
            options: Arc::clone(options),
            producer,
            in_flight: Arc::new(AtomicUsize::new(0)),
            positions: Arc::new(Positions::at(options.positions_file.clone())),
        })
    }

    pub fn positions(&self) -> &Positions {
        &self.positions
    }

    pub fn append(
        &self,
        topic: Topic,
        records: &Records,
        position: Option<SourcePosition>,
    ) -> Result<AppendTicket, LogError> {
        let bytes = records.byte_size() + records.len() * RECORD_OVERHEAD_BYTES;
        self.reserve(bytes)?;
        let (reply, ticket) = AppendTicket::new();
        // The append itself counts as one, so that the reply waits for the last `send` below.
        let append = Arc::new(Append {
            topic,
            undelivered: AtomicUsize::new(records.len() + 1),
            failed: Mutex::new(None),
            reply: Mutex::new(Some(Reply { reply, position, positions: Arc::clone(&self.positions) })),
            bytes,
            in_flight: Arc::clone(&self.in_flight),
        });
        let name = self.options.topic_name(topic);
        let header_sets: Vec<Option<OwnedHeaders>> = records.header_sets.iter().map(to_kafka).collect();
        let deadline = Instant::now() + BROKER_TIMEOUT;
        let mut refused = None;
        for (index, span) in records.spans.iter().enumerate() {
            // After the first refusal the rest is not sent: the append has failed already, and
            // its sender will send all of it again.
            if refused.is_none() {
                let mut record = BaseRecord::with_opaque_to(&name, Arc::clone(&append));
                let key = records.key(*span);
                if !key.is_empty() {
                    record = record.key(key);
                }
                record = record.payload(records.payload(*span));
                let headers = header_sets[span.header_set as usize].clone();
                record.headers = match records.row_at(index) {
                    Some(row) => Some(with_row(headers, row)),
                    None => headers,
                };
                refused = self.send(record, deadline);
                if refused.is_none() {
                    continue;
                }
            }
            append.delivered(refused.clone());
        }
        append.delivered(None);
        Ok(ticket)
    }

    fn reserve(&self, bytes: usize) -> Result<(), LogError> {
        let reserved = self.in_flight.fetch_update(Ordering::AcqRel, Ordering::Acquire, |in_flight| {
            // A single append larger than the bound must still get through, alone.
            (in_flight == 0 || in_flight + bytes <= MAX_IN_FLIGHT_BYTES).then_some(in_flight + bytes)
        });
        reserved.map(drop).map_err(|queued_bytes| LogError::Busy { queued_bytes })
    }

    /// Hands one record to librdkafka; the error when it does not take it.
    fn send(
        &self,
        mut record: BaseRecord<'_, [u8], [u8], Arc<Append>>,
        deadline: Instant,
    ) -> Option<LogError> {
        loop {
            let (error, unsent) = match self.producer.send(record) {
                Ok(()) => return None,
                Err(refused) => refused,
            };
            let is_full = error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull);
            if !is_full || Instant::now() >= deadline {
                let context = self.producer.client().context();
                let topic = unsent.delivery_opaque.topic;
                return Some(failure(&self.options, Some(topic), &error, context.newest_error.newest()));
            }
            record = unsent;
            std::thread::sleep(QUEUE_PAUSE);
        }
    }
}

impl Drop for Producer {
    /// Sends out what is queued; what cannot be sent in time fails, and its tickets say so.
    fn drop(&mut self) {
        if self.producer.flush(BROKER_TIMEOUT).is_err() {
            self.producer.purge(PurgeConfig::default().queue().inflight());
            self.producer.poll(Duration::from_millis(100));
        }
    }
}

/// One append under way.
struct Append {
    topic: Topic,
    undelivered: AtomicUsize,
    failed: Mutex<Option<LogError>>,
    reply: Mutex<Option<Reply>>,
    bytes: usize,
    in_flight: Arc<AtomicUsize>,
}

struct Reply {
    reply: AppendReply,
    position: Option<SourcePosition>,
    positions: Arc<Positions>,
}

impl Append {
    /// Notes that a record is in the log, or why not; the last one answers the ticket.
    fn delivered(&self, error: Option<LogError>) {
        if let Some(error) = error {
            self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        }
        if self.undelivered.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        self.in_flight.fetch_sub(self.bytes, Ordering::AcqRel);
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(answer) = self.reply.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let outcome = match (failed, &answer.position) {
            (Some(error), _) => Err(error),
            (None, Some(position)) => answer.positions.save(position),
            (None, None) => Ok(()),
        };
        answer.reply.send(outcome);
    }
}

struct DeliveryContext {
    options: Arc<KafkaOptions>,
    newest_error: NewestError,
}

impl ClientContext for DeliveryContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.newest_error.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.newest_error.note(&error, reason);
    }
}

impl ProducerContext for DeliveryContext {
    type DeliveryOpaque = Arc<Append>;

    fn delivery(&self, result: &DeliveryResult<'_>, append: Arc<Append>) {
        let error = match result {
            Ok(_) => None,
            Err((error, _)) => {
                Some(failure(&self.options, Some(append.topic), error, self.newest_error.newest()))
            }
        };
        append.delivered(error);
    }
}

fn to_kafka(headers: &Headers) -> Option<OwnedHeaders> {
    if headers.0.is_empty() {
        return None;
    }
    let empty = OwnedHeaders::new_with_capacity(headers.0.len());
    Some(headers.0.iter().fold(empty, |all, (key, value)| all.insert(Header { key, value: Some(value) })))
}

fn with_row(headers: Option<OwnedHeaders>, row: u64) -> OwnedHeaders {
    let headers = headers.unwrap_or_else(|| OwnedHeaders::new_with_capacity(1));
    headers.insert(Header { key: header::ROW, value: Some(&row.to_string()) })
}
