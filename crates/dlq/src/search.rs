//! Finding errors among millions.
//!
//! Type, field and cause belong to the group, of which there are few, and one index has the errors
//! of each group and status in the order of their ids, which is that of their time. So a search
//! merges a few ordered streams and stops when it has enough. What no index knows (topic, text) is
//! looked at window by window; a search that runs out of time says how far it came.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use adpipe_event::Millis;
use adpipe_sql::section;
use adpipe_warehouse::{Value, query_table};
use serde::{Deserialize, Serialize};

use crate::Dlq;
use crate::error::DlqError;
use crate::report::{Group, groups};
use crate::status::Status;
use adpipe_runtime::ids::{FIRST_ID, LAST_ID, first_id_at};

const SQLITE: &str = include_str!("../sql/sqlite/search.sql");
const POSTGRES: &str = include_str!("../sql/postgres/search.sql");
const STATEMENTS: [[&str; 3]; 2] = [
    [section(SQLITE, "of_group"), section(SQLITE, "of_group_matching"), section(SQLITE, "of_all")],
    [section(POSTGRES, "of_group"), section(POSTGRES, "of_group_matching"), section(POSTGRES, "of_all")],
];

/// Groups and statuses that are merged; of more, all errors are walked through instead.
const MOST_STREAMS: usize = 64;
/// Ids fetched at once where an index gives just what is asked for.
const WINDOW: i64 = 250;
/// Errors looked into at once where each has to be looked at.
const WINDOW_LOOKED_AT: i64 = 1_000;
const FEWEST_LOOKED_AT: i64 = 100;

/// Which errors are meant. Empty lists and absent values mean "any".
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Filter {
    /// One of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub status: Vec<Status>,
    /// One of these types.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub error_type: Vec<String>,
    /// One of these fields is to blame.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub field: Vec<String>,
    /// One of these groups, by fingerprint.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub group: Vec<String>,
    /// The topic, or how it begins (`file:`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Failed first at or after this time, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Failed first before this time, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Stands in the message or in the payload, letter by letter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

impl Filter {
    /// The same, but of these statuses only.
    pub fn only(&self, statuses: &[Status]) -> Filter {
        let status = if self.status.is_empty() {
            statuses.to_vec()
        } else {
            self.status.iter().copied().filter(|status| statuses.contains(status)).collect()
        };
        // Nothing in common: a list of a status that is never found would mean "any".
        let group = if status.is_empty() { vec![NO_GROUP.to_owned()] } else { self.group.clone() };
        Filter { status, group, ..self.clone() }
    }

    /// Whether it says nothing at all.
    pub fn is_everything(&self) -> bool {
        *self == Filter::default()
    }

    /// Times and groups written as they should be.
    ///
    /// # Errors
    /// [`DlqError::Asked`], with what is wrong.
    pub fn check(&self) -> Result<(), DlqError> {
        for (name, time) in [("since", &self.since), ("until", &self.until)] {
            if let Some(time) = time
                && Millis::parse_sql(time).is_none()
            {
                return Err(DlqError::Asked(format!(
                    "{name}: {time:?} is not a time; write \"2026-01-31 23:59:59\" (UTC)"
                )));
            }
        }
        for error_type in &self.error_type {
            error_type.parse::<adpipe_event::ErrorType>().map_err(DlqError::Asked)?;
        }
        if self.text.as_deref().is_some_and(|text| text.contains('\0')) {
            Err(DlqError::Asked("text: must not contain NUL".to_owned()))
        } else {
            Ok(())
        }
    }

    fn ids(&self) -> (String, String) {
        let bound = |time: &Option<String>, otherwise: &str| {
            time.as_deref().and_then(Millis::parse_sql).map_or_else(|| otherwise.to_owned(), first_id_at)
        };
        (bound(&self.since, FIRST_ID), bound(&self.until, LAST_ID))
    }

    fn is_looked_at(&self) -> bool {
        self.topic.is_some() || self.text.is_some()
    }

    fn meets_group(&self, group: &Group) -> bool {
        let meets = |wanted: &[String], found: &str| wanted.is_empty() || wanted.iter().any(|w| w == found);
        meets(&self.group, &group.fingerprint)
            && meets(&self.error_type, &group.error_type)
            && meets(&self.field, group.field.as_deref().unwrap_or(""))
    }
}

/// The fingerprint of no group.
const NO_GROUP: &str = "-";

/// In which order errors are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// By the time of their first failure.
    OldestFirst,
    /// The other way round.
    NewestFirst,
}

/// One ordered stream: the errors of a group and status, or all of them.
struct Stream {
    of: Option<(String, Status)>,
    ready: VecDeque<String>,
    reached: String,
    is_done: bool,
}

/// A search under way.
pub struct Walk {
    streams: Vec<Stream>,
    wanted: HashMap<String, Vec<Status>>,
    statement: String,
    bound: String,
    filter: Filter,
    direction: Direction,
    looked_at: bool,
}

/// Begins a search.
///
/// # Errors
/// Failures of the warehouse, and filters that are not valid.
pub fn walk(dlq: &Dlq, filter: &Filter, direction: Direction) -> Result<Walk, DlqError> {
    filter.check()?;
    let wanted = wanted_groups(dlq, filter)?;
    let (oldest, newest) = filter.ids();
    let (start, bound) = match direction {
        Direction::OldestFirst => (oldest, newest),
        Direction::NewestFirst => (newest, oldest),
    };
    let stream = |of| Stream { of, ready: VecDeque::new(), reached: start.clone(), is_done: false };
    let pairs: Vec<(String, Status)> = wanted
        .iter()
        .flat_map(|(group, statuses)| statuses.iter().map(|status| (group.clone(), *status)))
        .collect();
    let is_merged = pairs.len() <= MOST_STREAMS;
    let streams = if is_merged {
        pairs.into_iter().map(|pair| stream(Some(pair))).collect()
    } else {
        vec![stream(None)]
    };
    let looked_at = filter.is_looked_at();
    let [of_group, of_group_matching, of_all] = STATEMENTS[usize::from(dlq.is_postgres())];
    let statement = match (is_merged, looked_at) {
        (true, false) => of_group,
        (true, true) => of_group_matching,
        (false, _) => of_all,
    };
    // The bound belongs to the search where it is the oldest id, and not where it is the newest.
    let (order, beyond, within) = match direction {
        Direction::OldestFirst => ("asc", ">", "<"),
        Direction::NewestFirst => ("desc", "<", ">="),
    };
    Ok(Walk {
        streams,
        wanted,
        statement: statement
            .replace("{order}", order)
            .replace("{beyond}", beyond)
            .replace("{within}", within),
        bound,
        filter: filter.clone(),
        direction,
        looked_at: looked_at || !is_merged,
    })
}

/// The groups that may hold what is looked for, with their statuses that do.
fn wanted_groups(dlq: &Dlq, filter: &Filter) -> Result<HashMap<String, Vec<Status>>, DlqError> {
    let mut wanted = HashMap::new();
    for group in groups(dlq)?.iter().filter(|group| filter.meets_group(group)) {
        let statuses: Vec<Status> = Status::ALL
            .into_iter()
            .filter(|status| filter.status.is_empty() || filter.status.contains(status))
            .filter(|status| group.counts[*status as usize] > 0)
            .collect();
        if !statuses.is_empty() {
            wanted.insert(group.fingerprint.clone(), statuses);
        }
    }
    Ok(wanted)
}

impl Walk {
    /// Continues after this id, as if everything before it had been found.
    pub fn skip_to(&mut self, error_id: &str) {
        for stream in &mut self.streams {
            error_id.clone_into(&mut stream.reached);
        }
    }

    /// The next errors, at most `limit`; none at the end.
    ///
    /// # Errors
    /// Failures of the warehouse.
    pub fn next(&mut self, dlq: &Dlq, limit: usize) -> Result<Vec<String>, DlqError> {
        self.next_within(dlq, limit, None).map(|(ids, _)| ids)
    }

    /// The same, but no longer than `patience`; then also gives the id up to which it has looked, to
    /// [`skip_to`](Self::skip_to) in a search that continues.
    ///
    /// # Errors
    /// Failures of the warehouse.
    pub fn next_within(
        &mut self,
        dlq: &Dlq,
        limit: usize,
        patience: Option<Duration>,
    ) -> Result<(Vec<String>, Option<String>), DlqError> {
        let started = Instant::now();
        let began = self.looked_up_to();
        let mut found = Vec::with_capacity(limit.min(1_024));
        while found.len() < limit {
            let head = self.nearest(|stream| stream.ready.front());
            let unknown = self
                .nearest(|stream| (stream.ready.is_empty() && !stream.is_done).then_some(&stream.reached));
            let fills = match (head, unknown) {
                (None, None) => break,
                (Some(_), None) => None,
                (None, Some(unknown)) => Some(unknown),
                // What the other stream still holds comes after its current position.
                (Some(head), Some(unknown)) => {
                    let reached = &self.streams[unknown].reached;
                    let is_first = self.streams[head].ready.front().is_some_and(|id| match self.direction {
                        Direction::OldestFirst => id <= reached,
                        Direction::NewestFirst => id >= reached,
                    });
                    (!is_first).then_some(unknown)
                }
            };
            if let Some(index) = fills {
                self.fill(dlq, index)?;
                // Not before it has advanced: continuing from there would loop forever.
                if patience.is_some_and(|patience| started.elapsed() > patience) {
                    let reached = self.looked_up_to();
                    if reached != began {
                        return Ok((found, reached));
                    }
                }
            } else if let Some(index) = head {
                found.extend(self.streams[index].ready.pop_front());
            }
        }
        Ok((found, None))
    }

    /// The stream whose id is the first in the order of the search.
    fn nearest<'w>(&'w self, id_of: impl Fn(&'w Stream) -> Option<&'w String>) -> Option<usize> {
        let ids = self.streams.iter().enumerate();
        let ids = ids.filter_map(|(index, stream)| id_of(stream).map(|id| (id, index)));
        let first = match self.direction {
            Direction::OldestFirst => ids.min(),
            Direction::NewestFirst => ids.max(),
        };
        first.map(|(_, index)| index)
    }

    /// Everything on the near side of this id has been looked at, and given out.
    fn looked_up_to(&self) -> Option<String> {
        let nearest = self.streams.iter().filter(|stream| !stream.is_done || !stream.ready.is_empty());
        let place = |stream: &Stream| match stream.ready.front() {
            // What waits has not been given out: continue just before it.
            Some(id) => before(id, self.direction),
            None => stream.reached.clone(),
        };
        let places = nearest.map(place);
        match self.direction {
            Direction::OldestFirst => places.min(),
            Direction::NewestFirst => places.max(),
        }
    }

    fn fill(&mut self, dlq: &Dlq, index: usize) -> Result<(), DlqError> {
        let window = if self.looked_at {
            // Together the streams look at no more than one alone would.
            (WINDOW_LOOKED_AT / self.streams.len().max(1) as i64).max(FEWEST_LOOKED_AT)
        } else {
            WINDOW
        };
        let stream = &mut self.streams[index];
        let topic = Value::from(self.filter.topic.as_deref().unwrap_or_default());
        let text = self.filter.text.clone().unwrap_or_default();
        let (reached, bound) = (Value::from(stream.reached.as_str()), Value::from(self.bound.as_str()));
        let limits = [Value::Int(window), topic, Value::from(text.as_str()), Value::Blob(text.into_bytes())];
        let mut params = match &stream.of {
            Some((group, status)) => vec![group.as_str().into(), status.as_str().into()],
            None => Vec::new(),
        };
        params.extend([reached, bound]);
        params.extend(limits);
        let table = query_table(dlq.warehouse(), &self.statement, &params)?;
        stream.is_done = (table.len() as i64) < window;
        for row in table.iter() {
            let id: String = row.get("error_id")?;
            let meets_text: bool = row.get("is_wanted")?;
            let (fingerprint, status): (&str, &str) = (row.get("fingerprint")?, row.get("status")?);
            let is_wanted = meets_text
                && (stream.of.is_some()
                    || self
                        .wanted
                        .get(fingerprint)
                        .is_some_and(|statuses| statuses.iter().any(|wanted| wanted.as_str() == status)));
            if is_wanted {
                stream.ready.push_back(id.clone());
            }
            stream.reached = id;
        }
        Ok(())
    }
}

/// An id that nothing lies between and `id`.
fn before(id: &str, direction: Direction) -> String {
    let Ok(parsed) = uuid::Uuid::try_parse(id) else { return id.to_owned() };
    let number = match direction {
        Direction::OldestFirst => parsed.as_u128().saturating_sub(1),
        Direction::NewestFirst => parsed.as_u128().saturating_add(1),
    };
    uuid::Uuid::from_u128(number).hyphenated().to_string()
}

/// How many errors a filter meets, when that is known without looking at each.
///
/// # Errors
/// Failures of the warehouse.
pub fn count(dlq: &Dlq, filter: &Filter) -> Result<Option<u64>, DlqError> {
    if filter.is_looked_at() || filter.since.is_some() || filter.until.is_some() {
        return Ok(None);
    }
    let found = groups(dlq)?;
    let of_group = |group: &Group| -> u64 {
        let is_wanted = |status: &Status| filter.status.is_empty() || filter.status.contains(status);
        Status::ALL.into_iter().filter(is_wanted).map(|status| group.counts[status as usize]).sum()
    };
    Ok(Some(found.iter().filter(|group| filter.meets_group(group)).map(of_group).sum()))
}
