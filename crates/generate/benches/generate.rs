//! Events per second on one core: `cargo bench -p adpipe-generate`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

use std::time::Instant;

use adpipe_generate::{Config, Format, Generator, TimeFormat};

const ROWS: u64 = 2_000_000;

fn main() {
    println!("{:<28} {:>12} {:>10}", "records", "events/s", "MB/s");
    let clean = Config { rows: Some(ROWS), ..Config::default() };
    let mixed = Config { bad: 0.01, duplicates: 0.02, ..clean.clone() };
    measure("ndjson", clean.clone());
    measure("ndjson, 1 % bad, 2 % twice", mixed.clone());
    measure("csv", Config { format: Format::Csv, ..clean });
    measure(
        "csv, Avazu hours, mixed",
        Config { format: Format::Csv, time_format: TimeFormat::AvazuHour, ..mixed },
    );
}

/// Generates into a buffer that is thrown away, so that nothing but the generator is measured.
fn measure(name: &str, config: Config) {
    let mut generator = Generator::new(config).expect("the configurations here are valid");
    let mut buffer = Vec::with_capacity(1 << 20);
    let mut bytes = 0;
    let started = Instant::now();
    while generator.next_record(&mut buffer).is_some() {
        buffer.push(b'\n');
        if buffer.len() > 1 << 19 {
            bytes += buffer.len();
            buffer.clear();
        }
    }
    bytes += buffer.len();
    let seconds = started.elapsed().as_secs_f64();
    let rate = generator.account().total as f64 / seconds;
    println!("{name:<28} {rate:>12.0} {:>10.0}", bytes as f64 / seconds / 1e6);
}
