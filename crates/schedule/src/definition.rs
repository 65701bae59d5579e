//! From the text of `dags.toml` to [`Dag`]s: each rule of the file, and the line of what breaks it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use adpipe_runtime::Span;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use crate::ScheduleError;
use crate::cron::Cron;
use crate::dag::{Dag, Task, Trigger};
use crate::placeholders;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileText {
    #[serde(default)]
    dag: Vec<DagText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DagText {
    id: Spanned<String>,
    #[serde(default)]
    description: String,
    schedule: Option<Spanned<String>>,
    after: Option<Spanned<String>>,
    timezone: Option<Spanned<String>>,
    #[serde(default)]
    catchup: bool,
    start: Option<Spanned<String>>,
    #[serde(default = "a_day")]
    timeout: Period,
    #[serde(default)]
    task: Vec<TaskText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TaskText {
    id: Spanned<String>,
    command: Option<Vec<String>>,
    shell: Option<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(default)]
    after: Vec<String>,
    #[serde(default)]
    retries: u32,
    #[serde(default = "a_minute")]
    retry_delay: Period,
    #[serde(default = "doubled")]
    retry_backoff: Spanned<f64>,
    #[serde(default = "ten_minutes")]
    max_retry_delay: Period,
    #[serde(default = "an_hour")]
    timeout: Period,
}

fn a_minute() -> Period {
    Period(Duration::from_secs(60))
}

fn ten_minutes() -> Period {
    Period(Duration::from_secs(600))
}

fn an_hour() -> Period {
    Period(Duration::from_secs(3_600))
}

fn a_day() -> Period {
    Period(Duration::from_secs(86_400))
}

fn doubled() -> Spanned<f64> {
    Spanned::new(0..0, 2.0)
}

/// A length of time that is more than none.
struct Period(Duration);

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Period, D::Error> {
        let Span(period) = Span::deserialize(deserializer)?;
        if period.is_zero() {
            Err(serde::de::Error::custom("must be more than zero"))
        } else {
            Ok(Period(period))
        }
    }
}

/// A message and the byte it is about.
type Wrong = (usize, String);

/// Reads and checks a whole file.
pub(crate) fn read(text: &str, path: &Path, zone: &TimeZone) -> Result<Vec<Dag>, ScheduleError> {
    let at = |(byte, message): Wrong| ScheduleError::Definition {
        path: path.to_path_buf(),
        line: text[..byte.min(text.len())].matches('\n').count() + 1,
        message,
    };
    let file: FileText = toml::from_str(text)
        .map_err(|error| at((error.span().map_or(0, |span| span.start), error.message().to_owned())))?;
    let mut dags: Vec<Dag> = Vec::new();
    for dag in &file.dag {
        if dags.iter().any(|known| known.id == *dag.id.get_ref()) {
            return Err(at((dag.id.span().start, format!("there are two DAGs {}", dag.id.get_ref()))));
        }
        dags.push(read_dag(dag, zone).map_err(at)?);
    }
    for dag in &file.dag {
        let first = first_predecessor(dag, &file.dag).map_err(at)?;
        let zone = dags.iter().find(|known| known.id == *first.id.get_ref()).map(|known| known.zone.clone());
        let own = dags.iter_mut().find(|known| known.id == *dag.id.get_ref() && dag.timezone.is_none());
        if let (Some(own), Some(zone)) = (own, zone) {
            // What follows another works on the same day.
            own.zone = zone;
        }
    }
    Ok(dags)
}

fn read_dag(dag: &DagText, default_zone: &TimeZone) -> Result<Dag, Wrong> {
    let id = name(&dag.id)?;
    let zone = match &dag.timezone {
        None => default_zone.clone(),
        Some(zone) => {
            let wrong = format!("{:?} is not a time zone like \"Europe/Berlin\"", zone.get_ref());
            TimeZone::get(zone.get_ref()).map_err(|_| (zone.span().start, wrong))?
        }
    };
    let trigger = match (&dag.schedule, &dag.after) {
        (Some(schedule), None) => Trigger::Cron(
            Cron::parse(schedule.get_ref()).map_err(|message| (schedule.span().start, message))?,
        ),
        (None, Some(other)) => Trigger::After(other.get_ref().clone()),
        (None, None) => Trigger::Hand,
        (Some(_), Some(other)) => {
            return Err((other.span().start, format!("DAG {id} has both a schedule and an after")));
        }
    };
    let start = match &dag.start {
        None => None,
        Some(text) => {
            let wrong = format!("{:?} is not a day like \"2026-01-31\"", text.get_ref());
            let day: Date = text.get_ref().parse().map_err(|_| (text.span().start, wrong.clone()))?;
            Some(first_moment(day, &zone).ok_or((text.span().start, wrong))?)
        }
    };
    if dag.task.is_empty() {
        return Err((dag.id.span().start, format!("DAG {id} has no task")));
    }
    let timeout = dag.timeout.0;
    let tasks = read_tasks(&dag.task)?;
    let description = dag.description.clone();
    Ok(Dag { id, description, trigger, zone, catchup: dag.catchup, start, timeout, tasks })
}

/// The first moment of a local day: midnight, or what comes next where the clock skips it.
pub(crate) fn first_moment(day: Date, zone: &TimeZone) -> Option<Timestamp> {
    day.to_zoned_datetime(zone.clone()).ok().map(|zoned| zoned.timestamp())
}

/// Letters, digits, `_`, `-` and `.`: a name is also a folder.
fn name(text: &Spanned<String>) -> Result<String, Wrong> {
    let is_fine = |character: char| character.is_ascii_alphanumeric() || "_-.".contains(character);
    let id = text.get_ref();
    if id.is_empty() || id.len() > 100 || id.starts_with(['.', '-']) || !id.chars().all(is_fine) {
        let message = format!("{id:?} is not a name: use letters, digits, _, - and .");
        return Err((text.span().start, message));
    }
    Ok(id.clone())
}

fn read_tasks(texts: &[TaskText]) -> Result<Vec<Task>, Wrong> {
    let mut tasks = Vec::new();
    let mut names = BTreeSet::new();
    for text in texts {
        let (id, place) = (name(&text.id)?, text.id.span().start);
        if !names.insert(id.clone()) {
            return Err((place, format!("there are two tasks {id}")));
        }
        tasks.push((place, read_task(text, id)?));
    }
    for (place, task) in &tasks {
        if let Some(other) = task.after.iter().find(|other| !names.contains(*other)) {
            return Err((*place, format!("task {} waits for {other:?}, which does not exist", task.id)));
        }
    }
    in_order(tasks)
}

fn read_task(text: &TaskText, id: String) -> Result<Task, Wrong> {
    let place = text.id.span().start;
    let command = match (&text.command, &text.shell) {
        (Some(command), None) if !command.is_empty() => command.clone(),
        (None, Some(line)) => vec!["sh".to_owned(), "-c".to_owned(), line.clone()],
        (Some(_), Some(_)) => return Err((place, format!("task {id} has both a command and a shell line"))),
        _ => {
            let hint = "command = [\"PROGRAM\", \"ARGUMENT\"], or shell = \"…\"";
            return Err((place, format!("task {id} has no command: write {hint}")));
        }
    };
    for part in command.iter().chain(text.env.values()) {
        placeholders::check(part).map_err(|message| (place, format!("task {id}: {message}")))?;
    }
    let backoff = *text.retry_backoff.get_ref();
    if !(1.0..=100.0).contains(&backoff) {
        return Err((text.retry_backoff.span().start, "retry_backoff must be 1 to 100".to_owned()));
    }
    Ok(Task {
        id,
        command,
        env: text.env.clone(),
        after: text.after.clone(),
        retries: text.retries,
        retry_delay: text.retry_delay.0,
        retry_backoff: backoff,
        max_retry_delay: text.max_retry_delay.0.max(text.retry_delay.0),
        timeout: text.timeout.0,
    })
}

/// The tasks, each after those it waits for; what cannot be put in order waits for itself.
fn in_order(tasks: Vec<(usize, Task)>) -> Result<Vec<Task>, Wrong> {
    let mut waiting = tasks;
    let mut ordered: Vec<Task> = Vec::new();
    while !waiting.is_empty() {
        let is_ready =
            |task: &Task| task.after.iter().all(|other| ordered.iter().any(|done| done.id == *other));
        match waiting.iter().position(|(_, task)| is_ready(task)) {
            Some(index) => ordered.push(waiting.remove(index).1),
            None => {
                let (place, task) = &waiting[0];
                return Err((*place, format!("task {} waits for itself, by way of others", task.id)));
            }
        }
    }
    Ok(ordered)
}

/// Where the chain of `after` begins; a DAG without one is its own first.
fn first_predecessor<'d>(dag: &'d DagText, all: &'d [DagText]) -> Result<&'d DagText, Wrong> {
    let find = |id: &str| all.iter().find(|other| other.id.get_ref() == id);
    let mut at = dag;
    for _ in 0..=all.len() {
        let Some(other) = &at.after else { return Ok(at) };
        at = find(other.get_ref())
            .ok_or_else(|| (other.span().start, format!("there is no DAG {:?}", other.get_ref())))?;
    }
    let place = dag.after.as_ref().map_or(0, |after| after.span().start);
    Err((place, format!("DAG {} waits for itself", dag.id.get_ref())))
}
