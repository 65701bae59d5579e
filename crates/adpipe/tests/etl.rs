//! `adpipe etl` on files as they are in the world.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;
#[path = "common/raw_files.rs"]
mod raw_files;

use std::process::Command;

use adpipe_event::Millis;
use adpipe_testkit::eventually;
use common::{ADPIPE, shown};
use raw_files::{Etl, HEADER, csv, file, gzip, outcome, row};
use serde_json::Value;

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
    assert!(message.starts_with(&format!("after row {}: cannot be read further", rows + 1)), "{message}");
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
    let made = |folder: &str| -> Vec<_> {
        let entries = std::fs::read_dir(etl.folder.join(folder)).unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect()
    };
    assert_eq!(made("data"), ["raw"], "no log, no warehouse, no archive");
    let report = etl.run(0, &["--date", "2014-10-22"]);
    assert_eq!(report["files"].as_array().unwrap().len(), 1);
    assert_eq!(outcome(&report, "2014-10-22.csv").2, 10);
    let dry = etl.run(0, &["--dry-run"]);
    assert_eq!(outcome(&dry, "2014-10-21.csv"), ("done", 11, 10, 0, 1));
    assert_eq!(etl.row("select count(*) as n from realtime.files")["n"], 1);
    assert_eq!(etl.errors(), []);
    let passed_over = &report["passed_over"];
    assert_eq!(
        (passed_over.as_array().unwrap().len(), &passed_over[0]["file"]),
        (1, &"2014-10-21.csv".into())
    );
    assert!(passed_over[0]["reason"].as_str().unwrap().contains("2014-10-22"), "{passed_over}");
    let words = etl.folder.run(&["etl", "--date", "2014-10-22"]);
    assert!(words.contains("passed over: 2014-10-21.csv: its name does not contain the date"), "{words}");
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
    let output = if is_root {
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
    } else {
        etl.folder.adpipe(&["etl", "--json"]).output().unwrap()
    };
    chmod("755");
    assert_eq!(output.status.code(), Some(1), "{}", shown(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(outcome(&report, "open.csv"), ("done", 10, 10, 0, 0));
    let shut = report["files"].as_array().unwrap().iter().find(|file| file["state"] == "unreadable").unwrap();
    assert!(shut["message"].as_str().unwrap().contains("ermission denied"), "{shut}");
}

#[test]
fn what_is_in_the_future_is_decided_alike_when_a_run_goes_on() {
    let etl = Etl::new();
    etl.write("first.csv", csv(0..1));
    etl.run(0, &[]);
    let database = rusqlite::Connection::open(etl.folder.join("data/realtime.db")).unwrap();
    let refuse =
        "create trigger refuse before insert on archive_parts begin select raise(abort, 'no room'); end";
    database.execute_batch(refuse).unwrap();
    // Further ahead than max_future now, and no longer in a few seconds.
    let limit = Millis::now().0 + 3_600_000 + 4_000;
    let soon = row("2").replace("14102105", &(Millis(limit).to_string().replace(' ', "T") + "Z"));
    etl.write("soon.csv", format!("{HEADER}\n{}\n{soon}\n", row("1")));
    // The error is in its topic, the row not in the account.
    etl.folder.fail(1, &["etl"]);
    assert_eq!(etl.errors().len(), 1);
    let begun = etl.row("select state, position from realtime.files where path like '%soon.csv'");
    assert_eq!((begun["state"].as_str(), begun["position"].as_u64()), (Some("reading"), Some(0)));
    database.execute_batch("drop trigger refuse").unwrap();
    drop(database);

    eventually("it is no longer in the future", || Millis::now().0 > limit - 3_600_000);
    let report = etl.run(0, &[]);
    assert_eq!(outcome(&report, "soon.csv"), ("done", 2, 1, 0, 1), "as it was decided before");
    etl.verify();
    // What the file has grown by is judged by the time of this reading.
    let more = std::fs::read_to_string(etl.folder.join("data/raw/soon.csv")).unwrap();
    let now = soon.replacen("2,", "3,", 1);
    etl.write("soon.csv", format!("{more}{now}\n"));
    assert_eq!(outcome(&etl.run(0, &[]), "soon.csv"), ("done", 1, 1, 0, 0));
    etl.verify();
}

#[cfg(not(feature = "s3"))]
#[test]
fn an_object_store_needs_a_build_with_it() {
    let folder = common::Folder::new();
    let mut command = Command::new(ADPIPE);
    command.current_dir(folder.path()).arg("etl").env("ADPIPE_ARCHIVE__URL", "s3://ads/x");
    let output = command.output().unwrap();
    let words = shown(&output);
    assert!(output.status.code() == Some(2) && words.contains("build it with `--features s3`"), "{words}");
}
