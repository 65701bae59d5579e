//! One statement of totals: after events have come in every way there is, console, `sql`, marts,
//! Prometheus, daily summary and `verify` show the same figures, and they are those that were sent.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use adpipe_event::Millis;
use adpipe_testkit::eventually;
#[cfg(feature = "kafka")]
use adpipe_testkit::kafka::Kafka;
#[cfg(feature = "kafka")]
use adpipe_testkit::postgres::Postgres;
use common::{Folder, Running, adpipe_in, printed, shown};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(90);

/// A folder, and where log and warehouse are when they are not in it.
struct Mixed {
    folder: Folder,
    servers: Vec<(&'static str, String)>,
}

/// What the product says that it has counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Told {
    valid: u64,
    clicks: u64,
    duplicates: u64,
    invalid: u64,
}

impl Mixed {
    fn new(servers: Vec<(&'static str, String)>) -> Mixed {
        let folder = Folder::new();
        std::fs::create_dir_all(folder.join("data/raw")).unwrap();
        Mixed { folder, servers }
    }

    fn adpipe(&self, arguments: &[&str]) -> Command {
        let mut command = adpipe_in(self.folder.path());
        command.args(arguments).env("ADPIPE_STREAM__MAX_FUTURE", "1s");
        command.envs(self.servers.iter().map(|(key, value)| (key, value)));
        command
    }

    fn run(&self, arguments: &[&str]) -> String {
        printed(self.adpipe(arguments))
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let out = self.run(arguments);
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("adpipe {arguments:?}: {error}: {out}"))
    }

    /// The numbers of a query's first row.
    fn numbers<const N: usize>(&self, columns: [&str; N], rest: &str) -> [u64; N] {
        let named: Vec<String> =
            columns.iter().enumerate().map(|(index, column)| format!("{column} as c{index}")).collect();
        let rows = self.json(&["sql", "--json", &format!("select {} {rest}", named.join(", "))]);
        std::array::from_fn(|index| number(&rows[0][format!("c{index}")]))
    }
}

/// A sum of PostgreSQL's is a decimal number.
fn number(value: &Value) -> u64 {
    value.as_u64().or_else(|| value.as_f64().map(|number| number as u64)).unwrap_or_else(|| panic!("{value}"))
}

fn event(id: &str, click: u32, time: &str) -> String {
    json!({
        "id": id, "click": click, "hour": time, "banner_pos": 1, "device_type": 1, "device_conn_type": 0,
        "site_id": "s", "site_domain": "d", "site_category": "news", "app_id": "a", "app_domain": "ad",
        "app_category": "games", "device_id": "i", "device_ip": "p", "device_model": "m",
    })
    .to_string()
}

/// So many events; every fifth is clicked.
fn events(name: &str, count: usize, hour: &str) -> Vec<String> {
    let one = |index: usize| {
        let time = format!("{hour}:{:02}:{:02}", index % 60, index % 7);
        event(&format!("{name}{index}"), u32::from(index.is_multiple_of(5)), &time)
    };
    (0..count).map(one).collect()
}

/// Sends, ingests, runs and repairs; gives what must have been counted, but for the invalid ones: how
/// often a retry fails until its time has come is chance.
fn load(mixed: &Mixed, up: &Running) -> Told {
    let post = |lines: &[String]| {
        let (status, answer) = up.request("POST", "/v1/events", lines.join("\n").as_bytes());
        assert_eq!(status, 202, "{answer}");
    };
    let committed = |records: u64| {
        eventually("the records are committed", || {
            mixed
                .numbers(["coalesce(sum(records), 0)"], "from realtime.commits where topic = 'ad_events_raw'")
                == [records]
        });
    };
    // HTTP, and all of it again.
    let by_http = events("http", 300, "2014-10-22T05");
    post(&by_http);
    committed(300);
    post(&by_http);
    // Long after their minute.
    post(&events("late", 100, "2014-10-22T04"));
    // In error: three to be repaired, one that is not a record, one whose time has yet to come.
    let soon = Millis(Millis::now().0 + 4_000).to_string().replace(' ', "T");
    let mut bad: Vec<String> =
        (0..3).map(|index| event(&format!("bad{index}"), 7, "2014-10-22T06:00:00")).collect();
    bad.push("not a record".to_owned());
    bad.push(event("soon", 1, &format!("{soon}Z")));
    post(&bad);
    committed(705);

    // Files through the log, some of it for the second time.
    let mut ingested = events("ingest", 200, "2014-10-22T07");
    ingested.extend_from_slice(&by_http[..50]);
    std::fs::write(mixed.folder.join("ingested.ndjson"), ingested.join("\n")).unwrap();
    mixed.run(&["ingest", "--wait", "ingested.ndjson"]);

    // Raw files, with rows that came by HTTP and two in error; and rows of theirs by HTTP.
    let raw = events("raw", 400, "2014-10-22T08");
    let mut rows = raw.clone();
    rows.extend_from_slice(&by_http[100..120]);
    rows.extend((3..5).map(|index| event(&format!("bad{index}"), 9, "2014-10-22T06:00:00")));
    std::fs::write(mixed.folder.join("data/raw/day.ndjson"), rows.join("\n")).unwrap();
    mixed.run(&["etl"]);
    post(&raw[..10]);
    committed(965);

    // Repaired by hand; the other error is tried again by itself.
    let of_click = "from errors.dlq_errors where field = 'click' and status = 'exhausted'";
    eventually("the errors are stored", || mixed.numbers(["count(*)"], of_click) == [5]);
    mixed.run(&["dlq", "edit", "--field", "click", "--set", "click=1", "--yes"]);
    let resolved = "from errors.dlq_errors where status = 'resolved'";
    eventually("six errors are resolved", || mixed.numbers(["count(*)"], resolved) == [6]);
    Told {
        valid: 300 + 100 + 200 + 400 + 5 + 1,
        clicks: 60 + 20 + 40 + 80 + 5 + 1,
        duplicates: 300 + 50 + 20 + 10,
        invalid: 0,
    }
}

fn told_by_totals(totals: &Value) -> Told {
    let of = |key: &str| number(&totals[key]);
    Told { valid: of("valid"), clicks: of("clicks"), duplicates: of("duplicates"), invalid: of("invalid") }
}

/// What the page shows without a word, and what it shows every second.
fn told_by_console(up: &Running) -> [Told; 2] {
    let (status, answer) = up.request("GET", "/api/overview?range=30d", b"");
    assert_eq!(status, 200, "{answer}");
    let overview: Value = serde_json::from_str(&answer).unwrap();
    let mut connection = TcpStream::connect(&up.address).unwrap();
    connection.set_read_timeout(Some(LIMIT)).unwrap();
    write!(connection, "GET /live HTTP/1.1\r\nHost: {}\r\n\r\n", up.address).unwrap();
    let snapshot = BufReader::new(connection)
        .lines()
        .map(Result::unwrap)
        .find_map(|line| line.strip_prefix("data: ").map(|json| serde_json::from_str::<Value>(json).unwrap()))
        .unwrap();
    assert_eq!(snapshot["problems"], json!([]));
    [told_by_totals(&overview["totals"]), told_by_totals(&snapshot["totals"])]
}

fn told_by_prometheus(metrics: &str) -> Option<Told> {
    let of = |series: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(series))?;
        line.trim().parse().ok()
    };
    Some(Told {
        valid: of("adpipe_warehouse_records{outcome=\"valid\"}")?,
        clicks: of("adpipe_warehouse_clicks")?,
        duplicates: of("adpipe_warehouse_records{outcome=\"duplicate\"}")?,
        invalid: of("adpipe_warehouse_records{outcome=\"invalid\"}")?,
    })
}

/// Events, clicks and open errors of the daily summaries of all days that have events.
fn told_by_summaries(mixed: &Mixed) -> ([u64; 2], u64) {
    let rows =
        mixed.json(&["sql", "--json", "select distinct window_start as h from realtime.metrics_hourly"]);
    let days: BTreeSet<String> =
        rows.as_array().unwrap().iter().map(|row| row["h"].as_str().unwrap()[..10].to_owned()).collect();
    let (mut sums, mut open) = ([0, 0], 0);
    for day in &days {
        let summary = mixed.json(&["alerts", "summary", "--date", day, "--json"]);
        let figures = &summary["figures"];
        sums[0] += number(&figures["events"]);
        sums[1] += number(&figures["clicks"]);
        open = number(&summary["dlq"]["open"]);
    }
    (sums, open)
}

fn all_say_the_same(mixed: &Mixed) {
    let up = Running::start(mixed.adpipe(&["up"]));
    let expected = load(mixed, &up);
    mixed.run(&["etl"]);
    // With its tests: the years between these events and the one of today are no missing hours.
    mixed.run(&["transform", "build"]);

    let verdict = mixed.json(&["verify", "--json"]);
    assert_eq!(verdict["holds"], true, "{verdict:#}");
    assert_eq!(verdict["waiting"], 0, "{verdict:#}");
    let told = told_by_totals(&verdict["totals"]);
    assert_eq!(told, Told { invalid: told.invalid, ..expected }, "verify");
    assert!(told.invalid >= 7, "{told:?}");
    let quick = mixed.json(&["verify", "--quick", "--json"]);
    assert_eq!((&quick["holds"], told_by_totals(&quick["totals"])), (&json!(true), told), "verify --quick");

    let account = ["sum(valid)", "sum(clicks)", "sum(duplicates)", "sum(records - valid - duplicates)"];
    let all = "from (select valid, clicks, duplicates, records from realtime.commits
               union all select valid, clicks, duplicates, records from realtime.files) as account";
    let counted = [told.valid, told.clicks];
    assert_eq!(mixed.numbers(account, all), [told.valid, told.clicks, told.duplicates, told.invalid], "sql");
    let figures = ["sum(impressions)", "sum(clicks)"];
    for table in [
        "realtime.metrics_hourly",
        "analytics.mart_daily_ctr",
        "analytics.mart_hourly_ctr",
        "analytics.mart_device_performance",
        "analytics.mart_banner_position",
    ] {
        assert_eq!(mixed.numbers(figures, &format!("from {table}")), counted, "{table}");
    }

    for (by, console) in ["the overview", "the live page"].into_iter().zip(told_by_console(&up)) {
        assert_eq!(console, told, "{by}");
    }
    let mut prometheus = None;
    eventually("Prometheus gets the totals", || {
        let (_, answer) = up.request("GET", "/metrics", b"");
        prometheus = told_by_prometheus(&answer);
        prometheus == Some(told)
    });

    let (summed, open) = told_by_summaries(mixed);
    assert_eq!(summed, counted, "daily summaries");
    let stats = mixed
        .numbers(["count(*)"], "from errors.dlq_errors where status in ('pending', 'retrying', 'exhausted')");
    assert_eq!((open, stats), (1, [1]), "the record that is none stays open");
    drop(up);
    assert!(mixed.run(&["verify", "--deep"]).contains("zero residue"));
}

#[test]
fn embedded() {
    all_say_the_same(&Mixed::new(Vec::new()));
}

#[cfg(feature = "kafka")]
#[test]
fn kafka_and_postgres() {
    let Some(kafka) = Kafka::start("kafka_and_postgres") else { return };
    let Some(postgres) = Postgres::shared("kafka_and_postgres") else { return };
    let mixed = Mixed::new(vec![
        ("ADPIPE_LOG__URL", format!("kafka://{}", kafka.address())),
        ("ADPIPE_WAREHOUSE__URL", postgres.new_database()),
    ]);
    mixed.run(&["doctor", "--fix"]);
    all_say_the_same(&mixed);
}

/// What `--quick` is for: stored sums that do not agree, whatever the events say.
#[test]
fn sums_that_do_not_agree_are_found_quickly() {
    for (harm, words) in [
        ("update commits set clicks = clicks - 1 where clicks > 0", "clicks were recorded, hourly figures"),
        ("delete from events where event_id = 'a7'", "events were recorded, 19 are there"),
        (
            "update metrics_hourly set clicks = clicks - 1 where clicks > 0",
            "clicks were recorded, hourly figures: 3",
        ),
    ] {
        let mixed = Mixed::new(Vec::new());
        std::fs::write(mixed.folder.join("a.ndjson"), events("a", 20, "2014-10-22T08").join("\n")).unwrap();
        mixed.run(&["ingest", "--wait", "a.ndjson"]);
        let told = mixed.run(&["verify", "--quick"]);
        assert!(told.contains("20 records counted (0 of raw files): 20 valid, 0 duplicates, 0 invalid; 4 clicks, CTR 20.00 %"), "{told}");
        assert!(
            told.contains(
                "zero residue in what was checked; not checked: pages and indexes of the files, records"
            ),
            "{told}"
        );
        let changed = rusqlite::Connection::open(mixed.folder.join("data/realtime.db")).unwrap();
        assert!(changed.execute(harm, []).unwrap() >= 1, "{harm}");
        drop(changed);
        let output = mixed.adpipe(&["verify", "--quick"]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", shown(&output));
        assert!(shown(&output).contains("GAP ") && shown(&output).contains(words), "{}", shown(&output));
    }
    let mixed = Mixed::new(Vec::new());
    assert_eq!(mixed.adpipe(&["verify", "--quick", "--deep"]).output().unwrap().status.code(), Some(2));
}

/// Only files have come: the page must not say that there are no events.
#[test]
fn events_of_raw_files_alone_are_events() {
    let mixed = Mixed::new(Vec::new());
    std::fs::write(mixed.folder.join("data/raw/a.ndjson"), events("raw", 20, "2014-10-22T08").join("\n"))
        .unwrap();
    mixed.run(&["etl"]);
    let up = Running::start(mixed.adpipe(&["up"]));
    for console in told_by_console(&up) {
        assert_eq!(console, Told { valid: 20, clicks: 4, duplicates: 0, invalid: 0 });
    }
}
