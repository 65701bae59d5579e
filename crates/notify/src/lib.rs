//! Notifications on Slack.
//!
//! The monitor hands an announcement to [`Notifier`], which stores it in the [`spool`] and returns.
//! The thread of `sender` reads the spool; [`plan`] decides what goes out now and what goes out
//! together (groups, quiet hours, throttles); [`message`] renders it and [`client`] posts it. It leaves
//! the spool only once Slack has accepted it. Once a day, [`summary`] adds its message in the same way.
//!
//! - [`config`]: `config/slack_config.json`; [`webhook`]: the address, which is a secret.
//!
//! Start with [`plan`].
#![forbid(unsafe_code)]

mod alert_refresh;
pub mod client;
pub mod config;
pub mod error;
pub mod kind;
pub mod message;
pub mod notice;
mod notifier;
pub mod plan;
mod reminder;
#[cfg(test)]
mod sample;
mod sender;
pub mod spool;
pub mod summary;
pub mod time;
mod waiting;
pub mod webhook;

pub use error::NotifyError;
pub use notifier::{Announcer, Notifier, NotifierOptions, POLL};
