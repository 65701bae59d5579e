//! The generator from outside: the same bytes from the same seed, and an account that is true.
#![allow(clippy::unwrap_used)] // also in the helpers, which clippy takes for no tests

use std::collections::HashSet;

use adpipe_generate::{Account, BadKind, Config, Format, Generator, IdFormat, RecordKind, TimeFormat};
use proptest::prelude::*;

const HOUR_MS: i64 = 3_600_000;

fn mixed(format: Format) -> Config {
    Config { seed: 42, rows: Some(50_000), bad: 0.1, duplicates: 0.05, format, ..Config::default() }
}

fn bytes_of(config: Config) -> (Vec<u8>, Account) {
    let mut generator = Generator::new(config).unwrap();
    let mut bytes = Vec::new();
    generator.write_all(&mut bytes).unwrap();
    (bytes, generator.account().clone())
}

/// FNV-1a, 64 bits.
fn hash(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn id_of(record: &[u8]) -> u64 {
    let text = std::str::from_utf8(record).unwrap();
    let rest = text.strip_prefix("{\"id\":\"").unwrap();
    rest.split('"').next().unwrap().parse().unwrap()
}

/// Anyone who changes what a seed gives must notice, and say so in the changelog.
#[test]
fn bytes_are_pinned() {
    let avazu = Config { time_format: TimeFormat::AvazuHour, ..mixed(Format::Csv) };
    let numbers = Config { id_format: IdFormat::Number, seed: 43, ..mixed(Format::Ndjson) };
    let hashes =
        [mixed(Format::Ndjson), avazu, numbers].map(|config| format!("{:016x}", hash(&bytes_of(config).0)));
    assert_eq!(hashes, ["3ffc2059c9161ff4", "963fb3de30a69e77", "b2eae2c238cfb73c"]);
}

#[test]
fn same_seed_gives_the_same_bytes() {
    for format in [Format::Ndjson, Format::Csv] {
        let first = bytes_of(mixed(format));
        assert_eq!(first, bytes_of(mixed(format)));
        let other_seed = Config { seed: 43, ..mixed(format) };
        assert_ne!(first.0, bytes_of(other_seed).0);
    }
}

#[test]
fn account_is_true() {
    for format in [Format::Ndjson, Format::Csv] {
        let (bytes, account) = bytes_of(mixed(format));
        assert_eq!(account.total, 50_000);
        assert_eq!(account.total, account.valid + account.duplicates + account.bad.total());
        assert!((4_700..5_300).contains(&account.bad.total()));
        assert!((2_300..2_700).contains(&account.duplicates));
        for kind in BadKind::ALL {
            assert!(account.bad.of(kind) >= account.bad.total() / 4, "{kind:?}");
        }
        let impressions: u64 = account.hours.values().map(|hour| hour.impressions).sum();
        let clicks: u64 = account.hours.values().map(|hour| hour.clicks).sum();
        assert_eq!((impressions, clicks), (account.valid, account.clicks));

        let header_lines = u64::from(format == Format::Csv);
        let newlines = bytes.iter().filter(|&&byte| byte == b'\n').count() as u64;
        assert_eq!(newlines, account.total + header_lines);
    }
}

#[test]
fn extreme_shares_are_kept() {
    let bad = bytes_of(Config { bad: 1.0, duplicates: 0.0, ..mixed(Format::Csv) });
    assert_eq!(bad.1.bad.total(), 50_000);
    let repeated = bytes_of(Config { bad: 0.0, duplicates: 1.0, ..mixed(Format::Ndjson) });
    assert_eq!((repeated.1.valid, repeated.1.duplicates), (1, 49_999));
}

#[test]
fn click_rate_is_that_of_the_data() {
    for seed in 0..4 {
        let (_, account) = bytes_of(Config { seed, rows: Some(200_000), ..Config::default() });
        let ctr = account.ctr().unwrap();
        assert!((0.162..0.168).contains(&ctr), "{ctr} with seed {seed}");
    }
}

#[test]
fn a_million_ids_differ() {
    let config = Config { rows: Some(1_000_000), ..Config::default() };
    let mut generator = Generator::new(config).unwrap();
    let mut record = Vec::new();
    let mut ids = HashSet::with_capacity(1_000_000);
    while generator.next_record(&mut record).is_some() {
        ids.insert(id_of(&record));
        record.clear();
    }
    assert_eq!(ids.len(), 1_000_000);
    let beyond_i64 = ids.iter().filter(|&&id| id > i64::MAX as u64).count();
    assert!(beyond_i64 > 400_000);
}

#[test]
fn duplicates_repeat_valid_records() {
    let mut generator = Generator::new(mixed(Format::Ndjson)).unwrap();
    let mut valid = HashSet::new();
    let mut record = Vec::new();
    while let Some(kind) = generator.next_record(&mut record) {
        match kind {
            RecordKind::Valid => assert!(valid.insert(record.clone())),
            RecordKind::Duplicate => assert!(valid.contains(&record)),
            RecordKind::Bad(_) => assert!(!valid.contains(&record)),
        }
        record.clear();
    }
}

#[test]
fn live_events_happen_now() {
    let mut generator = Generator::new(Config { rows: Some(0), ..Config::default() }).unwrap();
    let mut record = Vec::new();
    assert_eq!(generator.next_record(&mut record), None);
    let now_ms = 1_795_179_907_123;
    assert_eq!(generator.next_at(now_ms, &mut record), RecordKind::Valid);
    let text = String::from_utf8(record).unwrap();
    assert!(text.contains("\"hour\":\"2026-11-20T13:05:07.123Z\""), "{text}");
    let hours: Vec<i64> = generator.account().hours.keys().copied().collect();
    assert_eq!(hours, [now_ms - now_ms % HOUR_MS]);
}

#[test]
fn endless_rows_do_not_end() {
    let mut generator = Generator::new(Config { rows: None, ..Config::default() }).unwrap();
    let mut record = Vec::new();
    for _ in 0..200_000 {
        assert!(generator.next_record(&mut record).is_some());
        record.clear();
    }
}

#[test]
fn csv_has_avazus_columns() {
    let (bytes, _) = bytes_of(Config { rows: Some(100), format: Format::Csv, ..Config::default() });
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.starts_with("id,click,hour,C1,banner_pos,site_id,"));
    assert!(text.lines().all(|line| line.split(',').count() == 24));
}

proptest! {
    #[test]
    fn no_record_contains_a_newline(
        seed: u64,
        bad in 0.0..=1.0_f64,
        csv: bool,
        hours: bool,
        length_ms in 1..1_000_000_000_i64,
    ) {
        let config = Config {
            seed,
            rows: Some(300),
            bad,
            duplicates: (1.0 - bad) / 2.0,
            end_ms: Config::default().start_ms + length_ms,
            format: if csv { Format::Csv } else { Format::Ndjson },
            time_format: if hours { TimeFormat::AvazuHour } else { TimeFormat::Iso },
            ..Config::default()
        };
        let mut generator = Generator::new(config).unwrap();
        let mut record = Vec::new();
        while generator.next_record(&mut record).is_some() {
            prop_assert!(!record.is_empty());
            prop_assert!(!record.iter().any(|byte| matches!(byte, b'\n' | b'\r')));
            record.clear();
        }
    }
}
