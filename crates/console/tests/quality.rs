//! The page of the data's quality, with results that the built-in runner found on real data.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use adpipe_event::Millis;
use adpipe_generate::{Config, Generator};
use adpipe_testkit::postgres::Postgres;
use adpipe_transform::{Command, Project, ProjectFiles, RunOptions, RunResults, Target};
use adpipe_warehouse::postgres::{PostgresSettings, PostgresWarehouse};
use adpipe_warehouse::{Schema, Warehouse, WarehouseRead};
use common::{Harness, config, docs_page, script};
use serde_json::{Value, json};

const NOT_NULL: &str = "not_null_device_types_device_type_name";

fn transform(warehouse: &dyn Warehouse, command: Command) -> RunResults {
    let target = Target::new(warehouse.dialect());
    let project = Project::load(&ProjectFiles::embedded(), &target, "").unwrap();
    let options = RunOptions { command, select: Vec::new(), exclude: Vec::new() };
    let results =
        adpipe_transform::run(warehouse, &project, &target, &options, &|| false, &|_, _, _, _| {}).unwrap();
    adpipe_transform::history::keep(warehouse, &results).unwrap();
    results
}

/// Events of three days, enough for no hour to be empty, which one of the tests would tell of.
fn whole_days() -> Vec<u8> {
    let at = |time: &str| Millis::parse_sql(time).unwrap().0;
    let (start_ms, end_ms) = (at("2014-10-21 00:00:00"), at("2014-10-24 00:00:00"));
    let config = Config { rows: Some(10_000), start_ms, end_ms, ..Config::default() };
    let mut bytes = Vec::new();
    Generator::new(config).unwrap().write_all(&mut bytes).unwrap();
    bytes
}

fn quality(harness: &Harness) -> Value {
    let answer = harness.get("/api/quality");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn tests(quality: &Value) -> &[Value] {
    quality["tests"].as_array().unwrap()
}

fn statuses(test: &Value) -> Vec<&str> {
    test["runs"].as_array().unwrap().iter().map(|run| run["status"].as_str().unwrap()).collect()
}

fn rows(harness: &Harness, test: &Value) -> Value {
    harness.get(&format!("/api/quality/failures?test={}", test["id"].as_str().unwrap())).json()
}

/// A fault is planted, found, mended and found to be gone.
fn story(harness: &Harness, warehouse: &dyn Warehouse) {
    let empty = quality(harness);
    assert_eq!(tests(&empty).len(), 0);
    for source in empty["freshness"].as_array().unwrap() {
        assert_eq!((&source["state"], &source["newest_commit"]), (&json!("empty"), &json!(null)));
    }

    assert_eq!(harness.post(&[], &whole_days()).status, 202);
    harness.process_into(warehouse);
    let before = Millis::now().0;
    let built = transform(warehouse, Command::Build);
    let tested = built.results.iter().filter(|result| result.kind.ends_with("test")).count();
    let good = quality(harness);
    assert_eq!(tests(&good).len(), tested);
    assert!(tested > 20, "{tested}");
    let not_null = tests(&good).iter().find(|test| test["name"] == NOT_NULL).unwrap();
    assert_eq!((statuses(not_null), &not_null["open_rows"]), (vec!["pass"], &json!(0)));
    assert_eq!(
        (&not_null["attached"], &not_null["column"], &not_null["severity"], &not_null["engine"]),
        (&json!("seed.adpipe.device_types"), &json!("device_type_name"), &json!("error"), &json!("builtin"))
    );
    let ran_at = not_null["runs"][0]["at"].as_i64().unwrap();
    assert!((before - 1..=Millis::now().0).contains(&ran_at), "{before} {ran_at}");
    assert_eq!(rows(harness, not_null), json!({"rows": [], "is_complete": true}));
    let bad_before = tests(&good).iter().filter(|test| statuses(test) != ["pass"]).count();
    assert_eq!(bad_before, 0, "{:?}", &tests(&good)[0]);

    let sources = good["freshness"].as_array().unwrap();
    let names: Vec<&str> = sources.iter().map(|source| source["table"].as_str().unwrap()).collect();
    assert_eq!(names, ["realtime.events", "realtime.metrics", "realtime.metrics_hourly"]);
    assert_eq!((&sources[0]["state"], &sources[0]["judged"]), (&json!("pass"), &json!("committed")));
    let committed = sources[0]["newest_commit"].as_i64().unwrap();
    assert!(committed <= before && before - committed < 600_000, "{committed} {before}");
    let newest = |source: &Value| source["newest_event"].as_i64().unwrap();
    assert_eq!(Millis(newest(&sources[1])).floor_hour().0, newest(&sources[2]));
    assert_eq!(newest(&sources[0]), newest(&sources[2]));
    for source in &sources[1..] {
        let is_old = good["at"].as_i64().unwrap() - newest(source) > 86_400_000;
        assert_eq!(source["state"], if is_old { "warn" } else { "pass" }, "{source}");
    }

    script(
        warehouse,
        Schema::Analytics,
        "update analytics.device_types set device_type_name = null where device_type = 1",
    );
    transform(warehouse, Command::Test);
    transform(warehouse, Command::Test);
    let bad = quality(harness);
    // What needs somebody comes first.
    let first = &tests(&bad)[0];
    assert_eq!((&first["name"], statuses(first)), (&json!(NOT_NULL), vec!["pass", "fail", "fail"]));
    assert_eq!((&first["open_rows"], &first["runs"][2]["failures"]), (&json!(1), &json!(1)));
    assert_eq!(statuses(&tests(&bad)[1]), ["pass"; 3]);
    let found = rows(harness, first);
    let row = &found["rows"][0];
    assert_eq!((found["rows"].as_array().unwrap().len(), &row["resolved_at"]), (1, &json!(null)));
    let kept: Value = serde_json::from_str(row["row"].as_str().unwrap()).unwrap();
    assert_eq!((&kept["device_type"], &kept["device_type_name"]), (&json!(1), &json!(null)));
    let (first_seen, last_seen) = (row["first_seen"].as_i64().unwrap(), row["last_seen"].as_i64().unwrap());
    assert!(ran_at < first_seen && first_seen < last_seen, "{ran_at} {first_seen} {last_seen}");

    script(
        warehouse,
        Schema::Analytics,
        "update analytics.device_types set device_type_name = 'mended' where device_type = 1",
    );
    for _ in 0..20 {
        transform(warehouse, Command::Test);
    }
    let mended = quality(harness);
    let not_null = tests(&mended).iter().find(|test| test["name"] == NOT_NULL).unwrap();
    // Only the last twenty are shown.
    assert_eq!(statuses(not_null), ["pass"; 20]);
    assert_eq!((&not_null["open_rows"], &not_null["all_rows"]), (&json!(0), &json!(1)));
    let row = rows(harness, not_null)["rows"][0].clone();
    assert!(row["resolved_at"].as_i64().unwrap() > last_seen && row["last_seen"] == last_seen, "{row}");

    let docs = harness.get("/quality/docs");
    assert_eq!((docs.status, docs.header("cache-control")), (200, Some("no-store")));
    assert!(docs.text().contains("mart_daily_ctr") && docs.text().contains("<svg class=\"lineage\""));
    assert!(!docs.text().contains("<script"));
    assert!(docs.header("content-security-policy").unwrap().contains("default-src 'none'"));

    // A test that is no longer in the project leaves the list a month later.
    script(
        warehouse,
        Schema::Ops,
        "update ops.data_tests set started_at = '2020-01-01 00:00:00' where name = 'no_missing_hours' and run_id in \
         (select run_id from ops.data_tests where name = 'no_missing_hours' order by started_at limit 1); \
         delete from ops.data_tests where name = 'no_missing_hours' and started_at > '2020-01-02 00:00:00'",
    );
    assert_eq!(tests(&quality(harness)).len(), tested - 1);
}

#[test]
fn the_story_of_a_fault_is_told_on_sqlite() {
    let harness = Harness::start(config());
    let warehouse = Arc::clone(&harness.warehouse);
    story(&harness, warehouse.as_ref());
}

#[test]
fn the_story_of_a_fault_is_told_on_postgres() {
    let Some(server) = Postgres::shared("the_story_of_a_fault_is_told_on_postgres") else { return };
    let settings = PostgresSettings::from_url(&server.new_database()).unwrap();
    let warehouse: Arc<dyn Warehouse> = Arc::new(PostgresWarehouse::open(settings).unwrap());
    let harness = Harness::start_with(config(), |services| {
        services.warehouse = Arc::clone(&warehouse);
        services.docs_page = docs_page(Arc::clone(&warehouse));
    });
    story(&harness, warehouse.as_ref());
}

#[test]
fn a_test_that_was_removed_does_not_fail_for_ever() {
    let known: Arc<Mutex<Option<BTreeSet<String>>>> = Arc::default();
    let harness = Harness::start_with(config(), |services| {
        let known = Arc::clone(&known);
        services.project_tests = Arc::new(move || known.lock().unwrap().clone());
    });
    transform(harness.warehouse.as_ref(), Command::Build);
    let ids = |quality: &Value| -> BTreeSet<String> {
        tests(quality).iter().map(|test| test["id"].as_str().unwrap().to_owned()).collect()
    };
    let all = ids(&quality(&harness));
    let project = Project::load(&ProjectFiles::embedded(), &Target::new(harness.warehouse.dialect()), "");
    assert_eq!(all, project.unwrap().test_ids(), "while nobody knows the project, every test is shown");
    let mut left = all.clone();
    let gone = left.pop_first().unwrap();
    script(
        harness.warehouse.as_ref(),
        Schema::Ops,
        &format!("update ops.data_tests set status = 'fail' where test_id = '{gone}'"),
    );
    *known.lock().unwrap() = Some(left.clone());
    assert_eq!(ids(&quality(&harness)), left);
}

#[test]
fn the_page_speaks_both_languages_and_says_what_to_do_first() {
    let harness = Harness::start(config());
    let english = harness.get("/quality?lang=en").text();
    for part in
        ["<html lang=\"en\">", "No test has run yet", "<pre>adpipe transform build</pre>", "/quality/docs"]
    {
        assert!(english.contains(part), "{part}");
    }
    let korean = harness.get("/quality?lang=ko").text();
    assert!(korean.contains("<html lang=\"ko\">") && korean.contains("아직 실행된 테스트가 없습니다"));
    for page in ["/?lang=en", "/dlq?lang=en", "/quality?lang=en"] {
        assert!(harness.get(page).text().contains("Data quality</a>"), "{page}");
    }
    for (file, media_type) in [("quality.js", "text/javascript"), ("quality.css", "text/css")] {
        let answer = harness.get(&format!("/static/{file}"));
        assert!(answer.status == 200 && answer.header("content-type").unwrap().starts_with(media_type));
    }
}

#[test]
fn what_cannot_be_read_is_said() {
    let harness = Harness::start_with(config(), |services| {
        services.docs_page = Arc::new(|| Err("models/a.sql:3: no such model".to_owned()));
    });
    let docs = harness.get("/quality/docs");
    assert_eq!((docs.status, docs.error().as_str()), (503, "models/a.sql:3: no such model"));
    assert_eq!(harness.get("/api/quality/failures").status, 422);
    let unknown = harness.get("/api/quality/failures?test=test.adpipe.none");
    assert_eq!(unknown.json(), json!({"rows": [], "is_complete": true}));
    assert_eq!(harness.send("POST", "/api/quality", &[], b"").status, 405);
    script(harness.warehouse.as_ref(), Schema::Ops, "alter table ops.data_tests rename to mislaid");
    let answer = harness.get("/api/quality");
    assert_eq!(answer.status, 503);
    assert!(answer.error().contains("data_tests"), "{}", answer.error());
}
