//! A whole pipeline in this process: log, warehouse, stream processor and queue.
#![allow(dead_code, reason = "each test uses what it needs")]

use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use adpipe_dlq::report::{ErrorLine, list};
use adpipe_dlq::{Dlq, DlqSettings, Filter, Status};
use adpipe_event::Millis;
use adpipe_log::{Headers, Topic};
use adpipe_stream::StreamConfig;
use adpipe_stream::verify::verify;
use adpipe_testkit::postgres::Postgres;
use adpipe_testkit::rig::{self, Background, Draft};
use adpipe_warehouse::Value;

/// A pipeline with a queue.
pub struct Rig {
    // Before what they work on goes.
    stream: Option<Background>,
    roles: Vec<Background>,
    pub dlq: Dlq,
    max_future: Duration,
    pipeline: rig::Rig,
}

impl Deref for Rig {
    type Target = rig::Rig;

    fn deref(&self) -> &rig::Rig {
        &self.pipeline
    }
}

/// Retries that do not keep a test waiting.
pub fn quick() -> DlqSettings {
    DlqSettings {
        base_backoff: Duration::from_millis(20),
        max_backoff: Duration::from_millis(200),
        lease: Duration::from_secs(2),
        max_future: Duration::from_secs(2),
        ..DlqSettings::default()
    }
}

/// The same test on both databases.
pub fn on_both(test: &str, settings: DlqSettings, check: impl Fn(&mut Rig)) {
    for pipeline in rig::Rig::both(test) {
        check(&mut Rig::new(pipeline, settings.clone()));
    }
}

impl Rig {
    pub fn sqlite(settings: DlqSettings) -> Rig {
        Rig::new(rig::Rig::sqlite(), settings)
    }

    pub fn postgres(server: Arc<Postgres>, settings: DlqSettings) -> Rig {
        Rig::new(rig::Rig::postgres(server), settings)
    }

    fn new(pipeline: rig::Rig, settings: DlqSettings) -> Rig {
        let max_future = settings.max_future;
        let (log, warehouse) = (Arc::clone(&pipeline.log), Arc::clone(&pipeline.warehouse));
        let dlq = Dlq::new(settings, log, warehouse, pipeline.metrics.clone());
        Rig { stream: None, roles: Vec::new(), dlq, max_future, pipeline }
    }

    /// Starts the stream processor and as many keepers of the queue.
    pub fn start(&mut self, keepers: usize) {
        self.start_stream();
        for _ in 0..keepers {
            self.start_role();
        }
    }

    pub fn start_stream(&mut self) {
        let config = StreamConfig { max_future: self.max_future, ..StreamConfig::default() };
        self.stream = Some(self.pipeline.stream(config));
    }

    pub fn start_role(&mut self) {
        let dlq = self.dlq.clone();
        self.roles.push(Background::start(move |shutdown| adpipe_dlq::role::run(&dlq, shutdown).unwrap()));
    }

    pub fn stop_roles(&mut self) {
        self.roles.drain(..).for_each(Background::end);
    }

    pub fn stop_stream(&mut self) {
        if let Some(stream) = self.stream.take() {
            stream.end();
        }
    }

    pub fn send(&self, payloads: &[Vec<u8>]) {
        self.append(
            Topic::Raw,
            payloads.iter().map(|payload| (payload.clone(), Headers::default())).collect(),
        );
    }

    pub fn append(&self, topic: Topic, records: Vec<(Vec<u8>, Headers)>) {
        let drafts: Vec<Draft> = records
            .into_iter()
            .map(|(payload, headers)| Draft { key: Vec::new(), payload, headers })
            .collect();
        self.pipeline.append(topic, &drafts);
    }

    pub fn await_status(&self, status: Status, expected: i64) {
        let sql = format!("select count(*) from errors.dlq_errors where status = '{}'", status.as_str());
        self.await_number(&sql, expected);
    }

    pub fn errors(&self, filter: &Filter) -> Vec<ErrorLine> {
        let page = list(&self.dlq, filter, None, 10_000).unwrap();
        assert_eq!(page.next, None);
        page.errors
    }

    /// Everything adds up: the proof of `adpipe verify`, and the counts of the groups.
    pub fn verify(&self) {
        let verdict =
            verify(self.log.as_ref(), self.warehouse.as_ref(), Duration::from_secs(7 * 86_400)).unwrap();
        let gaps: Vec<_> = verdict.checks.iter().filter(|check| !check.holds).collect();
        assert!(gaps.is_empty(), "{gaps:?}");
        let rows = adpipe_warehouse::covered::check_rows(self.warehouse.as_ref()).unwrap();
        assert!(rows.damaged.is_empty() && rows.sound > 0, "{rows:?}");
        let by_group =
            "select fingerprint, status, count(*) from errors.dlq_errors group by 1, 2 order by 1, 2";
        let counted: Vec<Vec<Value>> = self.rows(by_group);
        let mut kept = Vec::new();
        for group in adpipe_dlq::report::groups(&self.dlq).unwrap() {
            for status in Status::ALL {
                let count = group.counts[status as usize];
                if count > 0 {
                    kept.push(vec![
                        Value::from(group.fingerprint.as_str()),
                        Value::from(status.as_str()),
                        Value::Int(count as i64),
                    ]);
                }
            }
        }
        kept.sort_by_key(|row| (row[0].to_string(), row[1].to_string()));
        assert_eq!(counted, kept, "the counts of the groups are not those of the errors");
    }
}

/// An event with these changes to its fields.
pub fn event(
    id: &str,
    hour: &str,
    change: impl FnOnce(&mut serde_json::Map<String, serde_json::Value>),
) -> Vec<u8> {
    let mut event = serde_json::json!({
        "id": id, "click": 1, "hour": hour, "banner_pos": 1, "device_type": 1, "device_conn_type": 0,
        "site_id": "s", "site_domain": "d", "site_category": "c", "app_id": "a", "app_domain": "b",
        "app_category": "e", "device_id": "f", "device_ip": "g", "device_model": "h",
    });
    change(event.as_object_mut().unwrap());
    event.to_string().into_bytes()
}

/// RFC 3339, so many milliseconds from now.
pub fn from_now(ms: i64) -> String {
    Millis(Millis::now().0 + ms).to_string().replace(' ', "T") + "Z"
}

pub fn folder_of(rig: &Rig) -> &Path {
    rig.folder.path()
}
