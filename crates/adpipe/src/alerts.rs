//! The table of alerts that the configuration names, and what watches it here.

use std::path::Path;
use std::sync::Arc;

use adpipe_monitor::RulesError;
use adpipe_monitor::announce::Announce;
use adpipe_monitor::figures::Sources;
use adpipe_monitor::pulse::Pulse;
use adpipe_monitor::role::{Figures, Monitor, MonitorConfig};
use adpipe_monitor::rules::Rules;
use adpipe_schedule::dag::Dags;

use crate::config::{Config, ConfigError, DEFAULT_RULES_FILE};
use crate::project;
use crate::services::Services;
use crate::watched_project::WatchedProject;

/// Reads `alerts.rules_file`; without a file at the usual place, the table that comes with adpipe.
pub fn rules(config: &Config) -> anyhow::Result<Rules> {
    let file = config.alerts.rules_file.as_str();
    match Rules::load(Path::new(file)) {
        Err(RulesError::Unreadable { .. }) if file == DEFAULT_RULES_FILE && !Path::new(file).exists() => {
            Ok(Rules::built_in()?)
        }
        Err(error @ RulesError::Unreadable { .. }) => {
            anyhow::bail!(ConfigError::Key { key: "alerts.rules_file", message: error.to_string() })
        }
        loaded => Ok(loaded?),
    }
}

/// Where figures come from here.
pub fn sources(services: &Services, dags: Dags, pulse: Pulse) -> anyhow::Result<Sources> {
    let mut sources = Sources::new(Arc::clone(&services.log), Arc::clone(&services.warehouse), pulse);
    sources.dags = dags;
    sources.data_folder = services.data_folder()?;
    let target = project::target(&services.config, services.warehouse.as_ref());
    let watched = WatchedProject::new(services.config.clone(), target);
    sources.project = Some(Arc::new(move || watched.now()));
    Ok(sources)
}

/// A monitor of this process, which stands by until it holds the lease.
pub fn monitor(
    services: &Services,
    rules: Rules,
    sources: Sources,
    announcer: Box<dyn Announce>,
) -> anyhow::Result<Monitor> {
    let settings = &services.config.alerts;
    let folder = services.data_folder()?;
    let config = MonitorConfig { rules, every: settings.every.0, keep: settings.keep.0, folder };
    let figures = Figures::of(sources, services.metrics.clone());
    let warehouse = Arc::clone(&services.warehouse);
    Ok(Monitor::new(config, warehouse, figures, announcer, services.metrics.clone())?)
}
