//! How much each sender sent lately: which sender has to wait first when the processor is behind.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::http::Client;

/// "Lately" is this long, and up to once more.
const SPAN: Duration = Duration::from_secs(30);

/// A sender of less than this part of all records is a light one.
const LIGHT_PART: u64 = 10;

/// Senders that are distinguished; further ones count as light.
const MOST_SENDERS: usize = 10_000;

/// Records by sender, in the span under way and in the one before it.
#[derive(Default)]
pub(super) struct Senders(Mutex<Spans>);

#[derive(Default)]
struct Spans {
    began: Option<Instant>,
    now: HashMap<Client, u64>,
    before: HashMap<Client, u64>,
}

impl Senders {
    /// Notes records that were taken from a sender.
    pub fn note(&self, client: Client, records: u64, now: Instant) {
        let mut spans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        spans.move_on(now);
        if spans.now.len() < MOST_SENDERS || spans.now.contains_key(&client) {
            *spans.now.entry(client).or_default() += records;
        }
    }

    /// Whether a sender sent but a small part of what came lately.
    pub fn is_light(&self, client: Client, now: Instant) -> bool {
        let mut spans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        spans.move_on(now);
        let both = [&spans.now, &spans.before];
        let all: u64 = both.iter().flat_map(|span| span.values()).sum();
        let own: u64 = both.iter().filter_map(|span| span.get(&client)).sum();
        own == 0 || own * LIGHT_PART < all
    }
}

impl Spans {
    fn move_on(&mut self, now: Instant) {
        let began = *self.began.get_or_insert(now);
        let age = now.duration_since(began);
        if age >= SPAN {
            let is_next = age < SPAN * 2;
            self.before = if is_next { std::mem::take(&mut self.now) } else { HashMap::new() };
            self.now.clear();
            self.began = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_sends_little_is_told_from_who_sends_most() {
        let client = |last| Client::of(std::net::IpAddr::from([127, 0, 0, last]));
        let (senders, start) = (Senders::default(), Instant::now());
        assert!(senders.is_light(client(1), start));
        senders.note(client(1), 1_000, start);
        senders.note(client(2), 10, start);
        assert!(!senders.is_light(client(1), start) && senders.is_light(client(2), start));
        assert!(senders.is_light(client(3), start));
        let later = start + SPAN;
        senders.note(client(2), 1, later);
        assert!(!senders.is_light(client(1), later) && senders.is_light(client(2), later));
        assert!(senders.is_light(client(1), later + 2 * SPAN));
    }
}
