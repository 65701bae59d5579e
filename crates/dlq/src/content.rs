//! A payload and what is needed to read it: what it is turned into by edits.
//!
//! A record keeps its format and the columns of its CSV header through every edit: a row without
//! them would be read as JSON, and fail however well it was repaired.

use adpipe_event::{FieldMap, csv_cells, is_number_field};
use adpipe_log::{Headers, header};

/// Value of [`header::FORMAT`] for a row under [`header::COLUMNS`].
const CSV: &str = "csv";

/// A payload with what is needed to read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The payload.
    pub payload: Vec<u8>,
    /// The record's headers: format, columns, where it came from.
    pub headers: Headers,
}

impl Content {
    /// Whether the payload is a row of a CSV file or body.
    pub fn is_csv(&self) -> bool {
        self.headers.text(header::FORMAT) == Some(CSV)
    }
}

/// A CSV row as the JSON object that means the same. Cells that give a field of numbers become
/// numbers, all others text.
pub(crate) fn as_json(content: &Content, fields: &FieldMap) -> Result<Content, String> {
    if !content.is_csv() {
        return Ok(content.clone());
    }
    let columns = content.headers.get(header::COLUMNS).unwrap_or_default();
    let names = csv_cells(columns).map_err(|error| format!("the header line: {error}"))?;
    let cells = csv_cells(&content.payload).map_err(|error| error.to_string())?;
    // By the names of other cells a value would be counted as what it is not. Only commas at the
    // end of the row move nothing.
    if cells.len() < names.len() || cells[names.len()..].iter().any(|cell| !cell.trim().is_empty()) {
        return Err(format!(
            "the row has {} cells and the header {}; replace the whole payload",
            cells.len(),
            names.len()
        ));
    }
    let mut members = Vec::new();
    for (name, cell) in names.iter().zip(&cells) {
        let name = name.trim_start_matches('\u{feff}').trim();
        // An empty cell says that the field is not there.
        if cell.is_empty() {
            continue;
        }
        let is_number = fields.field_of(name).is_some_and(is_number_field);
        let value = match cell.trim().parse::<i64>() {
            Ok(number) if is_number => number.to_string(),
            _ => serde_json::Value::from(cell.as_str()).to_string(),
        };
        members.push(format!("{}:{value}", serde_json::Value::from(name)));
    }
    Ok(Content {
        payload: format!("{{{}}}", members.join(",")).into_bytes(),
        headers: without(&content.headers, &[header::FORMAT]),
    })
}

/// A payload that was written by hand, in place of `before`. It is whole. One that begins with a
/// brace is a JSON object; anything else is a row under the given header line or that of the record,
/// when there is one. The columns stay in any case, so that a later edit may be a row again.
pub(crate) fn replaced(before: &Content, payload: &[u8], columns: Option<&[u8]>) -> Content {
    let mut headers = without(&before.headers, &[header::FORMAT, header::TRUNCATED_FROM]);
    if let Some(columns) = columns {
        headers = without(&headers, &[header::COLUMNS]).with(header::COLUMNS, columns.to_vec());
    }
    let is_object = payload.trim_ascii_start().starts_with(b"{");
    if !is_object && headers.get(header::COLUMNS).is_some() {
        headers = headers.with(header::FORMAT, CSV);
    }
    Content { payload: payload.to_vec(), headers: in_order(headers, &before.headers) }
}

fn without(headers: &Headers, names: &[&str]) -> Headers {
    Headers(headers.0.iter().filter(|(name, _)| !names.contains(&name.as_str())).cloned().collect())
}

/// Headers in the order of others, so that equal ones are equal; new ones last.
fn in_order(headers: Headers, others: &Headers) -> Headers {
    let place = |name: &str| others.0.iter().position(|(other, _)| other == name).unwrap_or(usize::MAX);
    let mut pairs = headers.0;
    pairs.sort_by_key(|(name, _)| place(name));
    Headers(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(payload: &str, columns: &str) -> Content {
        let headers =
            Headers::default().with(header::FORMAT, CSV).with(header::COLUMNS, columns.as_bytes().to_vec());
        Content { payload: payload.as_bytes().to_vec(), headers: headers.with("adpipe-row", "7") }
    }

    #[test]
    fn a_row_stays_a_row_and_may_become_an_object() {
        let before = row("1,x,", "id,click");
        let after = replaced(&before, b"1,0", None);
        assert_eq!(after, row("1,0", "id,click"));
        let object = replaced(&before, b" {\"id\":1}", None);
        assert!(!object.is_csv() && object.headers.text("adpipe-row") == Some("7"));
        // The columns are remembered.
        assert!(replaced(&object, b"1,0", None).is_csv());
        let other = replaced(&before, b"0,1", Some(b"click,id"));
        assert_eq!(other, row("0,1", "click,id"));
        let json = Content { payload: b"nonsense".to_vec(), headers: Headers::default() };
        assert!(!replaced(&json, b"1,0", None).is_csv(), "nothing names its columns");
        let cut = Content {
            headers: before.headers.clone().with(header::TRUNCATED_FROM, "70000"),
            payload: b"1,0".to_vec(),
        };
        assert_eq!(replaced(&cut, b"1,0", None), row("1,0", "id,click"));
    }

    #[test]
    fn cells_that_may_have_moved_are_not_named() {
        let own = FieldMap::default();
        assert_eq!(as_json(&row("1,0,, ", "id,click"), &own).unwrap().payload, br#"{"id":"1","click":0}"#);
        assert_eq!(
            as_json(&row("\"1\",0", "\"id\", click"), &own).unwrap().payload,
            br#"{"id":"1","click":0}"#
        );
        for moved in ["1,2,0", "1"] {
            let refused = as_json(&row(moved, "id,click"), &own).unwrap_err();
            assert!(refused.contains("and the header 2"), "{refused}");
        }
    }
}
