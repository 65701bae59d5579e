//! Messages as Slack takes them: Block Kit, in English or Korean.

mod alerts;
mod blocks;
mod summary;
mod texts;

use adpipe_event::Millis;
use adpipe_monitor::rules::Language;
use serde_json::Value;

use crate::config::SlackConfig;
use crate::plan::Content;
use crate::time::Zone;

pub use summary::plain as plain_summary;
pub use texts::{Texts, TextsError};

/// What rendering needs to know.
#[derive(Debug, Clone)]
pub struct Style {
    /// Of the texts.
    pub language: Language,
    /// Of the times.
    pub zone: Zone,
    /// The console's address, without a slash at its end; "" for no links.
    pub console_url: String,
    /// Where the runbook can be read; "" names its place in the documentation.
    pub runbook_url: String,
    /// Where the message goes, for people.
    pub channel: String,
    texts: Texts,
}

impl Style {
    /// As the configuration has it.
    ///
    /// # Errors
    /// Only if a file of texts were no JSON, which a test looks at.
    pub fn new(config: &SlackConfig, console_url: &str) -> Result<Style, TextsError> {
        Ok(Style {
            language: config.language,
            zone: config.time_zone.clone(),
            console_url: console_url.trim_end_matches('/').to_owned(),
            runbook_url: config.runbook_url.clone(),
            channel: config.channel.clone(),
            texts: Texts::of(config.language)?,
        })
    }

    /// A text with its places filled.
    fn text(&self, key: &str, places: &[(&str, &str)]) -> String {
        self.texts.fill(key, places)
    }

    /// A time of day with its zone; with the date when it is not today's.
    fn clock(&self, at: Millis, now: Millis) -> String {
        let (at, now) = (self.zone.local(at), self.zone.local(now));
        if at.date() == now.date() {
            at.strftime("%H:%M %Z").to_string()
        } else {
            at.strftime("%Y-%m-%d %H:%M %Z").to_string()
        }
    }
}

/// The message as JSON.
pub fn render(content: &Content, style: &Style, now: Millis) -> Value {
    match content {
        Content::Group(news, notices) => alerts::group(*news, notices, style, now),
        Content::Digest(held, notices) => alerts::digest(*held, notices, style, now),
        Content::Summary(figures) => summary::message(figures, style),
    }
}

/// The message of `adpipe alerts test-notify`.
pub fn test(style: &Style, host: &str, now: Millis) -> Value {
    alerts::test(style, host, now)
}

#[cfg(test)]
mod tests;
