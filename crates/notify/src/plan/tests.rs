use adpipe_monitor::announce::Change::{Fired, Resolved};

use super::*;
use crate::sample::entry;

const T0: &str = "2026-11-25 12:00:00";

fn at(seconds: i64) -> Millis {
    Millis(Millis::parse_sql(T0).unwrap().0 + seconds * 1_000)
}

/// A world of entries, with what is remembered and what was sent.
#[derive(Default)]
struct World {
    entries: Vec<(String, Entry)>,
    remembered: Vec<(String, Outcome)>,
    sent: Vec<(Millis, String)>,
    config: SlackConfig,
}

impl World {
    fn plan(&self, now: Millis) -> Plan {
        let waiting = self.entries.iter().map(|(name, entry)| (name.as_str(), entry)).collect();
        let remembered =
            |name: &str| self.remembered.iter().find(|(known, _)| known == name).map(|(_, outcome)| *outcome);
        plan(&waiting, &remembered, &self.sent, &self.config, now)
    }

    fn set(mut self, change: impl FnOnce(&mut SlackConfig)) -> World {
        change(&mut self.config);
        self
    }
}

fn world(entries: Vec<(String, Entry)>) -> World {
    World { entries, ..World::default() }
}

fn names(message: &Message) -> Vec<&str> {
    message.names.iter().map(String::as_str).collect()
}

fn news(message: &Message) -> News {
    match &message.content {
        Content::Group(news, _) => *news,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_comes_within_the_group_wait_goes_together() {
    let world = world(vec![
        entry("DagFailed", "a", Fired, at(0)),
        entry("DagFailed", "b", Fired, at(8)),
        entry("DlqExhausted", "c", Fired, at(3)),
    ]);
    let early = world.plan(at(9));
    assert_eq!((early.messages.len(), early.next), (0, Some(at(10))));
    let plan = world.plan(at(10));
    assert_eq!(plan.messages.len(), 1);
    assert_eq!(names(&plan.messages[0]), ["a.fired", "b.fired"]);
    assert_eq!((plan.messages[0].kind.as_str(), plan.messages[0].due), ("dag_failed", at(10)));
    assert_eq!(plan.next, Some(at(13)));
    assert_eq!(world.plan(at(13)).messages.len(), 2);
}

#[test]
fn an_alert_that_is_over_before_it_was_told_is_one_message() {
    let world = world(vec![entry("DagFailed", "a", Fired, at(0)), entry("DagFailed", "a", Resolved, at(5))]);
    let plan = world.plan(at(10));
    assert_eq!(plan.messages.len(), 1);
    assert_eq!(
        (names(&plan.messages[0]), news(&plan.messages[0])),
        (vec!["a.fired", "a.resolved"], News::Passed)
    );
}

#[test]
fn a_resolution_is_told_to_those_who_were_told() {
    for (remembered, is_told) in [
        (Some(Outcome::Sent), true),
        // Another machine's spool has told it.
        (None, true),
        (Some(Outcome::Refused), true),
        (Some(Outcome::NotWanted), false),
        (Some(Outcome::Dropped), false),
    ] {
        let mut world = world(vec![entry("DagFailed", "a", Resolved, at(0))]);
        world.remembered.extend(remembered.map(|outcome| ("a.fired".to_owned(), outcome)));
        let plan = world.plan(at(10));
        assert_eq!(plan.messages.len(), usize::from(is_told), "{remembered:?}");
        assert_eq!(plan.dropped.len(), usize::from(!is_told), "{remembered:?}");
        if is_told {
            assert_eq!(news(&plan.messages[0]), News::Resolved);
        }
    }
}

#[test]
fn what_is_silenced_or_switched_off_is_settled_without_a_word() {
    let silenced = |name: &str, mut entry: Entry| {
        if let Entry::Alert(notice) = &mut entry {
            notice.is_silenced = true;
        }
        (name.to_owned(), entry)
    };
    let (_, plain) = entry("DagFailed", "a", Fired, at(0));
    let fired = silenced("a.silenced", plain);
    let plan = world(vec![fired.clone()]).plan(at(0));
    assert_eq!(plan.dropped[0].outcome, Outcome::Silenced);
    // Nobody is told that it is over, whether or not the firing is settled by then.
    let resolved = entry("DagFailed", "a", Resolved, at(0));
    let plan = world(vec![fired.clone(), resolved.clone()]).plan(at(10));
    assert_eq!((plan.messages.len(), plan.dropped.len()), (0, 2));
    let mut settled = world(vec![resolved]);
    settled.remembered.push(("a.silenced".to_owned(), Outcome::Silenced));
    assert_eq!((settled.plan(at(10)).messages.len(), settled.plan(at(10)).dropped.len()), (0, 1));
    // The silence ended: both wait, and the second is told.
    let plan = world(vec![fired, entry("DagFailed", "a", Fired, at(0))]).plan(at(10));
    assert_eq!((plan.messages.len(), plan.dropped[0].names.as_slice()), (1, &["a.silenced".to_owned()][..]));
    // Told to fire, then silenced: that it is over is told.
    let (name, plain) = entry("DagFailed", "a", Resolved, at(0));
    let mut told = world(vec![silenced(&name, plain)]);
    told.remembered.push(("a.fired".to_owned(), Outcome::Sent));
    assert_eq!(told.plan(at(10)).messages.len(), 1);

    let off = world(vec![entry("DagFailed", "a", Fired, at(0))]).set(|config| {
        let _ = config.kinds.insert("dag_failed".to_owned(), false);
    });
    let plan = off.plan(at(10));
    assert_eq!((plan.messages.len(), plan.dropped[0].outcome), (0, Outcome::NotWanted));
}

#[test]
fn a_threshold_of_slack_holds_an_alert_until_it_is_beyond() {
    let mut world = world(vec![entry("ErrorRateHigh", "a", Fired, at(0))]).set(|config| {
        let _ = config.thresholds.insert("ErrorRateHigh".to_owned(), 0.05);
    });
    // Its worst is 0.03.
    let plan = world.plan(at(3_600));
    assert_eq!((plan.messages.len(), plan.dropped.len()), (0, 0));
    assert_eq!(plan.below_threshold, ["a.fired"]);
    world.entries.push(entry("ErrorRateHigh", "a", Resolved, at(0)));
    let plan = world.plan(at(3_600));
    assert_eq!((plan.messages.len(), plan.dropped[0].names.len()), (0, 2));
    if let Entry::Alert(notice) = &mut world.entries[1].1 {
        notice.alert.worst = 0.06;
    }
    assert_eq!(news(&world.plan(at(3_600)).messages[0]), News::Passed);
}

#[test]
fn in_quiet_hours_only_critical_alerts_go_out_and_the_rest_in_the_morning() {
    // 12:00 UTC is 21:00 in Seoul.
    let quiet = |config: &mut SlackConfig| {
        *config = serde_json::from_str(
            "{\"time_zone\": \"Asia/Seoul\", \"quiet_hours\": {\"from\": \"20:00\", \"to\": \"08:00\"}}",
        )
        .unwrap();
    };
    let world = world(vec![
        entry("LagGrowing", "a", Fired, at(0)),
        entry("LagGrowing", "a", Resolved, at(600)),
        entry("DiskFilling", "b", Fired, at(60)),
        entry("DagFailed", "c", Fired, at(0)),
    ])
    .set(quiet);
    let plan = world.plan(at(3_600));
    assert_eq!(plan.messages.len(), 1);
    assert_eq!(names(&plan.messages[0]), ["c.fired"]);
    let morning = at(11 * 3_600);
    assert_eq!(plan.next, Some(morning));
    let plan = world.plan(morning);
    assert_eq!(plan.messages.len(), 2);
    let digest = plan.messages.iter().find(|message| message.kind == "digest").unwrap();
    assert_eq!(names(digest), ["a.fired", "a.resolved", "b.fired"]);
    assert_eq!(digest.due, morning);
    let Content::Digest(Held::Quiet, held) = &digest.content else { panic!("{digest:?}") };
    assert_eq!(held.iter().map(|(news, _)| *news).collect::<Vec<_>>(), [News::Passed, News::Fired]);
}

#[test]
fn too_many_messages_of_a_kind_wait_and_then_go_together() {
    let mut world =
        world(vec![entry("DagFailed", "x", Fired, at(3_000)), entry("LagGrowing", "y", Fired, at(3_000))]);
    world.sent = (0..8).map(|index| (at(index * 10), "dag_failed".to_owned())).collect();
    let plan = world.plan(at(3_100));
    assert_eq!(plan.messages.len(), 1);
    assert_eq!(names(&plan.messages[0]), ["y.fired"]);
    assert_eq!(plan.next, Some(at(3_600)));
    // It came and went meanwhile: one message for both.
    world.entries.push(entry("DagFailed", "x", Resolved, at(3_200)));
    world.sent.remove(0);
    let plan = world.plan(at(3_600));
    assert_eq!(plan.messages.iter().map(|message| names(message).len()).sum::<usize>(), 3);
}

#[test]
fn beyond_the_hours_messages_everything_goes_in_one() {
    let rules = ["LatencyHigh", "ErrorRateHigh", "ProcessorStalled", "WarehouseDown"];
    let mut world = world(rules.iter().map(|rule| entry(rule, rule, Fired, at(0))).collect());
    world.sent = (0..28).map(|index| (at(index - 1_000), "lag_growing".to_owned())).collect();
    assert_eq!(world.plan(at(10)).messages.len(), 1);
    let Content::Digest(Held::Throttled, held) = &world.plan(at(10)).messages[0].content else {
        panic!("no digest")
    };
    assert_eq!(held.len(), 4);
    world.sent.extend([(at(0), "x".to_owned()), (at(1), "x".to_owned())]);
    let plan = world.plan(at(10));
    assert_eq!((plan.messages.len(), plan.next), (0, Some(at(2_600))));
}

#[test]
fn the_gravest_goes_first() {
    let world =
        world(vec![entry("LagGrowing", "a", Fired, at(0)), entry("WarehouseDown", "b", Fired, at(5))]);
    let plan = world.plan(at(60));
    assert_eq!(
        plan.messages.iter().map(|message| message.kind.as_str()).collect::<Vec<_>>(),
        ["warehouse_down", "lag_growing"]
    );
}
