//! `GET /live`: a snapshot every second as server-sent events, computed once for all listeners.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use adpipe_event::Millis;
use adpipe_ingest::http::{Refusal, ended};
use adpipe_warehouse::report;
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use hyper::body::{Bytes, Frame};
use serde::Serialize;
use tokio::sync::{Notify, mpsc, watch};

use crate::app::App;
use crate::config::Services;
use crate::figures::{self, Throughput, Totals};
use crate::limits::{self, Limit};

/// Time between two snapshots.
const EVERY: Duration = Duration::from_secs(1);

/// Pages that may listen at the same time; each holds a connection for as long as it is open.
const MAX_LISTENERS: usize = 128;

/// The totals are computed again after this many times as long as they took: at most 2 % of a core.
const TOTALS_REST: u32 = 50;

/// Where listeners meet the producer.
pub(crate) struct Live {
    /// The newest snapshot, and when it was made.
    newest: watch::Sender<(Instant, Bytes)>,
    arrived: Notify,
}

#[derive(Serialize)]
struct Snapshot<'a> {
    /// When it was computed, ms since the Unix epoch.
    at: i64,
    throughput: Option<Throughput>,
    totals: Option<&'a Totals>,
    /// When the totals were computed.
    totals_at: i64,
    lag: Option<u64>,
    /// Of the alerts about latency and error rate.
    limits: Vec<Limit>,
    /// What could not be measured and why.
    problems: Vec<String>,
}

impl Live {
    pub fn new() -> Live {
        Live { newest: watch::Sender::new((Instant::now(), Bytes::new())), arrived: Notify::new() }
    }
}

/// Computes snapshots while at least one page listens, until the console ends.
pub(crate) async fn produce(app: Arc<App>) {
    let mut closing = app.closing.subscribe();
    let mut totals = TotalsCache::default();
    while !*closing.borrow_and_update() {
        if app.live.newest.receiver_count() == 0 {
            tokio::select! {
                () = app.live.arrived.notified() => {}
                _ = closing.changed() => {}
            }
            continue;
        }
        let next = tokio::time::Instant::now() + EVERY;
        let lag = app.events.waiting_records().await;
        let services = app.services.clone();
        let measured = tokio::task::spawn_blocking(move || {
            let event = snapshot(&services, lag, &mut totals);
            (event, totals)
        });
        match measured.await {
            Ok((event, kept)) => {
                totals = kept;
                app.live.newest.send_replace((Instant::now(), event));
            }
            Err(error) => {
                tracing::error!(%error, "a snapshot failed by a fault of adpipe");
                totals = TotalsCache::default();
            }
        }
        tokio::select! {
            () = tokio::time::sleep_until(next) => {}
            _ = closing.changed() => {}
        }
    }
}

/// The totals of everything, which take longer the more there is.
#[derive(Default)]
struct TotalsCache {
    newest: Option<(Totals, i64)>,
    next: Option<Instant>,
}

impl TotalsCache {
    fn refresh(&mut self, services: &Services) -> Result<(), adpipe_warehouse::WarehouseError> {
        let started = Instant::now();
        if self.next.is_some_and(|next| started < next) {
            return Ok(());
        }
        let counts = report::totals(services.warehouse.as_ref())?.all();
        self.newest = Some((counts.into(), Millis::now().0));
        self.next = Some(Instant::now() + started.elapsed() * TOTALS_REST);
        Ok(())
    }
}

fn snapshot(services: &Services, lag: Result<Option<u64>, Refusal>, totals: &mut TotalsCache) -> Bytes {
    let stopped = services.metrics.stopped_roles();
    let mut problems: Vec<String> =
        stopped.iter().map(|(role, reason)| format!("role {role} has stopped: {reason}")).collect();
    let lag = lag.unwrap_or_else(|refusal| {
        problems.push(refusal.message);
        None
    });
    let throughput = match figures::throughput(services.warehouse.as_ref(), Millis::now()) {
        Ok(throughput) => Some(throughput),
        Err(error) => {
            problems.push(error.to_string());
            None
        }
    };
    if throughput.is_some()
        && let Err(error) = totals.refresh(services)
    {
        problems.push(error.to_string());
    }
    let limits = match throughput.is_some() {
        true => limits::limits(services.warehouse.as_ref(), &services.rules, Millis::now()),
        // The same database has just not answered.
        false => Ok(Vec::new()),
    };
    let limits = limits.unwrap_or_else(|error| {
        problems.push(error.to_string());
        Vec::new()
    });
    let snapshot = Snapshot {
        at: Millis::now().0,
        throughput,
        totals: totals.newest.as_ref().map(|(totals, _)| totals),
        totals_at: totals.newest.as_ref().map_or(0, |(_, at)| *at),
        lag,
        limits,
        problems,
    };
    // JSON text has no line ends, so it is one `data:` line.
    match serde_json::to_string(&snapshot) {
        Ok(json) => Bytes::from(format!("data: {json}\n\n")),
        Err(error) => {
            tracing::error!(%error, "a snapshot cannot be written as json");
            Bytes::from_static(b": no snapshot\n\n")
        }
    }
}

/// The handler.
pub(crate) async fn get_live(State(app): State<Arc<App>>) -> Result<Response, Refusal> {
    if app.live.newest.receiver_count() >= MAX_LISTENERS {
        return Err(Refusal::unavailable("too many pages listen already; close some"));
    }
    let (sender, receiver) = mpsc::channel(1);
    let mut snapshots = app.live.newest.subscribe();
    if is_fresh(&snapshots) {
        // Others are listening, so a new listener does not have to wait for the next snapshot.
        snapshots.mark_changed();
    }
    tokio::spawn(forward(Arc::clone(&app), snapshots, sender));
    app.live.arrived.notify_one();
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, Body::new(EventStream(receiver))).into_response())
}

/// Whether the newest snapshot is one of those that are made every second now.
fn is_fresh(snapshots: &watch::Receiver<(Instant, Bytes)>) -> bool {
    let (made_at, event) = &*snapshots.borrow();
    !event.is_empty() && made_at.elapsed() < 2 * EVERY
}

/// Passes snapshots on to one listener; a slow one gets fewer of them, never old ones.
async fn forward(
    app: Arc<App>,
    mut snapshots: watch::Receiver<(Instant, Bytes)>,
    listener: mpsc::Sender<Bytes>,
) {
    let mut closing = app.closing.subscribe();
    if listener.send(Bytes::from_static(b"retry: 2000\n\n")).await.is_err() {
        return;
    }
    loop {
        tokio::select! {
            changed = snapshots.changed() => if changed.is_err() { return },
            () = listener.closed() => return,
            () = ended(&mut closing) => return,
        }
        let (_, event) = snapshots.borrow_and_update().clone();
        tokio::select! {
            sent = listener.send(event) => if sent.is_err() { return },
            () = ended(&mut closing) => return,
        }
    }
}

/// A body that ends when its sender is gone.
struct EventStream(mpsc::Receiver<Bytes>);

impl hyper::body::Body for EventStream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|event| event.map(|event| Ok(Frame::data(event))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_fresh_snapshot_is_sent_to_whoever_comes_between_two() {
        let newest = watch::Sender::new((Instant::now(), Bytes::new()));
        let receiver = newest.subscribe();
        assert!(!is_fresh(&receiver), "nothing was made yet");
        newest.send_replace((Instant::now(), Bytes::from_static(b"data: {}")));
        assert!(is_fresh(&receiver));
        if let Some(long_ago) = Instant::now().checked_sub(Duration::from_secs(3)) {
            newest.send_replace((long_ago, Bytes::from_static(b"data: {}")));
            assert!(!is_fresh(&receiver), "nobody has listened since");
        }
    }
}
