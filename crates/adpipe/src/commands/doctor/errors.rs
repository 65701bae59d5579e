//! The dead-letter queue's part of the report: errors that are not stored are not visible anywhere
//! else.

use super::finding::{Finding, State, add};
use crate::commands::dlq::waiting::{self, Waiting};
use crate::config::Config;
use crate::services::Services;

/// Stores waiting errors if no other process keeps the queue; names what still waits.
pub fn check(config: &Config, findings: &mut Vec<Finding>) {
    let part = "dead-letter queue";
    match stored(config) {
        Ok(waiting) => match waiting.words() {
            None => add(findings, part, State::Good, "every error in the log is stored".to_owned()),
            Some(words) if waiting.has_keeper => add(findings, part, State::Notice, words),
            Some(words) => add(findings, part, State::Bad, words),
        },
        Err(error) => add(findings, part, State::Bad, format!("{error:#}")),
    }
}

fn stored(config: &Config) -> anyhow::Result<Waiting> {
    let services = Services::open_existing(config.clone())?;
    let dlq = services.dlq()?;
    waiting::store(&services, &dlq)
}
