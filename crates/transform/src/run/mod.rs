//! Runs what was chosen: everything is rendered first, then done in order, side by side where
//! the database allows. Each model, seed and test is one transaction.

mod data_test;
pub(crate) mod materialize;
mod seed;
pub(crate) mod unit_test;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use adpipe_event::Millis;
use adpipe_warehouse::{Dialect, Schema, Session, Warehouse};

use self::data_test::Verdict;
pub(crate) use self::data_test::failing_rows;
use self::materialize::Failure;
use self::seed::SeedTable;
use crate::compile::{Step, compile};
use crate::database::{Catalog, TRY_LOCK, UNLOCK, Work};
use crate::error::{Result, TransformError};
use crate::graph::waits_for;
use crate::history::FailingRows;
use crate::project::nodes::Detail;
use crate::project::{Node, Project};
use crate::results::{NodeResult, RunResults, Status};
use crate::select::select;
use crate::target::Target;

/// What is to be done with what was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Make the models.
    Run,
    /// Run the tests.
    Test,
    /// Seeds, models and tests, each test before what builds upon its model.
    Build,
}

impl Command {
    /// As the command line calls it.
    pub fn name(self) -> &'static str {
        match self {
            Command::Run => "run",
            Command::Test => "test",
            Command::Build => "build",
        }
    }

    fn takes(self, node: &Node) -> bool {
        match self {
            Command::Run => node.kind() == "model",
            Command::Test => node.is_test(),
            Command::Build => true,
        }
    }
}

/// What to run.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// What to do.
    pub command: Command,
    /// dbt's `--select`; empty for everything.
    pub select: Vec<String>,
    /// dbt's `--exclude`.
    pub exclude: Vec<String>,
}

/// Called when a node begins (without result) and when it has ended: done so far, of how many.
pub type OnProgress<'a> = dyn Fn(&Node, Option<&NodeResult>, usize, usize) + Sync + 'a;

/// Runs. `stopped` is asked between nodes; what has begun is finished.
///
/// # Errors
/// What keeps the whole from being done; nothing has been changed then. What a single node meets
/// is in its result.
pub fn run(
    warehouse: &dyn Warehouse,
    project: &Project,
    target: &Target,
    options: &RunOptions,
    stopped: &(dyn Fn() -> bool + Sync),
    on_progress: &OnProgress<'_>,
) -> Result<RunResults> {
    let started = Instant::now();
    let started_at = Millis::now();
    let mut chosen = select(project, &options.select, &options.exclude)?;
    chosen.retain(|node| options.command.takes(&project.nodes[*node]));
    if chosen.is_empty() {
        return Err(TransformError::Asked("nothing is selected; see --select and --exclude".to_owned()));
    }
    let _lock = DatabaseLock::take(warehouse)?;
    let catalog = Catalog::read(warehouse)?;
    let steps = compile(project, &chosen, &catalog, target.full_refresh)?;
    let seeds = read_seeds(project, &chosen, target.dialect)?;
    let missing = missing_parents(project, &chosen, &catalog);
    let waits = waits_for(project, &chosen, options.command == Command::Build);
    let total = steps.len();
    let board = Board {
        state: Mutex::new(State { open: chosen, waits, ended: BTreeMap::new(), order: Vec::new() }),
        changed: Condvar::new(),
    };
    let runner = Runner {
        missing,
        warehouse,
        project,
        steps: &steps,
        seeds: &seeds,
        board: &board,
        stopped,
        on_progress,
        total,
    };
    std::thread::scope(|scope| {
        for _ in 1..target.workers().min(total.max(1)) {
            scope.spawn(|| runner.work());
        }
        runner.work();
    });
    let state = board.lock();
    Ok(RunResults {
        run_id: new_run_id(),
        engine: "builtin",
        command: options.command.name().to_owned(),
        started_at: started_at.to_string(),
        seconds: started.elapsed().as_secs_f64(),
        results: state.order.clone(),
        stopped: stopped(),
        tests: Some(project.tests()),
    })
}

/// Keeps other transformations away from a PostgreSQL database while it lives.
struct DatabaseLock(Box<dyn Session>);

impl DatabaseLock {
    /// None on SQLite, where the caller holds a lock next to the files.
    fn take(warehouse: &dyn Warehouse) -> Result<Option<DatabaseLock>> {
        if warehouse.dialect() == Dialect::Sqlite {
            return Ok(None);
        }
        let mut session = warehouse.session(Schema::Analytics)?;
        if !call(session.as_mut(), TRY_LOCK)? {
            return Err(TransformError::Busy(warehouse.location()));
        }
        Ok(Some(DatabaseLock(session)))
    }
}

impl Drop for DatabaseLock {
    /// The server ends a session some time after it was closed; the next run may begin before that.
    fn drop(&mut self) {
        let _ = call(self.0.as_mut(), UNLOCK);
    }
}

/// Whether the lock is, or was, this session's.
fn call(session: &mut dyn Session, sql: &str) -> Result<bool> {
    let mut transaction = session.begin()?;
    let found = transaction.query(sql, &[])?;
    transaction.commit()?;
    Ok(found.one()?.get("is_ours")?)
}

fn read_seeds(
    project: &Project,
    chosen: &BTreeSet<usize>,
    dialect: Dialect,
) -> Result<BTreeMap<usize, SeedTable>> {
    let mut seeds = BTreeMap::new();
    for &index in chosen {
        let node = &project.nodes[index];
        if let Detail::Seed(seed) = &node.detail {
            seeds.insert(index, SeedTable::read(seed, &node.place, dialect)?);
        }
    }
    Ok(seeds)
}

/// What runs where.
struct Board {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// Not begun yet.
    open: BTreeSet<usize>,
    /// For each node, what must have ended before it.
    waits: Vec<BTreeSet<usize>>,
    ended: BTreeMap<usize, Status>,
    order: Vec<NodeResult>,
}

impl Board {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Runner<'r> {
    /// Of nodes that read from something that neither is there nor will be: its name.
    missing: BTreeMap<usize, String>,
    warehouse: &'r dyn Warehouse,
    project: &'r Project,
    steps: &'r BTreeMap<usize, Step>,
    seeds: &'r BTreeMap<usize, SeedTable>,
    board: &'r Board,
    stopped: &'r (dyn Fn() -> bool + Sync),
    on_progress: &'r OnProgress<'r>,
    total: usize,
}

/// A worker's next task.
enum Task {
    Do(usize),
    Skip(usize, String),
}

impl Runner<'_> {
    fn work(&self) {
        let mut session: Option<Box<dyn Session>> = None;
        while let Some(task) = self.take() {
            let result = match task {
                // Ephemeral models are not built; what blocks them blocks the nodes that depend on
                // them.
                Task::Do(node) if !self.steps.contains_key(&node) => {
                    self.end(node, Status::Success, None);
                    continue;
                }
                Task::Skip(node, _) if !self.steps.contains_key(&node) => {
                    self.end(node, Status::Skipped, None);
                    continue;
                }
                Task::Do(node) => {
                    (self.on_progress)(
                        &self.project.nodes[node],
                        None,
                        self.board.lock().order.len(),
                        self.total,
                    );
                    (node, self.perform(node, &mut session))
                }
                Task::Skip(node, reason) => {
                    let mut result = self.blank(node);
                    result.message = Some(reason);
                    (node, result)
                }
            };
            self.finish(result.0, result.1);
        }
    }

    /// Waits for something that can be done; none when all has ended.
    fn take(&self) -> Option<Task> {
        let mut state = self.board.lock();
        loop {
            if state.open.is_empty() {
                return None;
            }
            let is_ready =
                |node: &&usize| state.waits[**node].iter().all(|before| state.ended.contains_key(before));
            if let Some(&node) = state.open.iter().find(is_ready) {
                state.open.remove(&node);
                let before = state.waits[node].iter().find(|before| {
                    let status = state.ended.get(before).copied();
                    // A test that was left out keeps nothing back.
                    status.is_some_and(Status::is_bad)
                        || (status == Some(Status::Skipped) && !self.project.nodes[**before].is_test())
                });
                return Some(match before {
                    _ if (self.stopped)() => Task::Skip(node, "the run was stopped".to_owned()),
                    Some(before) => {
                        let before = &self.project.nodes[*before];
                        Task::Skip(node, format!("{} {} did not succeed", before.kind(), before.name))
                    }
                    None => Task::Do(node),
                });
            }
            state = self.board.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn finish(&self, node: usize, result: NodeResult) {
        let done = self.end(node, result.status, Some(result.clone()));
        (self.on_progress)(&self.project.nodes[node], Some(&result), done, self.total);
    }

    /// Records how a node ended, and gives how many have been reported.
    fn end(&self, node: usize, status: Status, result: Option<NodeResult>) -> usize {
        let mut state = self.board.lock();
        state.ended.insert(node, status);
        state.order.extend(result);
        let done = state.order.len();
        drop(state);
        self.board.changed.notify_all();
        done
    }

    fn blank(&self, index: usize) -> NodeResult {
        let node = &self.project.nodes[index];
        let now = Millis::now().to_string();
        let (attached, column, warns_only) = match &node.detail {
            Detail::DataTest(test) => (test.attached.clone(), test.column.clone(), test.config.warns_only),
            Detail::UnitTest(_) => {
                let model = node.depends_on.first().map(|model| self.project.nodes[*model].id.clone());
                (model, None, false)
            }
            _ => (None, None, false),
        };
        NodeResult {
            id: node.id.clone(),
            name: node.name.clone(),
            kind: node.kind().to_owned(),
            made_as: node.made_as().to_owned(),
            status: Status::Skipped,
            failures: None,
            message: None,
            started_at: now.clone(),
            completed_at: now,
            seconds: 0.0,
            compiled: self.steps.get(&index).map(|step| step.sql.clone()).unwrap_or_default(),
            relation: node.relation().map(ToString::to_string),
            attached,
            column,
            warns_only,
            rows: FailingRows::default(),
        }
    }

    fn perform(&self, index: usize, session: &mut Option<Box<dyn Session>>) -> NodeResult {
        let mut result = self.blank(index);
        let started = Instant::now();
        let outcome = self.attempt(index, session);
        result.seconds = started.elapsed().as_secs_f64();
        result.completed_at = Millis::now().to_string();
        match outcome {
            Ok(Outcome::Made(message)) => {
                result.status = Status::Success;
                result.message = Some(message);
            }
            Ok(Outcome::Tested(verdict)) => {
                result.status = verdict.status;
                result.failures = Some(verdict.failures);
                result.message = verdict.message;
                result.rows = verdict.rows;
            }
            Err(failure) => {
                // The session may be of no use after this.
                *session = None;
                let place = &self.project.nodes[index].place;
                result.status = Status::Error;
                let hint = self.missing.get(&index).map(|name| {
                    format!("; {name} has not been built yet: `adpipe transform build` builds everything")
                });
                let hint = hint.unwrap_or_default();
                result.message = Some(format!("{place}: {}{hint}", without_statement(&failure.to_string())));
            }
        }
        result
    }

    fn attempt(&self, index: usize, session: &mut Option<Box<dyn Session>>) -> Result<Outcome, Failure> {
        let node = &self.project.nodes[index];
        let open = match session {
            Some(open) => open,
            None => session.insert(self.warehouse.session(Schema::Analytics)?),
        };
        let mut work = Work { transaction: open.begin()?, dialect: self.warehouse.dialect() };
        work.be_patient()?;
        let Some(step) = self.steps.get(&index) else {
            return Err(Failure::Broken("it was not rendered".to_owned()));
        };
        debug_assert_eq!(step.node, index);
        match &node.detail {
            Detail::Model(model) => {
                materialize::make(&mut work, node, model, step)?;
                work.commit()?;
                let added = if step.is_incremental { ", rows added" } else { "" };
                Ok(Outcome::Made(format!("{}{added}", node.made_as())))
            }
            Detail::Seed(seed) => {
                let Some(table) = self.seeds.get(&index) else {
                    return Err(Failure::Broken("it was not read".to_owned()));
                };
                table.load(&mut work, node, seed)?;
                work.commit()?;
                Ok(Outcome::Made(format!("seed, {} rows", table.len())))
            }
            Detail::DataTest(test) => {
                let verdict = data_test::run(&mut work, test, &step.sql)?;
                if test.config.store_failures {
                    work.commit()?;
                }
                Ok(Outcome::Tested(verdict))
            }
            Detail::UnitTest(test) => {
                let verdict = unit_test::run(&mut work, self.project, &node.name, test, &step.sql)?;
                Ok(Outcome::Tested(verdict))
            }
        }
    }
}

enum Outcome {
    Made(String),
    Tested(Verdict),
}

fn missing_parents(
    project: &Project,
    chosen: &BTreeSet<usize>,
    catalog: &Catalog,
) -> BTreeMap<usize, String> {
    let is_missing = |parent: &&usize| {
        let node = &project.nodes[**parent];
        !chosen.contains(*parent)
            && node.relation().is_some_and(|relation| !catalog.has(relation))
            && !node.is_ephemeral()
    };
    let missing_of = |node: &usize| project.nodes[*node].depends_on.iter().find(is_missing);
    chosen.iter().filter_map(|node| Some((*node, project.nodes[*missing_of(node)?].name.clone()))).collect()
}

/// SQLite's driver puts the whole statement into its words.
fn without_statement(message: &str) -> &str {
    match (message.split_once(" in \n"), message.contains(" at offset ")) {
        (Some((reason, _)), true) => reason,
        _ => message,
    }
}

/// A UUID, version 4 in form: made unique by the time, the process and an address in memory.
pub(crate) fn new_run_id() -> String {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
    let here = 0_u8;
    let seed = format!("{now} {} {:p}", std::process::id(), &raw const here);
    let hex = crate::project::names::md5_hex(&seed);
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!("{}-{}-4{}-a{}-{}", part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32))
}
