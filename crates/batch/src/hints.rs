//! From when on figures by the minute are worth adding.
//!
//! They are kept for a while counted back from the newest minute, and of older hours there are
//! millions: adding them only for retention to remove them would cost more than all the rest. The
//! newest minute is what the warehouse has, or what the last lines of the files will add: an event
//! that keeps all rules is counted, now or before.

use std::io::{self, Read, Seek, SeekFrom};
use std::time::Duration;

use adpipe_event::{
    CsvColumns, Encoding, Format, Millis, Parser, RecordReader, Rules, sniff_encoding, sniff_format,
};
use adpipe_warehouse::Warehouse;

use crate::BatchError;
use crate::discover::{RawFile, open_regular};

const HEAD_BYTES: u64 = 64 << 10;
const TAIL_BYTES: u64 = 64 << 10;

/// Start of the first hour whose figures by the minute are kept once these files are counted.
pub(crate) fn minutes_since(
    warehouse: &dyn Warehouse,
    files: &[RawFile],
    rules: &Rules,
    kept: Duration,
) -> Result<Millis, BatchError> {
    let hinted = files.iter().filter_map(|file| newest_at_end(file, rules).ok().flatten()).max();
    let newest = warehouse.newest_minute()?.max(hinted);
    Ok(newest.map_or(Millis(i64::MIN), |newest| Millis(newest.0 - kept.as_millis() as i64).floor_hour()))
}

/// The newest event among the last lines of a file that is not compressed.
fn newest_at_end(file: &RawFile, rules: &Rules) -> io::Result<Option<Millis>> {
    let mut opened = open_regular(&file.path)?;
    let size = opened.metadata()?.len();
    let mut head = Vec::new();
    opened.by_ref().take(HEAD_BYTES).read_to_end(&mut head)?;
    if sniff_encoding(&head) != Encoding::Identity {
        return Ok(None);
    }
    let columns = match sniff_format(&head) {
        Some(Format::Csv) => {
            let reader = RecordReader::new(head.as_slice(), Format::Csv, HEAD_BYTES as usize);
            match reader.with_fields(&rules.fields).columns() {
                Ok(Some(columns)) => Some(CsvColumns::clone(columns)),
                _ => return Ok(None),
            }
        }
        Some(Format::Ndjson) => None,
        _ => return Ok(None),
    };
    let from = size.saturating_sub(TAIL_BYTES);
    opened.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    opened.take(TAIL_BYTES).read_to_end(&mut tail)?;
    // The first line may lack its beginning.
    let start =
        if from == 0 { 0 } else { memchr::memchr2(b'\n', b'\r', &tail).map_or(tail.len(), |at| at + 1) };
    let mut parser = Parser::new(rules.clone());
    let now = Millis::now();
    let mut newest = None;
    for line in tail[start..].split(|byte| matches!(byte, b'\n' | b'\r')) {
        let parsed = match &columns {
            Some(columns) => parser.parse_csv(columns, line, now),
            None => parser.parse_json(line, now),
        };
        newest = newest.max(parsed.ok().map(|parsed| parsed.event.event_time));
    }
    Ok(newest)
}
