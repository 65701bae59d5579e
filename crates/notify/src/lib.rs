//! Messages to people: Slack.
//!
//! An alert's way: the monitor hands an announcement to [`Notifier`], which stores it in the
//! [`spool`] and returns. The thread of `sender` looks what is stored, has [`plan`] decide what
//! goes out now and with what it goes together (groups, quiet hours, throttles), renders it
//! ([`message`]) and posts it ([`client`]). Only when Slack has taken it does it leave the spool.
//! Once a day [`summary`] adds its message by the same way.
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
