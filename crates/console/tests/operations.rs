//! The page of operations: alerts, silences, processes and charts, on real tables.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::sync::Arc;

use adpipe_event::Millis;
use adpipe_generate::Format;
use adpipe_monitor::rules::{BUILT_IN, Rules};
use adpipe_testkit::eventually_eq;
use adpipe_testkit::postgres::Postgres;
use adpipe_testkit::raw_http::{Answer, head};
use adpipe_warehouse::postgres::{PostgresSettings, PostgresWarehouse};
use adpipe_warehouse::{Schema, Warehouse, query_table};
use common::{Harness, add_alerts, config, events, script, token};
use serde_json::{Value, json};

fn operations(harness: &Harness, language: &str) -> Value {
    let answer = harness.get(&format!("/api/operations?lang={language}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn post(harness: &Harness, path: &str, body: &Value) -> Answer {
    let token = token(harness, "/operations");
    let headers = [("X-CSRF-Token", token.as_str()), ("X-Actor", "%EA%B9%80")];
    harness.send("POST", path, &headers, body.to_string().as_bytes())
}

fn firing(harness: &Harness, language: &str) -> Value {
    harness.get(&format!("/api/operations/firing?lang={language}")).json()
}

/// Answers are shared for some seconds.
fn await_firing(harness: &Harness, count: usize) {
    eventually_eq("alerts fire", &count.into(), || firing(harness, "en")["count"].clone());
}

/// What the first page says of the alerts about its tiles.
fn limits(harness: &Harness) -> BTreeMap<String, Value> {
    let mut stream = harness.connect();
    stream.write_all(format!("{}\r\n", head("GET", "/live", &[])).as_bytes()).unwrap();
    let snapshot = BufReader::new(stream)
        .lines()
        .map(Result::unwrap)
        .find_map(|line| line.strip_prefix("data: ").map(|json| serde_json::from_str::<Value>(json).unwrap()))
        .unwrap();
    let limits = snapshot["limits"].as_array().unwrap().iter().cloned();
    let by_signal = |mut limit: Value| {
        let signal = limit.as_object_mut().unwrap().remove("signal").unwrap();
        (signal.as_str().unwrap().to_owned(), limit)
    };
    limits.map(by_signal).collect()
}

#[test]
fn the_first_page_has_the_thresholds_of_the_table() {
    let table = BUILT_IN.replace("above = 5.0", "above = 7.5").replace("above = 0.01\n", "above = 0.02\n");
    assert_ne!(table, BUILT_IN);
    let rules = Rules::parse(&table, Path::new("alerts.toml")).unwrap();
    let harness = Harness::start_with(config(), |services| services.rules = Arc::new(rules));
    let limits = limits(&harness);
    assert_eq!(
        (&limits["latency"]["threshold"], &limits["error_share"]["threshold"]),
        (&json!(7.5), &json!(0.02))
    );
    // There is no other threshold: neither in the script nor in the texts.
    let page = harness.get("/").text() + &harness.get("/static/overview.js").text();
    for written in ["above 5 s", "above 1 %", "5_000;", "0.01;"] {
        assert!(!page.contains(written), "{written}");
    }
}

fn story(harness: &Harness, warehouse: &dyn Warehouse) {
    let empty = operations(harness, "en");
    assert_eq!(empty["monitor"], json!({"is_at_work": false, "newest_reading": null}));
    for list in ["alerts", "silences", "history", "processes"] {
        assert_eq!(empty[list], json!([]), "{list}");
    }
    let rules = Rules::built_in().unwrap();
    assert_eq!(empty["rules"].as_array().unwrap().len(), rules.0.len());
    assert!(empty["rules"].as_array().unwrap().iter().all(|rule| rule["state"].is_null()));
    assert_eq!(firing(harness, "ko"), json!({"count": 0, "summaries": [], "names": []}));

    let now = Millis::now();
    add_alerts(warehouse, now);
    let found = operations(harness, "en");
    let ids = |list: &str| -> Vec<String> {
        let alerts = found[list].as_array().unwrap().iter();
        alerts.map(|alert| alert["id"].as_str().unwrap().to_owned()).collect()
    };
    // What needs somebody most comes first; somebody is on one of the critical ones already.
    assert_eq!(ids("alerts"), ["critical", "warning", "taken", "pending"]);
    let limits = limits(harness);
    assert_eq!(
        limits["latency"],
        json!({"rule": "LatencyHigh", "threshold": 5.0, "window": 300, "alert": null})
    );
    assert_eq!(limits["error_share"]["alert"], json!({"state": "firing", "value": 0.0342, "at": now.0}));
    assert_eq!(ids("history"), ["over"]);
    let first = &found["alerts"][0];
    assert_eq!(first["summary"], "3.42 % of the records are invalid, more than 1 %");
    assert_eq!(
        (&first["value"], &first["worst"], &first["threshold"]),
        (&json!("3.42 %"), &json!("5 %"), &json!("1 %"))
    );
    assert_eq!(first["context"]["causes"][0]["fingerprint"], "f00d");
    assert_eq!(first["firing_since"].as_i64().unwrap(), now.0 - 600_000);
    let korean = operations(harness, "ko");
    assert_eq!(korean["alerts"][0]["summary"], "레코드의 3.42%가 무효입니다(기준 1%)");
    let rule = |name: &str| {
        found["rules"].as_array().unwrap().iter().find(|rule| rule["name"] == name).unwrap().clone()
    };
    assert_eq!(rule("ErrorRateHigh")["state"], "firing");
    assert_eq!(
        (&rule("LagGrowing")["state"], &rule("LatencyHigh")["state"]),
        (&json!("pending"), &json!(null))
    );
    // Nobody has taken the first on; a warning and a pending one are no emergency.
    await_firing(harness, 1);

    // Without the page's token nothing is done.
    let acknowledge = "/api/operations/alerts/critical/acknowledge";
    let refused = harness.send("POST", acknowledge, &[("X-CSRF-Token", "guessed")], b"{}");
    assert_eq!(
        (refused.status, operations(harness, "en")["alerts"][0]["acknowledged_at"].is_null()),
        (403, true)
    );
    let taken = post(harness, acknowledge, &json!({"note": " on it "}));
    assert_eq!((taken.status, taken.json()), (200, json!({"rule": "ErrorRateHigh"})));
    let mine = operations(harness, "en");
    let mine = mine["alerts"].as_array().unwrap().iter().find(|alert| alert["id"] == "critical").unwrap();
    assert_eq!((&mine["acknowledged_by"], &mine["note"]), (&json!("console:김"), &json!("on it")));
    assert!(mine["acknowledged_at"].as_i64().unwrap() >= now.0);
    await_firing(harness, 0);
    for (id, status) in [("over", 409), ("nothing", 409)] {
        assert_eq!(
            post(harness, &format!("/api/operations/alerts/{id}/acknowledge"), &json!({})).status,
            status
        );
    }
    assert_eq!(post(harness, acknowledge, &json!({"note": "x".repeat(501)})).status, 422);

    silence_story(harness);
    process_story(harness, warehouse, now);
    chart_story(harness, warehouse, now);
}

fn silence_story(harness: &Harness) {
    let silences = "/api/operations/silences";
    let order = json!({"rule": "LagGrowing", "labels": {}, "minutes": 30, "comment": "a backfill"});
    let with = |name: &str, value: Value| {
        let mut order = order.clone();
        order[name] = value;
        order
    };
    for wrong in [
        with("comment", json!(" ")),
        with("minutes", json!(0)),
        with("minutes", json!(100_000)),
        with("rule", json!("NoSuchAlert")),
        with("odd", json!(1)),
    ] {
        assert_eq!(post(harness, silences, &wrong).status, 422, "{wrong}");
    }
    assert_eq!(harness.send("POST", silences, &[], order.to_string().as_bytes()).status, 403);
    let made = post(harness, silences, &order);
    assert_eq!(made.status, 200, "{}", made.text());
    let made = made.json();
    assert_eq!((&made["created_by"], &made["comment"]), (&json!("console:김"), &json!("a backfill")));
    assert_eq!(made["ends_at"].as_i64().unwrap() - made["starts_at"].as_i64().unwrap(), 30 * 60_000);
    let silenced = |id: &str| {
        let found = operations(harness, "en");
        let alert =
            found["alerts"].as_array().unwrap().iter().find(|alert| alert["id"] == id).unwrap().clone();
        alert["silenced_until"].clone()
    };
    assert_eq!((silenced("pending"), silenced("critical")), (made["ends_at"].clone(), json!(null)));
    let end = format!("{silences}/{}/end", made["id"].as_str().unwrap());
    assert_eq!(post(harness, &end, &json!({})).status, 200);
    assert_eq!((silenced("pending"), &operations(harness, "en")["silences"]), (json!(null), &json!([])));
    assert_eq!(post(harness, &end, &json!({})).status, 409);
}

fn process_story(harness: &Harness, warehouse: &dyn Warehouse, now: Millis) {
    let (started, then) = (Millis(now.0 - 600_000), Millis(now.0 - 30_000));
    script(
        warehouse,
        Schema::Ops,
        &format!(
            "insert into ops.processes values \
             ('h:1:1', 'h', 1, 'stream dlq', '1.2.3', '{started}', '{now}', null), \
             ('h:2:1', 'h', 2, 'console', '1.2.3', '{started}', '{started}', null); \
             insert into ops.process_samples values \
             ('{then}', 'h:1:1', 10, 1000000, 12, 25, 100), ('{now}', 'h:1:1', 25, 2000000, 13, 20, 100)"
        ),
    );
    let found = operations(harness, "en");
    let [alive, silent] = found["processes"].as_array().unwrap().as_slice() else {
        panic!("{}", found["processes"]);
    };
    assert_eq!(
        (&alive["life"], &alive["roles"], &silent["life"]),
        (&json!("alive"), &json!("stream dlq"), &json!("silent"))
    );
    assert_eq!(
        (&alive["memory_bytes"], &alive["disk_free"], &alive["disk_size"]),
        (&json!(2_000_000), &json!(20), &json!(100))
    );
    // 15 s of one core in 30 s.
    assert_eq!(alive["cpu_percent"], 50.0);
    assert!(!alive["curve"].as_array().unwrap().is_empty());
    assert_eq!(silent["memory_bytes"], json!(null));
}

fn chart_story(harness: &Harness, warehouse: &dyn Warehouse, now: Millis) {
    let charts = |range: &str| {
        let answer = harness.get(&format!("/api/operations/charts?range={range}"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    };
    let chart = |report: &Value, signal: &str| {
        let charts = report["charts"].as_array().unwrap().iter();
        charts.clone().find(|chart| chart["signal"] == signal).unwrap().clone()
    };
    let empty = charts("24h");
    assert_eq!(chart(&empty, "throughput")["series"], json!([]));
    assert_eq!(empty["slack"], false, "nobody set it up");
    let threshold = &chart(&empty, "throughput")["thresholds"][0];
    assert_eq!(
        (&threshold["rule"], &threshold["side"], &threshold["value"]),
        (&json!("ThroughputLow"), &json!("below"), &json!(1000.0))
    );
    assert_eq!(chart(&empty, "error_share")["thresholds"][0]["value"], 0.01);

    let at = |minutes: i64| Millis(now.0 - minutes * 60_000);
    script(
        warehouse,
        Schema::Ops,
        &format!(
            "insert into ops.readings values ('{}', 'throughput', '{{}}', 1), ('{}', 'throughput', '{{}}', 2), \
             ('{now}', 'throughput', '{{}}', 3), ('{now}', 'disk_free', '{{\"host\":\"h\"}}', 0.5)",
            at(90),
            at(30)
        ),
    );
    let values = |range: &str| -> Vec<f64> {
        let points = chart(&charts(range), "throughput")["series"][0]["points"].clone();
        points.as_array().unwrap().iter().map(|point| point[1].as_f64().unwrap()).collect()
    };
    assert_eq!(
        (values("1h"), values("6h"), values("24h")),
        (vec![2.0, 3.0], vec![1.0, 2.0, 3.0], vec![1.0, 2.0, 3.0])
    );
    assert_eq!(chart(&charts("1h"), "disk_free")["series"][0]["labels"], json!({"host": "h"}));
    assert_eq!(harness.get("/api/operations/charts?range=7d").status, 422);
    let monitor = operations(harness, "en")["monitor"].clone();
    assert_eq!(monitor, json!({"is_at_work": true, "newest_reading": now.0}));

    // Every record that was committed is somewhere on the map, also those that come later.
    for _ in 0..2 {
        assert_eq!(harness.post(&[], &events(3_000, Format::Ndjson)).status, 202);
        harness.process_into(warehouse);
        let counted = query_table(warehouse, "select sum(records) from realtime.commits", &[]).unwrap().rows
            [0][0]
            .clone();
        let counted = counted.as_i64().or_else(|| counted.as_f64().map(|sum| sum as i64)).unwrap();
        for range in ["1h", "24h", "6h"] {
            let map = charts(range)["heat_map"].clone();
            assert_eq!((&map["is_complete"], map["edges_ms"][8].as_i64()), (&json!(true), Some(5_000)));
            let columns = map["columns"].as_array().unwrap().iter();
            let cells = columns.flat_map(|column| column[1].as_array().unwrap().clone());
            assert_eq!(cells.map(|count| count.as_i64().unwrap()).sum::<i64>(), counted, "{range}");
        }
    }
}

#[test]
fn operations_are_told_and_acted_on_on_sqlite() {
    let harness = Harness::start(config());
    let warehouse = Arc::clone(&harness.warehouse);
    story(&harness, warehouse.as_ref());
}

#[test]
fn operations_are_told_and_acted_on_on_postgres() {
    let Some(server) = Postgres::shared("operations_are_told_and_acted_on_on_postgres") else { return };
    let settings = PostgresSettings::from_url(&server.new_database()).unwrap();
    let warehouse: Arc<dyn Warehouse> = Arc::new(PostgresWarehouse::open(settings).unwrap());
    let harness = Harness::start_with(config(), |services| services.warehouse = Arc::clone(&warehouse));
    story(&harness, warehouse.as_ref());
}

#[test]
fn the_page_speaks_both_languages() {
    let harness = Harness::start(config());
    let english = harness.get("/operations?lang=en").text();
    for part in [
        "<html lang=\"en\">",
        "<h1>Operations</h1>",
        "Acknowledge",
        "data-range=\"24h\" aria-current=\"true\"",
    ] {
        assert!(english.contains(part), "{part}");
    }
    let korean = harness.get("/operations?lang=ko").text();
    assert!(korean.contains("<html lang=\"ko\">") && korean.contains("<h1>운영</h1>"));
    for page in ["/", "/dlq", "/quality", "/dags", "/files"] {
        assert!(harness.get(page).text().contains("id=\"firing\""), "{page}");
    }
    assert_eq!(harness.send("POST", "/api/operations", &[], b"").status, 405);
    let runbook = harness.get("/runbook").text();
    assert!(runbook.contains("<h2 id=\"errorratehigh\">") && !runbook.contains("<script"));
}
