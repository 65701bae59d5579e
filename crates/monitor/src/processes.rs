//! Each process of the pipeline says that it lives and what it uses: `ops.processes`.
//!
//! A separate thread does so, every 15 s, and asks every 2 s whether the warehouse answers ([`Pulse`]).
//! If the warehouse does not answer, it keeps asking, however long a query hangs; nothing waits for
//! this thread, and a second one sets the gauge `adpipe_warehouse_up` in the meantime.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use adpipe_event::Millis;
use adpipe_metrics::Metrics;
use adpipe_runtime::Shutdown;
use adpipe_sql::section;
use adpipe_warehouse::{Schema, Session, Value, Warehouse, WarehouseError, query_table};

use crate::machine::{self, Disk};
use crate::pulse::Pulse;

const SQL: &str = include_str!("../sql/history.sql");
const INTRODUCE: &str = section(SQL, "introduce");
const END: &str = section(SQL, "end");
const ADD_SAMPLE: &str = section(SQL, "add_sample");

/// How often a process says that it lives.
pub const SAMPLES_EVERY: Duration = Duration::from_secs(15);

/// How often the warehouse is asked.
const ASKED_EVERY: Duration = Duration::from_secs(2);

/// A warehouse that has not answered for so long is down.
const DOWN_AFTER: Duration = Duration::from_secs(5);

/// How long the end waits for the last word.
const LAST_WORD: Duration = Duration::from_secs(3);

/// Something small in a file of its own schema, that every warehouse has.
const QUESTION: &str = "select count(*) from ops.scheduler_lease";

/// What a process says of itself.
#[derive(Debug, Clone)]
pub struct Introduction {
    /// Those it plays, separated by spaces: `stream dlq scheduler console monitor`.
    pub roles: String,
    /// Of adpipe.
    pub version: String,
    /// Where it keeps its data; none when it keeps none.
    pub data_folder: Option<PathBuf>,
}

/// A process that is known to the others, until it is ended.
pub struct Presence {
    process: String,
    pulse: Pulse,
    /// Cut off when the thread has ended.
    ended: Receiver<()>,
}

impl Presence {
    /// Starts the threads. Nothing that goes wrong there is anybody else's trouble.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(
        introduction: Introduction,
        warehouse: Arc<dyn Warehouse>,
        metrics: Metrics,
        shutdown: Shutdown,
    ) -> std::io::Result<Presence> {
        let (pid, started_at, host) = (std::process::id(), Millis::now(), machine::host());
        // Two processes with the same number can start in the same second, in different containers.
        let process = format!("{host}:{pid}:{}", started_at.0);
        let pulse = Pulse::new();
        let mut reporter = Reporter {
            introduction,
            process: process.clone(),
            host,
            pid,
            started_at,
            warehouse,
            session: None,
            metrics,
            pulse: pulse.clone(),
        };
        reporter.metrics.warehouse_is_up(true);
        reporter.disk();
        let (gauge, gauge_pulse, gauge_shutdown) =
            (reporter.metrics.clone(), pulse.clone(), shutdown.clone());
        std::thread::Builder::new().name("pulse".to_owned()).spawn(move || {
            while !gauge_shutdown.sleep(Duration::from_secs(1)) {
                gauge.warehouse_is_up(gauge_pulse.silent_for() < DOWN_AFTER);
            }
        })?;
        let (sender, ended) = channel::<()>();
        std::thread::Builder::new().name("presence".to_owned()).spawn(move || {
            reporter.run(&shutdown);
            drop(sender);
        })?;
        Ok(Presence { process, pulse, ended })
    }

    /// `host:pid:start`.
    pub fn process(&self) -> &str {
        &self.process
    }

    /// Whether the warehouse answers.
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// Waits, for 3 s at most, until it is written that this process ended in order. To be called
    /// after the switch is off, when the roles have ended.
    pub fn end(self) {
        if self.ended.recv_timeout(LAST_WORD) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("the warehouse does not answer: others see a process that is silent");
        }
    }
}

struct Reporter {
    introduction: Introduction,
    process: String,
    host: String,
    pid: u32,
    started_at: Millis,
    warehouse: Arc<dyn Warehouse>,
    session: Option<Box<dyn Session>>,
    metrics: Metrics,
    pulse: Pulse,
}

impl Reporter {
    fn run(&mut self, shutdown: &Shutdown) {
        let mut sampled: Option<Instant> = None;
        loop {
            let answers = self.ask();
            if answers && sampled.is_none_or(|at| at.elapsed() >= SAMPLES_EVERY) {
                match self.sample() {
                    Ok(()) => sampled = Some(Instant::now()),
                    Err(error) => tracing::debug!(%error, "cannot record now that this process is alive"),
                }
            }
            if shutdown.sleep(ASKED_EVERY) {
                break;
            }
        }
        // A warehouse that is away must not hold up the end; then others see a process that is gone.
        if self.pulse.trouble().is_none()
            && let Err(error) = self.write(END, &[])
        {
            tracing::debug!(%error, "cannot record that this process ends");
        }
    }

    fn ask(&mut self) -> bool {
        let started = Instant::now();
        let answer = query_table(self.warehouse.as_ref(), QUESTION, &[]);
        match &answer {
            Ok(_) => self.pulse.answered(started.elapsed()),
            Err(error) => {
                self.pulse.missed(&error.to_string());
                self.session = None;
            }
        }
        answer.is_ok()
    }

    fn disk(&self) -> Option<Disk> {
        let disk = machine::disk_of(self.introduction.data_folder.as_deref()?)?;
        self.metrics.disk(disk.free, disk.size);
        Some(disk)
    }

    fn sample(&mut self) -> Result<(), WarehouseError> {
        let (used, disk) = (machine::used(), self.disk());
        let whole = |bytes: u64| Value::Int(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.write(
            ADD_SAMPLE,
            &[
                Value::Real(used.cpu_seconds),
                whole(used.memory_bytes),
                whole(used.open_files),
                disk.map_or(Value::Null, |disk| whole(disk.free)),
                disk.map_or(Value::Null, |disk| whole(disk.size)),
            ],
        )
    }

    /// One transaction: that it lives, and what the statement adds. `$1` and `$2` are, for a
    /// sample, its time and the process; for the end the other way round.
    fn write(&mut self, sql: &str, more: &[Value]) -> Result<(), WarehouseError> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => self.warehouse.session(Schema::Ops)?,
        };
        let now = Value::Text(Millis::now().to_string());
        let mut transaction = session.begin()?;
        transaction.execute(
            INTRODUCE,
            &[
                self.process.as_str().into(),
                self.host.as_str().into(),
                Value::Int(self.pid.into()),
                self.introduction.roles.as_str().into(),
                self.introduction.version.as_str().into(),
                self.started_at.to_string().into(),
                now.clone(),
            ],
        )?;
        let mut params = vec![now, Value::from(self.process.as_str())];
        if more.is_empty() {
            params.reverse();
        }
        params.extend_from_slice(more);
        transaction.execute(sql, &params)?;
        transaction.commit()?;
        self.session = Some(session);
        Ok(())
    }
}
