//! What waits to be sent, as it is stored.

use adpipe_event::Millis;
use adpipe_monitor::announce::{Announcement, Change};
use adpipe_monitor::rules::{Bound, Language};
use adpipe_monitor::signal::Signal;
use adpipe_monitor::store::Alert;
use serde::{Deserialize, Serialize};

use crate::kind;
use crate::summary::Summary;

/// Something to send.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// A change of an alert.
    Alert(Box<Notice>),
    /// The summary of a day.
    Summary {
        /// When it was stored, UTC milliseconds.
        stored_at: i64,
        /// What happened on that day.
        summary: Box<Summary>,
    },
}

/// A change of an alert, with all that a message needs to know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// When it was stored, UTC milliseconds.
    pub stored_at: i64,
    /// What happened.
    pub change: Change,
    /// The alert after it.
    pub alert: Alert,
    /// What its rule watches.
    pub signal: Signal,
    /// Fires below the threshold, not above it.
    pub fires_below: bool,
    /// The rule's sentence with the alert's worst value, in English.
    pub summary: String,
    /// The same in Korean.
    pub summary_ko: String,
    /// It is not to be sent.
    pub is_silenced: bool,
}

impl Notice {
    /// Of an announcement.
    pub fn of(announcement: &Announcement, now: Millis) -> Notice {
        let Announcement { alert, change, rule, is_silenced } = announcement;
        // A resolved alert shows its worst value: the newest one does not matter.
        let value = match change {
            Change::Fired => alert.value,
            Change::Resolved => alert.worst,
        };
        Notice {
            stored_at: now.0,
            change: *change,
            alert: alert.clone(),
            signal: rule.signal,
            fires_below: matches!(rule.bound, Bound::Below(_)),
            summary: rule.summary(Language::English, &alert.labels, value),
            summary_ko: rule.summary(Language::Korean, &alert.labels, value),
            is_silenced: *is_silenced,
        }
    }

    /// The kind of its rule: see [`kind`](crate::kind).
    pub fn kind(&self) -> String {
        kind::of_rule(&self.alert.rule)
    }

    /// The rule's sentence.
    pub fn summary(&self, language: Language) -> &str {
        match language {
            Language::English => &self.summary,
            Language::Korean => &self.summary_ko,
        }
    }

    /// Whether the alert's worst value is beyond a threshold.
    pub fn is_beyond(&self, threshold: f64) -> bool {
        let bound = if self.fires_below { Bound::Below(threshold) } else { Bound::Above(threshold) };
        bound.is_broken_by(self.alert.worst)
    }
}

impl Entry {
    /// The name under which it is stored and remembered: one for each thing that is sent once.
    pub fn name(&self) -> String {
        match self {
            Entry::Alert(notice) if notice.is_silenced && notice.change == Change::Fired => {
                file_name(&notice.alert.alert_id, "silenced")
            }
            Entry::Alert(notice) => name(&notice.alert.alert_id, notice.change),
            Entry::Summary { summary, .. } => summary_name(&summary.day),
        }
    }

    /// When it was stored.
    pub fn stored_at(&self) -> Millis {
        match self {
            Entry::Alert(notice) => Millis(notice.stored_at),
            Entry::Summary { stored_at, .. } => Millis(*stored_at),
        }
    }
}

/// The name of an alert's change. A firing that a silence holds back has a name of its own
/// (`ID.silenced`): it may be announced again when the silence ends, and must not be confused with the
/// one that ends without a message.
pub fn name(alert_id: &str, change: Change) -> String {
    let change = match change {
        Change::Fired => "fired",
        Change::Resolved => "resolved",
    };
    file_name(alert_id, change)
}

/// Ids are made of letters, digits and hyphens; any other character is written in hexadecimal.
fn file_name(alert_id: &str, change: &str) -> String {
    let mut name = String::with_capacity(alert_id.len() + 9);
    for byte in alert_id.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => name.push(char::from(byte)),
            other => name.push_str(&format!("_{other:02x}")),
        }
    }
    format!("{name}.{change}")
}

/// The name of a day's summary.
pub fn summary_name(day: &str) -> String {
    format!("{day}.summary")
}

/// The name of the same alert's firing, of a resolution's name.
pub fn fired_of(resolved: &str) -> Option<String> {
    resolved.strip_suffix(".resolved").map(|id| format!("{id}.fired"))
}

/// The name of the same alert's firing as a silence holds it back, of a resolution's name.
pub fn silenced_of(resolved: &str) -> Option<String> {
    resolved.strip_suffix(".resolved").map(|id| format!("{id}.silenced"))
}
