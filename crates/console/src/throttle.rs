//! Guessing the token: slowed down, address by address.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use adpipe_ingest::http::Client;

/// Different wrong tokens that an address may show before it has to wait.
const FREE_FAILURES: u32 = 10;

/// The wait after the first failure that is not free; it doubles with each one more …
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// … up to this.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Failures are forgotten after this long without another one.
const MEMORY: Duration = Duration::from_secs(15 * 60);

/// Wrong tokens that are remembered of an address. A page that is still open after the token was
/// changed shows the old one again and again; that is not a guess.
const REMEMBERED: usize = 32;

/// Addresses that are remembered; beyond them those whose last failure is oldest are forgotten.
const MOST_CLIENTS: usize = 10_000;

/// What is known of addresses that showed wrong tokens.
pub(crate) struct Throttle {
    hasher: RandomState,
    failures: Mutex<HashMap<Client, Failures>>,
}

struct Failures {
    count: u32,
    newest: Instant,
    wait_until: Instant,
    /// Hashes of what was shown.
    shown: VecDeque<u64>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Compare it.
    Compare,
    /// It is known to be wrong.
    KnownWrong,
    /// Do not even compare it, for this long.
    Wait(Duration),
}

impl Throttle {
    pub fn new() -> Throttle {
        Throttle { hasher: RandomState::new(), failures: Mutex::default() }
    }

    /// Whether a token may be compared now.
    pub fn judge(&self, client: Client, given: &str, now: Instant) -> Verdict {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        match failures.get(&client) {
            Some(known) if known.shown.contains(&self.hasher.hash_one(given)) => Verdict::KnownWrong,
            Some(known) if now < known.wait_until => Verdict::Wait(known.wait_until - now),
            _ => Verdict::Compare,
        }
    }

    /// Notes that a token was compared and is wrong.
    pub fn note_failure(&self, client: Client, given: &str, now: Instant) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.retain(|_, known| now.duration_since(known.newest) < MEMORY);
        if failures.len() >= MOST_CLIENTS && !failures.contains_key(&client) {
            let oldest = failures.iter().min_by_key(|(_, known)| known.newest).map(|(client, _)| *client);
            oldest.map(|oldest| failures.remove(&oldest));
        }
        let known = failures.entry(client).or_insert_with(|| Failures {
            count: 0,
            newest: now,
            wait_until: now,
            shown: VecDeque::new(),
        });
        known.count += 1;
        known.newest = now;
        if let Some(beyond) = known.count.checked_sub(FREE_FAILURES) {
            let doubled = 2_u32.saturating_pow(beyond.min(16));
            known.wait_until = now + (FIRST_WAIT * doubled).min(LONGEST_WAIT);
        }
        if known.shown.len() == REMEMBERED {
            known.shown.pop_front();
        }
        known.shown.push_back(self.hasher.hash_one(given));
    }

    /// Notes that the right token was shown.
    pub fn forget(&self, client: Client) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).remove(&client);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(last: u8) -> Client {
        Client::of(std::net::IpAddr::from([10, 0, 0, last]))
    }

    #[test]
    fn guesses_wait_longer_and_longer() {
        let (throttle, start) = (Throttle::new(), Instant::now());
        let mut now = start;
        let mut guesses = 0;
        while now - start < Duration::from_secs(3_600) {
            let guess = format!("guess {guesses}");
            match throttle.judge(client(1), &guess, now) {
                Verdict::Compare => {
                    throttle.note_failure(client(1), &guess, now);
                    guesses += 1;
                }
                Verdict::Wait(wait) => now += wait,
                Verdict::KnownWrong => panic!("{guess} was never shown"),
            }
        }
        assert!((60..90).contains(&guesses), "{guesses} guesses in an hour");
        assert_eq!(throttle.judge(client(2), "another client", now), Verdict::Compare);
        assert_eq!(throttle.judge(client(1), "later", now + MEMORY), Verdict::Compare);
    }

    #[test]
    fn an_old_token_shown_again_is_no_guess() {
        let (throttle, now) = (Throttle::new(), Instant::now());
        throttle.note_failure(client(1), "old", now);
        for _ in 0..100 {
            assert_eq!(throttle.judge(client(1), "old", now), Verdict::KnownWrong);
        }
        assert_eq!(throttle.judge(client(1), "new", now), Verdict::Compare);
        throttle.forget(client(1));
        assert_eq!(throttle.judge(client(1), "old", now), Verdict::Compare);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (throttle, now) = (Throttle::new(), Instant::now());
        for number in 0..MOST_CLIENTS as u32 + 10 {
            let address = std::net::IpAddr::from(number.to_be_bytes());
            throttle.note_failure(Client::of(address), "x", now);
        }
        assert!(throttle.failures.lock().unwrap().len() <= MOST_CLIENTS);
    }
}
