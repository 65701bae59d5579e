//! `/metrics` and `/healthz` of a process without a console, on a separate port.

use std::net::SocketAddr;

use adpipe_ingest::http::{self, Refusal, ServerConfig};
use adpipe_metrics::Metrics;
use adpipe_runtime::Shutdown;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use tokio::net::{TcpListener, lookup_host};
use tokio::sync::watch;

use crate::error::MetricsError;
use crate::probes::{get_health, metrics_answer};
use crate::{answer, headers};

/// Scrapers are few.
const MAX_CONNECTIONS: usize = 32;

/// A listener that has its port and is ready to serve. It shows figures and nothing secret, so no
/// token is asked for, wherever it can be reached from.
pub struct MetricsServer {
    listener: TcpListener,
    address: SocketAddr,
    metrics: Metrics,
}

impl MetricsServer {
    /// Takes the port; 0 takes any that is free.
    ///
    /// # Errors
    /// When it cannot be had, with what to do.
    pub async fn bind(host: &str, port: u16, metrics: Metrics) -> Result<MetricsServer, MetricsError> {
        let failure = |source| MetricsError { host: host.to_owned(), port, source };
        let name = host.trim_matches(['[', ']']);
        let addresses: Vec<SocketAddr> = lookup_host((name, port)).await.map_err(failure)?.collect();
        let listener = http::listen(&addresses).map_err(failure)?;
        let address = listener.local_addr().map_err(failure)?;
        Ok(MetricsServer { listener, address, metrics })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the switch is off.
    pub async fn serve(self, shutdown: Shutdown) {
        let router = Router::new()
            .route("/metrics", get(get_metrics))
            .route("/healthz", get(get_health))
            .fallback(not_found)
            .method_not_allowed_fallback(answer::wrong_method);
        let router = headers::secured(router).with_state(self.metrics);
        let (closing, closed) = watch::channel(false);
        let switch = tokio::spawn(async move {
            shutdown.triggered().await;
            closing.send_replace(true);
            // Held until the server has ended: a sender that is gone says the same.
            closing
        });
        tracing::info!(address = %self.address, "metrics are served");
        let config = ServerConfig { max_connections: MAX_CONNECTIONS, ..ServerConfig::default() };
        http::serve(self.listener, router, config, closed).await;
        switch.abort();
    }
}

async fn get_metrics(State(metrics): State<Metrics>) -> Result<Response, Refusal> {
    metrics_answer(&metrics)
}

async fn not_found() -> Refusal {
    Refusal::wrong(StatusCode::NOT_FOUND, "only /metrics and /healthz are served here")
}
