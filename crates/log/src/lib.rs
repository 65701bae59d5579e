//! The event log: records are durable here before they are acknowledged.
//!
//! [`EventLog`] is the one trait; [`sqlite::SqliteLog`] keeps everything in one file,
//! [`kafka::KafkaLog`] talks to Apache Kafka.
//! Producers fill [`Records`] and [`append`](EventLog::append) them; a [`Consumer`] reads
//! [`RecordBatch`]es from offsets that *the reader* keeps (the stream processor keeps them in
//! the warehouse, in the transaction that holds their effects).
//!
//! Open `record.rs` first, then `sqlite/mod.rs` or `kafka/mod.rs`.

mod chunk;
mod error;
pub mod error_record;
#[doc(hidden)]
pub mod fuzzing;
mod identity;
#[cfg(feature = "kafka")]
pub mod kafka;
mod record;
pub mod sqlite;
mod ticket;

use std::time::Duration;

pub use adpipe_event::Topic;
pub use error::LogError;
pub use error_record::{ErrorRecord, RetryMark};
pub use identity::{LogGap, LogIdentity};
pub use record::{HeaderSet, Headers, Offset, Record, RecordBatch, Records, header, partition_of};
pub(crate) use ticket::AppendReply;
pub use ticket::AppendTicket;

/// Bytes that may wait for the embedded log's disk before appends are refused with [`LogError::Busy`].
/// Callers that hand records to the log size their own buffers by it.
pub const MAX_QUEUED_BYTES: usize = 16 << 20;

/// How far a source has come, stored with the records that got it there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourcePosition {
    /// Names the source and its exact content (path, size, time of change …).
    pub source: String,
    /// Records taken so far; `None` forgets the source, when all of it is in.
    pub position: Option<u64>,
}

/// The offsets that one partition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionRange {
    /// Partition number, from 0.
    pub partition: u32,
    /// Oldest offset still kept; equal to `next` when none is.
    pub first: Offset,
    /// Offset that the next record will get.
    pub next: Offset,
}

/// What may be dropped from the log.
#[derive(Debug, Clone, Copy)]
pub struct RetentionPolicy {
    /// Records younger than this stay.
    pub max_age: Duration,
    /// The oldest go first when the stored bytes exceed this.
    pub max_bytes: u64,
}

/// What a retention run did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retired {
    /// Records dropped.
    pub records: u64,
    /// Stored (compressed) bytes dropped.
    pub bytes: u64,
}

/// An append-only log of records in topics and partitions.
///
/// The calls block on disk or network; async callers await the [`AppendTicket`].
pub trait EventLog: Send + Sync {
    /// Which log this is. Offsets that were stored with another identity mean nothing here.
    ///
    /// # Errors
    /// When the log cannot be asked, or its identity is damaged.
    fn identity(&self) -> Result<LogIdentity, LogError>;

    /// Offsets that the log skipped, by partition and offset; [`read`](EventLog::read) refuses
    /// them with [`LogError::OutOfRange`]. Kafka has none.
    ///
    /// # Errors
    /// When the log cannot be asked, or its list of gaps is damaged.
    fn gaps(&self, _topic: Topic) -> Result<Vec<LogGap>, LogError> {
        Ok(Vec::new())
    }

    /// True when every offset that is not in a [gap](EventLog::gaps) is a record's. Kafka uses some
    /// offsets for its own marks.
    fn is_dense(&self) -> bool {
        false
    }

    /// Queues records; the ticket resolves once they are durable. `position`, if any, becomes
    /// durable together with them.
    ///
    /// # Errors
    /// [`LogError::Busy`] at once, with nothing queued, when too many bytes wait already.
    fn append(
        &self,
        topic: Topic,
        records: Records,
        position: Option<SourcePosition>,
    ) -> Result<AppendTicket, LogError>;

    /// The offsets each partition of a topic holds, by partition number.
    fn ranges(&self, topic: Topic) -> Result<Vec<PartitionRange>, LogError>;

    /// Reads records from `from` on, about `max_bytes` of them but at least one batch when
    /// there is one. Empty at the end.
    ///
    /// # Errors
    /// [`LogError::OutOfRange`] when `from` is older than what is kept.
    fn read(
        &self,
        topic: Topic,
        partition: u32,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Vec<RecordBatch>, LogError>;

    /// Starts to consume a topic: see [`Consumer`].
    fn consume(&self, topic: Topic) -> Result<Box<dyn Consumer>, LogError>;

    /// How many processes consume a topic now, where the log itself shares its partitions among
    /// them; none where it leaves that to its owner.
    ///
    /// # Errors
    /// When the log cannot be asked.
    fn consumers(&self, _topic: Topic) -> Result<Option<usize>, LogError> {
        Ok(None)
    }

    /// Where an unfinished source stopped.
    fn source_position(&self, source: &str) -> Result<Option<u64>, LogError>;

    /// Drops what the policy allows, but never a record at or after its floor: the next offset its
    /// reader will want. A partition without a floor keeps everything.
    fn retire(&self, policy: RetentionPolicy, floors: &[(Topic, u32, Offset)]) -> Result<Retired, LogError>;

    /// What is wrong with the file that holds it, in words: pages, and indexes that do not have
    /// their rows. None where brokers keep their own files.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn check_storage(&self) -> Result<Option<Vec<String>>, LogError> {
        Ok(None)
    }

    /// Where the log is, for people; without secrets.
    fn location(&self) -> String;
}

/// What a consumer was given.
#[derive(Debug)]
pub enum Polled {
    /// These partitions, and only these, are now ours. Call [`Consumer::seek`] for each.
    Assigned(Vec<u32>),
    /// The next records of an assigned partition.
    Batch(RecordBatch),
    /// Nothing came within the time allowed.
    Idle,
}

/// Reads a topic's partitions from where its owner says.
pub trait Consumer: Send {
    /// The next thing to know, waiting for it up to `timeout`. The first is always an assignment.
    fn poll(&mut self, max_bytes: usize, timeout: Duration) -> Result<Polled, LogError>;

    /// Continues from `offset` in a partition. Kafka takes offset 0 as its oldest record, whatever that
    /// one's offset: a reader that has processed nothing cannot miss what was dropped before.
    fn seek(&mut self, partition: u32, offset: Offset);

    /// Tells that everything before `offset` is processed. The reader's own offsets are what
    /// counts; this is for tools that look at the log's.
    fn committed(&mut self, _partition: u32, _offset: Offset) {}
}

/// Appends and waits until the records are durable, slowing down while the log is busy.
///
/// # Errors
/// Any [`LogError`] but [`LogError::Busy`].
pub fn append_and_wait(
    log: &dyn EventLog,
    topic: Topic,
    mut make_records: impl FnMut() -> Records,
    position: Option<SourcePosition>,
) -> Result<(), LogError> {
    loop {
        match log.append(topic, make_records(), position.clone()) {
            Ok(ticket) => return ticket.wait(),
            Err(LogError::Busy { .. }) => std::thread::sleep(Duration::from_millis(5)),
            Err(error) => return Err(error),
        }
    }
}
