//! `cargo +nightly fuzz run records`: libFuzzer looks for bytes that `entry.rs` fails on.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../entry.rs"]
mod entry;

fuzz_target!(|bytes: &[u8]| entry::run(bytes));
