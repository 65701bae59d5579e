//! A real Airflow by its own processes, metadata on PostgreSQL: its scheduler makes the run of
//! dag_daily_etl that is due, and the asset that it updates starts dag_dbt_run.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use adpipe_testkit::airflow::Airflow;
use adpipe_testkit::postgres::Postgres;
use common::{ADPIPE, Folder, shown};
use serde_json::Value;

/// Airflow needs half a minute to start, on a machine that does much else more.
const LIMIT: Duration = Duration::from_secs(300);

#[test]
fn the_asset_of_the_daily_batch_starts_the_transformations() {
    let test = "the_asset_starts_the_transformations";
    let Some(server) = Postgres::shared(test) else { return };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../airflow").canonicalize().unwrap();
    server.psql("postgres", "create database airflow");
    let (dags, pins) = (root.join("dags"), root.join("requirements.txt"));
    let Some(airflow) = Airflow::start_on_postgres(test, &dags, &pins, &server.url("airflow")) else {
        return;
    };

    // A warehouse with events, and an `adpipe` that keeps account of its calls.
    let folder = Folder::new();
    let warehouse = server.new_database();
    let bin = folder.join("bin");
    std::fs::create_dir(&bin).unwrap();
    let place = folder.path().display();
    let script = format!("#!/bin/sh\ncd {place}\necho \"$*\" >> calls\nexec {ADPIPE} \"$@\"\n");
    std::fs::write(bin.join("adpipe"), script).unwrap();
    std::fs::set_permissions(bin.join("adpipe"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let prepare = |command: &mut Command| {
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .current_dir(folder.path())
            .env_remove("RUST_LOG")
            .env("PATH", format!("{}:{path}", bin.display()))
            .env("ADPIPE_LOG__URL", format!("sqlite:{}", folder.join("data").display()))
            .env("ADPIPE_WAREHOUSE__URL", &warehouse);
    };
    let adpipe = |arguments: &[&str]| {
        let mut command = Command::new(ADPIPE);
        prepare(&mut command);
        let output = command.args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", shown(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    folder.generate("day.ndjson", &["--rows", "5000", "--start", "2026-03-10", "--end", "2026-03-11"]);
    adpipe(&["ingest", "--wait", "day.ndjson"]);

    let mut live = airflow.live(prepare);
    let started = Instant::now();
    let runs = |dag: &str| {
        let table = server.psql("airflow", "select to_regclass('dag_run') is not null");
        assert_eq!(table, "t");
        server.psql(
            "airflow",
            &format!("select run_type || ' ' || state from dag_run where dag_id = '{dag}' order by id"),
        )
    };
    let ended = loop {
        let transformed = runs("dag_dbt_run");
        if transformed.contains("success") || transformed.contains("failed") {
            break transformed;
        }
        live.check();
        let daily = runs("dag_daily_etl");
        assert!(
            started.elapsed() < LIMIT && !daily.contains("failed"),
            "dag_daily_etl: {daily:?}, dag_dbt_run: {transformed:?}\n{}",
            live.logs()
        );
        std::thread::sleep(Duration::from_millis(500));
    };
    println!("{ended:?} after {:.0?}", started.elapsed());
    drop(live);
    assert_eq!(ended, "asset_triggered success");
    assert_eq!(runs("dag_daily_etl"), "scheduled success");
    let calls = std::fs::read_to_string(folder.join("calls")).unwrap();
    let of = |word: &str| calls.lines().filter(|line| line.starts_with(word)).collect::<Vec<_>>();
    assert_eq!(of("etl")[0], "etl --json", "everything new, whatever its date: {calls}");
    assert_eq!(
        of("transform"),
        ["transform build --exclude test_type:data test_type:unit", "transform test", "transform docs"]
    );
    let sql = "select sum(impressions) as n from analytics.mart_daily_ctr";
    let sums: Value = serde_json::from_str(&adpipe(&["sql", "--json", sql])).unwrap();
    assert!(sums[0]["n"].as_f64() == Some(5_000.0), "{sums}");
}
