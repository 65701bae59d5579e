//! The table of alerts, `config/alerts.toml`: the one place where thresholds are.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::RulesError;
use crate::rules_file;
use crate::signal::{Labels, Signal};
use crate::unit::format_duration;

/// The built-in table, for users without a file.
pub const BUILT_IN: &str = include_str!("../../../config/alerts.toml");

/// How the built-in table is called in messages.
const BUILT_IN_PATH: &str = "config/alerts.toml (built in)";

/// When a measurement needs attention.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Its name: `ErrorRateHigh`.
    pub name: String,
    /// What it watches.
    pub signal: Signal,
    /// On which side of what it fires.
    pub bound: Bound,
    /// The time over which the signal is measured; zero for signals that are of this moment.
    pub window: Duration,
    /// [`Signal::BurnRate`]: the second, shorter time.
    pub short_window: Option<Duration>,
    /// `for`: how long it must hold before it fires.
    pub hold: Duration,
    /// How urgent it is.
    pub severity: Severity,
    /// Least records in the window; a share of fewer says nothing.
    pub records: u64,
    /// A sentence with placeholders, in English.
    pub summary: String,
    /// The same in Korean.
    pub summary_ko: String,
}

/// A threshold and its side.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// Fires while the value is more than this.
    Above(f64),
    /// Fires while the value is less than this.
    Below(f64),
}

impl Bound {
    /// The threshold, in the signal's unit.
    pub fn threshold(self) -> f64 {
        match self {
            Bound::Above(threshold) | Bound::Below(threshold) => threshold,
        }
    }

    /// Whether a value is on the bad side. The threshold itself is on the good one.
    pub fn is_broken_by(self, value: f64) -> bool {
        match self {
            Bound::Above(threshold) => value > threshold,
            Bound::Below(threshold) => value < threshold,
        }
    }

    /// The worse of two values.
    pub fn worse(self, a: f64, b: f64) -> f64 {
        match self {
            Bound::Above(_) => a.max(b),
            Bound::Below(_) => a.min(b),
        }
    }
}

/// How urgent it is. The greater is the graver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Someone must act.
    Warning,
    /// Someone must act now.
    Critical,
}

impl Severity {
    /// Its word in the table, in SQL, for Prometheus and on screen.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The language of texts for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Language {
    /// English.
    #[default]
    #[serde(rename = "en")]
    English,
    /// Korean.
    #[serde(rename = "ko")]
    Korean,
}

impl Rule {
    /// The sentence for people: what is wrong, in the signal's unit.
    pub fn summary(&self, language: Language, labels: &Labels, value: f64) -> String {
        let template = match language {
            Language::English => &self.summary,
            Language::Korean => &self.summary_ko,
        };
        let unit = self.signal.unit();
        fill(template, |name| match name {
            "value" => Some(unit.format_beside(language, value, self.bound.threshold())),
            "threshold" => Some(unit.format(language, self.bound.threshold())),
            "window" => Some(format_duration(language, self.window.as_secs_f64())),
            label => labels.get(label).cloned(),
        })
    }

    /// Its name for Prometheus.
    pub fn prometheus_name(&self) -> String {
        format!("Adpipe{}", self.name)
    }
}

/// Replaces `{name}` by its value; a name without a value stays as it is.
pub(crate) fn fill(template: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let mut text = String::with_capacity(template.len() + 32);
    let mut rest = template;
    while let Some(start) = rest.find('{') {
        let Some(length) = rest[start..].find('}') else { break };
        text.push_str(&rest[..start]);
        let placeholder = &rest[start..=start + length];
        match value(&placeholder[1..placeholder.len() - 1]) {
            Some(value) => text.push_str(&value),
            None => text.push_str(placeholder),
        }
        rest = &rest[start + length + 1..];
    }
    text.push_str(rest);
    text
}

/// Every rule, as the file has them; names are unlike each other.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rules(pub Vec<Rule>);

impl Rules {
    /// The table that adpipe brings along.
    ///
    /// # Errors
    /// None, as the table is tested; the type is that of [`Rules::load`].
    pub fn built_in() -> Result<Rules, RulesError> {
        Rules::parse(BUILT_IN, Path::new(BUILT_IN_PATH))
    }

    /// Reads a table.
    ///
    /// # Errors
    /// With file, line, and what to write.
    pub fn load(path: &Path) -> Result<Rules, RulesError> {
        let text = adpipe_sql::text::read(path).map_err(|error| RulesError::Unreadable {
            path: path.to_path_buf(),
            reason: error.to_string(),
        })?;
        Rules::parse(&text, path)
    }

    /// Reads a table from text; `path` is for messages.
    ///
    /// # Errors
    /// With file, line, and what to write.
    pub fn parse(text: &str, path: &Path) -> Result<Rules, RulesError> {
        rules_file::read(text, path).map(Rules)
    }

    /// A rule by name.
    pub fn find(&self, name: &str) -> Option<&Rule> {
        self.0.iter().find(|rule| rule.name == name)
    }

    /// In the order of the file.
    pub fn iter(&self) -> std::slice::Iter<'_, Rule> {
        self.0.iter()
    }
}
