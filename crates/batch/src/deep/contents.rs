//! What is stored of each hour: its events in the archive, its hot events, and both together.

use std::collections::{BTreeMap, BTreeSet};

use adpipe_event::{ContentHasher, ContentSum, Event, Millis};
use adpipe_runtime::progress::{Progress, Unit};
use adpipe_sql::section;
use adpipe_warehouse::sums::Content;
use adpipe_warehouse::{ArchiveReadError, IdKey, Row, Value, WarehouseError, WarehouseRead, query_table};
use hashbrown::HashMap;

use super::figures::{FigureHasher, FigureSum};
use crate::archive::Archive;
use crate::{BatchError, stored_event};

const DEEP_SQL: &str = include_str!("../../sql/deep.sql");
const EVENTS: &str = section(DEEP_SQL, "events");
const OF_HOUR: &str = section(DEEP_SQL, "of_hour");
const EVENTS_TOTAL: &str = section(DEEP_SQL, "events_total");
const HOURS: &str = section(DEEP_SQL, "hours");
const PARTS: &str = section(DEEP_SQL, "parts");
const HOURS_OF_PART: &str = section(DEEP_SQL, "hours_of_part");
const PARTS_OF_HOUR: &str = section(DEEP_SQL, "parts_of_hour");

const HOUR_MS: i64 = 3_600_000;

/// Events, their contents and their figures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub content: Content,
    pub figures: FigureSum,
}

impl Found {
    fn add(&mut self, other: Found) {
        self.content.add(other.content);
        self.figures.add(other.figures);
    }
}

/// What is stored, by the hour.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// All events of an hour, each once.
    pub hours: BTreeMap<Millis, Found>,
    /// Hours of which a part cannot be read: nothing is said about them.
    pub unread: BTreeSet<Millis>,
    /// What is wrong, in words.
    pub gaps: Vec<String>,
    /// The archive changes while it is read: nothing can be said now.
    pub is_moving: bool,
}

/// Reads all that is stored.
pub(super) fn read(
    warehouse: &dyn WarehouseRead,
    current: &dyn WarehouseRead,
    archive: &Archive,
    progress: &Progress,
) -> Result<Contents, BatchError> {
    let mut reading = Reading {
        warehouse,
        archive,
        progress,
        contents: Contents::default(),
        hasher: ContentHasher::default(),
        figures: FigureHasher::default(),
    };
    progress.expect(reading.expected()?, Unit::Events);
    let archived = reading.archived(current)?;
    let hot = reading.hot()?;
    if !reading.contents.is_moving {
        reading.join(&archived, &hot)?;
    }
    Ok(reading.contents)
}

type ByHour = BTreeMap<Millis, Found>;

struct Reading<'a> {
    warehouse: &'a dyn WarehouseRead,
    archive: &'a Archive,
    progress: &'a Progress,
    contents: Contents,
    hasher: ContentHasher,
    figures: FigureHasher,
}

impl Reading<'_> {
    /// Events to be read.
    fn expected(&self) -> Result<u64, BatchError> {
        let hot = query_table(self.warehouse, EVENTS_TOTAL, &[])?;
        let parts = query_table(self.warehouse, PARTS, &[])?;
        Ok(hot.one()?.get::<u64>("events")? + parts.column::<u64>("rows")?.iter().sum::<u64>())
    }

    fn of_event(&mut self, event: &Event<'_>) -> Found {
        let content = Content { events: 1, sum: self.hasher.sum(event) };
        Found { content, figures: self.figures.of_event(event) }
    }

    fn archived(&mut self, current: &dyn WarehouseRead) -> Result<ByHour, BatchError> {
        let mut hours = ByHour::new();
        for row in query_table(self.warehouse, PARTS, &[])?.iter() {
            let path: String = row.get("path")?;
            let archive = self.archive;
            let mut of_part = ByHour::new();
            let read = archive.events(&path, None, |events| {
                for event in events.iter() {
                    of_part.entry(event.event_time.floor_hour()).or_default().add(self.of_event(&event));
                }
                self.progress.add(events.len() as u64);
            });
            match read {
                Ok(()) => {
                    of_part.into_iter().for_each(|(hour, found)| hours.entry(hour).or_default().add(found))
                }
                Err(ArchiveReadError::Missing(_)) if !crate::audit::is_listed(current, &path)? => {
                    self.contents.is_moving = true;
                    break;
                }
                Err(error) => {
                    self.contents.gaps.push(error.to_string());
                    let listed = query_table(self.warehouse, HOURS_OF_PART, &[path.into()])?;
                    self.contents.unread.extend(listed.iter().filter_map(|row| hour_of(&row).ok()));
                }
            }
        }
        Ok(hours)
    }

    fn hot(&mut self) -> Result<ByHour, BatchError> {
        let mut hours = ByHour::new();
        let warehouse = self.warehouse;
        warehouse.query(EVENTS, &[], &mut |row| {
            let row = row.values();
            match stored_event::read(row) {
                Some((hour, event)) => hours.entry(hour).or_default().add(self.of_event(&event)),
                None => self.contents.gaps.push(format!("{}: not as written", stored_event::name_of(row))),
            }
            self.progress.add(1);
            true
        })?;
        Ok(hours)
    }

    /// Each event once, whether it is archived, hot, or both.
    fn join(&mut self, archived: &ByHour, hot: &ByHour) -> Result<(), BatchError> {
        let mut copies: BTreeMap<Millis, u64> = BTreeMap::new();
        for row in query_table(self.warehouse, HOURS, &[])?.iter() {
            match (hour_of(&row), row.get("hot_copies")) {
                (Ok(hour), Ok(count)) => {
                    copies.insert(hour, count);
                }
                _ => {
                    let stored: &Value = row.get("event_hour")?;
                    self.contents.gaps.push(format!("realtime.hours, {stored}: not as written"));
                }
            }
        }
        let hours: BTreeSet<Millis> = archived.keys().chain(hot.keys()).copied().collect();
        for hour in hours {
            if self.contents.unread.contains(&hour) {
                continue;
            }
            let archived = archived.get(&hour).copied().unwrap_or_default();
            let hot = hot.get(&hour).copied().unwrap_or_default();
            let copies = copies.get(&hour).copied().unwrap_or(0);
            let all = if copies == 0 {
                let mut all = archived;
                all.add(hot);
                all
            } else if (hot.content.events, archived.content.events) == (copies, copies) {
                if hot != archived {
                    self.contents
                        .gaps
                        .push(format!("{hour}: hot events are not what the archive has of them"));
                }
                archived
            } else {
                self.by_id(hour, archived, copies)?
            };
            self.contents.hours.insert(hour, all);
        }
        Ok(())
    }

    /// Of an hour that has events of each kind, which are both is found by their ids.
    fn by_id(&mut self, hour: Millis, archived: Found, copies: u64) -> Result<Found, BatchError> {
        let (warehouse, archive) = (self.warehouse, self.archive);
        let hour_text: [Value; 1] = [hour.to_string().into()];
        let mut ids: HashMap<IdKey, ContentSum, foldhash::fast::FixedState> = HashMap::default();
        for path in query_table(warehouse, PARTS_OF_HOUR, &hour_text)?.column("path")? {
            let read = archive.events(path, Some(hour..Millis(hour.0 + HOUR_MS)), |events| {
                for event in events.iter() {
                    ids.insert(IdKey::of(event.id), self.hasher.sum(&event));
                }
            });
            if let Err(error) = read {
                self.contents.gaps.push(error.to_string());
            }
        }
        let mut all = archived;
        let mut found_copies = 0;
        warehouse.query(&format!("{EVENTS}{OF_HOUR}"), &hour_text, &mut |row| {
            let row = row.values();
            let Some((_, event)) = stored_event::read(row) else { return true };
            let of_event = self.of_event(&event);
            match ids.get(&IdKey::of(event.id)) {
                None => all.add(of_event),
                Some(sum) => {
                    found_copies += 1;
                    if *sum != of_event.content.sum {
                        let name = stored_event::name_of(row);
                        self.contents.gaps.push(format!("{name}: not what the archive has of it"));
                    }
                }
            }
            true
        })?;
        if found_copies != copies {
            self.contents.gaps.push(format!(
                "{hour}: {found_copies} hot events are in the archive, realtime.hours says {copies}"
            ));
        }
        Ok(all)
    }
}

fn hour_of(row: &Row<'_>) -> Result<Millis, WarehouseError> {
    row.parse("event_hour", "the start of an hour", |text: &str| {
        Millis::parse_sql(text).filter(|hour| hour.floor_hour() == *hour && hour.to_string() == text)
    })
}
