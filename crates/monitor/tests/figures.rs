//! Every signal, measured on what the pipeline itself has done.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use adpipe_event::Millis;
use adpipe_metrics::exported;
use adpipe_monitor::figures::collect::collect;
use adpipe_monitor::figures::{Measure, MonitorError, measure};
use adpipe_monitor::history;
use adpipe_monitor::signal::Signal;
use adpipe_schedule::dag::Dags;
use adpipe_transform::{Project, ProjectFiles, Target};
use adpipe_warehouse::{LatencyCounts, Schema};
use common::{Rig, event, later, of, on_both, over, readings, value};
use jiff::tz::TimeZone;

const VALID: usize = 1_900;
const INVALID: usize = 95;

fn send_some(rig: &Rig) {
    let mut payloads: Vec<String> = (0..VALID).map(|id| event(id, 1)).collect();
    // Two causes, and events that were counted before.
    payloads.extend((0..INVALID).map(|id| if id < 90 { event(id, -7) } else { "not an event".to_owned() }));
    payloads.extend((0..5).map(|id| event(id, 1)));
    rig.append(&payloads);
    rig.process();
}

#[test]
fn the_stream_is_measured_by_its_commits() {
    on_both("the_stream_is_measured_by_its_commits", |rig| {
        let (sources, now) = (rig.sources(), Millis::now());
        for signal in [Signal::Throughput, Signal::Latency, Signal::ErrorShare, Signal::BurnRate] {
            assert_eq!(readings(&sources, &over(signal, 300), now), [], "nothing is known yet");
        }
        assert_eq!(value(&sources, &over(Signal::Stalled, 0), now), 0.0);
        assert_eq!(value(&sources, &over(Signal::Lag, 0), now), 0.0);

        rig.append(&[event(1_000_000, 1)]);
        assert_eq!(value(&sources, &over(Signal::Lag, 0), now), 1.0);
        // It waits since it was first seen to.
        assert_eq!(value(&sources, &over(Signal::Stalled, 0), now), 0.0);
        assert_eq!(value(&sources, &over(Signal::Stalled, 0), later(now, 70)), 70.0);

        send_some(rig);
        let now = Millis::now();
        let all = (VALID + INVALID + 5 + 1) as f64;
        assert_eq!(value(&sources, &over(Signal::Throughput, 300), now), all / 5.0);
        let share = INVALID as f64 / (VALID + INVALID + 1) as f64;
        assert_eq!(value(&sources, &over(Signal::ErrorShare, 300), now), share);
        let guarded = |records| Measure { records, ..over(Signal::ErrorShare, 300) };
        assert_eq!(readings(&sources, &guarded(1_996), now).len(), 1);
        assert_eq!(readings(&sources, &guarded(1_997), now), [], "too few records say nothing");
        let burn = Measure {
            short_window: Some(Duration::from_secs(300)),
            records: 1_000,
            ..over(Signal::BurnRate, 21_600)
        };
        assert!((value(&sources, &burn, now) - share * 1_000.0).abs() < 1e-9);
        // Half an hour later nothing burns, though the long window still has the errors.
        assert_eq!(value(&sources, &burn, later(now, 1_800)), 0.0);
        assert_eq!(value(&sources, &over(Signal::Stalled, 0), now), 0.0);
        assert_eq!(value(&sources, &over(Signal::Lag, 0), now), 0.0);

        // No records, no latency.
        assert_eq!(readings(&sources, &over(Signal::Latency, 300), later(now, 3_600)), []);
        // Once there was something, its absence is a throughput of 0.
        let silence = readings(&sources, &over(Signal::Throughput, 300), later(now, 3_600));
        assert_eq!((silence[0].value, silence[0].context["why"].as_str()), (0.0, Some("source_silent")));
    });
}

#[test]
fn prometheus_would_say_the_same() {
    on_both("prometheus_would_say_the_same", |rig| {
        send_some(rig);
        let (sources, now) = (rig.sources(), Millis::now());
        let text = rig.metrics.render().unwrap();
        let series = |name: &str| -> f64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.unwrap_or_else(|| panic!("{name} is not in\n{text}")).parse().unwrap()
        };
        let outcome = |word| series(&format!("adpipe_events_processed_total{{outcome=\"{word}\"}}"));
        assert_eq!((outcome("valid"), outcome("invalid")), (VALID as f64, INVALID as f64));
        assert_eq!(outcome("duplicate"), 5.0);
        let per_minute = value(&sources, &over(Signal::Throughput, 300), now);
        assert_eq!(per_minute * 5.0, outcome("valid") + outcome("invalid") + outcome("duplicate"));
        // histogram_quantile over the same buckets.
        let bucket = |le: &str| series(&format!("adpipe_event_latency_seconds_bucket{{le=\"{le}\"}}"));
        let edges =
            ["0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2", "5", "10", "30", "60", "300", "+Inf"];
        let rank = 0.95 * bucket("+Inf");
        let at = edges.iter().position(|edge| bucket(edge) >= rank).unwrap();
        let (below, lower) = match at {
            0 => (0.0, 0.0),
            _ => (bucket(edges[at - 1]), edges[at - 1].parse::<f64>().unwrap()),
        };
        let upper: f64 = edges[at].parse().unwrap();
        let quantile = lower + (upper - lower) * (rank - below) / (bucket(edges[at]) - below);
        let measured = value(&sources, &over(Signal::Latency, 300), now);
        assert!((measured - quantile).abs() < 1e-9, "{measured} is not {quantile}");
        assert_eq!(bucket("+Inf"), series("adpipe_event_latency_seconds_count"));
        let last: f64 = series("adpipe_last_commit_timestamp_seconds");
        let newest = adpipe_warehouse::report::newest_commit(rig.warehouse.as_ref()).unwrap().unwrap();
        assert_eq!((last * 1_000.0).round() as i64, newest.0);
    });
}

/// A commit of so many valid and invalid records at a time.
fn commit(offset: i64, at: Millis, valid: i64, invalid: i64) -> String {
    let mut latency = LatencyCounts::default();
    latency.observe(40, (valid + invalid) as u64);
    format!(
        "insert into realtime.commits (topic, partition, first_offset, next_offset, committed_at, records, \
         valid, clicks, duplicates, parse, schema, validation, future, sink, late, float_ids, \
         unknown_fields, latency_counts) values ('ad_events_raw', 0, {offset}, {}, '{at}', {}, {valid}, 0, 0, \
         0, 0, {invalid}, 0, 0, 0, 0, 0, '{}');",
        offset + valid + invalid,
        valid + invalid,
        latency.to_text()
    )
}

#[test]
fn long_windows_are_summed_once_and_stay_right() {
    on_both("long_windows_are_summed_once_and_stay_right", |rig| {
        let now = Millis::now();
        // One commit every 20 s for seven hours, of other sizes each.
        let commits: Vec<String> = (0..1_260)
            .map(|step| commit(step * 1_000, later(now, -20 * step), step % 97, step % 5))
            .collect();
        rig.execute(Schema::Realtime, &commits.join("\n"));
        let direct = |window_s: i64, now: Millis| {
            let since = Millis(now.0 - window_s * 1_000).floor_minute();
            let sql = format!(
                "select sum(validation), sum(valid) from realtime.commits \
                 where committed_at >= '{since}' and committed_at <= '{now}'"
            );
            let row = &rig.rows(&sql)[0];
            let number =
                |index: usize| row[index].as_f64().or(row[index].as_i64().map(|n| n as f64)).unwrap();
            number(0) / (number(0) + number(1))
        };
        let sources = rig.sources();
        let mut more = 2_000_000;
        for (window_s, now) in [
            (3_600, now),
            (21_600, now),
            (1_800, now),
            (21_600, later(now, 15)),
            (21_600, later(now, 200)),
            (7_200, later(now, 200)),
        ] {
            // What is committed meanwhile is seen.
            rig.execute(Schema::Realtime, &commit(more, later(now, -1), 10, 90));
            more += 1_000;
            let measured = value(&sources, &over(Signal::ErrorShare, window_s), now);
            let expected = direct(window_s as i64, now);
            assert!((measured - expected).abs() < 1e-12, "{window_s} at {now}: {measured}, not {expected}");
        }
    });
}

#[test]
fn the_archive_is_measured() {
    on_both("the_archive_is_measured", |rig| {
        let now = Millis::now();
        let (behind, unreadable) = (over(Signal::ArchiveBehind, 0), over(Signal::ArchiveUnreadable, 0));
        assert_eq!(value(&rig.sources(), &behind, now), 0.0);
        assert_eq!(value(&rig.sources(), &unreadable, now), 0.0);
        send_some(rig);
        // Old events that came just now have not waited for years.
        let later = later(Millis::now(), 100_000);
        let seconds = value(&rig.sources(), &behind, later);
        assert!(seconds > 90_000.0 && seconds < 101_000.0, "{seconds}");
        rig.execute(
            Schema::Realtime,
            "insert into realtime.unreadable_hours values ('2014-10-21 05:00:00', 'a part is missing', \
             '2026-01-01 00:00:00');
             insert into realtime.hours (event_hour, version, archived_rows, archived_clicks, hot_copies)
             select window_start, 1, sum(impressions), 0, 0 from realtime.metrics_hourly group by window_start;",
        );
        assert_eq!(value(&rig.sources(), &behind, later), 0.0, "all of it is archived");
        let reading = &readings(&rig.sources(), &unreadable, later)[0];
        assert_eq!((reading.value, reading.context["message"].as_str()), (1.0, Some("a part is missing")));
    });
}

#[test]
fn the_queue_is_measured_with_its_causes() {
    on_both("the_queue_is_measured_with_its_causes", |rig| {
        let sources = rig.sources();
        assert_eq!(value(&sources, &over(Signal::DlqOpen, 0), Millis::now()), 0.0);
        assert_eq!(value(&sources, &over(Signal::DlqExhausted, 0), Millis::now()), 0.0);
        send_some(rig);
        let now = Millis::now();
        let open = &readings(&sources, &over(Signal::DlqOpen, 0), now)[0];
        assert_eq!(open.value, INVALID as f64);
        let causes = open.context["causes"].as_array().unwrap();
        let counts: Vec<u64> = causes.iter().map(|cause| cause["open"].as_u64().unwrap()).collect();
        assert_eq!(counts, [90, 5], "{causes:?}");
        assert!(causes[0]["message"].as_str().unwrap().contains("banner_pos"), "{causes:?}");
        assert!(!causes[0]["fingerprint"].as_str().unwrap().is_empty());
        // None of these heals by itself.
        assert_eq!(value(&sources, &over(Signal::DlqExhausted, 0), now), INVALID as f64);

        // The causes are those of errors in that state: the larger one is tried again here.
        rig.execute(
            Schema::Errors,
            "update errors.groups set pending = exhausted, exhausted = 0 where exhausted = 90;",
        );
        let exhausted = &readings(&sources, &over(Signal::DlqExhausted, 0), now)[0];
        assert_eq!(exhausted.value, 5.0);
        let causes = exhausted.context["causes"].as_array().unwrap();
        assert_eq!((causes.len(), causes[0]["exhausted"].as_u64()), (1, Some(5)), "{causes:?}");

        // Growth needs to know how it was.
        let growth = over(Signal::DlqGrowth, 900);
        assert_eq!(readings(&sources, &growth, now), []);
        let minute = later(now, -900).floor_minute();
        rig.execute(
            Schema::Errors,
            &format!("insert into errors.backlog values ('{minute}', 10, 1, 19, 500, 500, 1030);"),
        );
        assert_eq!(value(&sources, &growth, now), (INVALID - 30) as f64);
        assert_eq!(readings(&sources, &growth, later(now, 3_600)), [], "what is too old says nothing");
        // A cause that had its errors days ago has not made the backlog grow, however many are open.
        let days_ago = later(now, -3 * 86_400).floor_hour();
        rig.execute(
            Schema::Errors,
            &format!("update errors.group_hours set hour = '{days_ago}' where errors = 90;"),
        );
        let grown = &readings(&sources, &growth, now)[0];
        let causes = grown.context["causes"].as_array().unwrap();
        assert_eq!((causes.len(), causes[0]["open"].as_u64()), (1, Some(5)), "{causes:?}");
    });
}

#[test]
fn lag_grows_from_one_reading_to_another() {
    on_both("lag_grows_from_one_reading_to_another", |rig| {
        let (sources, now) = (rig.sources(), Millis::now());
        let growth = over(Signal::LagGrowth, 600);
        assert_eq!(readings(&sources, &growth, now), []);
        rig.append(&[event(1, 1)]);
        history::record(&sources, later(now, -620)).unwrap();
        rig.append(&[event(2, 1), event(3, 1)]);
        assert_eq!(value(&sources, &growth, now), 2.0);
        let series = history::readings(
            rig.warehouse.as_ref(),
            Signal::Lag,
            later(now, -700),
            now,
            Duration::from_secs(60),
        );
        let series = series.unwrap();
        assert_eq!(series.len(), 1);
        assert_eq!(series[0].points, [(later(now, -620), 1.0)]);
    });
}

const DAGS: &str = r#"
[[dag]]
id = "nightly"
schedule = "0 0 * * *"
[[dag.task]]
id = "t"
shell = "true"

[[dag]]
id = "by_hand"
[[dag.task]]
id = "t"
shell = "true"

[[dag]]
id = "never_seen"
schedule = "* * * * *"
[[dag.task]]
id = "t"
shell = "true"
"#;

/// A run that ended, or is queued or running.
fn run(dag: &str, slot: &str, state: &str, at: &str) -> String {
    let (started, finished) = match state {
        "queued" => ("null".to_owned(), "null".to_owned()),
        "running" => (format!("'{at}'"), "null".to_owned()),
        _ => (format!("'{at}'"), format!("'{at}'")),
    };
    format!(
        "insert into ops.dag_runs (dag_id, run_id, kind, slot, interval_start, interval_end, state, attempt, \
         cause, message, queued_at, started_at, finished_at) values ('{dag}', 'scheduled__{slot}', \
         'scheduled', '{slot}', '{at}', '{at}', '{state}', 1, '', 'task t: exit code 1', '{at}', {started}, \
         {finished});"
    )
}

#[test]
fn dags_fail_in_a_row_and_are_missed() {
    on_both("dags_fail_in_a_row_and_are_missed", |rig| {
        let mut sources = rig.sources();
        sources.dags = Dags::parse(DAGS, Path::new("dags.toml"), &TimeZone::UTC).unwrap();
        let at = |text| Millis::parse_sql(text).unwrap();
        let now = at("2026-03-05 00:20:00");
        assert_eq!(readings(&sources, &over(Signal::DagFailures, 0), now), []);
        assert_eq!(readings(&sources, &over(Signal::DagOverdue, 0), now), []);

        rig.execute(Schema::Ops, "insert into ops.dags values ('nightly', '2026-03-01 12:00:00'), ('by_hand', '2026-03-01 12:00:00');");
        let runs = [
            run("nightly", "2026-03-01T00:00:00Z", "success", "2026-03-02 00:01:00"),
            run("nightly", "2026-03-02T00:00:00Z", "failed", "2026-03-03 00:01:00"),
            run("nightly", "2026-03-02T01:00:00Z", "cancelled", "2026-03-03 00:02:00"),
            run("nightly", "2026-03-03T00:00:00Z", "failed", "2026-03-04 00:01:00"),
        ];
        rig.execute(Schema::Ops, &runs.concat());
        let failures = readings(&sources, &over(Signal::DagFailures, 0), now);
        assert_eq!((of(&failures, "dag", "nightly"), of(&failures, "dag", "by_hand")), (2.0, 0.0));
        let nightly = failures.iter().find(|reading| reading.labels["dag"] == "nightly").unwrap();
        assert_eq!(nightly.context["run"], "scheduled__2026-03-03T00:00:00Z");
        assert_eq!(nightly.context["message"], "task t: exit code 1");

        // The run of the fourth is missing since midnight.
        let overdue = |now| of(&readings(&sources, &over(Signal::DagOverdue, 0), now), "dag", "nightly");
        assert_eq!(overdue(now), 1_200.0);
        assert_eq!(overdue(at("2026-03-04 23:59:59")), 0.0);
        collect(&sources, &rig.metrics, now);
        let text = rig.metrics.render().unwrap();
        for series in [
            "adpipe_dag_failures{dag=\"nightly\"} 2\n",
            "adpipe_dag_failures{dag=\"by_hand\"} 0\n",
            "adpipe_dag_overdue_seconds{dag=\"nightly\"} 1200\n",
        ] {
            assert!(text.contains(series), "{series} is not in\n{text}");
        }
        assert!(!text.contains("never_seen"), "{text}");

        // Queued and not begun is not a better; while it runs all is well.
        rig.execute(Schema::Ops, &run("nightly", "2026-03-04T00:00:00Z", "queued", "2026-03-05 00:00:01"));
        assert_eq!(overdue(now), 1_199.0);
        rig.execute(
            Schema::Ops,
            "update ops.dag_runs set state = 'running', started_at = queued_at where state = 'queued';",
        );
        assert_eq!(overdue(now), 0.0);
        rig.execute(
            Schema::Ops,
            "update ops.dag_runs set state = 'success', finished_at = '2026-03-05 00:10:00' where state = 'running';",
        );
        let failures = readings(&sources, &over(Signal::DagFailures, 0), now);
        assert_eq!(of(&failures, "dag", "nightly"), 0.0);
    });
}

fn data_test(run: &str, name: &str, status: &str, at: &str) -> String {
    format!(
        "insert into ops.data_tests (run_id, test_id, name, kind, severity, status, failures, engine, \
         started_at, seconds) values ('{run}', 'test.adpipe.{name}.1a2b3c', '{name}', 'test', 'error', \
         '{status}', 3, 'builtin', '{at}', 0.1);"
    )
}

#[test]
fn data_tests_count_by_their_newest_result() {
    on_both("data_tests_count_by_their_newest_result", |rig| {
        let (mut sources, now) = (rig.sources(), Millis::now());
        let failing = over(Signal::FailingDataTests, 0);
        assert_eq!(readings(&sources, &failing, now), []);
        let tests = [
            data_test("1", "unique_id", "fail", "2026-03-01 00:00:00"),
            data_test("1", "ctr_is_a_share", "pass", "2026-03-01 00:00:00"),
            data_test("2", "unique_id", "pass", "2026-03-02 00:00:00"),
            data_test("2", "ctr_is_a_share", "fail", "2026-03-02 00:00:00"),
            data_test("2", "refused", "error", "2026-03-02 00:00:00"),
            data_test("3", "ctr_is_a_share", "skipped", "2026-03-03 00:00:00"),
        ];
        rig.execute(Schema::Ops, &tests.concat());
        let found = readings(&sources, &failing, now);
        assert_eq!(found[0].value, 2.0);
        assert_eq!(found[0].context["tests"], serde_json::json!(["ctr_is_a_share", "refused"]));
        collect(&sources, &rig.metrics, now);
        let text = rig.metrics.render().unwrap();
        for series in ["pass\"} 1\n", "fail\"} 1\n", "error\"} 1\n", "warn\"} 0\n", "skipped\"} 0\n"] {
            assert!(text.contains(&format!("adpipe_data_tests{{status=\"{series}")), "{series}\n{text}");
        }
        // Tests that the project no longer has do not fail for ever.
        let target = Target::new(rig.warehouse.dialect());
        let project = Arc::new(Project::load(&ProjectFiles::embedded(), &target, "").unwrap());
        sources.project = Some(Arc::new(move || Some(Arc::clone(&project))));
        assert_eq!(readings(&sources, &failing, now), []);
    });
}

#[test]
fn sources_grow_old() {
    on_both("sources_grow_old", |rig| {
        let target = Target::new(rig.warehouse.dialect());
        let project = Arc::new(Project::load(&ProjectFiles::embedded(), &target, "").unwrap());
        let sources = || {
            let mut sources = rig.sources();
            let project = Arc::clone(&project);
            sources.project = Some(Arc::new(move || Some(Arc::clone(&project))));
            sources
        };
        let overdue = over(Signal::SourceOverdue, 0);
        assert_eq!(readings(&sources(), &overdue, Millis::now()), [], "no row, no age");
        send_some(rig);
        let now = later(Millis::now(), 2 * 86_400);
        let found = readings(&sources(), &overdue, now);
        // Events of 2014 that came today are fresh; their metrics are as old as the events.
        assert_eq!(found.len(), 1, "{found:?}");
        let seconds = of(&found, "source", "realtime.events");
        assert!((86_400.0..86_400.0 + 600.0).contains(&seconds), "{seconds}");
        collect(&sources(), &rig.metrics, now);
        let text = rig.metrics.render().unwrap();
        assert!(text.contains("adpipe_source_max_age_seconds{source=\"realtime.events\"} 86400\n"), "{text}");
        assert!(exported(&text).contains_key("adpipe_source_age_seconds"));
    });
}

#[test]
fn totals_are_of_stream_and_files_together() {
    on_both("totals_are_of_stream_and_files_together", |rig| {
        rig.append(&[event(1, 0), event(2, 0), event(1, 0), "not json".to_owned()]);
        rig.process();
        let file = |path: &str, valid: i64| {
            format!(
                "insert into realtime.files (path, content, reading, size, size_hash, modified, state, message,
                     position, next_row, tail_position, tail_is_event, records, valid, clicks, duplicates, parse,
                     schema, validation, future, sink, archive, float_ids, unknown_fields, started_at, updated_at)
                 values ('{path}', 'c', 1, 100, 'h', 'm', 'done', '', 100, 1, -1, 0, {}, {valid}, 7, 3, 1, 1, 0, 0,
                     0, 0, 0, 0, '2026-03-01 00:00:00', '2026-03-01 00:00:00');",
                valid + 5
            )
        };
        rig.execute(Schema::Realtime, &file("a.csv", 100));
        collect(&rig.sources(), &rig.metrics, Millis::now());
        rig.execute(Schema::Realtime, &file("b.csv", 11));
        // Sources of their own: those above rest for a hundred times as long as they looked.
        collect(&rig.sources(), &rig.metrics, Millis::now());
        let text = rig.metrics.render().unwrap();
        for series in [
            "adpipe_etl_rows_total{outcome=\"valid\"} 111\n",
            "adpipe_etl_rows_total{outcome=\"duplicate\"} 6\n",
            "adpipe_etl_rows_total{outcome=\"invalid\"} 4\n",
            "adpipe_warehouse_records{outcome=\"valid\"} 113\n",
            "adpipe_warehouse_records{outcome=\"duplicate\"} 7\n",
            "adpipe_warehouse_records{outcome=\"invalid\"} 5\n",
            "adpipe_warehouse_clicks 14\n",
        ] {
            assert!(text.contains(series), "{series}\n{text}");
        }
    });
}

#[test]
fn a_warehouse_that_does_not_answer_is_not_asked() {
    on_both("a_warehouse_that_does_not_answer_is_not_asked", |rig| {
        let mut sources = rig.sources();
        sources.spool_age = Some(Arc::new(|| Some(Duration::from_secs(12))));
        let now = Millis::now();
        rig.pulse.missed("connection refused");
        let silent = readings(&sources, &over(Signal::WarehouseSilent, 0), now);
        assert_eq!(silent[0].context["error"], "connection refused");
        assert_eq!(value(&sources, &over(Signal::NotificationsWaiting, 0), now), 12.0);
        // Where nothing is sent, nothing is said to wait: nor to have arrived.
        sources.sends = false;
        assert_eq!(readings(&sources, &over(Signal::NotificationsWaiting, 0), now), []);
        // Who came back a moment ago has seen nobody yet.
        rig.pulse.answered(Duration::from_millis(1));
        let silent = measure(&sources, &over(Signal::Silent, 0), now);
        assert!(matches!(silent, Err(MonitorError::Silent)), "{silent:?}");
        assert_eq!(value(&sources, &over(Signal::Lag, 0), now), 0.0);
    });
}
