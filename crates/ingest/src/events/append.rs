//! Hands the records of a received body to the log. Blocking.
//!
//! A body becomes slices of a few megabytes: the usual one is a single slice and so goes into
//! the log whole or not at all; a long one never has more than two slices in memory. Everything
//! that can be wrong with a body is found before its first slice is appended.

use std::time::{Duration, Instant};

use adpipe_log::{AppendTicket, EventLog, LogError, Records, Topic};

use super::judge::{Judge, Judged};
use super::reading::{Reading, bad};
use super::splitter::{RECORD_OVERHEAD_BYTES, Splitter};
use crate::http::{Budget, Client, ReceivedBody, Refusal, Reservation};
use crate::lag::Admitted;

/// Slices up to this size may use the last of the budget.
const SMALL_SLICE_BYTES: usize = 1 << 20;

/// How long the first slice of a body waits for the log, and how often it asks. Then its sender gets
/// 429; nothing of the body is stored.
const FIRST_SLICE_PATIENCE: Duration = Duration::from_millis(700);
const FIRST_SLICE_PAUSE: Duration = Duration::from_millis(25);

/// How long a later slice of a body waits for a log that takes nothing: a log that is merely busy
/// has room far sooner. After that the log counts as unavailable.
const LATER_SLICE_PATIENCE: Duration = Duration::from_secs(10);

/// How often it looks for room.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Records on their way into the log.
#[derive(Debug)]
pub(super) struct Appended {
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
pub(super) fn append_body(
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
        return Err(bad("the body contains no record"));
    }
    let (all_records, too_long) = judge_whole(body, reading, splitter.is_at_end().then_some(judge))?;
    let admitted = admit(all_records)?;
    let mut records = slice.len() as u64;
    let First { mut splitter, mut ticket, mut held } = append_first(splitter, slice, body, log, budget)?;
    while !splitter.is_at_end() {
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
        None => Splitter::open(body, reading)?.survey(Judge::sampling(&reading.limits, &reading.fields))?,
    };
    let judged = match judged {
        Judged::Fine { .. } => judged,
        Judged::Doubtful => {
            Splitter::open(body, reading)?.survey(Judge::thorough(&reading.limits, &reading.fields))?
        }
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
                    splitter = splitter.reopen(body)?;
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
pub(super) struct Share<'b> {
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
            return Err(Refusal::unavailable(format!("the event log has accepted nothing for {seconds} s")));
        }
        std::thread::sleep(LOOK_EVERY);
        held = held.or_else(|| budget.reserve(&slice));
    }
}

fn too_busy(what: &str) -> Refusal {
    Refusal::busy(format!("{what}; try again shortly"))
}

/// What a failure of the log means to the sender.
pub(super) fn refusal_of(error: &LogError) -> Refusal {
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
