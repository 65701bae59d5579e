//! Which address is answered by whom.

use std::sync::Arc;
use std::time::Instant;

use adpipe_ingest::EVENTS_PATH;
use adpipe_ingest::http::{Refusal, close_after_unread};
use adpipe_metrics::{Metrics, Role};
use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::app::App;
use crate::{
    access, assets, dags, dlq, files, live, operations, outbox, overview, pack, page, quality, token_page,
};

/// Every route of the console.
pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(page::get_overview_page))
        .route("/live", get(live::get_live))
        .route("/api/overview", get(overview::get_overview))
        .merge(Arc::clone(&app.events).router())
        .route("/static/{name}", get(assets::get_asset))
        .merge(dags::routes(&app))
        .route("/token", get(token_page::get_token).post(token_page::post_token))
        .route("/healthz", get(get_health))
        .route("/readyz", get(get_readiness))
        .route("/metrics", get(get_metrics))
        .merge(dlq::routes(&app))
        .merge(quality::routes())
        .merge(files::routes())
        .merge(operations::routes(&app))
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        // The last one added is the first to see a request.
        .layer(from_fn_with_state(Arc::clone(&app), access::guard))
        .layer(from_fn(pack::pack))
        .layer(from_fn_with_state(Arc::clone(&app), outbox::count))
        .layer(from_fn(access::add_security_headers))
        .layer(from_fn_with_state(Arc::clone(&app), measure))
        .layer(from_fn(close_after_unread))
        .with_state(app)
}

/// Sets up what the console counts, so that the first request of each route is not lost to
/// `rate()`.
pub(crate) fn set_up(metrics: &Metrics) {
    metrics.play(Role::Console);
    for route in ROUTES {
        let usual = if *route == EVENTS_PATH { "202" } else { "200" };
        metrics.http_requests.with_label_values(&[route, usual]);
    }
}

/// The patterns of all routes, in no order; axum does not give them. A test compares them with
/// what [`router`] is made of.
pub const ROUTES: &[&str] = &[
    "/",
    "/live",
    "/api/overview",
    EVENTS_PATH,
    "/static/{name}",
    "/token",
    "/healthz",
    "/readyz",
    "/metrics",
    "/api/dags/{dag}/run",
    "/api/dags/{dag}/backfill",
    "/api/dags/{dag}/runs/{run}/retry",
    "/api/dags/{dag}/runs/{run}/cancel",
    "/dags",
    "/api/dags",
    "/api/dags/{dag}",
    "/api/dags/{dag}/runs/{run}",
    "/api/dags/{dag}/runs/{run}/log",
    "/api/dlq/retry",
    "/api/dlq/discard",
    "/api/dlq/undo-discard",
    "/api/dlq/edit",
    "/api/dlq/errors/{id}/check",
    "/api/dlq/errors/{id}/edit",
    "/api/dlq/errors/{id}/undo-edit",
    "/api/dlq/dry-run",
    "/api/dlq/jobs",
    "/api/dlq/jobs/{id}/cancel",
    "/dlq",
    "/dlq/errors",
    "/dlq/errors/{id}",
    "/api/dlq/summary",
    "/api/dlq/backlog",
    "/api/dlq/errors",
    "/api/dlq/count",
    "/api/dlq/errors/{id}",
    "/api/dlq/errors/{id}/payload",
    "/api/dlq/jobs/{id}",
    "/quality",
    "/quality/docs",
    "/api/quality",
    "/api/quality/failures",
    "/files",
    "/api/files",
    "/api/files/report",
    "/api/archive",
    "/operations",
    "/runbook",
    "/api/operations",
    "/api/operations/charts",
    "/api/operations/firing",
    "/api/operations/alerts/{id}/acknowledge",
    "/api/operations/silences",
    "/api/operations/silences/{id}/end",
];

/// Counts a request by its route's pattern, so that made-up addresses do not make up series.
async fn measure(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let route = matched.as_ref().map_or("other", MatchedPath::as_str);
    let metrics = &app.services.metrics;
    metrics.http_requests.with_label_values(&[route, response.status().as_str()]).inc();
    metrics.http_duration.with_label_values(&[route]).observe(started.elapsed().as_secs_f64());
    response
}

/// The process lives.
pub(crate) async fn get_health() -> &'static str {
    "ok\n"
}

/// The process can do its work: log and warehouse answer.
async fn get_readiness(State(app): State<Arc<App>>) -> Response {
    match app.readiness.problems(&app).await {
        Ok(problems) if problems.is_empty() => readiness(&app.services.metrics).into_response(),
        Ok(problems) => Refusal::unavailable(problems.join("; ")).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

/// Events can come in and pages are served, whichever other role of this process has stopped; it is
/// named.
fn readiness(metrics: &Metrics) -> String {
    let stopped = metrics.stopped_roles();
    let lines = stopped.iter().map(|(role, reason)| format!("role {role} has stopped: {reason}\n"));
    std::iter::once("ready\n".to_owned()).chain(lines).collect()
}

async fn get_metrics(State(app): State<Arc<App>>) -> Result<Response, Refusal> {
    let metrics = app.services.metrics.clone();
    // Some milliseconds of writing: not for a thread that serves sockets.
    app.work.run(move || metrics_answer(&metrics)).await?
}

/// Everything that this process exports.
pub(crate) fn metrics_answer(metrics: &Metrics) -> Result<Response, Refusal> {
    let text = metrics.render().map_err(|error| Refusal::internal(&error))?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
}

async fn not_found(State(app): State<Arc<App>>, method: Method, headers: HeaderMap) -> Response {
    let reads = matches!(method, Method::GET | Method::HEAD);
    if reads && page::wants_page(&headers) {
        return app.pages.message(StatusCode::NOT_FOUND, &headers, "not_found");
    }
    Refusal::wrong(StatusCode::NOT_FOUND, "no such address").into_response()
}

pub(crate) async fn wrong_method() -> Refusal {
    Refusal::wrong(StatusCode::METHOD_NOT_ALLOWED, "this address does not support this method")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::{EVENTS_PATH, ROUTES};

    /// The first argument of every `.route(` below a folder.
    fn routes_below(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                routes_below(&path, found);
            } else if path.file_name().is_some_and(|name| name != "metrics_server.rs") {
                let source = std::fs::read_to_string(&path).unwrap();
                // Split in two, or this very line would be found.
                let behind = source.split(concat!(".rou", "te(")).skip(1);
                let named = behind.filter_map(|text| text.trim_start().strip_prefix('"'));
                found.extend(named.filter_map(|text| Some(text.split_once('"')?.0.to_owned())));
            }
        }
    }

    #[test]
    fn every_route_is_known() {
        // The one that is mounted as it is.
        let mut found = BTreeSet::from([EVENTS_PATH.to_owned()]);
        routes_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
        let known: BTreeSet<String> = ROUTES.iter().map(|route| (*route).to_owned()).collect();
        assert_eq!(known, found, "add it to ROUTES in routes.rs");
    }
}
