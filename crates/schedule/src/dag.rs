//! DAGs as data: what `config/dags.toml` may say, checked whole.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::ScheduleError;
use crate::cron::Cron;
use crate::definition;

/// The built-in DAGs, for users without a file.
pub const BUILT_IN: &str = include_str!("../../../config/dags.toml");

/// A set of tasks that run together for one data interval.
#[derive(Debug, Clone)]
pub struct Dag {
    /// Its name in `dags.toml`.
    pub id: String,
    /// A sentence for people.
    pub description: String,
    /// What starts it.
    pub trigger: Trigger,
    /// The zone of its schedule and of `{date}`.
    pub zone: TimeZone,
    /// Whether every interval that was missed is run; else only the newest.
    pub catchup: bool,
    /// Intervals before this moment are never run by schedule.
    pub start: Option<Timestamp>,
    /// How long a run may take.
    pub timeout: Duration,
    /// The tasks, each after those it waits for.
    pub tasks: Vec<Task>,
}

/// What starts a DAG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trigger {
    /// By time.
    Cron(Cron),
    /// Each success of another DAG, whose data interval it takes over.
    After(String),
    /// People.
    Hand,
}

/// One command of a DAG.
#[derive(Debug, Clone)]
pub struct Task {
    /// Its name within the DAG.
    pub id: String,
    /// Program and arguments, placeholders unresolved. The program `adpipe` is this very binary.
    pub command: Vec<String>,
    /// Variables for it, placeholders unresolved.
    pub env: BTreeMap<String, String>,
    /// Tasks that must have succeeded before.
    pub after: Vec<String>,
    /// Further attempts after a failed one.
    pub retries: u32,
    /// Pause before the first retry …
    pub retry_delay: Duration,
    /// … multiplied by this before each further one …
    pub retry_backoff: f64,
    /// … up to this.
    pub max_retry_delay: Duration,
    /// How long an attempt may take.
    pub timeout: Duration,
}

impl Task {
    /// The pause after the `failed`-th failed try, counted from 1.
    pub fn delay_after(&self, failed: u32) -> Duration {
        let factor = self.retry_backoff.powi(i32::try_from(failed.saturating_sub(1)).unwrap_or(i32::MAX));
        let limit = self.max_retry_delay.as_secs_f64();
        let delay = (self.retry_delay.as_secs_f64() * factor).min(limit);
        Duration::try_from_secs_f64(delay).unwrap_or(self.max_retry_delay)
    }
}

impl Dag {
    /// A task by name.
    pub fn task(&self, id: &str) -> Option<&Task> {
        self.tasks.iter().find(|task| task.id == id)
    }
}

/// All DAGs.
#[derive(Debug, Clone, Default)]
pub struct Dags(Vec<Dag>);

impl Dags {
    /// Reads a file of DAGs. `zone` counts for those that name none of their own.
    ///
    /// # Errors
    /// [`ScheduleError::Definition`] with the line, [`ScheduleError::Io`] when it cannot be read.
    pub fn load(path: &Path, zone: &TimeZone) -> Result<Dags, ScheduleError> {
        let text = adpipe_sql::text::read(path).map_err(|source| ScheduleError::Io {
            what: format!("cannot read {}", path.display()),
            source,
        })?;
        Dags::parse(&text, path, zone)
    }

    /// Reads DAGs from text; `path` is for messages.
    ///
    /// # Errors
    /// [`ScheduleError::Definition`] with the line.
    pub fn parse(text: &str, path: &Path, zone: &TimeZone) -> Result<Dags, ScheduleError> {
        definition::read(text, path, zone).map(Dags)
    }

    /// The DAGs, as the file has them.
    pub fn iter(&self) -> impl Iterator<Item = &Dag> {
        self.0.iter()
    }

    /// A DAG by name.
    ///
    /// # Errors
    /// [`ScheduleError::Refused`] with the names there are.
    pub fn get(&self, id: &str) -> Result<&Dag, ScheduleError> {
        self.find(id).ok_or_else(|| {
            let names: Vec<&str> = self.iter().map(|dag| dag.id.as_str()).collect();
            ScheduleError::Asked(format!("there is no DAG {id:?}; there are: {}", names.join(", ")))
        })
    }

    /// A DAG by name, if there is one.
    pub fn find(&self, id: &str) -> Option<&Dag> {
        self.iter().find(|dag| dag.id == id)
    }

    /// DAGs that run after each success of this one.
    pub fn followers<'d>(&'d self, id: &'d str) -> impl Iterator<Item = &'d Dag> {
        self.iter().filter(move |dag| matches!(&dag.trigger, Trigger::After(other) if other == id))
    }

    /// The schedule that a DAG's data intervals come from: its own, or that of the DAG it follows.
    pub fn schedule_of<'d>(&'d self, dag: &'d Dag) -> Option<(&'d Cron, &'d TimeZone)> {
        match &dag.trigger {
            Trigger::Cron(cron) => Some((cron, &dag.zone)),
            Trigger::After(other) => self.find(other).and_then(|other| self.schedule_of(other)),
            Trigger::Hand => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Dags, String> {
        Dags::parse(text, Path::new("dags.toml"), &TimeZone::UTC).map_err(|error| error.to_string())
    }

    #[test]
    fn the_built_in_dags_are_right() {
        let dags = parse(BUILT_IN).unwrap();
        let ids: Vec<&str> = dags.iter().map(|dag| dag.id.as_str()).collect();
        assert_eq!(ids, ["dag_daily_etl", "dag_dbt_run", "dag_dlq_retry", "dag_dlq_alert"]);
        let dbt = dags.get("dag_dbt_run").unwrap();
        let tasks: Vec<&str> = dbt.tasks.iter().map(|task| task.id.as_str()).collect();
        assert_eq!(tasks, ["run", "test", "docs"]);
        assert_eq!(dags.followers("dag_daily_etl").count(), 1);
        assert_eq!(dags.schedule_of(dbt).unwrap().0.text(), "0 0 * * *");
        assert!(dags.get("dag_x").unwrap_err().to_string().contains("dag_dbt_run"));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let task = "[[dag.task]]\nid = \"a\"\ncommand = [\"true\"]\n";
        let cases = [
            ("[[dag]]\nid = \"x\"\nschedul = \"@daily\"\n", "dags.toml:3: unknown field `schedul`"),
            ("[[dag]]\nid = \"x\"\n", "dags.toml:2: DAG x has no task"),
            ("[[dag]]\nid = \"x y\"\n", "dags.toml:2: \"x y\" is not a name"),
            (
                &format!("[[dag]]\nid = \"x\"\nschedule = \"daily\"\n{task}"),
                "dags.toml:3: \"daily\" is not a",
            ),
            (&format!("[[dag]]\nid = \"x\"\ntimezone = \"Mars\"\n{task}"), "dags.toml:3: \"Mars\" is not a"),
            (&format!("[[dag]]\nid = \"x\"\n\nafter = \"y\"\n{task}"), "dags.toml:4: there is no DAG \"y\""),
            (&format!("[[dag]]\nid = \"x\"\nafter = \"x\"\n{task}"), "dags.toml:3: DAG x waits for itself"),
            (&format!("[[dag]]\nid = \"x\"\n{task}{task}"), "dags.toml:7: there are two tasks a"),
            (&format!("[[dag]]\nid = \"x\"\n{task}after = [\"b\"]\n"), "dags.toml:4: task a waits for \"b\""),
            (
                &format!("[[dag]]\nid = \"x\"\n{task}after = [\"a\"]\n"),
                "dags.toml:4: task a waits for itself",
            ),
            (
                &format!("[[dag]]\nid = \"x\"\n{task}timeout = \"0s\"\n"),
                "dags.toml:6: must be more than zero",
            ),
            (&format!("[[dag]]\nid = \"x\"\n{task}shell = \"ls\"\n"), "dags.toml:4: task a has both"),
            (
                "[[dag]]\nid = \"x\"\n[[dag.task]]\nid = \"a\"\ncommand = [\"echo\", \"{ds}\"]\n",
                "dags.toml:4: task a: there is no placeholder {ds}",
            ),
        ];
        for (text, expected) in cases {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(expected), "{text}\n{error}");
        }
    }

    #[test]
    fn delays_grow_up_to_their_limit() {
        let text = "[[dag]]\nid = \"x\"\n[[dag.task]]\nid = \"a\"\nshell = \"ls | wc\"\nretry_delay = \"10s\"\n\
                    retry_backoff = 3.0\nmax_retry_delay = \"1m\"\n";
        let dags = parse(text).unwrap();
        let task = &dags.get("x").unwrap().tasks[0];
        assert_eq!(task.command, ["sh", "-c", "ls | wc"]);
        let delays: Vec<u64> = (1..5).map(|failed| task.delay_after(failed).as_secs()).collect();
        assert_eq!(delays, [10, 30, 60, 60]);
        assert_eq!(task.delay_after(u32::MAX).as_secs(), 60);
    }
}
