//! A real Prometheus scrapes a running pipeline with 2 % errors: every panel of every dashboard has
//! data, and every series that rules and dashboards name is there.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use adpipe_testkit::alertmanager::Alertmanager;
use adpipe_testkit::exporters::Exporter;
use adpipe_testkit::http::page;
use adpipe_testkit::kafka::Kafka;
use adpipe_testkit::postgres::Postgres;
use adpipe_testkit::prometheus::Prometheus;
use adpipe_testkit::slack::Slack;
use adpipe_testkit::{eventually, free_port};

use crate::common::{Folder, Killed, Running, shown};
use crate::files::{annotations, panels, read, root, series};
use crate::setup::{Setup, alertmanager};

/// Flink runs from Python (issue 9) and is checked there: its series are left out here, by name.
const NOT_HERE: &str = "flink_";

/// Alerts that fire take a minute; everything else comes sooner.
const LIMIT: Duration = Duration::from_secs(240);

/// Grafana's variables, as for all jobs and instances over the last minutes. A window ago nothing
/// ran yet, so a shorter one stands for it.
fn expanded(query: &str) -> String {
    let mut query = query
        .replace("$job", ".+")
        .replace("$instance", ".+")
        .replace("$__rate_interval", "30s")
        .replace("$__range", "10m");
    for window in ["10m", "15m"] {
        query = query.replace(&format!("offset {window}"), "offset 5s");
    }
    assert!(!query.contains('$'), "{query}");
    query
}

/// Waits until every query has a value that is a number.
fn every_query_has_data(prometheus: &Prometheus, is_here: impl Fn(&str) -> bool) {
    let mut waiting: Vec<(String, String)> = Vec::new();
    for panel in panels() {
        let name = format!("{} / {}", panel.dashboard, panel.title);
        waiting.extend(panel.queries.iter().map(|query| (name.clone(), expanded(query))));
    }
    waiting.extend(annotations().iter().map(|query| ("annotation".to_owned(), expanded(query))));
    waiting.retain(|(_, query)| series(query).iter().all(|name| is_here(name)));
    assert!(waiting.len() > 50, "{}", waiting.len());
    let started = Instant::now();
    while !waiting.is_empty() {
        waiting.retain(|(_, query)| !prometheus.query(query).iter().any(|sample| sample.value.is_finite()));
        assert!(started.elapsed() < LIMIT, "no data: {waiting:#?}\n{}", prometheus.log());
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// Every series that rules and dashboards name is one that somebody exports, or that is recorded.
fn every_name_exists(prometheus: &Prometheus, is_here: impl Fn(&str) -> bool) {
    let mut asked = BTreeSet::new();
    for panel in panels() {
        asked.extend(panel.queries.iter().flat_map(|query| series(query)));
    }
    asked.extend(annotations().iter().flat_map(|query| series(query)));
    for rules in ["config/alert_rules.yml", "config/alert_rules_exporters.yml"] {
        asked.extend(read(rules).lines().filter(|line| !line.contains("alert:")).flat_map(series));
    }
    asked.retain(|name| is_here(name));
    assert!(asked.len() > 20, "{asked:?}");
    let there: BTreeSet<String> = prometheus.names().into_iter().collect();
    let missing: Vec<&String> = asked.difference(&there).collect();
    assert!(missing.is_empty(), "nobody exports {missing:?}");
}

/// `promtool check metrics` on what a process serves.
fn metrics_are_clean(address: &str) {
    let text = page(address, "/metrics").unwrap();
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    assert!(output.status.success(), "{address}: {}\n{text}", shown(&output));
}

/// 2,000 records a second until dropped, 2 % of them broken, of four types in turn.
fn traffic(mut generate: Command, mut ingest: Command) -> [Killed; 2] {
    let mut source = generate
        .args(["generate", "--rate", "2000", "--bad", "0.02", "--duplicates", "0.01"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pipe = source.stdout.take().unwrap();
    let sink =
        ingest.args(["ingest", "-"]).stdin(pipe).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    [Killed(source), Killed(sink)]
}

/// The embedded default, everything in one process.
#[test]
fn one_process_fills_its_panels() {
    let test = "one_process_fills_its_panels";
    let folder = Folder::new();
    let up = Running::start(folder.adpipe(&["up"]));
    let address = format!("127.0.0.1:{}", free_port());
    let setup = Setup {
        addresses: vec![("localhost:8088", up.address.clone()), ("localhost:9090", address.clone())],
        has_roles: false,
        rules: String::new(),
    };
    let config = setup.write(folder.path());
    let Some(prometheus) = Prometheus::start(test, &address, &config) else { return };
    let _traffic = traffic(folder.adpipe(&[]), folder.adpipe(&[]));
    eventually("the first commit", || !prometheus.query("adpipe_events_processed_total > 0").is_empty());
    folder.run(&["dag", "run", "dag_dlq_retry"]);
    folder.run(&["dag", "run", "dag_dbt_run"]);
    let is_adpipes = |name: &str| name.starts_with("adpipe") || name.starts_with("process_");
    assert_eq!(up.request("GET", "/", b"").0, 200);
    every_query_has_data(&prometheus, is_adpipes);
    every_name_exists(&prometheus, is_adpipes);
    metrics_are_clean(&up.address);
}

/// One role a process on Kafka and PostgreSQL, with all exporters.
#[test]
fn roles_and_exporters_fill_every_panel() {
    let test = "roles_and_exporters_fill_every_panel";
    let folder = Folder::new();
    let slack = Slack::start();
    let Some(kafka) = Kafka::start_monitored(test, &root().join("config/jmx_exporter.yml")) else { return };
    let Some(postgres) = Postgres::start(test) else { return };
    let database = postgres.new_database();
    let name = database.rsplit('/').next().unwrap();
    postgres.psql_file(name, &root().join("crates/warehouse/sql/postgres/roles.sql"));
    let Some(of_postgres) = Exporter::postgres(test, &postgres.url_of("adpipe_monitor", name)) else {
        return;
    };
    let Some(of_node) = Exporter::node(test) else { return };
    let Some(alerts) = Alertmanager::start(test, &alertmanager(folder.path(), &slack.url())) else { return };

    let adpipe = |arguments: &[&str]| {
        let mut command = crate::common::adpipe_in(folder.path());
        command
            .env("ADPIPE_LOG__URL", kafka.url())
            .env("ADPIPE_WAREHOUSE__URL", postgres.url_of("adpipe_writer", name))
            .args(arguments);
        command
    };
    let run = |arguments: &[&str]| crate::common::printed(adpipe(arguments));
    run(&["doctor", "--fix"]);
    let console = Running::start(adpipe(&["run", "console"]));
    let mut addresses = vec![("localhost:8088", console.address.clone())];
    let mut roles = Vec::new();
    for (own, role) in [
        ("localhost:8091", "stream"),
        ("localhost:8092", "dlq"),
        ("localhost:8093", "scheduler"),
        ("localhost:8094", "monitor"),
    ] {
        let port = free_port();
        let mut command = adpipe(&["run", role]);
        command.env("ADPIPE_METRICS__PORT", port.to_string()).stdout(Stdio::null());
        roles.push(Killed(command.spawn().unwrap()));
        addresses.push((own, format!("127.0.0.1:{port}")));
    }
    let address = format!("127.0.0.1:{}", free_port());
    addresses.extend([
        ("localhost:9404", kafka.exporter()),
        ("localhost:9187", of_postgres.address().to_owned()),
        ("localhost:9100", of_node.address().to_owned()),
        ("localhost:9093", alerts.address().to_owned()),
        ("localhost:9090", address.clone()),
    ]);
    let setup = Setup { addresses: addresses.clone(), has_roles: true, rules: String::new() };
    let config = setup.write(folder.path());
    let Some(prometheus) = Prometheus::start(test, &address, &config) else { return };
    let _traffic = traffic(adpipe(&[]), adpipe(&[]));
    eventually("every target is up", || {
        prometheus.query("sum(up)").first().is_some_and(|sum| sum.value == addresses.len() as f64)
    });
    eventually("the first commit", || !prometheus.query("adpipe_events_processed_total > 0").is_empty());
    run(&["dag", "run", "dag_dlq_retry"]);
    run(&["dag", "run", "dag_dbt_run"]);
    assert_eq!(console.request("GET", "/", b"").0, 200);
    // On Kafka and PostgreSQL no process keeps data on a disk of its own: the other test has those.
    let is_here = |name: &str| !name.starts_with(NOT_HERE) && !name.starts_with("adpipe_disk_");
    every_query_has_data(&prometheus, is_here);
    every_name_exists(&prometheus, is_here);
    for (own, address) in &addresses {
        if own.starts_with("localhost:80") {
            metrics_are_clean(address);
        }
    }

    // Errors that wait for a person fire: Alertmanager tells Slack, once.
    eventually("a message about errors that wait", || {
        slack.posted().iter().any(|post| post.contains("DlqExhausted"))
    });
    let posts = slack.posted();
    let told = posts.iter().filter(|post| post.contains("DlqExhausted")).count();
    assert_eq!(told, 1, "{posts:#?}");
    assert!(slack.problems().is_empty(), "{:#?}", slack.problems());
}
