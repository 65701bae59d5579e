//! Events in PostgreSQL's binary COPY format.
//!
//! Written here and not by the driver's writer, which asks each value for its type: one event is
//! 26 values, and at 150,000 events a second that is a third of a core.
//! Format: PostgreSQL manual, "COPY", "Binary Format".

use std::io::Write;

use adpipe_event::{Event, EventBatch, Millis};
use postgres::{Error, Statement, Transaction};

use super::wire::to_postgres_micros;

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const END: &[u8] = &(-1_i16).to_be_bytes();
const COLUMNS: i16 = 26;

/// Bytes handed to the driver at once: while the server works on them we write the next ones.
const PIECE_BYTES: usize = 128 * 1_024;

/// Copies the events at `rows`; gives how many the server took.
pub(super) fn copy(
    transaction: &mut Transaction<'_>,
    statement: &Statement,
    events: &EventBatch,
    rows: &[usize],
    ingested_at: Millis,
) -> Result<u64, Error> {
    let mut writer = transaction.copy_in(statement)?;
    let mut piece = Vec::with_capacity(PIECE_BYTES + 4_096);
    piece.extend_from_slice(SIGNATURE);
    let ingested_at = to_postgres_micros(ingested_at);
    for row in rows {
        push_event(&mut piece, &events.event(*row), ingested_at);
        if piece.len() >= PIECE_BYTES {
            if writer.write_all(&piece).is_err() {
                // The server has refused something already: `finish` has its words.
                return writer.finish();
            }
            piece.clear();
        }
    }
    piece.extend_from_slice(END);
    // As above: `finish` reports a failure here.
    let _ = writer.write_all(&piece);
    writer.finish()
}

fn push_event(out: &mut Vec<u8>, event: &Event<'_>, ingested_at: i64) {
    out.extend_from_slice(&COLUMNS.to_be_bytes());
    push_time(out, to_postgres_micros(event.event_time.floor_hour()));
    push_text(out, event.id);
    push_time(out, to_postgres_micros(event.event_time));
    push_small(out, i16::from(event.click));
    push_small(out, event.banner_pos.into());
    push_small(out, event.device_type.into());
    push_small(out, event.device_conn_type.into());
    for text in event.texts {
        push_text(out, text);
    }
    for number in event.ints {
        match number {
            Some(number) => push(out, &number.to_be_bytes()),
            None => out.extend_from_slice(&(-1_i32).to_be_bytes()),
        }
    }
    push_time(out, ingested_at);
}

fn push(out: &mut Vec<u8>, value: &[u8]) {
    // Values of an event are at most some hundred bytes.
    out.extend_from_slice(&(value.len() as i32).to_be_bytes());
    out.extend_from_slice(value);
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    push(out, text.as_bytes());
}

fn push_time(out: &mut Vec<u8>, micros: i64) {
    push(out, &micros.to_be_bytes());
}

fn push_small(out: &mut Vec<u8>, number: i16) {
    push(out, &number.to_be_bytes());
}
