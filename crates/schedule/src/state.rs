//! Runs and attempts as they are stored.

use adpipe_event::Millis;
use adpipe_warehouse::{FromRow, Row, WarehouseError};
use jiff::Timestamp;

/// The state of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunState {
    /// It begins when no other run of its DAG is going.
    Queued,
    /// Its tasks run.
    Running,
    /// Every task succeeded.
    Success,
    /// A task failed for good, or the run took too long.
    Failed,
    /// It was cancelled.
    Cancelled,
}

impl RunState {
    const ALL: [RunState; 5] =
        [RunState::Queued, RunState::Running, RunState::Success, RunState::Failed, RunState::Cancelled];

    /// Its word in the database, in metrics and on screen.
    pub fn word(self) -> &'static str {
        match self {
            RunState::Queued => "queued",
            RunState::Running => "running",
            RunState::Success => "success",
            RunState::Failed => "failed",
            RunState::Cancelled => "cancelled",
        }
    }

    /// True when nothing more happens by itself.
    pub fn is_finished(self) -> bool {
        matches!(self, RunState::Success | RunState::Failed | RunState::Cancelled)
    }

    fn read(row: &Row<'_>, column: &str) -> Result<RunState, WarehouseError> {
        row.parse(column, "the state of a run", |word| by_word(RunState::ALL, RunState::word, word))
    }
}

/// The state of an attempt of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TaskState {
    /// For its time, for a place, or for the tasks before it.
    Waiting,
    /// Its process runs.
    Running,
    /// Exit code 0.
    Success,
    /// Anything else.
    Failed,
    /// A task before it failed; it was not started.
    UpstreamFailed,
    /// The run was cancelled.
    Cancelled,
}

impl TaskState {
    const ALL: [TaskState; 6] = [
        TaskState::Waiting,
        TaskState::Running,
        TaskState::Success,
        TaskState::Failed,
        TaskState::UpstreamFailed,
        TaskState::Cancelled,
    ];

    /// Its word in the database, in metrics and on screen.
    pub fn word(self) -> &'static str {
        match self {
            TaskState::Waiting => "waiting",
            TaskState::Running => "running",
            TaskState::Success => "success",
            TaskState::Failed => "failed",
            TaskState::UpstreamFailed => "upstream_failed",
            TaskState::Cancelled => "cancelled",
        }
    }

    /// True when nothing more happens to this try.
    pub fn is_finished(self) -> bool {
        !matches!(self, TaskState::Waiting | TaskState::Running)
    }

    fn read(row: &Row<'_>, column: &str) -> Result<TaskState, WarehouseError> {
        row.parse(column, "the state of a try", |word| by_word(TaskState::ALL, TaskState::word, word))
    }
}

/// Why a run is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunKind {
    /// By its schedule.
    Scheduled,
    /// By the success of another DAG.
    Triggered,
    /// By hand.
    Manual,
    /// By a backfill.
    Backfill,
}

impl RunKind {
    const ALL: [RunKind; 4] = [RunKind::Scheduled, RunKind::Triggered, RunKind::Manual, RunKind::Backfill];

    /// Its word in the database, in metrics and on screen.
    pub fn word(self) -> &'static str {
        match self {
            RunKind::Scheduled => "scheduled",
            RunKind::Triggered => "triggered",
            RunKind::Manual => "manual",
            RunKind::Backfill => "backfill",
        }
    }

    fn read(row: &Row<'_>, column: &str) -> Result<RunKind, WarehouseError> {
        row.parse(column, "the kind of a run", |word| by_word(RunKind::ALL, RunKind::word, word))
    }
}

/// The one of `all` that has this word.
fn by_word<T: Copy>(
    all: impl IntoIterator<Item = T>,
    word_of: fn(T) -> &'static str,
    word: &str,
) -> Option<T> {
    all.into_iter().find(|one| word_of(*one) == word)
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
    /// First moment after it.
    pub interval_end: Millis,
    /// How far the run is.
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
}

impl FromRow for Run {
    fn from_row(row: &Row<'_>) -> Result<Run, WarehouseError> {
        Ok(Run {
            dag_id: row.get("dag_id")?,
            run_id: row.get("run_id")?,
            kind: RunKind::read(row, "kind")?,
            interval_start: row.get("interval_start")?,
            interval_end: row.get("interval_end")?,
            state: RunState::read(row, "state")?,
            attempt: row.get("attempt")?,
            cause: row.get("cause")?,
            cancel_requested: row.get::<Option<Millis>>("cancel_requested_at")?.is_some(),
            message: row.get("message")?,
            queued_at: row.get("queued_at")?,
            started_at: row.get("started_at")?,
            finished_at: row.get("finished_at")?,
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

impl FromRow for RunKey {
    fn from_row(row: &Row<'_>) -> Result<RunKey, WarehouseError> {
        Ok(RunKey { dag_id: row.get("dag_id")?, run_id: row.get("run_id")? })
    }
}

/// Names an attempt.
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
    /// How far the task is.
    pub state: TaskState,
    /// Further attempts that may follow it.
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
    /// Where its output is, on the scheduler's machine.
    pub log_file: String,
}

impl FromRow for Try {
    fn from_row(row: &Row<'_>) -> Result<Try, WarehouseError> {
        Ok(Try {
            key: TryKey {
                run: RunKey::from_row(row)?,
                task_id: row.get("task_id")?,
                try_number: row.get("try_number")?,
            },
            state: TaskState::read(row, "state")?,
            tries_left: row.get("tries_left")?,
            due_at: row.get("due_at")?,
            started_at: row.get("started_at")?,
            finished_at: row.get("finished_at")?,
            exit_code: row.get("exit_code")?,
            message: row.get("message")?,
            command: row.get("command")?,
            log_file: row.get("log_file")?,
        })
    }
}

/// As jiff has it. Times that jiff cannot express are not in the table.
pub fn moment(time: Millis) -> Timestamp {
    Timestamp::from_millisecond(time.0).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// As the warehouse has it.
pub fn millis(moment: Timestamp) -> Millis {
    Millis(moment.as_millisecond())
}
