//! Dedup: which ids each hour has, as far as this run has touched the hour.
//!
//! At first touch an hour's ids are read from the archive's parts and from `realtime.events`, with
//! the hour's version and the number of hot events that are not archived: what the transaction
//! that commits looks at again.

use adpipe_event::Millis;
use adpipe_sql::section;
use adpipe_warehouse::{IdKey, IdSet, Warehouse, WarehouseError, archive, query_table};
use hashbrown::HashMap;

use crate::archive::Archive;

const ARCHIVE_SQL: &str = include_str!("../sql/archive.sql");
pub(crate) const HOUR_NOW: &str = section(ARCHIVE_SQL, "hour_now");
pub(crate) const HOT_IDS: &str = section(ARCHIVE_SQL, "hot_ids");

/// Bytes of ids held before hours that are not in use are let go of.
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
}

impl<'a> HourSets<'a> {
    pub fn new(warehouse: &'a dyn Warehouse, archive: &'a Archive) -> HourSets<'a> {
        HourSets { warehouse, archive, hours: HashMap::default() }
    }

    /// For each event whether its id is new; the first one of several wins. Notes the hours in
    /// `touched` that this segment has not touched before.
    pub fn find_new(
        &mut self,
        times: &[Millis],
        keys: &[IdKey],
        segment: u64,
        touched: &mut Vec<HourBase>,
    ) -> Result<Vec<bool>, WarehouseError> {
        let mut is_new = Vec::with_capacity(keys.len());
        let mut index = 0;
        while index < times.len() {
            let hour = times[index].floor_hour();
            let known = match self.hours.entry(hour) {
                hashbrown::hash_map::Entry::Occupied(known) => known.into_mut(),
                hashbrown::hash_map::Entry::Vacant(vacant) => {
                    vacant.insert(load(self.warehouse, self.archive, hour)?)
                }
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
        Ok(is_new)
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

fn load(warehouse: &dyn Warehouse, archive: &Archive, hour: Millis) -> Result<KnownHour, WarehouseError> {
    // The base first: what is added behind it makes the transaction look again.
    let now = query_table(warehouse, HOUR_NOW, &[hour.to_string().into()])?;
    let number = |column: usize| {
        now.rows.first().and_then(|row| row[column].as_f64()).map_or(0, |number| number as i64)
    };
    let base = HourBase { hour, version: number(0), hot_only: number(1) };
    let mut ids = match base.version {
        0 => IdSet::new(),
        _ => archive::ids_of_hour(warehouse, Some(archive), hour)?,
    };
    if base.version > 0 || base.hot_only > 0 {
        warehouse.query(HOT_IDS, &[hour.to_string().into()], &mut |_, row| {
            if let Some(id) = row[0].as_str() {
                ids.insert(IdKey::of(id));
            }
            true
        })?;
    }
    Ok(KnownHour { base, ids, segment: u64::MAX })
}
