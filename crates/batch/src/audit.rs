//! The archive's part of `adpipe verify`: its files against its list, and against the figures.

use adpipe_counting::Check;
use adpipe_event::Millis;
use adpipe_runtime::progress::{Progress, Unit};
use adpipe_sql::section;
use adpipe_warehouse::{
    ArchiveReadError, FromRow, PartName, Warehouse, WarehouseError, WarehouseRead, for_each_row, query_table,
};
use hashbrown::HashMap;

use crate::archive::Archive;
use crate::unnamed::Unnamed;
use crate::{BatchError, unnamed};

const ARCHIVE_SQL: &str = include_str!("../sql/archive.sql");
const LISTED_PARTS: &str = section(ARCHIVE_SQL, "listed_parts");
const IS_LISTED: &str = section(ARCHIVE_SQL, "is_listed");
const FIGURES: &str = section(ARCHIVE_SQL, "figures_of_archived_hours");

/// Gaps reported one by one.
const SHOWN_GAPS: usize = 20;

/// Hour, banner position, device type, connection type.
type Codes = (Millis, [u8; 3]);

/// Impressions and clicks: as the archive has them, less what the figures say.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
struct Difference {
    impressions: i64,
    clicks: i64,
}

/// Reads every file of the archive. Nothing when there is none.
///
/// # Errors
/// When the warehouse or the archive's folder cannot be read.
pub fn audit(
    warehouse: &dyn Warehouse,
    archive: &Archive,
    progress: &Progress,
) -> Result<Vec<Check>, BatchError> {
    let snapshot = warehouse.snapshot()?;
    let parts = query_table(snapshot.as_ref(), LISTED_PARTS, &[])?;
    let unnamed = unnamed_files(warehouse, archive)?;
    if parts.is_empty() {
        return Ok(Vec::from_iter(unnamed));
    }
    progress.expect(parts.column::<u64>("rows")?.iter().sum(), Unit::Events);
    let mut gaps = Vec::new();
    let mut counted = Counted::default();
    let (mut total, mut without_hash) = (0, 0);
    for row in parts.iter() {
        let part = PartName::from_row(&row)?;
        let path = part.path.clone();
        without_hash += usize::from(part.hash.is_none());
        let listed: [u64; 3] = [row.get("rows")?, row.get("clicks")?, row.get("bytes")?];
        let read = read_part(archive, &part, &mut counted);
        progress.add(listed[0]);
        match read {
            Ok((rows, clicks, bytes)) => {
                total += rows;
                if listed != [rows, clicks, bytes] {
                    gaps.push(format!(
                        "{path} has {rows} rows, {clicks} clicks and {bytes} bytes; its list says {listed:?}"
                    ));
                }
            }
            Err(ArchiveReadError::Missing(_)) if !is_listed(warehouse, &path)? => {
                let detail = "the archive is being changed: try again in a moment".to_owned();
                return Ok(vec![Check { name: FILES, holds: true, detail }]);
            }
            Err(error) => gaps.push(error.to_string()),
        }
    }
    let files_hold = gaps.is_empty();
    let detail = format!("{} files, {total} events; {}", parts.len(), hashes_in_words(without_hash));
    let mut checks = vec![Check { name: FILES, holds: files_hold, detail: shown(gaps, detail) }];
    checks.extend(unnamed);
    if files_hold {
        let gaps = against_figures(snapshot.as_ref(), counted)?;
        let holds = gaps.is_empty();
        checks.push(Check { name: DIMENSIONS, holds, detail: shown(gaps, "no residue".to_owned()) });
    }
    Ok(checks)
}

fn hashes_in_words(without: usize) -> String {
    match without {
        0 => "the hash of each is that of the list".to_owned(),
        count => format!("{count} of them have no hash yet (the next `adpipe etl` sets it)"),
    }
}

const FILES: &str = "files of the archive = their list";
const DIMENSIONS: &str = "hourly figures = archived events, by every dimension";

const UNNAMED: &str = "no file of the archive has events that no row names";

/// Files that no row names; none when there is none. Those with events that are counted nowhere are a
/// gap: an older warehouse was put back, or another one's archive is here.
fn unnamed_files(warehouse: &dyn Warehouse, archive: &Archive) -> Result<Option<Check>, BatchError> {
    let found = unnamed::look(warehouse, archive)?;
    if found.unexplained.is_empty() && found.kept.is_empty() && found.leftovers.is_empty() {
        return Ok(None);
    }
    let named = |files: &[Unnamed]| -> Vec<String> {
        let some = files.iter().take(SHOWN_GAPS);
        some.map(|unnamed| format!("{} ({})", unnamed.file, unnamed.reason)).collect()
    };
    let holds = found.unexplained.is_empty();
    let detail = if holds {
        let mut words = vec![format!("{} files that no row names", found.kept.len() + found.leftovers.len())];
        if !found.leftovers.is_empty() {
            words.push(format!("{} of them are removed by the next `adpipe etl`", found.leftovers.len()));
        }
        words.extend(named(&found.kept).into_iter().map(|file| format!("kept: {file}")));
        words.join("; ")
    } else {
        format!(
            "{} parts that this warehouse does not know: {}; `adpipe rebuild` adds them",
            found.unexplained.len(),
            named(&found.unexplained).join("; ")
        )
    };
    Ok(Some(Check { name: UNNAMED, holds, detail }))
}

fn shown(gaps: Vec<String>, detail: String) -> String {
    if gaps.is_empty() { detail } else { gaps.join("; ") }
}

pub(crate) fn is_listed(warehouse: &dyn WarehouseRead, path: &str) -> Result<bool, BatchError> {
    Ok(!query_table(warehouse, IS_LISTED, &[path.into()])?.is_empty())
}

type Map<K, V> = HashMap<K, V, foldhash::fast::FixedState>;

/// Sums of what was read: by codes, by category of the site, by category of the app.
#[derive(Default)]
struct Counted(Map<Codes, Map<String, Map<String, Difference>>>);

impl Counted {
    fn at(&mut self, codes: Codes, site_category: &str, app_category: &str) -> &mut Difference {
        let by_app = self.0.entry(codes).or_default().entry_ref(site_category).or_default();
        by_app.entry_ref(app_category).or_default()
    }
}

/// Adds a part's events; gives its rows, clicks and bytes.
///
/// The hash first: a part that is another is not read, and adds nothing.
fn read_part(
    archive: &Archive,
    part: &PartName,
    counted: &mut Counted,
) -> Result<(u64, u64, u64), ArchiveReadError> {
    let path = part.path.as_str();
    let (found, bytes) = archive.hash(path)?;
    if let Some(listed) = part.hash.as_ref().filter(|listed| **listed != found) {
        let reason = format!("its hash is {found}, the archive's list has {listed}");
        return Err(ArchiveReadError::Damaged { path: path.to_owned(), reason });
    }
    let (mut rows, mut clicks) = (0, 0);
    archive.figures(path, |figure| {
        let codes = (figure.event_time.floor_hour(), figure.codes);
        let sum = counted.at(codes, figure.site_category, figure.app_category);
        sum.impressions += 1;
        sum.clicks += i64::from(figure.click);
        rows += 1;
        clicks += u64::from(figure.click);
    })?;
    let (said, _) = archive.rows_and_bytes(path)?;
    if said == rows {
        Ok((rows, clicks, bytes))
    } else {
        Err(ArchiveReadError::Damaged {
            path: path.to_owned(),
            reason: format!("it has {rows} rows and says {said}"),
        })
    }
}

/// Takes the figures off what was counted: nothing may be left of hours that are wholly archived.
fn against_figures(warehouse: &dyn WarehouseRead, mut counted: Counted) -> Result<Vec<String>, BatchError> {
    let mut hours: hashbrown::HashSet<Millis, foldhash::fast::FixedState> = Default::default();
    for_each_row(warehouse, FIGURES, &[], |row| {
        let hour = row.get("window_start")?;
        hours.insert(hour);
        let codes = [row.get("banner_pos")?, row.get("device_type")?, row.get("device_conn_type")?];
        let sum = counted.at((hour, codes), row.get("site_category")?, row.get("app_category")?);
        sum.impressions -= row.get::<i64>("impressions")?;
        sum.clicks -= row.get::<i64>("clicks")?;
        Ok::<(), WarehouseError>(())
    })?;
    let mut gaps = Vec::new();
    for ((hour, codes), by_site) in &counted.0 {
        if !hours.contains(hour) {
            continue;
        }
        for (site_category, by_app) in by_site {
            for (app_category, difference) in by_app {
                if *difference != Difference::default() {
                    let Difference { impressions, clicks } = difference;
                    gaps.push(format!(
                        "{hour} {codes:?} {site_category} {app_category}: the archive has {impressions:+} events and {clicks:+} clicks"
                    ));
                }
            }
        }
    }
    gaps.sort();
    gaps.truncate(SHOWN_GAPS);
    Ok(gaps)
}
