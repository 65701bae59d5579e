//! The contract's rules, each by examples, through JSON and CSV.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

use adpipe_event::{CSV_HEADER, CsvColumns, ErrorType, EventError, Millis, Parsed, Parser, Rules};
use serde_json::{Value, json};

const NOW: Millis = Millis(1_413_850_000_000); // 2014-10-21 00:06:40

fn valid() -> Value {
    json!({
        "id": "1000009418151094273", "click": 0, "hour": 14102100, "C1": 1005, "banner_pos": 0,
        "site_id": "1fbe01fe", "site_domain": "f3845767", "site_category": "28905ebd",
        "app_id": "ecad2386", "app_domain": "7801e8d9", "app_category": "07d7df22",
        "device_id": "a99f214a", "device_ip": "ddd2926e", "device_model": "44956a24",
        "device_type": 1, "device_conn_type": 2, "C14": 15706, "C15": 320, "C16": 50,
        "C17": 1722, "C18": 0, "C19": 35, "C20": -1, "C21": 79
    })
}

fn with_json<T>(payload: &[u8], check: impl FnOnce(Result<Parsed<'_>, EventError>) -> T) -> T {
    check(Parser::new(Rules::default()).parse_json(payload, NOW))
}

fn with_field<T>(field: &str, value: Value, check: impl FnOnce(Result<Parsed<'_>, EventError>) -> T) -> T {
    let mut record = valid();
    record[field] = value;
    with_json(&serde_json::to_vec(&record).unwrap(), check)
}

/// The verdict on the valid event with one field set: its error type, and that it names the field.
fn verdict(field: &'static str, value: Value) -> Option<ErrorType> {
    with_field(field, value, |result| {
        let error = result.err()?;
        assert_eq!(error.field, Some(field), "{error}");
        Some(error.error_type)
    })
}

fn csv_verdict(field: &'static str, cell: &str) -> Option<ErrorType> {
    let columns = CsvColumns::parse(CSV_HEADER.as_bytes()).unwrap();
    let record = valid();
    let cells: Vec<String> = CSV_HEADER
        .split(',')
        .map(|name| match &record[name] {
            _ if name == field => cell.to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
        .collect();
    let error = Parser::new(Rules::default()).parse_csv(&columns, cells.join(",").as_bytes(), NOW).err()?;
    if error.error_type != ErrorType::Parse {
        assert_eq!(error.field, Some(field), "{error}");
    }
    Some(error.error_type)
}

const SCHEMA: Option<ErrorType> = Some(ErrorType::Schema);
const VALIDATION: Option<ErrorType> = Some(ErrorType::Validation);
const PARSE: Option<ErrorType> = Some(ErrorType::Parse);

#[test]
fn a_valid_event() {
    with_json(&serde_json::to_vec(&valid()).unwrap(), |result| {
        let parsed = result.unwrap();
        let event = parsed.event;
        assert_eq!(event.id, "1000009418151094273");
        assert_eq!((event.click, event.event_time), (false, Millis(1_413_849_600_000)));
        assert_eq!((event.banner_pos, event.device_type, event.device_conn_type), (0, 1, 2));
        assert_eq!((event.site_category(), event.app_category()), ("28905ebd", "07d7df22"));
        assert_eq!(event.texts[0], "1fbe01fe");
        assert_eq!(event.ints, [1005, 15706, 320, 50, 1722, 0, 35, -1, 79].map(Some));
        assert_eq!(parsed.warnings, Default::default());
    });
}

#[test]
fn required_fields() {
    for field in CSV_HEADER.split(',').filter(|name| !name.starts_with('C')) {
        let mut record = valid();
        record.as_object_mut().unwrap().remove(field);
        with_json(&serde_json::to_vec(&record).unwrap(), |result| {
            let error = result.unwrap_err();
            assert_eq!((error.error_type, error.field), (ErrorType::Schema, Some(field)));
            assert!(error.message.contains("is missing"), "{error}");
        });
        assert_eq!(verdict(field, Value::Null), SCHEMA);
        assert_eq!(csv_verdict(field, ""), SCHEMA);
        assert_eq!(csv_verdict(field, "\"\""), SCHEMA);
        assert_eq!(verdict(field, json!({})), SCHEMA);
        assert_eq!(verdict(field, json!([1])), SCHEMA);
        assert_eq!(verdict(field, json!(true)), SCHEMA);
    }
}

#[test]
fn ids() {
    for id in [json!("a"), json!("a b"), json!("~".repeat(128)), json!(u64::MAX), json!(-5), json!("\"\\")] {
        assert_eq!(verdict("id", id.clone()), None, "{id}");
    }
    for id in [
        json!(""),
        json!("~".repeat(129)),
        json!(" a"),
        json!("a "),
        json!("ä"),
        json!("a\tb"),
        json!("a\u{7f}"),
    ] {
        assert_eq!(verdict("id", id.clone()), VALIDATION, "{id}");
    }
    assert_eq!(csv_verdict("id", " 1"), VALIDATION);
    assert_eq!(csv_verdict("id", "\"a,\"\"b\""), None);
    let beyond =
        serde_json::to_string(&valid()).unwrap().replace("\"1000009418151094273\"", "28446744073709551616");
    with_json(beyond.as_bytes(), |result| assert_eq!(result.unwrap().event.id, "28446744073709551616"));
}

#[test]
fn ids_in_float_notation_are_kept_and_told() {
    let text = serde_json::to_string(&valid()).unwrap();
    for (id, is_float) in
        [("1.4e+19", true), ("\"1.4E+19\"", true), ("1.0", true), ("14", false), ("\"a.b\"", false)]
    {
        with_json(text.replace("\"1000009418151094273\"", id).as_bytes(), |result| {
            let parsed = result.unwrap();
            assert_eq!(parsed.event.id, id.trim_matches('"'));
            assert_eq!(parsed.warnings.float_id, is_float, "{id}");
        });
    }
}

#[test]
fn clicks() {
    assert_eq!(verdict("click", json!(1)), None);
    assert_eq!(csv_verdict("click", "1"), None);
    for wrong in [json!(2), json!(-1), json!(u64::MAX)] {
        assert_eq!(verdict("click", wrong), VALIDATION);
    }
    for wrong in [json!("1"), json!(1.0), json!(true)] {
        assert_eq!(verdict("click", wrong), SCHEMA);
    }
    assert_eq!(csv_verdict("click", "2"), VALIDATION);
    for wrong in ["true", "1.0", " 1", "yes", "-"] {
        assert_eq!(csv_verdict("click", wrong), SCHEMA, "{wrong}");
    }
}

#[test]
fn times() {
    for time in [json!("14102100"), json!("2014-10-21T00:00:00.5+00:00"), json!("2000-01-01 00")] {
        assert_eq!(verdict("hour", time.clone()), None, "{time}");
    }
    for time in
        [json!(14102124), json!("14133100"), json!("1999-12-31T23:59:59Z"), json!("2100-01-01T00:00:00Z")]
    {
        assert_eq!(verdict("hour", time.clone()), VALIDATION, "{time}");
    }
    for time in
        [json!(1410210), json!(141384960), json!("2014-10-21"), json!(""), json!(1.41021e7), json!("x")]
    {
        assert_eq!(verdict("hour", time.clone()), SCHEMA, "{time}");
    }
    assert_eq!(csv_verdict("hour", "2014-10-21 00:00:00"), None);
    assert_eq!(csv_verdict("hour", "14102124"), VALIDATION);
    assert_eq!(csv_verdict("hour", "2014-10-21"), SCHEMA);
}

#[test]
fn event_time_is_another_name_for_hour() {
    let mut record = valid();
    record["event_time"] = json!("2014-10-21T02:00:00+02:00");
    with_json(&serde_json::to_vec(&record).unwrap(), |result| assert!(result.is_ok()));
    record["hour"] = Value::Null;
    with_json(&serde_json::to_vec(&record).unwrap(), |result| assert!(result.is_ok()));
    record["hour"] = json!(14102101);
    with_json(&serde_json::to_vec(&record).unwrap(), |result| {
        let error = result.unwrap_err();
        assert_eq!((error.error_type, error.field), (ErrorType::Validation, Some("hour")));
        assert_eq!(error.message, "hour says 2014-10-21 01:00:00 but event_time says 2014-10-21 00:00:00");
    });
    assert_eq!(verdict("event_time", json!("later")), SCHEMA);
}

#[test]
fn an_exact_time_within_the_hour_counts() {
    let exact = "2014-10-21T00:59:59.999Z";
    for (hour, event_time) in [("14102100", exact), (exact, "14102100")] {
        let mut record = valid();
        record["hour"] = json!(hour);
        record["event_time"] = json!(event_time);
        with_json(&serde_json::to_vec(&record).unwrap(), |result| {
            assert_eq!(result.unwrap().event.event_time, Millis(1_413_853_199_999));
        });
    }
    for (hour, event_time) in [("14102101", exact), ("2014-10-21T00:30:00Z", exact)] {
        let mut record = valid();
        record["hour"] = json!(hour);
        record["event_time"] = json!(event_time);
        with_json(&serde_json::to_vec(&record).unwrap(), |result| {
            assert_eq!(result.unwrap_err().field, Some("hour"), "{hour} and {event_time}");
        });
    }
}

#[test]
fn epoch_times_are_read_as_numbers_and_as_text() {
    for time in [json!(1_413_849_600), json!("1413849600"), json!(1_413_849_600_000_i64)] {
        assert_eq!(verdict("hour", time.clone()), None, "{time}");
    }
    assert_eq!(csv_verdict("hour", "1413849600000"), None);
    assert_eq!(csv_verdict("hour", "2014-10-21 00:00:00+00"), None);
}

#[test]
fn the_future_is_judged_last() {
    assert_eq!(verdict("hour", json!("2014-10-21T01:06:40Z")), None);
    assert_eq!(verdict("hour", json!("2014-10-21T01:06:40.001Z")), Some(ErrorType::Future));
    let mut record = valid();
    record["hour"] = json!("2020-01-01T00:00:00Z");
    record["C21"] = json!(-2);
    with_json(&serde_json::to_vec(&record).unwrap(), |result| {
        assert_eq!(result.unwrap_err().error_type, ErrorType::Validation);
    });
    let mut patient = Parser::new(Rules { max_future_ms: i64::MAX, ..Rules::default() });
    record["C21"] = Value::Null;
    assert!(patient.parse_json(&serde_json::to_vec(&record).unwrap(), NOW).is_ok());
}

#[test]
fn small_integers() {
    for field in ["banner_pos", "device_type", "device_conn_type"] {
        assert_eq!(verdict(field, json!(99)), None);
        assert_eq!(verdict(field, json!(100)), VALIDATION);
        assert_eq!(verdict(field, json!(-1)), VALIDATION);
        assert_eq!(verdict(field, json!(1.5)), SCHEMA);
        assert_eq!(verdict(field, json!("1")), SCHEMA);
        assert_eq!(csv_verdict(field, "99"), None);
        assert_eq!(csv_verdict(field, "120"), VALIDATION);
        assert_eq!(csv_verdict(field, "1.0"), SCHEMA);
    }
    with_field("banner_pos", json!(120), |result| {
        assert_eq!(result.unwrap_err().message, "banner_pos 120 is out of range 0..=99");
    });
}

#[test]
fn texts() {
    for field in adpipe_event::TEXT_FIELDS {
        for text in ["a", " ", "a,b", "日本", &"ü".repeat(64)] {
            assert_eq!(verdict(field, json!(text)), None, "{text}");
        }
        for text in ["", "a\u{0}", "a\nb", "\u{7f}", "\u{85}", &"ü".repeat(65), &"a".repeat(65)] {
            assert_eq!(verdict(field, json!(text)), VALIDATION, "{text}");
        }
        assert_eq!(verdict(field, json!(1)), SCHEMA);
        assert_eq!(csv_verdict(field, "1"), None);
        assert_eq!(csv_verdict(field, "a\tb"), VALIDATION);
        assert_eq!(csv_verdict(field, "\"a\nb\""), VALIDATION);
    }
}

#[test]
fn optional_integers() {
    for field in adpipe_event::INT_FIELDS {
        for fine in [json!(null), json!(-1), json!(i32::MAX)] {
            assert_eq!(verdict(field, fine), None);
        }
        for wrong in [json!(-2), json!(2_147_483_648_i64), json!(u64::MAX)] {
            assert_eq!(verdict(field, wrong), VALIDATION);
        }
        for wrong in [json!("1"), json!(1.0), json!(false), json!([])] {
            assert_eq!(verdict(field, wrong), SCHEMA);
        }
        assert_eq!(csv_verdict(field, ""), None);
        assert_eq!(csv_verdict(field, "x"), SCHEMA);
        assert_eq!(csv_verdict(field, "-2"), VALIDATION);
    }
}

#[test]
fn the_first_fault_in_field_order_is_told() {
    let mut record = valid();
    record["C21"] = json!("x");
    record["site_id"] = json!("");
    record["click"] = json!(7);
    with_json(&serde_json::to_vec(&record).unwrap(), |result| {
        assert_eq!(result.unwrap_err().message, "click 7 is out of range 0..=1");
    });
}

#[test]
fn a_record_may_begin_with_a_byte_order_mark() {
    let record = serde_json::to_vec(&valid()).unwrap();
    with_json(&[b"\xef\xbb\xbf", record.as_slice()].concat(), |result| {
        with_json(&record, |plain| assert_eq!(result.unwrap().event, plain.unwrap().event));
    });
    assert_eq!(json_error("\u{feff}{}").message, "id is missing");
    assert_eq!(json_error("\u{feff}{x").message, "'x' at byte 4 where a field name should be");
}

#[test]
fn a_record_that_is_something_else_is_named() {
    for (record, words) in [
        (&b"\x1f\x8b\x08\0"[..], "the record is compressed with gzip; send each event as plain JSON"),
        (b"\0\0\0\0\x01{\"id\":1}", "Confluent's magic byte"),
        (b"{\0\"\0i\0d\0\"\0", "UTF-16 text"),
        (b"\x81\xa2id\x01", "MessagePack"),
        (b"\xc3\x01\0\0", "an Avro message"),
    ] {
        with_json(record, |result| {
            let error = result.unwrap_err();
            assert_eq!(error.error_type, ErrorType::Parse);
            assert!(error.message.contains(words), "{}", error.message);
        });
    }
    // Text that only looks alike keeps its own message.
    for record in ["\u{7c0}\u{7c1}", "PK", "Objects", "x", "%7"] {
        assert!(json_error(record).message.contains(" at byte "), "{record}");
    }
}

fn json_error(payload: &str) -> EventError {
    with_json(payload.as_bytes(), |result| result.unwrap_err())
}

#[test]
fn json_grammar() {
    for broken in [
        "",
        " ",
        "{",
        "{}x",
        "{} {}",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{'a':1}",
        "[1,]",
        "nul",
        "01",
        "1.",
        ".5",
        "1e",
        "+1",
        "-",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\ud800\"",
        "\"\\ud800\\u0041\"",
        "\"\\udc00\"",
        "\"a",
        "\"a\nb\"",
        "{\"a\":\"\t\"}",
        "// x",
        "\u{feff}\u{feff}{}",
        "\u{feff}",
        "NaN",
    ] {
        let error = json_error(broken);
        assert_eq!((error.error_type, error.field), (ErrorType::Parse, None), "{broken}");
    }
    for other in ["[]", "1", "\"x\"", "null", " true "] {
        let error = json_error(other);
        assert_eq!(error.error_type, ErrorType::Schema);
        assert_eq!(error.message, "the record is JSON but not an object");
    }
    assert_eq!(json_error("{\"a\":tru}").message, "'t' at byte 5 where a value should be");
    assert_eq!(
        with_json(b"{\"a\":\"\xff\"}", |result| result.unwrap_err().message),
        "not valid UTF-8 at byte 6"
    );
}

#[test]
fn json_nesting_has_a_limit() {
    let nested = |depth: usize| format!("{{\"x\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(json_error(&nested(63)).error_type, ErrorType::Schema);
    assert_eq!(json_error(&nested(64)).error_type, ErrorType::Parse);
    assert_eq!(json_error(&nested(1_000_000)).error_type, ErrorType::Parse);
    assert_eq!(json_error(&"[".repeat(1_000_000)).error_type, ErrorType::Parse);
}

#[test]
fn json_keys() {
    let text = serde_json::to_string(&valid()).unwrap();
    let escaped =
        text.replace("\"click\":0", "\"\\u0063lick\":0,\"x\":{\"id\":[]},\"y\":null,\"click\":9,\"click\":1");
    with_json(escaped.as_bytes(), |result| {
        let parsed = result.unwrap();
        assert!(parsed.event.click, "the last one counts");
        assert_eq!(parsed.warnings.unknown_fields, 2);
    });
}

#[test]
fn json_escapes() {
    let text = serde_json::to_string(&valid()).unwrap();
    let escaped = text
        .replace("1fbe01fe", "\\u0041\\\"\\/\\\\\\ud83d\\ude00z")
        .replace("44956a24", "\\u00e4")
        .replace("f3845767", "a\\u0000b");
    let error = json_error(&escaped);
    assert_eq!(error.message, "site_domain \"a\\0b\" holds a control character");
    with_json(escaped.replace("a\\u0000b", "c").as_bytes(), |result| {
        let event = result.unwrap().event;
        assert_eq!((event.texts[0], event.texts[1], event.texts[8]), ("A\"/\\😀z", "c", "ä"));
    });
}

#[test]
fn csv_rows() {
    let row = "1,0,14102100,1005,0,a,b,c,d,e,f,g,h,i,1,0,1,2,3,4,5,6,7,8";
    let header = format!("extra,{CSV_HEADER}").replace("hour", "event_time");
    let columns = CsvColumns::parse(header.as_bytes()).unwrap();
    let mut parser = Parser::new(Rules::default());
    let line = format!("\"x,\"\"y\",{row}");
    let parsed = parser.parse_csv(&columns, line.as_bytes(), NOW).unwrap();
    assert_eq!(parsed.warnings.unknown_fields, 1);
    assert_eq!((parsed.event.id, parsed.event.texts[8], parsed.event.ints[8]), ("1", "i", Some(8)));

    let mut message = |line: &[u8]| {
        let error = parser.parse_csv(&columns, line, NOW).unwrap_err();
        assert_eq!(Some(error.error_type), PARSE);
        error.message
    };
    assert_eq!(message(row.as_bytes()), "the row has 24 cells and the header 25");
    assert_eq!(message(format!("x,{row},").as_bytes()), "the row has 26 cells and the header 25");
    assert_eq!(message(b""), "the row has 1 cells and the header 25");
    assert_eq!(message(format!("\"x,{row}").as_bytes()), "a quote opened at byte 0 that is not closed");
    assert_eq!(message(b"a,\xff"), "not valid UTF-8 at byte 2");
}
