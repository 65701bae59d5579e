//! The page of files: reports of what batch read, and the archive's list.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Instant;

use adpipe_event::Millis;
use adpipe_generate::Format;
use adpipe_testkit::postgres::Postgres;
use adpipe_warehouse::postgres::{PostgresSettings, PostgresWarehouse};
use adpipe_warehouse::{Schema, Warehouse, query_table};
use common::{Harness, config, events, script};
use serde_json::{Value, json};

const FILES: usize = 10_000;
const PAGE: usize = 25;

/// What the file of this number is.
fn state(number: usize) -> &'static str {
    match number % 10 {
        7 => "damaged",
        8 => "reading",
        9 => "replaced",
        _ => "done",
    }
}

/// Files of one every second, as batch notes them.
fn add_files(warehouse: &dyn Warehouse) {
    for first in (0..FILES).step_by(500) {
        let mut sql = "insert into ops.ingest_files values ".to_owned();
        for number in first..first + 500 {
            let state = state(number);
            let message = if state == "damaged" { "ends at 50%_of it" } else { "" };
            let at = Millis(1_767_225_600_000 + number as i64 * 1_000);
            let comma = if number == first { "" } else { ", " };
            write!(
                sql,
                "{comma}('day-{}/Part-{number:05}.csv', 'c0ffee', 1, 1000, '{state}', '{message}', 100, 90, 9, 6, 4, 2, \
                 '2014-10-21 00:00:00', '2014-10-21 23:59:59', '{at}', '{at}')",
                number % 7
            )
            .unwrap();
        }
        script(warehouse, Schema::Ops, &sql);
    }
}

fn files(harness: &Harness, query: &str) -> Value {
    let answer = harness.get(&format!("/api/files?{query}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn paths(list: &Value) -> Vec<&str> {
    list["files"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap()).collect()
}

fn story(harness: &Harness, warehouse: &dyn Warehouse) {
    let empty = files(harness, "");
    assert_eq!((&empty["files"], &empty["states"], &empty["pages"]), (&json!([]), &json!({}), &json!(1)));

    add_files(warehouse);
    let started = Instant::now();
    let all = files(harness, "");
    println!("a page of {FILES} files took {:?}", started.elapsed());
    assert_eq!((&all["page"], &all["pages"]), (&json!(1), &json!(FILES / PAGE)));
    // The newest first.
    assert_eq!(paths(&all).len(), PAGE);
    assert_eq!(paths(&all)[0], "day-3/Part-09999.csv");
    let newest = &all["files"][0];
    for (name, value) in [
        ("records", json!(100)),
        ("valid", json!(90)),
        ("clicks", json!(9)),
        ("invalid", json!(6)),
        ("duplicates", json!(4)),
        ("float_ids", json!(2)),
        ("bytes", json!(1_000)),
        ("state", json!("replaced")),
        ("error_topic", json!("file:day-3/Part-09999.csv@c0ffee")),
        ("first_event", json!(1_413_849_600_000_i64)),
        ("updated_at", json!(1_767_225_600_000_i64 + 9_999_000)),
    ] {
        assert_eq!(newest[name], value, "{name}");
    }
    let done = &all["states"]["done"];
    assert_eq!(
        (&done["files"], &done["records"], &done["bytes"]),
        (&json!(7_000), &json!(700_000), &json!(7_000_000))
    );

    // Every page has others, the last one the oldest; beyond it there is none.
    let seen: BTreeSet<String> = (1..=FILES / PAGE)
        .step_by(57)
        .flat_map(|page| {
            let page = files(harness, &format!("page={page}"));
            paths(&page).into_iter().map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(seen.len(), (FILES / PAGE).div_ceil(57) * PAGE);
    let last = files(harness, "page=4000");
    assert_eq!(
        (&last["page"], paths(&last).last().copied()),
        (&json!(FILES / PAGE), Some("day-0/Part-00000.csv"))
    );

    let damaged = files(harness, "state=damaged");
    assert_eq!(damaged["pages"], FILES / 10 / PAGE);
    assert!(damaged["files"].as_array().unwrap().iter().all(|file| file["state"] == "damaged"));
    // Sums of the other states stay to be seen.
    assert_eq!(damaged["states"]["done"]["files"], 7_000);
    let found = files(harness, "text=PART-01234");
    assert_eq!((paths(&found), &found["pages"]), (vec!["day-2/Part-01234.csv"], &json!(1)));
    // Signs that mean something to `like` mean themselves.
    assert_eq!(files(harness, "text=50%25_of")["states"]["damaged"]["files"], 1_000);
    assert_eq!(files(harness, "text=50__of")["files"], json!([]));
    assert_eq!(files(harness, "state=done&text=50%25_of")["files"], json!([]));

    script(
        warehouse,
        Schema::Realtime,
        "insert into realtime.files (path, content, reading, size, size_hash, modified, state, message, position, \
         next_row, tail_position, tail_is_event, records, valid, clicks, duplicates, parse, schema, validation, \
         future, sink, float_ids, unknown_fields, first_event, last_event, started_at, updated_at) \
         values ('day-3/Part-09999.csv', 'c0ffee', 1, 1000, 'x', '0', 'replaced', '', 0, 0, \
         -1, 0, 100, 90, 9, 4, 1, 2, 3, 0, 0, 2, 5, '2014-10-21 00:00:00', '2014-10-21 23:59:59', \
         '2026-01-01 00:00:00', '2026-01-01 00:00:00')",
    );
    let report = harness.get("/api/files/report?path=day-3/Part-09999.csv&content=c0ffee&reading=1").json();
    assert_eq!(report["types"], json!(["parse", "schema", "validation", "future", "sink", "archive"]));
    assert_eq!(
        (&report["invalid_by_type"], &report["unknown_fields"], &report["in_queue"]),
        (&json!([1, 2, 3, 0, 0, 0]), &json!(5), &json!([]))
    );
    let unknown = harness.get("/api/files/report?path=none&content=c0ffee&reading=1").json();
    assert_eq!(unknown["invalid_by_type"], json!(null));
    archive_story(harness, warehouse);
}

fn archive_story(harness: &Harness, warehouse: &dyn Warehouse) {
    let archive = || harness.get("/api/archive").json();
    let empty = archive();
    assert_eq!(
        (&empty["days"], &empty["day_count"], &empty["hot"]["hours"]),
        (&json!([]), &json!(0), &json!(0))
    );

    assert_eq!(harness.post(&[], &events(2_000, Format::Ndjson)).status, 202);
    harness.process_into(warehouse);
    let hours = query_table(warehouse, "select distinct event_hour from realtime.events order by 1", &[])
        .unwrap()
        .rows;
    let time = |row: usize| Millis::parse_sql(hours[row][0].as_str().unwrap()).unwrap().0;
    assert!(hours.len() > 2);
    script(
        warehouse,
        Schema::Realtime,
        &format!(
            "insert into realtime.hours values ('{}', 1, 10, 1, 10, null); \
             insert into realtime.archive_parts (path, event_date, first_event, last_event, rows, clicks, bytes, \
             source, created_at) values \
             ('a', '2014-10-21', '2014-10-21 00:00:00', '2014-10-21 01:00:00', 10, 1, 100, 'file', '2026-01-01 00:00:00'), \
             ('b', '2014-10-21', '2014-10-21 00:00:00', '2014-10-21 01:00:00', 20, 2, 200, 'file', '2026-01-01 00:00:00'), \
             ('c', '2014-10-21', '2014-10-21 00:00:00', '2014-10-21 01:00:00', 5, 0, 50, 'merged', '2026-01-01 00:00:00'), \
             ('d', '2014-10-22', '2014-10-22 00:00:00', '2014-10-22 01:00:00', 7, 7, 70, 'stream', '2026-01-01 00:00:00')",
            Millis(time(0))
        ),
    );
    let full = archive();
    assert_eq!(full["sources"], json!(["file", "stream", "merged"]));
    assert_eq!(full["totals"][0], json!({"parts": 2, "rows": 30, "clicks": 3, "bytes": 300}));
    assert_eq!((&full["day_count"], &full["days"][0]["date"]), (&json!(2), &json!("2014-10-22")));
    let day = &full["days"][1]["sums"];
    assert_eq!((&day[0]["rows"], &day[1]["rows"], &day[2]["rows"]), (&json!(30), &json!(0), &json!(5)));
    let hot = &full["hot"];
    assert_eq!((&hot["hours"], &hot["not_archived"]), (&json!(hours.len()), &json!(hours.len() - 1)));
    assert_eq!((&hot["oldest"], &hot["newest"]), (&json!(time(0)), &json!(time(hours.len() - 1))));
    assert_eq!(hot["oldest_not_archived"], time(1));
}

#[test]
fn ten_thousand_files_are_told_on_sqlite() {
    let harness = Harness::start(config());
    let warehouse = Arc::clone(&harness.warehouse);
    story(&harness, warehouse.as_ref());
}

#[test]
fn ten_thousand_files_are_told_on_postgres() {
    let Some(server) = Postgres::shared("ten_thousand_files_are_told_on_postgres") else { return };
    let settings = PostgresSettings::from_url(&server.new_database()).unwrap();
    let warehouse: Arc<dyn Warehouse> = Arc::new(PostgresWarehouse::open(settings).unwrap());
    let harness = Harness::start_with(config(), |services| services.warehouse = Arc::clone(&warehouse));
    story(&harness, warehouse.as_ref());
}

#[test]
fn the_page_speaks_both_languages_and_says_what_to_do_first() {
    let harness = Harness::start(config());
    let english = harness.get("/files?lang=en").text();
    for part in [
        "<html lang=\"en\">",
        "No file has been read yet",
        "<code>adpipe etl</code>",
        "aria-current=\"page\">Files</a>",
    ] {
        assert!(english.contains(part), "{part}");
    }
    let korean = harness.get("/files?lang=ko").text();
    assert!(korean.contains("<html lang=\"ko\">") && korean.contains("아직 읽은 파일이 없습니다"));
    for wrong in [
        "/api/files?state=odd",
        "/api/files?page=0",
        "/api/files?page=x",
        "/api/files/report",
        "/api/files/report?path=a&content=b&reading=x",
    ] {
        assert_eq!(harness.get(wrong).status, 422, "{wrong}");
    }
    let long = format!("/api/files?text={}", "x".repeat(300));
    assert_eq!(harness.get(&long).status, 422);
}
