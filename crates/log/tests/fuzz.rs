//! The fuzzers' entry, fed by a mutator that needs no tool: `ADPIPE_FUZZ_SECONDS` (20 by default) long,
//! from `ADPIPE_TEST_SEED`. On failure it prints the seed and the input.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use adpipe_testkit::{Dice, seed};

#[path = "../../../fuzz/entry.rs"]
mod entry;

const SECONDS: u64 = 20;
const MOST_BYTES: usize = 4_096;

/// What is worth putting anywhere.
const WORDS: [&[u8]; 26] = [
    b"\n",
    b"\r",
    b"\r\n",
    b",",
    b"\"",
    b"\"\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b":",
    b"\xef\xbb\xbf",
    b"\xff",
    b"\xf0\x9f\x98\x80",
    b"id",
    b"event_time",
    b"-1",
    b"1.4e+19",
    b"18446744073709551615",
    b"\x28\xb5\x2f\xfd",
    b"\x1f\x8b",
    b"\x00\x00\x00\x00",
    b"\xff\xff\xff\x7f",
];

fn mutated(corpus: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut below = |limit: usize| dice.below(limit.max(1) as u64) as usize;
    let mut bytes = corpus[below(corpus.len())].clone();
    for _ in 0..1 + below(6) {
        let at = below(bytes.len() + 1);
        match below(7) {
            0 if at < bytes.len() => bytes[at] = below(256) as u8,
            1 if at < bytes.len() => bytes[at] ^= 1 << below(8),
            2 => bytes.truncate(at),
            3 => {
                let word = WORDS[below(WORDS.len())];
                bytes.splice(at..at, word.iter().copied());
            }
            4 => {
                let end = (at + below(64)).min(bytes.len());
                bytes.drain(at..end);
            }
            5 => {
                let end = (at + below(256)).min(bytes.len());
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            _ => {
                let other = &corpus[below(corpus.len())];
                let from = below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
        }
    }
    bytes.truncate(MOST_BYTES);
    bytes
}

#[test]
fn bytes_from_outside_are_judged() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect(name));
    let seconds = number("ADPIPE_FUZZ_SECONDS").unwrap_or(SECONDS);
    let seed = seed();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds");
    let mut files: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let corpus: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    assert!(corpus.len() >= 10, "{folder:?}");

    let (mut dice, until) = (Dice(seed), Instant::now() + Duration::from_secs(seconds));
    let mut runs = 0_u64;
    corpus.iter().for_each(|bytes| judge(bytes, seed));
    while Instant::now() < until {
        judge(&mutated(&corpus, &mut dice), seed);
        runs += 1;
    }
    println!("{runs} inputs in {seconds} s");
}

fn judge(bytes: &[u8], seed: u64) {
    if catch_unwind(AssertUnwindSafe(|| entry::run(bytes))).is_err() {
        panic!("ADPIPE_TEST_SEED={seed}; the input: {}", bytes.escape_ascii());
    }
}
