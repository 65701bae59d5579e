//! `adpipe etl` on files that change: grown, replaced, cut off.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;
#[path = "common/raw_files.rs"]
mod raw_files;

use adpipe_testkit::eventually;
use raw_files::{Etl, csv, file, gzip, outcome, row};
use serde_json::Value;

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
fn a_last_row_that_errs_again_is_one_row_in_error() {
    let etl = Etl::new();
    let whole = csv(0..10);
    etl.write("a.csv", format!("{whole}bad"));
    assert_eq!(outcome(&etl.run(0, &[]), "a.csv"), ("done", 11, 10, 0, 1));
    // It continues, and is still not an event; then it ends; then there is more.
    let total = "select records, valid, parse + schema + validation as invalid from realtime.files";
    for (rest, records, valid) in [("bad,worse", 11, 10), ("bad,worse\n", 11, 10)] {
        etl.write("a.csv", format!("{whole}{rest}"));
        etl.run(0, &[]);
        let row = etl.row(total);
        assert_eq!(
            (row["records"].as_u64(), row["valid"].as_u64(), row["invalid"].as_u64()),
            (Some(records), Some(valid), Some(1)),
            "{rest:?}"
        );
    }
    etl.write("a.csv", format!("{whole}bad,worse\n{}", row("77")));
    etl.run(0, &[]);
    assert_eq!(etl.row(total)["records"], 12);
    assert_eq!(etl.errors().len(), 1);
    // One that was cut off and is whole now was an event all along.
    etl.write("b.csv", &csv(100..110)[..csv(100..110).len() - 30]);
    assert_eq!(outcome(&etl.run(0, &[]), "b.csv"), ("done", 10, 9, 0, 1));
    etl.write("b.csv", csv(100..110));
    assert_eq!(outcome(&etl.run(0, &[]), "b.csv"), ("done", 1, 1, 0, 0));
    let row =
        etl.row("select records, valid, parse + schema as invalid from realtime.files where path = 'b.csv'");
    assert_eq!((&row["records"], &row["valid"], &row["invalid"]), (&10.into(), &10.into(), &0.into()));
    etl.verify();
}

#[test]
fn verify_misses_an_error_that_is_gone_from_the_queue() {
    let etl = Etl::new();
    etl.write("a.csv", csv(0..10) + "bad\nworse\n");
    etl.run(0, &[]);
    let check = || -> (bool, String) {
        let output = etl.folder.adpipe(&["verify", "--json"]).output().unwrap();
        let verdict: Value = serde_json::from_slice(&output.stdout).unwrap();
        let checks = verdict["checks"].as_array().unwrap();
        let check =
            checks.iter().find(|check| check["check"].as_str().unwrap().contains("of a file")).unwrap();
        (check["holds"].as_bool().unwrap(), check["detail"].as_str().unwrap().to_owned())
    };
    assert_eq!(check(), (true, "2 errors; 2 are still in ad_events_error".to_owned()));
    let up = common::Running::start(etl.folder.adpipe(&["up"]));
    eventually("the queue has them", || etl.row("select count(*) as n from errors.dlq_errors")["n"] == 2);
    assert_eq!(check(), (true, "2 errors".to_owned()));
    drop(up);
    let errors = rusqlite::Connection::open(etl.folder.join("data/errors.db")).unwrap();
    assert_eq!(errors.execute("delete from dlq_errors where record_offset = 12", []).unwrap(), 1);
    drop(errors);
    let (holds, detail) = check();
    assert!(!holds && detail.contains("a.csv") && detail.contains("2 rows are invalid"), "{detail}");
}
