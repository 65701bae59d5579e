//! Processes that live, end, and go away; their history.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use adpipe_event::Millis;
use adpipe_monitor::history::{self, Life};
use adpipe_monitor::processes::{Introduction, Presence};
use adpipe_monitor::signal::Signal;
use adpipe_runtime::Shutdown;
use adpipe_testkit::postgres::Postgres;
use adpipe_testkit::{eventually, rig};
use adpipe_warehouse::Schema;
use common::{Rig, later, of, on_both, over, readings};

fn start(rig: &Rig, roles: &str) -> (Presence, Shutdown) {
    let shutdown = Shutdown::new();
    let introduction = Introduction {
        roles: roles.to_owned(),
        version: "1.2.3".to_owned(),
        data_folder: Some(rig.folder.path().to_owned()),
    };
    let (warehouse, metrics) = (Arc::clone(&rig.warehouse), rig.metrics.clone());
    (Presence::start(introduction, warehouse, metrics, shutdown.clone()).unwrap(), shutdown)
}

#[test]
fn a_process_comes_and_goes() {
    on_both("a_process_comes_and_goes", |rig| {
        let (presence, shutdown) = start(rig, "stream dlq");
        eventually("a sample is there", || !rig.rows("select 1 from ops.process_samples").is_empty());
        let found = history::processes(rig.warehouse.as_ref(), Millis::now()).unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        let process = &found[0];
        assert_eq!((process.process.as_str(), process.life), (presence.process(), Life::Alive));
        assert_eq!((process.roles.as_str(), process.version.as_str()), ("stream dlq", "1.2.3"));
        assert_eq!(process.pid, i64::from(std::process::id()));
        let newest = process.newest.unwrap();
        assert!(newest.memory_bytes > 1 << 20 && newest.open_files > 2, "{newest:?}");
        assert!(newest.disk_size.unwrap() >= newest.disk_free.unwrap(), "{newest:?}");
        let text = rig.metrics.render().unwrap();
        assert!(
            text.contains("adpipe_warehouse_up 1\n") && text.contains("adpipe_disk_size_bytes "),
            "{text}"
        );

        shutdown.trigger();
        presence.end();
        let found = history::processes(rig.warehouse.as_ref(), Millis::now()).unwrap();
        assert_eq!(found[0].life, Life::Ended);
        assert!(found[0].ended_at.is_some());
        let silent = readings(&rig.sources(), &over(Signal::Silent, 0), later(Millis::now(), 600));
        assert_eq!(silent, [], "who ended in order is not missed");
    });
}

fn process(name: &str, roles: &str, started_at: Millis, seen_at: Millis) -> String {
    format!(
        "insert into ops.processes values ('{name}', 'host-{name}', 7, '{roles}', '1', '{started_at}', \
         '{seen_at}', null);"
    )
}

fn sample(name: &str, at: Millis, cpu_seconds: f64, free: i64) -> String {
    format!(
        "insert into ops.process_samples values ('{at}', '{name}', {cpu_seconds}, 1000, 5, {free}, 1000);"
    )
}

#[test]
fn who_is_not_seen_is_silent() {
    on_both("who_is_not_seen_is_silent", |rig| {
        let (sources, now) = (rig.sources(), Millis::now());
        rig.execute(
            Schema::Ops,
            &[
                process("gone", "stream", later(now, -9_000), later(now, -300)),
                process("lives", "dlq", later(now, -9_000), later(now, -10)),
                process("long_gone", "dlq", later(now, -900_000), later(now, -90_000)),
            ]
            .concat(),
        );
        let silent = readings(&sources, &over(Signal::Silent, 0), now);
        assert_eq!((of(&silent, "process", "gone"), of(&silent, "process", "lives")), (300.0, 10.0));
        assert_eq!(silent.len(), 2, "{silent:?}");
        let lives: Vec<(String, Life)> = history::processes(rig.warehouse.as_ref(), now)
            .unwrap()
            .into_iter()
            .map(|process| (process.process, process.life))
            .collect();
        assert_eq!(lives, [("lives".to_owned(), Life::Alive), ("gone".to_owned(), Life::Silent)]);
        // Another has come in its place.
        rig.execute(Schema::Ops, &process("new", "stream console", later(now, -200), later(now, -1)));
        let silent = readings(&sources, &over(Signal::Silent, 0), now);
        assert!(!silent.iter().any(|reading| reading.labels["process"] == "gone"), "{silent:?}");
    });
}

#[test]
fn what_processes_use_is_charted_and_forgotten() {
    on_both("what_processes_use_is_charted_and_forgotten", |rig| {
        let (mut sources, now) = (rig.sources(), Millis::now());
        let mut rows = vec![process("a", "stream", later(now, -9_000), later(now, -1))];
        // Half a core, then a whole one for the last minute.
        for step in 0..=20 {
            let cpu = f64::from(step.min(16)) * 7.5 + f64::from((step - 16).max(0)) * 15.0;
            rows.push(sample("a", later(now, i64::from(step - 20) * 15), cpu, 400 - i64::from(step)));
        }
        rows.push(process("old", "dlq", later(now, -40 * 86_400), later(now, -31 * 86_400)));
        rows.push(sample("old", later(now, -3 * 86_400), 1.0, 1));
        rows.push(format!(
            "insert into ops.readings values ('{}', 'lag', '{{}}', 5);",
            later(now, -3 * 86_400)
        ));
        rig.execute(Schema::Ops, &rows.concat());

        let found = history::processes(rig.warehouse.as_ref(), now).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].cpu_percent, Some(100.0));
        let usage =
            history::usage(rig.warehouse.as_ref(), later(now, -300), now, Duration::from_secs(60)).unwrap();
        assert_eq!(usage.len(), 1);
        let points = &usage[0].points;
        assert!((5..=6).contains(&points.len()), "{points:?}");
        assert_eq!((points[0].cpu_percent, points[1].cpu_percent), (None, Some(50.0)));
        assert_eq!(points.last().unwrap().disk_free, Some(380));

        // A host's disk is that of its fullest process; ours is looked at.
        rig.execute(Schema::Ops, &(process("b", "dlq", now, now) + &sample("b", now, 0.0, 50)));
        let free = readings(&sources, &over(Signal::DiskFree, 0), now);
        assert_eq!((of(&free, "host", "host-a"), of(&free, "host", "host-b")), (0.38, 0.05));
        sources.data_folder = Some(rig.folder.path().join("not/there"));
        assert_eq!(readings(&sources, &over(Signal::DiskFree, 0), now).len(), 3);

        let recorded = history::record(&sources, now).unwrap();
        assert!(recorded.len() >= 8, "{recorded:?}");
        for (signal, reading) in recorded {
            let series = history::readings(
                rig.warehouse.as_ref(),
                signal,
                later(now, -60),
                now,
                Duration::from_secs(15),
            )
            .unwrap();
            let kept = series.iter().find(|series| series.labels == reading.labels).unwrap();
            assert_eq!(kept.points, [(now, reading.value)], "{signal:?}");
        }
        // The first record has shortened the history.
        assert_eq!(rig.rows("select 1 from ops.processes where process = 'old'"), Vec::<Vec<_>>::new());
        assert_eq!(rig.rows("select 1 from ops.process_samples where process = 'old'"), Vec::<Vec<_>>::new());
        assert_eq!(rig.rows("select 1 from ops.readings where value = 5"), Vec::<Vec<_>>::new());
        assert_eq!(history::retire(rig.warehouse.as_ref(), now).unwrap(), 0);
    });
}

#[test]
fn a_warehouse_goes_and_comes_back() {
    let Some(server) = Postgres::start("a_warehouse_goes_and_comes_back") else { return };
    let rig = Rig::new(rig::Rig::on_server(&server));
    let (presence, shutdown) = start(&rig, "stream");
    let mut sources = rig.sources();
    sources.pulse = presence.pulse();
    let is_up = |up: u8| rig.metrics.render().unwrap().contains(&format!("adpipe_warehouse_up {up}\n"));
    eventually("the warehouse is up", || is_up(1));
    server.stop_immediately();
    eventually("the warehouse is down", || is_up(0));
    let silent = common::value(&sources, &over(Signal::WarehouseSilent, 0), Millis::now());
    assert!(silent >= 5.0, "{silent}");
    server.start_again();
    eventually("the warehouse is up again", || is_up(1));
    let silent = common::value(&sources, &over(Signal::WarehouseSilent, 0), Millis::now());
    assert!(silent < 5.0, "{silent}");
    shutdown.trigger();
    presence.end();
    let found = history::processes(rig.warehouse.as_ref(), Millis::now()).unwrap();
    assert_eq!(found[0].life, Life::Ended, "{found:?}");
}
