//! What every step of a rebuild needs, and what it says.

use std::time::Duration;

use adpipe_event::FieldMap;
use adpipe_runtime::Shutdown;
use adpipe_runtime::progress::Progress;

use crate::BatchError;
use crate::account::Account;
use crate::back_ends::BackEnds;

/// What a rebuild is to do.
#[derive(Debug, Clone)]
pub struct RebuildConfig {
    /// How long figures by the minute are kept, counted back from the newest.
    pub minutes: Duration,
    /// How long events stay in `realtime.events`, counted back from the newest.
    pub hot: Duration,
    /// Which fields of the input give those of an event.
    pub fields: FieldMap,
    /// Change nothing; say what there is.
    pub dry_run: bool,
}

/// What was found and done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RebuildReport {
    /// When the account was written that it is made by; none without an account.
    pub account_of: Option<String>,
    /// Parts that count, and their events.
    pub parts: u64,
    /// Events in them.
    pub archived: u64,
    /// Events that are in the log only, or have not been archived yet.
    pub from_log: u64,
    /// Clicks among them.
    pub clicks_from_log: u64,
    /// Records after the account that a part proves to be counted.
    pub replayed: u64,
    /// Parts whose events are all in others.
    pub redundant: Vec<String>,
    /// Parts some of whose events are in others: the rest was written into new ones.
    pub rewritten: Vec<String>,
    /// What nothing recorded any more and was filled in, in words.
    pub synthesised: Vec<String>,
    /// What is damaged or missing, in words.
    pub problems: Vec<String>,
    /// Events put into the hot window.
    pub made_hot: u64,
}

/// What every step needs.
pub(super) struct Work<'a> {
    pub(super) config: &'a RebuildConfig,
    pub(super) back_ends: BackEnds<'a>,
    pub(super) account: &'a Account,
    pub(super) data_id: Option<&'a str>,
    pub(super) progress: &'a Progress,
    pub(super) shutdown: &'a Shutdown,
}

impl Work<'_> {
    pub(super) fn go_on(&self) -> Result<(), BatchError> {
        if self.shutdown.is_triggered() { Err(BatchError::Stopped) } else { Ok(()) }
    }

    pub(super) fn has_account(&self) -> bool {
        self.account.number > 0
    }
}
