//! Has the real dbt do the work, and reads its results as if they were ours.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};
use std::time::{Duration, Instant};

use adpipe_event::Millis;
use adpipe_warehouse::{Schema, Warehouse};
use serde_json::Value as Json;

use crate::database::Work;
use crate::error::{Result, TransformError};
use crate::history::FailingRows;
use crate::results::{NodeResult, ProjectTests, RunResults, Status};
use crate::run::{RunOptions, failing_rows};

/// How often a running dbt is looked after.
const LOOK: Duration = Duration::from_millis(50);

/// How dbt is called.
#[derive(Debug, Clone)]
pub struct DbtSettings {
    /// The program: `dbt`, or a path.
    pub program: String,
    /// The project's folder, which also holds `profiles.yml`.
    pub project: PathBuf,
    /// `--target`.
    pub target: String,
    /// Where it leaves its results.
    pub target_path: PathBuf,
    /// `--full-refresh`.
    pub full_refresh: bool,
    /// `--vars`; empty for none.
    pub vars: String,
    /// Variables that `profiles.yml` reads: where the warehouse is.
    pub environment: Vec<(String, String)>,
}

/// Runs dbt, handing on each line of its log, and reads its results. When `stopped` says so, dbt
/// is asked to end as by Ctrl-C.
///
/// # Errors
/// [`TransformError::Dbt`] when it cannot be started or leaves no results.
pub fn run(
    warehouse: &dyn Warehouse,
    settings: &DbtSettings,
    options: &RunOptions,
    stopped: &dyn Fn() -> bool,
    on_line: &(dyn Fn(&str) + Sync),
) -> Result<RunResults> {
    let started = Instant::now();
    let started_at = Millis::now().to_string();
    let results_file = settings.target_path.join("run_results.json");
    // What is there does not belong to this run.
    let _ = std::fs::remove_file(&results_file);
    let mut child = command(settings, options).spawn().map_err(|error| {
        TransformError::Dbt(format!(
            "cannot start {:?}: {error}; install dbt, name it in transform.dbt, or set transform.engine to \"builtin\"",
            settings.program
        ))
    })?;
    let code = follow(&mut child, stopped, on_line)?;
    let text = std::fs::read_to_string(&results_file).map_err(|_| {
        TransformError::Dbt(format!("it ended with code {code} and left no results; its log is above"))
    })?;
    let read = |text: &str, file: &Path| {
        serde_json::from_str::<Json>(text)
            .map_err(|error| TransformError::Dbt(format!("{}: {error}", file.display())))
    };
    let found = read(&text, &results_file)?;
    let manifest_file = settings.target_path.join("manifest.json");
    let manifest = std::fs::read_to_string(&manifest_file).unwrap_or_default();
    let manifest = read(&manifest, &manifest_file).unwrap_or(Json::Null);
    // Of exposures dbt says that there was nothing to do.
    let is_done = |result: &NodeResult| result.kind != "exposure";
    let found_results = found["results"].as_array().into_iter().flatten();
    let mut results: Vec<NodeResult> =
        found_results.map(|result| node_result(result, &manifest)).filter(is_done).collect();
    for result in &mut results {
        read_failing_rows(warehouse, result)?;
    }
    Ok(RunResults {
        run_id: found["metadata"]["invocation_id"]
            .as_str()
            .map_or_else(crate::run::new_run_id, str::to_owned),
        engine: "dbt",
        command: options.command.name().to_owned(),
        started_at,
        seconds: started.elapsed().as_secs_f64(),
        results,
        stopped: stopped(),
        tests: tests_of(&manifest),
    })
}

fn command(settings: &DbtSettings, options: &RunOptions) -> Process {
    let mut command = Process::new(&settings.program);
    command.args(["--no-use-colors", options.command.name(), "--project-dir"]).arg(&settings.project);
    command.arg("--profiles-dir").arg(&settings.project).args(["--target", &settings.target]);
    command.arg("--target-path").arg(&settings.target_path);
    for (flag, values) in [("--select", &options.select), ("--exclude", &options.exclude)] {
        if !values.is_empty() {
            command.arg(flag).args(values);
        }
    }
    if settings.full_refresh && options.command != crate::run::Command::Test {
        command.arg("--full-refresh");
    }
    if !settings.vars.is_empty() {
        command.args(["--vars", &settings.vars]);
    }
    command.envs(settings.environment.iter().map(|(name, value)| (name, value)));
    command.env("DBT_SEND_ANONYMOUS_USAGE_STATS", "false").env("PYTHONUNBUFFERED", "1");
    command.env("DBT_LOG_PATH", settings.target_path.join("logs"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    command
}

/// Hands on its log until it ends; gives its exit code.
fn follow(child: &mut Child, stopped: &dyn Fn() -> bool, on_line: &(dyn Fn(&str) + Sync)) -> Result<i32> {
    let lost = |error: std::io::Error| TransformError::Dbt(format!("adpipe lost track of it: {error}"));
    let output = child.stdout.take();
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || {
            for line in output
                .into_iter()
                .flat_map(|output| BufReader::new(output).lines())
                .map_while(|line| line.ok())
            {
                on_line(&line);
            }
        });
        let mut asked = false;
        let status = loop {
            if let Some(status) = child.try_wait().map_err(lost)? {
                break status;
            }
            if stopped() && !asked {
                asked = true;
                // dbt ends in order at Ctrl-C; a terminal has sent it one already, which does no harm.
                let _ = Process::new("kill").args(["-INT", &child.id().to_string()]).status();
            }
            std::thread::sleep(LOOK);
        };
        if reader.join().is_err() {
            return Err(TransformError::Dbt("reading its log failed".to_owned()));
        }
        Ok(status.code().unwrap_or(-1))
    })
}

/// The tests that dbt's manifest lists.
fn tests_of(manifest: &Json) -> Option<ProjectTests> {
    let nodes = manifest["nodes"].as_object()?;
    let of_nodes = nodes.keys().filter(|id| id.starts_with("test."));
    let unit_tests = manifest["unit_tests"].as_object().into_iter().flat_map(|tests| tests.keys());
    Some(ProjectTests {
        project: manifest["metadata"]["project_name"].as_str()?.to_owned(),
        ids: of_nodes.chain(unit_tests).cloned().collect(),
    })
}

fn node_result(result: &Json, manifest: &Json) -> NodeResult {
    let text = |value: &Json| value.as_str().map(str::to_owned);
    let id = text(&result["unique_id"]).unwrap_or_default();
    let mut parts = id.split('.');
    let kind = parts.next().unwrap_or_default().to_owned();
    let node =
        [&manifest["nodes"][&id], &manifest["unit_tests"][&id]].into_iter().find(|node| !node.is_null());
    let node = node.unwrap_or(&Json::Null);
    let execute = result["timing"].as_array().and_then(|timing| timing.last()).unwrap_or(&Json::Null);
    let time = |value: &Json| {
        let said = value.as_str().unwrap_or_default().trim_end_matches('Z').replace('T', " ");
        Millis::parse_sql(&said).map_or_else(|| Millis::now().to_string(), |time| time.to_string())
    };
    let status = match result["status"].as_str().unwrap_or_default() {
        "no-op" => Status::Success,
        other => Status::of(other),
    };
    let tested = node["model"]
        .as_str()
        .map(|model| format!("model.{}.{model}", node["package_name"].as_str().unwrap_or_default()));
    NodeResult {
        name: text(&node["name"]).unwrap_or_else(|| id.split('.').nth(2).unwrap_or(&id).to_owned()),
        made_as: text(&node["config"]["materialized"])
            .unwrap_or_else(|| if kind == "unit_test" { "unit" } else { "" }.to_owned()),
        status,
        failures: result["failures"].as_i64(),
        message: text(&result["message"]),
        started_at: time(&execute["started_at"]),
        completed_at: time(&execute["completed_at"]),
        seconds: result["execution_time"].as_f64().unwrap_or(0.0),
        compiled: text(&result["compiled_code"]).unwrap_or_default(),
        relation: text(&result["relation_name"]),
        attached: text(&node["attached_node"]).or(tested),
        column: text(&node["column_name"]),
        warns_only: node["config"]["severity"]
            .as_str()
            .is_some_and(|severity| severity.eq_ignore_ascii_case("warn")),
        rows: FailingRows::default(),
        kind,
        id,
    }
}

/// The rows that dbt stored, from where it stored them. Of a test that stores none nothing is
/// known but that it fails.
fn read_failing_rows(warehouse: &dyn Warehouse, result: &mut NodeResult) -> Result<()> {
    let failed = matches!(result.status, Status::Fail | Status::Warn) && result.kind == "test";
    let (true, Some(relation)) = (failed, &result.relation) else { return Ok(()) };
    let mut session = warehouse.session(Schema::Analytics)?;
    let mut work = Work { transaction: session.begin()?, dialect: warehouse.dialect() };
    result.rows = failing_rows(&mut work, &format!("select * from {relation}"))?;
    Ok(())
}
