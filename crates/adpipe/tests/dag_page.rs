//! The console's page of DAGs, over HTTP: what it shows, and its buttons.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use adpipe_testkit::eventually;
use common::{Folder, Running};
use serde_json::Value;

const DAGS: &str = r#"
[[dag]]
id = "daily"
description = "<b>made up</b>"
schedule = "0 0 * * *"
[[dag.task]]
id = "t"
shell = "echo von Köln bis 서울 {date}; test -f mended"

[[dag]]
id = "long"
[[dag.task]]
id = "t"
shell = "echo begun; sleep 300"
"#;

struct Page {
    up: Running,
    token: String,
}

impl Page {
    fn get(&self, path: &str) -> Value {
        let (status, answer) = self.up.request("GET", path, b"");
        assert_eq!(status, 200, "{path}: {answer}");
        serde_json::from_str(&answer).unwrap()
    }

    fn post(&self, path: &str, body: &str, token: &str) -> (u16, String) {
        let headers = [("X-CSRF-Token", token), ("Content-Type", "application/json")];
        let response = self.up.send("POST", path, &headers, body.as_bytes());
        (response.status, response.body)
    }

    /// Presses a button, which must work.
    fn press(&self, path: &str, body: &str) -> Value {
        let (status, answer) = self.post(path, body, &self.token);
        assert_eq!(status, 200, "{path}: {answer}");
        serde_json::from_str(&answer).unwrap()
    }
}

#[test]
fn buttons_do_what_they_say_and_only_on_our_page() {
    let folder = Folder::new();
    std::fs::create_dir(folder.join("config")).unwrap();
    std::fs::write(folder.join("config/dags.toml"), DAGS).unwrap();
    let up = Running::start(folder.adpipe(&["up"]));
    for (language, word) in [("en", "Run now"), ("ko", "지금 실행")] {
        let (status, page) = up.request("GET", &format!("/dags?lang={language}"), b"");
        assert!(status == 200 && page.contains(word), "{page}");
    }
    let (_, html) = up.request("GET", "/dags", b"");
    let token = html.split("name=\"csrf-token\" content=\"").nth(1).unwrap();
    let token = token.split('"').next().unwrap().to_owned();
    let page = Page { up, token };

    let list = page.get("/api/dags");
    assert_eq!(list["dags"][0]["id"], "daily");
    assert_eq!(list["dags"][0]["description"], "<b>made up</b>");
    eventually("the scheduler is at work", || page.get("/api/dags")["has_scheduler"] == true);

    // Without the page's token nothing is done.
    let (status, _) = page.post("/api/dags/daily/run", "{}", "guessed");
    assert_eq!(status, 403);
    assert_eq!(page.get("/api/dags/daily")["columns"], Value::Array(Vec::new()));

    let run =
        page.press("/api/dags/daily/run", r#"{"date": "2026-01-31"}"#)["run"].as_str().unwrap().to_owned();
    let of_run = format!("/api/dags/daily/runs/{run}");
    eventually("it fails", || page.get(&of_run)["state"] == "failed");
    assert_eq!(page.get("/api/dags/daily")["columns"][0]["tasks"]["t"]["state"], "failed");
    let log = page.get(&format!("{of_run}/log?task=t&try=1"));
    assert!(log["text"].as_str().unwrap().contains("von Köln bis 서울 2026-01-31"), "{log}");
    assert_eq!(log["over"], true);
    // A piece begins where the last one ended.
    let rest = page.get(&format!("{of_run}/log?task=t&try=1&from={}", log["next"]));
    assert_eq!(rest["text"], "");

    std::fs::write(folder.join("mended"), "").unwrap();
    page.press(&format!("{of_run}/retry"), "{}");
    eventually("it succeeds", || page.get(&of_run)["state"] == "success");
    let (status, answer) = page.post(&format!("{of_run}/retry"), "{}", &page.token);
    assert_eq!(status, 409, "{answer}");
    let (status, answer) = page.post("/api/dags/daily/run", r#"{"date": "tomorrow"}"#, &page.token);
    assert_eq!(status, 409, "{answer}");
    let (status, answer) = page.post("/api/dags/nothing/run", "{}", &page.token);
    assert_eq!(status, 409, "{answer}");

    let found = page.press("/api/dags/daily/backfill", r#"{"from": "2026-01-30", "to": "2026-02-01"}"#);
    assert_eq!(found["queued"], 3);
    eventually("the backfill is done", || {
        let columns = page.get("/api/dags/daily")["columns"].clone();
        columns.as_array().unwrap().iter().filter(|run| run["state"] == "success").count() == 4
    });

    let run = page.press("/api/dags/long/run", "{}")["run"].as_str().unwrap().to_owned();
    let of_run = format!("/api/dags/long/runs/{run}");
    eventually("its log grows", || {
        let (status, answer) = page.up.request("GET", &format!("{of_run}/log?task=t&try=1"), b"");
        status == 200 && answer.contains("\\nbegun")
    });
    page.press(&format!("{of_run}/cancel"), "{}");
    eventually("it is cancelled", || page.get(&of_run)["state"] == "cancelled");

    let (_, metrics) = page.up.request("GET", "/metrics", b"");
    for series in [
        "adpipe_dag_runs_total{dag=\"daily\",state=\"failed\"} 1",
        "adpipe_dag_runs_total{dag=\"daily\",state=\"success\"} 4",
        "adpipe_dag_runs_total{dag=\"long\",state=\"cancelled\"} 1",
        "adpipe_dag_run_duration_seconds_count{dag=\"daily\"} 5",
        "adpipe_scheduler_last_success_timestamp_seconds{dag=\"daily\"}",
    ] {
        assert!(metrics.contains(series), "{series} is not in\n{metrics}");
    }
}
