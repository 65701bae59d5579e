//! Makes the books agree with the events, and says where they did not.

use adpipe_event::Millis;
use adpipe_warehouse::{Commit, Counts, LatencyCounts, StreamTransaction, errors};

use super::parts::Archived;
use super::replay::{Partition, store_offsets};
use super::tables::{Books, invalid_by_type};
use super::work::{RebuildReport, Work};
use crate::BatchError;
use crate::files::{self, FileRow, FileState};

/// The file that stands for events of unknown origin.
const NO_FILE: &str = "(archive)";

/// Puts on record what nothing has an account of, and writes the books.
pub(super) fn balance(
    work: &Work<'_>,
    transaction: &mut dyn StreamTransaction,
    archived: &Archived,
    mut books: Books,
    places: &[Partition],
    report: &mut RebuildReport,
) -> Result<(), BatchError> {
    let events = archived.rows() + report.from_log;
    let mut unexplained = events.saturating_sub(books.valid);
    let mut clicks = (archived.clicks() + report.clicks_from_log).saturating_sub(books.clicks);
    for place in places {
        fill_gap(work, &mut books, place, &mut unexplained, &mut clicks, report)?;
    }
    if unexplained > 0 {
        let clicks = clicks.min(unexplained);
        put_file(transaction, archived, unexplained, clicks)?;
        books.valid += unexplained;
        report.synthesised.push(format!(
            "{unexplained} events of the archive: nothing says where they came from; they are recorded as the file {NO_FILE}"
        ));
    }
    if books.valid > events {
        report.problems.push(format!(
            "{} events were counted once and are neither in the archive nor in the log; `adpipe verify` reports them as a gap",
            books.valid - events
        ));
    }
    books
        .commits
        .sort_by(|a, b| (a.topic, a.partition, a.first_offset).cmp(&(b.topic, b.partition, b.first_offset)));
    archived.contents.store(transaction)?;
    transaction.record(&books.commits)?;
    store_offsets(transaction, places)
}

/// An account of records that the log holds no more and that no account has.
fn fill_gap(
    work: &Work<'_>,
    books: &mut Books,
    place: &Partition,
    unexplained: &mut u64,
    clicks: &mut u64,
    report: &mut RebuildReport,
) -> Result<(), BatchError> {
    let Some((first, next)) = place.gap else { return Ok(()) };
    let (topic, partition) = (place.topic.name(), place.range.partition);
    let recorded: u64 = books
        .commits
        .iter()
        .filter(|commit| commit.topic == topic && commit.partition == partition && commit.next_offset <= next)
        .map(|commit| commit.counts.invalid())
        .sum();
    let known = errors::recorded(work.back_ends.warehouse, topic, partition, next)?;
    let invalid = known.saturating_sub(recorded).min(next - first);
    let valid = (*unexplained).min(next - first - invalid);
    let mut counts =
        Counts { records: invalid + valid, valid, clicks: (*clicks).min(valid), ..Counts::default() };
    counts.invalid_by_type = invalid_by_type(work, topic, partition, first..next, invalid)?;
    *unexplained -= valid;
    *clicks -= counts.clicks;
    report.synthesised.push(format!(
        "{topic} partition {partition} offsets {first} to {next}: the log no longer has them; recorded as {valid} events \
         and {invalid} errors"
    ));
    books.add(Commit {
        topic,
        partition,
        first_offset: first,
        next_offset: next,
        committed_at: Millis::now(),
        counts,
        latency: LatencyCounts::default(),
        content: None,
    });
    Ok(())
}

fn put_file(
    transaction: &mut dyn StreamTransaction,
    archived: &Archived,
    events: u64,
    clicks: u64,
) -> Result<(), BatchError> {
    let file = FileRow {
        path: NO_FILE.to_owned(),
        content: "rebuilt".to_owned(),
        reading: 1,
        size: 0,
        size_hash: String::new(),
        modified: String::new(),
        state: FileState::Done,
        message: "made by `adpipe rebuild`".to_owned(),
        position: 0,
        next_row: events + 1,
        tail: None,
        counts: Counts { records: events, valid: events, clicks, ..Counts::default() },
        first_event: archived.parts.iter().map(|part| part.first_event).min(),
        last_event: archived.parts.iter().map(|part| part.last_event).max(),
        started_at: Millis::now(),
        content_sum: None,
    };
    Ok(files::put(transaction, &file)?)
}
