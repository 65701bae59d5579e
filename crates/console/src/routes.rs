//! Which address is answered by whom: one table, of which the router, the navigation and the metrics
//! are made.

use std::collections::BTreeSet;
use std::time::Instant;

use adpipe_ingest::EVENTS_PATH;
use adpipe_ingest::http::{Refusal, close_after_unread};
use adpipe_metrics::{Metrics, Role};
use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};

use crate::dlq::{self, actions, detail, edits, jobs, lists};
use crate::operations::{self, alerts, charts, runbook};
use crate::page::{self, Pages};
use crate::state::App;
use crate::{
    access, answer, assets, csrf, dags, files, firing, headers, live, outbox, overview, pack, probes,
    quality, token_page,
};

/// A pattern of addresses, and who answers them.
struct Route {
    pattern: &'static str,
    answers: MethodRouter<App>,
    kind: Kind,
}

enum Kind {
    /// In the navigation, under the text of this key.
    Page(&'static str),
    /// Changes something: only for a button that was pressed on a page of ours.
    Button,
    Other,
}

/// Every route but that of the events, which [`adpipe_ingest`] brings along. The pages stand in the
/// order of the navigation.
fn table() -> Vec<Route> {
    let page = |name, pattern, answers| Route { pattern, answers, kind: Kind::Page(name) };
    let other = |pattern, answers| Route { pattern, answers, kind: Kind::Other };
    let button = |pattern, answers| Route { pattern, answers, kind: Kind::Button };
    vec![
        page("overview", "/", get(overview::get_page)),
        other("/live", get(live::get_live)),
        other("/api/overview", get(overview::get_overview)),
        //
        page("operations", "/operations", get(operations::get_page)),
        other("/runbook", get(runbook::get_runbook)),
        other("/api/operations", get(operations::get_operations)),
        other("/api/operations/charts", get(charts::get_charts)),
        other("/api/operations/firing", get(firing::get_firing)),
        button("/api/operations/alerts/{id}/acknowledge", post(alerts::post_acknowledge)),
        button("/api/operations/silences", post(alerts::post_silence)),
        button("/api/operations/silences/{id}/end", post(alerts::post_end_silence)),
        //
        page("dlq", "/dlq", get(dlq::pages::get_groups_page)),
        other("/dlq/errors", get(dlq::pages::get_list_page)),
        other("/dlq/errors/{id}", get(dlq::pages::get_error_page)),
        other("/api/dlq/summary", get(lists::get_summary)),
        other("/api/dlq/backlog", get(lists::get_backlog)),
        other("/api/dlq/errors", get(lists::get_errors)),
        other("/api/dlq/count", get(lists::get_count)),
        other("/api/dlq/errors/{id}", get(detail::get_error)),
        other("/api/dlq/errors/{id}/payload", get(detail::get_payload)),
        other("/api/dlq/jobs", get(jobs::get_jobs)),
        other("/api/dlq/jobs/{id}", get(jobs::get_job)),
        button("/api/dlq/retry", post(actions::post_retry)),
        button("/api/dlq/discard", post(actions::post_discard)),
        button("/api/dlq/undo-discard", post(actions::post_undo_discard)),
        button("/api/dlq/edit", post(edits::post_edit)),
        button("/api/dlq/errors/{id}/check", post(edits::post_check)),
        button("/api/dlq/errors/{id}/edit", post(edits::post_edit_one)),
        button("/api/dlq/errors/{id}/undo-edit", post(edits::post_undo_edit)),
        button("/api/dlq/dry-run", post(edits::post_dry_run)),
        button("/api/dlq/jobs", post(jobs::post_job)),
        button("/api/dlq/jobs/{id}/cancel", post(jobs::post_cancel)),
        //
        page("files", "/files", get(files::get_page)),
        other("/api/files", get(files::get_files)),
        other("/api/files/report", get(files::get_report)),
        other("/api/archive", get(files::get_archive)),
        //
        page("quality", "/quality", get(quality::get_page)),
        other("/quality/docs", get(quality::get_docs)),
        other("/api/quality", get(quality::get_quality)),
        other("/api/quality/failures", get(quality::get_failures)),
        //
        page("dags", "/dags", get(dags::get_page)),
        other("/api/dags", get(dags::get_dags)),
        other("/api/dags/{dag}", get(dags::get_dag)),
        other("/api/dags/{dag}/runs/{run}", get(dags::get_run)),
        other("/api/dags/{dag}/runs/{run}/log", get(dags::get_log)),
        button("/api/dags/{dag}/run", post(dags::post_run)),
        button("/api/dags/{dag}/backfill", post(dags::post_backfill)),
        button("/api/dags/{dag}/runs/{run}/retry", post(dags::post_retry)),
        button("/api/dags/{dag}/runs/{run}/cancel", post(dags::post_cancel)),
        //
        other(token_page::ADDRESS, get(token_page::get_token).post(token_page::post_token)),
        other("/static/{name}", get(assets::get_asset)),
        other("/healthz", get(probes::get_health)),
        other("/readyz", get(probes::get_readiness)),
        other("/metrics", get(probes::get_metrics)),
    ]
}

/// The patterns of all routes.
pub fn routes() -> BTreeSet<&'static str> {
    table().into_iter().map(|route| route.pattern).chain([EVENTS_PATH]).collect()
}

/// The pages that stand in the navigation: the key of the name, and the address.
pub(crate) fn navigation() -> impl Iterator<Item = (&'static str, &'static str)> {
    table().into_iter().filter_map(|route| match route.kind {
        Kind::Page(name) => Some((name, route.pattern)),
        Kind::Button | Kind::Other => None,
    })
}

/// What serves every route of the console.
pub(crate) fn router(app: App) -> Router {
    let mut router = Router::new();
    for Route { pattern, answers, kind } in table() {
        let answers = match kind {
            Kind::Button => answers.route_layer(from_fn_with_state(app.csrf_token.clone(), csrf::demand)),
            Kind::Page(_) | Kind::Other => answers,
        };
        router = router.route(pattern, answers);
    }
    let router = router
        .merge(app.events.clone().router())
        .fallback(not_found)
        .method_not_allowed_fallback(answer::wrong_method)
        // The last one added is the first to see a request.
        .layer(from_fn_with_state(app.access.clone(), access::guard))
        .layer(from_fn(pack::pack))
        .layer(from_fn_with_state(app.answers.outbox.clone(), outbox::count));
    headers::secured(router)
        .layer(from_fn_with_state(app.metrics.clone(), measure))
        .layer(from_fn(close_after_unread))
        .with_state(app)
}

/// Sets up what the console counts, so that the first request of each route is not lost to
/// `rate()`.
pub(crate) fn set_up(metrics: &Metrics) {
    metrics.play(Role::Console);
    for route in routes() {
        let usual = if route == EVENTS_PATH { "202" } else { "200" };
        metrics.http_requests.with_label_values(&[route, usual]);
    }
}

/// Counts a request by its route's pattern, so that made-up addresses do not make up series.
async fn measure(State(metrics): State<Metrics>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let route = matched.as_ref().map_or("other", MatchedPath::as_str);
    metrics.http_requests.with_label_values(&[route, response.status().as_str()]).inc();
    metrics.http_duration.with_label_values(&[route]).observe(started.elapsed().as_secs_f64());
    response
}

async fn not_found(State(pages): State<Pages>, method: Method, headers: HeaderMap) -> Response {
    let reads = matches!(method, Method::GET | Method::HEAD);
    if reads && page::wants_page(&headers) {
        return pages.message(StatusCode::NOT_FOUND, &headers, "not_found");
    }
    Refusal::wrong(StatusCode::NOT_FOUND, "no such address").into_response()
}
