//! The daily summary says what the warehouse says, once a day.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use std::path::Path;
use std::sync::Arc;

use adpipe_event::Millis;
use adpipe_monitor::rules::Rules;
use adpipe_notify::config::SlackConfig;
use adpipe_notify::spool::{Outcome, Spool};
use adpipe_notify::summary::{DayFigures, Summary, read, store_due};
use adpipe_testkit::eventually;
use adpipe_testkit::postgres::Postgres;
use adpipe_testkit::slack::Slack;
use adpipe_warehouse::postgres::{PostgresSettings, PostgresWarehouse};
use adpipe_warehouse::sqlite::SqliteWarehouse;
use adpipe_warehouse::{Schema, Warehouse, query_table};
use common::{Running, header};

fn script(warehouse: &dyn Warehouse, schema: Schema, sql: &str) {
    let mut session = warehouse.session(schema).unwrap();
    let mut transaction = session.begin().unwrap();
    transaction.script(sql).unwrap();
    transaction.commit().unwrap();
}

fn config() -> SlackConfig {
    let text =
        "{\"time_zone\": \"Asia/Seoul\", \"daily_summary\": {\"at\": \"09:00\"}, \"group_wait\": \"50ms\"}";
    SlackConfig::parse(text, Path::new("x"), &Rules::built_in().unwrap()).unwrap()
}

fn at(text: &str) -> Millis {
    Millis::parse_sql(text).unwrap()
}

/// 2026-11-24 in Seoul is from 2026-11-23 15:00 to 2026-11-24 15:00 UTC.
fn fill(warehouse: &dyn Warehouse) {
    let mut hours = String::new();
    for (window, impressions, clicks) in [
        ("2026-11-16 15:00:00", 500, 50),
        ("2026-11-17 14:00:00", 500, 51),
        ("2026-11-22 15:00:00", 2_000, 300),
        ("2026-11-23 14:00:00", 2_000, 300),
        ("2026-11-23 15:00:00", 1_000, 100),
        ("2026-11-24 03:00:00", 3_000, 600),
        ("2026-11-24 14:00:00", 1_000, 200),
        ("2026-11-24 15:00:00", 9_999, 9_999),
    ] {
        // Of two banner positions.
        for (banner, part) in [(0, 1), (1, 0)] {
            let (impressions, clicks) = match part {
                1 => (impressions / 4, clicks / 4),
                _ => (impressions - impressions / 4, clicks - clicks / 4),
            };
            hours.push_str(&format!(
                "insert into realtime.metrics_hourly values ('{window}', {banner}, 1, 0, 'site', 'app', {impressions}, {clicks});\n"
            ));
        }
    }
    script(warehouse, Schema::Realtime, &hours);
    let mut errors = String::new();
    for (fingerprint, kind, pending, exhausted) in [("a", "validation", 5, 2), ("b", "schema", 1, 0)] {
        errors.push_str(&format!(
            "insert into errors.groups (fingerprint, error_type, stage, message, sample_message, sample_id, first_seen_at, last_seen_at, pending, exhausted)
             values ('{fingerprint}', '{kind}', 'stream', 'm', 'm', '00000000-0000-7000-8000-000000000001', '2026-11-23 15:00:00', '2026-11-24 01:00:00', {pending}, {exhausted});
             insert into errors.group_hours values ('{fingerprint}', '2026-11-23 14:00:00', 100), ('{fingerprint}', '2026-11-23 15:00:00', 3), ('{fingerprint}', '2026-11-24 14:00:00', 4), ('{fingerprint}', '2026-11-24 15:00:00', 100);\n"
        ));
    }
    for (id, status, resolved_at) in [
        ("1", "resolved", "2026-11-23 14:59:59"),
        ("2", "resolved", "2026-11-23 15:00:00"),
        ("3", "resolved", "2026-11-24 14:59:59"),
        ("4", "discarded", "2026-11-24 10:00:00"),
        ("5", "discarded", "2026-11-24 15:00:00"),
    ] {
        let blob = match warehouse.dialect() {
            adpipe_warehouse::Dialect::Sqlite => "x'00'",
            adpipe_warehouse::Dialect::Postgres => "'\\x00'",
        };
        errors.push_str(&format!(
            "insert into errors.dlq_errors (error_id, topic, partition, record_offset, stage, raw_payload, headers, error_type, error_message, fingerprint, status, max_retries, first_failed_at, last_failed_at, resolved_at, resolution)
             values ('00000000-0000-7000-8000-00000000000{id}', 'ad_events_raw', 0, {id}, 'stream', {blob}, '[]', 'validation', 'm', 'a', '{status}', 3, '2026-11-20 00:00:00', '2026-11-20 00:00:00', '{resolved_at}', 'applied');\n"
        ));
    }
    script(warehouse, Schema::Errors, &errors);
    let mut ops = String::new();
    for (dag, run, state, finished) in [
        ("dag_daily_etl", "1", "success", "'2026-11-23 20:00:00'"),
        ("dag_dbt_run", "1", "failed", "'2026-11-23 21:00:00'"),
        ("dag_dlq_retry", "1", "success", "'2026-11-24 14:59:00'"),
        ("dag_dlq_retry", "2", "success", "'2026-11-24 15:01:00'"),
        ("dag_dlq_retry", "3", "running", "null"),
    ] {
        ops.push_str(&format!(
            "insert into ops.dag_runs (dag_id, run_id, kind, interval_start, interval_end, state, attempt, cause, message, queued_at, finished_at)
             values ('{dag}', '{run}', 'manual', '2026-11-23 00:00:00', '2026-11-23 00:00:00', '{state}', 1, '', '', '2026-11-23 00:00:00', {finished});\n"
        ));
    }
    for (run, test, status, started) in [
        ("1", "t1", "fail", "2026-11-23 22:00:00"),
        ("2", "t1", "pass", "2026-11-24 02:00:00"),
        ("2", "t2", "fail", "2026-11-24 02:00:00"),
        ("3", "t2", "pass", "2026-11-24 16:00:00"),
        ("2", "t3", "warn", "2026-11-24 02:00:00"),
    ] {
        ops.push_str(&format!(
            "insert into ops.data_tests (run_id, test_id, name, kind, severity, status, failures, engine, started_at, seconds)
             values ('{run}', '{test}', 'name_{test}', 'test', 'error', '{status}', 0, 'builtin', '{started}', 1);\n"
        ));
    }
    for (moment, seconds) in [
        ("2026-11-23 14:59:45", 99.0),
        ("2026-11-23 15:00:00", 1.0),
        ("2026-11-23 15:30:00", 3.0),
        ("2026-11-24 05:00:00", 4.5),
        ("2026-11-24 05:15:00", 2.5),
        ("2026-11-24 15:00:00", 99.0),
    ] {
        ops.push_str(&format!(
            "insert into ops.readings (at, signal, labels, value) values ('{moment}', 'latency', '{{}}', {seconds});\n"
        ));
    }
    for (id, rule, fired, resolved) in [
        ("1", "DagFailed", "'2026-11-23 21:00:00'", "'2026-11-23 23:00:00'"),
        ("2", "DagFailed", "'2026-11-24 01:00:00'", "null"),
        ("3", "LagGrowing", "'2026-11-23 10:00:00'", "'2026-11-23 11:00:00'"),
        ("4", "LagGrowing", "null", "null"),
    ] {
        let state = match (fired, resolved) {
            ("null", _) => "pending",
            (_, "null") => "firing",
            _ => "resolved",
        };
        ops.push_str(&format!(
            "insert into ops.alerts (alert_id, rule, labels, severity, state, value, worst, threshold, context, pending_since, firing_since, resolved_at, updated_at, note, announced)
             values ('{id}', '{rule}', '{{\"n\":\"{id}\"}}', 'critical', '{state}', 1, 1, 0, 'null', '2026-11-23 09:00:00', {fired}, {resolved}, '2026-11-23 09:00:00', '', '');\n"
        ));
    }
    script(warehouse, Schema::Ops, &ops);
}

fn sqlite(folder: &Path) -> Arc<dyn Warehouse> {
    Arc::new(SqliteWarehouse::open(folder).unwrap())
}

fn look_at(warehouse: &dyn Warehouse) -> Summary {
    fill(warehouse);
    let config = config();
    let summary = read(warehouse, "2026-11-24".parse().unwrap(), &config.time_zone).unwrap();
    assert_eq!(
        (summary.from.as_str(), summary.until.as_str()),
        ("2026-11-23 15:00:00", "2026-11-24 15:00:00")
    );
    assert_eq!(summary.day_figures, DayFigures { events: 5_000, clicks: 900 });
    assert_eq!(summary.day_before, DayFigures { events: 4_000, clicks: 600 });
    assert_eq!(summary.week_before, DayFigures { events: 1_000, clicks: 101 });
    // The same by the plain statement of anybody.
    let by_hand = query_table(
        warehouse,
        "select sum(impressions), sum(clicks) from realtime.metrics_hourly
         where window_start >= '2026-11-23 15:00:00' and window_start < '2026-11-24 15:00:00'",
        &[],
    );
    let by_hand: Vec<String> = by_hand.unwrap().rows[0].iter().map(ToString::to_string).collect();
    assert_eq!(by_hand, ["5000", "900"]);
    let json = serde_json::to_value(&summary).unwrap();
    assert_eq!(json["errors_by_type"], serde_json::json!({"validation": 7, "schema": 7}));
    assert_eq!(json["dlq"], serde_json::json!({"open": 8, "exhausted": 2, "resolved": 2, "discarded": 1}));
    assert_eq!(json["dag_runs"], serde_json::json!({"success": 2, "failed": 1}));
    assert_eq!(summary.failed_dags, ["dag_dbt_run"]);
    assert_eq!(json["data_tests"], serde_json::json!({"pass": 1, "fail": 1, "warn": 1}));
    assert_eq!(summary.failing_tests, ["name_t2"]);
    assert_eq!(json["slowest_hour"], serde_json::json!({"hour": "14:00", "p95_seconds": 3.5}));
    assert_eq!(json["peak_hour"], serde_json::json!({"hour": "12:00", "events": 3000}));
    assert_eq!(json["alerts"], serde_json::json!([{"rule": "DagFailed", "times": 2, "firing": 1}]));
    assert_eq!(summary.hours.len(), 24);
    assert_eq!((summary.hours[0].hour.as_str(), summary.hours[23].figures.events), ("00:00", 1_000));
    assert_eq!(summary.days.len(), 7);
    assert_eq!((summary.days[5].day.as_str(), summary.days[5].figures.events), ("2026-11-23", 4_000));
    summary
}

#[test]
fn it_says_what_the_warehouse_says_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    look_at(sqlite(folder.path()).as_ref());
}

#[test]
fn it_says_the_same_on_postgresql() {
    let Some(server) = Postgres::shared("it_says_the_same_on_postgresql") else { return };
    let settings = PostgresSettings::from_url(&server.new_database()).unwrap();
    let postgres = look_at(&PostgresWarehouse::open(settings).unwrap());
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(postgres, look_at(sqlite(folder.path()).as_ref()));
}

#[test]
fn it_comes_once_a_day_over_restarts_and_processes() {
    let folder = tempfile::tempdir().unwrap();
    let warehouse = sqlite(&folder.path().join("warehouse"));
    let (a, b) = (folder.path().join("a"), folder.path().join("b"));
    let spools = [Spool::open(&a).unwrap(), Spool::open(&b).unwrap()];
    let config = config();
    let store = |index: usize, now: &str| {
        store_due(&spools[index], warehouse.as_ref(), &config, &format!("owner {index}"), at(now)).unwrap()
    };
    // The first start ever tells nothing of the days before it.
    assert!(!store(0, "2026-11-24 05:00:00"));
    // 09:00 in Seoul is midnight.
    assert!(!store(0, "2026-11-24 23:59:59") && !store(1, "2026-11-24 23:59:59"));
    assert!(store(1, "2026-11-25 00:00:00"));
    for now in ["2026-11-25 00:00:01", "2026-11-25 12:00:00", "2026-11-25 23:59:59"] {
        assert!(!store(0, now) && !store(1, now), "{now}");
    }
    assert_eq!(spools[1].waiting_names().unwrap(), ["2026-11-24.summary"]);
    assert_eq!(spools[0].waiting_names().unwrap(), Vec::<String>::new());
    // Sent, and the process starts again.
    spools[1]
        .settle(&["2026-11-24.summary".to_owned()], "daily_summary", Outcome::Sent, at("2026-11-25 00:00:05"))
        .unwrap();
    assert!(!store(1, "2026-11-25 00:00:10"));
    // Nobody was there for two days: the newest one comes, late.
    assert!(store(0, "2026-11-28 05:00:00"));
    assert_eq!(spools[0].waiting_names().unwrap(), ["2026-11-27.summary"]);
}

#[test]
fn a_claim_of_the_dead_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let warehouse = sqlite(&folder.path().join("warehouse"));
    let spool = Spool::open(&folder.path().join("spool")).unwrap();
    let config = config();
    let store = |now: &str| store_due(&spool, warehouse.as_ref(), &config, "the living", at(now)).unwrap();
    assert!(!store("2026-11-24 05:00:00"));
    // Another one has claimed the day, and died before it had stored the summary.
    script(
        warehouse.as_ref(),
        Schema::Ops,
        "update ops.scheduler_lease set owner = 'the dead', epoch = epoch + 1, released = 0, renewed_at = '2026-11-25 00:00:00'
         where name = 'daily_summary'",
    );
    assert!(!store("2026-11-25 00:09:00"));
    assert!(store("2026-11-25 00:10:01"));
}

#[test]
fn a_day_without_events_is_told_too() {
    let folder = tempfile::tempdir().unwrap();
    let warehouse = sqlite(&folder.path().join("warehouse"));
    let spool_folder = folder.path().join("spool");
    let spool = Spool::open(&spool_folder).unwrap();
    let config = config();
    let owner = spool.identity().unwrap();
    let store = |now: &str| store_due(&spool, warehouse.as_ref(), &config, &owner, at(now)).unwrap();
    assert!(!store("2020-11-24 05:00:00"));
    assert!(store("2020-11-25 05:00:00"));
    let slack = Slack::start();
    // What is due today is claimed, so that only the stored one is told.
    assert!(
        !store_due(
            &Spool::open(&folder.path().join("other")).unwrap(),
            warehouse.as_ref(),
            &config,
            "other",
            at("2020-11-25 06:00:00")
        )
        .unwrap()
    );
    let running = Running::start(&spool_folder, Some(&slack.url()), config);
    eventually("it is told", || slack.posted().len() == 1);
    assert_eq!(header(&slack.posted()[0]), "📊 Tue 24 Nov 2020");
    assert!(slack.posted()[0].contains("No events on this day."));
    assert_eq!(slack.problems(), Vec::<String>::new());
    eventually("it is counted", || running.counted("daily_summary", "sent") == 1);
}

#[test]
fn the_message_shows_the_figures() {
    let folder = tempfile::tempdir().unwrap();
    let summary = look_at(sqlite(folder.path()).as_ref());
    for (language, expected) in [
        (
            "en",
            "📊 Tue 24 Nov 2026
CTR: 18.00 % (+3.00 pp on the day before, +7.90 pp on the week before)
Events: 5,000 (+25.0 % on the day before, +400.0 % on the week before)
Clicks: 900 (+50.0 % on the day before, +791.1 % on the week before)
Errors: 14; schema 7, validation 7
Dead-letter queue: 8 open, 2 of them need a decision; on this day 2 resolved, 1 discarded
DAG runs: 2 succeeded, 1 failed; dag_dbt_run
Data tests: 1 pass, 1 fail, 1 warn; name_t2
Slowest hour: 14:00, 95 % within 3.5 s
Peak hour: 12:00, 3,000 events
Alerts: DAG failed ×2, still firing
Events by hour: ▃▁▁▁▁▁▁▁▁▁▁▁█▁▁▁▁▁▁▁▁▁▁▃
CTR of 7 days: ·····▁█
Times: Asia/Seoul",
        ),
        (
            "ko",
            "📊 2026년 11월 24일 (화)
CTR: 18.00 % (전일 대비 +3.00%p, 전주 대비 +7.90%p)
이벤트: 5,000 (전일 대비 +25.0 %, 전주 대비 +400.0 %)
클릭: 900 (전일 대비 +50.0 %, 전주 대비 +791.1 %)
오류: 14; schema 7, validation 7
DLQ: 미해결 8건(그중 결정 필요 2건), 이 날 해결 2건, 폐기 1건
DAG 실행: 2 성공, 1 실패; dag_dbt_run
데이터 테스트: 1 통과, 1 실패, 1 경고; name_t2
가장 느린 시간대: 14:00, 95%가 3.5초 이내
가장 많은 시간대: 12:00, 이벤트 3,000건
알림: DAG 실패 2회, 계속 발생 중
시간별 이벤트: ▃▁▁▁▁▁▁▁▁▁▁▁█▁▁▁▁▁▁▁▁▁▁▃
7일간 CTR: ·····▁█
시간대: Asia/Seoul",
        ),
    ] {
        let config = SlackConfig { language: serde_json::from_value(language.into()).unwrap(), ..config() };
        let style = adpipe_notify::message::Style::new(&config, "https://console.example").unwrap();
        assert_eq!(adpipe_notify::message::plain_summary(&summary, &style), expected);
        let content = adpipe_notify::plan::Content::Summary(Box::new(summary.clone()));
        let message = adpipe_notify::message::render(&content, &style, at("2026-11-25 00:00:00"));
        assert_eq!(adpipe_testkit::slack::problems(&message.to_string()), Vec::<String>::new());
    }
}
