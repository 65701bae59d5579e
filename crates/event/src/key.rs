//! A record's id, to key it by: the same id in whatever notation and format gives the same key, so
//! that records of one event meet the same partition, where the first of them is the one counted.
//!
//! What the parser takes for the id decides. A quick look finds it where it is certain to see the same;
//! whatever is unusual (escapes, doubled quotes, nested objects, a key that occurs twice) is read by
//! the parser itself.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::fields::{Mapping, Own};
use crate::raw::{ID, RawValue};
use crate::{CsvColumns, FieldMap, csv, json};

const LONGEST_KEY: usize = 128;

static NAME: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"id\""));

/// The id's bytes; `columns` for a CSV row, none for JSON. None where there is no id, or one that no
/// event may have. This is the id of a record with our own names; where the configuration maps other
/// names, [`FieldMap::record_id`](crate::FieldMap::record_id) finds it.
pub fn record_id<'a>(payload: &'a [u8], columns: Option<&CsvColumns>) -> Option<Cow<'a, [u8]>> {
    record_id_by(payload, columns, None)
}

impl FieldMap {
    /// A record's id, to key it by; see [`record_id`].
    pub fn record_id<'a>(&self, payload: &'a [u8], columns: Option<&CsvColumns>) -> Option<Cow<'a, [u8]>> {
        record_id_by(payload, columns, self.mapping())
    }
}

/// The id's bytes, by the names that it is read from.
fn record_id_by<'a>(
    payload: &'a [u8],
    columns: Option<&CsvColumns>,
    mapping: Option<&Mapping>,
) -> Option<Cow<'a, [u8]>> {
    let id = match columns {
        Some(columns) => columns.id_columns().iter().find_map(|column| csv_id(payload, *column)),
        None => match quick_json_id(payload, mapping) {
            Quick::Found(id) => Some(Cow::Borrowed(id)),
            Quick::Missing => None,
            Quick::Unsure => parsed_json_id(payload, mapping),
        },
    }?;
    (!id.is_empty() && id.len() <= LONGEST_KEY).then_some(id)
}

enum Quick<'a> {
    Found(&'a [u8]),
    Missing,
    Unsure,
}

/// Certain if nothing is escaped and the first name that exists occurs once, as a key of the outermost
/// object.
fn quick_json_id<'a>(payload: &'a [u8], mapping: Option<&Mapping>) -> Quick<'a> {
    if memchr::memchr(b'\\', payload).is_some() {
        return Quick::Unsure;
    }
    let Some(mapping) = mapping else { return quick_value(payload, &NAME) };
    for name in &mapping.id_names {
        match quick_value(payload, name) {
            Quick::Missing => {}
            other => return other,
        }
    }
    Quick::Missing
}

fn quick_value<'a>(payload: &'a [u8], name: &Finder<'_>) -> Quick<'a> {
    let Some(at) = name.find(payload) else { return Quick::Missing };
    let (before, behind) = (&payload[..at], &payload[at + name.needle().len()..]);
    let is_outermost = memchr::memchr_iter(b'{', before).nth(1).is_none();
    let value = behind.trim_ascii_start().strip_prefix(b":").map(<[u8]>::trim_ascii_start);
    let Some(value) = value.filter(|_| is_outermost && name.find(behind).is_none()) else {
        return Quick::Unsure;
    };
    if let Some(text) = value.strip_prefix(b"\"") {
        return memchr::memchr(b'"', text).map_or(Quick::Unsure, |end| Quick::Found(&text[..end]));
    }
    let end = value.iter().position(|byte| !matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
    match &value[..end.unwrap_or(value.len())] {
        [] => Quick::Unsure,
        number => Quick::Found(number),
    }
}

fn parsed_json_id<'a>(payload: &'a [u8], mapping: Option<&Mapping>) -> Option<Cow<'a, [u8]>> {
    let mut rewritten = String::new();
    let fields = match mapping {
        None => json::fields(payload, &mut rewritten, Own),
        Some(mapping) => json::fields(payload, &mut rewritten, mapping),
    }
    .ok()?;
    match &fields.values[ID] {
        RawValue::Text(id) | RawValue::Number(id) => Some(Cow::Borrowed(id.as_bytes())),
        RawValue::RewrittenText(range) => Some(Cow::Owned(rewritten[range.clone()].as_bytes().to_vec())),
        _ => None,
    }
}

/// What a cell has; none when it is empty.
fn csv_id(line: &[u8], id_column: usize) -> Option<Cow<'_, [u8]>> {
    if memchr::memchr(b'"', line).is_some() {
        let id = csv::nth_cell(line, id_column).filter(|id| !id.is_empty());
        return id.map(|id| Cow::Owned(id.into_bytes()));
    }
    let mut start = 0;
    for _ in 0..id_column {
        start = csv::next_comma(line, start) + 1;
        if start > line.len() {
            return None;
        }
    }
    let id = &line[start..csv::next_comma(line, start)];
    (!id.is_empty()).then_some(Cow::Borrowed(id))
}
