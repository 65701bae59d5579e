//! `adpipe etl` on files as they are in the world.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{ADPIPE, Folder, Running, eventually, shown};
use serde_json::Value;

const HEADER: &str = "id,click,hour,C1,banner_pos,site_id,site_domain,site_category,app_id,app_domain,app_category,\
device_id,device_ip,device_model,device_type,device_conn_type,C14,C15,C16,C17,C18,C19,C20,C21";

/// One row; its id says which.
fn row(id: &str) -> String {
    format!("{id},1,14102105,1005,0,s,d,c,a,b,e,i,p,m,1,0,1,2,3,4,5,6,7,8")
}

fn csv(ids: impl IntoIterator<Item = u32>) -> String {
    let rows: Vec<String> = ids.into_iter().map(|id| row(&id.to_string())).collect();
    format!("{HEADER}\n{}\n", rows.join("\n"))
}

struct Etl {
    folder: Folder,
}

impl Etl {
    fn new() -> Etl {
        let folder = Folder::new();
        std::fs::create_dir_all(folder.join("data/raw")).unwrap();
        Etl { folder }
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.folder.join("data/raw").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// Runs it; must end with this code. Gives the report.
    fn run(&self, code: i32, arguments: &[&str]) -> Value {
        let all: Vec<&str> = ["etl", "--json"].iter().chain(arguments).copied().collect();
        let output = self.folder.adpipe(&all).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", shown(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn verify(&self) {
        let verdict = self.folder.run(&["verify"]);
        assert!(verdict.contains("zero residue"), "{verdict}");
    }

    /// Errors by file and row, each with its type; repeats once.
    fn errors(&self) -> Vec<(String, String, String)> {
        use adpipe_log::{EventLog, Offset, Topic, header};
        let log = adpipe_log::sqlite::SqliteLog::open(&self.folder.join("data")).unwrap();
        let mut errors = Vec::new();
        let mut next = Offset(0);
        loop {
            let batches = log.read(Topic::Error, 0, next, 4 << 20).unwrap();
            let Some(last) = batches.last() else { break };
            next = last.next_offset();
            for record in batches.iter().flat_map(|batch| batch.iter()) {
                let text = |name| record.headers.text(name).unwrap_or_default().to_owned();
                assert_eq!(text(header::ERROR_PARTITION), "0");
                assert_eq!(text(header::ROW), text(header::ERROR_OFFSET));
                errors.push((
                    text(header::ERROR_TOPIC),
                    text(header::ERROR_OFFSET),
                    text(header::ERROR_TYPE),
                ));
            }
        }
        errors.sort();
        errors.dedup();
        errors
    }

    fn row(&self, sql: &str) -> Value {
        self.folder.row(sql)
    }
}

fn file<'a>(report: &'a Value, name: &str) -> &'a Value {
    report["files"].as_array().unwrap().iter().find(|file| file["file"] == name).expect(name)
}

/// State, rows, valid, duplicates and invalid of a file in this run.
fn outcome<'a>(report: &'a Value, name: &str) -> (&'a str, u64, u64, u64, u64) {
    let file = file(report, name);
    let count = |key: &str| file["this_run"][key].as_u64().unwrap();
    (file["state"].as_str().unwrap(), count("rows"), count("valid"), count("duplicates"), count("invalid"))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut child =
        Command::new("gzip").arg("-c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let bytes = bytes.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&bytes).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output.stdout
}

#[test]
fn each_kind_of_file_is_handled_as_its_report_says() {
    let etl = Etl::new();
    etl.write("windows.csv", csv(0..10).replace('\n', "\r\n"));
    etl.write("mark.csv", format!("\u{feff}{}", csv(10..20)));
    let quoted = row("20").replace(",s,d,", ",\"s, or so\",\"say \"\"d\"\"\",");
    etl.write("quoted.csv", format!("{HEADER}\n{quoted}\n"));
    etl.write("empty.csv", "");
    etl.write("header_only.csv", format!("{HEADER}\n"));
    etl.write("wrong_header.csv", csv(30..35).replacen("click", "clicked", 1));
    let other_order = "click,id,hour,banner_pos,site_id,site_domain,site_category,app_id,app_domain,app_category,\
                       device_id,device_ip,device_model,device_type,device_conn_type,more\n\
                       0,40,2014-10-21T06:30:00Z,1,s,d,c,a,b,e,i,p,m,1,0,x\n";
    etl.write("other_order.csv", other_order);
    // The last line is cut off in its middle.
    let whole = csv(50..60);
    etl.write("truncated.csv", &whole[..whole.len() - 30]);
    let zipped = gzip(csv(1_000..9_000).as_bytes());
    etl.write("whole.csv.gz", &zipped);
    etl.write("cut.csv.gz", &gzip(csv(10_000..30_000).as_bytes())[..zipped.len()]);
    let mut bad_byte = csv(60..70).into_bytes();
    let at = bad_byte.len() / 2;
    bad_byte[at] = 0xff;
    etl.write("bad_byte.csv", bad_byte);
    etl.write("deep/folder/objects.ndjson", "{\"id\":\"71\"}\nnot json\n");
    etl.write("array.json", "[]");
    etl.write("notes.txt", "no raw file");

    let report = etl.run(1, &[]);
    assert_eq!(outcome(&report, "windows.csv"), ("done", 10, 10, 0, 0));
    assert_eq!(outcome(&report, "mark.csv"), ("done", 10, 10, 0, 0));
    assert_eq!(outcome(&report, "quoted.csv"), ("done", 1, 1, 0, 0));
    assert_eq!(outcome(&report, "empty.csv"), ("empty", 0, 0, 0, 0));
    assert_eq!(outcome(&report, "header_only.csv"), ("done", 0, 0, 0, 0));
    assert_eq!(outcome(&report, "wrong_header.csv"), ("damaged", 0, 0, 0, 0));
    let message = file(&report, "wrong_header.csv")["message"].as_str().unwrap();
    assert!(message.contains("lacks the column(s) click"), "{message}");
    assert_eq!(outcome(&report, "other_order.csv"), ("done", 1, 1, 0, 0));
    assert_eq!(outcome(&report, "truncated.csv"), ("done", 10, 9, 0, 1));
    assert_eq!(outcome(&report, "whole.csv.gz"), ("done", 8_000, 8_000, 0, 0));
    let (state, rows, valid, _, invalid) = outcome(&report, "cut.csv.gz");
    assert!(state == "damaged" && rows == valid && invalid == 0 && rows > 1_000 && rows < 20_000);
    let message = file(&report, "cut.csv.gz")["message"].as_str().unwrap();
    assert!(message.starts_with(&format!("behind row {}: cannot be read on", rows + 1)), "{message}");
    assert_eq!(outcome(&report, "bad_byte.csv"), ("done", 10, 9, 0, 1), "one bad byte loses one row");
    assert_eq!(outcome(&report, "deep/folder/objects.ndjson"), ("done", 2, 0, 0, 2));
    assert_eq!(outcome(&report, "array.json"), ("done", 0, 0, 0, 0));
    assert_eq!(report["files"].as_array().unwrap().len(), 13, "notes.txt is no raw file");

    let errors: Vec<(String, String, String)> = etl.errors();
    let of = |name: &str| -> Vec<(&str, &str)> {
        let prefix = format!("file:{name}@");
        let of_file = errors.iter().filter(|(topic, ..)| topic.starts_with(&prefix));
        of_file.map(|(_, row, kind)| (row.as_str(), kind.as_str())).collect()
    };
    assert_eq!(of("truncated.csv"), [("11", "parse")]);
    assert_eq!(of("deep/folder/objects.ndjson"), [("1", "schema"), ("2", "parse")]);
    assert_eq!(of("bad_byte.csv").len(), 1);
    assert_eq!(errors.len(), 4);
    let quoted = etl.row("select site_id, site_domain from realtime.events where event_id = '20'");
    assert_eq!(
        (quoted["site_id"].as_str(), quoted["site_domain"].as_str()),
        (Some("s, or so"), Some("say \"d\""))
    );
    etl.verify();

    // Again: nothing changes, and what is damaged stays told.
    let before = etl.row("select sum(impressions) as n, sum(clicks) as c from realtime.metrics");
    let parts = etl.row("select count(*) as n, sum(rows) as r, max(path) as p from realtime.archive_parts");
    let report = etl.run(1, &[]);
    assert_eq!(report["this_run"]["rows"], 0);
    assert_eq!(outcome(&report, "cut.csv.gz").0, "damaged");
    assert_eq!(outcome(&report, "whole.csv.gz").0, "unchanged");
    assert_eq!(etl.row("select sum(impressions) as n, sum(clicks) as c from realtime.metrics"), before);
    assert_eq!(
        etl.row("select count(*) as n, sum(rows) as r, max(path) as p from realtime.archive_parts"),
        parts
    );
    assert_eq!(etl.errors(), errors);

    // Once more by force: everything is a duplicate, and no error is told under another name.
    let report = etl.run(1, &["--force"]);
    assert_eq!(
        (&report["this_run"]["valid"], report["this_run"]["duplicates"].as_u64() > Some(8_000)),
        (&0.into(), true)
    );
    assert_eq!(etl.errors(), errors);
    etl.verify();
}

#[test]
fn a_file_that_grows_is_gone_on_with() {
    let etl = Etl::new();
    let whole = csv(0..100);
    // The end of the first half lies within a row, right behind a cell: no whole event.
    let half = whole[..whole.len() / 2].rfind("\n").unwrap() + 20;
    etl.write("a.csv", &whole[..half]);
    etl.write("b.csv", csv(200..210).trim_end());
    etl.write("c.csv.gz", gzip(csv(300..310).as_bytes()));
    let first = etl.run(0, &[]);
    let (_, rows, valid, _, invalid) = outcome(&first, "a.csv");
    assert_eq!((rows, invalid), (valid + 1, 1), "the row that is cut off is in error");
    etl.write("a.csv", &whole);
    etl.write("b.csv", csv(200..220));
    let mut longer = gzip(csv(300..310).as_bytes());
    longer.extend(gzip(format!("{}\n", row("310")).as_bytes()));
    etl.write("c.csv.gz", longer);
    let second = etl.run(0, &[]);
    assert_eq!(file(&second, "a.csv")["because"], "grown");
    assert_eq!(outcome(&second, "a.csv"), ("done", 100 - valid, 100 - valid, 0, 0));
    assert_eq!(outcome(&second, "b.csv"), ("done", 10, 10, 0, 0), "a last row without a line end is whole");
    assert_eq!(outcome(&second, "c.csv.gz"), ("done", 1, 1, 0, 0));
    assert_eq!(etl.row("select count(*) as n from realtime.events")["n"], 131);
    etl.verify();
}

#[test]
fn a_file_that_is_replaced_is_another_file() {
    let etl = Etl::new();
    etl.write("a.csv", csv(0..10) + "bad\n");
    assert_eq!(outcome(&etl.run(0, &[]), "a.csv"), ("done", 11, 10, 0, 1));
    etl.write("a.csv", csv(5..15) + "worse\n");
    let report = etl.run(0, &[]);
    assert_eq!(file(&report, "a.csv")["because"], "replaced");
    assert_eq!(outcome(&report, "a.csv"), ("done", 11, 5, 5, 1));
    let errors = etl.errors();
    assert_eq!(errors.len(), 2, "one row of two contents is two rows: {errors:?}");
    assert_eq!((errors[0].1.as_str(), errors[1].1.as_str()), ("12", "12"));
    assert_eq!(etl.row("select sum(valid) as n from realtime.files")["n"], 15);
    etl.verify();
    // The former content comes back: all of it is known.
    etl.write("a.csv", csv(0..10) + "bad\n");
    assert_eq!(etl.run(0, &[])["this_run"]["valid"], 0);
    assert_eq!(etl.errors(), errors);
    etl.verify();
}

#[test]
fn a_thousand_small_files_are_a_few_parts() {
    let etl = Etl::new();
    for number in 0..1_000 {
        etl.write(&format!("{number:04}.csv"), csv(number * 10..number * 10 + 12));
    }
    let report = etl.run(0, &[]);
    assert_eq!(
        (&report["this_run"]["valid"], &report["this_run"]["duplicates"]),
        (&10_002.into(), &1_998.into())
    );
    assert_eq!(report["archive"]["parts"], 1);
    let report = etl.run(0, &[]);
    assert_eq!(report["this_run"]["rows"], 0);
    assert_eq!(etl.row("select count(*) as n from ops.ingest_files where state = 'done'")["n"], 1_000);
    // A file a day: small parts of one day are merged.
    for number in 0..10 {
        etl.write("new.csv", csv(20_000 + number..20_001 + number));
        etl.run(0, &[]);
    }
    let parts = etl.row("select count(*) as n, sum(rows) as r from realtime.archive_parts");
    assert!(parts["n"].as_u64().unwrap() < 8 && parts["r"] == 10_012, "{parts}");
    etl.verify();
}

#[test]
fn a_dry_run_changes_nothing() {
    let etl = Etl::new();
    etl.write("2014-10-21.csv", csv(0..10) + "bad\n");
    etl.write("2014-10-22.csv", csv(20..30));
    let report = etl.run(0, &["--dry-run"]);
    assert_eq!(outcome(&report, "2014-10-21.csv"), ("done", 11, 10, 0, 1));
    assert_eq!(etl.row("select count(*) as n from realtime.files")["n"], 0);
    assert_eq!(etl.errors(), []);
    assert!(!etl.folder.join("data/processed").exists());
    let report = etl.run(0, &["--date", "2014-10-22"]);
    assert_eq!(report["files"].as_array().unwrap().len(), 1);
    assert_eq!(outcome(&report, "2014-10-22.csv").2, 10);
    let words = etl.folder.fail(2, &["etl", "--date", "yesterday"]);
    assert!(words.contains("is not a date like 2014-10-21"), "{words}");
}

#[test]
fn a_folder_without_read_rights_is_told_and_the_others_are_read() {
    let etl = Etl::new();
    etl.write("open.csv", csv(0..10));
    etl.write("shut/x.csv", csv(10..20));
    let shut = etl.folder.join("data/raw/shut");
    let chmod = |mode: &str| assert!(Command::new("chmod").arg(mode).arg(&shut).status().unwrap().success());
    chmod("000");
    // Rights mean nothing to root: then it is done as nobody.
    let is_root = std::fs::read_dir(&shut).is_ok();
    let output = match is_root {
        false => etl.folder.adpipe(&["etl", "--json"]).output().unwrap(),
        true => {
            let binary = etl.folder.join("adpipe");
            std::fs::copy(ADPIPE, &binary).unwrap();
            let owned = Command::new("chown").args(["-R", "65534:65534"]).arg(etl.folder.path()).status();
            assert!(owned.unwrap().success());
            Command::new("setpriv")
                .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
                .arg(&binary)
                .current_dir(etl.folder.path())
                .args(["--data", "data", "etl", "--json"])
                .output()
                .unwrap()
        }
    };
    chmod("755");
    assert_eq!(output.status.code(), Some(1), "{}", shown(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(outcome(&report, "open.csv"), ("done", 10, 10, 0, 0));
    let shut = report["files"].as_array().unwrap().iter().find(|file| file["state"] == "unreadable").unwrap();
    assert!(shut["message"].as_str().unwrap().contains("ermission denied"), "{shut}");
}

#[test]
fn what_came_by_stream_is_archived_and_leaves_the_hot_window() {
    let etl = Etl::new();
    let account = etl.folder.generate(
        "events.csv",
        &[
            "--rows",
            "30000",
            "--start",
            "2014-10-21",
            "--end",
            "2014-10-25",
            "--format",
            "csv",
            "--seed",
            "3",
        ],
    );
    etl.folder.run(&["ingest", "--wait", "events.csv"]);
    let report = etl.run(0, &[]);
    assert_eq!(report["archive"]["from_stream"], account["valid"]);
    let left = report["hot"]["out"].as_u64().unwrap();
    assert!(left > 20_000 && left < 23_500, "three of four days: {left}");
    let hot = etl.row("select count(*) as n, min(event_hour) as first from realtime.events");
    assert_eq!(
        (&hot["n"], hot["first"].as_str().unwrap() >= "2014-10-23 23"),
        (&(30_000 - left).into(), true)
    );
    etl.verify();

    // Again by stream and by file: nothing is new.
    etl.folder.run(&["ingest", "--wait", "events.csv"]);
    assert_eq!(etl.row("select sum(duplicates) as n from realtime.commits")["n"], 30_000);
    etl.write("events.csv", std::fs::read(etl.folder.join("events.csv")).unwrap());
    assert_eq!(outcome(&etl.run(0, &[]), "events.csv"), ("done", 30_000, 0, 30_000, 0));
    // A late one of an hour that is archived and gone: counted once, archived at the next run.
    std::fs::write(etl.folder.join("late.csv"), csv([1])).unwrap();
    for duplicates in [30_000, 30_001] {
        etl.folder.run(&["ingest", "--wait", "late.csv"]);
        assert_eq!(etl.row("select sum(duplicates) as n from realtime.commits")["n"], duplicates);
    }
    etl.verify();
    let report = etl.run(0, &[]);
    assert_eq!((&report["archive"]["from_stream"], &report["hot"]["out"]), (&1.into(), &1.into()));
    etl.folder.run(&["ingest", "--wait", "late.csv"]);
    assert_eq!(etl.row("select sum(duplicates) as n from realtime.commits")["n"], 30_002);
    etl.verify();
}

#[test]
fn file_and_stream_at_once_count_each_event_once() {
    let etl = Etl::new();
    etl.folder.generate(
        "events.csv",
        &[
            "--rows",
            "200000",
            "--start",
            "2014-10-21",
            "--end",
            "2014-10-22",
            "--format",
            "csv",
            "--seed",
            "5",
        ],
    );
    std::fs::copy(etl.folder.join("events.csv"), etl.folder.join("data/raw/events.csv")).unwrap();
    let mut up = etl.folder.adpipe(&["up"]);
    up.env("ADPIPE_STREAM__BATCH_RECORDS", "3000");
    let up = Running::start(up);
    let mut ingest = etl.folder.adpipe(&["ingest", "events.csv"]).stdout(Stdio::null()).spawn().unwrap();
    eventually("the stream works", Duration::from_secs(30), || {
        etl.row("select count(*) as n from realtime.commits")["n"].as_u64() > Some(2)
    });
    let report = etl.run(0, &[]);
    assert!(ingest.wait().unwrap().success());
    eventually("all of the log is counted", Duration::from_secs(60), || {
        etl.row("select coalesce(sum(records), 0) as n from realtime.commits")["n"] == 200_000
    });
    let streamed = etl.row("select sum(valid) as n from realtime.commits")["n"].as_u64().unwrap();
    let from_file = report["this_run"]["valid"].as_u64().unwrap();
    assert_eq!(streamed + from_file, 200_000);
    assert!(
        streamed > 0 && from_file > 0,
        "{streamed} streamed, {from_file} from the file: they did not meet"
    );
    drop(up);
    etl.verify();
}
