//! What was measured, kept for charts: `ops.readings` and `ops.process_samples`.

use std::collections::BTreeMap;
use std::time::Duration;

use adpipe_event::Millis;
use adpipe_sql::section;
use adpipe_warehouse::{FromRow, Row, Schema, Value, Warehouse, WarehouseError, for_each_row, query_table};

use crate::figures::{self, Measure, MonitorError, Sources};
use crate::signal::{Labels, Reading, Signal};
use crate::store::read_labels;

const SQL: &str = include_str!("../sql/history.sql");
const ADD_READINGS: &str = section(SQL, "add_readings");
const READINGS: &str = section(SQL, "readings");
const READING_BEFORE: &str = section(SQL, "reading_before");
const SAMPLES: &str = section(SQL, "samples");
const DROP_READINGS: &str = section(SQL, "drop_readings");
const DROP_SAMPLES: &str = section(SQL, "drop_samples");
const DROP_PROCESSES: &str = section(SQL, "drop_processes");
const PROCESSES: &str = section(include_str!("../sql/figures.sql"), "processes");

/// How old a figure "of a window ago" may be beyond that, as with Prometheus.
const LOOK_BACK_MS: i64 = 300_000;

/// Rows of one statement; each has four parameters.
const ROWS_A_STATEMENT: usize = 200;

const DAY_MS: i64 = 86_400_000;
const KEEP_READINGS_MS: i64 = 2 * DAY_MS;
const KEEP_PROCESSES_MS: i64 = 30 * DAY_MS;

/// A process that was not seen for longer is silent.
const SILENT_MS: i64 = 60_000;

/// CPU is reported over this time.
const CPU_MS: i64 = 60_000;

/// What is charted, with the window of each: short ones, as a chart shows the course itself.
const CHARTED: [(Signal, u64, Option<u64>); 15] = [
    (Signal::Throughput, 60, None),
    (Signal::Latency, 60, None),
    (Signal::ErrorShare, 60, None),
    (Signal::BurnRate, 3_600, Some(300)),
    (Signal::Stalled, 0, None),
    (Signal::Lag, 0, None),
    (Signal::DlqOpen, 0, None),
    (Signal::DlqExhausted, 0, None),
    (Signal::DagFailures, 0, None),
    (Signal::DagOverdue, 0, None),
    (Signal::FailingDataTests, 0, None),
    (Signal::SourceOverdue, 0, None),
    (Signal::WarehouseSilent, 0, None),
    (Signal::DiskFree, 0, None),
    (Signal::NotificationsWaiting, 0, None),
];

/// One line of a chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Which of the signal's series it is; empty for signals with one.
    pub labels: Labels,
    /// Time and value, oldest first, at most one a step (the newest within it). A step without a
    /// reading is missing.
    pub points: Vec<(Millis, f64)>,
}

/// What a process used, for charts.
#[derive(Debug, Clone, PartialEq)]
pub struct Usage {
    /// `host:pid:start`.
    pub process: String,
    /// Oldest first, at most one a step.
    pub points: Vec<UsagePoint>,
}

/// What a process used at a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UsagePoint {
    /// The moment that was measured.
    pub at: Millis,
    /// Percent of one core since the point before; none for the first.
    pub cpu_percent: Option<f64>,
    /// Resident, bytes.
    pub memory_bytes: u64,
    /// Open files.
    pub open_files: u64,
    /// Free bytes where its data is; none if it keeps none.
    pub disk_free: Option<u64>,
    /// Size of that disk, bytes.
    pub disk_size: Option<u64>,
}

/// Whether a process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// Seen within the last minute.
    Alive,
    /// Ended in order.
    Ended,
    /// Did not end in order, and was not seen for a minute.
    Silent,
}

/// A process of the pipeline.
#[derive(Debug, Clone, PartialEq)]
pub struct Process {
    /// `host:pid:start`.
    pub process: String,
    /// Name of the machine that it runs on.
    pub host: String,
    /// Its number there.
    pub pid: i64,
    /// `stream dlq scheduler console monitor`, those it plays.
    pub roles: String,
    /// Of adpipe.
    pub version: String,
    /// When it began.
    pub started_at: Millis,
    /// When it last wrote.
    pub seen_at: Millis,
    /// When it ended in order.
    pub ended_at: Option<Millis>,
    /// Whether it lives.
    pub life: Life,
    /// Percent of one core over the last minute; none with fewer than two samples.
    pub cpu_percent: Option<f64>,
    /// Newest sample of the last minutes; none before the first.
    pub newest: Option<UsagePoint>,
}

/// Measures everything that is charted and writes it to `ops.readings` in one statement. Called
/// by the monitor role, every 15 s. What cannot be measured now is left out.
///
/// # Errors
/// When the readings cannot be written.
pub fn record(sources: &Sources, now: Millis) -> Result<Vec<(Signal, Reading)>, MonitorError> {
    let mut found = Vec::new();
    for (signal, window_s, short_s) in CHARTED {
        let measure = Measure {
            signal,
            window: Duration::from_secs(window_s),
            short_window: short_s.map(Duration::from_secs),
            records: 1,
        };
        match figures::measure(sources, &measure, now) {
            Ok(readings) => found.extend(readings.into_iter().map(|reading| (signal, reading))),
            Err(error) => tracing::debug!(?signal, %error, "a signal cannot be measured now"),
        }
    }
    write(sources.warehouse.as_ref(), now, &found)?;
    if sources.retires() {
        let removed = retire(sources.warehouse.as_ref(), now)?;
        tracing::debug!(removed, "old readings and samples were removed");
    }
    Ok(found)
}

/// Writes readings of one moment.
fn write(warehouse: &dyn Warehouse, at: Millis, readings: &[(Signal, Reading)]) -> Result<(), MonitorError> {
    let readings: Vec<_> = readings.iter().filter(|(_, reading)| reading.value.is_finite()).collect();
    if readings.is_empty() {
        return Ok(());
    }
    let mut session = warehouse.session(Schema::Ops)?;
    let mut transaction = session.begin()?;
    for some in readings.chunks(ROWS_A_STATEMENT) {
        let row = |index: usize| {
            let first = index * 4;
            format!("(${}, ${}, ${}, ${})", first + 1, first + 2, first + 3, first + 4)
        };
        let rows: Vec<String> = (0..some.len()).map(row).collect();
        let sql =
            format!("{}\n{}\non conflict (signal, labels, at) do nothing", ADD_READINGS, rows.join(",\n"));
        let mut params = Vec::with_capacity(some.len() * 4);
        for (signal, reading) in some {
            params.push(Value::Text(at.to_string()));
            params.push(signal.word().into());
            params.push(Value::Text(labels_text(&reading.labels)));
            params.push(Value::Real(reading.value));
        }
        transaction.execute(&sql, &params)?;
    }
    transaction.commit()?;
    Ok(())
}

/// A JSON object with sorted keys.
fn labels_text(labels: &Labels) -> String {
    serde_json::Value::from_iter(labels.iter().map(|(key, value)| (key.clone(), value.clone()))).to_string()
}

/// The readings of a signal, by its labels, for a chart with one point a `step`.
///
/// # Errors
/// Failures of the warehouse.
pub fn readings(
    warehouse: &dyn Warehouse,
    signal: Signal,
    since: Millis,
    until: Millis,
    step: Duration,
) -> Result<Vec<Series>, MonitorError> {
    let params = [signal.word().into(), since.to_string().into(), until.to_string().into()];
    let mut found: Vec<(String, Series)> = Vec::new();
    for_each_row(warehouse, READINGS, &params, |row| {
        let (labels, at, value): (&str, Millis, f64) =
            (row.get("labels")?, row.get("at")?, row.get("value")?);
        if found.last().is_none_or(|(text, _)| text != labels) {
            found.push((labels.to_owned(), Series { labels: read_labels(&row)?, points: Vec::new() }));
        }
        if let Some((_, series)) = found.last_mut() {
            match series.points.last_mut() {
                Some(last) if is_one_step(last.0, at, step) => *last = (at, value),
                _ => series.points.push((at, value)),
            }
        }
        Ok::<(), WarehouseError>(())
    })?;
    Ok(found.into_iter().map(|(_, series)| series).collect())
}

fn is_one_step(earlier: Millis, later: Millis, step: Duration) -> bool {
    let step_ms = (step.as_millis() as i64).max(1);
    earlier.0.div_euclid(step_ms) == later.0.div_euclid(step_ms)
}

/// The newest reading of a signal without labels at or shortly before a time.
pub(crate) fn reading_before(
    warehouse: &dyn Warehouse,
    signal: Signal,
    at: Millis,
) -> Result<Option<f64>, WarehouseError> {
    let params =
        [signal.word().into(), at.to_string().into(), Millis(at.0 - LOOK_BACK_MS).to_string().into()];
    let table = query_table(warehouse, READING_BEFORE, &params)?;
    table.first().map(|row| row.get("value")).transpose()
}

/// What the processes used from `since` to `until`, for charts with one point a `step`.
///
/// # Errors
/// Failures of the warehouse.
pub fn usage(
    warehouse: &dyn Warehouse,
    since: Millis,
    until: Millis,
    step: Duration,
) -> Result<Vec<Usage>, MonitorError> {
    let mut found = Vec::new();
    for (process, samples) in samples(warehouse, since, until)? {
        let mut chosen: Vec<Sample> = Vec::new();
        for sample in samples {
            match chosen.last_mut() {
                Some(last) if is_one_step(last.at, sample.at, step) => *last = sample,
                _ => chosen.push(sample),
            }
        }
        let point = |index: usize| {
            let before = index.checked_sub(1).map(|before| chosen[before]);
            chosen[index].point(before.and_then(|before| chosen[index].cpu_percent_since(&before)))
        };
        found.push(Usage { process, points: (0..chosen.len()).map(point).collect() });
    }
    Ok(found)
}

/// The processes seen within the last day, those that live first.
///
/// # Errors
/// Failures of the warehouse.
pub fn processes(warehouse: &dyn Warehouse, now: Millis) -> Result<Vec<Process>, MonitorError> {
    let mut found = seen(warehouse, now)?;
    // A minute, and the time between two samples; for a few more, their newest sample.
    let samples = samples(warehouse, Millis(now.0 - 5 * CPU_MS), now)?;
    for process in &mut found {
        let Some(samples) = samples.get(&process.process) else { continue };
        let Some(newest) = samples.last() else { continue };
        // Over the last minute: since the newest sample that is a minute older, nearly.
        let is_before = |sample: &&Sample| sample.at.0 <= newest.at.0 - CPU_MS + 2_000;
        let before = samples.iter().rev().find(is_before).or(samples.first());
        process.cpu_percent = before.and_then(|before| newest.cpu_percent_since(before));
        process.newest = Some(newest.point(process.cpu_percent));
    }
    found.sort_by_key(|process| (process.life != Life::Alive, std::cmp::Reverse(process.seen_at)));
    Ok(found)
}

/// The same, in the order of their start and without what they use.
pub(crate) fn seen(warehouse: &dyn Warehouse, now: Millis) -> Result<Vec<Process>, WarehouseError> {
    let table = query_table(warehouse, PROCESSES, &[Millis(now.0 - DAY_MS).to_string().into()])?;
    table.iter().map(|row| process(&row, now)).collect()
}

fn process(row: &Row<'_>, now: Millis) -> Result<Process, WarehouseError> {
    let mut process = Process {
        process: row.get("process")?,
        host: row.get("host")?,
        pid: row.get("pid")?,
        roles: row.get("roles")?,
        version: row.get("version")?,
        started_at: row.get("started_at")?,
        seen_at: row.get("seen_at")?,
        ended_at: row.get("ended_at")?,
        life: Life::Alive,
        cpu_percent: None,
        newest: None,
    };
    if process.ended_at.is_some() {
        process.life = Life::Ended;
    } else if now.0 - process.seen_at.0 > SILENT_MS {
        process.life = Life::Silent;
    }
    Ok(process)
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Millis,
    cpu_seconds: f64,
    memory_bytes: u64,
    open_files: u64,
    disk_free: Option<u64>,
    disk_size: Option<u64>,
}

impl FromRow for Sample {
    fn from_row(row: &Row<'_>) -> Result<Sample, WarehouseError> {
        Ok(Sample {
            at: row.get("at")?,
            cpu_seconds: row.get("cpu_seconds")?,
            memory_bytes: row.get("memory_bytes")?,
            open_files: row.get("open_files")?,
            disk_free: row.get("disk_free")?,
            disk_size: row.get("disk_size")?,
        })
    }
}

impl Sample {
    fn cpu_percent_since(&self, before: &Sample) -> Option<f64> {
        let seconds = (self.at.0 - before.at.0) as f64 / 1_000.0;
        (seconds > 0.0).then(|| (self.cpu_seconds - before.cpu_seconds).max(0.0) / seconds * 100.0)
    }

    fn point(&self, cpu_percent: Option<f64>) -> UsagePoint {
        UsagePoint {
            at: self.at,
            cpu_percent,
            memory_bytes: self.memory_bytes,
            open_files: self.open_files,
            disk_free: self.disk_free,
            disk_size: self.disk_size,
        }
    }
}

/// By process, oldest first.
fn samples(
    warehouse: &dyn Warehouse,
    since: Millis,
    until: Millis,
) -> Result<BTreeMap<String, Vec<Sample>>, WarehouseError> {
    let bounds = [since.to_string().into(), until.to_string().into()];
    let mut found: BTreeMap<String, Vec<Sample>> = BTreeMap::new();
    for_each_row(warehouse, SAMPLES, &bounds, |row| {
        found.entry(row.get("process")?).or_default().push(Sample::from_row(&row)?);
        Ok::<(), WarehouseError>(())
    })?;
    Ok(found)
}

/// Removes readings and samples of more than two days ago, and processes not seen for a month.
/// [`record`] does so now and then. Gives the rows removed.
///
/// # Errors
/// Failures of the warehouse.
pub fn retire(warehouse: &dyn Warehouse, now: Millis) -> Result<u64, MonitorError> {
    let mut session = warehouse.session(Schema::Ops)?;
    let mut transaction = session.begin()?;
    let mut removed = 0;
    for (sql, keep_ms) in [
        (DROP_READINGS, KEEP_READINGS_MS),
        (DROP_SAMPLES, KEEP_READINGS_MS),
        (DROP_PROCESSES, KEEP_PROCESSES_MS),
    ] {
        removed += transaction.execute(sql, &[Millis(now.0 - keep_ms).to_string().into()])?;
    }
    transaction.commit()?;
    Ok(removed)
}
