//! Processes, disks, the warehouse's answers, and messages that wait.

use std::collections::BTreeMap;
use std::time::Duration;

use adpipe_event::Millis;
use adpipe_sql::section;
use adpipe_warehouse::query_table;
use serde_json::{Value as Json, json};

use super::{MonitorError, Sources, labelled, single};
use crate::history::{self, Process};
use crate::machine;
use crate::signal::Reading;

const SQL: &str = include_str!("../../sql/figures.sql");
const DISKS: &str = section(SQL, "disks");

/// After the warehouse was away, processes have this time to say that they live.
const RETURN: Duration = Duration::from_secs(35);

/// A disk's figure is good for this long.
const DISK_MS: i64 = 120_000;

pub(super) fn silent(sources: &Sources, now: Millis) -> Result<Vec<Reading>, MonitorError> {
    // No process could be seen while the warehouse did not answer.
    if sources.pulse.answers_for() < RETURN {
        return Err(MonitorError::Silent);
    }
    let processes = history::seen(sources.warehouse.as_ref(), now)?;
    let reading = |process: &&Process| {
        let seconds = (now.0 - process.seen_at.0).max(0) as f64 / 1_000.0;
        let context = json!({ "host": process.host, "roles": process.roles });
        labelled("process", &process.process, seconds, context)
    };
    Ok(missed(&processes).iter().map(reading).collect())
}

/// The processes that did not end in order, without those in whose place another has come: one
/// that plays their roles and began after they were last seen.
fn missed(processes: &[Process]) -> Vec<&Process> {
    let mut successors: Vec<&Process> = processes.iter().collect();
    let mut open: Vec<&Process> = processes.iter().filter(|process| process.ended_at.is_none()).collect();
    open.sort_by_key(|process| process.seen_at);
    open.retain(|process| {
        let follows = |other: &&Process| {
            let plays = |role: &str| other.roles.split(' ').any(|word| word == role);
            other.started_at >= process.seen_at
                && other.process != process.process
                && process.roles.split(' ').all(plays)
        };
        // One for one: of two that disappeared, a new one replaces one.
        match successors.iter().position(follows) {
            Some(index) => {
                successors.remove(index);
                false
            }
            None => true,
        }
    });
    open
}

pub(super) fn warehouse_silent(sources: &Sources) -> Vec<Reading> {
    let silent = sources.pulse.silent_for();
    let context = match sources.pulse.trouble() {
        Some(trouble) => json!({ "error": trouble }),
        None => Json::Null,
    };
    single(silent.as_secs_f64(), context)
}

pub(super) fn disk_free(sources: &Sources, now: Millis) -> Result<Vec<Reading>, MonitorError> {
    let since = Millis(now.0 - DISK_MS).to_string();
    // The newest for each process, the smallest of them for each host.
    let mut disks: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    let mut processes: Vec<String> = Vec::new();
    let mut keep = |host: String, free: f64, size: f64| {
        let disk = disks.entry(host).or_insert((free, size));
        if size > 0.0 && free / size < disk.0 / disk.1 {
            *disk = (free, size);
        }
    };
    // A full disk takes no samples: our own is looked at.
    if let Some(disk) = sources.data_folder.as_deref().and_then(machine::disk_of) {
        keep(machine::host(), disk.free as f64, disk.size as f64);
    }
    match query_table(sources.warehouse.as_ref(), DISKS, &[since.into()]) {
        Ok(table) => {
            for row in table.iter() {
                let (process, host) = (row.get("process")?, row.get("host")?);
                let (free, size): (Option<f64>, f64) = (row.get("disk_free")?, row.get("disk_size")?);
                if let (Some(free), false) = (free, processes.contains(&process)) {
                    keep(host, free, size);
                    processes.push(process);
                }
            }
        }
        Err(error) if disks.is_empty() => return Err(error.into()),
        Err(_) => {}
    }
    let reading = |(host, (free, size)): (&String, &(f64, f64))| {
        let context = json!({ "free_bytes": free, "size_bytes": size });
        labelled("host", host, free / size, context)
    };
    Ok(disks.iter().filter(|(_, (_, size))| *size > 0.0).map(reading).collect())
}

pub(super) fn notifications_waiting(sources: &Sources) -> Vec<Reading> {
    match &sources.spool_age {
        // "Nothing waits" would say that messages arrive.
        Some(_) if !sources.sends => Vec::new(),
        Some(age) => single(age().unwrap_or_default().as_secs_f64(), Json::Null),
        None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Life;

    fn process(name: &str, roles: &str, started_s: i64, seen_s: i64) -> Process {
        Process {
            process: name.to_owned(),
            host: "h".to_owned(),
            pid: 1,
            roles: roles.to_owned(),
            version: String::new(),
            started_at: Millis(started_s * 1_000),
            seen_at: Millis(seen_s * 1_000),
            ended_at: None,
            life: Life::Alive,
            cpu_percent: None,
            newest: None,
        }
    }

    fn names(processes: &[Process]) -> Vec<&str> {
        missed(processes).iter().map(|process| process.process.as_str()).collect()
    }

    #[test]
    fn who_was_replaced_is_not_missed() {
        let all = [
            process("a", "stream", 0, 100),
            process("b", "stream", 0, 100),
            // Began while the others lived: in nobody's place.
            process("c", "stream", 50, 500),
            process("d", "stream dlq", 105, 500),
        ];
        assert_eq!(names(&all[..3]), ["a", "b", "c"]);
        // One came for two that went.
        assert_eq!(names(&all), ["b", "c", "d"]);
        // Who plays less does not stand in.
        let all = [process("a", "stream dlq", 0, 100), process("b", "dlq", 105, 500)];
        assert_eq!(names(&all), ["a", "b"]);
        // A chain of restarts leaves the last.
        let all = [process("a", "dlq", 0, 100), process("b", "dlq", 105, 200), process("c", "dlq", 210, 500)];
        assert_eq!(names(&all), ["c"]);
    }
}
