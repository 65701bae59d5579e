//! `adpipe generate`.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use adpipe_event::Millis;
use adpipe_generate::{Account, Config, Format, Generator, TimeFormat};
use adpipe_runtime::Shutdown;
use anyhow::{Context, bail};

use crate::cli::generate::{GenerateArgs, GenerateFormat};
use crate::config::ConfigError;
use crate::output;
use crate::signals;

/// So many records are written before it is looked again whether to end.
const RECORDS_A_LOOK: u32 = 1_000;

const DAY_MS: i64 = 24 * 3_600_000;

/// 2014-10-21, the first day of the Avazu data: the default time of events of a given seed.
const FIRST_DAY: Millis = Millis(1_413_849_600_000);

/// 2090-01-01: for a given seed, `future` records are after it, whenever they are read.
const FAR_AHEAD: Millis = Millis(3_786_912_000_000);

/// Without `--seed`.
const USUAL_SEED: u64 = 1;

/// Writes events and says what they were.
pub fn run(args: &GenerateArgs) -> anyhow::Result<ExitCode> {
    if args.rows.is_none() && args.rate.is_none() {
        bail!(ConfigError::Flag("say how many with --rows N, or how fast with --rate R".to_owned()));
    }
    let (start, end) = time_range(args)?;
    let config = Config {
        seed: args.seed.unwrap_or(USUAL_SEED),
        start_ms: start.0,
        end_ms: end.0,
        rows: args.rows,
        now_ms: Some(if args.seed.is_some() { FAR_AHEAD.0 } else { Millis::now().0 }),
        bad: args.bad,
        duplicates: args.duplicates,
        format: if args.format == GenerateFormat::Csv { Format::Csv } else { Format::Ndjson },
        time_format: if args.avazu_hours { TimeFormat::AvazuHour } else { TimeFormat::Iso },
        ..Config::default()
    };
    if start >= end {
        bail!(ConfigError::Flag(format!("--start {start} must be before --end {end}")));
    }
    let shutdown = Shutdown::new();
    signals::watch(&shutdown, signals::GRACE)?;
    let mut generator = Generator::new(config).map_err(|error| ConfigError::Flag(error.to_string()))?;
    let mut out: Box<dyn Write> = match &args.out {
        Some(path) => {
            let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
            Box::new(BufWriter::with_capacity(1 << 20, file))
        }
        None => Box::new(BufWriter::with_capacity(1 << 16, std::io::stdout().lock())),
    };
    match args.rate {
        Some(rate) => write_live(&mut generator, rate, args.rows, &mut out, &shutdown)?,
        None => write_at_once(&mut generator, &mut out, &shutdown)?,
    }
    out.flush()?;
    report(generator.account(), args)?;
    Ok(if shutdown.is_triggered() { signals::exit_code() } else { ExitCode::SUCCESS })
}

/// The times of the events: with a seed the same at every call, else those of the last day.
fn time_range(args: &GenerateArgs) -> Result<(Millis, Millis), ConfigError> {
    let given = |flag, text: &Option<String>| text.as_deref().map(|text| parse_time(flag, text)).transpose();
    Ok(match (given("--start", &args.start)?, given("--end", &args.end)?) {
        (Some(start), Some(end)) => (start, end),
        (None, Some(end)) => (Millis(end.0 - DAY_MS), end),
        (Some(start), None) if args.seed.is_some() => (start, Millis(start.0 + DAY_MS)),
        (Some(start), None) => (start, Millis::now()),
        (None, None) if args.seed.is_some() => (FIRST_DAY, Millis(FIRST_DAY.0 + DAY_MS)),
        (None, None) => {
            let now = Millis::now();
            (Millis(now.0 - DAY_MS), now)
        }
    })
}

/// Writes all of it as fast as it goes, and ends with a whole record when asked to end.
fn write_at_once(generator: &mut Generator, out: &mut dyn Write, shutdown: &Shutdown) -> anyhow::Result<()> {
    if let Some(header) = generator.header() {
        writeln!(out, "{header}")?;
    }
    let mut line = Vec::new();
    while !shutdown.is_triggered() {
        for _ in 0..RECORDS_A_LOOK {
            line.clear();
            if generator.next_record(&mut line).is_none() {
                return Ok(());
            }
            line.push(b'\n');
            out.write_all(&line)?;
        }
    }
    Ok(())
}

/// Writes `rate` events a second with the time of now, a tenth of a second's worth at once.
fn write_live(
    generator: &mut Generator,
    rate: u32,
    rows: Option<u64>,
    out: &mut dyn Write,
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    let started = Instant::now();
    let mut line = Vec::new();
    let mut written = 0u64;
    if let Some(header) = generator.header() {
        writeln!(out, "{header}")?;
    }
    loop {
        let due = (started.elapsed().as_secs_f64() * f64::from(rate)) as u64;
        let due = rows.map_or(due, |rows| due.min(rows));
        while written < due {
            line.clear();
            generator.next_at(Millis::now().0, &mut line);
            line.push(b'\n');
            out.write_all(&line)?;
            written += 1;
        }
        out.flush()?;
        if rows.is_some_and(|rows| written >= rows) {
            return Ok(());
        }
        if shutdown.sleep(Duration::from_millis(100)) {
            return Ok(());
        }
    }
}

fn report(account: &Account, args: &GenerateArgs) -> anyhow::Result<()> {
    let rate = output::rate(account.clicks, account.valid);
    output::note(&format!(
        "{}: {} with {}{}, {}, {} invalid",
        output::counted(account.total, "record"),
        output::counted(account.valid, "event"),
        output::counted(account.clicks, "click"),
        rate.map(|rate| format!(" (CTR {rate})")).unwrap_or_default(),
        output::counted(account.duplicates, "duplicate"),
        output::grouped(account.bad.total()),
    ));
    let Some(path) = &args.account else { return Ok(()) };
    let bad = &account.bad;
    let account = serde_json::json!({
        "records": account.total, "valid": account.valid, "clicks": account.clicks,
        "duplicates": account.duplicates, "parse": bad.parse, "schema": bad.schema,
        "validation": bad.validation, "future": bad.future,
    });
    std::fs::write(path, serde_json::to_vec_pretty(&account)?)
        .with_context(|| format!("cannot write {}", path.display()))
}

fn parse_time(flag: &str, text: &str) -> Result<Millis, ConfigError> {
    Millis::parse_sql(text).or_else(|| Millis::parse_sql(&format!("{text} 00:00:00"))).ok_or_else(|| {
        ConfigError::Flag(format!("{flag} {text:?} is not a time like 2026-11-20 or 2026-11-20T13:05:00"))
    })
}
