//! What the monitor announces comes to Slack once, whatever Slack does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use std::time::Duration;

use adpipe_event::Millis;
use adpipe_monitor::announce::{Announce, Change};
use adpipe_testkit::eventually;
use adpipe_testkit::slack::{Answer, Slack};
use common::announcements::announcement;
use common::{Running, files, header, quick};

#[test]
fn each_change_is_told_once_however_often_it_is_announced() {
    let (slack, folder) = (Slack::start(), tempfile::tempdir().unwrap());
    let mut running = Running::start(folder.path(), Some(&slack.url()), quick(""));
    for _ in 0..3 {
        running.fire("DagFailed", "a");
    }
    eventually("the alert is told", || slack.posted().len() == 1);
    eventually("it is noted", || files(folder.path(), "told") == ["a.fired.json"]);
    running.fire("DagFailed", "a");
    running.end();

    let mut again = Running::start(folder.path(), Some(&slack.url()), quick(""));
    again.fire("DagFailed", "a");
    again.resolve("DagFailed", "a");
    again.resolve("DagFailed", "a");
    eventually("its end is told", || slack.posted().len() == 2);
    again.fire("LagGrowing", "b");
    eventually("another one is told", || slack.posted().len() == 3);
    let headers: Vec<String> = slack.posted().iter().map(|body| header(body)).collect();
    assert_eq!(
        headers,
        ["🔴 DAG failed · dag_1", "✅ Resolved: DAG failed · dag_1", "🟠 The backlog is growing"]
    );
    eventually("nothing waits", || files(folder.path(), "waiting").is_empty());
    assert_eq!(files(folder.path(), "told"), ["b.fired.json"]);
    assert_eq!(slack.problems(), Vec::<String>::new());
    assert_eq!((again.counted("dag_failed", "sent"), again.counted("lag_growing", "sent")), (1, 1));
}

#[test]
fn what_comes_together_is_one_message() {
    let (slack, folder) = (Slack::start(), tempfile::tempdir().unwrap());
    let config = quick(", \"throttle\": {\"messages_per_hour\": 5}");
    let config = adpipe_notify::config::SlackConfig {
        group_wait: adpipe_runtime::Span(Duration::from_millis(500)),
        ..config
    };
    let mut running = Running::start(folder.path(), Some(&slack.url()), config);
    for id in ["a", "b", "c"] {
        running.fire("DagFailed", id);
    }
    running.fire("DagMissed", "d");
    running.resolve("DagMissed", "d");
    eventually("both kinds are told", || slack.posted().len() == 2);
    let mut headers: Vec<String> = slack.posted().iter().map(|body| header(body)).collect();
    headers.sort();
    assert_eq!(headers, ["☑️ Came and went: DAG did not start · dag_1", "🔴 DAG failed (3)"]);
}

#[test]
fn a_busy_slack_is_given_the_time_that_it_asks_for() {
    let (slack, folder) = (Slack::start(), tempfile::tempdir().unwrap());
    slack.answer_next([Answer::TooMany(2)]);
    let mut running = Running::start(folder.path(), Some(&slack.url()), quick(""));
    running.fire("DagFailed", "a");
    eventually("it is told", || slack.posted().len() == 1);
    let posts = slack.posts();
    assert_eq!(posts.iter().map(|post| post.status).collect::<Vec<_>>(), [429, 200]);
    assert!(posts[1].at - posts[0].at >= Duration::from_secs(2));
    assert_eq!(running.counted("dag_failed", "failed"), 1);
}

#[test]
fn a_broken_slack_is_asked_again() {
    let (slack, folder) = (Slack::start(), tempfile::tempdir().unwrap());
    slack.answer_next([Answer::Status(500, "server_error"), Answer::Close, Answer::Status(503, "")]);
    let mut running = Running::start(folder.path(), Some(&slack.url()), quick(""));
    running.fire("DagFailed", "a");
    eventually("it is told", || slack.posted().len() == 1);
    assert_eq!(slack.posts().len(), 4);
    assert_eq!(running.counted("dag_failed", "failed"), 3);
}

#[test]
fn a_success_that_says_no_is_not_taken_for_one() {
    let (slack, folder) = (Slack::start(), tempfile::tempdir().unwrap());
    let page: &'static str =
        Box::leak(format!("<html>{}</html>", "Sign in. ".repeat(4_000)).into_boxed_str());
    slack.answer_next([
        Answer::Status(200, page),
        Answer::Status(200, r#"{"ok":false,"error":"channel_not_found"}"#),
        Answer::Status(200, r#"{"success":true}"#),
    ]);
    let mut running = Running::start(folder.path(), Some(&slack.url()), quick(""));
    running.fire("DagFailed", "a");
    eventually("the page is asked again and Slack refuses", || {
        files(folder.path(), "refused") == ["a.fired.json"]
    });
    running.fire("DagFailed", "b");
    eventually("another server's success is one", || running.counted("dag_failed", "sent") == 1);
    assert_eq!((running.counted("dag_failed", "failed"), running.counted("dag_failed", "refused")), (1, 1));
    assert_eq!(slack.posts().len(), 3);
}

#[test]
fn while_slack_is_away_messages_are_kept_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let (port, url) = {
        let slack = Slack::start();
        (slack.port(), slack.url())
    };
    let mut running = Running::start(folder.path(), Some(&url), quick(""));
    let age = running.notifier.spool_age();
    running.fire("DagFailed", "a");
    eventually("a post has failed", || running.counted("dag_failed", "failed") > 0);
    eventually("it is seen to wait", || age().is_some());
    running.fire("DagFailed", "b");
    running.resolve("DagFailed", "a");
    running.end();
    assert_eq!(files(folder.path(), "waiting").len(), 3);

    // The process starts again, and Slack is back.
    let slack = Slack::start_on(port);
    let again = Running::start(folder.path(), Some(&url), quick(""));
    eventually("both are told", || slack.posted().len() == 2);
    let mut headers: Vec<String> = slack.posted().iter().map(|body| header(body)).collect();
    headers.sort();
    assert_eq!(headers, ["☑️ Came and went: DAG failed · dag_1", "🔴 DAG failed · dag_1"]);
    eventually("nothing waits", || again.notifier.spool_age()().is_none());
    assert!(again.metrics.render().unwrap().contains("adpipe_notifications_waiting_seconds 0"));
}

#[test]
fn what_slack_refuses_is_put_aside_and_not_tried_for_ever() {
    let (slack, folder) = (Slack::start(), tempfile::tempdir().unwrap());
    slack.answer_next([Answer::Status(404, "no_service")]);
    let mut running = Running::start(folder.path(), Some(&slack.url()), quick(""));
    running.fire("DagFailed", "a");
    eventually("it is put aside", || files(folder.path(), "refused") == ["a.fired.json"]);
    running.fire("DagFailed", "a");
    running.fire("DlqExhausted", "b");
    eventually("another one is told", || slack.posted().len() == 1);
    assert_eq!(slack.posts().len(), 2);
    assert_eq!(running.counted("dag_failed", "refused"), 1);
}

#[test]
fn a_slack_that_does_not_answer_keeps_nobody_waiting() {
    let (slack, folder) = (Slack::start(), tempfile::tempdir().unwrap());
    slack.answer_always(Answer::Hang);
    let mut running = Running::start(folder.path(), Some(&slack.url()), quick(""));
    running.fire("DagFailed", "first");
    eventually("Slack holds a post", || slack.posts().len() == 1);
    for id in 0..100 {
        running.fire("DagFailed", &id.to_string());
    }
    // All of that went while Slack held the first post, and so does the end of the process.
    assert_eq!((slack.posts().len(), running.counted("dag_failed", "failed")), (1, 0));
    running.end();
    assert_eq!(slack.posts().len(), 1);
    assert_eq!(files(folder.path(), "waiting").len(), 101);
}

#[test]
fn of_two_processes_on_one_spool_one_sends() {
    let (slack, folder) = (Slack::start(), tempfile::tempdir().unwrap());
    let mut first = Running::start(folder.path(), Some(&slack.url()), quick(""));
    let mut second = Running::start(folder.path(), Some(&slack.url()), quick(""));
    for id in ["a", "b"] {
        first.fire("DagFailed", id);
        second.fire("DagFailed", id);
        second.fire("LagGrowing", &format!("lag-{id}"));
    }
    eventually("all is told", || files(folder.path(), "told").len() == 4);
    first.resolve("DagFailed", "a");
    second.resolve("DagFailed", "a");
    first.end();
    // Anyone who is left continues.
    second.resolve("LagGrowing", "lag-a");
    eventually("the ends are told", || files(folder.path(), "told").len() == 2);
    second.fire("DagFailed", "a");
    let told: usize = slack.posted().iter().map(|body| body.matches("Resolved").count()).sum();
    // Each message has it in its header and in its line for the notification.
    assert_eq!(told, 4);
}

#[test]
fn without_a_webhook_nothing_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let spool = folder.path().join("spool");
    let mut running = Running::start(&spool, None, quick(""));
    running.fire("DagFailed", "a");
    assert!(!spool.exists());
    assert_eq!(running.notifier.webhook(), None);
    let text = running.metrics.render().unwrap();
    for series in [
        "adpipe_notifications_total{kind=\"dag_failed\",outcome=\"sent\"} 0",
        "adpipe_notifications_total{kind=\"daily_summary\",outcome=\"refused\"} 0",
        "adpipe_notifications_waiting_seconds 0",
    ] {
        assert!(text.contains(series), "{series} is not in\n{text}");
    }
}

#[test]
fn what_an_earlier_run_left_goes_when_there_is_no_webhook_for_a_day() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("http://127.0.0.1:{}/x", adpipe_testkit::free_port());
    let mut running = Running::start(folder.path(), Some(&url), quick(""));
    running.fire("DagFailed", "new");
    running.fire("DagFailed", "old");
    running.end();
    let old = folder.path().join("waiting/old.fired.json");
    let mut entry: serde_json::Value = serde_json::from_slice(&std::fs::read(&old).unwrap()).unwrap();
    entry["alert"]["stored_at"] = (Millis::now().0 - 86_400_001).into();
    std::fs::write(&old, entry.to_string()).unwrap();
    Running::start(folder.path(), None, quick("")).end();
    assert_eq!(files(folder.path(), "waiting"), ["new.fired.json"]);
}

#[test]
fn a_silenced_alert_is_not_told_and_may_be_announced_again() {
    let (slack, folder) = (Slack::start(), tempfile::tempdir().unwrap());
    let mut running = Running::start(folder.path(), Some(&slack.url()), quick(""));
    let mut silenced = announcement("DagFailed", "a", Change::Fired, Millis::now());
    silenced.is_silenced = true;
    running.notifier.announce(&silenced).unwrap();
    eventually("it is settled", || running.counted("dag_failed", "not_wanted") == 1);
    assert_eq!(slack.posts().len(), 0);
    running.fire("DagFailed", "a");
    eventually("it is told", || slack.posted().len() == 1);
}

#[test]
fn a_silence_that_ends_while_its_alert_is_being_settled_loses_nothing() {
    let (slack, folder) = (Slack::start(), tempfile::tempdir().unwrap());
    // On a slow disk, 200 alerts make more messages than may be sent in an hour.
    let throttle = r#", "throttle": {"messages_per_hour": 1000, "messages_per_hour_of_a_kind": 1000}"#;
    let mut running = Running::start(folder.path(), Some(&slack.url()), quick(throttle));
    let ids: Vec<String> = (0..200).map(|number| format!("a{number:03}")).collect();
    for id in &ids {
        let mut silenced = announcement("DagFailed", id, Change::Fired, Millis::now());
        silenced.is_silenced = true;
        running.notifier.announce(&silenced).unwrap();
        running.fire("DagFailed", id);
    }
    let told: Vec<String> = ids.iter().map(|id| format!("{id}.fired.json")).collect();
    eventually("each is told", || files(folder.path(), "told") == told);
}

#[test]
fn a_file_that_cannot_be_read_stops_nobody() {
    let (slack, folder) = (Slack::start(), tempfile::tempdir().unwrap());
    let mut running = Running::start(folder.path(), Some(&slack.url()), quick(""));
    std::fs::write(folder.path().join("waiting/0.fired.json"), "{\"alert\": {").unwrap();
    running.fire("DagFailed", "a");
    eventually("the other one is told", || slack.posted().len() == 1);
    eventually("it is put aside", || files(folder.path(), "refused") == ["0.fired.json"]);
}

#[test]
fn an_id_cannot_leave_the_spool() {
    let (slack, folder) = (Slack::start(), tempfile::tempdir().unwrap());
    let mut running = Running::start(folder.path(), Some(&slack.url()), quick(""));
    running.fire("DagFailed", "../../x/ü");
    eventually("it is told", || files(folder.path(), "told") == ["_2e_2e_2f_2e_2e_2fx_2f_c3_bc.fired.json"]);
}
