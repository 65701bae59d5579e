//! A source with field names of its own, from `adpipe doctor --sample` to the marts: by HTTP, by
//! `adpipe ingest`, by `adpipe etl` and through Kafka, with errors that are repaired on the way.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use adpipe_testkit::eventually;
use common::{Folder, Running};
use serde_json::{Value, json};

const ROWS: usize = 6_000;

/// What the made-up source calls its fields. It knows nothing of apps.
const NAMES: [(&str, &str); 13] = [
    ("id", "requestId"),
    ("click", "wasClicked"),
    ("hour", "servedAt"),
    ("banner_pos", "adPosition"),
    ("device_type", "deviceType"),
    ("device_conn_type", "connectionType"),
    ("site_id", "publisherId"),
    ("site_domain", "pageDomain"),
    ("site_category", "pageCategory"),
    ("device_id", "ifa"),
    ("device_ip", "ipAddress"),
    ("device_model", "handset"),
    ("C14", "c14"),
];

/// Events as the source sends them, and how many of them are clicks.
fn events(folder: &Folder) -> (Vec<Value>, u64) {
    let rows = ROWS.to_string();
    let days = ["--start", "2026-03-01", "--end", "2026-03-03"];
    let account = folder.generate("ours.ndjson", &[&["--rows", &rows, "--seed", "7"][..], &days].concat());
    let text = std::fs::read_to_string(folder.join("ours.ndjson")).unwrap();
    let theirs = |line: &str| {
        let ours: Value = serde_json::from_str(line).unwrap();
        let mut theirs = json!({"currency": "EUR"});
        for (name, other) in NAMES {
            theirs[other] = ours[name].clone();
        }
        theirs
    };
    (text.lines().map(theirs).collect(), account["clicks"].as_u64().unwrap())
}

fn ndjson(events: &[Value]) -> String {
    events.iter().map(|event| format!("{event}\n")).collect()
}

fn csv(events: &[Value]) -> String {
    let mut text = NAMES.map(|(_, name)| name).join(",") + "\n";
    for event in events {
        let cell = |name: &str| match &event[name] {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            value => value.to_string(),
        };
        text += &(NAMES.map(|(_, name)| cell(name)).join(",") + "\n");
    }
    text
}

/// Has `adpipe doctor` look at a file, and takes its word for it.
fn configure(folder: &Folder, sample: &str) -> Value {
    let report: Value = serde_json::from_str(&folder.run(&["doctor", "--sample", sample, "--json"])).unwrap();
    assert_eq!(report["present"]["valid"], 0, "{report}");
    assert_eq!(report["proposed"]["valid"], report["records"], "{report}");
    assert_eq!((&report["open"], &report["not_read"]), (&json!([]), &json!(["currency"])), "{report}");
    for app in ["app_id", "app_domain", "app_category"] {
        assert_eq!(report["fields"][app]["default"], "none", "{report}");
    }
    std::fs::write(folder.join("adpipe.toml"), report["toml"].as_str().unwrap()).unwrap();
    report
}

#[test]
fn a_source_of_its_own_goes_from_a_sample_to_the_marts() {
    let folder = Folder::new();
    let (events, clicks) = events(&folder);
    std::fs::write(folder.join("sample.ndjson"), ndjson(&events[..500])).unwrap();
    configure(&folder, "sample.ndjson");
    // The table is what is printed for people as well, and with it there is nothing to propose.
    let said = folder.run(&["doctor", "--sample", "sample.ndjson"]);
    assert!(said.contains("500 valid, 0 invalid") && said.contains("nothing to add"), "{said}");
    let shown = folder.run(&["config", "show"]);
    assert!(shown.contains("wasClicked"), "{shown}");

    // By HTTP, in JSON and CSV; the second time everything is a duplicate, whatever its format.
    let (over_http, rest) = events.split_at(2_000);
    let up = Running::start(folder.adpipe(&["up"]));
    for body in [ndjson(over_http), csv(over_http)] {
        let (status, answer) = up.request("POST", "/v1/events", body.as_bytes());
        assert_eq!(status, 202, "{answer}");
    }
    let counted = |name: &str| folder.account()[name].as_u64().unwrap_or(0);
    eventually("both are counted", || counted("records") == 4_000);
    assert_eq!((counted("valid"), counted("duplicates")), (2_000, 2_000), "{}", folder.account());
    up.signal("TERM");
    drop(up);

    // By file: into the log, and in batch.
    let (ingested, in_batch) = rest.split_at(2_000);
    std::fs::write(folder.join("theirs.csv"), csv(ingested)).unwrap();
    folder.run(&["ingest", "--wait", "theirs.csv"]);
    std::fs::create_dir_all(folder.join("data/raw")).unwrap();
    std::fs::write(folder.join("data/raw/a.csv"), csv(&in_batch[..1_000])).unwrap();
    std::fs::write(folder.join("data/raw/b.ndjson"), ndjson(&in_batch[1_000..])).unwrap();
    folder.run(&["etl"]);

    folder.run(&["transform", "build"]);
    let sums = folder.row(
        "select sum(impressions) as impressions, sum(clicks) as clicks,
                (select sum(impressions) from analytics.mart_category_analysis
                 where category_kind = 'app' and category = 'none') as without_app
         from analytics.mart_daily_ctr",
    );
    assert_eq!(sums, json!({"impressions": ROWS, "clicks": clicks, "without_app": ROWS}));
    let verdict = folder.run(&["verify", "--deep"]);
    assert!(verdict.contains("zero residue"), "{verdict}");
}

#[test]
fn errors_of_a_mapped_source_are_repaired_by_our_names_and_theirs() {
    let folder = Folder::new();
    let (events, _) = events(&folder);
    std::fs::write(folder.join("sample.csv"), csv(&events[..200])).unwrap();
    let report: Value =
        serde_json::from_str(&folder.run(&["doctor", "--sample", "sample.csv", "--json"])).unwrap();
    // Nothing of such a file is taken as things are.
    assert!(
        report["present"]["causes"][0]["message"].as_str().unwrap().contains("the header lacks"),
        "{report}"
    );
    std::fs::write(folder.join("adpipe.toml"), report["toml"].as_str().unwrap()).unwrap();

    let mut wrong: Vec<Value> = events[..4].to_vec();
    for event in &mut wrong {
        event["wasClicked"] = 7.into();
    }
    std::fs::write(folder.join("wrong.ndjson"), ndjson(&wrong[..2])).unwrap();
    std::fs::write(folder.join("wrong.csv"), csv(&wrong[2..])).unwrap();
    folder.run(&["ingest", "--wait", "wrong.ndjson", "wrong.csv"]);
    let listed = folder.run(&["dlq", "list", "--json"]);
    let errors: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(errors.len(), 4, "{listed}");
    for (error, field) in errors.iter().zip(["click", "wasClicked", "click", "wasClicked"]) {
        let message = error["error_message"].as_str().or(error["message"].as_str()).unwrap();
        assert_eq!(message, "click 7 is out of range 0..=1; click is read from wasClicked");
        let told =
            folder.run(&["dlq", "edit", error["error_id"].as_str().unwrap(), "--set", &format!("{field}=1")]);
        assert!(told.contains("applied"), "{told}");
    }
    assert_eq!(
        folder.row("select count(*) as n, sum(click) as clicks from realtime.events"),
        json!({"n": 4, "clicks": 4})
    );
    let verdict = folder.run(&["verify"]);
    assert!(verdict.contains("zero residue"), "{verdict}");

    // Records from before the mapping stay proven: what was counted by our names is still an event.
    std::fs::rename(folder.join("adpipe.toml"), folder.join("theirs.toml")).unwrap();
    folder.run(&["ingest", "--wait", "ours.ndjson"]);
    std::fs::rename(folder.join("theirs.toml"), folder.join("adpipe.toml")).unwrap();
    let verdict = folder.run(&["verify"]);
    assert!(verdict.contains("zero residue"), "{verdict}");
}

#[test]
fn a_wrong_table_is_refused_with_its_line() {
    let folder = Folder::new();
    std::fs::write(folder.join("adpipe.toml"), "[event.fields]\nid = \"uid\"\ndevice_id = \"uid\"\n")
        .unwrap();
    let words = folder.fail(2, &["config", "show"]);
    assert!(words.contains("adpipe.toml:2:6:") && words.contains("for id and for device_id"), "{words}");
    std::fs::remove_file(folder.join("adpipe.toml")).unwrap();
    assert!(folder.fail(1, &["doctor", "--sample", "nowhere.csv"]).contains("cannot read nowhere.csv"));
}

/// A producer that knows nothing of adpipe writes to the topic itself.
#[cfg(feature = "kafka")]
#[test]
fn a_mapped_source_comes_through_kafka() {
    let test = "a_mapped_source_comes_through_kafka";
    let Some(kafka) = adpipe_testkit::kafka::Kafka::start(test) else { return };
    let folder = Folder::new();
    let (events, clicks) = events(&folder);
    std::fs::write(folder.join("sample.ndjson"), ndjson(&events[..500])).unwrap();
    configure(&folder, "sample.ndjson");
    let adpipe = |arguments: &[&str]| {
        let mut command = common::adpipe_in(folder.path());
        command.env("ADPIPE_LOG__URL", kafka.url()).args(arguments);
        common::printed(command)
    };
    adpipe(&["doctor", "--fix"]);
    let (by_producer, by_file) = events.split_at(ROWS / 2);
    let address = kafka.address();
    let sent = adpipe_testkit::kafka::kcat(
        &["-b", &address, "-P", "-t", "ad_events_raw"],
        ndjson(by_producer).as_bytes(),
    );
    let Some(sent) = sent else {
        return adpipe_testkit::skip(test, "kcat is missing; apt-get install kcat");
    };
    assert!(sent.status.success(), "{}", common::shown(&sent));
    std::fs::write(folder.join("theirs.csv"), csv(by_file)).unwrap();
    adpipe(&["ingest", "--wait", "theirs.csv"]);
    let sql =
        "select sum(valid) as valid, sum(clicks) as clicks, sum(records) as records from realtime.commits";
    let counted: Value = serde_json::from_str(&adpipe(&["sql", "--json", sql])).unwrap();
    assert_eq!(counted[0], json!({"valid": ROWS, "clicks": clicks, "records": ROWS}));
    assert!(adpipe(&["verify"]).contains("zero residue"));
}
