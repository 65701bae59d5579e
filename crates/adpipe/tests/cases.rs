//! Files and bodies as people have them: each is read, or named with what to do, over HTTP, by
//! `ingest` and by `etl`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;
#[path = "common/raw_files.rs"]
mod raw_files;

use std::io::Write;

use adpipe_testkit::eventually;
use common::{Folder, Running};
use flate2::Compression;
use flate2::write::GzEncoder;
use raw_files::{Etl, HEADER, file, outcome, row};
use serde_json::Value;

/// An input, and what becomes of it.
struct Case {
    name: &'static str,
    bytes: Vec<u8>,
    expected: Expected,
}

enum Expected {
    /// So many events and so many records in error.
    Read(u64, u64),
    /// Refused as a whole, with these words.
    Named(&'static str),
}

use Expected::{Named, Read};

fn event(id: u32) -> String {
    event_at(id, "\"hour\":\"14102105\"")
}

fn event_at(id: u32, time: &str) -> String {
    format!(
        r#"{{"id":"{id}","click":1,{time},"banner_pos":1,"device_type":1,"device_conn_type":0,"site_id":"s","site_domain":"d","site_category":"c","app_id":"a","app_domain":"b","app_category":"e","device_id":"i","device_ip":"p","device_model":"m"}}"#
    )
}

fn events(first: u32, count: u32) -> Vec<String> {
    (first..first + count).map(event).collect()
}

fn ndjson(first: u32, count: u32) -> String {
    events(first, count).join("\n") + "\n"
}

fn csv(first: u32, count: u32) -> String {
    raw_files::csv(first..first + count)
}

fn csv_at(first: u32, times: &[&str]) -> String {
    let rows = times.iter().zip(first..).map(|(time, id)| row(&id.to_string()).replacen("14102105", time, 1));
    format!("{}\n{}\n", HEADER.replacen("hour", "event_time", 1), rows.collect::<Vec<_>>().join("\n"))
}

fn gzip(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes.as_ref()).unwrap();
    encoder.finish().unwrap()
}

fn utf16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(to_bytes).collect()
}

/// A zip archive whose first file has this name.
fn zip(first: &str) -> Vec<u8> {
    let mut bytes = b"PK\x03\x04\x14\0\0\0\x08\0".to_vec();
    bytes.resize(26, 0);
    bytes.extend_from_slice(&(first.len() as u16).to_le_bytes());
    bytes.extend_from_slice(&[0, 0]);
    bytes.extend_from_slice(first.as_bytes());
    bytes.extend_from_slice(&[7; 200]);
    bytes
}

fn case(name: &'static str, bytes: impl Into<Vec<u8>>, expected: Expected) -> Case {
    Case { name, bytes: bytes.into(), expected }
}

fn line_ends_and_streams() -> Vec<Case> {
    vec![
        case("mac.csv", csv(100, 3).replace('\n', "\r"), Read(3, 0)),
        case("mac_open.csv", csv(110, 4).trim_end().replace('\n', "\r"), Read(4, 0)),
        case("mac_bad.csv", format!("{}1,2\r", csv(120, 2).replace('\n', "\r")), Read(2, 1)),
        case("stream.json", events(200, 5).concat(), Read(5, 0)),
        case("stream.gz", gzip(events(210, 400).join(" ")), Read(400, 0)),
        case("arrays.json", format!("[{}][{}]", event(620), event(621)), Read(2, 0)),
    ]
}

fn times() -> Vec<Case> {
    vec![
        case("copy.csv", csv_at(700, &["2014-10-21 00:00:00+00", "2014-10-21 09:30:00.5+0530"]), Read(2, 0)),
        case("utc.csv", csv_at(710, &["2014-10-21 05:00:00 UTC", "2014-10-21T05:00:00-03"]), Read(2, 0)),
        case("epoch.csv", csv_at(720, &["1413867600", "1413867600123"]), Read(2, 0)),
        case(
            "both.ndjson",
            event_at(730, r#""hour":"14102105","event_time":"2014-10-21T05:59:59.999Z""#),
            Read(1, 0),
        ),
        case("both_epoch.json", event_at(731, r#""event_time":1413867660000,"hour":"14102105""#), Read(1, 0)),
        case(
            "other_hour.json",
            event_at(732, r#""hour":"14102105","event_time":"2014-10-21T06""#),
            Read(0, 1),
        ),
    ]
}

fn numbers_as_text() -> Vec<Case> {
    let quoted = |id| event(id).replacen("\"click\":1", "\"click\":\"1\"", 1);
    vec![
        case("quoted.ndjson", format!("{}\n{}\n", quoted(740), event(741)), Read(1, 1)),
        case("floats.json", format!("[{}]", event(742).replacen(":1,", ":1.0,", 1)), Read(0, 1)),
        case("all_quoted.ndjson.gz", gzip(format!("{}\n{}", quoted(743), quoted(744))), Read(0, 2)),
    ]
}

fn cut_first_lines() -> Vec<Case> {
    let cut = |first| ndjson(first, 3)[40..].to_owned();
    vec![
        case("rotated.ndjson", cut(800), Read(2, 1)),
        case("app.log.gz", gzip(cut(810)), Read(2, 1)),
        case("long.jsonl", format!("{}{}", "x".repeat(20_000), cut(820)), Read(2, 1)),
        // Without a line end, or with one record only, the name or the next object says it.
        case("glued.json", events(830, 3).concat()[40..].to_owned(), Read(2, 1)),
        case("only.jsonl", event(840)[40..].to_owned(), Read(0, 1)),
        case("commented.csv", format!("# exported\n\n{}", ndjson(850, 2)), Read(2, 1)),
    ]
}

fn marks() -> Vec<Case> {
    vec![
        case("mark.ndjson", format!("\u{feff}{}", ndjson(900, 2)), Read(2, 0)),
        case("mark.csv", format!("\u{feff}{}", csv(910, 2)), Read(2, 0)),
        case("mark.json.gz", gzip(format!("\u{feff}[{}]", events(920, 2).join(","))), Read(2, 0)),
        // Two files that were put together with `cat`.
        case("cat.ndjson", format!("\u{feff}{}\u{feff}{}", ndjson(930, 2), ndjson(932, 2)), Read(4, 0)),
    ]
}

fn compressed() -> Vec<Case> {
    let zeros = vec![0; 10_000];
    let members = [gzip(csv(1_010, 2)), zeros.clone(), gzip(format!("{}\n", row("1012")))].concat();
    let two = [gzip(ndjson(1_020, 2)), gzip(ndjson(1_022, 1))].concat();
    vec![
        case("padded.ndjson.gz", [gzip(ndjson(1_000, 3)), zeros.clone()].concat(), Read(3, 0)),
        case("between.csv.gz", members, Read(3, 0)),
        case("members.gz", [two, vec![0]].concat(), Read(3, 0)),
        case("train.gz", gzip(csv(1_030, 3)), Read(3, 0)),
        case("twice.ndjson.gz", gzip(gzip(ndjson(1_040, 1))), Named("gzip within gzip")),
        case("twice.csv.gz", gzip(gzip(csv(1_050, 1))), Named("decompress it once")),
        case("zstd.gz", gzip(b"\x28\xb5\x2f\xfd and what follows"), Named("zstd within gzip")),
    ]
}

fn other_text() -> Vec<Case> {
    let (json, rows) = (ndjson(1_100, 2), csv(1_100, 2));
    let mark = "\u{feff}";
    let utf32 = json.chars().flat_map(|letter| (letter as u32).to_le_bytes()).collect::<Vec<u8>>();
    vec![
        case(
            "le.ndjson",
            utf16(&format!("{mark}{json}"), u16::to_le_bytes),
            Named("UTF-16 text; save it as UTF-8"),
        ),
        case("be.csv", utf16(&format!("{mark}{rows}"), u16::to_be_bytes), Named("UTF-16 text")),
        case("no_mark.csv", utf16(&rows, u16::to_le_bytes), Named("iconv -f UTF-16LE")),
        case("packed.json.gz", gzip(utf16(&json, u16::to_be_bytes)), Named("iconv -f UTF-16BE")),
        case("utf32.ndjson", utf32, Named("UTF-32 text")),
        case("sequence.json", format!("\x1e{json}"), Named("RFC 7464")),
        case(
            "form.json",
            format!("--x7\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\n{json}\r\n--x7--\r\n"),
            Named("multipart"),
        ),
        case("encoded.json", "%7B%22id%22%3A1%7D", Named("percent-encoded")),
        case("login.csv", "\n<!DOCTYPE html>\n<html><body>Log in</body></html>", Named("an HTML page")),
        case(
            "pointer.csv",
            "version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
            Named("git lfs pull"),
        ),
        case("zeros.ndjson", [&[0; 5_000], json.as_bytes()].concat(), Named("zero bytes")),
    ]
}

fn other_formats() -> Vec<Case> {
    let one = event(1_200);
    vec![
        case("train.csv.gz", zip("train.csv"), Named("a zip archive; unpack it")),
        case("sheet.csv", zip("[Content_Types].xml"), Named("a spreadsheet file; save the sheet as CSV")),
        case(
            "libre.csv",
            zip("mimetypeapplication/vnd.oasis.opendocument.spreadsheet"),
            Named("a spreadsheet file"),
        ),
        case(
            "old.csv",
            [b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", &[0; 600][..]].concat(),
            Named("a spreadsheet file"),
        ),
        case("map.json", [b"\x83\xa2id\xa11".as_slice(), &[b'x'; 50]].concat(), Named("MessagePack")),
        case("maps.json", [b"\x92\xde\0\x18\xa2id".as_slice(), &[b'x'; 50]].concat(), Named("MessagePack")),
        case(
            "map16.json",
            [b"\xde\0\x18\xa5click\x01".as_slice(), &[b'x'; 50]].concat(),
            Named("MessagePack"),
        ),
        case("schema.json", [b"\0\0\0\0\x07", one.as_bytes()].concat(), Named("Confluent's magic byte")),
        case("events.json", [b"PAR1", &[0; 50][..]].concat(), Named("a Parquet file; convert it")),
        case("events.csv", [b"Obj\x01", &[4; 50][..]].concat(), Named("an Avro file")),
        case("day.ndjson", [b"\xfd7zXZ\0", &[4; 50][..]].concat(), Named("compressed with xz")),
        case("day2.ndjson", [b"\x04\x22\x4d\x18", &[4; 50][..]].concat(), Named("compressed with lz4")),
        case("deflated.json", [b"\x78\x9c", &[0xcb; 50][..]].concat(), Named("zlib")),
    ]
}

fn all() -> Vec<Case> {
    [
        line_ends_and_streams(),
        times(),
        numbers_as_text(),
        cut_first_lines(),
        marks(),
        compressed(),
        other_text(),
        other_formats(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn sums(cases: &[Case]) -> (u64, u64) {
    cases.iter().fold((0, 0), |(valid, invalid), case| match case.expected {
        Read(more_valid, more_invalid) => (valid + more_valid, invalid + more_invalid),
        Named(_) => (valid, invalid),
    })
}

fn must_be_counted(folder: &Folder, cases: &[Case]) {
    let (valid, invalid) = sums(cases);
    let row = folder.row(
        "select sum(valid) as valid, sum(parse + schema + validation) as invalid, sum(duplicates) as duplicates
         from realtime.commits",
    );
    assert_eq!(
        (row["valid"].as_u64(), row["invalid"].as_u64(), row["duplicates"].as_u64()),
        (Some(valid), Some(invalid), Some(0))
    );
}

#[test]
fn etl_reads_or_names_every_kind() {
    let (cases, etl) = (all(), Etl::new());
    for case in &cases {
        etl.write(case.name, &case.bytes);
    }
    let report = etl.run(1, &[]);
    for Case { name, expected, .. } in &cases {
        match expected {
            Read(valid, invalid) => {
                assert_eq!(outcome(&report, name), ("done", valid + invalid, *valid, 0, *invalid), "{name}");
            }
            Named(words) => {
                assert_eq!(outcome(&report, name), ("damaged", 0, 0, 0, 0), "{name}");
                let message = file(&report, name)["message"].as_str().unwrap();
                assert!(message.contains(words), "{name}: {message}");
            }
        }
    }
    assert_eq!(report["passed_over"].as_array().unwrap().len(), 0);
    etl.verify();
}

#[test]
fn ingest_reads_or_names_every_kind() {
    let (cases, folder) = (all(), Folder::new());
    let mut readable = vec!["ingest", "--json"];
    for case in &cases {
        std::fs::write(folder.join(case.name), &case.bytes).unwrap();
        match case.expected {
            Read(..) => readable.push(case.name),
            Named(words) => {
                let said = folder.fail(1, &["ingest", case.name]);
                assert!(said.contains(words) && said.contains(case.name), "{}: {said}", case.name);
            }
        }
    }
    readable.push("--wait");
    folder.run(&readable);
    must_be_counted(&folder, &cases);
}

#[test]
fn a_pipe_is_read_like_a_file() {
    let folder = Folder::new();
    let through_a_pipe = |bytes: &[u8]| {
        let mut command = folder.adpipe(&["ingest", "--wait", "--json", "-"]);
        let mut child =
            command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        for piece in bytes.chunks(150) {
            stdin.write_all(piece).unwrap();
        }
        drop(stdin);
        serde_json::from_slice::<Value>(&child.wait_with_output().unwrap().stdout).unwrap()
    };
    for (first, expected) in [(1, (2, 1)), (11, (2, 1))] {
        let report = through_a_pipe(&ndjson(first, 3).as_bytes()[40..]);
        assert_eq!(
            (report["events"].as_u64(), report["invalid"].as_u64()),
            (Some(expected.0), Some(expected.1))
        );
    }
    assert_eq!(through_a_pipe(&gzip(csv(21, 3)))["events"], 3);
}

#[test]
fn http_takes_or_names_every_kind() {
    let (cases, folder) = (all(), Folder::new());
    let up = Running::start(folder.adpipe(&["up"]));
    for Case { name, bytes, expected } in &cases {
        // A body has no name to be believed.
        let headers: &[_] =
            if *name == "only.jsonl" { &[("Content-Type", "application/x-ndjson")] } else { &[] };
        let response = up.send("POST", "/v1/events", headers, bytes);
        let (status, answer) = (response.status, response.body);
        match expected {
            Read(valid, invalid) => {
                assert_eq!(status, 202, "{name}: {answer}");
                assert!(answer.contains(&format!("\"accepted\":{}", valid + invalid)), "{name}: {answer}");
            }
            Named(words) => {
                assert_eq!(status, 415, "{name}: {answer}");
                assert!(answer.contains(words), "{name}: {answer}");
            }
        }
    }
    let (valid, invalid) = sums(&cases);
    eventually("everything is counted", || {
        let counted = folder.row("select coalesce(sum(records), 0) as n from realtime.commits");
        counted["n"].as_u64() == Some(valid + invalid)
    });
    must_be_counted(&folder, &cases);
}

#[test]
fn a_damaged_file_says_what_would_help() {
    let etl = Etl::new();
    let whole = gzip(csv(1, 20_000));
    etl.write("cut.csv.gz", &whole[..whole.len() / 2]);
    let mut second = gzip(format!("{}\n", row("30001")));
    let middle = second.len() / 2;
    second[middle] ^= 0xff;
    etl.write("second.csv.gz", [gzip(csv(30_000, 1)), second].concat());
    let mut flipped = gzip(csv(40_000, 20_000));
    let end = flipped.len() - 6;
    flipped[end] ^= 0xff;
    etl.write("flipped.csv.gz", &flipped);
    for _ in 0..2 {
        // Told at each run, with the same words.
        let report = etl.run(1, &[]);
        for (name, words) in [
            ("cut.csv.gz", "the gzip data is cut short"),
            ("second.csv.gz", "the gzip member 2, which begins at byte"),
            ("flipped.csv.gz", "the gzip data is damaged"),
        ] {
            let message = file(&report, name)["message"].as_str().unwrap();
            assert!(
                message.contains(words) && message.contains("put a complete copy in its place"),
                "{message}"
            );
        }
    }
    // What would help does.
    etl.write("cut.csv.gz", &whole);
    let report = etl.run(1, &[]);
    assert_eq!(file(&report, "cut.csv.gz")["state"], "done");
    // It continues where the damage was.
    let cut = &file(&report, "cut.csv.gz")["total"];
    assert!(cut["invalid"] == 0 && cut["duplicates"] == 0 && cut["valid"] == 20_000, "{cut}");
    etl.verify();
}
