//! The console's state, put together. A handler takes the parts that it needs; only `routes.rs` and
//! `lib.rs` know the whole.

use std::sync::Arc;

use adpipe_dlq::DlqError;
use adpipe_ingest::http::Budget;
use adpipe_ingest::{EventsEndpoint, Lag, LagError, LagGauge};
use adpipe_metrics::Metrics;
use adpipe_stream::{StreamError, backlog};
use axum::extract::FromRef;
use tokio::sync::watch;

use crate::access::Access;
use crate::alerting::Alerting;
use crate::answer::{Answers, WarehouseReader};
use crate::assets::Assets;
use crate::config::{ConsoleConfig, ProjectTests, Services};
use crate::csrf::CsrfToken;
use crate::dags::DagRuns;
use crate::dlq::jobs::OutcomeCache;
use crate::dlq::queue::Queue;
use crate::dlq::waiting::WaitingErrors;
use crate::error::ConsoleError;
use crate::firing::FiringAlerts;
use crate::live::Live;
use crate::operations::charts::ChartSource;
use crate::outbox::Outbox;
use crate::overview::Overviews;
use crate::page::Pages;
use crate::posted::BodyIntake;
use crate::quality::DocsPages;
use crate::readiness::Readiness;
use crate::token::TokenCheck;
use crate::work::Work;

/// Every part; what several share is the same one in each.
#[derive(Clone, FromRef)]
pub(crate) struct App {
    // Who may come in, and how much may.
    pub access: Arc<Access>,
    pub tokens: TokenCheck,
    pub csrf_token: CsrfToken,
    pub intake: BodyIntake,
    pub events: Arc<EventsEndpoint>,
    // Where answers are made.
    pub answers: Answers,
    pub work: Work,
    pub reader: WarehouseReader,
    // What machines ask for.
    pub metrics: Metrics,
    pub readiness: Readiness,
    // The pages, one after the other.
    pub pages: Pages,
    pub assets: Assets,
    pub live: Live,
    pub overviews: Overviews,
    pub alerting: Alerting,
    pub firing: FiringAlerts,
    pub charts: ChartSource,
    pub queue: Queue,
    pub outcomes: OutcomeCache,
    pub waiting: WaitingErrors,
    pub docs: DocsPages,
    pub project_tests: ProjectTests,
    pub dag_runs: DagRuns,
}

impl App {
    /// `navigation`: the key of the name of each page, and its address. `closing` turns true when the
    /// console ends.
    pub fn new(
        config: &ConsoleConfig,
        services: &Services,
        navigation: impl IntoIterator<Item = (&'static str, &'static str)>,
        on_loopback: bool,
        closing: watch::Receiver<bool>,
    ) -> Result<App, ConsoleError> {
        let Services { log, warehouse, dlq, metrics, docs_page, project_tests, rules, version } =
            services.clone();
        let bodies = Budget::new(config.body_budget_bytes);
        let events = Arc::new(EventsEndpoint::new(
            config.events.clone(),
            Arc::clone(&log),
            metrics.clone(),
            lag_gauge(services),
            bodies.clone(),
            closing.clone(),
        ));
        let work = Work::new();
        let answers = Answers { work: work.clone(), outbox: Outbox::new() };
        let reader = WarehouseReader { answers: answers.clone(), warehouse: Arc::clone(&warehouse) };
        let alerting = Alerting { answers: answers.clone(), warehouse: Arc::clone(&warehouse), rules };
        let firing = FiringAlerts::new(alerting.clone());
        let (csrf_token, tokens) = (CsrfToken::new(), TokenCheck::new(config.token.as_deref()));
        let pages = Pages::new(version, navigation, csrf_token.clone(), firing.clone())?;
        Ok(App {
            access: Arc::new(Access::new(&config.host, on_loopback, tokens.clone(), pages.clone())),
            tokens,
            csrf_token,
            intake: BodyIntake { bodies, closing: closing.clone() },
            readiness: Readiness::new(Arc::clone(&log), Arc::clone(&warehouse)),
            overviews: Overviews::new(log, Arc::clone(&warehouse), Arc::clone(&events), work.clone()),
            live: Live::new(closing),
            charts: ChartSource::new(config.slack),
            queue: Queue::new(dlq, answers.clone()),
            outcomes: OutcomeCache::default(),
            waiting: WaitingErrors::default(),
            docs: DocsPages::new(docs_page, work.clone()),
            dag_runs: DagRuns::new(config.dags.clone(), warehouse, answers.clone()),
            assets: Assets::new(),
            events,
            answers,
            work,
            reader,
            metrics,
            pages,
            alerting,
            firing,
            project_tests,
        })
    }
}

/// Measures what waits to be stored: records for the processor, errors for the dead-letter queue.
fn lag_gauge(services: &Services) -> LagGauge {
    let Services { log, warehouse, dlq, .. } = services.clone();
    LagGauge::new(move || {
        let records = backlog::records(log.as_ref(), warehouse.as_ref()).map_err(|error| match error {
            StreamError::Log(error) => LagError::Log(error),
            other => LagError::Stores(other.into()),
        })?;
        let errors = adpipe_dlq::role::waiting(&dlq).map_err(|error| match error {
            DlqError::Log(error) => LagError::Log(error),
            other => LagError::Stores(other.into()),
        })?;
        Ok(Lag { records, errors })
    })
}
