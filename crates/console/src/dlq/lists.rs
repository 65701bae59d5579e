//! What people look at first: groups, the backlog, lists, counts.

use std::collections::HashMap;
use std::time::Duration;

use adpipe_dlq::report::{self, BacklogSample, Group};
use adpipe_dlq::search::{Direction, walk};
use adpipe_dlq::{Dlq, DlqError, Filter, Status};
use adpipe_event::Millis;
use adpipe_ingest::http::Refusal;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Serialize;

use super::queue::Queue;
use super::waiting::WaitingErrors;
use super::{causes, filter};
use crate::answer::{Asking, json, unprocessable};
use crate::query::{Pairs, last};

const DAY_MS: i64 = 86_400_000;

/// Errors of a page of a list, when not asked otherwise, and at most.
const PAGE: usize = 50;
const LONGEST_PAGE: usize = 200;

/// A page ends after so many bytes of errors.
const PAGE_BYTES: usize = 512 << 10;

/// Points of a curve: more cannot be distinguished.
const MOST_POINTS: usize = 400;

/// How far, and how long, errors are counted for a question to a person.
const MOST_COUNTED: usize = 100_000;
const COUNT_PATIENCE: Duration = Duration::from_secs(2);

/// How long the oldest open error is looked for.
const OLDEST_PATIENCE: Duration = Duration::from_millis(50);

#[derive(Serialize)]
struct Summary {
    /// When it was made, ms since the Unix epoch.
    at: i64,
    /// Errors by status, in the order of `statuses`.
    counts: [u64; 5],
    statuses: [&'static str; 5],
    /// Resolved since midnight, UTC.
    resolved_today: u64,
    /// First failure of the oldest error that needs something, ms since the Unix epoch.
    oldest: Option<i64>,
    /// Errors that a bulk action sends first.
    canary: u32,
    /// Errors in the log that are not stored yet; absent if that cannot be measured now.
    waiting: Option<u64>,
    /// How many groups there are, and how many have open errors; the list may hold fewer.
    group_count: usize,
    open_group_count: usize,
    #[serde(flatten)]
    page: causes::Page,
    groups: Vec<GroupLine>,
}

#[derive(Serialize)]
struct GroupLine {
    #[serde(flatten)]
    group: Group,
    /// New errors by the hour, the present one last; absent when there were none.
    hours: Option<[u64; report::SPARK_HOURS]>,
}

/// `GET /api/dlq/summary?page=1&limit=25&closed=false&keep=FINGERPRINT,…`.
pub(crate) async fn get_summary(
    State(queue): State<Queue>,
    State(waiting): State<WaitingErrors>,
    asking: Asking,
    Query(query): Query<Pairs>,
) -> Result<Response, Refusal> {
    let choice = causes::Choice::from_query(&query)?;
    let waiting = waiting.errors(&queue.dlq).await;
    queue.json(asking, move |dlq| summary(dlq, &choice, waiting)).await
}

fn summary(dlq: &Dlq, choice: &causes::Choice, waiting: Option<u64>) -> Result<Summary, DlqError> {
    let now = Millis::now();
    let groups = report::groups(dlq)?;
    let counts = report::totals(&groups);
    let group_count = groups.len();
    let open_group_count = groups.iter().filter(|group| group.open() > 0).count();
    let oldest = oldest_open(dlq, &groups)?;
    let (page, groups) = choice.of(groups);
    let mut hours: HashMap<String, _> = report::sparklines(dlq)?.into_iter().collect();
    let line = |group: Group| GroupLine { hours: hours.remove(&group.fingerprint), group };
    Ok(Summary {
        at: now.0,
        counts,
        statuses: Status::ALL.map(Status::as_str),
        resolved_today: report::resolved_since(dlq, Millis(now.0 - now.0.rem_euclid(DAY_MS)))?,
        oldest: oldest.map(|at| at.0),
        canary: dlq.settings().canary,
        waiting,
        group_count,
        open_group_count,
        page,
        groups: groups.into_iter().map(line).collect(),
    })
}

/// When the oldest error that needs something failed first.
fn oldest_open(dlq: &Dlq, groups: &[Group]) -> Result<Option<Millis>, DlqError> {
    if groups.iter().all(|group| group.open() == 0) {
        return Ok(None);
    }
    let filter = Filter { status: Status::OPEN.to_vec(), ..Filter::default() };
    let mut search = walk(dlq, &filter, Direction::OldestFirst)?;
    let (ids, _) = search.next_within(dlq, 1, Some(OLDEST_PATIENCE))?;
    // The first 48 bits of an id are its time (RFC 9562 section 5.7).
    let time = ids.first().map(|id| id.replace('-', "")).and_then(|id| {
        let digits = id.get(..12)?;
        i64::from_str_radix(digits, 16).ok().map(Millis)
    });
    // Among very many groups: not after the first failure of each that is still open.
    let open = groups.iter().filter(|group| group.open() > 0);
    Ok(time.or_else(|| open.filter_map(|group| Millis::parse_sql(&group.first_seen_at)).min()))
}

#[derive(Serialize)]
struct Backlog {
    /// When it was made, ms since the Unix epoch.
    at: i64,
    /// Beginning of the range, ms since the Unix epoch.
    from: i64,
    points: Vec<Point>,
}

#[derive(Serialize)]
struct Point {
    /// The minute, ms since the Unix epoch.
    at: i64,
    pending: u64,
    retrying: u64,
    exhausted: u64,
}

/// `GET /api/dlq/backlog?range=6h|24h|7d`.
pub(crate) async fn get_backlog(
    State(queue): State<Queue>,
    asking: Asking,
    Query(query): Query<Pairs>,
) -> Result<Response, Refusal> {
    let span = match last(&query, "range").unwrap_or("6h") {
        "6h" => DAY_MS / 4,
        "24h" => DAY_MS,
        "7d" => 7 * DAY_MS,
        _ => return Err(unprocessable("range must be 6h, 24h or 7d".to_owned())),
    };
    let now = Millis::now();
    let from = Millis(now.0 - span);
    queue
        .json(asking, move |dlq| {
            let samples = report::backlog(dlq, from)?;
            Ok(Backlog { at: now.0, from: from.0, points: points(&samples, span) })
        })
        .await
}

/// Of each step of the range the minute with the most open errors: a peak must not vanish between
/// two points. The newest minute is kept in any case.
fn points(samples: &[BacklogSample], span: i64) -> Vec<Point> {
    let step = (span / MOST_POINTS as i64).max(60_000);
    let point = |sample: &BacklogSample| {
        let [pending, retrying, exhausted, _, _] = sample.counts;
        Some(Point { at: Millis::parse_sql(&sample.minute)?.0, pending, retrying, exhausted })
    };
    let open = |point: &Point| point.pending + point.retrying + point.exhausted;
    let mut points: Vec<Point> = Vec::with_capacity(MOST_POINTS + 2);
    for new in samples.iter().filter_map(point) {
        match points.last_mut() {
            Some(last) if last.at / step == new.at / step => {
                if open(&new) > open(last) {
                    *last = new;
                }
            }
            _ => points.push(new),
        }
    }
    let newest = samples.last().and_then(point);
    if let Some(newest) = newest.filter(|newest| points.last().is_some_and(|last| last.at != newest.at)) {
        points.push(newest);
    }
    points
}

/// `GET /api/dlq/errors?…&after=ID&limit=N`.
pub(crate) async fn get_errors(
    State(queue): State<Queue>,
    State(waiting): State<WaitingErrors>,
    asking: Asking,
    Query(query): Query<Pairs>,
) -> Result<Response, Refusal> {
    let filter = filter::from_query(&query, &["after", "limit"])?;
    let limit = match last(&query, "limit").map(str::parse::<usize>) {
        None => PAGE,
        Some(Ok(limit @ 1..=LONGEST_PAGE)) => limit,
        Some(_) => return Err(unprocessable(format!("limit must be 1 to {LONGEST_PAGE}"))),
    };
    let after = last(&query, "after").map(str::to_owned);
    let waiting = waiting.errors(&queue.dlq).await;
    let list = move |dlq: &Dlq| {
        let page = report::list_within(dlq, &filter, after.as_deref(), limit, PAGE_BYTES)?;
        Ok(Listed { page, waiting })
    };
    queue.json(asking, list).await
}

#[derive(Serialize)]
struct Listed {
    #[serde(flatten)]
    page: report::Page,
    /// Errors in the log that are not stored yet; absent if that cannot be measured now.
    waiting: Option<u64>,
}

#[derive(Serialize)]
struct Count {
    /// Errors found.
    count: u64,
    /// Whether there are no more of them.
    is_complete: bool,
}

/// `GET /api/dlq/count?kind=retry|edit|discard|undo_discard&…`: errors that a bulk action would be
/// done to.
pub(crate) async fn get_count(
    State(queue): State<Queue>,
    Query(query): Query<Pairs>,
) -> Result<Response, Refusal> {
    let filter = filter::from_query(&query, &["kind"])?;
    let filter = match last(&query, "kind") {
        None => filter,
        Some("undo_discard") => filter.only(&[Status::Discarded]),
        Some("retry" | "edit" | "discard") => filter.only(&[Status::Pending, Status::Exhausted]),
        Some(_) => return Err(unprocessable("kind must be retry, edit, discard or undo_discard".to_owned())),
    };
    json(&queue.search(move |dlq| count(dlq, &filter)).await?)
}

fn count(dlq: &Dlq, filter: &Filter) -> Result<Count, DlqError> {
    if let Some(count) = adpipe_dlq::search::count(dlq, filter)? {
        return Ok(Count { count, is_complete: true });
    }
    let mut search = walk(dlq, filter, Direction::OldestFirst)?;
    let (ids, unfinished) = search.next_within(dlq, MOST_COUNTED, Some(COUNT_PATIENCE))?;
    let is_complete = unfinished.is_none() && ids.len() < MOST_COUNTED;
    Ok(Count { count: ids.len() as u64, is_complete })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_and_the_newest_minute_stay_on_the_curve() {
        let sample = |minute: i64, open: u64| BacklogSample {
            minute: Millis(minute * 60_000).to_string(),
            counts: [0, 0, open, 9, 9],
            arrived: 0,
        };
        let week: Vec<BacklogSample> =
            (0..10_080).map(|minute| sample(minute, if minute == 5_003 { 1_000 } else { 1 })).collect();
        let thinned = points(&week, 7 * DAY_MS);
        assert!(thinned.len() <= MOST_POINTS + 5, "{}", thinned.len());
        assert_eq!(thinned.iter().map(|point| point.exhausted).max(), Some(1_000));
        assert_eq!(thinned.last().unwrap().at, 10_079 * 60_000);
        assert_eq!(points(&week[..360], DAY_MS / 4).len(), 360);
    }
}
