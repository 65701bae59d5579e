//! Roles side by side in one process: one that fails ends alone, is shown, and is tried again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use adpipe_metrics::{Metrics, Role};
use adpipe_runtime::Shutdown;
use anyhow::anyhow;

/// The pause before the first try again; each next one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// A role that was tried again is taken for working after this long.
const SETTLED_AFTER: Duration = Duration::from_secs(3);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A file in the data folder that says which roles of the running process have stopped.
pub const STOPPED_ROLES: &str = "stopped-roles.json";

/// What a role does until its switch is on, each time that it is started.
pub type Work = Box<dyn FnMut(&Shutdown) -> anyhow::Result<()> + Send>;

/// How the end of a role is waited for.
type Join = Box<dyn FnOnce() -> anyhow::Result<()>>;

/// A role at work in this process.
struct RunningRole {
    health: RoleHealth,
    join: Join,
}

impl RunningRole {
    fn join(self) -> anyhow::Result<()> {
        let ended = (self.join)();
        if let Err(error) = &ended {
            self.health.stopped(&format!("{error:#}"));
        }
        ended
    }
}

/// Starts roles, keeps them apart, and waits for them.
pub struct Supervisor {
    metrics: Metrics,
    shutdown: Shutdown,
    /// True when the process has one role: then the process ends with it, so that its starter notices.
    is_alone: bool,
    report: Arc<Report>,
    roles: Vec<RunningRole>,
}

/// Whether one role works: for `/metrics`, the console and `adpipe doctor`.
#[derive(Clone)]
struct RoleHealth {
    role: Role,
    metrics: Metrics,
    report: Arc<Report>,
}

impl RoleHealth {
    fn works(&self) {
        self.metrics.role_works(self.role);
        self.report.write();
    }

    fn stopped(&self, reason: &str) {
        self.metrics.role_stopped(self.role, reason);
        self.report.write();
    }

    fn has_stopped(&self) -> bool {
        self.metrics.stopped_roles().iter().any(|(role, _)| *role == self.role.name())
    }
}

/// Where `adpipe doctor` finds what has stopped.
struct Report {
    file: Option<PathBuf>,
    metrics: Metrics,
}

impl Report {
    fn write(&self) {
        let Some(file) = &self.file else { return };
        let stopped = self.metrics.stopped_roles();
        let written = if stopped.is_empty() {
            remove(file)
        } else {
            let lines: serde_json::Map<String, serde_json::Value> =
                stopped.into_iter().map(|(role, reason)| (role.to_owned(), reason.into())).collect();
            let text = serde_json::Value::Object(lines).to_string();
            adpipe_sql::private::write(file, text.as_bytes())
        };
        if let Err(error) = written {
            tracing::debug!(%error, file = %file.display(), "cannot write which roles have stopped");
        }
    }
}

fn remove(file: &std::path::Path) -> std::io::Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

impl Supervisor {
    /// For a process with so many roles, whose data lie in this folder.
    pub fn new(metrics: Metrics, shutdown: Shutdown, is_alone: bool, folder: Option<PathBuf>) -> Supervisor {
        let file = folder.map(|folder| folder.join(STOPPED_ROLES));
        let report = Arc::new(Report { file, metrics: metrics.clone() });
        report.write();
        Supervisor { metrics, shutdown, is_alone, report, roles: Vec::new() }
    }

    /// Starts a role on a separate thread.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(&mut self, role: Role, work: Work) -> std::io::Result<()> {
        let health = self.health(role);
        let attempts =
            Attempts { health: health.clone(), shutdown: self.shutdown.clone(), is_alone: self.is_alone };
        let builder = std::thread::Builder::new().name(role.name().to_owned());
        let thread = builder.spawn(move || attempts.run(work))?;
        let join = move || thread.join().unwrap_or_else(|_| Err(panicked(role)));
        self.roles.push(RunningRole { health, join: Box::new(join) });
        Ok(())
    }

    /// Takes in a role that runs elsewhere. The process ends with it.
    pub fn take_in(&mut self, role: Role, join: impl FnOnce() -> anyhow::Result<()> + 'static) {
        let shutdown = self.shutdown.clone();
        let join = move || {
            let ended = join();
            // It may have ended by a failure of its own: then the others have to end, too.
            shutdown.trigger();
            ended
        };
        self.roles.push(RunningRole { health: self.health(role), join: Box::new(join) });
    }

    fn health(&self, role: Role) -> RoleHealth {
        RoleHealth { role, metrics: self.metrics.clone(), report: Arc::clone(&self.report) }
    }

    /// Waits until every role has ended, in the order in which they were started.
    ///
    /// # Errors
    /// That of the first role that had failed, and did not work again.
    pub fn wait(self) -> anyhow::Result<()> {
        let mut failed = Ok(());
        for role in self.roles {
            let ended = role.join();
            failed = failed.and(ended);
        }
        if let Some(file) = &self.report.file {
            let _ = remove(file);
        }
        failed
    }
}

fn panicked(role: Role) -> anyhow::Error {
    anyhow!("role {} panicked; please report this", role.name())
}

/// One role, for as long as the process lives.
struct Attempts {
    health: RoleHealth,
    shutdown: Shutdown,
    is_alone: bool,
}

impl Attempts {
    fn run(self, mut work: Work) -> anyhow::Result<()> {
        let mut pause = FIRST_PAUSE;
        let mut told = String::new();
        loop {
            let started = std::time::Instant::now();
            let switch = self.shutdown.part();
            let role = self.health.role;
            let settled = self.settled(&switch);
            let ended =
                catch_unwind(AssertUnwindSafe(|| work(&switch))).unwrap_or_else(|_| Err(panicked(role)));
            // Anything of it that still runs on other threads ends with it.
            switch.trigger();
            let _ = settled.map(JoinHandle::join);
            let error = match ended {
                Ok(()) => {
                    self.health.works();
                    return Ok(());
                }
                Err(error) => error,
            };
            let reason = format!("{error:#}");
            self.health.stopped(&reason);
            if self.is_alone {
                self.shutdown.trigger();
                return Err(error);
            }
            if reason == told {
                tracing::debug!(role = role.name(), "the role has stopped again: {reason}");
            } else {
                tracing::error!(
                    role = role.name(),
                    "the role has stopped and is retried, the others continue: {reason}"
                );
                told = reason;
            }
            // It worked for a while: what stopped it is new.
            if started.elapsed() > LONGEST_PAUSE {
                pause = FIRST_PAUSE;
            }
            if self.shutdown.sleep(pause) {
                return Err(error);
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Says that the role works once it has done so for a little.
    fn settled(&self, switch: &Shutdown) -> Option<JoinHandle<()>> {
        let health = self.health.clone();
        if !health.has_stopped() {
            health.metrics.role_works(health.role);
            return None;
        }
        let switch = switch.clone();
        let wait = move || {
            if !switch.sleep(SETTLED_AFTER) {
                tracing::info!(role = health.role.name(), "the role works again");
                health.works();
            }
        };
        std::thread::Builder::new().name("settled".to_owned()).spawn(wait).ok()
    }
}
