//! Runs and tries as they are stored.

use adpipe_event::Millis;
use adpipe_warehouse::{Value, WarehouseError};
use jiff::Timestamp;

/// What is not in the table as it should be: somebody else wrote to it.
fn odd(what: &str, value: &Value) -> WarehouseError {
    WarehouseError::Statement(format!("ops: {value:?} is not a {what}"))
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant),+ }

        impl $name {
            /// Its word in the database, in metrics and on screen.
            pub fn word(self) -> &'static str {
                match self { $($name::$variant => $word),+ }
            }

            fn read(value: &Value) -> Result<$name, WarehouseError> {
                match value.as_str() {
                    $(Some($word) => Ok($name::$variant),)+
                    _ => Err(odd(stringify!($name), value)),
                }
            }
        }
    };
}

words! {
    /// Where a run stands.
    RunState {
        /// It begins when no other run of its DAG is going.
        Queued = "queued",
        /// Its tasks are at work.
        Running = "running",
        /// Every task succeeded.
        Success = "success",
        /// A task failed for good, or the run took too long.
        Failed = "failed",
        /// Somebody cancelled it.
        Cancelled = "cancelled",
    }
}

words! {
    /// Where a try of a task stands.
    TaskState {
        /// For its time, for a place, or for the tasks before it.
        Waiting = "waiting",
        /// Its process is at work.
        Running = "running",
        /// Exit code 0.
        Success = "success",
        /// Anything else.
        Failed = "failed",
        /// A task before it failed; it was not started.
        UpstreamFailed = "upstream_failed",
        /// Somebody cancelled the run.
        Cancelled = "cancelled",
    }
}

words! {
    /// Why a run is there.
    RunKind {
        /// By its schedule.
        Scheduled = "scheduled",
        /// By the success of another DAG.
        Triggered = "triggered",
        /// By hand.
        Manual = "manual",
        /// By a backfill.
        Backfill = "backfill",
    }
}

impl RunState {
    /// True when nothing more happens by itself.
    pub fn is_finished(self) -> bool {
        matches!(self, RunState::Success | RunState::Failed | RunState::Cancelled)
    }
}

impl TaskState {
    /// True when nothing more happens to this try.
    pub fn is_finished(self) -> bool {
        !matches!(self, TaskState::Waiting | TaskState::Running)
    }
}

/// One run of a DAG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Its DAG.
    pub dag_id: String,
    /// Its name, unique within the DAG.
    pub run_id: String,
    /// Why it is there.
    pub kind: RunKind,
    /// First moment of its data interval.
    pub interval_start: Millis,
    /// First moment behind it.
    pub interval_end: Millis,
    /// Where it stands.
    pub state: RunState,
    /// 1, and one more each time it is run again.
    pub attempt: i64,
    /// The run that triggered it, or its backfill.
    pub cause: String,
    /// Whether it is to be cancelled.
    pub cancel_requested: bool,
    /// What went wrong.
    pub message: String,
    /// When it was asked for.
    pub queued_at: Millis,
    /// When it began.
    pub started_at: Option<Millis>,
    /// When it ended.
    pub finished_at: Option<Millis>,
}

impl Run {
    /// DAG and run.
    pub fn key(&self) -> RunKey {
        RunKey { dag_id: self.dag_id.clone(), run_id: self.run_id.clone() }
    }

    /// The data interval as moments.
    pub fn interval(&self) -> (Timestamp, Timestamp) {
        (moment(self.interval_start), moment(self.interval_end))
    }

    /// How long it took, or takes.
    pub fn took_ms(&self, now: Millis) -> Option<i64> {
        self.started_at.map(|start| (self.finished_at.unwrap_or(now).0 - start.0).max(0))
    }

    pub(crate) fn read(row: &[Value]) -> Result<Run, WarehouseError> {
        Ok(Run {
            dag_id: text(&row[0])?,
            run_id: text(&row[1])?,
            kind: RunKind::read(&row[2])?,
            interval_start: time(&row[3])?,
            interval_end: time(&row[4])?,
            state: RunState::read(&row[5])?,
            attempt: number(&row[6])?,
            cause: text(&row[7])?,
            cancel_requested: row[8] != Value::Null,
            message: text(&row[9])?,
            queued_at: time(&row[10])?,
            started_at: maybe_time(&row[11])?,
            finished_at: maybe_time(&row[12])?,
        })
    }
}

/// Names a run.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunKey {
    /// The DAG.
    pub dag_id: String,
    /// The run.
    pub run_id: String,
}

/// Names a try.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TryKey {
    /// The run.
    pub run: RunKey,
    /// The task.
    pub task_id: String,
    /// 1 for the first.
    pub try_number: i64,
}

/// One try of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Try {
    /// Which one.
    pub key: TryKey,
    /// Where it stands.
    pub state: TaskState,
    /// Further tries that may follow it.
    pub tries_left: i64,
    /// Not to be started before.
    pub due_at: Millis,
    /// When its process was started.
    pub started_at: Option<Millis>,
    /// When that ended.
    pub finished_at: Option<Millis>,
    /// What that gave.
    pub exit_code: Option<i64>,
    /// What went wrong.
    pub message: String,
    /// Program and arguments, as JSON.
    pub command: String,
    /// Where its output lies, on the scheduler's machine.
    pub log_file: String,
}

impl Try {
    pub(crate) fn read(row: &[Value]) -> Result<Try, WarehouseError> {
        Ok(Try {
            key: TryKey {
                run: RunKey { dag_id: text(&row[0])?, run_id: text(&row[1])? },
                task_id: text(&row[2])?,
                try_number: number(&row[3])?,
            },
            state: TaskState::read(&row[4])?,
            tries_left: number(&row[5])?,
            due_at: time(&row[6])?,
            started_at: maybe_time(&row[7])?,
            finished_at: maybe_time(&row[8])?,
            exit_code: row[9].as_i64(),
            message: text(&row[10])?,
            command: text(&row[11])?,
            log_file: text(&row[12])?,
        })
    }
}

pub(crate) fn text(value: &Value) -> Result<String, WarehouseError> {
    value.as_str().map(str::to_owned).ok_or_else(|| odd("text", value))
}

pub(crate) fn number(value: &Value) -> Result<i64, WarehouseError> {
    value.as_i64().ok_or_else(|| odd("number", value))
}

pub(crate) fn time(value: &Value) -> Result<Millis, WarehouseError> {
    value.as_str().and_then(Millis::parse_sql).ok_or_else(|| odd("time", value))
}

pub(crate) fn maybe_time(value: &Value) -> Result<Option<Millis>, WarehouseError> {
    if *value == Value::Null { Ok(None) } else { time(value).map(Some) }
}

/// As jiff has it. Times that jiff cannot express are not in the table.
pub fn moment(time: Millis) -> Timestamp {
    Timestamp::from_millisecond(time.0).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// As the warehouse has it.
pub fn millis(moment: Timestamp) -> Millis {
    Millis(moment.as_millisecond())
}
