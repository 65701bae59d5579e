//! Freshness of the sources, of adpipe's own project and of a small one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use adpipe_event::Millis;
use adpipe_transform::{Project, ProjectFiles, SourceFreshness, Status, Target, TransformError};
use adpipe_warehouse::Schema;
use common::{Place, fill, own_project};

const DAY_MS: i64 = 86_400_000;

fn look(place: &Place, project: &std::path::Path, now: Millis) -> Vec<SourceFreshness> {
    let target = Target::new(place.warehouse.dialect());
    let project = Project::load(&ProjectFiles::read(project).unwrap(), &target, "").unwrap();
    adpipe_transform::freshness(place.warehouse.as_ref(), &project, now)
}

fn found(sources: &[SourceFreshness]) -> Vec<(&str, &str)> {
    sources.iter().map(|source| (source.name.as_str(), source.status.name())).collect()
}

/// Our sources grow old as the clock continues. `fill` stores everything on 2014-11-01.
fn own_sources_age(place: &Place) {
    let own = own_project();
    let stored = Millis::parse_sql("2014-11-01 00:00:00").unwrap();
    // Without rows they are as old as can be; the metrics only warn.
    let empty = look(place, &own, stored);
    let old =
        [("realtime.events", "error"), ("realtime.metrics", "warn"), ("realtime.metrics_hourly", "warn")];
    assert_eq!(found(&empty), old);
    assert_eq!((empty[0].newest, empty[0].age_ms), (None, None));

    fill(place, 3, 5, 7);
    let newest_hour = Millis::parse_sql("2014-10-21 02:00:00").unwrap();
    for (now, expected) in [
        (Millis(newest_hour.0 + 3_600_000), ["pass", "pass", "pass"]),
        (Millis(stored.0 + DAY_MS), ["pass", "warn", "warn"]),
        (Millis(stored.0 + DAY_MS + 1), ["warn", "warn", "warn"]),
        (Millis(stored.0 + 7 * DAY_MS + 1), ["error", "warn", "warn"]),
    ] {
        let sources = look(place, &own, now);
        let statuses: Vec<&str> = sources.iter().map(|source| source.status.name()).collect();
        assert_eq!(statuses, expected, "{now}");
        assert_eq!((sources[0].newest, sources[2].newest), (Some(stored), Some(newest_hour)));
        assert_eq!(sources[0].age_ms, Some(now.0 - stored.0));
    }
}

#[test]
fn own_sources_age_on_sqlite() {
    own_sources_age(&Place::sqlite());
}

#[test]
fn own_sources_age_on_postgres() {
    let Some(place) = Place::postgres("own_sources_age_on_postgres") else { return };
    own_sources_age(&place);
}

const HEAD: &str = "sources:\n  - name: realtime\n    loaded_at_field: ingested_at\n    config:\n      freshness:\n        warn_after: {count: 1, period: hour}\n        error_after: {count: 2, period: day}\n    tables:\n";

fn small_project(tables: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("models")).unwrap();
    std::fs::write(folder.path().join("dbt_project.yml"), "name: small\nversion: '1.0'\n").unwrap();
    std::fs::write(folder.path().join("models/sources.yml"), format!("{HEAD}{tables}")).unwrap();
    folder
}

#[test]
fn a_table_adds_to_what_its_source_says() {
    let place = Place::sqlite();
    fill(&place, 1, 3, 7);
    place.script(
        Schema::Realtime,
        "update realtime.events set ingested_at = '2014-11-03 00:00:00' where event_id = '0-1'",
    );
    let project = small_project(
        "      - name: events\n        config:\n          freshness:\n            warn_after: {count: 30, period: minute}\n            filter: event_id <> '0-1'\n      - name: metrics\n        freshness: null\n      - name: metrics_hourly\n",
    );
    let now = Millis::parse_sql("2014-11-01 00:45:00").unwrap();
    let sources = look(&place, project.path(), now);
    // The third has no such column, and so cannot be read; the second asks for nothing.
    assert_eq!(found(&sources), [("realtime.events", "warn"), ("realtime.metrics_hourly", "error")]);
    assert_eq!(
        (sources[0].warn_after_ms, sources[0].error_after_ms),
        (Some(1_800_000), Some(2 * DAY_MS)),
        "the table's warning, the source's error"
    );
    assert_eq!(sources[0].age_ms, Some(2_700_000), "the row that the filter leaves out is not looked at");
    assert!(sources[1].message.as_ref().unwrap().contains("ingested_at"));
    assert_eq!(sources[1].status, Status::Error);
}

#[test]
fn what_is_not_understood_is_refused_with_its_place() {
    for (said, message) in [
        ("warn_after: {count: 1, period: week}", "week"),
        ("warn_after: {count: many, period: day}", "count"),
        ("warn_after: {period: day}", "count"),
        ("warn_after: {count: 1, period: day, more: 1}", "more"),
        ("warn_later: 1", "warn_later"),
    ] {
        let project = small_project(&format!(
            "      - name: events\n        config:\n          freshness:\n            {said}\n"
        ));
        let files = ProjectFiles::read(project.path()).unwrap();
        let target = Target::new(adpipe_warehouse::Dialect::Sqlite);
        match Project::load(&files, &target, "") {
            Err(TransformError::Project { place, message: told }) => {
                assert!((11..=13).contains(&place.line), "{place}");
                assert_eq!(&*place.file, "models/sources.yml");
                assert!(told.contains(message), "{told}");
            }
            other => panic!("{said}: {:?}", other.map(drop)),
        }
    }
}
