//! Alerts as handlers reach them: the monitor's tables, and the table of rules.

use std::sync::Arc;

use adpipe_event::Millis;
use adpipe_ingest::http::Refusal;
use adpipe_monitor::MonitorError;
use adpipe_monitor::rules::{Language, Rules};
use adpipe_monitor::store::{Alert, Silence};
use adpipe_warehouse::Warehouse;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use crate::answer::{Answers, Asking};

/// What is known of alerts, and where that may wait for the database.
#[derive(Clone)]
pub(crate) struct Alerting {
    pub answers: Answers,
    pub warehouse: Arc<dyn Warehouse>,
    /// The table of alerts that the monitor judges by.
    pub rules: Arc<Rules>,
}

impl Alerting {
    /// Runs `work`, which may wait for the database, away from the sockets.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Warehouse, &Rules) -> Result<T, MonitorError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let (warehouse, rules) = (Arc::clone(&self.warehouse), Arc::clone(&self.rules));
        self.answers.work.run(move || work(warehouse.as_ref(), &rules)).await?.map_err(refusal)
    }

    /// The same, and answers with what comes of it.
    pub async fn json<T: Serialize>(
        &self,
        asking: Asking,
        work: impl FnOnce(&dyn Warehouse, &Rules) -> Result<T, MonitorError> + Send + 'static,
    ) -> Result<Response, Refusal> {
        let (warehouse, rules) = (Arc::clone(&self.warehouse), Arc::clone(&self.rules));
        self.answers.json(asking, move || work(warehouse.as_ref(), &rules).map_err(refusal)).await
    }
}

fn refusal(error: MonitorError) -> Refusal {
    match error {
        MonitorError::Refused(message) => Refusal::wrong(StatusCode::CONFLICT, message),
        error => Refusal::unavailable(error.to_string()),
    }
}

/// Whether a silence is about it now.
pub(crate) fn is_silenced(alert: &Alert, silences: &[Silence], now: Millis) -> bool {
    silences.iter().any(|silence| silence.lasts_at(now) && silence.is_about(&alert.rule, &alert.labels))
}

/// What is wrong, in words; the rule's name when the table no longer has it.
pub(crate) fn summary(rules: &Rules, language: Language, alert: &Alert) -> String {
    let rule = rules.find(&alert.rule);
    rule.map_or_else(|| alert.rule.clone(), |rule| rule.summary(language, &alert.labels, alert.value))
}
