//! The thread that asks the warehouse on behalf of the sender, which must not wait for it: how
//! alerts are now that were held back, and once a day the figures of the summary.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use adpipe_event::Millis;
use adpipe_runtime::Shutdown;
use adpipe_sql::section;
use adpipe_warehouse::{FromRow, Row, Warehouse, WarehouseError, query_table};

use crate::config::SlackConfig;
use crate::error::NotifyError;
use crate::spool::Spool;
use crate::summary::store_due;

const ALERT: &str = section(include_str!("../sql/summary.sql"), "alert");

/// How often the warehouse is asked.
const EVERY: Duration = Duration::from_secs(20);

/// How an alert is now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fresh {
    /// Newest value.
    pub value: f64,
    /// Worst value so far.
    pub worst: f64,
    /// Whether it fires.
    pub is_firing: bool,
    /// Whether it is acknowledged.
    pub is_acknowledged: bool,
}

impl FromRow for Fresh {
    fn from_row(row: &Row<'_>) -> Result<Fresh, WarehouseError> {
        Ok(Fresh {
            value: row.get("value")?,
            worst: row.get("worst")?,
            is_firing: row.get::<&str>("state")? == "firing",
            is_acknowledged: row.get::<Option<&str>>("acknowledged_by")?.is_some(),
        })
    }
}

/// Questions and answers, by the name of the alert's firing.
#[derive(Debug, Default)]
pub struct AlertRefresh {
    asked: Mutex<HashSet<String>>,
    answers: Mutex<HashMap<String, Fresh>>,
}

impl AlertRefresh {
    /// Asks how these alerts are; what was asked before and is not any more is forgotten.
    pub fn ask<'a>(&self, names: impl Iterator<Item = &'a String>) {
        let names: HashSet<String> = names.cloned().collect();
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).retain(|name, _| names.contains(name));
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = names;
    }

    /// What is known.
    pub fn answers(&self) -> HashMap<String, Fresh> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks the warehouse what was asked for.
    fn look(&self, warehouse: &dyn Warehouse) -> Result<(), NotifyError> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for name in asked {
            let Some(alert_id) = name.strip_suffix(".fired") else { continue };
            let table = query_table(warehouse, ALERT, &[alert_id.into()])?;
            let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
            match table.read_first()? {
                Some(fresh) => drop(answers.insert(name, fresh)),
                None => drop(answers.remove(&name)),
            }
        }
        Ok(())
    }
}

/// Works until the switch is off.
pub fn run(
    alert_refresh: &AlertRefresh,
    spool: &Arc<Spool>,
    warehouse: &dyn Warehouse,
    config: &SlackConfig,
    owner: &str,
    shutdown: &Shutdown,
) {
    let mut is_in_trouble = false;
    let mut asked: Option<Instant> = None;
    while !shutdown.is_triggered() {
        // What waits for an answer is asked about at once, the rest now and then.
        let is_new = {
            let questions = alert_refresh.asked.lock().unwrap_or_else(PoisonError::into_inner);
            let answers = alert_refresh.answers.lock().unwrap_or_else(PoisonError::into_inner);
            questions.iter().any(|name| !answers.contains_key(name))
        };
        let every = if is_new { EVERY / 10 } else { EVERY };
        if asked.is_none_or(|at| at.elapsed() >= every) {
            asked = Some(Instant::now());
            let mut outcome = alert_refresh.look(warehouse);
            if config.wants_summary() {
                outcome = outcome
                    .and_then(|()| store_due(spool, warehouse, config, owner, Millis::now()).map(drop));
            }
            match outcome {
                Ok(()) => is_in_trouble = false,
                // The warehouse has an alert of its own; here it is said once.
                Err(error) if !is_in_trouble => {
                    is_in_trouble = true;
                    tracing::warn!("the notifier cannot query the warehouse; it retries: {error}");
                }
                Err(_) => {}
            }
        }
        shutdown.sleep(Duration::from_secs(1));
    }
}
