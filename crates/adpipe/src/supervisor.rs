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

/// Starts roles and keeps them apart.
pub struct Supervisor {
    metrics: Metrics,
    shutdown: Shutdown,
    /// True when the process has one role: then the process ends with it, so that its starter notices.
    is_alone: bool,
    report: Arc<Report>,
    roles: Vec<(Role, JoinHandle<anyhow::Result<()>>)>,
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
        let attempts = Attempts {
            role,
            metrics: self.metrics.clone(),
            shutdown: self.shutdown.clone(),
            is_alone: self.is_alone,
            report: Arc::clone(&self.report),
        };
        let thread = std::thread::Builder::new().name(role.name().to_owned());
        self.roles.push((role, thread.spawn(move || attempts.run(work))?));
        Ok(())
    }

    /// Waits until every role has ended.
    ///
    /// # Errors
    /// That of the first role that had failed, and did not work again.
    pub fn wait(self) -> anyhow::Result<()> {
        let mut failed = Ok(());
        for (role, thread) in self.roles {
            let ended = thread.join().unwrap_or_else(|_| Err(panicked(role)));
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
    role: Role,
    metrics: Metrics,
    shutdown: Shutdown,
    is_alone: bool,
    report: Arc<Report>,
}

impl Attempts {
    fn run(self, mut work: Work) -> anyhow::Result<()> {
        let mut pause = FIRST_PAUSE;
        let mut told = String::new();
        loop {
            let started = std::time::Instant::now();
            let switch = self.shutdown.part();
            let role = self.role;
            let settled = self.settled(&switch);
            let ended =
                catch_unwind(AssertUnwindSafe(|| work(&switch))).unwrap_or_else(|_| Err(panicked(role)));
            // Anything of it that still runs on other threads ends with it.
            switch.trigger();
            let _ = settled.map(JoinHandle::join);
            let error = match ended {
                Ok(()) => {
                    self.works();
                    return Ok(());
                }
                Err(error) => error,
            };
            let reason = format!("{error:#}");
            self.metrics.role_stopped(role, &reason);
            self.report.write();
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
        if !self.metrics.stopped_roles().iter().any(|(role, _)| *role == self.role.name()) {
            self.metrics.role_works(self.role);
            return None;
        }
        let (metrics, report, role) = (self.metrics.clone(), Arc::clone(&self.report), self.role);
        let switch = switch.clone();
        let wait = move || {
            if !switch.sleep(SETTLED_AFTER) {
                tracing::info!(role = role.name(), "the role works again");
                metrics.role_works(role);
                report.write();
            }
        };
        std::thread::Builder::new().name("settled".to_owned()).spawn(wait).ok()
    }

    fn works(&self) {
        self.metrics.role_works(self.role);
        self.report.write();
    }
}
