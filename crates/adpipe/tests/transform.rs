//! `adpipe transform` from outside: the project inside of the binary, history, documentation,
//! refusals, kills, and the real dbt as engine.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use adpipe_testkit::{Dice, eventually, seed};
use common::{Folder, shown};
use rusqlite::Connection;

/// A folder with counted events of the last day.
fn counted(rows: &str) -> Folder {
    let folder = Folder::new();
    folder.generate(
        "events.ndjson",
        &["--rows", rows, "--seed", "5", "--start", "2026-03-01", "--end", "2026-03-03"],
    );
    folder.run(&["ingest", "--wait", "events.ndjson"]);
    folder
}

fn analytics(folder: &Folder) -> Connection {
    let connection = Connection::open(folder.join("data/analytics.db")).unwrap();
    connection.busy_timeout(Duration::from_secs(10)).unwrap();
    connection
}

#[test]
fn the_project_inside_of_the_binary_makes_the_marts() {
    let folder = counted("20000");
    let said = folder.run(&["transform", "build"]);
    assert!(said.contains("mart_daily_ctr") && said.contains("passed") && !said.contains("failed"), "{said}");
    let sums = folder.row(
        "select (select sum(impressions) from analytics.mart_daily_ctr) as daily,
                (select sum(impressions) from analytics.mart_hourly_ctr) as hourly,
                (select sum(impressions) from realtime.metrics_hourly) as source",
    );
    assert_eq!((sums["daily"].as_i64(), sums["hourly"].as_i64()), (Some(20_000), Some(20_000)), "{sums}");

    let results: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.join("data/transform/run_results.json")).unwrap())
            .unwrap();
    let tests =
        results["results"].as_array().unwrap().iter().filter(|result| result["status"] == "pass").count();
    let kept = folder.row("select count(*) as n from ops.data_tests where status = 'pass'");
    assert_eq!(kept["n"].as_u64().unwrap() as usize, tests);
    assert!(tests > 60, "{tests}");
    assert!(folder.join("data/transform/manifest.json").is_file());

    // A second run adds nothing, and a selected one does only what is selected.
    let said = folder.run(&["transform", "run", "--select", "mart_daily_ctr"]);
    assert!(
        said.starts_with("kind") && said.contains("1 made") && !said.contains("mart_hourly_ctr"),
        "{said}"
    );
    let json: serde_json::Value = serde_json::from_str(&folder.run(&[
        "transform",
        "test",
        "--json",
        "--select",
        "tag:seeds",
        "--exclude",
        "banner_positions",
    ]))
    .unwrap();
    let names: Vec<&str> = json["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| result["unique_id"].as_str().unwrap())
        .collect();
    assert!(names.iter().any(|name| name.contains("device_types")), "{names:?}");
    assert!(!names.iter().any(|name| name.contains("unique_banner_positions")), "{names:?}");
}

#[test]
fn failures_have_a_history() {
    let folder = counted("5000");
    folder.run(&["transform", "build"]);
    let break_it = "update device_types set device_type_name = null where device_type = 1";
    analytics(&folder).execute(break_it, []).unwrap();
    let select = ["transform", "test", "--select", "device_types"];
    for _ in 0..2 {
        let output = folder.adpipe(&select).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", shown(&output));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            said.contains("not_null_device_types_device_type_name") && said.contains("1 failed"),
            "{said}"
        );
    }
    let history =
        "select count(*) as n, min(row_data) as row, min(first_seen) < min(last_seen) as seen_again,
                          sum(case when resolved_at is null then 1 else 0 end) as open
                   from ops.data_test_failures";
    let found = folder.row(history);
    assert_eq!(
        (found["n"].as_i64(), found["open"].as_i64(), found["seen_again"].as_i64()),
        (Some(1), Some(1), Some(1)),
        "{found}"
    );
    assert_eq!(found["row"], r#"{"device_type":1,"device_type_name":null}"#);

    let mend_it = "update device_types set device_type_name = 'x' where device_type = 1";
    analytics(&folder).execute(mend_it, []).unwrap();
    folder.run(&select);
    assert_eq!(folder.row(history)["open"].as_i64(), Some(0));
    // The same fault again is a new line; the old one stays as it is.
    analytics(&folder).execute(break_it, []).unwrap();
    assert_eq!(folder.adpipe(&select).output().unwrap().status.code(), Some(1));
    let found = folder.row(history);
    assert_eq!((found["n"].as_i64(), found["open"].as_i64()), (Some(2), Some(1)), "{found}");
}

#[test]
fn the_documentation_is_one_page_that_needs_nothing_else() {
    let folder = counted("3000");
    folder.run(&["transform", "build"]);
    folder.run(&["transform", "docs", "--out", "docs.html"]);
    let page = std::fs::read_to_string(folder.join("docs.html")).unwrap();
    for part in [
        "<svg",
        "id=\"mart_daily_ctr\"",
        "realtime.metrics_hourly",
        "0 bad",
        "prefers-color-scheme: dark",
        "no_missing_hours",
    ] {
        assert!(page.contains(part), "{part} is missing");
    }
    for outside in ["<script", "src=\"http", "href=\"http://cdn", "@import", "<link"] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn what_cannot_be_done_is_said_with_its_place_and_changes_nothing() {
    let folder = counted("1000");
    folder.run(&["transform", "export", "dbt"]);
    std::fs::write(folder.join("dbt/models/marts/mart_bad.sql"), "select 1\n\n{{ run_query('x') }}").unwrap();
    let words = folder.fail(2, &["transform", "build"]);
    assert!(words.contains("models/marts/mart_bad.sql:3: run_query"), "{words}");
    let tables = "select count(*) as n from analytics.sqlite_master where name like 'mart%'";
    assert_eq!(folder.row(tables)["n"].as_i64(), Some(0));
    std::fs::remove_file(folder.join("dbt/models/marts/mart_bad.sql")).unwrap();
    let words = folder.fail(2, &["transform", "run", "--select", "nothing_like_this"]);
    assert!(words.contains("nothing_like_this") && words.contains("tag:"), "{words}");
    let words = folder.fail(2, &["transform", "run", "--vars", "[1]"]);
    assert!(words.contains("--vars"), "{words}");
    let words = folder.fail(1, &["transform", "export", "dbt"]);
    assert!(words.contains("is not empty"), "{words}");
    // A model that the database refuses fails alone; what builds on it is left out.
    std::fs::write(
        folder.join("dbt/models/marts/mart_bad.sql"),
        "select no_such_column from {{ ref('stg_metrics_hourly') }}",
    )
    .unwrap();
    std::fs::write(folder.join("dbt/models/marts/mart_behind.sql"), "select * from {{ ref('mart_bad') }}")
        .unwrap();
    let words = String::from_utf8(folder.adpipe(&["transform", "run"]).output().unwrap().stdout).unwrap();
    assert!(words.contains("device_types has not been built yet: `adpipe transform build`"), "{words}");
    let output = folder.adpipe(&["transform", "build"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("no_such_column") && said.contains("1 could not run, 1 skipped"), "{said}");
    assert!(said.contains("models/marts/mart_bad.sql:1: no such column: no_such_column\n"), "{said}");
    let empty = Folder::new();
    assert!(empty.fail(1, &["transform", "build"]).contains("no data in"));
}

/// What each model of these projects begins with.
const ROWS: &str = "with recursive n (n) as (select 1 union all select n + 1 from n where n < 40000)";

/// A project of tables, in which each row carries the run's number.
fn project_of<'m>(folder: &Folder, tables: impl IntoIterator<Item = &'m str>) {
    write(folder, "dbt_project.yml", "name: slow\nprofile: slow\nmodels:\n  +materialized: table\n");
    for model in tables {
        let sql = format!("{ROWS} select n, {{{{ var('round') }}}} as round from n");
        write(folder, &format!("models/{model}.sql"), &sql);
    }
}

fn write(folder: &Folder, file: &str, text: &str) {
    let path = folder.join("dbt").join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// Models that take long enough to be killed in the middle.
fn slow_project(folder: &Folder) {
    project_of(folder, ["a", "b", "c"]);
    let keyed = "{{ config(materialized='incremental', unique_key='k') }}";
    let sql = format!("{keyed} {ROWS} select n, n % 7 as k, {{{{ var('round') }}}} as round from n");
    write(folder, "models/grown.sql", &sql);
}

/// How many models [`long_project`] has.
const MODELS: u32 = 60;

/// A project of many models that each take a moment: when the first is there, nearly all of the run is
/// still to come, on a fast machine and on a slow one.
fn long_project(folder: &Folder) {
    let names: Vec<String> = (0..MODELS).map(|number| format!("m{number:02}")).collect();
    project_of(folder, names.iter().map(String::as_str));
}

/// How many models of [`long_project`] have been made.
fn models_made(folder: &Folder) -> u32 {
    let made = "select count(*) from sqlite_master where type = 'table' and name glob 'm[0-9][0-9]'";
    analytics(folder).query_row(made, [], |row| row.get(0)).unwrap()
}

#[test]
fn a_kill_leaves_every_model_old_or_new() {
    let seed = seed();
    let folder = counted("500");
    slow_project(&folder);
    let round = |number: i64| {
        let mut command = folder.adpipe(&["transform", "run", "--vars", &format!("{{round: {number}}}")]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let started = Instant::now();
    assert!(round(0).status().unwrap().success());
    let mut whole_run = started.elapsed();
    let states = |connection: &Connection| -> Vec<(i64, i64, i64)> {
        ["a", "b", "c", "grown"]
            .iter()
            .map(|model| {
                let sql = format!("select count(*), min(round), max(round) from {model}");
                connection.query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap()
            })
            .collect()
    };
    let mut dice = Dice(seed);
    let mut cut_short = 0;
    for number in 1..=100 {
        if number > 25 && cut_short >= 8 {
            break;
        }
        let mut child = round(number).spawn().unwrap();
        let patience = whole_run.mul_f64(dice.below(1_000_000) as f64 / 1e6);
        // Readers look all the time: never is a model missing or half.
        let until = Instant::now() + patience;
        let reader = analytics(&folder);
        while Instant::now() < until {
            for (count, first, last) in states(&reader) {
                assert!(
                    count == 40_000 && first == last && last <= number,
                    "seed {seed}: {count} rows, rounds {first} to {last}"
                );
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let after = states(&analytics(&folder));
        for (count, first, last) in &after {
            assert!(*count == 40_000 && first == last && *last <= number, "seed {seed}: {after:?}");
        }
        if after.iter().any(|state| state.2 != number) {
            cut_short += 1;
        } else {
            // A run takes less time than the first one did.
            whole_run = patience;
        }
    }
    assert!(cut_short >= 8, "seed {seed}: only {cut_short} kills met any work");
    assert!(round(99).status().unwrap().success());
    assert!(states(&analytics(&folder)).iter().all(|state| *state == (40_000, 99, 99)));
}

#[test]
fn ctrl_c_ends_it_in_order() {
    let folder = counted("500");
    long_project(&folder);
    let mut command = folder.adpipe(&["transform", "run", "--vars", "{round: 1}"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = child.id().to_string();
    // As soon as anything has been made, the rest is called off.
    eventually("a model is made", || models_made(&folder) > 0);
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let said = shown(&output);
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains("the run was stopped") && said.contains("skipped"), "{said}");
    let made = models_made(&folder);
    assert!(said.contains(&format!("{made} made, {} skipped", MODELS - made)), "{made} made: {said}");
}

#[test]
fn two_at_once_do_not_meet() {
    let folder = counted("500");
    long_project(&folder);
    let mut first = folder.adpipe(&["transform", "run", "--vars", "{round: 1}"]);
    let mut first = first.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    eventually("a model is made", || models_made(&folder) > 0);
    let words = folder.fail(1, &["transform", "run", "--vars", "{round: 2}"]);
    assert!(words.contains("another `adpipe transform` is running"), "{words}");
    assert!(first.wait().unwrap().success());
}

#[test]
fn the_real_dbt_does_it_when_it_is_the_engine() {
    let Some(dbt) = adpipe_testkit::dbt::dbt("the_real_dbt_does_it_when_it_is_the_engine", "sqlite") else {
        return;
    };
    let folder = counted("5000");
    let words = {
        let mut command = folder.adpipe(&["transform", "build"]);
        let output = command.env("ADPIPE_TRANSFORM__ENGINE", "dbt").output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        shown(&output)
    };
    assert!(words.contains("adpipe transform export dbt"), "{words}");
    folder.run(&["transform", "export", "dbt"]);
    let run = |program: &str| {
        let mut command = folder.adpipe(&["transform", "build"]);
        command.env("ADPIPE_TRANSFORM__ENGINE", "dbt").env("ADPIPE_TRANSFORM__DBT", program);
        command.output().unwrap()
    };
    let output = run(dbt.to_str().unwrap());
    assert!(output.status.success(), "{}", shown(&output));
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(log.contains("Completed successfully"), "{log}");
    let kept =
        folder.row("select count(*) as n, min(engine) as engine, min(status) as status from ops.data_tests");
    assert!(
        kept["n"].as_i64().unwrap() > 60 && kept["engine"] == "dbt" && kept["status"] == "pass",
        "{kept}"
    );
    let output = run("/nowhere/dbt");
    assert!(shown(&output).contains("cannot start \"/nowhere/dbt\""), "{}", shown(&output));
}
