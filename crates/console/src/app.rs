//! What every handler shares.

use std::sync::Arc;

use adpipe_dlq::DlqError;
use adpipe_ingest::http::Budget;
use adpipe_ingest::{EventsEndpoint, Lag, LagError, LagGauge};
use adpipe_stream::{StreamError, backlog};
use tokio::sync::watch;

use crate::assets::Assets;
use crate::config::{ConsoleConfig, Services};
use crate::csrf;
use crate::dlq;
use crate::error::ConsoleError;
use crate::live::Live;
use crate::operations;
use crate::outbox::Outbox;
use crate::overview::Overviews;
use crate::page::Pages;
use crate::quality;
use crate::readiness::Readiness;
use crate::throttle::Throttle;
use crate::work::Work;

/// The console's state.
pub(crate) struct App {
    pub config: ConsoleConfig,
    pub services: Services,
    /// True when only this machine can reach the console.
    pub on_loopback: bool,
    /// Memory of the bodies of every route.
    pub bodies: Budget,
    /// Takes events in.
    pub events: Arc<EventsEndpoint>,
    /// Where requests wait for a database.
    pub work: Work,
    /// Where answers wait to be taken.
    pub outbox: Outbox,
    pub throttle: Throttle,
    pub readiness: Readiness,
    pub live: Live,
    pub overviews: Overviews,
    pub pages: Pages,
    pub assets: Assets,
    pub desk: dlq::Desk,
    pub quality: quality::Desk,
    pub operations: operations::Desk,
    /// What a page's buttons have to show.
    pub csrf_token: String,
    /// Turns true when the console ends.
    pub closing: watch::Sender<bool>,
}

impl App {
    pub fn new(config: ConsoleConfig, services: Services, on_loopback: bool) -> Result<App, ConsoleError> {
        let (assets, csrf_token) = (Assets::new(), csrf::new_token());
        let (bodies, closing) = (Budget::new(config.body_budget_bytes), watch::Sender::new(false));
        let events = EventsEndpoint::new(
            config.events.clone(),
            Arc::clone(&services.log),
            services.metrics.clone(),
            lag_gauge(&services),
            bodies.clone(),
            closing.subscribe(),
        );
        Ok(App {
            on_loopback,
            bodies,
            events: Arc::new(events),
            work: Work::new(),
            outbox: Outbox::new(),
            throttle: Throttle::new(),
            readiness: Readiness::default(),
            live: Live::new(),
            overviews: Overviews::new(),
            pages: Pages::new(services.version, &csrf_token)?,
            assets,
            desk: dlq::Desk::new(),
            quality: quality::Desk::new(),
            operations: operations::Desk::new(),
            csrf_token,
            closing,
            config,
            services,
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
