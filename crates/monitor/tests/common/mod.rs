//! A whole pipeline in this process, as the monitor looks at it.
#![allow(dead_code, reason = "each test uses what it needs")]

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use adpipe_dlq::{Dlq, DlqSettings};
use adpipe_event::Millis;
use adpipe_log::{Headers, Topic};
use adpipe_monitor::figures::{Measure, Sources, measure};
use adpipe_monitor::pulse::Pulse;
use adpipe_monitor::signal::{Reading, Signal};
use adpipe_stream::{StreamConfig, backlog};
use adpipe_testkit::eventually;
use adpipe_testkit::rig::{self, Background, Draft};

/// A pipeline with what the monitor is told.
pub struct Rig {
    pipeline: rig::Rig,
    pub pulse: Pulse,
}

impl Deref for Rig {
    type Target = rig::Rig;

    fn deref(&self) -> &rig::Rig {
        &self.pipeline
    }
}

/// The same test on both databases.
pub fn on_both(test: &str, check: impl Fn(&Rig)) {
    rig::Rig::both(test).for_each(|pipeline| check(&Rig::new(pipeline)));
}

impl Rig {
    pub fn new(pipeline: rig::Rig) -> Rig {
        Rig { pipeline, pulse: Pulse::new() }
    }

    pub fn sources(&self) -> Sources {
        Sources::new(Arc::clone(&self.log), Arc::clone(&self.warehouse), self.pulse.clone())
    }

    pub fn append(&self, payloads: &[String]) {
        let draft = |payload: &String| {
            let payload = payload.clone().into_bytes();
            Draft { key: payload.clone(), payload, headers: Headers::default() }
        };
        self.pipeline.append(Topic::Raw, &payloads.iter().map(draft).collect::<Vec<_>>());
    }

    /// Runs the processor and the queue until nothing waits.
    pub fn process(&self) {
        let (log, warehouse) = (Arc::clone(&self.log), Arc::clone(&self.warehouse));
        let dlq = Dlq::new(DlqSettings::default(), log, warehouse, self.metrics.clone());
        let queue = Background::start(move |shutdown| adpipe_dlq::role::run(&dlq, shutdown).unwrap());
        let config = StreamConfig { linger: Duration::from_millis(5), ..StreamConfig::default() };
        let stream = self.stream(config);
        let (log, warehouse) = (self.log.as_ref(), self.warehouse.as_ref());
        eventually("everything is processed", || {
            let errors = adpipe_dlq::role::lag_of(log, warehouse).unwrap();
            backlog::records(log, warehouse).unwrap() == 0 && errors.iter().all(|(_, lag)| *lag == 0)
        });
        stream.end();
        queue.end();
    }
}

pub fn over(signal: Signal, window_s: u64) -> Measure {
    Measure { signal, window: Duration::from_secs(window_s), short_window: None, records: 0 }
}

pub fn readings(sources: &Sources, what: &Measure, now: Millis) -> Vec<Reading> {
    measure(sources, what, now).unwrap_or_else(|error| panic!("{what:?}: {error}"))
}

/// The one value of a signal.
pub fn value(sources: &Sources, what: &Measure, now: Millis) -> f64 {
    let found = readings(sources, what, now);
    assert_eq!(found.len(), 1, "{what:?}: {found:?}");
    found[0].value
}

/// A value of the series that has this label.
pub fn of(found: &[Reading], label: &str, name: &str) -> f64 {
    let reading = found.iter().find(|reading| reading.labels.get(label).is_some_and(|is| is == name));
    reading.unwrap_or_else(|| panic!("{name} is not in {found:?}")).value
}

pub fn event(id: usize, banner_pos: i64) -> String {
    format!(
        r#"{{"id":"e{id}","click":0,"hour":"14102100","banner_pos":{banner_pos},"site_id":"s","site_domain":"d","site_category":"c","app_id":"a","app_domain":"ad","app_category":"ac","device_id":"i","device_ip":"p","device_model":"m","device_type":1,"device_conn_type":0}}"#
    )
}

pub fn later(now: Millis, seconds: i64) -> Millis {
    Millis(now.0 + seconds * 1_000)
}
