//! Alerts for the tests of this crate.

#[path = "../tests/common/announcements.rs"]
mod announcements;

use adpipe_event::Millis;
use adpipe_monitor::announce::Change;

use crate::notice::{Entry, Notice};
pub use announcements::announcement;

/// A change of an alert of this built-in rule, as it is stored.
pub fn notice(rule: &str, id: &str, change: Change, at: Millis) -> Notice {
    Notice::of(&announcement(rule, id, change, at), at)
}

/// The same with its name.
pub fn entry(rule: &str, id: &str, change: Change, at: Millis) -> (String, Entry) {
    let entry = Entry::Alert(Box::new(notice(rule, id, change, at)));
    (entry.name(), entry)
}
