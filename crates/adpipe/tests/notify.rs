//! The commands that tell people, and the secret that they use.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use std::process::{Command, Output, Stdio};

use adpipe_testkit::eventually;
use adpipe_testkit::postgres::Postgres;
use adpipe_testkit::slack::{Answer, Slack};
use common::{Folder, Killed, Running, shown};
use serde_json::Value;

/// What the address of the stand-in's webhook ends with.
const SECRET: &str = "XXX";

fn with_slack(mut command: Command, slack: &Slack) -> Output {
    command.env("ADPIPE_NOTIFY__SLACK_WEBHOOK", slack.url()).output().unwrap()
}

#[test]
fn a_test_message_says_where_it_goes_and_what_slack_said() {
    let (folder, slack) = (Folder::new(), Slack::start());
    let output = with_slack(folder.adpipe(&["alerts", "test-notify"]), &slack);
    assert!(output.status.success(), "{}", shown(&output));
    let text = shown(&output);
    let host = slack.url().split('/').nth(2).unwrap().to_owned();
    for expected in [
        format!("to {host} (http://{host}/services/T0…/B0…/…, from ADPIPE_NOTIFY__SLACK_WEBHOOK)"),
        "#adpipe-alerts; a webhook posts to the channel it was made for".to_owned(),
        "Slack took it".to_owned(),
    ] {
        assert!(text.contains(&expected), "{expected} is not in\n{text}");
    }
    let posted: Value = serde_json::from_str(&slack.posted()[0]).unwrap();
    assert_eq!(posted["text"], "🔔 adpipe can reach you here");
    assert_eq!(slack.problems(), Vec::<String>::new());
    assert!(!folder.join("data").exists(), "a test message needs no data");
}

#[test]
fn what_slack_says_against_it_comes_with_advice() {
    let (folder, slack) = (Folder::new(), Slack::start());
    slack.answer_next([
        Answer::Status(404, "no_service"),
        Answer::Status(410, "channel_is_archived"),
        Answer::TooMany(7),
        Answer::Close,
    ]);
    for expected in [
        "Slack refuses it: HTTP 404 no_service\nthe webhook is gone or switched off: make a new one",
        "HTTP 410 channel_is_archived\nthe webhook's channel is gone",
        "Slack asks to wait 7 s",
        "Slack did not accept it: ",
    ] {
        let output = with_slack(folder.adpipe(&["alerts", "test-notify"]), &slack);
        assert_eq!(output.status.code(), Some(1), "{}", shown(&output));
        assert!(shown(&output).contains(expected), "{expected} is not in\n{}", shown(&output));
    }
}

#[test]
fn without_a_webhook_it_says_how_to_set_one() {
    let folder = Folder::new();
    let words = folder.fail(1, &["alerts", "test-notify"]);
    assert!(words.contains("no webhook is set") && words.contains("webhook_file"), "{words}");
    let words = folder.fail(1, &["alerts", "summary", "--send"]);
    assert!(words.contains("no webhook is set"), "{words}");
}

#[test]
fn the_webhook_is_shown_nowhere() {
    let (folder, slack) = (Folder::new(), Slack::start());
    let file = folder.join("webhook");
    std::fs::write(&file, format!("{}\n", slack.url())).unwrap();
    let gone = format!("http://127.0.0.1:{}/services/T000/B000/{SECRET}", adpipe_testkit::free_port());
    slack.answer_always(Answer::Status(500, "failed for services/T000/B000/XXX"));
    let configurations: [(&str, &str); 4] = [
        ("ADPIPE_NOTIFY__SLACK_WEBHOOK", &slack.url()),
        ("ADPIPE_NOTIFY__SLACK_WEBHOOK", &gone),
        ("ADPIPE_NOTIFY__SLACK_WEBHOOK", "http://hooks.example/services/T000/B000/XXX"),
        ("ADPIPE_NOTIFY__WEBHOOK_FILE", file.to_str().unwrap()),
    ];
    for (variable, value) in configurations {
        for arguments in [
            &["config", "show"] as &[&str],
            &["config", "show", "--json"],
            &["doctor"],
            &["-vv", "alerts", "test-notify"],
            &["-vv", "alerts", "summary", "--send"],
        ] {
            let output =
                folder.adpipe(arguments).env(variable, value).env("RUST_LOG", "trace").output().unwrap();
            assert!(!shown(&output).contains(SECRET), "{variable} {arguments:?}: {}", shown(&output));
        }
    }
    let mut command = folder.adpipe(&["config", "show"]);
    let output = command.env("ADPIPE_NOTIFY__SLACK_WEBHOOK", &gone).output().unwrap();
    assert!(shown(&output).contains("# slack webhook: set by ADPIPE_NOTIFY__SLACK_WEBHOOK (hidden)"));
}

#[test]
fn a_wrong_slack_config_is_refused_with_its_place() {
    let (folder, slack) = (Folder::new(), Slack::start());
    std::fs::create_dir(folder.join("config")).unwrap();
    std::fs::write(folder.join("config/slack_config.json"), "{\n  \"language\": \"kr\"\n}").unwrap();
    let output = with_slack(folder.adpipe(&["alerts", "test-notify"]), &slack);
    assert_eq!(output.status.code(), Some(2), "{}", shown(&output));
    let text = shown(&output);
    let words = "unknown variant `kr`, did you mean `ko`? expected `en` or `ko`";
    assert!(text.contains(&format!("config/slack_config.json:2:18: {words}")), "{text}");
    assert_eq!(slack.posts().len(), 0);
    let mut command = folder.adpipe(&["alerts", "test-notify"]);
    let output = command.env("ADPIPE_NOTIFY__CONFIG_FILE", "nowhere.json").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(shown(&output).contains("nowhere.json does not exist"), "{}", shown(&output));
    let output = with_slack(folder.adpipe(&["alerts", "summary", "--date", "yesterday"]), &slack);
    assert_eq!(output.status.code(), Some(2));
}

/// The figures of `adpipe alerts summary` and those of `adpipe sql` on the same data.
fn summary_equals_sql(adpipe: &dyn Fn(&[&str]) -> Command) {
    let run = |arguments: &[&str]| {
        let output = adpipe(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", shown(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let row = |sql: &str| -> Value {
        let rows: Value = serde_json::from_str(&run(&["sql", "--json", sql])).unwrap();
        rows[0].clone()
    };
    for (day, before) in [("2014-10-22", "2014-10-21"), ("2014-10-23", "2014-10-22")] {
        let text = run(&["alerts", "summary", "--date", day, "--json"]);
        let summary: Value = serde_json::from_str(&text).unwrap();
        for (figures, day) in [("figures", day), ("day_before", before)] {
            let sql = row(&format!(
                "select count(*) as events, sum(click) as clicks from realtime.events
                 where event_time >= '{day} 00:00:00' and event_time <= '{day} 23:59:59.999'"
            ));
            assert!(sql["events"].as_u64().unwrap() > 1_000);
            assert_eq!(summary[figures]["events"], sql["events"], "{day}");
            assert_eq!(summary[figures]["clicks"], sql["clicks"], "{day}");
        }
        let peak = row(&format!(
            "select sum(impressions) as events from realtime.metrics_hourly
             where window_start >= '{day} 00:00:00' and window_start <= '{day} 23:00:00'
             group by window_start order by 1 desc limit 1"
        ));
        assert_eq!(summary["peak_hour"]["events"].as_f64(), peak["events"].as_f64());
        let hours: u64 =
            summary["hours"].as_array().unwrap().iter().map(|hour| hour["events"].as_u64().unwrap()).sum();
        assert_eq!(Some(hours), summary["figures"]["events"].as_u64());
    }
    // Errors come today, whatever the time of their events.
    let today = row("select substr(cast(max(committed_at) as text), 1, 10) as day from realtime.commits");
    let text = run(&["alerts", "summary", "--date", today["day"].as_str().unwrap(), "--json"]);
    let summary: Value = serde_json::from_str(&text).unwrap();
    let rows: Value = serde_json::from_str(&run(&[
        "sql",
        "--json",
        "select error_type, count(*) as errors from errors.dlq_errors group by error_type",
    ]))
    .unwrap();
    let rows = rows.as_array().unwrap();
    assert!(rows.len() > 2, "{rows:?}");
    for row in rows {
        let kind = row["error_type"].as_str().unwrap();
        assert_eq!(summary["errors_by_type"][kind], row["errors"], "{kind}");
    }
    assert_eq!(summary["errors_by_type"].as_object().unwrap().len(), rows.len());
    let open = row(
        "select count(*) as open from errors.dlq_errors where status in ('pending', 'retrying', 'exhausted')",
    );
    assert_eq!(summary["dlq"]["open"], open["open"]);
    assert!(summary["slowest_hour"]["p95_seconds"].as_f64().unwrap() > 0.0, "{summary}");
}

/// Three days of events with errors among them, counted, and their errors stored.
fn three_days(folder: &Folder, adpipe: &dyn Fn(&[&str]) -> Command) {
    let arguments = ["--rows", "20000", "--bad", "0.01", "--start", "2014-10-21", "--end", "2014-10-24"];
    let made = folder.generate("events.ndjson", &arguments);
    let bad: u64 =
        ["parse", "schema", "validation", "future"].iter().map(|kind| made[kind].as_u64().unwrap()).sum();
    let file = folder.join("events.ndjson");
    let output = adpipe(&["ingest", "--wait", file.to_str().unwrap()]).output().unwrap();
    assert!(output.status.success(), "{}", shown(&output));
    let queue = adpipe(&["run", "dlq"]).stdout(Stdio::null()).spawn().unwrap();
    let _queue = Killed(queue);
    eventually("every error is stored", || {
        let mut sql = adpipe(&["sql", "--format", "csv", "select count(*) as n from errors.dlq_errors"]);
        let output = sql.output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim() == format!("n\n{bad}")
    });
}

#[test]
fn the_summary_equals_the_warehouse() {
    let (folder, slack) = (Folder::new(), Slack::start());
    let adpipe = |arguments: &[&str]| folder.adpipe(arguments);
    three_days(&folder, &adpipe);
    summary_equals_sql(&adpipe);
    let text = folder.run(&["alerts", "summary", "--date", "2014-10-22"]);
    assert!(text.starts_with("📊 Wed 22 Oct 2014\nCTR: "), "{text}");
    let output = with_slack(folder.adpipe(&["alerts", "summary", "--date", "2014-10-22", "--send"]), &slack);
    assert!(output.status.success() && shown(&output).contains("Slack took it"), "{}", shown(&output));
    assert_eq!((slack.posted().len(), slack.problems().len()), (1, 0));
}

#[test]
fn the_summary_equals_the_warehouse_on_postgresql() {
    let Some(server) = Postgres::shared("the_summary_equals_the_warehouse_on_postgresql") else { return };
    let (folder, url) = (Folder::new(), server.new_database());
    let adpipe = |arguments: &[&str]| {
        let mut command = common::adpipe_in(folder.path());
        command.env("ADPIPE_WAREHOUSE__URL", &url).args(arguments);
        command
    };
    three_days(&folder, &adpipe);
    summary_equals_sql(&adpipe);
}

/// A rule that fires on every machine: something lies on its disk.
fn always(name: &str) -> String {
    format!(
        "[[alert]]\nname = \"{name}\"\nsignal = \"disk_free\"\nbelow = 1.0\nfor = \"0s\"\nseverity = \"critical\"\n\
         summary = \"{{value}} free on {{host}}\"\nsummary_ko = \"{{host}} {{value}}\"\n"
    )
}

#[test]
fn up_tells_slack_of_an_alert_once_over_kill_9() {
    let (folder, slack) = (Folder::new(), Slack::start());
    std::fs::create_dir(folder.join("config")).unwrap();
    let settings = r#"{"group_wait": "100ms", "daily_summary": {"enabled": false}}"#;
    std::fs::write(folder.join("config/slack_config.json"), settings).unwrap();
    let up = |rules: String| {
        std::fs::write(folder.join("rules.toml"), rules).unwrap();
        let mut command = folder.adpipe(&["up"]);
        command.env("ADPIPE_ALERTS__RULES_FILE", folder.join("rules.toml"));
        command.env("ADPIPE_ALERTS__EVERY", "300ms");
        command.env("ADPIPE_ALERTS__CONSOLE_URL", "https://console.example");
        command.env("ADPIPE_NOTIFY__SLACK_WEBHOOK", slack.url());
        Running::start(command)
    };
    // Of a rule that has no title of ours, the title is its name.
    let told = |rule: &str| {
        slack.posted().iter().filter(|body| body.contains(&format!("\u{1f534} {rule} "))).count()
    };
    let first = up(always("Marker"));
    eventually("the alert is told", || told("Marker") == 1);
    let body = slack.posted()[0].clone();
    assert!(body.contains("https://console.example/operations"), "{body}");
    first.signal("KILL");
    drop(first);
    // The next process knows that it was told; what is new to it is told.
    let second = up(always("Marker") + &always("Other"));
    eventually("the other alert is told", || told("Other") == 1);
    second.signal("TERM");
    drop(second);
    let _third = up(always("Last"));
    eventually("the last one is told", || told("Last") == 1);
    assert_eq!((told("Marker"), told("Other"), told("Last")), (1, 1, 1), "{:#?}", slack.posted());
    assert_eq!(slack.problems(), Vec::<String>::new());
    let shown = folder.run(&["alerts", "history"]);
    assert!(shown.contains("Marker") && shown.contains("Last"), "{shown}");
}
