//! One action on many errors, done in steps.
//!
//! Each step is one transaction: the errors it touches, and how far the action has come. So it may
//! be killed anywhere and continues from there, in this process or another; memory holds one step.
//! What came after it began is not part of it.

use std::collections::BTreeMap;
use std::time::Duration;

use adpipe_event::Millis;
use adpipe_sql::section;
use adpipe_warehouse::{FromRow, Row, Transaction, Value, WarehouseError, query_as, query_table, row_sum};
use serde::Serialize;

use crate::Dlq;
use crate::actions::{Actor, checked_text, discard_one, retry_one, undo_discard_one};
use crate::error::DlqError;
use crate::groups::GroupChanges;
use crate::patch::Patch;
use crate::repair::{Edit, Edited, Wanted, edit_one};
use crate::search::{Direction, Filter, count, walk};
use crate::status::Status;
use adpipe_runtime::ids::{FIRST_ID, is_id, new_id};

const JOBS_SQL: &str = include_str!("../sql/jobs.sql");
const CREATE: &str = section(JOBS_SQL, "create");
const COLUMNS_OF: &str = section(JOBS_SQL, "columns_of");
const NEWEST: &str = section(JOBS_SQL, "newest");
const OPEN: &str = section(JOBS_SQL, "open");
const LEASE: &str = section(JOBS_SQL, "lease");
const STEP: &str = section(JOBS_SQL, "step");
const CANCEL: &str = section(JOBS_SQL, "cancel");
const OUTCOMES: &str = section(JOBS_SQL, "outcomes");
const FAILURES: &str = section(JOBS_SQL, "failures");
const WAITING: &str = section(JOBS_SQL, "waiting");
const NOT_DUE: &str = section(JOBS_SQL, "not_due");

/// Errors touched in one step.
const STEP_ERRORS: usize = 500;

/// How long a holder may be silent before another process continues.
const LEASE_TIME: Duration = Duration::from_secs(30);

/// What is done to each error.
#[derive(Debug, Clone)]
pub enum Work {
    /// Send it again.
    Retry,
    /// Edit it and send it again, where the event would then be counted; else leave it alone.
    Edit(Patch),
    /// Say that it does not count, and why.
    Discard(String),
    /// Take a discard back.
    UndoDiscard,
}

impl Work {
    fn kind(&self) -> &'static str {
        match self {
            Work::Retry => "retry",
            Work::Edit(_) => "edit",
            Work::Discard(_) => "discard",
            Work::UndoDiscard => "undo_discard",
        }
    }

    /// Statuses of errors that it can be done to.
    fn statuses(&self) -> &'static [Status] {
        match self {
            Work::UndoDiscard => &[Status::Discarded],
            _ => &[Status::Pending, Status::Exhausted],
        }
    }

    fn sends(&self) -> bool {
        matches!(self, Work::Retry | Work::Edit(_))
    }
}

/// A bulk action as it is.
#[derive(Debug, Clone, Serialize)]
pub struct Job {
    /// Names the job; ids sort by time.
    pub job_id: String,
    /// retry, edit, discard, undo_discard.
    pub kind: String,
    /// Which errors.
    pub filter: Filter,
    /// The edit that it makes, as JSON Patch.
    pub patch: Option<String>,
    /// The reason of a discard.
    pub reason: Option<String>,
    /// The person who asked for it.
    pub actor: String,
    /// running, canary, done, stopped, cancelled.
    pub state: String,
    /// Errors tried first.
    pub canary: i64,
    /// Errors that the filter met when it began; 0 when that was not known.
    pub total: i64,
    /// Errors changed so far.
    pub changed: i64,
    /// Errors left alone: someone else was faster, or the edit does not repair them.
    pub skipped: i64,
    /// The id up to which it has come.
    pub reached: Option<String>,
    /// Errors of greater ids came later.
    pub until_id: String,
    /// Why it stopped.
    pub message: Option<String>,
    /// When it began, UTC.
    pub created_at: String,
    /// When it ended, UTC.
    pub finished_at: Option<String>,
}

impl Job {
    /// Whether there is more to do.
    pub fn is_open(&self) -> bool {
        matches!(self.state.as_str(), "running" | "canary")
    }
}

/// What has come of the errors that a bulk action sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Outcomes {
    /// Counted now.
    pub applied: u64,
    /// Had been counted before.
    pub already_counted: u64,
    /// Failed again.
    pub failed: u64,
    /// Not known yet.
    pub waiting: u64,
}

/// Begins a bulk action; `canary` is the number of errors tried first, 0 for none.
///
/// # Errors
/// [`DlqError::Refused`] for a filter or reason that makes no sense; or of the warehouse.
pub fn create(dlq: &Dlq, filter: &Filter, work: &Work, canary: u32, actor: &str) -> Result<Job, DlqError> {
    filter.check()?;
    let actor = checked_text("name", actor)?;
    let filter = filter.only(work.statuses());
    let total = count(dlq, &filter)?.unwrap_or(0);
    let now = Millis::now();
    let (job_id, canary) = (new_id(now), if work.sends() { canary } else { 0 });
    let (patch, reason) = match work {
        Work::Edit(patch) => (Some(patch.to_json()), None),
        Work::Discard(reason) => (None, Some(checked_text("reason", reason)?)),
        Work::Retry | Work::UndoDiscard => (None, None),
    };
    let mut params: Vec<Value> = vec![
        job_id.as_str().into(),
        work.kind().into(),
        serde_json::to_string(&filter).unwrap_or_default().into(),
        patch.into(),
        reason.into(),
        actor.into(),
        if canary > 0 { "canary" } else { "running" }.into(),
        Value::Int(canary.into()),
        Value::Int(total as i64),
        // Behind every id of this moment.
        adpipe_runtime::ids::first_id_at(Millis(now.0 + 1)).into(),
        now.to_string().into(),
    ];
    // Its state changes, and is not covered.
    const STATE: usize = 6;
    let covered = [&params[..STATE], &params[STATE + 1..]].concat();
    params.push(row_sum("errors.jobs", &covered));
    dlq.transact(|transaction| Ok(transaction.execute(CREATE, &params)?))?;
    get(dlq, &job_id)
}

/// One bulk action.
///
/// # Errors
/// [`DlqError::NotFound`], or of the warehouse.
pub fn get(dlq: &Dlq, job_id: &str) -> Result<Job, DlqError> {
    let missing = || DlqError::NotFound(format!("there is no bulk action {job_id}"));
    if !is_id(job_id) {
        return Err(missing());
    }
    let table = query_table(dlq.warehouse(), COLUMNS_OF, &[job_id.into()])?;
    table.read_first()?.ok_or_else(missing)
}

/// The newest bulk actions.
///
/// # Errors
/// Failures of the warehouse.
pub fn list(dlq: &Dlq, limit: u32) -> Result<Vec<Job>, DlqError> {
    Ok(query_as(dlq.warehouse(), NEWEST, &[Value::Int(limit.into())])?)
}

impl FromRow for Job {
    fn from_row(row: &Row<'_>) -> Result<Job, WarehouseError> {
        Ok(Job {
            job_id: row.get("job_id")?,
            kind: row.get("kind")?,
            filter: row.parse("filter", "a filter as JSON", |json: &str| serde_json::from_str(json).ok())?,
            patch: row.get("patch")?,
            reason: row.get("reason")?,
            actor: row.get("actor")?,
            state: row.get("state")?,
            canary: row.get("canary")?,
            total: row.get("total")?,
            changed: row.get("changed")?,
            skipped: row.get("skipped")?,
            reached: row.get("reached")?,
            until_id: row.get("until_id")?,
            message: row.get("message")?,
            created_at: row.get("created_at")?,
            finished_at: row.get("finished_at")?,
        })
    }
}

/// Ends a bulk action; what is done stays done. False when it had already ended.
///
/// # Errors
/// Failures of the warehouse.
pub fn cancel(dlq: &Dlq, job_id: &str, actor: &str) -> Result<bool, DlqError> {
    get(dlq, job_id)?;
    let message = format!("cancelled by {}", checked_text("name", actor)?);
    let params = [job_id.into(), message.into(), Millis::now().to_string().into()];
    dlq.transact(|transaction| Ok(transaction.execute(CANCEL, &params)? > 0))
}

/// What has come of it.
///
/// # Errors
/// Failures of the warehouse.
pub fn outcomes(dlq: &Dlq, job_id: &str) -> Result<Outcomes, DlqError> {
    let waiting = query_table(dlq.warehouse(), WAITING, &[job_id.into()])?;
    let mut outcomes = Outcomes { waiting: waiting.one()?.get("errors")?, ..Outcomes::default() };
    for row in query_table(dlq.warehouse(), OUTCOMES, &[job_id.into()])?.iter() {
        let outcome: Option<&str> = row.get("outcome")?;
        let errors = row.get("errors")?;
        match outcome {
            Some("applied") => outcomes.applied = errors,
            Some("already_counted") => outcomes.already_counted = errors,
            Some("failed") => outcomes.failed = errors,
            _ => {}
        }
    }
    Ok(outcomes)
}

/// How many errors of a bulk action failed and wait for a time that has not come, and when the first
/// of them is sent again, UTC.
///
/// # Errors
/// Failures of the warehouse.
pub fn not_due(dlq: &Dlq, job_id: &str) -> Result<(u64, Option<String>), DlqError> {
    let params = [job_id.into(), Millis::now().to_string().into()];
    let table = query_table(dlq.warehouse(), NOT_DUE, &params)?;
    let row = table.one()?;
    Ok((row.get("errors")?, row.get("first_retry_at")?))
}

/// Does one step of every open bulk action that no other process works on; true when there is more to
/// do at once. `worker` names this process.
///
/// # Errors
/// Failures of the warehouse.
pub fn turn(dlq: &Dlq, worker: &str) -> Result<bool, DlqError> {
    let mut has_more = false;
    for row in query_table(dlq.warehouse(), OPEN, &[])?.iter() {
        has_more |= step(dlq, row.get("job_id")?, worker)?;
    }
    Ok(has_more)
}

/// One step of one bulk action.
fn step(dlq: &Dlq, job_id: &str, worker: &str) -> Result<bool, DlqError> {
    let now = Millis::now();
    let lease_until = Millis(now.0 + LEASE_TIME.as_millis() as i64);
    let params = [job_id.into(), worker.into(), lease_until.to_string().into(), now.to_string().into()];
    let is_ours = dlq.transact(|transaction| Ok(transaction.execute(LEASE, &params)? > 0))?;
    if !is_ours {
        return Ok(false);
    }
    let job = get(dlq, job_id)?;
    if job.state == "canary" && job.reached.is_some() {
        return judge_canary(dlq, &job, worker);
    }
    let work = work_of(&job)?;
    let mut search = walk(dlq, &job.filter, Direction::OldestFirst)?;
    search.skip_to(job.reached.as_deref().unwrap_or(FIRST_ID));
    let limit = if job.state == "canary" { job.canary as usize } else { STEP_ERRORS };
    let mut ids = search.next(dlq, limit)?;
    let is_last = ids.len() < limit;
    ids.retain(|id| *id < job.until_id);
    let reached = ids.last().cloned().or(job.reached.clone());
    let state = match (job.state.as_str(), is_last || ids.is_empty()) {
        ("canary", _) if !ids.is_empty() => "canary",
        (_, true) => "done",
        _ => "running",
    };
    dlq.transact(|transaction| {
        let actor = Actor { name: &job.actor, job_id: Some(job_id) };
        let mut changes = GroupChanges::default();
        let mut changed = 0;
        for id in &ids {
            changed += i64::from(act(dlq, transaction, id, &work, actor, &mut changes)?);
        }
        changes.apply(transaction)?;
        let step = Step {
            changed,
            skipped: ids.len() as i64 - changed,
            reached: reached.clone(),
            state,
            message: None,
        };
        step.record(transaction, job_id, worker)
    })?;
    Ok(state == "running")
}

/// How far a step has come.
struct Step<'a> {
    changed: i64,
    skipped: i64,
    reached: Option<String>,
    state: &'a str,
    message: Option<String>,
}

impl Step<'_> {
    /// Fails, so that the step is rolled back, if the action was cancelled or taken over in the
    /// meantime.
    fn record(self, transaction: &mut dyn Transaction, job_id: &str, worker: &str) -> Result<(), DlqError> {
        let is_over = !matches!(self.state, "running" | "canary");
        let params = [
            job_id.into(),
            worker.into(),
            Value::Int(self.changed),
            Value::Int(self.skipped),
            self.reached.into(),
            self.state.into(),
            self.message.into(),
            is_over.then(|| Millis::now().to_string()).into(),
        ];
        match transaction.execute(STEP, &params)? {
            0 => Err(DlqError::Refused(format!("the bulk action {job_id} was ended or taken over"))),
            _ => Ok(()),
        }
    }
}

fn work_of(job: &Job) -> Result<Work, DlqError> {
    Ok(match job.kind.as_str() {
        "edit" => Work::Edit(Patch::from_json(job.patch.as_deref().unwrap_or_default())?),
        "discard" => Work::Discard(job.reason.clone().unwrap_or_default()),
        "undo_discard" => Work::UndoDiscard,
        _ => Work::Retry,
    })
}

fn act(
    dlq: &Dlq,
    transaction: &mut dyn Transaction,
    error_id: &str,
    work: &Work,
    actor: Actor<'_>,
    changes: &mut GroupChanges,
) -> Result<bool, DlqError> {
    match work {
        Work::Retry => retry_one(transaction, error_id, actor, changes),
        Work::Discard(reason) => discard_one(transaction, error_id, reason, actor, changes),
        Work::UndoDiscard => undo_discard_one(transaction, error_id, actor, changes),
        Work::Edit(patch) => {
            let edit = Edit::Patch(patch.clone());
            match edit_one(dlq, transaction, error_id, &edit, Wanted::OnlyValid, actor)? {
                Edited::Valid(_) => retry_one(transaction, error_id, actor, changes),
                _ => Ok(false),
            }
        }
    }
}

/// Continues when enough of the canary succeeded, stops when not; waits while that is open.
fn judge_canary(dlq: &Dlq, job: &Job, worker: &str) -> Result<bool, DlqError> {
    let outcomes = outcomes(dlq, &job.job_id)?;
    let (succeeded, failed) = (outcomes.applied + outcomes.already_counted, outcomes.failed);
    if outcomes.waiting > 0 {
        return Ok(false);
    }
    let tried = succeeded + failed;
    let share = if tried == 0 { 1.0 } else { succeeded as f64 / tried as f64 };
    let goes_on = share >= dlq.settings().canary_share;
    let (state, message) = if goes_on {
        ("running", format!("canary: {succeeded} of {tried} succeeded; continued"))
    } else {
        ("stopped", format!("canary: only {succeeded} of {tried} succeeded; the rest was left alone"))
    };
    if !goes_on {
        tracing::warn!(job_id = job.job_id, succeeded, tried, "a bulk action was stopped by its canary");
    }
    let step = Step { changed: 0, skipped: 0, reached: job.reached.clone(), state, message: Some(message) };
    dlq.transact(|transaction| step.record(transaction, &job.job_id, worker))?;
    Ok(goes_on)
}

/// Why errors of a bulk action failed again, values masked, the commonest first.
///
/// # Errors
/// Failures of the warehouse.
pub fn failures(dlq: &Dlq, job_id: &str) -> Result<Vec<(String, u64)>, DlqError> {
    let mut by_cause: BTreeMap<String, u64> = BTreeMap::new();
    for row in query_table(dlq.warehouse(), FAILURES, &[job_id.into()])?.iter() {
        let message = row.get::<Option<&str>>("error_message")?.unwrap_or_default();
        *by_cause.entry(crate::fingerprint::mask(message)).or_default() += row.get::<u64>("errors")?;
    }
    let mut causes: Vec<(String, u64)> = by_cause.into_iter().collect();
    causes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    Ok(causes)
}
