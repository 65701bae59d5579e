//! The state machine: every course that an alert can take, without clock and without database.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod course;

use std::time::Duration;

use adpipe_event::Millis;
use adpipe_monitor::announce::Change;
use adpipe_monitor::evaluate::{Evaluator, Moment, Write};
use adpipe_monitor::rules::Severity;
use adpipe_monitor::signal::{Labels, Reading};
use adpipe_monitor::store::{Alert, Announced, Silence, State};
use course::{NOON, at, of_dag, reading, rules};

/// An evaluator that is shown one rule's readings, and what it said.
struct Bench {
    evaluator: Evaluator,
    ids: u32,
}

impl Bench {
    fn new() -> Bench {
        Bench { evaluator: Evaluator::default(), ids: 0 }
    }

    fn look(&mut self, rule: &str, readings: &[Reading], now: Moment) {
        let (rules, ids) = (rules(), &mut self.ids);
        let mut new_id = || {
            *ids += 1;
            format!("id-{ids}")
        };
        self.evaluator.look(rules.find(rule).unwrap(), readings, now, &mut new_id);
    }

    /// `pending 6 (worst 9)`, one an open alert.
    fn open(&self) -> Vec<String> {
        let short = |alert: &Alert| {
            let labels: String = alert.labels.values().map(|value| format!("{value} ")).collect();
            format!("{labels}{} {} (worst {})", alert.state.word(), alert.value, alert.worst)
        };
        self.evaluator.open().map(short).collect()
    }

    /// Hands over what is to be told: `id-1 fired`.
    fn tell(&mut self, silences: &[Silence], now: Moment) -> Vec<String> {
        let announcements = self.evaluator.announcements(&rules(), silences, now.wall);
        let mut told = Vec::new();
        for one in announcements {
            let change = if one.change == Change::Fired { "fired" } else { "resolved" };
            let silenced = if one.is_silenced { " (silenced)" } else { "" };
            told.push(format!("{} {change}{silenced}", one.alert.alert_id));
            self.evaluator.announced(&one.alert.alert_id, one.change);
        }
        told
    }

    /// `keep id-1 firing ''`, `forget id-2`.
    fn store(&mut self) -> Vec<String> {
        let short = |write: &Write| match write {
            Write::Keep(alert) => {
                format!("keep {} {} '{}'", alert.alert_id, alert.state.word(), alert.announced.word())
            }
            Write::Forget(id) => format!("forget {id}"),
        };
        let writes = self.evaluator.writes().iter().map(short).collect();
        self.evaluator.saved();
        writes
    }
}

const NOTHING: [&str; 0] = [];

/// One look: at second, what was measured (None: it could not be), the open alerts after it, what
/// is told.
type Step<'a> = (u64, Option<f64>, &'a [&'a str], &'a [&'a str]);

#[test]
fn the_courses_of_an_alert() {
    let course = |name: &str, steps: &[Step<'_>]| {
        let mut bench = Bench::new();
        for (second, value, open, told) in steps {
            // A value that is not a number stands for a series that is gone.
            let readings: Vec<Reading> =
                value.iter().filter(|value| !value.is_nan()).map(|value| reading(*value)).collect();
            if value.is_some() {
                bench.look("LatencyHigh", &readings, at(*second));
            }
            assert_eq!(bench.open(), *open, "{name}, second {second}");
            assert_eq!(bench.tell(&[], at(*second)), *told, "{name}, second {second}");
        }
    };
    course(
        "fires when it has held, tells once, ends once",
        &[
            (0, Some(5.0), &[], &[]),
            (15, Some(6.0), &["pending 6 (worst 6)"], &[]),
            (30, Some(9.0), &["pending 9 (worst 9)"], &[]),
            (45, Some(7.0), &["firing 7 (worst 9)"], &["id-1 fired"]),
            (60, Some(8.0), &["firing 8 (worst 9)"], &[]),
            (75, Some(5.0), &[], &["id-1 resolved"]),
            (90, Some(1.0), &[], &[]),
        ],
    );
    course(
        "below its time passes in silence",
        &[
            (0, Some(6.0), &["pending 6 (worst 6)"], &[]),
            (29, Some(6.0), &["pending 6 (worst 6)"], &[]),
            (30, Some(4.0), &[], &[]),
            (60, Some(4.0), &[], &[]),
        ],
    );
    course(
        "flapping begins anew each time",
        &[
            (0, Some(6.0), &["pending 6 (worst 6)"], &[]),
            (15, Some(4.0), &[], &[]),
            (30, Some(7.0), &["pending 7 (worst 7)"], &[]),
            (45, Some(4.0), &[], &[]),
            (60, Some(6.0), &["pending 6 (worst 6)"], &[]),
            (89, Some(6.0), &["pending 6 (worst 6)"], &[]),
            (90, Some(6.0), &["firing 6 (worst 6)"], &["id-3 fired"]),
        ],
    );
    course(
        "a series that is gone ends it",
        &[
            (0, Some(6.0), &["pending 6 (worst 6)"], &[]),
            (30, Some(6.0), &["firing 6 (worst 6)"], &["id-1 fired"]),
            (45, Some(f64::NAN), &[], &["id-1 resolved"]),
            (60, Some(6.0), &["pending 6 (worst 6)"], &[]),
            (75, Some(f64::NAN), &[], &[]),
        ],
    );
    course(
        "what cannot be measured stays as it is, and its time goes on",
        &[
            (0, Some(6.0), &["pending 6 (worst 6)"], &[]),
            (30, None, &["pending 6 (worst 6)"], &[]),
            (45, Some(6.0), &["firing 6 (worst 6)"], &["id-1 fired"]),
            (60, None, &["firing 6 (worst 6)"], &[]),
            (900, None, &["firing 6 (worst 6)"], &[]),
            (915, Some(4.0), &[], &["id-1 resolved"]),
        ],
    );
}

#[test]
fn no_time_to_hold_fires_at_once_and_labels_are_apart() {
    let mut bench = Bench::new();
    bench.look("DagFailed", &[of_dag("a", 1.0), of_dag("b", 0.0)], at(0));
    assert_eq!(bench.open(), ["a firing 1 (worst 1)"]);
    assert_eq!(bench.tell(&[], at(0)), ["id-1 fired"]);
    bench.look("DagFailed", &[of_dag("a", 0.0), of_dag("b", 3.0)], at(15));
    assert_eq!(bench.open(), ["b firing 3 (worst 3)"]);
    assert_eq!(bench.tell(&[], at(15)), ["id-1 resolved", "id-2 fired"]);
    // Another rule's readings are no business of theirs.
    bench.look("LatencyHigh", &[], at(30));
    assert_eq!(bench.open(), ["b firing 3 (worst 3)"]);
}

#[test]
fn the_worst_value_is_that_on_the_bad_side() {
    let mut rule = rules().find("LatencyHigh").unwrap().clone();
    rule.bound = adpipe_monitor::rules::Bound::Below(10.0);
    rule.severity = Severity::Warning;
    let mut evaluator = Evaluator::default();
    for (second, value) in [(0, 4.0), (15, 2.0), (30, 9.0)] {
        evaluator.look(&rule, &[reading(value)], at(second), &mut || "id".to_owned());
    }
    let alert = evaluator.open().next().unwrap();
    assert_eq!((alert.value, alert.worst, alert.threshold), (9.0, 2.0, 10.0));
    assert_eq!((alert.state, alert.severity), (State::Firing, Severity::Warning));
    // The threshold itself is on the good side.
    evaluator.look(&rule, &[reading(10.0)], at(45), &mut || "id".to_owned());
    assert_eq!(evaluator.open().count(), 0);
}

#[test]
fn jumps_of_the_wall_clock_do_no_harm() {
    for jump_ms in [-86_400_000_i64, 86_400_000] {
        let mut bench = Bench::new();
        let jumped = |seconds| Moment { wall: Millis(at(seconds).wall.0 + jump_ms), ..at(seconds) };
        bench.look("LatencyHigh", &[reading(6.0)], at(0));
        bench.look("LatencyHigh", &[reading(6.0)], jumped(15));
        assert_eq!(bench.open(), ["pending 6 (worst 6)"], "{jump_ms}");
        bench.look("LatencyHigh", &[reading(6.0)], jumped(30));
        assert_eq!(bench.open(), ["firing 6 (worst 6)"], "{jump_ms}");
        bench.look("LatencyHigh", &[reading(1.0)], at(45));
        assert_eq!(bench.tell(&[], at(45)), ["id-1 fired", "id-1 resolved"], "{jump_ms}");
    }
}

#[test]
fn a_new_process_goes_on_where_the_old_one_stopped() {
    let mut old = Bench::new();
    old.look("LatencyHigh", &[reading(6.0)], at(100));
    old.look("DagFailed", &[of_dag("a", 1.0)], at(100));
    let stored: Vec<Alert> = old.evaluator.open().cloned().collect();

    // Its clock that only runs forward began elsewhere.
    let moment = |seconds: u64| Moment { steady: Duration::from_secs(seconds - 90), ..at(seconds) };
    let mut new = Bench { evaluator: Evaluator::resume(stored.clone(), moment(110)), ids: 10 };
    // The old one died before it told of the DAG.
    assert_eq!(new.tell(&[], moment(110)), ["id-2 fired"]);
    new.look("LatencyHigh", &[reading(6.0)], moment(129));
    assert_eq!(new.open(), ["a firing 1 (worst 1)", "pending 6 (worst 6)"]);
    new.look("LatencyHigh", &[reading(6.0)], moment(130));
    assert_eq!(new.open(), ["a firing 1 (worst 1)", "firing 6 (worst 6)"]);
    assert_eq!(new.tell(&[], moment(130)), ["id-1 fired"]);

    // A wall clock that stands before the stored time: it has to hold all over again.
    let early = Moment { wall: Millis(NOON.0 - 3_600_000), steady: Duration::from_secs(5) };
    let mut new = Bench { evaluator: Evaluator::resume(stored, early), ids: 10 };
    new.look("LatencyHigh", &[reading(6.0)], Moment { steady: Duration::from_secs(34), ..early });
    assert_eq!(new.open()[1], "pending 6 (worst 6)");
    new.look("LatencyHigh", &[reading(6.0)], Moment { steady: Duration::from_secs(35), ..early });
    assert_eq!(new.open()[1], "firing 6 (worst 6)");
}

#[test]
fn what_is_to_be_stored_stays_marked_until_it_is() {
    let mut bench = Bench::new();
    bench.look("LatencyHigh", &[reading(6.0)], at(0));
    bench.look("LatencyHigh", &[reading(6.0)], at(30));
    // The warehouse is down: nothing was stored, yet it is told.
    assert_eq!(bench.tell(&[], at(30)), ["id-1 fired"]);
    bench.look("LatencyHigh", &[reading(1.0)], at(45));
    bench.look("LatencyHigh", &[reading(8.0)], at(60));
    assert_eq!(bench.tell(&[], at(60)), ["id-1 resolved"]);
    assert_eq!(bench.store(), ["keep id-1 resolved 'resolved'", "keep id-2 pending ''"]);
    assert_eq!(bench.store(), NOTHING);
    bench.look("LatencyHigh", &[reading(1.0)], at(75));
    assert_eq!(bench.store(), ["forget id-2"]);
    assert!(!bench.evaluator.is_unsaved());
}

#[test]
fn one_that_came_and_went_between_two_tellings_is_told_in_order() {
    let mut bench = Bench::new();
    bench.look("DagFailed", &[of_dag("a", 1.0)], at(0));
    bench.look("DagFailed", &[of_dag("a", 0.0)], at(15));
    assert_eq!(bench.tell(&[], at(15)), ["id-1 fired", "id-1 resolved"]);
    assert_eq!(bench.tell(&[], at(15)), NOTHING);
}

fn silence(rule: &str, labels: &[(&str, &str)], from: u64, until: u64) -> Silence {
    Silence {
        silence_id: "s".to_owned(),
        rule: rule.to_owned(),
        labels: labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        starts_at: at(from).wall,
        ends_at: at(until).wall,
        comment: String::new(),
        created_by: "t".to_owned(),
        created_at: at(from).wall,
    }
}

#[test]
fn silenced_alerts_are_not_told_until_the_silence_ends() {
    let silences = [silence("DagFailed", &[("dag", "a")], 0, 60)];
    let mut bench = Bench::new();
    bench.look("DagFailed", &[of_dag("a", 1.0), of_dag("b", 1.0)], at(0));
    assert_eq!(bench.tell(&silences, at(0)), ["id-2 fired"]);
    assert_eq!(bench.tell(&silences, at(59)), NOTHING);
    assert_eq!(bench.tell(&silences, at(60)), ["id-1 fired"]);

    // One that is over before its silence is: nobody hears of it.
    let mut bench = Bench::new();
    bench.look("DagFailed", &[of_dag("a", 1.0)], at(0));
    bench.look("DagFailed", &[of_dag("a", 0.0)], at(15));
    assert_eq!(bench.tell(&silences, at(15)), NOTHING);
    assert_eq!(bench.store(), ["keep id-1 resolved 'resolved'"]);
    assert_eq!(bench.tell(&[], at(70)), NOTHING);

    // One that was told, and ends silenced: who tells people has to know.
    let mut bench = Bench::new();
    bench.look("DagFailed", &[of_dag("a", 1.0)], at(0));
    assert_eq!(bench.tell(&[], at(0)), ["id-1 fired"]);
    bench.look("DagFailed", &[of_dag("a", 0.0)], at(15));
    assert_eq!(bench.tell(&[silence("", &[], 0, 60)], at(15)), ["id-1 resolved (silenced)"]);
}

#[test]
fn silences_are_about_rule_and_labels() {
    let labels = Labels::from([("dag".to_owned(), "a".to_owned())]);
    let cases = [
        (silence("", &[], 0, 1), true),
        (silence("DagFailed", &[], 0, 1), true),
        (silence("DagFailed", &[("dag", "a")], 0, 1), true),
        (silence("DagFailed", &[("dag", "b")], 0, 1), false),
        (silence("DagFailed", &[("dag", "a"), ("host", "x")], 0, 1), false),
        (silence("DagMissed", &[("dag", "a")], 0, 1), false),
    ];
    for (silence, is_about) in cases {
        assert_eq!(silence.is_about("DagFailed", &labels), is_about, "{silence:?}");
    }
}

#[test]
fn an_acknowledged_alert_is_not_told_again_but_for_its_end() {
    let acknowledged = |bench: &mut Bench| {
        let mut stored: Vec<Alert> = bench.evaluator.open().cloned().collect();
        stored[0].acknowledged_at = Some(NOON);
        bench.evaluator.acknowledged(&stored);
    };
    // Taken on before anybody was told, as by a look at the console: told of neither.
    let mut bench = Bench::new();
    bench.look("DagFailed", &[of_dag("a", 1.0)], at(0));
    acknowledged(&mut bench);
    assert_eq!(bench.tell(&[], at(0)), NOTHING);
    bench.look("DagFailed", &[of_dag("a", 0.0)], at(15));
    assert_eq!(bench.tell(&[], at(15)), NOTHING);

    let mut bench = Bench::new();
    bench.look("DagFailed", &[of_dag("a", 1.0)], at(0));
    assert_eq!(bench.tell(&[], at(0)), ["id-1 fired"]);
    acknowledged(&mut bench);
    assert_eq!(bench.tell(&[], at(15)), NOTHING);
    bench.look("DagFailed", &[of_dag("a", 0.0)], at(30));
    assert_eq!(bench.tell(&[], at(30)), ["id-1 resolved"]);
    assert_eq!(bench.store(), ["keep id-1 resolved 'resolved'"]);
}

#[test]
fn a_rule_that_left_the_table_ends_its_alerts() {
    let mut bench = Bench::new();
    bench.look("DagFailed", &[of_dag("a", 1.0)], at(0));
    bench.look("LatencyHigh", &[reading(6.0)], at(0));
    assert_eq!(bench.tell(&[], at(0)), ["id-1 fired"]);
    let mut fewer = rules();
    fewer.0.clear();
    bench.evaluator.drop_unknown(&fewer, at(15));
    assert_eq!(bench.open(), NOTHING);
    assert!(bench.evaluator.announcements(&fewer, &[], at(15).wall).is_empty());
    let stored = bench.evaluator.writes();
    let Write::Keep(alert) = &stored[0] else { panic!("{stored:?}") };
    assert_eq!((alert.state, alert.announced), (State::Resolved, Announced::Resolved));
}
