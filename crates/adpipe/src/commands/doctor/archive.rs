//! The archive: can it be used, is every part there, are some of them sound, is it up to date?

use adpipe_batch::Archive;
use adpipe_batch::sample::{Sample, sample};
use adpipe_event::Millis;
use adpipe_warehouse::{Warehouse, archive};

use super::finding::{Finding, State, add};
use crate::archive_place;
use crate::config::Config;

/// Parts whose hash is compared, the newest besides.
const SAMPLED: usize = 3;

/// Names that a line has.
const SHOWN: usize = 5;

/// A closed hour that waits longer for the archive was passed over by a night.
const LATE_MS: i64 = 36 * 3_600_000;

/// Lists the archive, writes and removes a small file, and compares it with its list.
pub fn check(config: &Config, warehouse: Option<&dyn Warehouse>, findings: &mut Vec<Finding>) {
    let archive = match archive_place::open(config) {
        Ok(archive) => archive,
        Err(error) => return add(findings, "archive", State::Bad, error.to_string()),
    };
    match archive.check() {
        Ok(text) => add(findings, "archive", State::Good, text),
        Err(error) => return add(findings, "archive", State::Bad, error.to_string()),
    }
    let Some(warehouse) = warehouse else { return };
    check_parts(&archive, warehouse, findings);
    check_open_hours(warehouse, findings);
}

fn check_parts(archive: &Archive, warehouse: &dyn Warehouse, findings: &mut Vec<Finding>) {
    let looked = match sample(warehouse, archive, SAMPLED, Millis::now().0.unsigned_abs()) {
        Ok(looked) => looked,
        Err(error) => return add(findings, "archive parts", State::Bad, error.to_string()),
    };
    for (state, text) in part_lines(&looked) {
        add(findings, "archive parts", state, text);
    }
    match archive::unreadable_hours(warehouse) {
        Ok(hours) if hours.is_empty() => {}
        Ok(hours) => {
            let first = &hours[0];
            let text = format!(
                "events of {} hours wait in the dead-letter queue, of {} since {}: {}; put the part back, and they are retried automatically",
                hours.len(),
                first.hour,
                first.since,
                first.reason
            );
            add(findings, "archive hours", State::Bad, text);
        }
        Err(error) => add(findings, "archive hours", State::Bad, error.to_string()),
    }
}

fn part_lines(looked: &Sample) -> Vec<(State, String)> {
    let mut lines = Vec::new();
    let found = &looked.found;
    let names = |paths: &mut dyn Iterator<Item = String>| paths.take(SHOWN).collect::<Vec<_>>().join(", ");
    if !found.missing.is_empty() {
        let text = format!(
            "{} of {} parts are missing: {}; put them back from a copy of the archive",
            found.missing.len(),
            looked.listed,
            names(&mut found.missing.iter().cloned())
        );
        lines.push((State::Bad, text));
    }
    for error in &looked.damaged {
        lines.push((State::Bad, format!("{error}; put it back from a copy of the archive")));
    }
    if !found.unexplained.is_empty() {
        let text = format!(
            "{} parts that this warehouse does not know: {}; it is older than the archive, or the archive belongs to another one; see `adpipe rebuild`",
            found.unexplained.len(),
            names(
                &mut found.unexplained.iter().map(|unnamed| format!("{} ({})", unnamed.file, unnamed.reason))
            )
        );
        lines.push((State::Bad, text));
    }
    if !found.kept.is_empty() {
        let text = format!(
            "{} files in the archive that no row names, kept: {}",
            found.kept.len(),
            names(&mut found.kept.iter().map(|unnamed| format!("{} ({})", unnamed.file, unnamed.reason)))
        );
        lines.push((State::Notice, text));
    }
    if looked.without_hash > 0 {
        let text = format!(
            "{} of {} parts have no hash yet; the next `adpipe etl` sets it",
            looked.without_hash, looked.listed
        );
        lines.push((State::Notice, text));
    }
    if lines.iter().all(|(state, _)| *state != State::Bad) && looked.listed > 0 {
        let text = format!(
            "all {} are there; the hash of {} was compared (a sample; `adpipe verify` compares all)",
            looked.listed, looked.compared
        );
        lines.push((State::Good, text));
    }
    lines
}

fn check_open_hours(warehouse: &dyn Warehouse, findings: &mut Vec<Finding>) {
    match archive::oldest_open_hour(warehouse) {
        Ok(None) => {}
        Ok(Some(open)) => {
            let waits_ms = Millis::now().0 - open.waits_since().0;
            let state = if waits_ms > LATE_MS { State::Bad } else { State::Good };
            let text = format!(
                "the oldest hour that is not in the archive is {}; it has waited since {}{}",
                open.hour,
                open.waits_since(),
                if state == State::Bad { "; does `adpipe etl` run each night?" } else { "" }
            );
            add(findings, "archive hours", state, text);
        }
        Err(error) => add(findings, "archive hours", State::Bad, error.to_string()),
    }
}
