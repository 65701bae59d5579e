//! What became of each node, and `run_results.json` as dbt writes it.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::json;

use crate::error::{Result, TransformError};

/// How a node ended, in dbt's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// A model or seed was made.
    Success,
    /// A test found nothing.
    Pass,
    /// A test found something that only warns.
    Warn,
    /// A test found something.
    Fail,
    /// The database refused.
    Error,
    /// Something before it failed, or the run was stopped.
    Skipped,
}

impl Status {
    /// Its name in files and tables.
    pub fn name(self) -> &'static str {
        match self {
            Status::Success => "success",
            Status::Pass => "pass",
            Status::Warn => "warn",
            Status::Fail => "fail",
            Status::Error => "error",
            Status::Skipped => "skipped",
        }
    }

    /// The status of this name; dbt has a few more, which are errors to us.
    pub fn of(name: &str) -> Status {
        let all = [Status::Success, Status::Pass, Status::Warn, Status::Fail, Status::Error, Status::Skipped];
        all.into_iter().find(|status| status.name() == name).unwrap_or(Status::Error)
    }

    /// Whether what comes after it must not be done, and the run has failed.
    pub fn is_bad(self) -> bool {
        matches!(self, Status::Fail | Status::Error)
    }
}

/// What became of one node.
#[derive(Debug, Clone)]
pub struct NodeResult {
    /// dbt's id.
    pub id: String,
    /// As in the project.
    pub name: String,
    /// `model`, `seed`, `test` or `unit_test`.
    pub kind: String,
    /// How a model is made.
    pub made_as: String,
    /// How it ended.
    pub status: Status,
    /// Failing rows, of a test.
    pub failures: Option<i64>,
    /// What happened.
    pub message: Option<String>,
    /// When it began, UTC, as SQL writes times.
    pub started_at: String,
    /// When it ended.
    pub completed_at: String,
    /// How long it took.
    pub seconds: f64,
    /// The statement that was run; "" when none was.
    pub compiled: String,
    /// The table or view that it made.
    pub relation: Option<String>,
    /// What the test belongs to.
    pub attached: Option<String>,
    /// The column that it looks at.
    pub column: Option<String>,
    /// Whether a failure only warns.
    pub warns_only: bool,
    pub(crate) rows: crate::history::FailingRows,
}

/// The tests that a project has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectTests {
    /// The project's name.
    pub project: String,
    /// dbt's ids of its tests.
    pub ids: BTreeSet<String>,
}

impl ProjectTests {
    /// Whether a test was one of this project and is none any more.
    pub(crate) fn has_lost(&self, id: &str) -> bool {
        let mut parts = id.split('.').skip(1);
        parts.next() == Some(self.project.as_str()) && !self.ids.contains(id)
    }
}

/// What became of a run.
#[derive(Debug, Clone)]
pub struct RunResults {
    /// Its id, a UUID.
    pub run_id: String,
    /// `builtin` or `dbt`.
    pub engine: &'static str,
    /// `run`, `test` or `build`.
    pub command: String,
    /// When it began, UTC.
    pub started_at: String,
    /// How long it took.
    pub seconds: f64,
    /// One for each node, in the order in which they ended.
    pub results: Vec<NodeResult>,
    /// Whether it was stopped from outside.
    pub stopped: bool,
    /// The tests that the project has, run or not; none when dbt does not say.
    pub tests: Option<ProjectTests>,
}

impl RunResults {
    /// Whether nothing failed and nothing was left out.
    pub fn is_good(&self) -> bool {
        !self.stopped
            && self.results.iter().all(|result| !result.status.is_bad() && result.status != Status::Skipped)
    }

    /// How many ended so.
    pub fn count(&self, status: Status) -> usize {
        self.results.iter().filter(|result| result.status == status).count()
    }

    /// As dbt writes it: schema run-results v6.
    pub fn to_json(&self) -> serde_json::Value {
        let results: Vec<serde_json::Value> = self.results.iter().map(NodeResult::to_json).collect();
        json!({
            "metadata": {
                "dbt_schema_version": "https://schemas.getdbt.com/dbt/run-results/v6.json",
                "dbt_version": concat!("adpipe ", env!("CARGO_PKG_VERSION")),
                "generated_at": iso(&self.started_at),
                "invocation_id": self.run_id,
                "env": {},
            },
            "results": results,
            "elapsed_time": self.seconds,
            "args": {"which": self.command},
        })
    }

    /// Writes `run_results.json` into a folder, whole or not at all.
    ///
    /// # Errors
    /// [`TransformError::File`].
    pub fn write(&self, folder: &Path) -> Result<()> {
        write_json(&folder.join("run_results.json"), &self.to_json())
    }
}

/// Writes a file by way of another one, so that readers never see half of it.
pub(crate) fn write_json(path: &Path, value: &serde_json::Value) -> Result<()> {
    write_whole(path, &value.to_string())
}

/// The same for text.
pub(crate) fn write_whole(path: &Path, text: &str) -> Result<()> {
    let fail =
        |error: std::io::Error| TransformError::File { path: path.to_path_buf(), reason: error.to_string() };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(fail)?;
    }
    let beside = path.with_extension(format!("{}.part", std::process::id()));
    std::fs::write(&beside, text).map_err(fail)?;
    std::fs::rename(&beside, path).map_err(fail)
}

impl NodeResult {
    fn to_json(&self) -> serde_json::Value {
        let timing = json!({
            "name": "execute",
            "started_at": iso(&self.started_at),
            "completed_at": iso(&self.completed_at),
        });
        json!({
            "status": self.status.name(),
            "timing": if self.status == Status::Skipped { json!([]) } else { json!([timing]) },
            "thread_id": "adpipe",
            "execution_time": self.seconds,
            "adapter_response": {},
            "message": self.message,
            "failures": self.failures,
            "unique_id": self.id,
            "compiled": !self.compiled.is_empty(),
            "compiled_code": self.compiled,
            "relation_name": self.relation,
        })
    }
}

fn iso(time: &str) -> String {
    format!("{}Z", time.replace(' ', "T"))
}
