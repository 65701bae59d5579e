//! A scripted incident, told by both ways at once: by Prometheus and Alertmanager, and by adpipe's
//! own monitor and notifier. Each message comes once, and so does its end.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use adpipe_testkit::alertmanager::Alertmanager;
use adpipe_testkit::postgres::Postgres;
use adpipe_testkit::prometheus::Prometheus;
use adpipe_testkit::proxy::Proxy;
use adpipe_testkit::slack::Slack;
use adpipe_testkit::{eventually_within, free_port};

use crate::common::{Folder, Killed, Running, adpipe_in, printed, shown};
use crate::files::read;
use crate::setup::{Setup, alertmanager};

/// The table's times, about a twentieth. (name, window, short window, for, other threshold)
const PACE: [(&str, &str, &str, &str, Option<f64>); 10] = [
    // Longer than the warehouse's pause.
    ("ThroughputLow", "15s", "", "35s", None),
    // What waited for the warehouse is late for as long as the window, and no longer.
    ("LatencyHigh", "5s", "", "20s", None),
    ("ErrorRateHigh", "15s", "", "5s", None),
    ("ErrorBudgetBurnFast", "60s", "15s", "5s", None),
    // Left out: over before it would fire.
    ("ErrorBudgetBurnSlow", "18m", "90s", "20m", None),
    ("LagGrowing", "30s", "", "15s", None),
    ("DlqExhausted", "", "", "3s", None),
    ("DlqGrowing", "45s", "", "3s", None),
    ("WarehouseDown", "", "", "0s", Some(5.0)),
    // The disk of who runs the test is not the subject.
    ("DiskFilling", "", "", "5m", Some(0.0001)),
];

/// Long enough for the slowest step on a loaded machine.
const LIMIT: Duration = Duration::from_secs(150);

/// The table of alerts at the test's pace.
fn table() -> String {
    let mut table: toml::Table = read("config/alerts.toml").parse().unwrap();
    for alert in table["alert"].as_array_mut().unwrap() {
        let alert = alert.as_table_mut().unwrap();
        let name = alert["name"].as_str().unwrap().to_owned();
        let Some((_, window, short, hold, threshold)) = PACE.iter().find(|pace| pace.0 == name) else {
            continue;
        };
        for (key, value) in [("window", *window), ("short_window", *short), ("for", *hold)] {
            if !value.is_empty() {
                assert!(alert.contains_key(key), "{name} has no {key}");
                alert.insert(key.to_owned(), value.into());
            }
        }
        if let Some(threshold) = threshold {
            let key = if alert.contains_key("above") { "above" } else { "below" };
            alert.insert(key.to_owned(), (*threshold).into());
        }
    }
    table.to_string()
}

/// What a message says: the alert, in lower case, and whether it is over.
fn told(post: &str) -> (String, bool) {
    let post: serde_json::Value = serde_json::from_str(post).unwrap();
    let attachment = &post["attachments"][0];
    let title = attachment["title"].as_str().or_else(|| post["text"].as_str()).unwrap();
    let is_over = title.starts_with('✅');
    // Alertmanager's has the name in its title, adpipe's own in the link to the runbook.
    let name = match attachment["title"].as_str() {
        Some(title) => {
            title.split(' ').find(|word| word.is_ascii() && !word.starts_with("Resolved")).unwrap().to_owned()
        }
        None => {
            let text = post.to_string();
            let anchor = text.split("RUNBOOK.md#").nth(1).unwrap_or_else(|| panic!("no runbook in {text}"));
            anchor.split(|character: char| !character.is_ascii_alphanumeric()).next().unwrap().to_owned()
        }
    };
    (name.to_lowercase(), is_over)
}

/// Both ways' messages.
struct Ways {
    own: Slack,
    prometheus: Slack,
}

impl Ways {
    fn wait_for(&self, what: &str, name: &str, is_over: bool) {
        let expected = (name.to_lowercase(), is_over);
        let started = Instant::now();
        let have = |slack: &Slack| slack.posted().iter().any(|post| told(post) == expected);
        while !(have(&self.own) && have(&self.prometheus)) {
            assert!(
                started.elapsed() < LIMIT,
                "{what}: {expected:?} is not told\nadpipe: {:#?}\nAlertmanager: {:#?}",
                list(&self.own),
                list(&self.prometheus)
            );
            std::thread::sleep(Duration::from_millis(100));
        }
        eprintln!("{what}: told by both after {:.1?}", started.elapsed());
    }
}

fn list(slack: &Slack) -> Vec<(String, bool)> {
    slack.posted().iter().map(|post| told(post)).collect()
}

/// Every message once and its end once, in any order.
fn assert_exactly(way: &str, slack: &Slack, names: &[&str]) {
    let mut expected: Vec<(String, bool)> =
        names.iter().flat_map(|name| [false, true].map(|is_over| (name.to_lowercase(), is_over))).collect();
    expected.sort();
    let mut found = list(slack);
    found.sort();
    assert_eq!(found, expected, "{way}: {:#?}", slack.posted());
    assert!(slack.problems().is_empty(), "{way}: {:#?}", slack.problems());
}

/// The pipeline under test: `adpipe up` on the embedded log and a PostgreSQL that can be cut off.
struct Pipeline {
    folder: Folder,
    warehouse: String,
    webhook: String,
}

impl Pipeline {
    fn adpipe(&self, arguments: &[&str]) -> Command {
        let mut command = adpipe_in(self.folder.path());
        let file = |name: &str| self.folder.join(name);
        command
            .env("ADPIPE_WAREHOUSE__URL", &self.warehouse)
            .env("ADPIPE_ALERTS__RULES_FILE", file("alerts.toml"))
            .env("ADPIPE_ALERTS__EVERY", "1s")
            .env("ADPIPE_NOTIFY__CONFIG_FILE", file("slack_config.json"))
            .env("ADPIPE_NOTIFY__SLACK_WEBHOOK", &self.webhook)
            .env("ADPIPE_SCHEDULER__DAGS_FILE", file("dags.toml"))
            .env("ADPIPE_TRANSFORM__PROJECT", file("project"))
            .args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> String {
        printed(self.adpipe(arguments))
    }

    fn fails(&self, arguments: &[&str]) {
        let output = self.adpipe(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "adpipe {arguments:?}: {}", shown(&output));
    }

    /// 1,000 records a second, of which this share is broken. Each seed has events of its own: the
    /// same ones again would be duplicates.
    fn traffic(&self, seed: &str, bad: &str) -> [Killed; 2] {
        let mut source = self
            .adpipe(&["generate", "--rate", "1000", "--seed", seed, "--bad", bad])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let pipe = source.stdout.take().unwrap();
        let sink = self
            .adpipe(&["ingest", "-"])
            .stdin(pipe)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        [Killed(source), Killed(sink)]
    }
}

/// The table, a DAG that fails until a file is there, a project whose test can be made to fail, and
/// Slack without delay.
fn write_files(folder: &Path) {
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    write("alerts.toml", &table());
    let mended = folder.join("mended");
    write(
        "dags.toml",
        &format!(
            "[[dag]]\nid = \"dag_of_the_test\"\n\n[[dag.task]]\nid = \"look\"\n\
             command = [\"test\", \"-e\", \"{}\"]\n",
            mended.display()
        ),
    );
    let slack = read("config/slack_config.json").replace("\"10s\"", "\"1s\"");
    let mut slack: serde_json::Value = serde_json::from_str(&slack).unwrap();
    slack["daily_summary"]["enabled"] = false.into();
    write("slack_config.json", &slack.to_string());
}

fn write_test(folder: &Path, condition: &str) {
    let tests = folder.join("project/tests");
    std::fs::create_dir_all(&tests).unwrap();
    std::fs::write(tests.join("assert_incident.sql"), format!("select 1 as row where {condition}\n"))
        .unwrap();
}

#[test]
fn an_incident_is_told_once_by_both_ways() {
    let test = "an_incident_is_told_once_by_both_ways";
    let Some(postgres) = Postgres::start(test) else { return };
    let network = Proxy::new();
    network.set_target(postgres.port());
    let database = postgres.new_database();
    let warehouse = database.replace(&format!(":{}/", postgres.port()), &format!(":{}/", network.port()));

    let ways = Ways { own: Slack::start(), prometheus: Slack::start() };
    let folder = Folder::new();
    write_files(folder.path());
    let pipeline = Pipeline { folder, warehouse, webhook: ways.own.url() };
    let here = pipeline.folder.path().to_owned();
    pipeline.run(&["transform", "export", here.join("project").to_str().unwrap()]);

    let up = Running::start(pipeline.adpipe(&["up"]));
    let Some(alerts) = Alertmanager::start(test, &alertmanager(&here, &ways.prometheus.url())) else {
        return;
    };
    let address = format!("127.0.0.1:{}", free_port());
    let setup = Setup {
        addresses: vec![
            ("localhost:8088", up.address.clone()),
            ("localhost:9093", alerts.address().to_owned()),
            ("localhost:9090", address.clone()),
        ],
        has_roles: false,
        rules: pipeline.run(&["alerts", "rules"]),
    };
    let Some(prometheus) = Prometheus::start(test, &address, &setup.write(&here)) else { return };

    // Nothing is wrong, and nobody is told anything.
    let mut traffic = pipeline.traffic("1", "0");
    eventually_within("traffic is seen", LIMIT, || {
        prometheus
            .query("60 * sum(rate(adpipe_events_processed_total[15s]))")
            .first()
            .is_some_and(|rate| rate.value > 30_000.0)
    });
    assert_eq!(list(&ways.own), []);
    assert_eq!(list(&ways.prometheus), []);

    // Errors at 5 %.
    drop(std::mem::replace(&mut traffic, pipeline.traffic("2", "0.05")));
    ways.wait_for("errors at 5 %", "ErrorRateHigh", false);
    ways.wait_for("errors at 5 %", "DlqExhausted", false);
    // adpipe tells each alert; Alertmanager holds back what follows from another.
    let own = |name: &str, is_over: bool| {
        eventually_within(name, LIMIT, || list(&ways.own).contains(&(name.to_lowercase(), is_over)));
    };
    own("DlqGrowing", false);
    own("ErrorBudgetBurnFast", false);
    drop(std::mem::replace(&mut traffic, pipeline.traffic("3", "0")));
    ways.wait_for("no more errors", "ErrorRateHigh", true);
    pipeline.run(&["dlq", "discard", "--status", "exhausted", "--reason", "an incident", "--yes"]);
    ways.wait_for("errors are discarded", "DlqExhausted", true);
    own("DlqGrowing", true);
    own("ErrorBudgetBurnFast", true);

    // A DAG fails, and is mended.
    pipeline.fails(&["dag", "run", "dag_of_the_test"]);
    ways.wait_for("a DAG fails", "DagFailed", false);
    std::fs::write(here.join("mended"), "").unwrap();
    pipeline.run(&["dag", "run", "dag_of_the_test"]);
    ways.wait_for("it succeeds", "DagFailed", true);

    // A data test that came meanwhile fails, and passes again.
    write_test(&here, "1 = 1");
    pipeline.fails(&["transform", "test", "--select", "assert_incident"]);
    ways.wait_for("a data test fails", "DataTestsFailing", false);
    write_test(&here, "1 = 0");
    pipeline.run(&["transform", "test", "--select", "assert_incident"]);
    ways.wait_for("it passes", "DataTestsFailing", true);

    // The warehouse pauses for 30 s.
    let pause = Instant::now();
    network.cut();
    ways.wait_for("the warehouse pauses", "WarehouseDown", false);
    // The pause is as long as it is, however soon it is told.
    std::thread::sleep(Duration::from_secs(30).saturating_sub(pause.elapsed()));
    network.heal();
    ways.wait_for("it is back", "WarehouseDown", true);

    // Traffic stops, and comes back.
    drop(traffic);
    ways.wait_for("traffic stops", "ThroughputLow", false);
    let _traffic = pipeline.traffic("4", "0");
    ways.wait_for("it is back", "ThroughputLow", true);

    // What could still come has come by then: nothing is open, nothing waits.
    eventually_within("nothing is open", LIMIT, || {
        prometheus.alerts().is_empty() && alerts.active().is_empty()
    });
    let both =
        ["ErrorRateHigh", "DlqExhausted", "DagFailed", "DataTestsFailing", "WarehouseDown", "ThroughputLow"];
    assert_exactly("Alertmanager", &ways.prometheus, &both);
    assert_exactly("adpipe", &ways.own, &[&both[..], &["DlqGrowing", "ErrorBudgetBurnFast"]].concat());
}
