//! Reads CSV rows (RFC 4180 quoting, one row a line) by the columns of their header.

use crate::EventError;
use crate::error::shown;
use crate::fields::{FIELDS, FieldMap, Target};
use crate::raw::{EVENT_TIME, FIELD_COUNT, FIRST_INT, Fields, HOUR, ID, RawValue};

/// Which field each column holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvColumns {
    header: String,
    /// Field of each column; `None` for a column that we do not know, or only where another is empty.
    fields: Vec<Option<u8>>,
    /// Fields that more columns than one may give, and these columns: the first one that is not empty
    /// counts, after that of `fields`.
    spare: Vec<(u8, usize)>,
    /// Columns that may hold the id, the first one first.
    id_columns: Vec<usize>,
    /// How many columns are ignored.
    unknown: u32,
}

/// Why a header line cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Some required columns are not there.
    #[error(
        "the header lacks the column(s) {0}; it begins with {1}; if its columns have other names, map them in [event.fields]"
    )]
    Missing(String, String),
    /// A column occurs twice.
    #[error("the header names the column {0} twice")]
    Duplicate(String),
    /// It cannot be read.
    #[error("the header line {0}")]
    Unreadable(String),
}

impl CsvColumns {
    /// Reads a header line of our own names. Spaces around column names do not matter.
    ///
    /// # Errors
    /// When a required column is missing or any known one occurs twice.
    pub fn parse(header: &[u8]) -> Result<CsvColumns, HeaderError> {
        CsvColumns::parse_by(header, &FieldMap::default())
    }

    /// Reads a header line whose names are to be read as `map` says.
    ///
    /// # Errors
    /// When a required column is missing and has no default, or any known one occurs twice.
    pub fn parse_by(header: &[u8], map: &FieldMap) -> Result<CsvColumns, HeaderError> {
        let (text, names) = header_names(header)?;
        let mut places: Vec<Option<Target>> = Vec::with_capacity(names.len());
        for name in &names {
            let place = map.place(name.as_bytes());
            if place.is_some() && places.contains(&place) {
                return Err(HeaderError::Duplicate(name.clone()));
            }
            places.push(place);
        }
        let unknown = places.iter().filter(|place| place.is_none()).count() as u32;
        let mut by_rank: Vec<(Target, usize)> =
            places.iter().enumerate().filter_map(|(column, place)| Some(((*place)?, column))).collect();
        by_rank.sort_by_key(|(place, _)| place.rank);
        let id_columns: Vec<usize> = by_rank
            .iter()
            .filter(|(place, _)| usize::from(place.field) == ID)
            .map(|(_, column)| *column)
            .collect();
        let mut fields = vec![None; names.len()];
        let mut spare = Vec::new();
        let mut found = [false; FIELD_COUNT];
        for (place, column) in by_rank {
            if std::mem::replace(&mut found[usize::from(place.field)], true) {
                spare.push((place.field, column))
            } else {
                fields[column] = Some(place.field)
            }
        }
        let missing = missing_columns(&found, map);
        if !missing.is_empty() {
            return Err(HeaderError::Missing(missing.join(", "), shown(text)));
        }
        Ok(CsvColumns { header: text.to_owned(), fields, spare, id_columns, unknown })
    }

    /// The header line, for [`parse_by`](Self::parse_by) to read again.
    pub fn wire(&self) -> &str {
        &self.header
    }

    /// The columns that may hold the id, the first one first.
    pub(crate) fn id_columns(&self) -> &[usize] {
        &self.id_columns
    }
}

/// A header line as text, and the names in it.
pub(crate) fn header_names(header: &[u8]) -> Result<(&str, Vec<String>), HeaderError> {
    let text = std::str::from_utf8(header).map_err(|error| {
        HeaderError::Unreadable(format!("is not valid UTF-8 at byte {}", error.valid_up_to()))
    })?;
    let text = text.trim_start_matches('\u{feff}').trim_end_matches(['\r', '\n']);
    if text.trim().is_empty() {
        return Err(HeaderError::Unreadable("is empty".to_owned()));
    }
    let mut names = Vec::new();
    let mut rewritten = String::new();
    each_cell(text, &mut rewritten, |cell, rewritten| {
        let name = match cell {
            RawValue::Cell(name) => name,
            RawValue::RewrittenCell(range) => &rewritten[range],
            _ => "",
        };
        names.push(name.trim().to_owned());
    })
    .map_err(|error| HeaderError::Unreadable(format!("has {}", error.message)))?;
    Ok((text, names))
}

fn missing_columns(found: &[bool; FIELD_COUNT], map: &FieldMap) -> Vec<String> {
    let is_there = |field: usize| found[field] || map.has_default(field);
    let required = (0..FIRST_INT).filter(|field| !matches!(*field, HOUR | EVENT_TIME));
    let mut missing: Vec<String> =
        required.filter(|field| !is_there(*field)).map(|field| map.described(FIELDS[field])).collect();
    if !found[HOUR] && !found[EVENT_TIME] {
        missing.push(if map.is_empty() {
            "hour (or event_time)".to_owned()
        } else {
            format!("{} or {}", map.described(FIELDS[HOUR]), map.described(FIELDS[EVENT_TIME]))
        });
    }
    missing
}

/// The known fields of a row.
pub(crate) fn fields<'a>(
    columns: &CsvColumns,
    line: &'a [u8],
    rewritten: &mut String,
) -> Result<Fields<'a>, EventError> {
    let text = std::str::from_utf8(line)
        .map_err(|error| EventError::parse(format!("not valid UTF-8 at byte {}", error.valid_up_to())))?;
    let mut fields = Fields::of(line);
    fields.unknown = columns.unknown;
    let mut cells = 0;
    each_cell(text, rewritten, |cell, _| {
        if let Some(Some(index)) = columns.fields.get(cells) {
            fields.values[*index as usize] = cell;
        }
        cells += 1;
    })?;
    if cells != columns.fields.len() {
        return Err(EventError::parse(format!(
            "the row has {cells} cells and the header {}",
            columns.fields.len()
        )));
    }
    if !columns.spare.is_empty() {
        fill_from_spare(&mut fields, columns, text, rewritten)?;
    }
    Ok(fields)
}

/// Looks for fields whose column is empty in the other columns that may give them.
#[cold]
fn fill_from_spare<'a>(
    fields: &mut Fields<'a>,
    columns: &CsvColumns,
    text: &'a str,
    rewritten: &mut String,
) -> Result<(), EventError> {
    for (field, wanted) in &columns.spare {
        let value = &mut fields.values[usize::from(*field)];
        if !matches!(value, RawValue::Absent) {
            continue;
        }
        let mut column = 0;
        each_cell(text, rewritten, |cell, _| {
            if column == *wanted {
                *value = cell;
            }
            column += 1;
        })?;
    }
    Ok(())
}

/// The cells of a line as they are meant: without quotes, doubled ones made single.
///
/// # Errors
/// When the line is not UTF-8, or its quotes do not match.
pub fn csv_cells(line: &[u8]) -> Result<Vec<String>, EventError> {
    let text = std::str::from_utf8(line)
        .map_err(|error| EventError::parse(format!("not valid UTF-8 at byte {}", error.valid_up_to())))?;
    let mut cells = Vec::new();
    each_cell(text, &mut String::new(), |cell, rewritten| cells.push(meant(cell, rewritten)))?;
    Ok(cells)
}

fn meant(cell: RawValue<'_>, rewritten: &str) -> String {
    match cell {
        RawValue::Cell(cell) => cell.to_owned(),
        RawValue::RewrittenCell(range) => rewritten[range].to_owned(),
        _ => String::new(),
    }
}

/// One of the cells as it is meant; none when the line cannot be read, or has no such cell.
pub(crate) fn nth_cell(line: &[u8], wanted: usize) -> Option<String> {
    let (mut cells, mut found) = (0, None);
    each_cell(std::str::from_utf8(line).ok()?, &mut String::new(), |cell, rewritten| {
        if cells == wanted {
            found = Some(meant(cell, rewritten));
        }
        cells += 1;
    })
    .ok()?;
    found
}

/// Calls `on_cell` for each cell of a line; an empty cell is absent.
pub(crate) fn each_cell<'a>(
    line: &'a str,
    rewritten: &mut String,
    mut on_cell: impl FnMut(RawValue<'a>, &str),
) -> Result<(), EventError> {
    let bytes = line.as_bytes();
    let mut start = 0;
    loop {
        let end = if bytes.get(start) == Some(&b'"') {
            let (cell, end) = quoted_cell(line, start, rewritten)?;
            on_cell(cell, rewritten);
            end
        } else {
            let end = next_comma(bytes, start);
            let cell = &line[start..end];
            on_cell(if cell.is_empty() { RawValue::Absent } else { RawValue::Cell(cell) }, rewritten);
            end
        };
        if end == bytes.len() {
            return Ok(());
        }
        start = end + 1;
    }
}

/// Where the next comma is, or the end. Cells have a few bytes: looking at eight at once, in place,
/// takes a third of the time of a call of memchr for each.
pub(crate) fn next_comma(bytes: &[u8], start: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let mut at = start;
    while let Some(eight) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        // A byte that is a comma becomes zero. The lowest of the bits that are set then belongs to
        // the first zero; those above it may be wrong.
        let other = u64::from_le_bytes(*eight) ^ (ONES * u64::from(b','));
        let zeros = other.wrapping_sub(ONES) & !other & (ONES << 7);
        if zeros != 0 {
            return at + zeros.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let rest = bytes[at..].iter().position(|byte| *byte == b',');
    rest.map_or(bytes.len(), |length| at + length)
}

/// A cell that begins with a quote at `start`, and where it ends (at a comma or the line's end).
fn quoted_cell<'a>(
    line: &'a str,
    start: usize,
    rewritten: &mut String,
) -> Result<(RawValue<'a>, usize), EventError> {
    let bytes = line.as_bytes();
    let mut from = start + 1;
    let rewritten_start = rewritten.len();
    let mut is_rewritten = false;
    loop {
        let Some(length) = memchr::memchr(b'"', &bytes[from..]) else {
            return Err(EventError::parse(format!("a quote opened at byte {start} that is not closed")));
        };
        let quote = from + length;
        if bytes.get(quote + 1) == Some(&b'"') {
            rewritten.push_str(&line[from..=quote]);
            is_rewritten = true;
            from = quote + 2;
            continue;
        }
        let end = quote + 1;
        if end != bytes.len() && bytes[end] != b',' {
            return Err(EventError::parse(format!("text behind a closing quote at byte {end}")));
        }
        let tail = &line[from..quote];
        let cell = if is_rewritten {
            rewritten.push_str(tail);
            RawValue::RewrittenCell(rewritten_start..rewritten.len())
        } else if tail.is_empty() {
            RawValue::Absent
        } else {
            RawValue::Cell(tail)
        };
        return Ok((cell, end));
    }
}
