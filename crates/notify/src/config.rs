//! `config/slack_config.json`: which alerts are sent, in which language, and when.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use adpipe_event::Millis;
use adpipe_monitor::rules::{Language, Rules};
use adpipe_runtime::Span;
use jiff::ToSpan;
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer};

use crate::error::NotifyError;
use crate::kind;
use crate::time::{ClockTime, Zone};

/// The built-in file, for users without one.
pub const BUILT_IN: &str = include_str!("../../../config/slack_config.json");

/// Which alerts are sent, in which language, and when.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SlackConfig {
    /// Where the messages go, for information. A webhook posts to the channel that it was created for,
    /// whatever this says.
    pub channel: String,
    /// Of the messages.
    pub language: Language,
    /// Of times in messages, of the quiet hours and of the daily summary.
    pub time_zone: Zone,
    /// Where the runbook can be read (`https://…/docs/RUNBOOK.md`), for links; "" for none.
    pub runbook_url: String,
    /// Kinds, or names of rules, that are sent; those not named are sent, too.
    pub kinds: BTreeMap<String, bool>,
    /// By rule: only sent while the value also exceeds this.
    pub thresholds: BTreeMap<String, f64>,
    /// When only critical alerts are sent at once.
    pub quiet_hours: Option<QuietHours>,
    /// How long an alert waits for others of its kind.
    pub group_wait: Span,
    /// How much is told at most.
    pub throttle: Throttle,
    /// The daily summary.
    pub daily_summary: DailySummary,
}

impl Default for SlackConfig {
    fn default() -> SlackConfig {
        SlackConfig {
            channel: "#adpipe-alerts".to_owned(),
            language: Language::English,
            time_zone: Zone(TimeZone::UTC),
            runbook_url: String::new(),
            kinds: BTreeMap::new(),
            thresholds: BTreeMap::new(),
            quiet_hours: None,
            group_wait: Span(Duration::from_secs(10)),
            throttle: Throttle::default(),
            daily_summary: DailySummary::default(),
        }
    }
}

/// The most that is sent.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Throttle {
    /// Messages within an hour; beyond it what comes is held and goes out together.
    pub messages_per_hour: u32,
    /// The same for each kind.
    pub messages_per_hour_of_a_kind: u32,
    /// How often a reminder is sent of alerts that still fire and are not acknowledged; none for never.
    pub repeat_every: Repeat,
}

impl Default for Throttle {
    fn default() -> Throttle {
        Throttle { messages_per_hour: 30, messages_per_hour_of_a_kind: 8, repeat_every: Repeat(None) }
    }
}

/// The daily summary.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DailySummary {
    /// Whether there is one.
    pub enabled: bool,
    /// When, of the day before.
    pub at: ClockTime,
}

impl Default for DailySummary {
    fn default() -> DailySummary {
        DailySummary { enabled: true, at: ClockTime(jiff::civil::time(9, 0, 0, 0)) }
    }
}

/// From one time of day to another, over midnight when `to` is the earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuietHours {
    /// First minute.
    pub from: ClockTime,
    /// First minute after it.
    pub to: ClockTime,
}

impl QuietHours {
    /// When the quiet hours end in which this moment lies; none if it is in none.
    pub fn end(&self, zone: &Zone, at: Millis) -> Option<Millis> {
        let local = zone.local(at);
        let (time, date) = (local.time(), local.date());
        let (from, to) = (self.from.0, self.to.0);
        let is_over_midnight = from > to;
        let last_day = match is_over_midnight {
            false if from <= time && time < to => date,
            true if time < to => date,
            true if time >= from => date.checked_add(1.day()).ok()?,
            _ => return None,
        };
        // Behind the moment in any case: in a night with an hour twice, its end may lie before it.
        zone.moment(last_day, to).ok().filter(|end| *end > at)
    }
}

/// A length of time, or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeat(pub Option<Duration>);

impl<'de> Deserialize<'de> for Repeat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Repeat, D::Error> {
        Ok(Repeat(Span::or_word(deserializer, "off", "24h")?.map(|span| span.0)))
    }
}

impl SlackConfig {
    /// Reads the file, or, when it is not there, takes the one that adpipe brings along.
    ///
    /// # Errors
    /// With file, line and column, and what to write.
    pub fn load(path: &Path, rules: &Rules) -> Result<SlackConfig, NotifyError> {
        match adpipe_sql::text::read(path) {
            Ok(text) => SlackConfig::parse(&text, path, rules),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                SlackConfig::parse(BUILT_IN, Path::new("config/slack_config.json (built in)"), rules)
            }
            Err(error) => {
                Err(NotifyError::Unreadable { path: path.to_path_buf(), reason: error.to_string() })
            }
        }
    }

    /// Reads it from text; `path` is for messages.
    ///
    /// # Errors
    /// With file, line and column, and what to write.
    pub fn parse(text: &str, path: &Path, rules: &Rules) -> Result<SlackConfig, NotifyError> {
        let config: SlackConfig = serde_json::from_str(text).map_err(|error| NotifyError::Config {
            path: path.to_path_buf(),
            line: error.line(),
            column: error.column(),
            message: without_place(&error.to_string()),
        })?;
        config.check(&with_built_in(rules)).map_err(|(word, message)| {
            let (line, column) = place(text, &word);
            NotifyError::Config { path: path.to_path_buf(), line, column, message }
        })?;
        Ok(config)
    }

    /// The word that is wrong, and why.
    fn check(&self, rules: &Rules) -> Result<(), (String, String)> {
        let known = || rules.iter().map(|rule| rule.name.as_str()).collect::<Vec<_>>().join(", ");
        for name in self.kinds.keys() {
            let is_known = name == kind::DAILY_SUMMARY
                || rules.iter().any(|rule| rule.name == *name || kind::of_rule(&rule.name) == *name);
            if !is_known {
                let kinds: Vec<String> = rules.iter().map(|rule| kind::of_rule(&rule.name)).collect();
                let message =
                    format!("there is no kind of alert {name:?}; write one of {}", kinds.join(", "));
                return Err((name.clone(), message));
            }
        }
        for name in self.thresholds.keys() {
            if rules.find(name).is_none() {
                let message = format!("the table of alerts has no rule {name:?}; it has {}", known());
                return Err((name.clone(), message));
            }
        }
        if let Some(quiet) = self.quiet_hours
            && quiet.from == quiet.to
        {
            let message =
                "quiet hours end when they begin; write another \"to\", or null for none".to_owned();
            return Err(("quiet_hours".to_owned(), message));
        }
        for (word, value) in [
            ("messages_per_hour", self.throttle.messages_per_hour),
            ("messages_per_hour_of_a_kind", self.throttle.messages_per_hour_of_a_kind),
        ] {
            if value == 0 {
                return Err((
                    word.to_owned(),
                    "must be at least 1; switch kinds off in \"kinds\"".to_owned(),
                ));
            }
        }
        for (word, url) in [("runbook_url", &self.runbook_url)] {
            if !url.is_empty() && !url.starts_with("https://") && !url.starts_with("http://") {
                return Err((
                    word.to_owned(),
                    format!("{url:?} is not an address; write https://…, or \"\""),
                ));
            }
        }
        if self.group_wait.0 > Duration::from_secs(3_600) {
            return Err(("group_wait".to_owned(), "must be an hour or less".to_owned()));
        }
        Ok(())
    }

    /// Whether a rule's alerts are sent.
    pub fn wants(&self, rule: &str) -> bool {
        let named = self.kinds.get(rule).or_else(|| self.kinds.get(&kind::of_rule(rule)));
        named.copied().unwrap_or(true)
    }

    /// Whether there is a daily summary.
    pub fn wants_summary(&self) -> bool {
        self.daily_summary.enabled && self.kinds.get(kind::DAILY_SUMMARY).copied().unwrap_or(true)
    }
}

/// A table of one's own may lack rules that the file, as it comes, has a switch for.
fn with_built_in(own: &Rules) -> Rules {
    let mut rules = own.clone();
    let built_in = Rules::built_in().unwrap_or_default();
    rules.0.extend(built_in.0.into_iter().filter(|rule| own.find(&rule.name).is_none()));
    rules
}

/// serde_json's messages end with the place, which ours begin with.
fn without_place(message: &str) -> String {
    message.rfind(" at line ").map_or(message, |at| &message[..at]).to_owned()
}

/// Line and column of a quoted word, both from 1; of the beginning when it is not there.
fn place(text: &str, word: &str) -> (usize, usize) {
    let quoted = serde_json::Value::from(word).to_string();
    let before = &text[..text.find(&quoted).unwrap_or(0)];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<SlackConfig, String> {
        let rules = Rules::built_in().unwrap();
        SlackConfig::parse(text, Path::new("slack.json"), &rules).map_err(|error| error.to_string())
    }

    #[test]
    fn the_file_shows_every_key_with_its_default() {
        assert_eq!(parse(BUILT_IN).unwrap(), SlackConfig::default());
        let shown: BTreeMap<String, serde_json::Value> = serde_json::from_str(BUILT_IN).unwrap();
        let unknown = parse("{\"no such key\": 1}").unwrap_err();
        let mut known: Vec<&str> = unknown.split('`').skip(3).step_by(2).collect();
        known.sort_unstable();
        assert_eq!(known, shown.keys().collect::<Vec<_>>());
        assert_eq!(parse("{}").unwrap(), SlackConfig::default());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place_and_with_advice() {
        let mut wrong = Vec::new();
        for (text, expected) in [
            (
                "{\n  \"chanel\": \"#x\"\n}",
                "slack.json:2:10: unknown field `chanel`, expected one of `channel`",
            ),
            ("{\n  \"language\": \"de\"\n}", "slack.json:2:18: unknown variant `de`, expected `en` or `ko`"),
            ("{\"time_zone\": \"Seoul\"}", "slack.json:1:22: \"Seoul\" is not a time zone; write one like"),
            ("{\n\"daily_summary\": {\"at\": \"9am\"}}", "slack.json:2:30: \"9am\" is not a time of day"),
            ("{\"group_wait\": \"soon\"}", "slack.json:1:22: \"soon\" is not a duration"),
            (
                "{\n \"kinds\": {\"dag_faild\": true}}",
                "slack.json:2:12: there is no kind of alert \"dag_faild\"; write one of throughput_low",
            ),
            (
                "{\"thresholds\": {\"ErrorRate\": 1}}",
                "slack.json:1:17: the table of alerts has no rule \"ErrorRate\"; it has ThroughputLow",
            ),
            (
                "{\"quiet_hours\": {\"from\": \"08:00\", \"to\": \"08:00\"}}",
                "slack.json:1:2: quiet hours end when they begin",
            ),
            ("{\"throttle\": {\"messages_per_hour\": 0}}", "slack.json:1:15: must be at least 1"),
            (
                "{\"throttle\": {\"repeat_every\": \"never\"}}",
                "slack.json:1:38: \"never\" is neither \"off\" nor",
            ),
            ("{\"channel\": \"#x\",}", "slack.json:1:18: trailing comma"),
            ("{\"webhook\": \"https://hooks.slack.com/x\"}", "slack.json:1:10: unknown field `webhook`"),
        ] {
            let error = parse(text).unwrap_err();
            if !error.starts_with(expected) {
                wrong.push(format!("{error}\n{expected}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn kinds_are_switched_by_rule_or_kind() {
        for rule in Rules::built_in().unwrap().iter() {
            let kind = kind::of_rule(&rule.name);
            assert!(!parse(&format!("{{\"kinds\": {{{kind:?}: false}}}}")).unwrap().wants(&rule.name));
        }
        let config = parse("{\"kinds\": {\"dag_failed\": false, \"LagGrowing\": false}}").unwrap();
        assert!(!config.wants("DagFailed") && !config.wants("LagGrowing") && config.wants("DlqExhausted"));
        assert!(config.wants_summary());
        assert!(!parse("{\"kinds\": {\"daily_summary\": false}}").unwrap().wants_summary());
    }

    #[test]
    fn quiet_hours_may_go_over_midnight() {
        let config = parse(
            "{\"time_zone\": \"Asia/Seoul\", \"quiet_hours\": {\"from\": \"22:00\", \"to\": \"08:00\"}}",
        );
        let config = config.unwrap();
        let end = |at: &str| {
            let end = config.quiet_hours.unwrap().end(&config.time_zone, Millis::parse_sql(at).unwrap());
            end.map(|end| end.to_string())
        };
        // Seoul is nine hours ahead.
        assert_eq!(end("2026-11-25 12:59:59"), None);
        assert_eq!(end("2026-11-25 13:00:00").as_deref(), Some("2026-11-25 23:00:00"));
        assert_eq!(end("2026-11-25 22:59:00").as_deref(), Some("2026-11-25 23:00:00"));
        assert_eq!(end("2026-11-25 23:00:00"), None);
    }
}
