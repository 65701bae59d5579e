//! Dedup: which ids each hour has, as far as this run has touched the hour.
//!
//! At first touch an hour's ids are read from the archive's parts and from `realtime.events`, with
//! the hour's version and the number of hot events that are not archived: what the transaction
//! that commits looks at again.

use std::ops::Range;
use std::sync::Arc;

use adpipe_event::Millis;
use adpipe_sql::section;
use adpipe_warehouse::{
    IdKey, IdSet, IdsOfHour, Warehouse, WarehouseError, archive, for_each_row, query_table,
};
use hashbrown::HashMap;

use crate::archive::Archive;
use crate::back_ends::BackEnds;
use crate::unreadable::Unreadable;

const ARCHIVE_SQL: &str = include_str!("../sql/archive.sql");
pub(crate) const HOUR_NOW: &str = section(ARCHIVE_SQL, "hour_now");
pub(crate) const HOT_IDS: &str = section(ARCHIVE_SQL, "hot_ids");

/// Bytes of ids held before hours that are not in use are dropped.
const MAX_BYTES: usize = 64 << 20;

/// What was known of an hour when its ids were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HourBase {
    pub hour: Millis,
    /// Of the archive; 0 when it had nothing of the hour.
    pub version: i64,
    /// Hot events that were not archived.
    pub hot_only: i64,
}

struct KnownHour {
    base: HourBase,
    ids: IdSet,
    /// Segment that touched it last.
    segment: u64,
}

/// The ids of the hours that this run has touched.
pub(crate) struct HourSets<'a> {
    warehouse: &'a dyn Warehouse,
    archive: &'a Archive,
    hours: HashMap<Millis, KnownHour, foldhash::fast::FixedState>,
    /// Hours with a part that is missing or damaged, until the run ends.
    unreadable: &'a Unreadable,
    reasons: HashMap<Millis, Arc<str>, foldhash::fast::FixedState>,
}

/// Which events of some are new.
#[derive(Debug, Default)]
pub(crate) struct NewEvents {
    /// One for each event: false for duplicates, and for those that cannot be judged.
    pub is_new: Vec<bool>,
    /// Events of hours with a part that is missing or damaged, and why.
    pub unjudged: Vec<(Range<usize>, Arc<str>)>,
}

impl<'a> HourSets<'a> {
    pub fn new(back_ends: BackEnds<'a>, unreadable: &'a Unreadable) -> HourSets<'a> {
        HourSets {
            warehouse: back_ends.warehouse,
            archive: back_ends.archive,
            hours: HashMap::default(),
            unreadable,
            reasons: HashMap::default(),
        }
    }

    /// For each event whether its id is new; the first one of several wins. Notes the hours in
    /// `touched` that this segment has not touched before.
    pub fn find_new(
        &mut self,
        times: &[Millis],
        keys: &[IdKey],
        segment: u64,
        touched: &mut Vec<HourBase>,
    ) -> Result<NewEvents, WarehouseError> {
        let mut found = NewEvents { is_new: Vec::with_capacity(keys.len()), unjudged: Vec::new() };
        let is_new = &mut found.is_new;
        let mut index = 0;
        while index < times.len() {
            let hour = times[index].floor_hour();
            if let Some(reason) = self.learn(hour)? {
                let end = index + times[index..].iter().take_while(|time| time.floor_hour() == hour).count();
                is_new.resize(end, false);
                found.unjudged.push((index..end, reason));
                index = end;
                continue;
            }
            let Some(known) = self.hours.get_mut(&hour) else {
                return Err(WarehouseError::Statement(
                    "an hour was forgotten; please report this".to_owned(),
                ));
            };
            if known.segment != segment {
                known.segment = segment;
                touched.push(known.base);
            }
            while index < times.len() && times[index].floor_hour() == hour {
                is_new.push(known.ids.insert(keys[index]));
                index += 1;
            }
        }
        Ok(found)
    }

    /// Reads an hour's ids at first touch; gives the reason when they cannot be read.
    fn learn(&mut self, hour: Millis) -> Result<Option<Arc<str>>, WarehouseError> {
        if self.hours.contains_key(&hour) {
            return Ok(None);
        }
        if let Some(reason) = self.reasons.get(&hour) {
            return Ok(Some(Arc::clone(reason)));
        }
        match load(self.warehouse, self.archive, hour)? {
            Ok(known) => {
                self.hours.insert(hour, known);
                Ok(None)
            }
            Err(reason) => {
                self.unreadable.note(hour, &reason);
                let reason: Arc<str> = reason.into();
                self.reasons.insert(hour, Arc::clone(&reason));
                Ok(Some(reason))
            }
        }
    }

    /// Lets go of hours when they hold too much: of those only whose newest segment is committed,
    /// as its ids can be read again.
    pub fn let_go(&mut self, committed: u64) {
        let bytes: usize = self.hours.values().map(|known| known.ids.byte_size()).sum();
        if bytes <= MAX_BYTES {
            return;
        }
        let mut by_age: Vec<(u64, Millis)> =
            self.hours.iter().map(|(hour, known)| (known.segment, *hour)).collect();
        by_age.sort_unstable();
        let mut held = bytes;
        for (segment, hour) in by_age {
            if held <= MAX_BYTES / 2 || segment > committed {
                break;
            }
            if let Some(known) = self.hours.remove(&hour) {
                held -= known.ids.byte_size();
            }
        }
    }
}

/// An hour as it is known now, or why it cannot be read.
fn load(
    warehouse: &dyn Warehouse,
    archive: &Archive,
    hour: Millis,
) -> Result<Result<KnownHour, String>, WarehouseError> {
    // The base first: if something is added afterwards, the transaction checks again.
    let now = query_table(warehouse, HOUR_NOW, &[hour.to_string().into()])?;
    let now = now.one()?;
    let base = HourBase { hour, version: now.get("version")?, hot_only: now.get("hot_only")? };
    let mut ids = match base.version {
        0 => IdSet::new(),
        _ => match archive::ids_of_hour(warehouse, Some(archive), hour)? {
            IdsOfHour::Known(ids) => ids,
            IdsOfHour::Unreadable(reason) => return Ok(Err(reason)),
        },
    };
    if base.version > 0 || base.hot_only > 0 {
        for_each_row(warehouse, HOT_IDS, &[hour.to_string().into()], |row| {
            ids.insert(IdKey::of(row.get("event_id")?));
            Ok::<(), WarehouseError>(())
        })?;
    }
    Ok(Ok(KnownHour { base, ids, segment: u64::MAX }))
}
