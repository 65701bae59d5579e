//! `GET /live`: a snapshot every second as server-sent events, computed once for all listeners.

use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adpipe_event::Millis;
use adpipe_ingest::EventsEndpoint;
use adpipe_ingest::http::{Refusal, ended};
use adpipe_warehouse::report;
use axum::extract::State;
use axum::http::header;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use futures_util::stream::{once, unfold};
use serde::Serialize;
use tokio::sync::{Notify, watch};

use crate::config::Services;
use crate::figures::{self, Throughput, Totals};
use crate::limits::{self, Limit};

/// Time between two snapshots.
const EVERY: Duration = Duration::from_secs(1);

/// Pages that may listen at the same time; each holds a connection for as long as it is open.
const MAX_LISTENERS: usize = 128;

/// How long a page waits before it connects again.
const RECONNECT: Duration = Duration::from_secs(2);

/// The totals are computed again after this many times as long as they took: at most 2 % of a core.
const TOTALS_REST: u32 = 50;

/// The newest snapshot, and when it was made; none at first.
type Newest = Option<(Instant, Event)>;

/// Where listeners meet the producer.
#[derive(Clone)]
pub(crate) struct Live {
    newest: watch::Sender<Newest>,
    arrived: Arc<Notify>,
    closing: watch::Receiver<bool>,
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
    /// `closing` turns true when the console ends.
    pub fn new(closing: watch::Receiver<bool>) -> Live {
        Live { newest: watch::Sender::new(None), arrived: Arc::default(), closing }
    }
}

/// Computes snapshots while at least one page listens, until the console ends.
pub(crate) async fn produce(live: Live, services: Services, events: Arc<EventsEndpoint>) {
    let mut closing = live.closing.clone();
    let mut totals = TotalsCache::default();
    while !*closing.borrow_and_update() {
        if live.newest.receiver_count() == 0 {
            tokio::select! {
                () = live.arrived.notified() => {}
                _ = closing.changed() => {}
            }
            continue;
        }
        let next = tokio::time::Instant::now() + EVERY;
        let lag = events.waiting_records().await;
        let services = services.clone();
        let measured = tokio::task::spawn_blocking(move || {
            let event = snapshot(&services, lag, &mut totals);
            (event, totals)
        });
        match measured.await {
            Ok((event, kept)) => {
                totals = kept;
                live.newest.send_replace(Some((Instant::now(), event)));
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

fn snapshot(services: &Services, lag: Result<Option<u64>, Refusal>, totals: &mut TotalsCache) -> Event {
    let stopped = services.metrics.stopped_roles();
    let mut problems: Vec<String> =
        stopped.iter().map(|(role, reason)| format!("role {role} has stopped: {reason}")).collect();
    let lag = or_problem(lag.map_err(|refusal| refusal.message), &mut problems).flatten();
    let warehouse = services.warehouse.as_ref();
    let throughput = or_problem(figures::throughput(warehouse, Millis::now()), &mut problems);
    let mut limits = None;
    // Otherwise the same database has just not answered.
    if throughput.is_some() {
        or_problem(totals.refresh(services), &mut problems);
        limits = or_problem(limits::limits(warehouse, &services.rules, Millis::now()), &mut problems);
    }
    let snapshot = Snapshot {
        at: Millis::now().0,
        throughput,
        totals: totals.newest.as_ref().map(|(totals, _)| totals),
        totals_at: totals.newest.as_ref().map_or(0, |(_, at)| *at),
        lag,
        limits: limits.unwrap_or_default(),
        problems,
    };
    Event::default().json_data(&snapshot).unwrap_or_else(|error| {
        tracing::error!(%error, "a snapshot cannot be written as json");
        Event::default().comment("no snapshot")
    })
}

/// What was measured; otherwise why it was not is one more problem.
fn or_problem<T>(measured: Result<T, impl ToString>, problems: &mut Vec<String>) -> Option<T> {
    measured.map_err(|error| problems.push(error.to_string())).ok()
}

/// `GET /live`.
pub(crate) async fn get_live(State(live): State<Live>) -> Result<Response, Refusal> {
    if live.newest.receiver_count() >= MAX_LISTENERS {
        return Err(Refusal::unavailable("too many pages listen already; close some"));
    }
    let mut snapshots = live.newest.subscribe();
    if is_fresh(&snapshots) {
        // Others are listening, so a new listener does not have to wait for the next snapshot.
        snapshots.mark_changed();
    }
    live.arrived.notify_one();
    let first = once(ready(Event::default().retry(RECONNECT)));
    let events = first.chain(unfold((snapshots, live.closing), next_snapshot));
    let stream = Sse::new(events.map(Ok::<Event, Infallible>));
    Ok(([(header::CACHE_CONTROL, "no-store")], stream).into_response())
}

/// Whether the newest snapshot is one of those that are made every second now.
fn is_fresh(snapshots: &watch::Receiver<Newest>) -> bool {
    snapshots.borrow().as_ref().is_some_and(|(made_at, _)| made_at.elapsed() < 2 * EVERY)
}

type Listener = (watch::Receiver<Newest>, watch::Receiver<bool>);

/// The next snapshot for one listener, when it has taken the one before: a slow one gets fewer of
/// them, never old ones. None when the console ends.
async fn next_snapshot((mut snapshots, mut closing): Listener) -> Option<(Event, Listener)> {
    tokio::select! {
        changed = snapshots.changed() => changed.ok()?,
        () = ended(&mut closing) => return None,
    }
    let (_, event) = snapshots.borrow_and_update().clone()?;
    Some((event, (snapshots, closing)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_fresh_snapshot_is_sent_to_whoever_comes_between_two() {
        let newest = watch::Sender::new(None);
        let receiver = newest.subscribe();
        assert!(!is_fresh(&receiver), "nothing was made yet");
        newest.send_replace(Some((Instant::now(), Event::default().data("{}"))));
        assert!(is_fresh(&receiver));
        if let Some(long_ago) = Instant::now().checked_sub(Duration::from_secs(3)) {
            newest.send_replace(Some((long_ago, Event::default().data("{}"))));
            assert!(!is_fresh(&receiver), "nobody has listened since");
        }
    }
}
