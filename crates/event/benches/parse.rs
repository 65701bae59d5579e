//! Speed of reading events on one core: `cargo bench -p adpipe-event`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use adpipe_event::{
    CSV_HEADER, CsvColumns, Event, EventBatch, FIELDS, FieldMap, FieldSource, Format, INT_FIELDS, Millis,
    Parser, RecordReader, Rules, TEXT_FIELDS, record_id,
};

const EVENT_COUNT: usize = 50_000;
const NOW: Millis = Millis(1_500_000_000_000);

/// Events like those of the Avazu data set, each a little different, from a fixed seed.
fn write_events(mut write: impl FnMut(&Event<'_>)) {
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    for _ in 0..EVENT_COUNT {
        let id = format!("{}", (next() << 33) | next());
        let texts: [String; 9] = std::array::from_fn(|_| format!("{:08x}", next()));
        let ints = std::array::from_fn(|index| Some((next() % [10_000, 100][index % 2]) as i32 - 1));
        write(&Event {
            id: &id,
            click: next() % 6 == 0,
            event_time: Millis(1_413_849_600_000 + (next() % 86_400) as i64 * 1_000),
            banner_pos: (next() % 8) as u8,
            device_type: (next() % 5) as u8,
            device_conn_type: (next() % 6) as u8,
            texts: std::array::from_fn(|index| texts[index].as_str()),
            ints,
        });
    }
}

/// The best of several runs, so that what else the machine does counts least.
fn best(mut run: impl FnMut() -> usize) -> Duration {
    let mut best = Duration::MAX;
    for _ in 0..9 {
        let start = Instant::now();
        assert_eq!(run(), EVENT_COUNT);
        best = best.min(start.elapsed());
    }
    best
}

fn print_row(work: &str, bytes: usize, time: Duration) {
    let seconds = time.as_secs_f64();
    let events_per_s = EVENT_COUNT as f64 / seconds;
    println!(
        "{work:<44} {events_per_s:>12.0} {:>8.0} {:>9.0}",
        bytes as f64 / seconds / 1e6,
        1e9 / events_per_s
    );
}

/// What one would write without a parser of one's own: a tree of values, then the fields out of it.
fn read_with_serde_json(line: &[u8]) -> Option<usize> {
    let value: serde_json::Value = serde_json::from_slice(line).ok()?;
    let mut length = value.get("id")?.as_str()?.len() + value.get("hour")?.as_str()?.len();
    for name in ["click", "banner_pos", "device_type", "device_conn_type"] {
        length += value.get(name)?.as_u64()? as usize;
    }
    for name in TEXT_FIELDS {
        length += value.get(name)?.as_str()?.len();
    }
    for name in INT_FIELDS {
        length += value.get(name)?.as_i64()? as usize;
    }
    Some(length)
}

fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).collect()
}

/// A source with names of its own for all fields, and defaults for three that it has anyway.
fn mapped() -> FieldMap {
    let source = |field: &'static str| FieldSource {
        names: vec![format!("their_{field}")],
        default: field.starts_with("app_").then(|| "none".to_owned()),
    };
    let map = FieldMap::new(FIELDS.map(|field| (field, source(field))));
    map.unwrap_or_else(|error| panic!("{error}"))
}

/// The same records with the names of [`mapped`].
fn renamed(text: &[u8], before: &str, after: &str) -> Vec<u8> {
    let mut text = String::from_utf8(text.to_vec()).unwrap();
    for field in FIELDS {
        let (ours, theirs) = (format!("{before}{field}{after}"), format!("{before}their_{field}{after}"));
        text = text.replace(&ours, &theirs);
    }
    text.into_bytes()
}

/// A mapped source, row for row next to an unmapped one.
fn measure_mapped(ndjson: &[u8], csv: &[u8]) {
    let map = mapped();
    let mut parser = Parser::new(Rules { fields: map.clone(), ..Rules::default() });
    let ndjson = renamed(ndjson, "\"", "\":");
    let header = format!(",{CSV_HEADER},").replace(',', ",,");
    let header = String::from_utf8(renamed(header.as_bytes(), ",", ",")).unwrap().replace(",,", ",");
    let columns = CsvColumns::parse_by(header.trim_matches(',').as_bytes(), &map).unwrap();
    let (json_lines, csv_lines) = (lines(&ndjson), lines(csv));
    let time =
        best(|| json_lines.iter().filter(|line| black_box(parser.parse_json(line, NOW)).is_ok()).count());
    print_row("json: parse, validate; mapped", ndjson.len(), time);
    let time = best(|| {
        csv_lines.iter().filter(|line| black_box(parser.parse_csv(&columns, line, NOW)).is_ok()).count()
    });
    print_row("csv: parse, validate; mapped", csv.len(), time);
    let time =
        best(|| json_lines.iter().filter(|line| black_box(map.record_id(line, None)).is_some()).count());
    print_row("json: record_id; mapped", ndjson.len(), time);
}

fn main() {
    let mut ndjson = Vec::new();
    let mut csv = Vec::new();
    write_events(|event| {
        event.write_json(&mut ndjson);
        ndjson.push(b'\n');
        event.write_csv(&mut csv);
        csv.push(b'\n');
    });
    let columns = CsvColumns::parse(CSV_HEADER.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    let mut csv_file = format!("{CSV_HEADER}\n").into_bytes();
    csv_file.extend_from_slice(&csv);
    let mut array = b"[".to_vec();
    array.extend(ndjson[..ndjson.len() - 1].iter().map(|&byte| if byte == b'\n' { b',' } else { byte }));
    array.push(b']');
    let json_lines = lines(&ndjson);
    let csv_lines = lines(&csv);
    let mut parser = Parser::new(Rules::default());

    println!("{} bytes an event as json, {} as csv", ndjson.len() / EVENT_COUNT, csv.len() / EVENT_COUNT);
    println!("{:<44} {:>12} {:>8} {:>9}", "one core", "events/s", "MB/s", "ns/event");
    let parse_json =
        best(|| json_lines.iter().filter(|line| black_box(parser.parse_json(line, NOW)).is_ok()).count());
    print_row("json: parse, validate", ndjson.len(), parse_json);
    let time = best(|| {
        csv_lines.iter().filter(|line| black_box(parser.parse_csv(&columns, line, NOW)).is_ok()).count()
    });
    print_row("csv: parse, validate", csv.len(), time);
    let time =
        best(|| json_lines.iter().filter(|line| black_box(read_with_serde_json(line)).is_some()).count());
    print_row("json: serde_json::Value, no rules", ndjson.len(), time);
    println!("{:<44} {:>12.1}", "  ratio", time.as_secs_f64() / parse_json.as_secs_f64());

    let mut batch = EventBatch::new();
    for (work, bytes, format) in [
        ("ndjson: split, parse, validate, batch", &ndjson, Format::Ndjson),
        ("json array: split, parse, validate, batch", &array, Format::JsonArray),
        ("csv: split, parse, validate, batch", &csv_file, Format::Csv),
    ] {
        let time = best(|| {
            batch.clear();
            let mut reader = RecordReader::new(&bytes[..], format, 1 << 20);
            while let Ok(Some(record)) = reader.next_record() {
                let parsed = match format {
                    Format::Csv => parser.parse_csv(&columns, record.payload, NOW),
                    Format::Ndjson | Format::JsonArray => parser.parse_json(record.payload, NOW),
                };
                if let Ok(parsed) = parsed {
                    batch.push(&parsed.event);
                }
            }
            batch.len()
        });
        print_row(work, bytes.len(), time);
    }
    let time = best(|| json_lines.iter().filter(|line| black_box(record_id(line, None)).is_some()).count());
    print_row("json: record_id", ndjson.len(), time);
    measure_mapped(&ndjson, &csv);
    let mut text = String::new();
    let time = best(|| {
        text.clear();
        batch.event_times().iter().map(|time| time.write_sql(&mut text)).count()
    });
    print_row("write_sql", text.len(), time);
    let mut out = Vec::new();
    let time = best(|| {
        out.clear();
        batch.iter().map(|event| event.write_json(&mut out)).count()
    });
    print_row("write_json", out.len(), time);
    let time = best(|| {
        out.clear();
        batch.iter().map(|event| event.write_csv(&mut out)).count()
    });
    print_row("write_csv", out.len(), time);
}
