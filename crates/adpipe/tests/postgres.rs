//! The pipeline on PostgreSQL: the same figures as embedded, whatever is killed whenever.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use adpipe_log::sqlite::SqliteLog;
use adpipe_metrics::Metrics;
use adpipe_runtime::Shutdown;
use adpipe_stream::StreamConfig;
use adpipe_stream::backlog::lag;
use adpipe_testkit::pgbouncer::PgBouncer;
use adpipe_testkit::postgres::Postgres;
use adpipe_testkit::{Dice, eventually, seed};
use adpipe_warehouse::postgres::{PostgresSettings, PostgresWarehouse};
use common::{ADPIPE, Folder, Running, adpipe_in, printed, shown};

/// What is killed in the chaos test, all in all.
const KILLS: u32 = 12;

const ACCOUNT: &str = "select sum(records) as records, sum(valid) as valid, sum(clicks) as clicks,
    sum(duplicates) as duplicates, sum(parse) as parse, sum(schema) as schema,
    sum(validation) as validation, sum(future) as future from realtime.commits";

/// A process that is killed with -9 when it goes out of scope, by a failing test too.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An embedded log in a folder, a warehouse wherever the URL says.
struct Pipeline<'f> {
    folder: &'f Folder,
    log: &'static str,
    warehouse: String,
}

impl Pipeline<'_> {
    fn adpipe(&self, arguments: &[&str]) -> Command {
        let mut command = adpipe_in(self.folder.path());
        command
            .env("ADPIPE_LOG__URL", format!("sqlite:{}", self.log))
            .env("ADPIPE_WAREHOUSE__URL", &self.warehouse)
            .args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> String {
        printed(self.adpipe(arguments))
    }

    fn csv(&self, sql: &str) -> String {
        self.run(&["sql", "--format", "csv", sql])
    }

    fn account(&self) -> serde_json::Value {
        let rows: serde_json::Value = serde_json::from_str(&self.run(&["sql", "--json", ACCOUNT])).unwrap();
        rows[0].clone()
    }
}

#[test]
fn both_back_ends_give_the_same_rows() {
    let Some(server) = Postgres::shared("both_back_ends_give_the_same_rows") else { return };
    let folder = Folder::new();
    let embedded = Pipeline { folder: &folder, log: "embedded", warehouse: "sqlite:embedded".to_owned() };
    let production = Pipeline { folder: &folder, log: "production", warehouse: server.new_database() };
    let made = folder.generate(
        "events.ndjson",
        &["--rows", "40000", "--seed", "11", "--bad", "0.02", "--duplicates", "0.03"],
    );
    for pipeline in [&embedded, &production] {
        pipeline.run(&["ingest", "--wait", "events.ndjson"]);
        assert_eq!(pipeline.account(), made);
        assert!(pipeline.run(&["verify", "--deep"]).contains("zero residue"));
    }
    for sql in [
        "select event_hour, event_id, event_time, click, banner_pos, device_type, device_conn_type, site_id, \
         site_domain, site_category, app_id, app_domain, app_category, device_id, device_ip, device_model, \
         c1, c14, c15, c16, c17, c18, c19, c20, c21 from realtime.events order by event_hour, event_id",
        "select * from realtime.metrics order by 1, 2, 3, 4, 5, 6",
        "select * from realtime.metrics_hourly order by 1, 2, 3, 4, 5, 6",
        "select * from realtime.metrics_5m order by 1, 2, 3, 4, 5, 6",
        "select topic, partition, next_offset from realtime.offsets order by 1, 2",
    ] {
        let (ours, theirs) = (embedded.csv(sql), production.csv(sql));
        assert!(ours.lines().count() > 1, "{sql}");
        let different = ours.lines().zip(theirs.lines()).find(|(ours, theirs)| ours != theirs);
        assert!(ours == theirs, "{sql}: {different:?}");
    }
    // The same again changes nothing.
    production.run(&["ingest", "--wait", "events.ndjson"]);
    assert_eq!(production.account()["valid"], made["valid"]);
    production.run(&["verify"]);
}

#[test]
fn the_console_reads_from_postgresql() {
    let Some(server) = Postgres::shared("the_console_reads_from_postgresql") else { return };
    let folder = Folder::new();
    let pipeline = Pipeline { folder: &folder, log: "log", warehouse: server.new_database() };
    folder.generate("events.ndjson", &["--rows", "5000", "--seed", "3"]);
    pipeline.run(&["ingest", "--wait", "events.ndjson"]);
    let mut up = Running::start(pipeline.adpipe(&["up"]));
    for path in ["/", "/healthz", "/readyz", "/metrics"] {
        let (status, answer) = up.request("GET", path, b"");
        assert_eq!(status, 200, "{path}: {answer}");
    }
    up.signal("TERM");
    assert!(up.child.wait().unwrap().success());
    let doctor = pipeline.run(&["doctor"]);
    assert!(doctor.contains("PostgreSQL 1") && doctor.contains("can be written"), "{doctor}");
}

#[test]
fn two_processors_of_the_same_partitions_count_once() {
    let Some(server) = Postgres::shared("two_processors") else { return };
    let folder = Folder::new();
    let pipeline = Pipeline { folder: &folder, log: "log", warehouse: server.new_database() };
    let made = folder.generate("events.ndjson", &["--rows", "60000", "--seed", "5", "--duplicates", "0.05"]);
    pipeline.run(&["ingest", "events.ndjson"]);
    let stop = Shutdown::new();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let (stop, folder, url) = (&stop, &folder, &pipeline.warehouse);
            scope.spawn(move || {
                let log = SqliteLog::open(&folder.join("log")).unwrap();
                let settings = PostgresSettings::from_url(url).unwrap();
                let warehouse = PostgresWarehouse::open(settings).unwrap();
                // Many small batches: many chances to meet.
                let config = StreamConfig { batch_records: 1_000, ..StreamConfig::default() };
                let metrics = Metrics::new("test").unwrap();
                adpipe_stream::processor::run(&config, &log, &warehouse, &metrics, stop).unwrap();
            });
        }
        let log = SqliteLog::open(&folder.join("log")).unwrap();
        let settings = PostgresSettings::from_url(&pipeline.warehouse).unwrap();
        let warehouse = PostgresWarehouse::open(settings).unwrap();
        eventually("everything is committed", || {
            lag(&log, &warehouse).unwrap().iter().all(|partition| partition.records == 0)
        });
        stop.trigger();
    });
    assert_eq!(pipeline.account(), made);
    pipeline.run(&["verify"]);
}

#[test]
fn kills_of_processor_and_server_change_no_sum() {
    let seed = seed();
    let mut dice = Dice(seed);
    let Some(server) = Postgres::start("kills_of_processor_and_server") else { return };
    let folder = Folder::new();
    let pipeline = Pipeline { folder: &folder, log: "log", warehouse: server.new_database() };
    let made = folder.generate(
        "events.csv",
        &["--rows", "400000", "--seed", "7", "--bad", "0.01", "--duplicates", "0.02", "--format", "csv"],
    );
    pipeline.run(&["ingest", "events.csv"]);
    let start_up = || {
        let mut command = pipeline.adpipe(&["up"]);
        // Small batches, so that the work lasts for all the kills.
        command.env("ADPIPE_STREAM__BATCH_RECORDS", "4000");
        // The harder setting: the server forgets its newest commits.
        command.env("ADPIPE_WAREHOUSE__SYNCHRONOUS_COMMIT", "false");
        Killed(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    };
    let mut up = start_up();
    let mut kills_midway = 0;
    for _ in 0..KILLS {
        // Chance says how long it works.
        std::thread::sleep(Duration::from_millis(50 + dice.below(250)));
        match dice.below(3) {
            0 => {
                drop(up);
                up = start_up();
            }
            1 => {
                server.stop_immediately();
                server.start_again();
            }
            _ => {
                server.kill();
                server.start_again();
            }
        }
        kills_midway += u32::from(pipeline.account()["records"] != made["records"]);
        // A processor that starts while the server is away ends with a message.
        if up.0.try_wait().unwrap().is_some() {
            up = start_up();
        }
    }
    assert!(kills_midway >= KILLS / 3, "seed {seed}: only {kills_midway} kills met any work");
    eventually("everything is committed", || {
        if up.0.try_wait().unwrap().is_some() {
            up = start_up();
        }
        pipeline.account()["records"] == made["records"]
    });
    drop(up);
    assert_eq!(pipeline.account(), made, "seed {seed}");
    let verdict = pipeline.run(&["verify"]);
    assert!(verdict.contains("zero residue"), "seed {seed}: {verdict}");
}

#[test]
fn passwords_are_never_shown() {
    let folder = Folder::new();
    let url = "postgres://ann:s3cret@127.0.0.1:1/x";
    let pipeline = Pipeline { folder: &folder, log: "log", warehouse: url.to_owned() };
    for arguments in
        [&["config", "show"][..], &["config", "show", "--json"], &["doctor"], &["up"], &["verify"]]
    {
        let output = pipeline.adpipe(arguments).output().unwrap();
        let said = shown(&output);
        assert!(!said.contains("s3cret") && said.contains("127.0.0.1:1"), "{arguments:?}: {said}");
    }
    std::fs::write(folder.join("adpipe.toml"), format!("[warehouse]\nurl = \"{url}\"\n")).unwrap();
    let output = Command::new(ADPIPE).current_dir(folder.path()).args(["config", "show"]).output().unwrap();
    let said = shown(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("adpipe.toml:2:8: a password") && !said.contains("s3cret"), "{said}");
}

/// What adpipe says of a warehouse that is not fit for it: at the start of a role, in a command that
/// only reads, and in `adpipe doctor`.
fn assert_refused(folder: &Folder, warehouse: &str, reason: &str, advice: &str) {
    let pipeline = Pipeline { folder, log: "refused", warehouse: warehouse.to_owned() };
    for arguments in [&["run", "stream"][..], &["up"], &["doctor"]] {
        let output = pipeline.adpipe(arguments).output().unwrap();
        let words = shown(&output);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {words}");
        assert!(words.contains(reason) && words.contains(advice), "{arguments:?}: {words}");
    }
}

#[test]
fn a_pooler_of_transactions_is_named_at_the_start_and_by_doctor() {
    let test = "a_pooler_of_transactions";
    let Some(server) = Postgres::shared(test) else { return };
    let Some(pooler) = PgBouncer::start(test, &server, "transaction") else { return };
    let folder = Folder::new();
    let url = pooler.url(&server.new_database());
    assert_refused(&folder, &url, "shares sessions between clients", "pool_mode = session");
    drop(pooler);

    let Some(pooler) = PgBouncer::start(test, &server, "session") else { return };
    let url = pooler.url(&server.new_database());
    let pipeline = Pipeline { folder: &folder, log: "accepted", warehouse: url };
    folder.generate("events.ndjson", &["--rows", "2000", "--seed", "6"]);
    pipeline.run(&["ingest", "--wait", "events.ndjson"]);
    assert_eq!(pipeline.account()["valid"], 2_000);
    pipeline.run(&["verify"]);
}

#[test]
fn another_encoding_is_named_at_the_start_and_by_doctor() {
    let Some(server) = Postgres::shared("another_encoding") else { return };
    server.psql("postgres", "create database latin encoding 'LATIN1' template template0");
    let advice = "createdb -E UTF8 -T template0";
    assert_refused(&Folder::new(), &server.url("latin"), "encoding is LATIN1", advice);
}

#[test]
fn a_standby_is_named_at_the_start_and_by_doctor() {
    let Some(server) = Postgres::start("a_standby_at_the_start") else { return };
    let folder = Folder::new();
    let pipeline = Pipeline { folder: &folder, log: "standby", warehouse: server.new_database() };
    folder.generate("events.ndjson", &["--rows", "500", "--seed", "7"]);
    pipeline.run(&["ingest", "--wait", "events.ndjson"]);
    server.restart_as_standby();
    assert_refused(
        &folder,
        &pipeline.warehouse,
        "this server is a standby and only reads",
        "name the primary",
    );
    // Reading continues.
    assert_eq!(pipeline.csv("select count(*) as n from realtime.events").trim(), "n\n500");
    let console = Running::start(pipeline.adpipe(&["run", "console"]));
    assert_eq!(console.request("GET", "/readyz", b"").0, 200);
}
