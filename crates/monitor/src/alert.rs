//! One alert, one silence.

use adpipe_event::Millis;
use serde::{Deserialize, Serialize, Serializer};

use crate::rules::Severity;
use crate::signal::Labels;

/// The state of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// The value is on the bad side, not for long enough yet.
    Pending,
    /// Someone must act.
    Firing,
    /// It has ended.
    Resolved,
}

impl State {
    /// Its word in SQL and on screen.
    pub fn word(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::Firing => "firing",
            State::Resolved => "resolved",
        }
    }
}

/// Which of an alert's changes was handed to [`crate::announce::Announce`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Announced {
    /// None.
    #[serde(rename = "")]
    Nothing,
    /// That it fires.
    Firing,
    /// That it is over.
    Resolved,
}

impl Announced {
    /// Its word in SQL.
    pub fn word(self) -> &'static str {
        match self {
            Announced::Nothing => "",
            Announced::Firing => "firing",
            Announced::Resolved => "resolved",
        }
    }
}

/// One time that an alert came up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Its id; ids sort by time.
    pub alert_id: String,
    /// The rule's name.
    pub rule: String,
    /// Which series of the signal.
    pub labels: Labels,
    /// How urgent it is.
    pub severity: Severity,
    /// Whether it waits, fires or is over.
    pub state: State,
    /// Newest value, in the signal's unit.
    pub value: f64,
    /// The worst value since it came up.
    pub worst: f64,
    /// What the value should not go beyond.
    pub threshold: f64,
    /// What a person has to know next to it; null for nothing.
    pub context: serde_json::Value,
    /// Since when the value was on the bad side.
    #[serde(with = "time_text")]
    pub pending_since: Millis,
    /// Since when it fires.
    #[serde(with = "maybe_time_text")]
    pub firing_since: Option<Millis>,
    /// When it was over.
    #[serde(with = "maybe_time_text")]
    pub resolved_at: Option<Millis>,
    /// Last look.
    #[serde(with = "time_text")]
    pub updated_at: Millis,
    /// When it was acknowledged.
    #[serde(with = "maybe_time_text")]
    pub acknowledged_at: Option<Millis>,
    /// Whoever acknowledged it.
    pub acknowledged_by: Option<String>,
    /// What he noted.
    pub note: String,
    /// What was notified.
    pub announced: Announced,
}

/// While it lasts its alerts are shown and not sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Silence {
    /// Names the silence; ids sort by time.
    pub silence_id: String,
    /// The rule's name; "" for every rule.
    pub rule: String,
    /// Labels that an alert must have; none for any.
    pub labels: Labels,
    /// First moment.
    #[serde(with = "time_text")]
    pub starts_at: Millis,
    /// First moment after it.
    #[serde(with = "time_text")]
    pub ends_at: Millis,
    /// The reason that was given.
    pub comment: String,
    /// Whoever asked for it.
    pub created_by: String,
    /// When it was made.
    #[serde(with = "time_text")]
    pub created_at: Millis,
}

impl Silence {
    /// Whether it lasts at a moment.
    pub fn lasts_at(&self, now: Millis) -> bool {
        self.starts_at <= now && now < self.ends_at
    }

    /// Whether it is about this alert.
    pub fn is_about(&self, rule: &str, labels: &Labels) -> bool {
        (self.rule.is_empty() || self.rule == rule)
            && self.labels.iter().all(|(name, value)| labels.get(name) == Some(value))
    }
}

/// Times as UTC text, as in the warehouse.
mod time_text {
    use super::*;

    pub fn serialize<S: Serializer>(time: &Millis, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(time)
    }

    pub fn deserialize<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Millis, D::Error> {
        let text = String::deserialize(deserializer)?;
        Millis::parse_sql(&text).ok_or_else(|| serde::de::Error::custom(format!("{text:?} is not a time")))
    }
}

mod maybe_time_text {
    use super::*;

    pub fn serialize<S: Serializer>(time: &Option<Millis>, serializer: S) -> Result<S::Ok, S::Error> {
        time.map(|time| time.to_string()).serialize(serializer)
    }

    pub fn deserialize<'de, D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Millis>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        let read = |text: String| {
            Millis::parse_sql(&text)
                .ok_or_else(|| serde::de::Error::custom(format!("{text:?} is not a time")))
        };
        text.map(read).transpose()
    }
}
