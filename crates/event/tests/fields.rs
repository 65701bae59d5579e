//! Events of sources with other field names: a mapping of names and defaults changes how a record is
//! read, and nothing else.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

use adpipe_event::{
    CsvColumns, Event, FIELDS, FieldMap, FieldMapError, FieldSource, Format, Millis, Parser, Proposal,
    RecordReader, Rules, Sample,
};
use proptest::prelude::*;
use serde_json::{Value, json};

const NOW: Millis = Millis(1_500_000_000_000);

fn source(names: &[&str], default: Option<&str>) -> FieldSource {
    FieldSource {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        default: default.map(str::to_owned),
    }
}

fn map(sources: &[(&str, &[&str], Option<&str>)]) -> FieldMap {
    FieldMap::new(sources.iter().map(|(field, names, default)| (*field, source(names, *default)))).unwrap()
}

fn parser(map: &FieldMap) -> Parser {
    Parser::new(Rules { fields: map.clone(), ..Rules::default() })
}

/// A valid event, with some fields set, renamed or (with `null`) taken away.
fn record(changes: Value) -> Vec<u8> {
    let mut record = json!({
        "id": "e1", "click": 1, "hour": "14102105", "banner_pos": 2, "device_type": 3, "device_conn_type": 4,
        "site_id": "a", "site_domain": "b", "site_category": "c", "app_id": "d", "app_domain": "e",
        "app_category": "f", "device_id": "g", "device_ip": "h", "device_model": "i"
    });
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(record.as_object_mut().unwrap().remove(name)),
            value => record[name] = value.clone(),
        }
    }
    serde_json::to_vec(&record).unwrap()
}

/// What a record comes to: a field of the event as text, or the message.
fn read(map: &FieldMap, payload: &[u8], field: impl Fn(&Event<'_>) -> String) -> Result<String, String> {
    let mut parser = parser(map);
    let parsed = parser.parse_json(payload, NOW);
    parsed.map(|parsed| field(&parsed.event)).map_err(|error| error.message)
}

#[test]
fn of_several_names_the_first_one_with_a_value_counts() {
    let map = map(&[("click", &["is_click", "clicked"], None)]);
    let click = |changes| read(&map, &record(changes), |event| u8::from(event.click).to_string());
    assert_eq!(click(json!({"click": null, "is_click": 0})), Ok("0".to_owned()));
    assert_eq!(click(json!({"click": null, "clicked": 0})), Ok("0".to_owned()));
    assert_eq!(click(json!({"click": null, "clicked": 1, "is_click": 0})), Ok("0".to_owned()));
    // Whichever comes first in the record, and null is not a value.
    let raw = |members: &str| {
        let rest = String::from_utf8(record(json!({"click": null}))).unwrap();
        read(&map, format!("{{{members},{}", &rest[1..]).as_bytes(), |event| {
            u8::from(event.click).to_string()
        })
    };
    assert_eq!(raw(r#""clicked":0,"is_click":1"#), Ok("1".to_owned()));
    assert_eq!(raw(r#""is_click":1,"clicked":0"#), Ok("1".to_owned()));
    assert_eq!(raw(r#""is_click":null,"clicked":0"#), Ok("0".to_owned()));
    assert_eq!(raw(r#""clicked":0,"is_click":null"#), Ok("0".to_owned()));
    // Of a name that occurs twice the last value.
    assert_eq!(raw(r#""is_click":1,"is_click":0"#), Ok("0".to_owned()));
    assert_eq!(raw(r#""is_cl\u0069ck":1"#), Ok("1".to_owned()));
    // The field's own name is not read any more, and the message says which are.
    assert_eq!(click(json!({})), Err("click is missing; click is read from is_click or clicked".to_owned()));
    let wrong = click(json!({"is_click": 7})).unwrap_err();
    assert_eq!(wrong, "click 7 is out of range 0..=1; click is read from is_click or clicked");
    let error = parser(&map).parse_json(&record(json!({})), NOW).unwrap_err();
    assert_eq!(error.field, Some("click"));
}

#[test]
fn a_default_stands_for_what_is_absent_only() {
    let map = map(&[
        ("app_id", &[], Some("none")),
        ("device_type", &["kind"], Some("1")),
        ("device_model", &["model"], Some("모름")),
        ("C14", &[], Some("-1")),
    ]);
    let all = |event: &Event<'_>| {
        format!("{} {} {} {:?}", event.texts[3], event.device_type, event.texts[8], event.ints[1])
    };
    let lacks = json!({"app_id": null, "device_type": null, "device_model": null});
    assert_eq!(read(&map, &record(lacks.clone()), all), Ok("none 1 모름 Some(-1)".to_owned()));
    let has = json!({"app_id": "x", "kind": 5, "model": "m", "C14": 9});
    assert_eq!(read(&map, &record(has), all), Ok("x 5 m Some(9)".to_owned()));
    // What is there and wrong is in error.
    let wrong = read(&map, &record(json!({"app_id": ""})), all).unwrap_err();
    assert_eq!(wrong, "app_id has 0 characters and may have 1 to 64");
    assert!(read(&map, &record(json!({"kind": "5"})), all).unwrap_err().contains("is a string"));
}

#[test]
fn csv_columns_are_mapped_and_may_be_missing() {
    let map = map(&[
        ("id", &["request", "backup"], None),
        ("click", &["is_click"], None),
        ("event_time", &["ts"], None),
        ("app_id", &[], Some("none")),
        ("app_domain", &[], Some("none")),
        ("app_category", &["app_genre"], Some("none")),
    ]);
    let header = "backup,is_click,ts,banner_pos,device_type,device_conn_type,site_id,site_domain,site_category,\
                  app_genre,device_id,device_ip,device_model,request,price";
    let columns = CsvColumns::parse_by(header.as_bytes(), &map).unwrap();
    let mut parser = parser(&map);
    for (id, backup, genre, expected) in [
        ("r1", "b1", "games", ("r1", "games")),
        ("", "b1", "", ("b1", "none")),
        ("\"r\"\"1\"", "", "games", ("r\"1", "games")),
        ("", "\"b\"\"1\"", "games", ("b\"1", "games")),
    ] {
        let row = format!("{backup},0,2014-10-21T05:30:00Z,1,1,0,a,b,c,{genre},d,e,f,{id},0.5");
        let parsed = parser.parse_csv(&columns, row.as_bytes(), NOW).unwrap();
        assert_eq!(parsed.warnings.unknown_fields, 1);
        assert_eq!((parsed.event.id, parsed.event.app_category()), expected, "{row}");
        assert_eq!(
            (parsed.event.texts[3], parsed.event.event_time.to_string()),
            ("none", "2014-10-21 05:30:00".to_owned())
        );
        let key = map.record_id(row.as_bytes(), Some(&columns));
        assert_eq!(key.as_deref(), Some(expected.0.as_bytes()), "{row}");
    }
    let error = parser.parse_csv(&columns, b",0,x,1,1,0,a,b,c,d,e,f,g,,", NOW).unwrap_err();
    assert_eq!(error.message, "id is missing; id is read from request or backup");

    let lacks = CsvColumns::parse_by(b"request,is_click,device_type", &map).unwrap_err().to_string();
    assert!(lacks.contains("banner_pos") && lacks.contains("hour or event_time (read from ts)"), "{lacks}");
    assert!(!lacks.contains("app_"), "{lacks}");
    let twice = CsvColumns::parse_by(b"request,request", &map).unwrap_err().to_string();
    assert_eq!(twice, "the header names the column request twice");
    let text = format!("{header}\n");
    let mut reader = RecordReader::new(text.as_bytes(), Format::Csv, 1_000).with_fields(&map);
    assert_eq!(reader.columns().unwrap().map(CsvColumns::wire), Some(header));
    assert!(RecordReader::new(text.as_bytes(), Format::Csv, 1_000).columns().is_err());
}

#[test]
fn the_key_is_the_mapped_id() {
    let map = map(&[("id", &["event", "uid"], None), ("device_id", &["id"], None)]);
    for (payload, expected) in [
        (r#"{"event":"a","id":"b"}"#, Some("a")),
        (r#"{"id":"b","uid":7}"#, Some("7")),
        (r#"{"uid":"c","event":"a"}"#, Some("a")),
        (r#"{"event":null,"uid":"c"}"#, Some("c")),
        (r#"{"nested":{"event":"x"},"uid":"c"}"#, Some("c")),
        (r#"{"ev\u0065nt":"a","uid":"c"}"#, Some("a")),
        (r#"{"id":"b"}"#, None),
        (r#"{"event":"a","event":"z"}"#, Some("z")),
    ] {
        let key = map.record_id(payload.as_bytes(), None);
        assert_eq!(key.as_deref(), expected.map(str::as_bytes), "{payload}");
    }
}

#[test]
fn what_contradicts_itself_is_refused() {
    let refused = |sources: &[(&str, &[&str], Option<&str>)]| {
        FieldMap::new(sources.iter().map(|(field, names, default)| (*field, source(names, *default))))
            .unwrap_err()
    };
    assert!(matches!(refused(&[("clik", &["x"], None)]), FieldMapError::UnknownField { .. }));
    assert!(matches!(
        refused(&[("id", &["x"], None), ("click", &["x"], None)]),
        FieldMapError::TwoFields { .. }
    ));
    assert!(matches!(refused(&[("device_id", &["id"], None)]), FieldMapError::OwnName { .. }));
    assert!(matches!(refused(&[("click", &[], Some("2"))]), FieldMapError::BadDefault { .. }));
    assert!(matches!(refused(&[("id", &[], Some("2"))]), FieldMapError::NoDefault { .. }));
    assert!(FieldMap::new::<&str>([]).unwrap().is_empty());
}

#[test]
fn a_proposal_makes_records_valid() {
    let mut sample = Sample::new();
    let header =
        "Request ID,clicked,Timestamp,adPosition,deviceType,connection,publisher_id,domain,category,ua";
    sample.set_header(header.as_bytes()).unwrap();
    let rows: Vec<String> = (0..50)
        .map(|row| format!("r{row},{},2014-10-21T05:{row:02}:00Z,1,1,0,p,news.example.org,news,x", row % 2))
        .collect();
    for row in &rows {
        sample.add_csv(row.as_bytes()).unwrap();
    }
    let proposal = Proposal::of(&sample, &FieldMap::default());
    assert!(proposal.open.is_empty(), "{proposal:?}");
    let map = proposal.map().unwrap();
    assert_eq!(sample.unread(&map), ["ua"]);
    let columns = CsvColumns::parse_by(header.as_bytes(), &map).unwrap();
    let mut parser = parser(&map);
    for row in &rows {
        parser.parse_csv(&columns, row.as_bytes(), NOW).unwrap();
    }
}

#[test]
fn names_of_web_and_app_logs_are_known() {
    let mut sample = Sample::new();
    let header = "requestId,wasClicked,servedAt,slot,publisher,pageHost,topic,appPkg,appHost,appCat,uid,clientIp,phone";
    sample.set_header(header.as_bytes()).unwrap();
    for row in 0..50 {
        let row = format!(
            "r{row},0,2014-10-21T05:{row:02}:00Z,1,p,a.example,news,com.x,b.example,games,u{row},10.0.0.{row},m1"
        );
        sample.add_csv(row.as_bytes()).unwrap();
    }
    let proposal = Proposal::of(&sample, &FieldMap::default());
    assert_eq!(sample.unread(&proposal.map().unwrap()), [] as [&str; 0], "{proposal:?}");
}

/// Other names for all fields, in two alphabets of letters and of several lengths.
fn renamed() -> FieldMap {
    FieldMap::new(FIELDS.map(|field| (field, source(&[&other_name(field)], None)))).unwrap()
}

fn other_name(field: &str) -> String {
    format!("Their {field} 필드")
}

fn value() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just("null"),
        Just("1"),
        Just("\"a\""),
        Just("\"\\u0062\""),
        Just("{\"x\":\"c\"}"),
        Just("1e5")
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn other_names_give_the_same_event(
        id in "[!-~]([ -~]{0,20}[!-~])?",
        texts in proptest::collection::vec("[^\\p{Cc}]{1,64}", 9),
        ints in proptest::array::uniform9(proptest::option::of(-1..=i32::MAX)),
    ) {
        let event = Event {
            id: &id, click: true, event_time: Millis(1_413_849_600_000), banner_pos: 1, device_type: 2,
            device_conn_type: 3, texts: std::array::from_fn(|index| texts[index].as_str()), ints,
        };
        let map = renamed();
        let mut line = Vec::new();
        event.write_json(&mut line);
        let ours: serde_json::Map<String, Value> = serde_json::from_slice(&line).unwrap();
        let theirs: serde_json::Map<String, Value> =
            ours.into_iter().map(|(name, value)| (other_name(&name), value)).collect();
        let theirs = serde_json::to_vec(&theirs).unwrap();
        let mut mapped = parser(&map);
        prop_assert_eq!(mapped.parse_json(&theirs, NOW).unwrap().event, event);
        let key = map.record_id(&theirs, None);
        prop_assert_eq!(key.as_deref(), Some(id.as_bytes()));
        prop_assert!(mapped.parse_json(&line, NOW).is_err());

        let mut row = Vec::new();
        event.write_csv(&mut row);
        let header: Vec<String> = adpipe_event::CSV_HEADER.split(',').map(other_name).collect();
        let columns = CsvColumns::parse_by(header.join(",").as_bytes(), &map).unwrap();
        prop_assert_eq!(mapped.parse_csv(&columns, &row, NOW).unwrap().event, event);
        let key = map.record_id(&row, Some(&columns));
        prop_assert_eq!(key.as_deref(), Some(id.as_bytes()));
    }

    /// The quick look for the key sees what the parser sees, whatever stands where.
    #[test]
    fn the_key_is_what_the_parser_takes(
        members in proptest::collection::vec((prop_oneof![Just("event"), Just("uid"), Just("id"), Just("x")], value()), 0..6),
    ) {
        let map = map(&[("id", &["event", "uid"], None), ("device_id", &["id"], Some("none"))]);
        let rest = String::from_utf8(record(json!({"id": null, "device_id": null}))).unwrap();
        let members: String = members.iter().map(|(name, value)| format!("\"{name}\":{value},")).collect();
        let payload = format!("{{{members}{}", &rest[1..]);
        let mut mapped = parser(&map);
        if let Ok(parsed) = mapped.parse_json(payload.as_bytes(), NOW) {
            let key = map.record_id(payload.as_bytes(), None);
            prop_assert_eq!(key.as_deref(), Some(parsed.event.id.as_bytes()), "{}", payload);
        }
    }
}
