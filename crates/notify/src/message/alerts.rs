//! Messages about alerts.

use adpipe_event::Millis;
use adpipe_monitor::rules::Severity;
use adpipe_monitor::unit::{Unit, format_duration};
use serde_json::Value;

use super::Style;
use super::blocks::{Blocks, TEXT, code, escape, link};
use crate::notice::Notice;
use crate::plan::{Held, News};

/// Lines of a list before it says "and so many more".
const LINES: usize = 15;
/// Lines of a digest.
const DIGEST_LINES: usize = 60;
/// Causes and tests that are named.
const NAMED: usize = 3;
/// Of a masked error message.
const CAUSE_LENGTH: usize = 120;

/// Alerts of one kind of which there is the same news.
pub fn group(news: News, notices: &[Notice], style: &Style, now: Millis) -> Value {
    let mut blocks = Blocks::default();
    let Some(first) = notices.first() else { return blocks.message("adpipe") };
    let title = titled(news, notices, style);
    blocks.header(&title);
    match notices {
        [one] => {
            blocks.section(&format!("*{}*", escape(one.summary(style.language))));
            blocks.fields(&fields(news, one, style, now));
        }
        several => list(&mut blocks, several, style, now),
    }
    if matches!(news, News::Fired | News::Still) {
        why(&mut blocks, notices, style);
    }
    blocks.context(&context(first, style));
    blocks.message(&format!("{title}: {}", first.summary(style.language)))
}

/// Alerts of any kind that were held back.
pub fn digest(held: Held, notices: &[(News, Notice)], style: &Style, now: Millis) -> Value {
    let mut blocks = Blocks::default();
    let key = match held {
        Held::Quiet => "digest_quiet",
        Held::Throttled => "digest_throttled",
    };
    let title = style.text(key, &[("count", &notices.len().to_string())]);
    blocks.header(&title);
    let mut left = DIGEST_LINES;
    for (news, heading) in [
        (News::Fired, "list_fired"),
        (News::Still, "list_still"),
        (News::Passed, "list_passed"),
        (News::Resolved, "list_resolved"),
    ] {
        let mut of_news: Vec<&Notice> =
            notices.iter().filter(|(its, _)| *its == news).map(|(_, notice)| notice).collect();
        if of_news.is_empty() {
            continue;
        }
        of_news.sort_by_key(|notice| std::cmp::Reverse(notice.alert.severity));
        let mut lines = vec![format!("*{}*", escape(&style.text(heading, &[])))];
        for notice in of_news.iter().take(left) {
            let name = escape(&named(notice, style));
            let summary = escape(notice.summary(style.language));
            lines.push(format!("{} *{name}*: {summary} · {}", dot(news, notice), when(notice, style, now)));
        }
        if of_news.len() > left {
            lines.push(escape(&style.text("more", &[("count", &(of_news.len() - left).to_string())])));
        }
        left = left.saturating_sub(of_news.len());
        in_sections(&mut blocks, &lines);
    }
    let operations = console(style, "/operations");
    blocks.context(&link(&operations, &style.text("link_operations", &[])));
    blocks.message(&title)
}

/// The message of `adpipe alerts test-notify`.
pub fn test(style: &Style, host: &str, now: Millis) -> Value {
    let mut blocks = Blocks::default();
    let title = style.text("test_title", &[]);
    blocks.header(&title);
    blocks.section(&escape(&style.text("test_body", &[("host", host)])));
    let mut small = escape(&style.clock(now, now));
    if !style.console_url.is_empty() {
        small.push_str(" · ");
        small.push_str(&link(&style.console_url, &style.text("link_console", &[])));
    }
    blocks.context(&small);
    blocks.message(&title)
}

fn dot(news: News, notice: &Notice) -> &'static str {
    match (news, notice.alert.severity) {
        (News::Resolved, _) => "✅",
        (News::Passed, _) => "☑️",
        (_, Severity::Critical) => "🔴",
        (_, Severity::Warning) => "🟠",
    }
}

/// The title of a rule's alerts; of a rule of one's own its name.
fn rule_title(notice: &Notice, style: &Style) -> String {
    let key = format!("title_{}", notice.kind());
    style.texts.get(&key).unwrap_or(&notice.alert.rule).to_owned()
}

/// The title and what the alert is about: `DAG failed · dag_daily_etl`.
fn named(notice: &Notice, style: &Style) -> String {
    let mut name = rule_title(notice, style);
    for value in notice.alert.labels.values() {
        name.push_str(" · ");
        name.push_str(value);
    }
    name
}

fn titled(news: News, notices: &[Notice], style: &Style) -> String {
    let title = match notices {
        [one] => named(one, style),
        [first, ..] => format!("{} ({})", rule_title(first, style), notices.len()),
        [] => String::new(),
    };
    let gravest = notices.iter().max_by_key(|notice| notice.alert.severity);
    let dot = gravest.map_or("🟠", |notice| dot(news, notice));
    let key = match news {
        News::Fired => return format!("{dot} {title}"),
        News::Resolved => "header_resolved",
        News::Passed => "header_passed",
        News::Still => "header_still",
    };
    format!("{dot} {}", style.text(key, &[("title", &title)]))
}

fn unit(notice: &Notice) -> Unit {
    notice.signal.unit()
}

fn fields(news: News, notice: &Notice, style: &Style, now: Millis) -> Vec<(String, String)> {
    let alert = &notice.alert;
    let format = |value: f64| unit(notice).format(style.language, value);
    let beside = |value: f64| unit(notice).format_beside(style.language, value, alert.threshold);
    let mut fields = Vec::new();
    let mut field = |key: &str, value: String| fields.push((style.text(key, &[]), value));
    let since = alert.firing_since.unwrap_or(alert.pending_since);
    match news {
        News::Fired | News::Still => {
            field("field_now", beside(alert.value));
            field("field_threshold", format(alert.threshold));
            field("field_since", style.clock(alert.pending_since, now));
            field("field_severity", style.text(severity_key(alert.severity), &[]));
        }
        News::Resolved | News::Passed => {
            field("field_worst", beside(alert.worst));
            field("field_threshold", format(alert.threshold));
            field("field_since", style.clock(since, now));
            let lasted = (alert.resolved_at.unwrap_or(now).0 - since.0).max(0) as f64 / 1_000.0;
            field("field_lasted", format_duration(style.language, lasted.round()));
        }
    }
    if let Some(by) = &alert.acknowledged_by {
        field("field_acknowledged", by.clone());
    }
    if !alert.note.is_empty() {
        field("field_note", alert.note.clone());
    }
    fields
}

fn severity_key(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "severity_critical",
        Severity::Warning => "severity_warning",
    }
}

/// `14:03 KST`, or how long it lasted, for a line of a list.
fn when(notice: &Notice, style: &Style, now: Millis) -> String {
    let since = notice.alert.firing_since.unwrap_or(notice.alert.pending_since);
    let clock = style.clock(since, now);
    let mut text = match notice.alert.resolved_at {
        Some(at) => {
            let lasted = format_duration(style.language, ((at.0 - since.0).max(0) / 1_000) as f64);
            style.text("when_lasted", &[("at", &clock), ("lasted", &lasted)])
        }
        None => style.text("when_since", &[("at", &clock)]),
    };
    if let Some(by) = &notice.alert.acknowledged_by {
        text.push_str(" · ");
        text.push_str(&style.text("when_acknowledged", &[("by", by)]));
    }
    escape(&text)
}

fn list(blocks: &mut Blocks, notices: &[Notice], style: &Style, now: Millis) {
    let mut lines = Vec::new();
    for notice in notices.iter().take(LINES) {
        let summary = escape(notice.summary(style.language));
        lines.push(format!("• {summary} · {}", when(notice, style, now)));
    }
    if notices.len() > LINES {
        lines.push(escape(&style.text("more", &[("count", &(notices.len() - LINES).to_string())])));
    }
    in_sections(blocks, &lines);
}

/// Lines in as few sections as hold them.
fn in_sections(blocks: &mut Blocks, lines: &[String]) {
    let mut text = String::new();
    for line in lines {
        if !text.is_empty() && text.chars().count() + line.chars().count() + 1 > TEXT {
            blocks.section(&text);
            text.clear();
        }
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(line);
    }
    blocks.section(&text);
}

/// A cause of errors, as the alert's context has it.
struct Cause {
    fingerprint: String,
    message: String,
    errors: u64,
}

/// The causes in an alert's context: `{"causes": [{"fingerprint", "message",
/// "open"}, …]}`, with `exhausted` where only those are meant.
fn causes(context: &Value) -> Vec<Cause> {
    let read = |cause: &Value| {
        Some(Cause {
            fingerprint: cause["fingerprint"].as_str()?.to_owned(),
            message: cause["message"].as_str().unwrap_or_default().to_owned(),
            errors: cause["exhausted"].as_u64().or(cause["open"].as_u64()).unwrap_or_default(),
        })
    };
    let list = context["causes"].as_array().map_or(&[] as &[Value], Vec::as_slice);
    list.iter().filter_map(read).take(NAMED).collect()
}

/// The failing tests in an alert's context: `{"tests": ["name", …]}`, or with `"name"` in objects.
fn tests(context: &Value) -> Vec<String> {
    let list = context["tests"].as_array().map_or(&[] as &[Value], Vec::as_slice);
    let name = |test: &Value| test.as_str().or_else(|| test["name"].as_str()).map(str::to_owned);
    list.iter().filter_map(name).collect()
}

/// Why events do not come through, in a sentence, of `{"why": "source_silent"}`.
fn reason(context: &Value, style: &Style) -> Option<String> {
    let key = format!("why_{}", context["why"].as_str()?);
    let mut text = style.texts.get(&key)?.to_owned();
    if let Some(usual) = context["last_week_per_minute"].as_f64() {
        let usual = Unit::Count.format(style.language, usual);
        text.push(' ');
        text.push_str(&style.text("why_last_week", &[("events", &usual)]));
    }
    Some(text)
}

/// What a person has to know next to it: where the errors come from, which tests fail, how a run of a
/// DAG ended.
fn why(blocks: &mut Blocks, notices: &[Notice], style: &Style) {
    if let Some(reason) = notices.iter().find_map(|notice| reason(&notice.alert.context, style)) {
        blocks.section(&escape(&reason));
    }
    let ends: Vec<String> = notices
        .iter()
        .filter_map(|notice| notice.alert.context["message"].as_str())
        .map(|message| code(message, CAUSE_LENGTH * 2))
        .filter(|message| !message.is_empty())
        .take(NAMED)
        .collect();
    if !ends.is_empty() {
        in_sections(blocks, &ends);
    }
    let mut lines = Vec::new();
    for notice in notices {
        for cause in causes(&notice.alert.context) {
            let address = console(style, &format!("/dlq/errors?group={}", cause.fingerprint));
            let count = Unit::Count.format(style.language, cause.errors as f64);
            let words = if cause.errors == 1 { "cause_error" } else { "cause_errors" };
            let words = style.text(words, &[("count", &count)]);
            let message = match code(&cause.message, CAUSE_LENGTH) {
                empty if empty.is_empty() => code(&cause.fingerprint, CAUSE_LENGTH),
                message => message,
            };
            lines.push(format!("• {message} {}", link(&address, &words)));
        }
        if !lines.is_empty() {
            break;
        }
    }
    if !lines.is_empty() {
        lines.insert(0, format!("*{}*", escape(&style.text("causes", &[]))));
        in_sections(blocks, &lines);
    }
    let failing: Vec<String> = notices.iter().flat_map(|notice| tests(&notice.alert.context)).collect();
    if !failing.is_empty() {
        let mut lines = vec![format!("*{}*", escape(&style.text("failing_tests", &[])))];
        lines.extend(failing.iter().take(NAMED).map(|name| format!("• {}", code(name, CAUSE_LENGTH))));
        if failing.len() > NAMED {
            let more = (failing.len() - NAMED).to_string();
            lines.push(escape(&style.text("more", &[("count", &more)])));
        }
        in_sections(blocks, &lines);
    }
}

fn console(style: &Style, page: &str) -> String {
    match style.console_url.as_str() {
        "" => String::new(),
        url => format!("{url}{page}"),
    }
}

/// The page where one can act on a kind.
fn page(kind: &str) -> (&'static str, &'static str) {
    match kind {
        "dlq_exhausted" | "dlq_growing" | "error_rate_high" => ("/dlq", "link_dlq"),
        "dag_failed" | "dag_missed" => ("/dags", "link_dags"),
        "data_tests_failing" | "source_stale" => ("/quality", "link_quality"),
        _ => ("/operations", "link_operations"),
    }
}

/// Links, and the rule's name to search for.
fn context(notice: &Notice, style: &Style) -> String {
    let (path, words) = page(&notice.kind());
    let mut parts = Vec::new();
    if !style.console_url.is_empty() {
        parts.push(link(&console(style, path), &style.text(words, &[])));
        if path != "/operations" {
            parts.push(link(&console(style, "/operations"), &style.text("link_operations", &[])));
        }
    }
    let anchor = notice.alert.rule.to_lowercase();
    parts.push(match style.runbook_url.as_str() {
        "" => escape(&style.text("runbook_place", &[("place", &format!("docs/RUNBOOK.md#{anchor}"))])),
        url => link(&format!("{url}#{anchor}"), &style.text("link_runbook", &[])),
    });
    parts.push(escape(&notice.alert.rule));
    parts.join(" · ")
}
