//! Files into the log: once, from where they were left, and not faster than they are processed.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use adpipe_event::{ErrorLimit, FieldMap, Rules};
use adpipe_ingest::{Checker, Ended, FileIngest, IngestError, Ingested, Lag, LagGauge, Notice, Source};
use adpipe_log::sqlite::SqliteLog;
use adpipe_log::{EventLog, Topic};
use adpipe_metrics::Metrics;
use adpipe_runtime::Shutdown;

const SOUND: &str = r#"{"id":"1","click":0,"hour":"14102100","banner_pos":0,"site_id":"a","site_domain":"b","site_category":"c","app_id":"d","app_domain":"e","app_category":"f","device_id":"g","device_ip":"h","device_model":"i","device_type":1,"device_conn_type":0}"#;

/// A log, a file to be taken in, and how many records wait for the processor.
struct Rig {
    folder: tempfile::TempDir,
    log: SqliteLog,
    metrics: Metrics,
    waiting: Arc<AtomicU64>,
    has_processor: bool,
    notices: RefCell<Vec<Notice>>,
}

impl Rig {
    fn new() -> Rig {
        let folder = tempfile::tempdir().unwrap();
        let log = SqliteLog::open(&folder.path().join("log")).unwrap();
        let (metrics, waiting) = (Metrics::new("test").unwrap(), Arc::default());
        Rig { folder, log, metrics, waiting, has_processor: true, notices: RefCell::default() }
    }

    fn file(&self, text: &str) -> PathBuf {
        let path = self.folder.path().join("events.ndjson");
        std::fs::write(&path, text).unwrap();
        path
    }

    fn ingest(&self, path: &Path, limit: Option<ErrorLimit>) -> (Ended, Ingested) {
        let waiting = Arc::clone(&self.waiting);
        let lag = LagGauge::new(move || Ok(Lag { records: waiting.load(Ordering::Acquire), errors: 0 }));
        let (fields, shutdown) = (FieldMap::default(), Shutdown::new());
        let files = FileIngest {
            log: &self.log,
            metrics: &self.metrics,
            lag: &lag,
            max_lag_records: 10,
            has_processor: &|| Ok(self.has_processor),
            max_record_bytes: 1_000,
            fields: &fields,
            format: None,
            shutdown: &shutdown,
        };
        let checker = limit.map(|limit| Checker::new(Rules::default(), limit));
        let mut ingested = Ingested { checker, ..Ingested::default() };
        let source = Source::open(path, &shutdown).unwrap();
        let show = |notice| {
            // The processor catches up once it is waited for.
            self.waiting.store(0, Ordering::Release);
            self.notices.borrow_mut().push(notice);
        };
        let ended = files.ingest(source, &mut ingested, &show).unwrap();
        (ended, ingested)
    }

    fn in_log(&self) -> u64 {
        self.log.ranges(Topic::Raw).unwrap().iter().map(|range| range.next.0).sum()
    }
}

#[test]
fn a_file_is_taken_up_to_the_limit_and_then_on_from_there() {
    let rig = Rig::new();
    let path = rig.file(&format!("{SOUND}\n{SOUND}\n[]\n{SOUND}\n"));
    let (ended, ingested) = rig.ingest(&path, Some(ErrorLimit::Count(0)));
    assert_eq!((ended, ingested.records, rig.in_log()), (Ended::TooManyInvalid, 2, 2));
    assert_eq!(ingested.checker.unwrap().stopped_before().map(|record| record.row), Some(3));

    let (ended, ingested) = rig.ingest(&path, None);
    assert_eq!((ended, ingested.records, ingested.resumed_from), (Ended::Whole, 2, 2));
    assert_eq!(rig.in_log(), 4);
    assert!(rig.notices.borrow().contains(&Notice::Resumes { record: 2 }));

    // Finished, it counts as new.
    let (ended, ingested) = rig.ingest(&path, None);
    assert_eq!((ended, ingested.records, ingested.resumed_from), (Ended::Whole, 4, 0));
}

#[test]
fn a_processor_that_is_behind_is_waited_for() {
    let mut rig = Rig::new();
    let path = rig.file(SOUND);
    rig.waiting.store(10, Ordering::Release);
    assert_eq!(rig.ingest(&path, None).0, Ended::Whole);
    assert_eq!(*rig.notices.borrow(), [Notice::Waits { records: 10 }, Notice::Appended { records: 1 }]);

    // Nobody to wait for.
    (rig.has_processor, rig.notices) = (false, RefCell::default());
    rig.waiting.store(10, Ordering::Release);
    assert_eq!(rig.ingest(&path, None).0, Ended::Whole);
    assert_eq!(*rig.notices.borrow(), [Notice::Appended { records: 1 }]);
}

#[test]
fn what_holds_no_file_or_no_bytes_is_said() {
    let rig = Rig::new();
    let (ended, ingested) = rig.ingest(&rig.file(""), None);
    assert_eq!((ended, ingested.records), (Ended::Whole, 0));
    assert_eq!(*rig.notices.borrow(), [Notice::Empty]);
    let open = |path: &Path| Source::open(path, &Shutdown::new()).err();
    assert!(matches!(open(rig.folder.path()), Some(IngestError::Folder { .. })));
    assert!(matches!(open(&rig.folder.path().join("none")), Some(IngestError::Open { .. })));
}
