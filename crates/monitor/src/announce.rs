//! Where alerts leave the evaluator.

use serde::{Deserialize, Serialize};

use crate::rules::Rule;
use crate::store::Alert;

/// What happened to an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// It has held for long enough.
    Fired,
    /// It has ended.
    Resolved,
}

/// A notification.
#[derive(Debug, Clone, PartialEq)]
pub struct Announcement {
    /// The alert, as it is after the change.
    pub alert: Alert,
    /// What happened.
    pub change: Change,
    /// The rule that it is of.
    pub rule: Rule,
    /// It is silenced: it is shown but not sent.
    pub is_silenced: bool,
}

/// Sends notifications.
pub trait Announce: Send {
    /// Takes an announcement over: when it returns, it is not lost any more.
    ///
    /// The same announcement is made again after a crash, so this must be idempotent by alert and
    /// change. It must be quick: what is slow (a server, a network) happens elsewhere.
    ///
    /// # Errors
    /// When it cannot be taken over now. It is made again at the next look.
    fn announce(&mut self, announcement: &Announcement) -> Result<(), String>;

    /// Whether notifications go anywhere: false if no receiver is configured.
    fn reaches_people(&self) -> bool {
        true
    }
}

/// Only writes to the log: for processes without a receiver.
#[derive(Debug, Default)]
pub struct LogOnly;

impl Announce for LogOnly {
    fn reaches_people(&self) -> bool {
        false
    }

    fn announce(&mut self, announcement: &Announcement) -> Result<(), String> {
        let alert = &announcement.alert;
        let summary = announcement.rule.summary(Default::default(), &alert.labels, alert.value);
        match announcement.change {
            _ if announcement.is_silenced => {}
            Change::Fired => tracing::warn!(alert = alert.rule, "{summary}"),
            Change::Resolved => tracing::info!(alert = alert.rule, "resolved: {summary}"),
        }
        Ok(())
    }
}
