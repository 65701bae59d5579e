//! A cheap look for a record's id, to key it by. Never wrong twice in different ways: the same
//! bytes always give the same key.

use crate::CsvColumns;

/// The id's bytes where a quick look finds them; `columns` for a CSV row, none for JSON.
pub fn record_id<'a>(payload: &'a [u8], columns: Option<&CsvColumns>) -> Option<&'a [u8]> {
    let id = match columns {
        Some(columns) => csv_id(payload, columns.id_column()),
        None => json_id(payload),
    }?;
    (!id.is_empty() && id.len() <= 128).then_some(id)
}

fn csv_id(line: &[u8], id_column: usize) -> Option<&[u8]> {
    let mut rest = line;
    for _ in 0..id_column {
        let (_, end) = csv_cell(rest);
        rest = rest.get(end + 1..)?;
    }
    Some(csv_cell(rest).0)
}

/// The first cell, without its quotes, and where it ends.
fn csv_cell(line: &[u8]) -> (&[u8], usize) {
    let quoted = line.strip_prefix(b"\"").and_then(|inner| {
        let close = memchr::memmem::find(inner, b"\",").or_else(|| inner.len().checked_sub(1))?;
        Some((&inner[..close], close + 2))
    });
    quoted.unwrap_or_else(|| {
        let end = memchr::memchr(b',', line).unwrap_or(line.len());
        (&line[..end], end)
    })
}

fn json_id(payload: &[u8]) -> Option<&[u8]> {
    const NAME: &[u8] = b"\"id\"";
    let name_at = memchr::memmem::find(payload, NAME)?;
    let rest = payload[name_at + NAME.len()..].trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
    match rest.strip_prefix(b"\"") {
        Some(text) => memchr::memchr(b'"', text).map(|end| &text[..end]),
        None => {
            let end = rest.iter().position(|byte| matches!(byte, b',' | b'}') || byte.is_ascii_whitespace());
            Some(&rest[..end.unwrap_or(rest.len())])
        }
    }
}
