//! How long measuring takes with a million commits and two days of readings, on SQLite and on a
//! PostgreSQL that it starts: `cargo bench -p adpipe-monitor`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

#[path = "../tests/common/mod.rs"]
mod common;

use std::time::{Duration, Instant};

use adpipe_event::Millis;
use adpipe_monitor::figures::{Measure, measure};
use adpipe_monitor::history;
use adpipe_monitor::signal::Signal;
use adpipe_warehouse::{Dialect, Schema};
use common::{Rig, later, on_both};

/// Fifteen a second, as three partitions with a linger of 200 ms make them, up to now.
const COMMITS: i64 = 1_000_000;

fn fill(rig: &Rig, now: Millis) {
    let columns = "topic, partition, first_offset, next_offset, committed_at, records, valid, clicks, \
        duplicates, parse, schema, validation, future, sink, late, float_ids, unknown_fields, latency_counts";
    let values = "'ad_events_raw', 0, i * 100, i * 100 + 100, AT, 100, 98, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, \
        '0 0 10 50 30 9 1 0 0 0 0 0 0 0'";
    let base = later(now, -COMMITS / 15).0 / 1_000;
    let (commits, readings) = match rig.warehouse.dialect() {
        Dialect::Sqlite => {
            let at = |step: &str| format!("strftime('%Y-%m-%d %H:%M:%f', {base} + i * {step}, 'unixepoch')");
            let series = |rows: i64| {
                format!(
                    "with recursive n (i) as (select 0 union all select i + 1 from n where i < {})",
                    rows - 1
                )
            };
            (
                format!(
                    "{} insert into realtime.commits ({columns}) select {} from n;",
                    series(COMMITS),
                    values.replace("AT", &at("1.0 / 15"))
                ),
                format!(
                    "{}, s (k) as (select i from n where i < 40) insert into ops.readings (at, signal, labels, value) \
                     select {}, case when k = 0 then 'lag' else 'dag_failures' end, \
                     case when k = 0 then '{{}}' else '{{\"dag\":\"' || k || '\"}}' end, 1.0 from n, s where i < 4444;",
                    series(4_444),
                    at("15")
                ),
            )
        }
        Dialect::Postgres => {
            let at = |step: &str| format!("to_timestamp({base} + i * {step})");
            (
                format!(
                    "insert into realtime.commits ({columns}) select {} from generate_series(0, {}) i;",
                    values.replace("AT", &at("1.0 / 15")),
                    COMMITS - 1
                ),
                format!(
                    "insert into ops.readings (at, signal, labels, value) select {}, \
                     case when k = 0 then 'lag' else 'dag_failures' end, \
                     case when k = 0 then '{{}}' else '{{\"dag\":\"' || k || '\"}}' end, 1.0 \
                     from generate_series(0, 4443) i, generate_series(0, 39) k;",
                    at("15")
                ),
            )
        }
    };
    rig.execute(Schema::Realtime, &commits);
    rig.execute(Schema::Ops, &readings);
    let group = |index: i64| {
        format!(
            "insert into errors.groups values ('f{index}', 'validation', 'stream', null, 'm', 'm', 'id', '{now}', \
             '{now}', 0, 0, {index}, 5, 0, null);"
        )
    };
    rig.execute(Schema::Errors, &(0..1_000).map(group).collect::<String>());
    if rig.warehouse.dialect() == Dialect::Postgres {
        rig.execute(Schema::Realtime, "analyze realtime.commits;");
        rig.execute(Schema::Ops, "analyze ops.readings;");
    }
}

fn main() {
    // Cargo also runs benches as tests, which measure nothing.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    on_both("measuring", |rig| {
        let now = Millis::now();
        fill(rig, now);
        let sources = rig.sources();
        println!("{:?}", rig.warehouse.dialect());
        for turn in ["first", "second"] {
            for signal in Signal::ALL {
                let (window_s, short_s) = match signal {
                    Signal::BurnRate => (21_600, Some(1_800)),
                    _ => (300, None),
                };
                let what = Measure {
                    signal,
                    window: Duration::from_secs(window_s),
                    short_window: short_s.map(Duration::from_secs),
                    records: 0,
                };
                // Nobody asks here whether the warehouse answers.
                rig.pulse.answered(Duration::ZERO);
                let started = Instant::now();
                let found = measure(&sources, &what, now).unwrap();
                let first = found.first().map(|reading| reading.value);
                println!(
                    "{turn:7} {:22} {:9.2} ms {first:?}",
                    signal.word(),
                    started.elapsed().as_secs_f64() * 1e3
                );
            }
        }
        rig.pulse.answered(Duration::ZERO);
        let started = Instant::now();
        let recorded = history::record(&sources, now).unwrap().len();
        println!("record {recorded} readings: {:.2} ms", started.elapsed().as_secs_f64() * 1e3);
        let started = Instant::now();
        let day = later(now, -86_400);
        let series =
            history::readings(rig.warehouse.as_ref(), Signal::DagFailures, day, now, Duration::from_secs(60));
        let series = series.unwrap().len();
        println!("a chart of {series} series over a day: {:.2} ms", started.elapsed().as_secs_f64() * 1e3);
    });
}
