//! Where the fields of a payload lie, also of one that is broken further on.

use std::ops::Range;

use adpipe_dlq::repair::Content;
use adpipe_event::csv_cells;
use adpipe_log::header;
use serde::Serialize;

/// Fields that are looked at; events have about thirty.
const MOST_FIELDS: usize = 1_000;
/// Longest value in a list of changes, in characters.
const LONGEST_VALUE: usize = 400;

/// A field of a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    pub name: String,
    /// Its value, as it is written.
    pub value: Range<usize>,
}

/// What an edit changed.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub(super) struct Changes {
    /// Fields that differ, in the order of the payload before.
    pub changed: Vec<Change>,
    /// Fields that are the same.
    pub unchanged: usize,
}

/// One field before and after; absent where it is not there.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub(super) struct Change {
    pub field: String,
    pub before: Option<String>,
    pub after: Option<String>,
}

/// The fields of a payload, up to where it cannot be read further.
pub(super) fn fields(content: &Content) -> Vec<Field> {
    match content.headers.text(header::FORMAT) {
        Some("csv") => csv_fields(&content.payload, content.headers.get(header::COLUMNS).unwrap_or_default()),
        _ => json_fields(&content.payload),
    }
}

/// What differs between two payloads, field by field; nothing when one has no fields to compare.
pub(super) fn changes(before: &Content, after: &Content) -> Option<Changes> {
    // What was a CSV row has no quotes; between two JSON objects "0" and 0 differ.
    let as_meant = is_csv(before) || is_csv(after);
    let (old, new) = (values(before, as_meant), values(after, as_meant));
    if old.is_empty() || new.is_empty() {
        return None;
    }
    let mut changes = Changes { changed: Vec::new(), unchanged: 0 };
    let named = |values: &[(String, String, String)], name: &str| {
        values.iter().rev().find(|(known, ..)| known == name).cloned()
    };
    let added = new.iter().filter(|(name, ..)| named(&old, name).is_none());
    let mut seen = std::collections::HashSet::new();
    for (name, ..) in old.iter().chain(added) {
        if !seen.insert(name) {
            continue;
        }
        let (was, is) = (named(&old, name), named(&new, name));
        let meaning = |value: &Option<(String, String, String)>| value.as_ref().map(|(_, _, m)| m.clone());
        if meaning(&was) == meaning(&is) {
            changes.unchanged += 1;
            continue;
        }
        let shown = |value: Option<(String, String, String)>| value.map(|(_, shown, _)| shortened(shown));
        changes.changed.push(Change { field: name.clone(), before: shown(was), after: shown(is) });
    }
    Some(changes)
}

fn shortened(text: String) -> String {
    match text.char_indices().nth(LONGEST_VALUE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn is_csv(content: &Content) -> bool {
    content.headers.text(header::FORMAT) == Some("csv")
}

/// Name, value as written, and value to compare: as written, or as meant.
fn values(content: &Content, as_meant: bool) -> Vec<(String, String, String)> {
    let is_csv = is_csv(content);
    let value = |field: Field| {
        let written = String::from_utf8_lossy(&content.payload[field.value]).into_owned();
        let meant = if is_csv {
            csv_cells(written.as_bytes()).ok().and_then(|mut cells| cells.pop())
        } else if as_meant {
            serde_json::from_str::<String>(&written).ok()
        } else {
            None
        };
        let meant = meant.unwrap_or_else(|| written.clone());
        (field.name, written, meant)
    };
    // An empty cell says that the field is not there.
    fields(content).into_iter().filter(|field| !(is_csv && field.value.is_empty())).map(value).collect()
}

fn csv_fields(line: &[u8], columns: &[u8]) -> Vec<Field> {
    let Ok(names) = csv_cells(columns) else { return Vec::new() };
    let mut fields = Vec::new();
    let mut start = 0;
    for name in names.into_iter().take(MOST_FIELDS) {
        if start > line.len() {
            break;
        }
        let mut is_quoted = false;
        let length = line[start..].iter().position(|byte| {
            is_quoted ^= *byte == b'"';
            !is_quoted && matches!(byte, b',' | b'\n' | b'\r')
        });
        let end = length.map_or(line.len(), |length| start + length);
        let name = name.trim_start_matches('\u{feff}').trim().to_owned();
        fields.push(Field { name, value: start..end });
        start = end + 1;
    }
    fields
}

fn json_fields(bytes: &[u8]) -> Vec<Field> {
    let mut fields = Vec::new();
    let Some(mut at) = after(bytes, skip_space(bytes, 0), b'{') else { return fields };
    while fields.len() < MOST_FIELDS {
        at = skip_space(bytes, at);
        if bytes.get(at) != Some(&b'"') {
            break;
        }
        let name_end = string_end(bytes, at);
        let name = &bytes[at..name_end];
        let name = serde_json::from_slice::<String>(name)
            .unwrap_or_else(|_| String::from_utf8_lossy(name).trim_matches('"').to_owned());
        let Some(colon) = after(bytes, skip_space(bytes, name_end), b':') else { break };
        let start = skip_space(bytes, colon);
        let end = value_end(bytes, start);
        let trailing = bytes[start..end].iter().rev().take_while(|byte| byte.is_ascii_whitespace()).count();
        fields.push(Field { name, value: start..end - trailing });
        match after(bytes, end, b',') {
            Some(next) => at = next,
            None => break,
        }
    }
    fields
}

fn skip_space(bytes: &[u8], at: usize) -> usize {
    let space = bytes[at.min(bytes.len())..].iter().take_while(|byte| byte.is_ascii_whitespace());
    at + space.count()
}

fn after(bytes: &[u8], at: usize, wanted: u8) -> Option<usize> {
    (bytes.get(at) == Some(&wanted)).then_some(at + 1)
}

/// Behind the closing quote of the text that begins at `at`, or the end.
fn string_end(bytes: &[u8], at: usize) -> usize {
    let mut end = at + 1;
    while let Some(byte) = bytes.get(end) {
        match byte {
            b'\\' => end += 2,
            b'"' => return end + 1,
            _ => end += 1,
        }
    }
    bytes.len()
}

/// Behind the value that begins at `at`. A loop: however deep it is nested, the stack is not.
fn value_end(bytes: &[u8], at: usize) -> usize {
    let (mut end, mut depth) = (at, 0_usize);
    while let Some(byte) = bytes.get(end) {
        match byte {
            b'"' => {
                end = string_end(bytes, end);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 0 => return end,
            b'}' | b']' => depth -= 1,
            b',' if depth == 0 => return end,
            _ => {}
        }
        end += 1;
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use adpipe_log::Headers;

    fn json(text: &str) -> Content {
        Content { payload: text.as_bytes().to_vec(), headers: Headers::default() }
    }

    fn csv(line: &str, columns: &str) -> Content {
        let headers =
            Headers::default().with(header::FORMAT, "csv").with(header::COLUMNS, columns.as_bytes().to_vec());
        Content { payload: line.as_bytes().to_vec(), headers }
    }

    fn found(content: &Content) -> Vec<(String, String)> {
        let text = |range: Range<usize>| String::from_utf8_lossy(&content.payload[range]).into_owned();
        fields(content).into_iter().map(|field| (field.name, text(field.value))).collect()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn fields_are_found_in_json_and_csv() {
        let content = json(r#" { "a" : 1 , "b\u0031":"x,}\"y","c":{"a":[2,{}]} ,"d":tru"#);
        let expected =
            [pair("a", "1"), pair("b1", r#""x,}\"y""#), pair("c", r#"{"a":[2,{}]}"#), pair("d", "tru")];
        assert_eq!(found(&content), expected);
        assert_eq!(found(&json("[1]")), []);
        assert_eq!(found(&json("")), []);
        assert_eq!(found(&json("{\"a")), []);
        let content = csv("1,\"a,\"\"b\",,z\r\n", "\u{feff}id, name,none,last,more");
        let expected = [pair("id", "1"), pair("name", "\"a,\"\"b\""), pair("none", ""), pair("last", "z")];
        assert_eq!(found(&content)[..4], expected);
        let deep = format!("{{\"a\":{}", "[".repeat(1_000_000));
        assert_eq!(fields(&json(&deep)).len(), 1);
    }

    #[test]
    fn changes_are_told_field_by_field() {
        let change = |field: &str, before: Option<&str>, after: Option<&str>| Change {
            field: field.to_owned(),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
        };
        let changed = changes(&json(r#"{"a":1,"b":2,"c":3}"#), &json(r#"{"a":1,"b":"2x","d":3}"#)).unwrap();
        assert_eq!(changed.unchanged, 1);
        let expected = [
            change("b", Some("2"), Some("\"2x\"")),
            change("c", Some("3"), None),
            change("d", None, Some("3")),
        ];
        assert_eq!(changed.changed, expected);
        let cast = changes(&json(r#"{"a":"0"}"#), &json(r#"{"a":0}"#)).unwrap();
        assert_eq!(cast.changed, [change("a", Some("\"0\""), Some("0"))]);
        let from_csv = changes(&csv("7,\"a b\",", "n,t,e"), &json(r#"{"n":7,"t":"a c"}"#)).unwrap();
        assert_eq!((from_csv.unchanged, from_csv.changed.len()), (1, 1));
        assert_eq!(changes(&json("broken"), &json("{\"a\":1}")), None);
    }
}
