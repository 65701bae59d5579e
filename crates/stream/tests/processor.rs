//! The processor against the real log and warehouse: fencing, refused rows, late events.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

use std::ops::Deref;
use std::time::Duration;

use adpipe_event::Millis;
use adpipe_log::{Headers, Offset, Topic, header};
use adpipe_runtime::Shutdown;
use adpipe_stream::{StreamConfig, StreamError, processor, verify};
use adpipe_testkit::eventually;
use adpipe_testkit::rig::{Draft, Ends, Rig};
use adpipe_warehouse::{audit, invalid, report};

struct Pipeline(Rig);

impl Deref for Pipeline {
    type Target = Rig;

    fn deref(&self) -> &Rig {
        &self.0
    }
}

impl Pipeline {
    fn new() -> Pipeline {
        Pipeline(Rig::sqlite())
    }

    fn append(&self, payloads: &[String]) {
        let draft = |payload: &String| Draft {
            key: b"same key, same partition".to_vec(),
            payload: payload.clone().into_bytes(),
            headers: Headers::default(),
        };
        self.0.append(Topic::Raw, &payloads.iter().map(draft).collect::<Vec<_>>());
    }

    /// Runs `processors` at once until nothing waits.
    fn process(&self, processors: usize) {
        self.0.process(processors, StreamConfig::default());
    }

    fn process_as(&self, config: StreamConfig) {
        self.0.process(1, config);
    }

    /// What a processor with this configuration makes of the log.
    fn run(&self, config: &StreamConfig, stop: &Shutdown) -> Result<(), StreamError> {
        processor::run(config, self.log.as_ref(), self.warehouse.as_ref(), &self.metrics, stop)
    }

    fn assert_proved(&self) {
        let verdict =
            verify::verify(self.log.as_ref(), self.warehouse.as_ref(), Duration::from_secs(7 * 86_400))
                .unwrap();
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
    let totals = report::totals(pipeline.warehouse.as_ref()).unwrap().all();
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
    let totals = report::totals(pipeline.warehouse.as_ref()).unwrap().all();
    assert_eq!((totals.valid, totals.duplicates, totals.invalid_by_type), (2, 0, [0, 0, 0, 0, 1, 0]));
    let error = pipeline.log.read(Topic::Error, 0, Offset(0), 1).unwrap();
    let record = error[0].get(0).unwrap();
    assert_eq!(record.headers.text(header::ERROR_TYPE), Some("sink"));
    assert!(record.headers.text(header::ERROR_MESSAGE).unwrap().contains("no such advertiser"));
    assert_eq!(record.payload, event("bad", "14102100").as_bytes());
    pipeline.assert_proved();
}

#[test]
fn a_failure_is_told_although_nothing_more_comes() {
    let pipeline = Pipeline::new();
    pipeline.append(&[event("1", "14102100")]);
    pipeline.process(1);
    let database = rusqlite::Connection::open(pipeline.folder.path().join("realtime.db")).unwrap();
    database
        .execute_batch(
            "pragma ignore_check_constraints = on;
             insert into hours (event_hour, version, archived_rows, archived_clicks, hot_copies)
             values ('2014-10-21 00:00:00', 1, -88, 0, 0)",
        )
        .unwrap();
    pipeline.append(&[event("2", "14102100")]);
    let stop = Shutdown::new();
    let config = StreamConfig { linger: Duration::from_millis(1), ..StreamConfig::default() };
    let outcome = std::thread::scope(|scope| {
        let _ends = Ends(&stop);
        let processor = scope.spawn(|| pipeline.run(&config, &stop));
        eventually("it ends by itself", || processor.is_finished());
        processor.join().unwrap()
    });
    assert!(outcome.unwrap_err().to_string().contains("-88 is not a count"));
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
        let _ends = Ends(&stop);
        scope.spawn(|| pipeline.run(&config, &stop).unwrap());
        for (id, time) in
            [("2", "2014-10-21T06:00:00Z"), ("3", "2014-10-21T05:58:00Z"), ("4", "2014-10-21T05:00:30Z")]
        {
            let before = report::totals(pipeline.warehouse.as_ref()).unwrap().all().valid;
            pipeline.append(&[event(id, time)]);
            let valid = || report::totals(pipeline.warehouse.as_ref()).unwrap().all().valid;
            eventually("it is counted", || valid() > before);
        }
    });
    let totals = report::totals(pipeline.warehouse.as_ref()).unwrap().all();
    assert_eq!((totals.valid, totals.late), (4, 1), "only the one an hour behind is late");
    let minutes = report::trend(
        pipeline.warehouse.as_ref(),
        report::Grain::Minute,
        adpipe_event::Millis(0)..adpipe_event::Millis::now(),
    )
    .unwrap();
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
    assert_eq!(audit::hourly_total(pipeline.warehouse.as_ref()).unwrap().impressions, 2);
    pipeline.assert_proved();
}

/// An attempt that appends its errors and dies before its commit: the warehouse cannot be written.
fn process_without_commit(pipeline: &Pipeline, config: StreamConfig, errors: u64) {
    let database = rusqlite::Connection::open(pipeline.folder.path().join("realtime.db")).unwrap();
    database.execute_batch("begin immediate").unwrap();
    let stop = Shutdown::new();
    std::thread::scope(|scope| {
        let _ends = Ends(&stop);
        let processor = scope.spawn(|| pipeline.run(&config, &stop));
        let appended = || pipeline.log.ranges(Topic::Error).unwrap()[0].next.0;
        eventually("the errors are appended", || appended() >= errors);
        stop.trigger();
        processor.join().unwrap().unwrap();
    });
    database.execute_batch("rollback").unwrap();
}

fn allowing(max_future: Duration) -> StreamConfig {
    StreamConfig { max_future, ..StreamConfig::default() }
}

#[test]
fn an_attempt_that_was_not_committed_leaves_no_error_behind() {
    let hours = |hours: u64| Duration::from_secs(hours * 3_600);
    let in_two_hours = (Millis::now().0 + 7_200_000, Millis::now().0 + 7_200_001);
    let soon = |id: &str, at: i64| event(id, &(Millis(at).to_string().replace(' ', "T") + "Z"));
    let pipeline = Pipeline::new();
    pipeline.append(&[event("first", "14102100")]);
    pipeline.process(1);

    // In error before the crash, valid after it.
    pipeline.append(&[soon("a", in_two_hours.0), event("b", "14102100"), "{not json".to_owned()]);
    process_without_commit(&pipeline, allowing(hours(1)), 2);
    pipeline.process_as(allowing(hours(3)));
    let totals = report::totals(pipeline.warehouse.as_ref()).unwrap().all();
    assert_eq!((totals.valid, totals.invalid()), (3, 1));
    assert_eq!(pipeline.log.ranges(Topic::Error).unwrap()[0].next.0, 3, "two errors, and one of them again");
    pipeline.assert_proved();

    // The same errors twice, and one that is new the second time.
    pipeline.append(&[soon("c", in_two_hours.1), "{not json".to_owned()]);
    process_without_commit(&pipeline, allowing(hours(3)), 4);
    pipeline.process_as(allowing(hours(1)));
    let totals = report::totals(pipeline.warehouse.as_ref()).unwrap().all();
    assert_eq!((totals.valid, totals.invalid()), (3, 3));
    pipeline.assert_proved();

    // An error that the account knows and nobody has is a gap anyway.
    let database = rusqlite::Connection::open(pipeline.folder.path().join("log.db")).unwrap();
    let newest = "chunk_id = (select max(chunk_id) from chunks where topic = 'ad_events_error')";
    database.execute(&format!("delete from chunks where {newest}"), []).unwrap();
    let error = verify::verify(pipeline.log.as_ref(), pipeline.warehouse.as_ref(), Duration::from_secs(1))
        .unwrap_err();
    assert!(error.to_string().contains("ad_events_error partition 0 offset"), "{error}");
}

#[test]
fn what_is_in_the_future_is_decided_by_the_time_of_the_append() {
    let pipeline = Pipeline::new();
    let max_future = Duration::from_secs(3_600);
    let limit = Millis::now().0 + 3_600_000 + 800;
    pipeline.append(&[event("a", &(Millis(limit).to_string().replace(' ', "T") + "Z"))]);
    // By the clock it no longer is by now.
    eventually("the clock goes on", || Millis::now().0 > limit - 3_600_000);
    pipeline.process_as(allowing(max_future));
    let totals = report::totals(pipeline.warehouse.as_ref()).unwrap().all();
    assert_eq!((totals.valid, totals.invalid()), (0, 1));
    pipeline.assert_proved();
}

#[test]
fn records_that_left_the_log_before_they_were_counted_are_a_gap() {
    let pipeline = Pipeline::new();
    pipeline.append(&[event("1", "14102100")]);
    pipeline.process(1);
    let partition =
        (0..3).find(|p| pipeline.log.ranges(Topic::Raw).unwrap()[*p as usize].next.0 == 1).unwrap();
    pipeline.append(&[event("2", "14102100"), event("3", "14102100")]);
    let everything = adpipe_log::RetentionPolicy { max_age: Duration::ZERO, max_bytes: 0 };
    // The age of a record is in whole milliseconds.
    std::thread::sleep(Duration::from_millis(2));
    pipeline.log.retire(everything, &[(Topic::Raw, partition, Offset(3))]).unwrap();
    let verdict =
        verify::verify(pipeline.log.as_ref(), pipeline.warehouse.as_ref(), Duration::from_secs(1)).unwrap();
    let torn = verdict.checks.iter().find(|check| !check.holds).unwrap();
    assert!(
        torn.detail.contains("offsets 1 to 3 were removed from the log before they were counted"),
        "{torn:?}"
    );
    let ended = pipeline.run(&StreamConfig::default(), &Shutdown::new());
    assert!(ended.unwrap_err().to_string().contains("offset 1 is no longer kept"));
}

#[test]
fn a_commit_that_lacks_records_is_a_gap() {
    let pipeline = Pipeline::new();
    pipeline.append(&[event("1", "14102100"), event("2", "14102100"), event("3", "14102100")]);
    pipeline.process(1);
    let database = rusqlite::Connection::open(pipeline.folder.path().join("realtime.db")).unwrap();
    database.execute("update commits set records = 2, valid = 2", []).unwrap();
    let verdict =
        verify::verify(pipeline.log.as_ref(), pipeline.warehouse.as_ref(), Duration::from_secs(1)).unwrap();
    let is_named = |check: &adpipe_counting::Check| check.detail.contains("2 records for 3 offsets");
    assert!(verdict.checks.iter().any(is_named), "{:?}", verdict.checks);
}

#[test]
fn which_records_are_in_error_is_forgotten_with_old_commits_and_the_account_stays_whole() {
    let pipeline = Pipeline::new();
    pipeline.append(&[event("1", "14102100"), "{not json".to_owned(), event("2", "14102100")]);
    pipeline.process(1);
    let database = rusqlite::Connection::open(pipeline.folder.path().join("realtime.db")).unwrap();
    let number = |sql: &str| database.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    let text = |sql: &str| database.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(text("select offsets from invalid_offsets"), "1");
    invalid::retire(pipeline.warehouse.as_ref()).unwrap();
    assert_eq!(number("select count(*) from invalid_offsets"), 1, "not before its time");
    database.execute("update commits set committed_at = '2020-01-01 00:00:00'", []).unwrap();
    invalid::retire(pipeline.warehouse.as_ref()).unwrap();
    assert_eq!(number("select count(*) from invalid_offsets"), 0);
    assert_eq!(number("select max(next_offset) from invalid_since"), 3);
    pipeline.assert_proved();

    pipeline.append(&["{not json".to_owned()]);
    pipeline.process(1);
    pipeline.assert_proved();
    database.execute("update invalid_offsets set offsets = '2'", []).unwrap();
    let error = verify::verify(pipeline.log.as_ref(), pipeline.warehouse.as_ref(), Duration::from_secs(1))
        .unwrap_err();
    assert!(error.to_string().contains("offsets 3 to 4: the row's checksum does not fit"), "{error}");
}
