use super::*;

#[test]
fn a_process_without_a_role_tells_only_of_itself() {
    let text = Metrics::new("1.2.3").unwrap().render().unwrap();
    for name in exported(&text).keys() {
        assert!(families::find(name).unwrap().roles == Role::ALL, "{name}");
    }
    assert!(text.contains("adpipe_build_info{version=\"1.2.3\"} 1\n"), "{text}");
    assert!(text.contains("process_resident_memory_bytes"), "{text}");
    // A moment, a state and a size that nobody knows.
    assert!(!text.contains("adpipe_last_commit_timestamp_seconds"), "{text}");
    assert!(!text.contains("adpipe_warehouse_up"), "{text}");
    assert!(!text.contains("adpipe_disk"), "{text}");
}

#[test]
fn what_a_role_counts_is_there_as_0() {
    let metrics = Metrics::new("x").unwrap();
    metrics.play(Role::Stream);
    let text = metrics.render().unwrap();
    for series in [
        "adpipe_records_appended_total{topic=\"ad_events_error\"} 0\n",
        "adpipe_events_processed_total{outcome=\"invalid\"} 0\n",
        "adpipe_events_invalid_total{error_type=\"sink\"} 0\n",
        "adpipe_events_invalid_total{error_type=\"archive\"} 0\n",
        "adpipe_late_events_total 0\n",
        "adpipe_event_latency_seconds_bucket{le=\"5\"} 0\n",
        "adpipe_event_latency_seconds_count 0\n",
        "adpipe_sink_commit_duration_seconds_count 0\n",
        "adpipe_process_role{role=\"stream\"} 1\n",
        "adpipe_process_role{role=\"dlq\"} 0\n",
    ] {
        assert!(text.contains(series), "{series} is not in\n{text}");
    }
    assert!(!text.contains("adpipe_dlq"), "{text}");
    metrics.play(Role::Dlq);
    let text = metrics.render().unwrap();
    assert!(text.contains("adpipe_dlq_retries_total{outcome=\"failed\"} 0\n"), "{text}");
    // How many there are is not known before the first look.
    assert!(!text.contains("adpipe_dlq_errors"), "{text}");
}

#[test]
fn latencies_are_counted_up_to_their_edge() {
    let metrics = Metrics::new("x").unwrap();
    let mut records = LatencyBuckets::default();
    (records[8], records[9], records[13]) = (1_000, 10, 1);
    metrics.observe_latencies(&records, 4_500.5);
    metrics.observe_latencies(&records, 0.5);
    let text = metrics.render().unwrap();
    for series in [
        "adpipe_event_latency_seconds_bucket{le=\"2\"} 0\n",
        "adpipe_event_latency_seconds_bucket{le=\"5\"} 2000\n",
        "adpipe_event_latency_seconds_bucket{le=\"300\"} 2020\n",
        "adpipe_event_latency_seconds_bucket{le=\"+Inf\"} 2022\n",
        "adpipe_event_latency_seconds_sum 4501\n",
        "adpipe_event_latency_seconds_count 2022\n",
    ] {
        assert!(text.contains(series), "{series} is not in\n{text}");
    }
}

#[test]
fn moments_never_go_back_and_totals_may() {
    let metrics = Metrics::new("x").unwrap();
    metrics.committed_at(100.0);
    metrics.committed_at(50.0);
    assert!(metrics.render().unwrap().contains("adpipe_last_commit_timestamp_seconds 100\n"));
    for total in [5, 9, 3] {
        metrics.set_etl_rows("valid", total);
        let series = format!("adpipe_etl_rows_total{{outcome=\"valid\"}} {total}\n");
        assert!(metrics.render().unwrap().contains(&series), "{series}");
    }
    metrics.dlq_oldest_at(Some(7.0));
    assert!(metrics.render().unwrap().contains("adpipe_dlq_oldest_timestamp_seconds 7\n"));
    metrics.dlq_oldest_at(None);
    assert!(!metrics.render().unwrap().contains("adpipe_dlq_oldest_timestamp_seconds"));
}

/// Sets everything there is, once.
fn full() -> Metrics {
    let metrics = Metrics::new("x").unwrap();
    Role::ALL.iter().for_each(|role| metrics.play(*role));
    metrics.see_dag("d");
    metrics.dag_succeeded("d", 1.0);
    metrics.dag_failures.with_label_values(&["d"]);
    metrics.dag_overdue.with_label_values(&["d"]);
    metrics.committed_at(1.0);
    metrics.log_lag.with_label_values(&["t", "0"]);
    metrics.dlq_errors.with_label_values(&["pending"]);
    metrics.dlq_oldest_at(Some(1.0));
    metrics.set_etl_rows("valid", 1);
    metrics.warehouse_has([("valid", 1), ("duplicate", 0), ("invalid", 0)], 1);
    metrics.archive_is(1.0, 1);
    metrics.data_tests.with_label_values(&["pass"]);
    metrics.source_age.with_label_values(&["s"]);
    metrics.source_max_age.with_label_values(&["s"]);
    metrics.warehouse_is_up(true);
    metrics.disk(1, 2);
    metrics.alerts.with_label_values(&["r", "firing"]);
    metrics.notifications.with_label_values(&["k", "sent"]);
    metrics.notifications_wait(0.0);
    metrics.http_requests.with_label_values(&["/", "200"]);
    metrics.http_duration.with_label_values(&["/"]);
    metrics
}

#[test]
fn the_list_is_what_is_exported() {
    let text = full().render().unwrap();
    let exported = exported(&text);
    for family in FAMILIES {
        assert_eq!(exported.get(family.name), Some(&family.kind.name()), "{}", family.name);
        let help = format!("# HELP {} {}\n", family.name, family.help);
        assert!(text.contains(&help), "{help} is not in\n{text}");
    }
    assert_eq!(exported.len(), FAMILIES.len(), "{exported:?}");
}

#[test]
fn names_follow_the_conventions() {
    for family in FAMILIES {
        let is_total = family.name.ends_with("_total");
        assert_eq!(is_total, family.kind == Kind::Counter, "{}", family.name);
        if family.unit.starts_with("seconds") {
            assert!(family.name.contains("_seconds"), "{}", family.name);
        }
        assert!(family.unit != "bytes" || family.name.ends_with("_bytes"), "{}", family.name);
    }
}

/// The table of docs/METRICS.md, as it has to be.
fn table() -> String {
    let mut table =
        "| metric | type | labels | unit | exported by | |\n|---|---|---|---|---|---|\n".to_owned();
    for family in FAMILIES {
        let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        let roles: Vec<&str> = family.roles.iter().map(|role| role.name()).collect();
        let roles = if family.roles == Role::ALL { "every role".to_owned() } else { roles.join(", ") };
        let (name, kind, unit, help) = (family.name, family.kind.name(), family.unit, family.help);
        table += &format!("| `{name}` | {kind} | {} | {unit} | {roles} | {help} |\n", labels.join(", "));
    }
    table
}

#[test]
fn the_document_has_the_same_table() {
    let document = include_str!("../../../docs/METRICS.md");
    let table = table();
    assert!(document.contains(&table), "docs/METRICS.md needs this table:\n{table}");
}
