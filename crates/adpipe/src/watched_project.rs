//! The dbt project as it is now, for watching its tests and sources while adpipe runs.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use adpipe_transform::{Project, ProjectFiles, Target, TransformError};

use crate::config::Config;
use crate::project;

/// How often its files are looked at.
const EVERY: Duration = Duration::from_secs(5);

/// Reads the project again when its files have changed.
pub struct WatchedProject {
    config: Config,
    target: Target,
    newest: Mutex<Newest>,
}

#[derive(Default)]
struct Newest {
    looked: Option<Instant>,
    files: Option<ProjectFiles>,
    project: Option<Arc<Project>>,
    trouble: Option<String>,
}

impl WatchedProject {
    /// Of this configuration; read when it is asked for.
    pub fn new(config: Config, target: Target) -> WatchedProject {
        WatchedProject { config, target, newest: Mutex::default() }
    }

    /// The project, at most a few seconds old. While it cannot be read, because it is being written,
    /// the previous one; none if it never could be read.
    pub fn now(&self) -> Option<Arc<Project>> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if newest.looked.is_none_or(|looked| looked.elapsed() >= EVERY) {
            newest.looked = Some(Instant::now());
            newest.trouble = match self.look(&mut newest) {
                Ok(()) => None,
                Err(error) => {
                    let trouble = error.to_string();
                    if newest.trouble.as_ref() != Some(&trouble) {
                        // `adpipe transform` says so, too; all other figures are known.
                        tracing::warn!(
                            "data tests and the age of sources are watched as before, because the dbt \
                             project cannot be read: {trouble}"
                        );
                    }
                    Some(trouble)
                }
            };
        }
        newest.project.clone()
    }

    fn look(&self, newest: &mut Newest) -> Result<(), TransformError> {
        let files = project::files(&self.config)?;
        if newest.files.as_ref() != Some(&files) {
            newest.project = Some(Arc::new(Project::load(&files, &self.target, "")?));
            newest.files = Some(files);
        }
        Ok(())
    }
}
