//! What the scheduler does when the wall clock jumps, and when daylight saving begins and ends.
//! The clock is the test's; everything else, the tasks' processes too, is real.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use adpipe_metrics::Metrics;
use adpipe_schedule::TaskPrograms;
use adpipe_schedule::dag::Dags;
use adpipe_schedule::scheduler::{Scheduler, SchedulerConfig, Tick};
use adpipe_testkit::eventually;
use adpipe_testkit::postgres::Postgres;
use adpipe_warehouse::Warehouse;
use adpipe_warehouse::postgres::{PostgresSettings, PostgresWarehouse};
use adpipe_warehouse::sqlite::SqliteWarehouse;
use common::{ADPIPE, Folder};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// A warehouse and the file that the tasks write a line to.
struct Site {
    folder: Folder,
    warehouse: Arc<dyn Warehouse>,
}

impl Site {
    fn new() -> Site {
        let folder = Folder::new();
        let warehouse = Arc::new(SqliteWarehouse::open(&folder.join("data")).unwrap());
        Site { folder, warehouse }
    }

    fn on(warehouse: Arc<dyn Warehouse>) -> Site {
        Site { folder: Folder::new(), warehouse }
    }

    fn done(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.join("done")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// A scheduler of one DAG whose task writes what `{…}` stands for.
    fn scheduler(&self, keys: &str, words: &str) -> Scheduler {
        self.scheduler_that_keeps(Duration::from_secs(100 * 366 * 86_400), keys, words)
    }

    /// The same, with finished runs kept for a while only.
    fn scheduler_that_keeps(&self, keep_runs: Duration, keys: &str, words: &str) -> Scheduler {
        let text = format!(
            "[[dag]]\nid = \"d\"\n{keys}\n[[dag.task]]\nid = \"t\"\nshell = \"echo {words} >> {}\"\n",
            self.folder.join("done").display()
        );
        let config = SchedulerConfig {
            dags: Dags::parse(&text, Path::new("dags.toml"), &TimeZone::UTC).unwrap(),
            programs: TaskPrograms {
                wrapper: [ADPIPE, "task-process", "--grace-ms", "1000"].map(Into::into).to_vec(),
                adpipe: vec![ADPIPE.into()],
                log_folder: self.folder.join("logs"),
                grace: Duration::from_secs(1),
            },
            max_tasks: 4,
            lease: Duration::from_secs(3),
            poll: Duration::from_millis(10),
            keep_runs,
            follows_schedules: true,
        };
        Scheduler::new(config, Arc::clone(&self.warehouse), Metrics::new("test").unwrap())
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Looks until nothing is left to be done at this moment.
fn settle(scheduler: &mut Scheduler, now: Timestamp) {
    eventually("runs end", || {
        let tick = scheduler.tick(now).unwrap();
        assert!(tick != Tick::StandBy, "this scheduler is not active");
        tick == Tick::Idle
    });
}

#[test]
fn a_clock_that_jumps_runs_no_slot_twice_and_does_not_burst() {
    let site = Site::new();
    let mut scheduler = site.scheduler("schedule = \"0 0 * * *\"", "{date}");
    settle(&mut scheduler, at("2026-03-10T12:00:00Z"));
    assert_eq!(site.done(), Vec::<String>::new(), "what was due before it was known is not run");
    settle(&mut scheduler, at("2026-03-11T00:00:00Z"));
    assert_eq!(site.done(), ["2026-03-10"]);
    // A day back, over the same midnight again, and a little further.
    for now in
        ["2026-03-10T13:00:00Z", "2026-03-10T23:59:59Z", "2026-03-11T00:00:01Z", "2026-03-11T05:00:00Z"]
    {
        settle(&mut scheduler, at(now));
    }
    assert_eq!(site.done(), ["2026-03-10"]);
    // Ten days ahead: only the newest.
    settle(&mut scheduler, at("2026-03-21T08:00:00Z"));
    assert_eq!(site.done(), ["2026-03-10", "2026-03-20"]);
    // And back, as when the clock is put right: each midnight comes as ever, the one that has been
    // run does not come again.
    for day in 11..=22 {
        settle(&mut scheduler, at(&format!("2026-03-{day}T01:00:00Z")));
    }
    let mut days = site.done();
    days.sort();
    let expected: Vec<String> = (10..=21).map(|day| format!("2026-03-{day}")).collect();
    assert_eq!(days, expected);
    // A new scheduler knows it all. (The old one drops its lease by ending.)
    drop(scheduler);
    let mut scheduler = site.scheduler("schedule = \"0 0 * * *\"", "{date}");
    become_active(&mut scheduler, at("2026-03-22T02:00:00Z"));
    settle(&mut scheduler, at("2026-03-22T02:00:00Z"));
    assert_eq!(site.done().len(), 12);
}

#[test]
fn a_clock_that_was_ahead_at_first_is_forgiven() {
    let site = Site::new();
    let mut scheduler = site.scheduler("schedule = \"0 0 * * *\"", "{date}");
    settle(&mut scheduler, at("2126-01-01T00:00:00Z"));
    settle(&mut scheduler, at("2026-03-10T12:00:00Z"));
    settle(&mut scheduler, at("2026-03-11T12:00:00Z"));
    assert_eq!(site.done(), ["2026-03-10"]);
}

#[test]
fn catching_up_runs_every_interval_in_order() {
    let site = Site::new();
    let keys = "schedule = \"0 0 * * *\"\ncatchup = true\nstart = \"2026-02-26\"";
    let mut scheduler = site.scheduler(keys, "{date}");
    settle(&mut scheduler, at("2026-03-02T12:00:00Z"));
    assert_eq!(site.done(), ["2026-02-26", "2026-02-27", "2026-02-28", "2026-03-01"]);
    settle(&mut scheduler, at("2026-03-04T12:00:00Z"));
    assert_eq!(site.done()[4..], ["2026-03-02", "2026-03-03"]);
}

#[test]
fn each_day_runs_once_through_both_changes_of_daylight_saving() {
    for (keys, from, days, special) in [
        // 02:30 does not exist on 2026-03-29 …
        ("schedule = \"30 2 * * *\"", "2026-03-27T12:00:00Z", 4, "2026-03-29T01:00:00Z"),
        // … and is there twice on 2026-10-25.
        ("schedule = \"30 2 * * *\"", "2026-10-23T12:00:00Z", 4, "2026-10-25T00:30:00Z"),
        // A day of 23 hours, and one of 25.
        ("schedule = \"0 0 * * *\"", "2026-03-27T12:00:00Z", 4, "2026-03-29T22:00:00Z"),
        ("schedule = \"0 0 * * *\"", "2026-10-23T12:00:00Z", 4, "2026-10-25T23:00:00Z"),
    ] {
        let site = Site::new();
        let keys = format!("{keys}\ntimezone = \"Europe/Berlin\"");
        let mut scheduler = site.scheduler(&keys, "{date} {data_interval_end}");
        let mut now = at(from);
        for _ in 0..days * 24 * 4 {
            settle(&mut scheduler, now);
            now = now.checked_add(SignedDuration::from_mins(15)).unwrap();
        }
        let done = site.done();
        assert_eq!(done.len(), days, "{keys}: {done:?}");
        let mut dates: Vec<&str> = done.iter().map(|line| line.split(' ').next().unwrap()).collect();
        dates.dedup();
        assert_eq!(dates.len(), days, "{keys}: a day twice: {done:?}");
        assert!(done.iter().any(|line| line.ends_with(special)), "{keys}: {done:?}");
    }
}

#[test]
fn of_two_schedulers_one_stands_by() {
    let check = |site: &Site| {
        let keys = "schedule = \"*/5 * * * *\"";
        let (mut one, mut other) = (site.scheduler(keys, "{run_id}"), site.scheduler(keys, "{run_id}"));
        let mut now = at("2026-03-10T12:01:00Z");
        for _ in 0..6 {
            settle(&mut one, now);
            assert_eq!(other.tick(now).unwrap(), Tick::StandBy);
            now = now.checked_add(SignedDuration::from_mins(5)).unwrap();
        }
        assert_eq!(site.done().len(), 5);
        // No jump of the wall clock makes the second one active.
        let later = now.checked_add(SignedDuration::from_hours(24 * 365)).unwrap();
        assert_eq!(other.tick(later).unwrap(), Tick::StandBy);
    };
    check(&Site::new());
    let Some(server) = Postgres::shared("of_two_schedulers_one_stands_by") else { return };
    let settings = PostgresSettings::from_url(&server.new_database()).unwrap();
    check(&Site::on(Arc::new(PostgresWarehouse::open(settings).unwrap())));
}

#[test]
fn runs_that_are_kept_no_longer_go_with_their_logs() {
    let site = Site::new();
    let keys = "schedule = \"0 0 * * *\"";
    let three_days = Duration::from_secs(3 * 86_400);
    let mut scheduler = site.scheduler_that_keeps(three_days, keys, "{date}");
    settle(&mut scheduler, at("2026-03-10T12:00:00Z"));
    for day in 11..=16 {
        settle(&mut scheduler, at(&format!("2026-03-{day}T00:00:01Z")));
    }
    // Runs, tries, and folders of logs.
    let kept = || {
        let count = |table: &str| {
            let sql = format!("select count(*) from {table}");
            let found = adpipe_warehouse::query_table(site.warehouse.as_ref(), &sql, &[]).unwrap();
            found.rows[0][0].as_i64().unwrap() as usize
        };
        let logs = std::fs::read_dir(site.folder.join("logs/d")).unwrap().count();
        [count("ops.dag_runs"), count("ops.task_runs"), logs]
    };
    assert_eq!((kept(), site.done().len()), ([6, 6, 6], 6));
    // A scheduler keeps house when it begins, and every ten minutes.
    drop(scheduler);
    let mut scheduler = site.scheduler_that_keeps(three_days, keys, "{date}");
    become_active(&mut scheduler, at("2026-03-16T12:00:00Z"));
    settle(&mut scheduler, at("2026-03-16T12:00:00Z"));
    assert_eq!(kept(), [3, 3, 3], "those of the 14th, 15th and 16th stay");
}

/// Waits until the lease of the scheduler before this one has run out.
fn become_active(scheduler: &mut Scheduler, now: Timestamp) {
    eventually("the lease runs out", || scheduler.tick(now).unwrap() != Tick::StandBy);
}
