//! Splits a received body into records and hands them to the log. Blocking.
//!
//! A body becomes slices of a few megabytes: the usual one is a single slice and so goes into
//! the log whole or not at all; a long one never has more than two slices in memory. Everything
//! that can be wrong with a body is found before its first slice is appended.

use std::io::{ErrorKind, Read};
use std::time::{Duration, Instant};

use adpipe_event::{
    CsvColumns, Encoding, FieldMap, Format, InputRecord, ReadError, RecordReader, find_format, read_start,
    sniff_encoding, sniff_foreign,
};
use adpipe_log::{
    AppendTicket, EventLog, HeaderSet, Headers, LogError, MAX_QUEUED_BYTES, Records, Topic, header,
};
use axum::http::StatusCode;

use crate::body::ReceivedBody;
use crate::budget::{Budget, Reservation};
use crate::client::Client;
use crate::judge::{BodyLimits, Judge, Judged};
use crate::lag::Admitted;
use crate::refusal::Refusal;

/// A slice is appended at this size; small against what the log lets wait.
const SLICE_BYTES: usize = MAX_QUEUED_BYTES / 4;

/// What a record costs in memory beside its bytes.
const RECORD_OVERHEAD_BYTES: usize = 32;

/// The window of a Zstandard frame is allocated by its reader, so its size is limited: 8 MiB,
/// what the format's description (RFC 8878, 3.1.1.1.2) asks every reader to take.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// Slices up to this size may use the last of the budget.
const SMALL_SLICE_BYTES: usize = 1 << 20;

/// How long the first slice of a body waits for the log, and how often it asks. Then its sender is
/// told to come again; nothing of the body is stored.
const FIRST_SLICE_PATIENCE: Duration = Duration::from_millis(700);
const FIRST_SLICE_PAUSE: Duration = Duration::from_millis(25);

/// How long a later slice of a body waits for a log that takes nothing: a log that is merely busy
/// has room far sooner. After that the log counts as unavailable.
const LATER_SLICE_PATIENCE: Duration = Duration::from_secs(10);

/// How often it looks for room.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How a body is to be read.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    /// None: by its first bytes.
    pub format: Option<Format>,
    pub encoding: Encoding,
    pub limits: BodyLimits,
    pub fields: FieldMap,
    pub max_decompressed_bytes: u64,
}

/// Records on their way into the log.
#[derive(Debug)]
pub(crate) struct Appended {
    pub records: u64,
    /// Of these: only their beginning was kept.
    pub too_long: u64,
    /// Of the last slice; those before it are durable.
    pub ticket: AppendTicket,
    /// The last slice's memory, to be held until it is durable.
    pub held: Reservation,
    /// All of the records, as part of the lag; to be held as long.
    pub admitted: Admitted,
}

/// Appends all records of a body. `admit` is asked once it is known how many there are.
///
/// # Errors
/// 400, 413 or 422 for a body that is wrong, 429 or 503 when the log cannot take it now.
pub(crate) fn append_body(
    body: &ReceivedBody,
    reading: &Reading,
    log: &dyn EventLog,
    budget: Share<'_>,
    admit: impl FnOnce(u64) -> Result<Admitted, Refusal>,
) -> Result<Appended, Refusal> {
    let mut splitter = Splitter::open(body, reading)?;
    let mut judge = Judge::sampling(&reading.limits, &reading.fields);
    let slice = splitter.next_slice(Some(&mut judge))?;
    if slice.is_empty() {
        return Err(bad("the body holds no record"));
    }
    let (all_records, too_long) = judge_whole(body, reading, splitter.at_end.then_some(judge))?;
    let admitted = admit(all_records)?;
    let mut records = slice.len() as u64;
    let First { mut splitter, mut ticket, mut held } = append_first(splitter, slice, body, log, budget)?;
    while !splitter.at_end {
        let slice = splitter.next_slice(None)?;
        if slice.is_empty() {
            break;
        }
        ticket.wait().map_err(|error| partly(records, &refusal_of(&error)))?;
        drop(held);
        let slice_records = slice.len() as u64;
        (ticket, held) = append_patiently(log, budget, slice).map_err(|error| partly(records, &error))?;
        records += slice_records;
    }
    Ok(Appended { records, too_long, ticket, held, admitted })
}

/// How many records a body holds, and how many of them are too long. `judge` has seen all of a
/// body that is a single slice; a longer one is read to its end, so that what is wrong with it is
/// known before anything is stored.
fn judge_whole(
    body: &ReceivedBody,
    reading: &Reading,
    judge: Option<Judge<'_>>,
) -> Result<(u64, u64), Refusal> {
    let judged = match judge {
        Some(judge) => judge.end()?,
        None => survey(body, reading, Judge::sampling(&reading.limits, &reading.fields))?,
    };
    let judged = match judged {
        Judged::Fine { .. } => judged,
        Judged::Doubtful => survey(body, reading, Judge::thorough(&reading.limits, &reading.fields))?,
    };
    match judged {
        Judged::Fine { records, too_long } => Ok((records, too_long)),
        Judged::Doubtful => Err(Refusal::internal(&"a thorough look at a body left doubts")),
    }
}

/// A body whose first slice is on its way.
struct First<'b> {
    splitter: Splitter<'b>,
    ticket: AppendTicket,
    held: Reservation,
}

/// Appends the first slice of a body, for which there may be no room for a moment. The log keeps
/// what it refuses, so the slice is then split off once more.
fn append_first<'b>(
    mut splitter: Splitter<'b>,
    mut slice: Records,
    body: &'b ReceivedBody,
    log: &dyn EventLog,
    budget: Share<'_>,
) -> Result<First<'b>, Refusal> {
    let patience = Instant::now() + FIRST_SLICE_PATIENCE;
    loop {
        let refusal = match budget.reserve(&slice) {
            None => too_busy("memory for records is used up"),
            Some(held) => match log.append(Topic::Raw, slice, None) {
                Ok(ticket) => return Ok(First { splitter, ticket, held }),
                Err(error @ LogError::Busy { .. }) => {
                    let reading = splitter.reading;
                    splitter = Splitter::open(body, reading)?;
                    slice = splitter.next_slice(None)?;
                    refusal_of(&error)
                }
                Err(error) => return Err(refusal_of(&error)),
            },
        };
        if Instant::now() >= patience {
            return Err(refusal);
        }
        std::thread::sleep(FIRST_SLICE_PAUSE);
    }
}

/// One client's share of the memory for records.
#[derive(Clone, Copy)]
pub(crate) struct Share<'b> {
    pub budget: &'b Budget,
    pub client: Client,
}

impl Share<'_> {
    fn reserve(&self, slice: &Records) -> Option<Reservation> {
        match slice.byte_size() + slice.len() * RECORD_OVERHEAD_BYTES {
            small @ ..=SMALL_SLICE_BYTES => self.budget.reserve(self.client, small),
            large => self.budget.reserve_for_large(self.client, large),
        }
    }
}

/// Appends a slice that is not the first, waiting for memory and for the log: refusing it would
/// leave half a body in the log, which 429 must never do.
fn append_patiently(
    log: &dyn EventLog,
    budget: Share<'_>,
    slice: Records,
) -> Result<(AppendTicket, Reservation), Refusal> {
    let patience = Instant::now() + LATER_SLICE_PATIENCE;
    let mut held = budget.reserve(&slice);
    loop {
        if let Some(reservation) = held.take() {
            match log.append(Topic::Raw, slice.clone(), None) {
                Ok(ticket) => return Ok((ticket, reservation)),
                Err(LogError::Busy { .. }) => held = Some(reservation),
                Err(error) => return Err(refusal_of(&error)),
            }
        }
        if Instant::now() >= patience {
            let seconds = LATER_SLICE_PATIENCE.as_secs();
            return Err(Refusal::unavailable(format!("the event log has taken nothing for {seconds} s")));
        }
        std::thread::sleep(LOOK_EVERY);
        held = held.or_else(|| budget.reserve(&slice));
    }
}

/// Reads a body to its end, so that what is wrong with it is known before anything is stored.
fn survey(body: &ReceivedBody, reading: &Reading, mut judge: Judge<'_>) -> Result<Judged, Refusal> {
    let mut splitter = Splitter::open(body, reading)?;
    while let Some(record) = splitter.reader.next_record().map_err(|error| read_refusal(&error, reading))? {
        judge.look_at(&record, splitter.columns.as_ref())?;
    }
    judge.end()
}

struct Splitter<'b> {
    reader: RecordReader<Box<dyn Read + 'b>>,
    reading: &'b Reading,
    columns: Option<CsvColumns>,
    at_end: bool,
}

impl<'b> Splitter<'b> {
    fn open(body: &'b ReceivedBody, reading: &'b Reading) -> Result<Splitter<'b>, Refusal> {
        let mut bytes = decompressed(body, reading)?;
        let start = read_start(&mut bytes, || Ok(())).map_err(|error| io_refusal(&error, reading))?;
        if let Some(reason) = sniff_foreign(&start, reading.encoding) {
            return Err(foreign(&reason));
        }
        let format = match reading.format {
            Some(format @ (Format::Ndjson | Format::Csv)) => format,
            // Many clients say application/json and send a line an object: the bytes decide.
            said => find_format(&start, said).unwrap_or(Format::Ndjson),
        };
        let bytes: Box<dyn Read + 'b> = Box::new(std::io::Cursor::new(start).chain(bytes));
        let reader = RecordReader::new(bytes, format, reading.limits.max_record_bytes);
        let mut reader = reader.with_fields(&reading.fields);
        let columns = reader.columns().map_err(|error| read_refusal(&error, reading))?.cloned();
        Ok(Splitter { reader, reading, columns, at_end: false })
    }

    /// Records until the slice is full or the body ends; the judge looks at each.
    fn next_slice(&mut self, mut judge: Option<&mut Judge<'_>>) -> Result<Records, Refusal> {
        let mut records = Records::new();
        let format = match &self.columns {
            None => Headers::default(),
            Some(columns) => {
                Headers::default().with(header::FORMAT, "csv").with(header::COLUMNS, columns.wire())
            }
        };
        let plain = records.add_headers(format.clone());
        let mut size = 0;
        while size < SLICE_BYTES {
            let record = self.reader.next_record().map_err(|error| read_refusal(&error, self.reading))?;
            let Some(record) = record else {
                self.at_end = true;
                break;
            };
            size += record.payload.len() + RECORD_OVERHEAD_BYTES;
            if let Some(judge) = &mut judge {
                judge.look_at(&record, self.columns.as_ref())?;
            }
            let headers = match record.truncated_from {
                None => plain,
                Some(bytes) => {
                    let truncated = format.clone().with(header::TRUNCATED_FROM, bytes.to_string());
                    records.add_headers(truncated)
                }
            };
            push(&mut records, record, self.columns.as_ref(), &self.reading.fields, headers)?;
        }
        Ok(records)
    }
}

fn push(
    records: &mut Records,
    record: InputRecord<'_>,
    columns: Option<&CsvColumns>,
    fields: &FieldMap,
    headers: HeaderSet,
) -> Result<(), Refusal> {
    let key = fields.record_id(record.payload, columns).unwrap_or_default();
    match records.push(&key, record.payload, headers) {
        true => Ok(()),
        // A slice is far smaller than what fits; said all the same, never dropped.
        false => Err(Refusal::wrong(StatusCode::PAYLOAD_TOO_LARGE, "the body holds too much at once")),
    }
}

fn decompressed<'b>(body: &'b ReceivedBody, reading: &Reading) -> Result<Box<dyn Read + 'b>, Refusal> {
    if reading.encoding != Encoding::Identity && sniff_encoding(body.start()) != reading.encoding {
        return Err(not_as_declared(body.start(), reading.encoding));
    }
    let received = body.reader();
    let bytes: Box<dyn Read + 'b> = match reading.encoding {
        Encoding::Identity => return Ok(Box::new(received)),
        Encoding::Gzip => Box::new(adpipe_event::GzipReader::new(received)),
        Encoding::Zstd => {
            let mut decoder =
                zstd::stream::read::Decoder::new(received).map_err(|error| Refusal::internal(&error))?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(|error| Refusal::internal(&error))?;
            Box::new(decoder)
        }
    };
    Ok(Box::new(Limited { bytes, left: reading.max_decompressed_bytes }))
}

/// Fails once more than `left` bytes come out: some kilobytes can be made to unpack to gigabytes.
struct Limited<R> {
    bytes: R,
    left: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let count = self.bytes.read(into)?;
        self.left = self.left.checked_sub(count as u64).ok_or(ErrorKind::FileTooLarge)?;
        Ok(count)
    }
}

/// A body that holds no events as it is.
pub(crate) fn foreign(reason: &str) -> Refusal {
    Refusal::wrong(StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("the body {reason}"))
}

/// A body that is not compressed as `content-encoding` says.
fn not_as_declared(start: &[u8], declared: Encoding) -> Refusal {
    if let Some(reason) = sniff_foreign(start, Encoding::Identity) {
        return foreign(&reason);
    }
    let name = encoding_name(declared);
    bad(format!(
        "content-encoding says {name} and the body is not {name} data; compress it, or leave the header out"
    ))
}

fn encoding_name(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Gzip => "gzip",
        Encoding::Zstd => "zstd",
        Encoding::Identity => "no",
    }
}

fn bad(message: impl Into<String>) -> Refusal {
    Refusal::wrong(StatusCode::BAD_REQUEST, message)
}

fn too_busy(what: &str) -> Refusal {
    Refusal::busy(format!("{what}; try again shortly"))
}

fn read_refusal(error: &ReadError, reading: &Reading) -> Refusal {
    match error {
        ReadError::Io(error) => io_refusal(error, reading),
        ReadError::Header(error) => bad(format!("csv: {error}")),
    }
}

fn io_refusal(error: &std::io::Error, reading: &Reading) -> Refusal {
    if error.kind() == ErrorKind::FileTooLarge {
        let limit = reading.max_decompressed_bytes;
        let message = format!("the body is longer than {limit} bytes when decompressed; send it in parts");
        return Refusal::wrong(StatusCode::PAYLOAD_TOO_LARGE, message);
    }
    let name = encoding_name(reading.encoding);
    bad(format!("the body cannot be read with {name} compression: {error}"))
}

/// What a failure of the log means to the sender.
pub(crate) fn refusal_of(error: &LogError) -> Refusal {
    match error {
        LogError::Busy { .. } => Refusal::busy(error.to_string()),
        _ => Refusal::unavailable(error.to_string()),
    }
}

/// A body of which a part is in the log already: sending all of it again is safe.
fn partly(records: u64, cause: &Refusal) -> Refusal {
    let message = format!(
        "{}; the first {records} records may be in the log already: send the whole body again, events with the same id are counted once",
        cause.message
    );
    Refusal { status: cause.status, message, retry_after_s: cause.retry_after_s.or(Some(5)) }
}
