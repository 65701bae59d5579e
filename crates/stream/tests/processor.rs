//! The processor against the real log and warehouse: fencing, refused rows, late events.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

use std::time::{Duration, Instant};

use adpipe_log::sqlite::SqliteLog;
use adpipe_log::{EventLog, Headers, Offset, Records, Topic, header};
use adpipe_metrics::Metrics;
use adpipe_stream::shutdown::Shutdown;
use adpipe_stream::{StreamConfig, backlog, processor, verify};
use adpipe_warehouse::sqlite::SqliteWarehouse;
use adpipe_warehouse::{Warehouse, audit, report};

struct Pipeline {
    folder: tempfile::TempDir,
    log: SqliteLog,
    warehouse: SqliteWarehouse,
    metrics: Metrics,
}

impl Pipeline {
    fn new() -> Pipeline {
        let folder = tempfile::tempdir().unwrap();
        let log = SqliteLog::open(folder.path()).unwrap();
        let warehouse = SqliteWarehouse::open(folder.path()).unwrap();
        Pipeline { folder, log, warehouse, metrics: Metrics::new("test").unwrap() }
    }

    fn append(&self, payloads: &[String]) {
        let mut records = Records::new();
        let headers = records.add_headers(Headers::default());
        for payload in payloads {
            assert!(records.push(b"same key, same partition", payload.as_bytes(), headers));
        }
        self.log.append(Topic::Raw, records, None).unwrap().wait().unwrap();
    }

    /// Runs `processors` at once until nothing waits.
    fn process(&self, processors: usize) {
        let stop = Shutdown::new();
        let config = StreamConfig { linger: Duration::from_millis(5), ..StreamConfig::default() };
        std::thread::scope(|scope| {
            for _ in 0..processors {
                scope.spawn(|| {
                    processor::run(&config, &self.log, &self.warehouse, &self.metrics, &stop).unwrap()
                });
            }
            let started = Instant::now();
            while backlog::lag(&self.log, &self.warehouse).unwrap().iter().any(|lag| lag.records > 0) {
                assert!(started.elapsed() < Duration::from_secs(60), "the processor does not get done");
                std::thread::sleep(Duration::from_millis(5));
            }
            stop.trigger();
        });
    }

    fn assert_proved(&self) {
        let verdict = verify::verify(&self.log, &self.warehouse, Duration::from_secs(7 * 86_400)).unwrap();
        assert!(verdict.holds(), "{:#?}", verdict.checks);
    }
}

fn event(id: &str, time: &str) -> String {
    format!(
        r#"{{"id":"{id}","click":1,"hour":"{time}","banner_pos":0,"site_id":"a","site_domain":"b",
        "site_category":"c","app_id":"d","app_domain":"e","app_category":"f","device_id":"g",
        "device_ip":"h","device_model":"i","device_type":1,"device_conn_type":0}}"#
    )
    .replace('\n', "")
}

#[test]
fn two_processors_on_one_log_count_once() {
    let pipeline = Pipeline::new();
    for step in 0..20 {
        let events: Vec<String> = (0..500).map(|n| event(&format!("{step}-{n}"), "14102100")).collect();
        pipeline.append(&events);
    }
    pipeline.process(3);
    let totals = report::totals(&pipeline.warehouse).unwrap();
    assert_eq!((totals.records, totals.valid, totals.duplicates), (10_000, 10_000, 0));
    pipeline.assert_proved();
}

#[test]
fn a_row_that_the_warehouse_refuses_is_alone() {
    let pipeline = Pipeline::new();
    let database = rusqlite::Connection::open(pipeline.folder.path().join("realtime.db")).unwrap();
    database
        .execute_batch(
            "create trigger refuse before insert on events when new.event_id = 'bad'
             begin select raise(abort, 'no such advertiser'); end",
        )
        .unwrap();
    pipeline.append(&[event("good", "14102100"), event("bad", "14102100"), event("fine", "14102101")]);
    pipeline.process(1);
    let totals = report::totals(&pipeline.warehouse).unwrap();
    assert_eq!((totals.valid, totals.duplicates, totals.invalid_by_type), (2, 0, [0, 0, 0, 0, 1]));
    let error = pipeline.log.read(Topic::Error, 0, Offset(0), 1).unwrap();
    let record = error[0].get(0).unwrap();
    assert_eq!(record.headers.text(header::ERROR_TYPE), Some("sink"));
    assert!(record.headers.text(header::ERROR_MESSAGE).unwrap().contains("no such advertiser"));
    assert_eq!(record.payload, event("bad", "14102100").as_bytes());
    pipeline.assert_proved();
}

#[test]
fn late_events_are_counted_in_their_window_and_as_late() {
    let pipeline = Pipeline::new();
    pipeline.append(&[event("1", "2014-10-21T05:00:00Z")]);
    pipeline.process(1);
    // Within one processor's life: the first batch moves the clock of the events on.
    let stop = Shutdown::new();
    let config = StreamConfig { linger: Duration::from_millis(1), ..StreamConfig::default() };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            processor::run(&config, &pipeline.log, &pipeline.warehouse, &pipeline.metrics, &stop).unwrap();
        });
        for (id, time) in
            [("2", "2014-10-21T06:00:00Z"), ("3", "2014-10-21T05:58:00Z"), ("4", "2014-10-21T05:00:30Z")]
        {
            let before = report::totals(&pipeline.warehouse).unwrap().valid;
            pipeline.append(&[event(id, time)]);
            while report::totals(&pipeline.warehouse).unwrap().valid == before {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        stop.trigger();
    });
    let totals = report::totals(&pipeline.warehouse).unwrap();
    assert_eq!((totals.valid, totals.late), (4, 1), "only the one an hour behind is late");
    let minutes = report::trend(&pipeline.warehouse, report::Grain::Minute, adpipe_event::Millis(0)).unwrap();
    assert_eq!(minutes[0].ctr.impressions, 2, "the late one is in its own minute");
    pipeline.assert_proved();
}

#[test]
fn retention_keeps_hours_and_the_account() {
    let pipeline = Pipeline::new();
    pipeline.append(&[event("old", "14102100"), event("new", "14103000")]);
    pipeline.process(1);
    let policy = adpipe_warehouse::RetentionPolicy {
        minutes: Duration::from_secs(7 * 24 * 3_600),
        commits: Duration::ZERO,
        events: Duration::ZERO,
    };
    let retired = pipeline.warehouse.retire(policy).unwrap();
    assert_eq!(retired.minute_rows, 1, "nine days before the newest minute");
    assert_eq!(audit::hourly_total(&pipeline.warehouse).unwrap().impressions, 2);
    pipeline.assert_proved();
}
