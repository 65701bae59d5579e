//! What machines ask: whether the process lives, whether it can work, and what it counts.

use adpipe_ingest::http::Refusal;
use adpipe_metrics::Metrics;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::readiness::Readiness;
use crate::work::Work;

/// `GET /healthz`: the process lives.
pub(crate) async fn get_health() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: the process can do its work, because log and warehouse answer.
pub(crate) async fn get_readiness(
    State(readiness): State<Readiness>,
    State(metrics): State<Metrics>,
) -> Result<String, Refusal> {
    let problems = readiness.problems().await?;
    if problems.is_empty() { Ok(ready(&metrics)) } else { Err(Refusal::unavailable(problems.join("; "))) }
}

/// Events can come in and pages are served, whichever other role of this process has stopped; it is
/// named.
fn ready(metrics: &Metrics) -> String {
    let stopped = metrics.stopped_roles();
    let lines = stopped.iter().map(|(role, reason)| format!("role {role} has stopped: {reason}\n"));
    std::iter::once("ready\n".to_owned()).chain(lines).collect()
}

/// `GET /metrics`.
pub(crate) async fn get_metrics(
    State(metrics): State<Metrics>,
    State(work): State<Work>,
) -> Result<Response, Refusal> {
    // Some milliseconds of writing: not for a thread that serves sockets.
    work.run(move || metrics_answer(&metrics)).await?
}

/// Everything that this process exports.
pub(crate) fn metrics_answer(metrics: &Metrics) -> Result<Response, Refusal> {
    let text = metrics.render().map_err(|error| Refusal::internal(&error))?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
}
