use adpipe_monitor::announce::Change::{Fired, Resolved};
use adpipe_testkit::slack::problems;
use serde_json::json;

use super::*;
use crate::config::SlackConfig;
use crate::plan::{Held, News};
use crate::sample::notice;

fn style(language: &str) -> Style {
    let config: SlackConfig = serde_json::from_value(json!({
        "language": language, "time_zone": "Asia/Seoul", "runbook_url": "https://wiki.example/RUNBOOK.md",
    }))
    .unwrap();
    Style::new(&config, "https://console.example/").unwrap()
}

fn now() -> Millis {
    Millis::parse_sql("2026-11-25 12:00:00").unwrap()
}

/// Every text of a message, one a line.
fn texts(message: &Value) -> String {
    fn collect(value: &Value, into: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    match value.as_str() {
                        Some(text) if key == "text" => into.push(text.to_owned()),
                        _ => collect(value, into),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, into)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    collect(&message["blocks"], &mut found);
    found.join("\n")
}

fn checked(content: &Content, style: &Style) -> Value {
    let message = render(content, style, now());
    assert_eq!(problems(&message.to_string()), Vec::<String>::new(), "{message:#}");
    message
}

#[test]
fn an_alert_says_what_why_and_where_to_look() {
    let mut alert = notice("ErrorRateHigh", "a", Fired, now());
    alert.alert.context = json!({"causes": [
        {"fingerprint": "f00d", "message": "click must be 0 or 1 <!channel> & `x`", "open": 1234},
    ]});
    let content = Content::Group(News::Fired, vec![alert]);
    let message = checked(&content, &style("en"));
    assert_eq!(message["blocks"][0]["text"]["text"], "🔴 Error rate over its threshold");
    assert_eq!(
        message["text"],
        "🔴 Error rate over its threshold: 2 % of the records are invalid, more than 1 %"
    );
    let text = texts(&message);
    for expected in [
        "*2 % of the records are invalid, more than 1 %*",
        "*Threshold*\n1 %",
        "*Since*\n20:58 KST",
        "• `click must be 0 or 1 &lt;!channel&gt; &amp; 'x'` <https://console.example/dlq/errors?group=f00d|1,234 errors>",
        "<https://console.example/dlq|Errors>",
        "<https://wiki.example/RUNBOOK.md#errorratehigh|What to do>",
    ] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
    let korean = checked(&content, &style("ko"));
    assert_eq!(korean["blocks"][0]["text"]["text"], "🔴 오류율이 기준을 넘었습니다");
    assert!(texts(&korean).contains("*레코드의 2%가 무효입니다(기준 1%)*"), "{}", texts(&korean));
}

#[test]
fn several_are_a_list_and_many_are_counted() {
    let notices: Vec<_> = (0..40)
        .map(|index| {
            let mut one = notice("DagFailed", &index.to_string(), Fired, now());
            one.alert.value = 1.0;
            one
        })
        .collect();
    let message = checked(&Content::Group(News::Fired, notices), &style("en"));
    assert_eq!(message["blocks"][0]["text"]["text"], "🔴 DAG failed (40)");
    let text = texts(&message);
    assert_eq!(text.matches("• ").count(), 15);
    assert!(text.contains("… and 25 more"), "{text}");
}

#[test]
fn a_resolution_says_how_long_how_bad_and_who_took_it_on() {
    let mut over = notice("DiskFilling", "a", Resolved, now());
    over.alert.acknowledged_by = Some("Ada <ops>".to_owned());
    let message = checked(&Content::Group(News::Resolved, vec![over.clone()]), &style("en"));
    assert_eq!(message["blocks"][0]["text"]["text"], "✅ Resolved: Disk is filling up · host_1");
    let text = texts(&message);
    for expected in ["*Lasted*\n1 min", "*Acknowledged by*\nAda &lt;ops&gt;", "*Worst*\n30 %"] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
    let passed = checked(&Content::Group(News::Passed, vec![over]), &style("ko"));
    assert_eq!(passed["blocks"][0]["text"]["text"], "☑️ 발생 후 해결됨: 디스크 공간 부족 · host_1");
}

#[test]
fn a_digest_holds_hundreds_of_alerts_within_slacks_limits() {
    let mut alerts = Vec::new();
    for index in 0..400 {
        let mut one = notice("DagFailed", &index.to_string(), Fired, now());
        one.alert.labels.insert("dag".to_owned(), "x".repeat(index));
        one.summary = "y".repeat(index);
        alerts.push((if index % 2 == 0 { News::Fired } else { News::Passed }, one));
    }
    for language in ["en", "ko"] {
        let message = checked(&Content::Digest(Held::Quiet, alerts.clone()), &style(language));
        assert!(message["blocks"].as_array().unwrap().len() > 3);
    }
}

#[test]
fn why_and_how_a_run_ended_are_told() {
    let mut low = notice("ThroughputLow", "a", Fired, now());
    low.alert.context = json!({"why": "source_silent", "last_week_per_minute": 12000.0});
    let text = texts(&checked(&Content::Group(News::Fired, vec![low]), &style("en")));
    assert!(
        text.contains("no events come in at all. At this hour last week it was 12,000 a minute."),
        "{text}"
    );
    let mut failed = notice("DagFailed", "a", Fired, now());
    failed.alert.context = json!({"run": "r", "message": "etl: exit code 1"});
    let text = texts(&checked(&Content::Group(News::Fired, vec![failed]), &style("en")));
    assert!(text.contains("`etl: exit code 1`"), "{text}");
    let mut tests = notice("DataTestsFailing", "a", Fired, now());
    tests.alert.context = json!({"tests": ["a", "b", "c", "d"]});
    let text = texts(&checked(&Content::Group(News::Fired, vec![tests]), &style("en")));
    assert!(text.contains("• `c`\n… and 1 more"), "{text}");
}

#[test]
fn without_addresses_there_are_no_links() {
    let style = Style::new(&SlackConfig::default(), "").unwrap();
    let text =
        texts(&checked(&Content::Group(News::Fired, vec![notice("DagFailed", "a", Fired, now())]), &style));
    assert!(!text.contains('<') && text.contains("docs/RUNBOOK.md#dagfailed"), "{text}");
}

#[test]
fn the_test_message_is_one_that_slack_takes() {
    for language in ["en", "ko"] {
        let message = test(&style(language), "host-1", now());
        assert_eq!(problems(&message.to_string()), Vec::<String>::new());
    }
}
