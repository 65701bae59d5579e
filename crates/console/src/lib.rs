//! The console: the web pages for people, and the server that accepts events.
//!
//! [`Console`] binds a port and serves it. `adpipe_ingest` handles `POST /v1/events`; `/` is the first
//! page, fed by `/live` (server-sent events, a snapshot a second) and `/api/overview`; `/metrics`,
//! `/healthz` and `/readyz` are for machines. [`MetricsServer`] serves `/metrics` alone, for processes
//! without a console.
//!
//! A request passes through these files; start with `routes.rs`:
//!
//! 1. `adpipe_ingest::http` accepts the connection, guards it against slow peers and says whose it is;
//! 2. `access.rs` checks host, origin and token (`token.rs` compares it, `throttle.rs` slows guesses
//!    down, `token_page.rs` asks for it), `csrf.rs` that a button of ours was pressed;
//! 3. the table in `routes.rs` says who answers: `overview.rs`, `live.rs`, `assets.rs`, `probes.rs`,
//!    and the folders `operations/` for alerts and processes, `dlq/` for the dead-letter queue,
//!    `files/` for what batch read, `quality/` for the data's quality, `dags/` for the scheduler. A
//!    handler takes the parts of the state that it needs (`state.rs` puts them together): `page.rs`
//!    renders, `answer.rs` makes JSON, `posted.rs` receives;
//! 4. what waits for a database does so in `work.rs`, and its answer leaves through `pack.rs`, which
//!    makes it small, and `outbox.rs`.
//!
//! The scripts of the pages are in `static/`: one for each page, `page.js` and `format.js` for all of
//! them, `chart.js` and the files named after it for charts. The head of `chart.js` says how a chart is
//! described.
//!
//! Memory is bounded, whatever comes in: bodies, records, read-ahead, work and answers have separate
//! budgets. A request for which there is no room is answered 429 or 503; it never waits half-received.
#![forbid(unsafe_code)]

mod access;
mod alerting;
mod answer;
mod assets;
mod config;
mod cookie;
mod csrf;
mod dags;
mod dlq;
mod error;
mod figures;
mod files;
mod firing;
mod headers;
mod i18n;
mod limits;
mod live;
mod metrics_server;
mod operations;
mod outbox;
mod overview;
mod pack;
mod page;
mod page_texts;
mod posted;
mod probes;
mod quality;
mod query;
mod readiness;
mod recent_errors;
mod routes;
mod state;
mod throttle;
mod token;
mod token_page;
mod work;

use std::io::ErrorKind;
use std::net::SocketAddr;

use adpipe_ingest::http::{self, ServerConfig};
use adpipe_runtime::Shutdown;
use tokio::net::{TcpListener, lookup_host};
use tokio::sync::watch;

pub use crate::config::{ConsoleConfig, DocsPage, ProjectTests, Services};
pub use crate::error::{ConsoleError, MetricsError};
pub use crate::metrics_server::MetricsServer;
pub use crate::routes::routes;
use crate::state::App;

/// Characters of a token that others may guess at: of random ones, 16 cannot be guessed.
const SHORTEST_TOKEN: usize = 16;

/// A console that has its port and is ready to serve.
pub struct Console {
    listener: TcpListener,
    address: SocketAddr,
    server: ServerConfig,
    services: Services,
    app: App,
    /// Turns true when the console ends.
    closing: watch::Sender<bool>,
}

impl Console {
    /// Takes the port.
    ///
    /// # Errors
    /// [`ConsoleError`], with what to do: the port is in use, or the address can be reached by
    /// others and no token is set.
    pub async fn bind(config: ConsoleConfig, services: Services) -> Result<Console, ConsoleError> {
        if config.token.as_deref().is_some_and(|token| !token::is_usable(token)) {
            return Err(ConsoleError::TokenUnusable);
        }
        let failure = |source: std::io::Error| {
            let (host, port) = (config.host.clone(), config.port);
            match source.kind() {
                ErrorKind::AddrInUse => ConsoleError::PortInUse { host, port },
                ErrorKind::PermissionDenied => ConsoleError::PortForbidden { host, port },
                _ => ConsoleError::Listen { host, port, source },
            }
        };
        let host = config.host.trim_matches(['[', ']']);
        let addresses: Vec<SocketAddr> = lookup_host((host, config.port)).await.map_err(failure)?.collect();
        let on_loopback = addresses.iter().all(|address| address.ip().is_loopback());
        if !on_loopback && config.token.is_none() {
            return Err(ConsoleError::TokenNeeded { host: config.host });
        }
        if !on_loopback && config.token.as_deref().is_some_and(|token| token.len() < SHORTEST_TOKEN) {
            return Err(ConsoleError::TokenShort { host: config.host });
        }
        let listener = http::listen(&addresses).map_err(failure)?;
        let address = listener.local_addr().map_err(failure)?;
        routes::set_up(&services.metrics);
        let closing = watch::Sender::new(false);
        let app = App::new(&config, &services, routes::navigation(), on_loopback, closing.subscribe())?;
        Ok(Console { listener, address, server: config.server, services, app, closing })
    }

    /// Where it listens; the port is the real one when 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of the first page, for people. Without the token.
    pub fn url(&self) -> String {
        let port = self.address.port();
        match self.address.ip() {
            ip if ip.is_unspecified() => format!("http://localhost:{port}/"),
            std::net::IpAddr::V6(ip) => format!("http://[{ip}]:{port}/"),
            std::net::IpAddr::V4(ip) => format!("http://{ip}:{port}/"),
        }
    }

    /// Serves until the switch is on; then takes no more, answers what is under way and ends
    /// within a second.
    ///
    /// # Errors
    /// None today: what fails while serving is logged and gone on from.
    pub async fn serve(self, shutdown: Shutdown) -> Result<(), ConsoleError> {
        let Console { listener, address, server, services, app, closing } = self;
        let producer = tokio::spawn(live::produce(app.live.clone(), services, app.events.clone()));
        let closed = closing.subscribe();
        let switch = tokio::spawn(async move {
            shutdown.triggered().await;
            closing.send_replace(true);
            // Held until the server has ended: a sender that is gone says the same.
            closing
        });
        tracing::info!(%address, "the console listens");
        http::serve(listener, routes::router(app), server, closed).await;
        switch.abort();
        producer.abort();
        Ok(())
    }
}
