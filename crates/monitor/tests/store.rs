//! `ops.alerts` and `ops.silences` on both databases.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod course;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use adpipe_event::Millis;
use adpipe_metrics::Metrics;
use adpipe_monitor::MonitorError;
use adpipe_monitor::announce::Announce;
use adpipe_monitor::evaluate::Moment;
use adpipe_monitor::figures::Measure;
use adpipe_monitor::role::{Figures, Look, Monitor, MonitorConfig};
use adpipe_monitor::signal::{Labels, Reading, Signal};
use adpipe_monitor::store::{self, Alert, Announced, NewSilence, State};
use adpipe_testkit::eventually;
use adpipe_testkit::postgres::Postgres;
use adpipe_warehouse::postgres::{PostgresSettings, PostgresWarehouse};
use adpipe_warehouse::sqlite::SqliteWarehouse;
use adpipe_warehouse::{Schema, Warehouse};
use course::{Ear, of_dag, reading, rules};

/// Runs a test on both databases.
fn on_both(test: &str, check: impl Fn(Arc<dyn Warehouse>)) {
    let folder = tempfile::tempdir().unwrap();
    check(Arc::new(SqliteWarehouse::open(folder.path()).unwrap()));
    let Some(server) = Postgres::shared(test) else { return };
    let settings = PostgresSettings::from_url(&server.new_database()).unwrap();
    check(Arc::new(PostgresWarehouse::open(settings).unwrap()));
}

/// What is measured, as the test sets it.
#[derive(Clone, Default)]
struct Figured(Arc<Mutex<Vec<(Signal, Found)>>>);

/// What a signal gives: readings, or that it cannot be measured.
type Found = Result<Vec<Reading>, ()>;

impl Figured {
    fn set(&self, signal: Signal, readings: Found) {
        let mut figures = self.0.lock().unwrap();
        figures.retain(|(known, _)| *known != signal);
        figures.push((signal, readings));
    }

    fn figures(&self) -> Figures {
        let figured = self.clone();
        Figures {
            measure: Arc::new(move |measure: &Measure, _| {
                let figures = figured.0.lock().unwrap();
                let found = figures.iter().find(|(signal, _)| *signal == measure.signal);
                match found {
                    Some((_, Ok(readings))) => Ok(readings.clone()),
                    Some((_, Err(()))) => Err(MonitorError::Silent),
                    None => Ok(Vec::new()),
                }
            }),
            record: Arc::new(|_| Ok(())),
        }
    }
}

fn monitor(warehouse: &Arc<dyn Warehouse>, figured: &Figured, ear: &Ear) -> Monitor {
    monitor_with(warehouse, figured, ear, None)
}

fn monitor_with(
    warehouse: &Arc<dyn Warehouse>,
    figured: &Figured,
    ear: &Ear,
    folder: Option<&Path>,
) -> Monitor {
    let config = MonitorConfig {
        rules: rules(),
        every: Duration::from_secs(1),
        keep: Duration::from_secs(3_600),
        folder: folder.map(Path::to_path_buf),
    };
    let announcer: Box<dyn Announce> = Box::new(ear.clone());
    let metrics = Metrics::new("0").unwrap();
    Monitor::new(config, Arc::clone(warehouse), figured.figures(), announcer, metrics).unwrap()
}

/// A look `seconds` after the clock of now.
fn look(monitor: &mut Monitor, start: Millis, seconds: u64) -> Look {
    let wall = Millis(start.0 + seconds as i64 * 1_000);
    monitor.look(Moment { wall, steady: Duration::from_secs(seconds) }, &|_| true).unwrap()
}

fn states(alerts: &[Alert]) -> Vec<String> {
    let mut states: Vec<String> = alerts
        .iter()
        .map(|alert| {
            let labels: String = alert.labels.values().map(|value| format!(" {value}")).collect();
            format!("{}{labels} {} '{}'", alert.rule, alert.state.word(), alert.announced.word())
        })
        .collect();
    states.sort();
    states
}

const NOTHING: [&str; 0] = [];

#[test]
fn a_look_stores_what_changed_and_tells_it_once() {
    on_both("a_look_stores_what_changed_and_tells_it_once", |warehouse| {
        let (figured, ear) = (Figured::default(), Ear::default());
        let mut monitor = monitor(&warehouse, &figured, &ear);
        let start = Millis::now();
        figured.set(Signal::Latency, Ok(vec![reading(7.5)]));
        figured.set(Signal::DagFailures, Ok(vec![of_dag("a", 1.0), of_dag("b", 0.0)]));
        look(&mut monitor, start, 0);
        let open = store::open_alerts(warehouse.as_ref()).unwrap();
        assert_eq!(states(&open), ["DagFailed a firing 'firing'", "LatencyHigh pending ''"]);
        assert_eq!(ear.heard(), ["fired DagFailed a"]);

        // Its time is over; the other one is gone.
        figured.set(Signal::DagFailures, Ok(Vec::new()));
        look(&mut monitor, start, 30);
        let open = store::open_alerts(warehouse.as_ref()).unwrap();
        assert_eq!(states(&open), ["LatencyHigh firing 'firing'"]);
        let alert = &open[0];
        assert_eq!((alert.value, alert.worst, alert.threshold), (7.5, 7.5, 5.0));
        assert_eq!((alert.pending_since, alert.firing_since), (start, Some(Millis(start.0 + 30_000))));
        assert_eq!(store::alert(warehouse.as_ref(), &alert.alert_id).unwrap().as_ref(), Some(alert));

        // A pending one that passes leaves nothing behind.
        figured.set(Signal::Latency, Ok(vec![reading(1.0)]));
        look(&mut monitor, start, 45);
        figured.set(Signal::Latency, Ok(vec![reading(9.0)]));
        look(&mut monitor, start, 60);
        assert_eq!(states(&store::open_alerts(warehouse.as_ref()).unwrap()), ["LatencyHigh pending ''"]);
        figured.set(Signal::Latency, Ok(vec![reading(1.0)]));
        look(&mut monitor, start, 75);
        assert!(store::open_alerts(warehouse.as_ref()).unwrap().is_empty());
        let history = store::history(warehouse.as_ref(), start).unwrap();
        assert_eq!(states(&history), ["DagFailed a resolved 'resolved'", "LatencyHigh resolved 'resolved'"]);
        let heard = ear.heard();
        assert_eq!(
            heard,
            ["fired DagFailed a", "resolved DagFailed a", "fired LatencyHigh", "resolved LatencyHigh"]
        );
        assert!(store::history(warehouse.as_ref(), Millis(start.0 + 3_600_000)).unwrap().is_empty());
        monitor.stop();
    });
}

#[test]
fn what_cannot_be_measured_stays_as_it_is() {
    on_both("what_cannot_be_measured_stays_as_it_is", |warehouse| {
        let (figured, ear) = (Figured::default(), Ear::default());
        let mut monitor = monitor(&warehouse, &figured, &ear);
        let start = Millis::now();
        figured.set(Signal::DagFailures, Ok(vec![of_dag("a", 1.0)]));
        look(&mut monitor, start, 0);
        figured.set(Signal::DagFailures, Err(()));
        let Look::Done(measured) = look(&mut monitor, start, 15) else { panic!("it holds the lease") };
        assert!(measured["DagFailed"].is_err());
        assert_eq!(states(&store::open_alerts(warehouse.as_ref()).unwrap()), ["DagFailed a firing 'firing'"]);
        assert_eq!(ear.heard(), ["fired DagFailed a"]);
        monitor.stop();
    });
}

#[test]
fn one_monitor_is_active_and_the_next_goes_on_with_its_states() {
    on_both("one_monitor_is_active_and_the_next_goes_on_with_its_states", |warehouse| {
        let (figured, ear) = (Figured::default(), Ear::default());
        let start = Millis::now();
        figured.set(Signal::Latency, Ok(vec![reading(7.5)]));
        figured.set(Signal::DagFailures, Ok(vec![of_dag("a", 1.0)]));
        // It cannot tell anybody: whoever comes after it does.
        ear.set_deaf(true);
        let mut first = monitor(&warehouse, &figured, &ear);
        look(&mut first, start, 0);
        let mut second = monitor(&warehouse, &figured, &ear);
        assert_eq!(look(&mut second, start, 1), Look::StandBy { sees_life: true });
        assert_eq!(ear.heard(), NOTHING);
        let before = store::open_alerts(warehouse.as_ref()).unwrap();
        assert_eq!(states(&before), ["DagFailed a firing ''", "LatencyHigh pending ''"]);
        first.stop();

        // Over by now, and nobody was told: both are, in order.
        ear.set_deaf(false);
        figured.set(Signal::DagFailures, Ok(Vec::new()));
        look(&mut second, start, 31);
        let after = store::open_alerts(warehouse.as_ref()).unwrap();
        assert_eq!(states(&after), ["LatencyHigh firing 'firing'"]);
        let latency = before.iter().find(|alert| alert.rule == "LatencyHigh").unwrap();
        assert_eq!((&after[0].alert_id, after[0].pending_since), (&latency.alert_id, start));
        assert_eq!(ear.heard(), ["fired DagFailed a", "resolved DagFailed a", "fired LatencyHigh"]);
        second.stop();
    });
}

#[test]
fn people_acknowledge_and_the_monitor_keeps_it() {
    on_both("people_acknowledge_and_the_monitor_keeps_it", |warehouse| {
        let (figured, ear) = (Figured::default(), Ear::default());
        let mut monitor = monitor(&warehouse, &figured, &ear);
        let start = Millis::now();
        figured.set(Signal::DagFailures, Ok(vec![of_dag("a", 1.0)]));
        look(&mut monitor, start, 0);
        let id = store::open_alerts(warehouse.as_ref()).unwrap()[0].alert_id.clone();
        let known = store::acknowledge(warehouse.as_ref(), &id, "ann", "mine\u{1b}[2J").unwrap();
        assert_eq!((known.acknowledged_by.as_deref(), known.note.as_str()), (Some("ann"), "mine [2J"));
        figured.set(Signal::DagFailures, Ok(vec![of_dag("a", 2.0)]));
        look(&mut monitor, start, 15);
        let alert = store::alert(warehouse.as_ref(), &id).unwrap().unwrap();
        assert_eq!((alert.value, alert.acknowledged_by.as_deref()), (2.0, Some("ann")));
        figured.set(Signal::DagFailures, Ok(Vec::new()));
        look(&mut monitor, start, 30);
        assert_eq!(ear.heard(), ["fired DagFailed a", "resolved DagFailed a"]);
        let alert = store::alert(warehouse.as_ref(), &id).unwrap().unwrap();
        assert_eq!((alert.state, alert.note.as_str()), (State::Resolved, "mine [2J"));

        let refused = |result: Result<Alert, MonitorError>| result.unwrap_err().to_string();
        assert!(
            refused(store::acknowledge(warehouse.as_ref(), &id, "ann", "")).contains("has already resolved")
        );
        assert!(
            refused(store::acknowledge(warehouse.as_ref(), "x", "ann", "")).contains("there is no alert x")
        );
        monitor.stop();
    });
}

#[test]
fn silences_begin_end_and_are_obeyed() {
    on_both("silences_begin_end_and_are_obeyed", |warehouse| {
        let (figured, ear) = (Figured::default(), Ear::default());
        let mut monitor = monitor(&warehouse, &figured, &ear);
        let start = Millis::now();
        let new = |rule: &str, starts_at, lasts| NewSilence {
            rule: rule.to_owned(),
            labels: Labels::from([("dag".to_owned(), "a".to_owned())]),
            starts_at,
            lasts: Duration::from_secs(lasts),
            comment: "moving".to_owned(),
            created_by: "ann".to_owned(),
        };
        let silence = store::silence(warehouse.as_ref(), &new("DagFailed", start, 3_600)).unwrap();
        let later =
            store::silence(warehouse.as_ref(), &new("", Millis(start.0 + 86_400_000), u64::MAX)).unwrap();
        let known = store::silences(warehouse.as_ref()).unwrap();
        assert!(known.len() == 2 && known.contains(&later) && known.contains(&silence), "{known:?}");
        assert!(store::silence(warehouse.as_ref(), &new("DagFailed", start, 0)).is_err());

        figured.set(Signal::DagFailures, Ok(vec![of_dag("a", 1.0), of_dag("b", 1.0)]));
        look(&mut monitor, start, 1);
        assert_eq!(ear.heard(), ["fired DagFailed b"]);
        let open = store::open_alerts(warehouse.as_ref()).unwrap();
        assert_eq!(states(&open), ["DagFailed a firing ''", "DagFailed b firing 'firing'"]);

        store::end_silence(warehouse.as_ref(), &silence.silence_id).unwrap();
        assert!(store::end_silence(warehouse.as_ref(), &silence.silence_id).is_err());
        assert_eq!(store::silences(warehouse.as_ref()).unwrap(), [later]);
        look(&mut monitor, start, 2);
        look(&mut monitor, start, 3);
        assert_eq!(ear.heard(), ["fired DagFailed b", "fired DagFailed a"]);
        monitor.stop();
    });
}

#[test]
fn what_was_over_long_ago_is_removed() {
    on_both("what_was_over_long_ago_is_removed", |warehouse| {
        let (figured, ear) = (Figured::default(), Ear::default());
        let start = Millis(Millis::now().0 - 2 * 3_600_000);
        figured.set(Signal::DagFailures, Ok(vec![of_dag("a", 1.0), of_dag("b", 1.0)]));
        let mut old = monitor(&warehouse, &figured, &ear);
        look(&mut old, start, 0);
        figured.set(Signal::DagFailures, Ok(vec![of_dag("b", 1.0)]));
        look(&mut old, start, 15);
        old.stop();
        assert_eq!(store::history(warehouse.as_ref(), start).unwrap().len(), 2);
        // Kept for an hour; what still fires is kept, however old.
        let mut new = monitor(&warehouse, &figured, &ear);
        look(&mut new, Millis::now(), 0);
        let left = store::history(warehouse.as_ref(), start).unwrap();
        assert_eq!(states(&left), ["DagFailed b firing 'firing'"]);
        new.stop();
    });
}

#[test]
fn rows_of_somebody_else_do_not_stop_it() {
    on_both("rows_of_somebody_else_do_not_stop_it", |warehouse| {
        let (figured, ear) = (Figured::default(), Ear::default());
        let mut monitor = monitor(&warehouse, &figured, &ear);
        let start = Millis::now();
        look(&mut monitor, start, 0);
        let mut session = warehouse.session(Schema::Ops).unwrap();
        let mut transaction = session.begin().unwrap();
        let row = format!(
            "insert into ops.alerts (alert_id, rule, labels, severity, state, value, worst, threshold, context,
                 pending_since, firing_since, updated_at, note, announced)
             values ('0', 'DagFailed', '{{\"dag\":\"a\"}}', 'warning', 'firing', 1, 1, 0, 'null',
                 '{start}', '{start}', '{start}', '', 'firing')"
        );
        transaction.script(&row).unwrap();
        transaction.commit().unwrap();
        drop(session);
        figured.set(Signal::DagFailures, Ok(vec![of_dag("a", 1.0)]));
        let moment = |seconds| Moment { wall: start, steady: Duration::from_secs(seconds) };
        // Its own alert of the same rule and labels has no room: it takes over what is there.
        assert!(monitor.look(moment(15), &|_| true).is_err());
        monitor.look(moment(30), &|_| true).unwrap();
        let open = store::open_alerts(warehouse.as_ref()).unwrap();
        assert_eq!(states(&open), ["DagFailed a firing 'firing'"]);
        assert_eq!((open[0].alert_id.as_str(), open[0].announced), ("0", Announced::Firing));
        assert_eq!(ear.heard(), NOTHING);
        monitor.stop();
    });
}

/// A server that is paused keeps its connections and answers nothing; so does a locked table.
#[test]
fn a_warehouse_that_hangs_is_not_waited_for() {
    let Some(server) = Postgres::shared("a_warehouse_that_hangs_is_not_waited_for") else { return };
    let settings = PostgresSettings::from_url(&server.new_database()).unwrap();
    let warehouse: Arc<dyn Warehouse> = Arc::new(PostgresWarehouse::open(settings).unwrap());
    let (figured, ear) = (Figured::default(), Ear::default());
    let mut monitor = monitor(&warehouse, &figured, &ear);
    let start = Millis::now();
    look(&mut monitor, start, 0);

    let mut session = warehouse.session(Schema::Ops).unwrap();
    let mut lock = session.begin().unwrap();
    lock.script("lock table ops.alerts in access exclusive mode").unwrap();
    figured.set(Signal::WarehouseSilent, Ok(vec![reading(60.0)]));
    figured.set(Signal::DagFailures, Ok(vec![of_dag("a", 1.0)]));
    look(&mut monitor, start, 15);
    assert_eq!(ear.heard(), ["fired DagFailed a", "fired WarehouseDown"]);
    // Its hands are still full: what needs the warehouse is not known, the rest is.
    figured.set(Signal::WarehouseSilent, Ok(vec![reading(0.0)]));
    figured.set(Signal::DagFailures, Ok(Vec::new()));
    let Look::Done(measured) = look(&mut monitor, start, 30) else { panic!("it holds the lease") };
    assert!(measured["DagFailed"].is_err() && measured["WarehouseDown"].is_ok(), "{measured:?}");
    assert_eq!(ear.heard().last().unwrap(), "resolved WarehouseDown");
    drop(lock);
    drop(session);

    let expected = ["DagFailed a resolved 'resolved'", "WarehouseDown resolved 'resolved'"];
    eventually("both are resolved", || {
        look(&mut monitor, start, 45);
        states(&store::history(warehouse.as_ref(), start).unwrap()) == expected
    });
    assert_eq!(ear.heard().len(), 4, "{:?}", ear.heard());
    monitor.stop();
}

#[test]
fn who_dies_while_the_warehouse_hangs_leaves_no_alert_without_its_end() {
    let test = "who_dies_while_the_warehouse_hangs_leaves_no_alert_without_its_end";
    let Some(server) = Postgres::shared(test) else { return };
    let url = server.new_database();
    let settings = PostgresSettings::from_url(&url).unwrap();
    let warehouse: Arc<dyn Warehouse> = Arc::new(PostgresWarehouse::open(settings).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("monitor.journal");
    let (figured, ear) = (Figured::default(), Ear::default());
    let mut first = monitor_with(&warehouse, &figured, &ear, Some(folder.path()));
    let start = Millis::now();
    look(&mut first, start, 0);
    assert!(!journal.exists());

    let mut session = warehouse.session(Schema::Ops).unwrap();
    let mut lock = session.begin().unwrap();
    lock.script("lock table ops.alerts in access exclusive mode").unwrap();
    figured.set(Signal::WarehouseSilent, Ok(vec![reading(60.0)]));
    look(&mut first, start, 15);
    assert_eq!(ear.heard(), ["fired WarehouseDown"]);
    assert!(journal.exists());
    // What it hangs in never comes to an end: its connection is cut with the process.
    let database = url.rsplit('/').next().unwrap();
    let hangs = format!("datname = '{database}' and wait_event_type = 'Lock'");
    server.psql("postgres", &format!("select pg_terminate_backend(pid) from pg_stat_activity where {hangs}"));
    drop(first);
    drop(lock);
    drop(session);
    // Nobody let go of the lease; in one process the old holder seems to live.
    let mut session = warehouse.session(Schema::Ops).unwrap();
    let mut transaction = session.begin().unwrap();
    transaction.script("update ops.scheduler_lease set released = 1 where name = 'monitor'").unwrap();
    transaction.commit().unwrap();

    figured.set(Signal::WarehouseSilent, Ok(vec![reading(0.0)]));
    let mut second = monitor_with(&warehouse, &figured, &ear, Some(folder.path()));
    look(&mut second, start, 60);
    assert_eq!(ear.heard(), ["fired WarehouseDown", "resolved WarehouseDown"]);
    let (told, history) = (ear.told(), store::history(warehouse.as_ref(), start).unwrap());
    assert_eq!(told[0].alert.alert_id, told[1].alert.alert_id);
    assert_eq!(states(&history), ["WarehouseDown resolved 'resolved'"]);
    assert!(!journal.exists());
    second.stop();
}
