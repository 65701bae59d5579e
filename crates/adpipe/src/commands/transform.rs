//! `adpipe transform`: the dbt project, run by adpipe or by the real dbt.

mod queries;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use adpipe_event::Millis;
use adpipe_runtime::RoleLock;
use adpipe_runtime::Shutdown;
use adpipe_transform::dbt::DbtSettings;
use adpipe_transform::{
    Command, NodeResult, Project, ProjectFiles, RunOptions, RunResults, SourceFreshness, Status, Target,
    TransformError,
};
use adpipe_warehouse::Warehouse;
use anyhow::Context;

use crate::cli::transform::{TransformAction, TransformDocsArgs, TransformRunArgs};
use crate::config::{Config, Engine};
use crate::services::{Services, take_role};
use crate::warehouse_place::WarehousePlace;
use crate::{output, project, signals};

pub fn run(config: Config, action: &TransformAction) -> anyhow::Result<ExitCode> {
    match action {
        TransformAction::Run(args) => transform(config, Command::Run, args),
        TransformAction::Test(args) => transform(config, Command::Test, args),
        TransformAction::Build(args) => transform(config, Command::Build, args),
        TransformAction::Ls(args) => queries::list(&config, args),
        TransformAction::Show(args) => queries::show(config, args),
        TransformAction::Freshness(args) => freshness(config, args.json),
        TransformAction::Docs(args) => docs(config, args),
        TransformAction::Export { folder } => {
            ProjectFiles::embedded().write(folder)?;
            output::line(&format!("wrote {}; set transform.project to it", folder.display()))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// What the configuration says, opened.
struct Workspace {
    config: Config,
    warehouse: Arc<dyn Warehouse>,
    warehouse_place: WarehousePlace,
    /// The project's folder; none for the project built into adpipe.
    folder: Option<PathBuf>,
    target: Target,
}

impl Workspace {
    fn open(config: Config, full_refresh: bool) -> anyhow::Result<Workspace> {
        let warehouse_place = WarehousePlace::of(&config)?;
        warehouse_place.must_have_data()?;
        let warehouse = Services::open_warehouse(&config)?;
        let folder = project::folder(&config);
        let target = Target { full_refresh, ..project::target(&config, warehouse.as_ref()) };
        Ok(Workspace { config, warehouse, warehouse_place, folder, target })
    }

    fn files(&self) -> Result<ProjectFiles, TransformError> {
        project::files_in(self.folder.as_deref())
    }

    fn target_path(&self) -> PathBuf {
        match (self.config.transform.target_path.as_str(), &self.folder, self.warehouse_place.folder()) {
            ("", Some(folder), _) => folder.join("target"),
            ("", None, Some(data)) => data.join("transform"),
            ("", None, None) => PathBuf::from("data/transform"),
            (path, _, _) => PathBuf::from(path),
        }
    }

    /// One transformation at a time on embedded files; PostgreSQL has its own lock.
    fn lock(&self) -> anyhow::Result<Option<RoleLock>> {
        let Some(folder) = self.warehouse_place.folder() else { return Ok(None) };
        match take_role(folder, "transform")? {
            Some(lock) => Ok(Some(lock)),
            None => Err(TransformError::Busy(folder.display().to_string()).into()),
        }
    }

    fn dbt_settings(&self, args: &TransformRunArgs) -> anyhow::Result<DbtSettings> {
        let Some(project) = self.folder.clone() else {
            anyhow::bail!(
                "transform.engine is \"dbt\", which needs the project in a folder: export it with `adpipe \
                 transform export dbt`"
            );
        };
        let environment = match &self.warehouse_place {
            WarehousePlace::Folder(folder) => {
                let folder = std::path::absolute(folder)?;
                vec![("DBT_ADPIPE_DATA".to_owned(), folder.display().to_string())]
            }
            WarehousePlace::Postgres(settings) => settings.environment(),
        };
        let target = match self.config.transform.target.as_str() {
            "" => self.target.kind().to_owned(),
            name => name.to_owned(),
        };
        Ok(DbtSettings {
            program: self.config.transform.dbt.clone(),
            project: std::path::absolute(project)?,
            target,
            target_path: std::path::absolute(self.target_path())?,
            full_refresh: args.full_refresh,
            vars: args.vars.clone(),
            environment,
        })
    }
}

fn transform(config: Config, command: Command, args: &TransformRunArgs) -> anyhow::Result<ExitCode> {
    let workspace = Workspace::open(config, args.full_refresh)?;
    let options = RunOptions { command, select: args.select.clone(), exclude: args.exclude.clone() };
    let shutdown = listen()?;
    let stopped = || shutdown.is_triggered();
    let _lock = workspace.lock()?;
    let warehouse = workspace.warehouse.as_ref();
    let results = match workspace.config.transform.engine {
        Engine::Builtin => {
            let project = Project::load(&workspace.files()?, &workspace.target, &args.vars)?;
            let results = adpipe_transform::run(
                warehouse,
                &project,
                &workspace.target,
                &options,
                &stopped,
                &|node, result, done, total| {
                    if let Some(result) = result {
                        output::note(&format!(
                            "{done:>4} of {total}  {:<8} {} {}  {:.2} s",
                            result.status.name(),
                            node.kind(),
                            node.name,
                            result.seconds
                        ));
                    }
                },
            )?;
            results.write(&workspace.target_path())?;
            project.write_manifest(&workspace.target_path(), &results)?;
            results
        }
        Engine::Dbt => {
            let settings = workspace.dbt_settings(args)?;
            std::fs::create_dir_all(&settings.target_path)
                .with_context(|| format!("cannot create {}", settings.target_path.display()))?;
            adpipe_transform::dbt::run(warehouse, &settings, &options, &stopped, &|line| output::note(line))?
        }
    };
    adpipe_transform::history::keep(warehouse, &results)?;
    print(&results, args.json)?;
    Ok(match (results.stopped, results.is_good()) {
        (true, _) => signals::exit_code(),
        (false, true) => ExitCode::SUCCESS,
        (false, false) => ExitCode::FAILURE,
    })
}

/// Ctrl-C lets running models finish and skips the rest. If that takes too long, the process ends, and
/// its open transactions leave nothing behind.
fn listen() -> anyhow::Result<Shutdown> {
    let shutdown = Shutdown::new();
    signals::watch(&shutdown, signals::GRACE)?;
    Ok(shutdown)
}

fn print(results: &RunResults, json: bool) -> anyhow::Result<()> {
    if json {
        return output::json(&results.to_json());
    }
    let is_shown = |result: &&NodeResult| !matches!(result.status, Status::Pass);
    let shown: Vec<&NodeResult> = results.results.iter().filter(is_shown).collect();
    if !shown.is_empty() {
        let rows: Vec<Vec<String>> = shown.iter().map(|result| row(result)).collect();
        output::line(&output::table(
            &["kind", "name", "status", "seconds", "result"],
            &[false, false, false, true],
            &rows,
        ))?;
    }
    for result in
        shown.iter().filter(|result| result.message.as_ref().is_some_and(|message| message.contains('\n')))
    {
        output::line(&format!("\n{}: {}", result.name, result.message.as_deref().unwrap_or_default()))?;
    }
    let has_query = |result: &&&NodeResult| matches!(result.status, Status::Fail | Status::Warn);
    if let Some(failed) = shown.iter().find(has_query) {
        output::note(&format!(
            "`adpipe transform show {} --rows 20` shows the query of this test and the rows that fail",
            failed.name
        ));
    }
    let made = results.count(Status::Success) as u64;
    let mut parts = vec![format!("{} made", output::grouped(made))];
    for (status, word) in [
        (Status::Pass, "passed"),
        (Status::Warn, "warned"),
        (Status::Fail, "failed"),
        (Status::Error, "could not run"),
        (Status::Skipped, "skipped"),
    ] {
        if results.count(status) > 0 {
            parts.push(format!("{} {word}", output::grouped(results.count(status) as u64)));
        }
    }
    output::line(&format!("{} in {:.2} s", parts.join(", "), results.seconds))
}

fn row(result: &NodeResult) -> Vec<String> {
    let message = result.message.as_deref().unwrap_or_default();
    let kind = if result.kind == "model" { result.made_as.clone() } else { result.kind.replace('_', " ") };
    vec![
        kind,
        result.name.clone(),
        result.status.name().to_owned(),
        format!("{:.2}", result.seconds),
        message.lines().next().unwrap_or_default().to_owned(),
    ]
}

/// Checks the sources; warnings are reported and are not failures.
fn freshness(config: Config, json: bool) -> anyhow::Result<ExitCode> {
    let workspace = Workspace::open(config, false)?;
    let project = Project::load(&workspace.files()?, &workspace.target, "")?;
    let found = adpipe_transform::freshness(workspace.warehouse.as_ref(), &project, Millis::now());
    if json {
        output::json(&found.iter().map(SourceFreshness::to_json).collect())?;
    } else {
        let span = |ms: Option<i64>| {
            ms.map_or("-".to_owned(), |ms| {
                let seconds = u64::try_from(ms / 1_000).unwrap_or(0);
                humantime::format_duration(Duration::from_secs(seconds)).to_string()
            })
        };
        let row = |source: &SourceFreshness| {
            let newest = match &source.message {
                Some(message) => message.lines().next().unwrap_or_default().to_owned(),
                None => source.newest.map_or("no rows".to_owned(), |newest| newest.to_string()),
            };
            vec![
                source.name.clone(),
                source.status.name().to_owned(),
                span(source.age_ms),
                span(source.warn_after_ms),
                span(source.error_after_ms),
                newest,
            ]
        };
        let rows: Vec<Vec<String>> = found.iter().map(row).collect();
        let head = ["source", "status", "age", "warn after", "error after", "newest (UTC)"];
        output::line(&output::table(&head, &[], &rows))?;
    }
    let is_bad = found.iter().any(|source| source.status.is_bad());
    Ok(if is_bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn docs(config: Config, args: &TransformDocsArgs) -> anyhow::Result<ExitCode> {
    let workspace = Workspace::open(config, false)?;
    let page = project::docs_page(&workspace.config, workspace.warehouse.as_ref())?;
    let out = args.out.clone().unwrap_or_else(|| workspace.target_path().join("index.html"));
    if let Some(folder) = out.parent().filter(|folder| *folder != Path::new("")) {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    std::fs::write(&out, page).with_context(|| format!("cannot write {}", out.display()))?;
    output::line(&format!("wrote {}", out.display()))?;
    Ok(ExitCode::SUCCESS)
}
