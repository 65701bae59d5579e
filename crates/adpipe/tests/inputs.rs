//! What senders and files really look like: nothing of it is lost, shortened or passed over without
//! being reported.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;
#[path = "common/raw_files.rs"]
mod raw_files;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use common::{Folder, Running};
use raw_files::{Etl, HEADER, csv, file, gzip, outcome, row};
use serde_json::Value;

/// One event as JSON; its id as it is written, quotes included.
fn object(id: &str, click: u8) -> String {
    format!(
        r#"{{"id":{id},"click":{click},"hour":"14102105","banner_pos":1,"device_type":1,"device_conn_type":0,"site_id":"s","site_domain":"d","site_category":"c","app_id":"a","app_domain":"b","app_category":"e","device_id":"i","device_ip":"p","device_model":"m"}}"#
    )
}

fn objects(ids: std::ops::Range<u32>) -> Vec<String> {
    ids.map(|id| object(&format!("\"{id}\""), 1)).collect()
}

/// Bodies of 60 events each, in every form that has no line end of ours.
fn bodies() -> Vec<(&'static str, String)> {
    let mut ids = (0..).step_by(60).map(|first| first..first + 60);
    let mut next = || objects(ids.next().unwrap());
    let rows = |first: u32| (first..first + 60).map(|id| row(&id.to_string())).collect::<Vec<_>>();
    let arrays = |objects: &[String], between: &str| {
        objects.chunks(7).map(|some| format!("[{}]", some.join(","))).collect::<Vec<_>>().join(between)
    };
    vec![
        ("glued.ndjson", next().concat()),
        ("spaced.json", next().join(" \t")),
        ("mac.ndjson", next().join("\r")),
        ("mixed.ndjson", next().chunks(5).map(<[String]>::concat).collect::<Vec<_>>().join("\r\n")),
        ("arrays.json", arrays(&next(), "")),
        ("lines_of_arrays.json", arrays(&next(), "\n")),
        ("arrays_and_objects.json", arrays(&next()[..30], " ") + &next()[30..].concat()),
        ("pretty.json", next().join("\n").replace('{', "{\n").replace(',', ",\n")),
        ("mac.csv", format!("{HEADER}\r{}\r", rows(10_000).join("\r"))),
        ("no_end.csv", format!("{HEADER}\r{}", rows(10_060).join("\r"))),
        (
            "mixed.csv",
            format!(
                "{HEADER}\n{}\r\n{}\r{}",
                rows(10_120)[..20].join("\r"),
                rows(10_120)[20..40].join("\n"),
                rows(10_120)[40..].join("\r\n")
            ),
        ),
    ]
}

#[test]
fn every_form_of_line_end_or_none_gives_all_records_by_each_way() {
    let bodies = bodies();
    let total = 60 * bodies.len() as u64;
    let ingested = Folder::new();
    let etl = Etl::new();
    for (name, body) in &bodies {
        std::fs::write(ingested.join(name), body).unwrap();
        etl.write(name, body);
    }
    let mut all = vec!["ingest", "--wait", "--json"];
    all.extend(bodies.iter().map(|(name, _)| *name));
    let report: Value = serde_json::from_str(&ingested.run(&all)).unwrap();
    assert_eq!((report["events"].as_u64(), report["too_long"].as_u64()), (Some(total), Some(0)), "{report}");
    let report = etl.run(0, &[]);
    for (name, _) in &bodies {
        assert_eq!(outcome(&report, name), ("done", 60, 60, 0, 0), "{name}");
    }
    etl.verify();
    let sent = Folder::new();
    let up = Running::start(sent.adpipe(&["up"]));
    for (name, body) in &bodies {
        let (status, answer) = up.request("POST", "/v1/events", body.as_bytes());
        assert_eq!(status, 202, "{name}: {answer}");
        assert!(answer.contains("\"accepted\":60"), "{name}: {answer}");
    }
}

#[test]
fn a_stream_of_objects_is_longer_than_a_record_may_be() {
    let etl = Etl::new();
    let body = objects(0..20_000).concat();
    assert!(body.len() > 4 << 20);
    etl.write("firehose.gz", gzip(body.as_bytes()));
    etl.write("plain.json", objects(20_000..40_000).join(" "));
    let report = etl.run(0, &[]);
    assert_eq!(outcome(&report, "firehose.gz"), ("done", 20_000, 20_000, 0, 0));
    assert_eq!(outcome(&report, "plain.json"), ("done", 20_000, 20_000, 0, 0));
    // It grows by an object that follows at once.
    etl.write("plain.json", objects(20_000..40_000).join(" ") + &objects(40_000..40_003).concat());
    assert_eq!(outcome(&etl.run(0, &[]), "plain.json"), ("done", 3, 3, 0, 0));
    etl.verify();
    let folder = Folder::new();
    std::fs::write(folder.join("firehose.gz"), gzip(body.as_bytes())).unwrap();
    let report: Value =
        serde_json::from_str(&folder.run(&["ingest", "--wait", "--json", "firehose.gz"])).unwrap();
    assert_eq!(report["events"], 20_000);
}

#[test]
fn records_that_are_too_long_are_counted_and_reported() {
    let long = object(&format!("\"{}\"", "9".repeat(1_200_000)), 1);
    let [a, b, c] = [object("1", 1), object("2", 1), object("3", 1)];
    let body = format!("{a}{long}{b}\n{long}\n{c}");
    let folder = Folder::new();
    std::fs::write(folder.join("long.ndjson"), &body).unwrap();
    let report: Value = serde_json::from_str(&folder.run(&["ingest", "--json", "long.ndjson"])).unwrap();
    assert_eq!((report["appended"].as_u64(), report["too_long"].as_u64()), (Some(5), Some(2)), "{report}");
    let words = folder.run(&["ingest", "--wait", "long.ndjson"]);
    assert!(words.contains("2 records longer than ingest.max_record_size"), "{words}");
    let etl = Etl::new();
    etl.write("long.ndjson", &body);
    etl.write("long.csv", format!("{HEADER}\r{}\r\"{}\r{}\r", row("4"), "x".repeat(1_200_000), row("5")));
    let report = etl.run(0, &[]);
    assert_eq!(outcome(&report, "long.ndjson"), ("done", 5, 3, 0, 2));
    assert_eq!(outcome(&report, "long.csv"), ("done", 3, 2, 0, 1));
    assert_eq!(report["this_run"]["too_long"], 3);
    assert_eq!(file(&report, "long.csv")["this_run"]["too_long"], 1);
    assert_eq!(etl.errors().len(), 3, "each error has a row of its own");
    assert!(etl.folder.run(&["etl", "--force"]).contains("2 records longer than ingest.max_record_size"));
    etl.verify();
}

#[test]
fn nothing_of_the_raw_folder_is_passed_over_in_silence() {
    let etl = Etl::new();
    etl.write("train.gz", gzip(csv(0..10).as_bytes()));
    etl.write("../plain", csv(10..20));
    let zstd = Command::new("zstd").args(["-q", "-c"]).arg(etl.folder.join("data/plain")).output();
    let has_zstd = zstd.as_ref().is_ok_and(|output| output.status.success());
    if has_zstd {
        etl.write("day.zst", zstd.unwrap().stdout);
    }
    etl.write("train.csv.zip", b"PK\x03\x04....");
    etl.write("day.tar.gz", gzip(b"x"));
    etl.write(".hidden.csv", csv(20..30));
    etl.write("later.csv.part", csv(20..30));
    etl.write("notes.txt", "hello");
    assert!(Command::new("mkfifo").arg(etl.folder.join("data/raw/pipe.csv")).status().unwrap().success());
    for name in [&b"caf\xe9.csv"[..], b"caf\xe8.csv"] {
        let id = u32::from(name[3]) * 100;
        let path = etl.folder.join("data/raw").join(OsStr::from_bytes(name));
        std::fs::write(path, csv(id..id + 10)).unwrap();
    }
    let report = etl.run(0, &[]);
    for name in ["train.gz", "caf%E9.csv", "caf%E8.csv"] {
        assert_eq!(outcome(&report, name), ("done", 10, 10, 0, 0), "{name}");
    }
    assert!(!has_zstd || outcome(&report, "day.zst") == ("done", 10, 10, 0, 0));
    let passed_over = report["passed_over"].as_array().unwrap();
    for (name, reason) in [
        ("train.csv.zip", "unpack"),
        ("day.tar.gz", "unpack"),
        (".hidden.csv", "begins with a dot"),
        ("later.csv.part", "still being written"),
        ("notes.txt", "does not end in"),
        ("pipe.csv", "a pipe"),
    ] {
        let entry = passed_over.iter().find(|entry| entry["file"] == name).expect(name);
        assert!(entry["reason"].as_str().unwrap().contains(reason), "{entry}");
    }
    assert_eq!(passed_over.len(), 6, "{passed_over:?}");
    let words = etl.folder.run(&["etl", "--date", "2014-10-21"]);
    assert!(words.contains("passed over: day.tar.gz, train.csv.zip: an archive; unpack it"), "{words}");
    assert!(words.contains("its name does not contain the date 2014-10-21"), "{words}");
    etl.verify();
}

#[test]
fn what_is_wrong_with_compressed_files_is_named() {
    let etl = Etl::new();
    let good = gzip(csv(0..10).as_bytes());
    etl.write("padded.csv.gz", [&good[..], &vec![0; 70_000]].concat());
    etl.write("followed.csv.gz", [&gzip(csv(10..20).as_bytes())[..], b"\0\0trailer"].concat());
    etl.write("twice.csv.gz", gzip(&good));
    etl.write("zipped.csv.gz", gzip(b"PK\x03\x04......."));
    let report = etl.run(1, &[]);
    assert_eq!(outcome(&report, "padded.csv.gz"), ("done", 10, 10, 0, 0));
    assert_eq!(outcome(&report, "followed.csv.gz"), ("damaged", 10, 10, 0, 0));
    for (name, message) in [
        ("followed.csv.gz", "something else follows"),
        ("twice.csv.gz", "gzip within gzip"),
        ("zipped.csv.gz", "zip archive"),
    ] {
        let file = file(&report, name);
        assert!(file["state"] == "damaged" && file["message"].as_str().unwrap().contains(message), "{file}");
    }
    etl.verify();
    let raw = |name: &str| format!("data/raw/{name}");
    let folder = &etl.folder;
    assert!(folder.fail(1, &["ingest", &raw("followed.csv.gz")]).contains("something else follows"));
    assert!(folder.fail(1, &["ingest", &raw("twice.csv.gz")]).contains("gzip within gzip"));
    assert!(folder.fail(1, &["ingest", &raw("zipped.csv.gz")]).contains("zip archive"));
    folder.run(&["ingest", "--wait", &raw("padded.csv.gz")]);
}

#[test]
fn of_one_id_in_several_notations_the_first_is_counted() {
    let folder = Folder::new();
    let mut lines = Vec::new();
    // The first of each has a click, the others have none.
    for id in 100..200 {
        let text = id.to_string();
        let escaped: String = text.chars().map(|digit| format!("\\u{:04x}", digit as u32)).collect();
        let mut notations = [
            object(&text, 1),
            object(&format!("\"{text}\""), 1),
            object(&format!(" \"{escaped}\"  "), 1),
            object(&text, 1).replacen("\"id\"", "\"\\u0069d\"", 1),
            object(&format!("7,\"x\":{{\"id\":8}},\"id\":{text}"), 1),
        ];
        notations.rotate_left(id % 5);
        let later = notations.iter().skip(1).map(|line| line.replace("\"click\":1", "\"click\":0"));
        lines.extend(notations.iter().take(1).cloned().chain(later).collect::<Vec<_>>());
    }
    std::fs::write(folder.join("json.ndjson"), lines.join("\n")).unwrap();
    let quoted = (100..200).map(|id| row(&format!("\"{id}\"")).replacen(",1,", ",0,", 1));
    let bare = (100..200).map(|id| row(&id.to_string()).replacen(",1,", ",0,", 1));
    let rows: Vec<String> = quoted.chain(bare).collect();
    std::fs::write(folder.join("rows.csv"), format!("{HEADER}\n{}\n", rows.join("\n"))).unwrap();
    folder.run(&["ingest", "--wait", "json.ndjson", "rows.csv"]);
    let account = folder.account();
    assert_eq!(
        (account["valid"].as_u64(), account["clicks"].as_u64(), account["duplicates"].as_u64()),
        (Some(100), Some(100), Some(600)),
        "{account}"
    );
}
