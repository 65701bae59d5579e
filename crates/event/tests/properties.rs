//! Properties of reading and writing over generated input. On failure proptest prints the smallest input and
//! the seed to replay it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

use std::io::{self, Read};

use adpipe_event::{
    CSV_HEADER, CsvColumns, ErrorType, Event, EventBatch, Format, Millis, Parser, RecordReader, Rules,
    record_id,
};
use proptest::prelude::*;

/// An event that owns its texts.
#[derive(Clone, Debug)]
struct Owned {
    id: String,
    click: bool,
    event_time: i64,
    smalls: [u8; 3],
    texts: Vec<String>,
    ints: [Option<i32>; 9],
}

impl Owned {
    fn event(&self) -> Event<'_> {
        Event {
            id: &self.id,
            click: self.click,
            event_time: Millis(self.event_time),
            banner_pos: self.smalls[0],
            device_type: self.smalls[1],
            device_conn_type: self.smalls[2],
            texts: std::array::from_fn(|index| self.texts[index].as_str()),
            ints: self.ints,
        }
    }
}

fn owned() -> impl Strategy<Value = Owned> {
    let id = prop_oneof!["[0-9]{1,20}", "[!-~]([ -~]{0,126}[!-~])?"];
    let text = prop_oneof![3 => "[0-9a-f]{8}", 1 => "[^\\p{Cc}]{1,64}", 1 => "[\"\\\\,a]{1,8}"];
    let ints = proptest::array::uniform9(proptest::option::of(-1..=i32::MAX));
    (
        id,
        any::<bool>(),
        946_684_800_000_i64..4_102_444_800_000,
        proptest::array::uniform3(0_u8..=99),
        proptest::collection::vec(text, 9),
        ints,
    )
        .prop_map(|(id, click, event_time, smalls, texts, ints)| Owned {
            id,
            click,
            event_time,
            smalls,
            texts,
            ints,
        })
}

const NOW: Millis = Millis(4_102_444_800_000);

/// Something near to an event, so that the rules are reached and not only the grammar.
fn near_event() -> impl Strategy<Value = Vec<u8>> {
    (owned(), proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4), any::<bool>())
        .prop_map(|(owned, changes, is_csv)| {
            let mut bytes = Vec::new();
            if is_csv {
                owned.event().write_csv(&mut bytes)
            } else {
                owned.event().write_json(&mut bytes)
            }
            for (index, byte) in changes {
                let place = index.index(bytes.len());
                bytes[place] = byte;
            }
            bytes
        })
}

fn any_payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..300),
        "[\\[\\]{}\",:\\\\u0-9a-f\\-+.eE \n\r\tnulltrue]{0,80}".prop_map(String::into_bytes),
        near_event(),
    ]
}

fn json_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        // Quarters are exact in binary: what is tested is our grammar, not somebody's rounding.
        (-1e9..1e9_f64).prop_map(|number| serde_json::Value::from(number.trunc() / 4.0)),
        ".{0,12}".prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::from),
            proptest::collection::hash_map("[a-z_]{0,10}|id|click|hour", inner, 0..6)
                .prop_map(|members| serde_json::Value::from(serde_json::Map::from_iter(members))),
        ]
    })
}

fn json_object() -> impl Strategy<Value = serde_json::Value> {
    proptest::collection::hash_map("[a-z_]{0,6}|id|[:,} ]", json_value(), 0..4)
        .prop_map(|members| serde_json::Value::from(serde_json::Map::from_iter(members)))
}

/// A JSON string of printable ASCII, with escapes as chosen.
fn escaped(text: &str, escapes: &[u8]) -> String {
    let mut json = String::from("\"");
    for (character, escape) in text.chars().zip(escapes.iter().cycle()) {
        match (character, escape) {
            (_, 0) => json += &format!("\\u{:04x}", character as u32),
            (_, 1) => json += &format!("\\u{:04X}", character as u32),
            ('"' | '\\', _) | ('/', 2) => json.extend(['\\', character]),
            _ => json.push(character),
        }
    }
    json + "\""
}

fn json_notations(
    event: &Event<'_>,
    escapes: &[u8],
    spaces: &[String],
    (is_last, is_repeated, is_nested): (bool, bool, bool),
) -> Vec<String> {
    let mut line = Vec::new();
    event.write_json(&mut line);
    let line = String::from_utf8(line).unwrap();
    let others = &line[line.find(",\"click\"").unwrap() + 1..line.len() - 1];
    let is_number = event.id.bytes().all(|byte| byte.is_ascii_digit()) && !event.id.starts_with('0');
    let plain = escaped(event.id, &[3]);
    let mut values = vec![plain, escaped(event.id, escapes)];
    values.extend(is_number.then(|| event.id.to_owned()));
    let mut notations = Vec::new();
    for value in &values {
        for name in ["\"id\"".to_owned(), escaped("id", escapes), escaped("id", &[0])] {
            let [a, b, c, d] = [&spaces[0], &spaces[1], &spaces[2], &spaces[3]];
            let member = format!("{a}{name}{b}:{c}{value}{d}");
            let mut members = if is_last { vec![others, &member] } else { vec![&member, others] };
            // The last of a key counts, and the like of it in another object does not.
            if is_repeated {
                members.insert(0, "\"id\":\"other\",\"\\u0069d\":null");
            }
            if is_nested {
                members.insert(0, r#""more":{"id":7,"x":["id",{"id":8}]},"text":"\"id\":9""#);
            }
            notations.push(format!("{{{}}}", members.join(",")));
        }
    }
    notations
}

/// Headers and rows, the id quoted or bare, in the first column or the last.
fn csv_notations(event: &Event<'_>, is_last: bool) -> Vec<(String, String)> {
    let id = event.id;
    let mut line = Vec::new();
    Event { id: "i", ..*event }.write_csv(&mut line);
    let others = String::from_utf8(line).unwrap()[2..].to_owned();
    let header = CSV_HEADER.strip_prefix("id,").unwrap();
    let quoted = format!("\"{}\"", id.replace('"', "\"\""));
    let bare = (!id.contains(',') && !id.starts_with('"')).then(|| id.to_owned());
    [Some(quoted), bare]
        .into_iter()
        .flatten()
        .map(|id| {
            if is_last {
                (format!("{header},id"), format!("{others},{id}"))
            } else {
                (CSV_HEADER.to_owned(), format!("{id},{others}"))
            }
        })
        .collect()
}

fn accepts_grammar(payload: &[u8]) -> bool {
    match Parser::new(Rules::default()).parse_json(payload, NOW) {
        Ok(_) => true,
        Err(error) => error.error_type != ErrorType::Parse,
    }
}

/// Hands out its bytes in pieces of the given sizes, over and over.
struct Pieces<'a> {
    bytes: &'a [u8],
    sizes: &'a [usize],
    turn: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = self.sizes[self.turn % self.sizes.len()].min(buffer.len()).min(self.bytes.len());
        self.turn += 1;
        buffer[..size].copy_from_slice(&self.bytes[..size]);
        self.bytes = &self.bytes[size..];
        Ok(size)
    }
}

type Owning = (Vec<u8>, u64, u64, Option<u64>);

fn split(reader: impl Read, format: Format, max: usize) -> Result<Vec<Owning>, String> {
    let mut reader = RecordReader::new(reader, format, max);
    let mut records = Vec::new();
    while let Some(record) = reader.next_record().map_err(|error| error.to_string())? {
        records.push((record.payload.to_vec(), record.row, record.byte_offset, record.truncated_from));
    }
    Ok(records)
}

fn any_format() -> impl Strategy<Value = Format> {
    prop_oneof![Just(Format::Ndjson), Just(Format::JsonArray), Just(Format::Csv)]
}

fn stream_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\n".to_owned()),
        Just("\r\n".to_owned()),
        Just("\r".to_owned()),
        Just(",\"".to_owned()),
        Just("\",".to_owned()),
        Just("}{\"".to_owned()),
        Just("}\r {".to_owned()),
        Just(",".to_owned()),
        Just("[".to_owned()),
        Just("]".to_owned()),
        Just("\"".to_owned()),
        Just(r#"{"id":"a,]}\"","x":[1,{"y":2}]}"#.to_owned()),
        Just("\u{feff}".to_owned()),
        "[ \t\ra-c\\\\{}]{0,30}",
    ];
    (any::<bool>(), proptest::collection::vec(piece, 0..40)).prop_map(|(has_header, pieces)| {
        let header = if has_header { format!("{CSV_HEADER}\n") } else { String::new() };
        header + &pieces.concat()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn written_json_is_read_back(owned in owned()) {
        let event = owned.event();
        let mut line = Vec::new();
        event.write_json(&mut line);
        let mut parser = Parser::new(Rules::default());
        let parsed = parser.parse_json(&line, NOW).unwrap();
        prop_assert_eq!(parsed.event, event);
        prop_assert_eq!(parsed.warnings.unknown_fields, 0);
        prop_assert!(serde_json::from_slice::<serde_json::Value>(&line).is_ok());
        let key = record_id(&line, None);
        prop_assert_eq!(key.as_deref(), Some(event.id.as_bytes()));
    }

    #[test]
    fn written_csv_is_read_back(owned in owned()) {
        let event = owned.event();
        let mut line = Vec::new();
        event.write_csv(&mut line);
        let columns = CsvColumns::parse(CSV_HEADER.as_bytes()).unwrap();
        let mut parser = Parser::new(Rules::default());
        prop_assert_eq!(parser.parse_csv(&columns, &line, NOW).unwrap().event, event);
        let key = record_id(&line, Some(&columns));
        prop_assert_eq!(key.as_deref(), Some(event.id.as_bytes()));
    }

    #[test]
    fn any_bytes_are_judged_and_never_panic(payload in any_payload()) {
        let columns = CsvColumns::parse(CSV_HEADER.as_bytes()).unwrap();
        let mut parser = Parser::new(Rules::default());
        let json = parser.parse_json(&payload, NOW).map(|parsed| format!("{parsed:?}"));
        let csv = parser.parse_csv(&columns, &payload, NOW).map(|parsed| format!("{parsed:?}"));
        // A parser that has read other records before comes to the same verdict.
        prop_assert_eq!(json, Parser::new(Rules::default()).parse_json(&payload, NOW).map(|parsed| format!("{parsed:?}")));
        prop_assert_eq!(csv, Parser::new(Rules::default()).parse_csv(&columns, &payload, NOW).map(|parsed| format!("{parsed:?}")));
        let _ = record_id(&payload, None);
        let _ = record_id(&payload, Some(&columns));
        let _ = CsvColumns::parse(&payload);
        let _ = Millis::parse_sql(&String::from_utf8_lossy(&payload));
    }

    #[test]
    fn what_we_read_serde_json_reads(value in json_value(), change in any::<(prop::sample::Index, u8, u8)>()) {
        let mut payload = serde_json::to_vec(&value).unwrap();
        prop_assert!(accepts_grammar(&payload), "{}", value);
        let place = change.0.index(payload.len());
        match change.1 % 3 {
            0 => payload[place] = change.2,
            1 => drop(payload.remove(place)),
            _ => payload.truncate(place),
        }
        let expected = serde_json::from_slice::<serde_json::Value>(&payload);
        let is_range = expected.as_ref().is_err_and(|error| error.to_string().contains("out of range"));
        // Of a number that is too large serde_json stops before it has seen the rest.
        if !is_range {
            prop_assert_eq!(accepts_grammar(&payload), expected.is_ok(), "{}", String::from_utf8_lossy(&payload));
        }
    }

    #[test]
    fn json_like_noise_is_judged_as_serde_json_does(payload in "[\\[\\]{}\",:\\\\u0-2d89c-f\\-+.E \n]{0,14}") {
        let expected = serde_json::from_str::<serde_json::Value>(&payload);
        let is_range = expected.as_ref().is_err_and(|error| error.to_string().contains("out of range"));
        if !is_range {
            prop_assert_eq!(accepts_grammar(payload.as_bytes()), expected.is_ok());
        }
    }

    #[test]
    fn pieces_do_not_matter(
        text in stream_text(),
        format in any_format(),
        sizes in proptest::collection::vec(1_usize..50, 1..8),
        max in prop_oneof![1_usize..40, Just(1_000_000)],
    ) {
        let whole = split(text.as_bytes(), format, max);
        let pieces = split(Pieces { bytes: text.as_bytes(), sizes: &sizes, turn: 0 }, format, max);
        prop_assert_eq!(&whole, &pieces);
        for (payload, _, offset, truncated_from) in whole.unwrap_or_default() {
            let start = offset as usize;
            prop_assert_eq!(&text.as_bytes()[start..start + payload.len()], &payload[..]);
            prop_assert!(truncated_from.is_none_or(|length| length > max as u64));
            prop_assert!(payload.len() <= max);
        }
    }

    /// Every cut in two, wherever it lies: each byte is the last one of a read once.
    #[test]
    fn no_place_to_cut_matters(text in stream_text(), format in any_format(), max in 1_usize..60) {
        let whole = split(text.as_bytes(), format, max);
        for cut in 0..=text.len() {
            let (first, second) = text.as_bytes().split_at(cut);
            let halves = split(first.chain(second), format, max);
            prop_assert_eq!(&whole, &halves, "cut at {}", cut);
        }
    }

    #[test]
    fn concatenated_values_are_split_as_they_were_written(
        values in proptest::collection::vec(json_object(), 1..8),
        spaces in proptest::collection::vec("[ \t\r\n]{0,3}", 8),
        format in prop_oneof![Just(Format::Ndjson), Just(Format::JsonArray)],
    ) {
        let mut text = String::new();
        for (value, space) in values.iter().zip(&spaces) {
            text += &value.to_string();
            text += space;
        }
        let records = split(text.as_bytes(), format, 1_000_000).unwrap();
        let read: Vec<serde_json::Value> =
            records.iter().map(|record| serde_json::from_slice(&record.0).unwrap()).collect();
        prop_assert_eq!(read, values, "{}", text);
        let rows: std::collections::HashSet<u64> = records.iter().map(|record| record.1).collect();
        prop_assert_eq!(rows.len(), records.len(), "each has a row of its own");
    }

    /// The same id in any notation of any format gives the key that the parser's id is.
    #[test]
    fn one_id_has_one_key_in_every_notation(
        id in prop_oneof!["[1-9][0-9]{0,19}", "[!-~]([ -~]{0,126}[!-~])?"],
        owned in owned(),
        escapes in proptest::collection::vec(0_u8..4, 128),
        spaces in proptest::collection::vec("[ \t]{0,2}", 4),
        order in any::<(bool, bool, bool)>(),
    ) {
        let mut event = owned.event();
        event.id = &id;
        for json in json_notations(&event, &escapes, &spaces, order) {
            let mut parser = Parser::new(Rules::default());
            let parsed = parser.parse_json(json.as_bytes(), NOW).unwrap();
            let key = record_id(json.as_bytes(), None);
            prop_assert_eq!(parsed.event.id, &id, "{}", json);
            prop_assert_eq!(key.as_deref(), Some(id.as_bytes()), "{}", json);
        }
        for (header, row) in csv_notations(&event, order.0) {
            let columns = CsvColumns::parse(header.as_bytes()).unwrap();
            let mut parser = Parser::new(Rules::default());
            let parsed = parser.parse_csv(&columns, row.as_bytes(), NOW).unwrap();
            let key = record_id(row.as_bytes(), Some(&columns));
            prop_assert_eq!(parsed.event.id, &id, "{}", row);
            prop_assert_eq!(key.as_deref(), Some(id.as_bytes()), "{}", row);
        }
    }

    /// Whatever the parser takes for an event, its id is the record's key.
    #[test]
    fn every_event_is_keyed_by_its_id(payload in near_event()) {
        let columns = CsvColumns::parse(CSV_HEADER.as_bytes()).unwrap();
        let mut parser = Parser::new(Rules::default());
        if let Ok(parsed) = parser.parse_json(&payload, NOW) {
            let key = record_id(&payload, None);
            prop_assert_eq!(key.as_deref(), Some(parsed.event.id.as_bytes()));
        }
        if let Ok(parsed) = parser.parse_csv(&columns, &payload, NOW) {
            let key = record_id(&payload, Some(&columns));
            prop_assert_eq!(key.as_deref(), Some(parsed.event.id.as_bytes()));
        }
    }

    #[test]
    fn noise_is_split_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2_000), format in any_format()) {
        let _ = split(&bytes[..], format, 100);
    }

    #[test]
    fn arrays_are_split_into_their_elements(values in proptest::collection::vec(json_value(), 0..8)) {
        let text = serde_json::to_string_pretty(&values).unwrap();
        let records = split(text.as_bytes(), Format::JsonArray, 1_000_000).unwrap();
        let read: Vec<serde_json::Value> =
            records.iter().map(|record| serde_json::from_slice(&record.0).unwrap()).collect();
        prop_assert_eq!(read, values);
    }

    #[test]
    fn batches_give_back_what_was_pushed(events in proptest::collection::vec(owned(), 0..20)) {
        let mut batch = EventBatch::new();
        for _ in 0..2 {
            batch.clear();
            for owned in &events {
                batch.push(&owned.event());
            }
            prop_assert_eq!(batch.len(), events.len());
            for (row, owned) in events.iter().enumerate() {
                prop_assert_eq!(batch.event(row), owned.event());
            }
        }
    }

    #[test]
    fn sql_times_are_read_back(ms in -62_135_596_800_000_i64..253_402_300_800_000) {
        prop_assert_eq!(Millis::parse_sql(&Millis(ms).to_string()), Some(Millis(ms)));
    }
}
