//! Adpipe's own project, run by adpipe and by the real dbt on the same data.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use adpipe_transform::Command;
use adpipe_warehouse::Schema;
use common::{Options, Place, assert_same, failed, fill, own_project, verdicts};

#[test]
fn rows_and_verdicts_are_the_same_on_sqlite() {
    same_rows_and_verdicts("rows_and_verdicts_are_the_same_on_sqlite", "sqlite");
}

#[test]
fn rows_and_verdicts_are_the_same_on_postgres() {
    same_rows_and_verdicts("rows_and_verdicts_are_the_same_on_postgres", "postgres");
}

/// A first build, a second one on top of it after more data, a full refresh.
fn same_rows_and_verdicts(test: &str, kind: &str) {
    let Some(dbt) = adpipe_testkit::dbt::dbt(test, kind) else { return };
    let Some((ours, theirs)) = Place::pair(test, kind) else { return };
    let project = own_project();
    for place in [&ours, &theirs] {
        fill(place, 60, 40, 7);
    }
    let later = "update realtime.metrics_hourly set impressions = impressions + 3, clicks = clicks + 1
                 where window_start >= '2014-10-22 20:00:00' and banner_pos = 1";
    for (step, full_refresh) in [("first", false), ("second", false), ("full refresh", true)] {
        let options = Options { full_refresh, ..Options::of(Command::Build) };
        let by_adpipe = ours.adpipe(&project, &options).unwrap();
        let by_dbt = theirs.dbt(&dbt, &project, &options);
        assert_same(&format!("{step}: verdicts"), &verdicts(&by_adpipe), &verdicts(&by_dbt));
        assert!(by_adpipe.results.len() > 80, "{}", by_adpipe.results.len());
        assert_same(&format!("{step}: rows"), &ours.rows(), &theirs.rows());
        let missing = failed(&by_adpipe).into_iter().find(|name| name == "no_missing_hours");
        assert_eq!(missing, None, "{step}: years between two data sets are not missing hours");
        if step == "first" {
            assert_eq!(failed(&by_adpipe), Vec::<String>::new());
            for place in [&ours, &theirs] {
                place.script(Schema::Realtime, later);
                place.script(Schema::Realtime, &another_data_set("metrics_hourly"));
                place.script(Schema::Realtime, &another_data_set("metrics"));
            }
        }
    }
}

/// One window of a data set that begins years after the other one.
fn another_data_set(table: &str) -> String {
    format!(
        "insert into realtime.{table} (window_start, banner_pos, device_type, device_conn_type,
                                       site_category, app_category, impressions, clicks)
         select '2026-01-01 00:00:00', banner_pos, device_type, device_conn_type,
                site_category, app_category, impressions, clicks
         from realtime.{table} order by window_start limit 1"
    )
}

#[test]
fn faults_fail_the_same_tests_on_sqlite() {
    faults_fail_the_same_tests("faults_fail_the_same_tests_on_sqlite", "sqlite");
}

#[test]
fn faults_fail_the_same_tests_on_postgres() {
    faults_fail_the_same_tests("faults_fail_the_same_tests_on_postgres", "postgres");
}

/// A fault, how it is planted into a good build and mended again, and the tests that must tell of it.
struct Fault {
    name: &'static str,
    plant: &'static str,
    must_fail: &'static [&'static str],
}

const FAULTS: [Fault; 5] = [
    Fault {
        name: "a null",
        plant: "update analytics.device_types set device_type_name = null where device_type = 1",
        must_fail: &["not_null_device_types_device_type_name"],
    },
    Fault {
        name: "a duplicate",
        plant: "insert into analytics.banner_positions select * from analytics.banner_positions where banner_pos = 1",
        must_fail: &["unique_banner_positions_banner_pos"],
    },
    Fault {
        name: "an orphan",
        plant: "update analytics.mart_device_performance set device_type = 77 where device_type = 4",
        must_fail: &["relationships_mart_device_performance_device_type__device_type__ref_device_types_"],
    },
    Fault {
        name: "more clicks than impressions",
        plant: "update analytics.mart_hourly_ctr set clicks = impressions + 1 where hour_of_day = 5",
        must_fail: &["clicks_within_impressions", "daily_is_sum_of_hourly", "marts_match_metrics_hourly"],
    },
    Fault {
        name: "a missing hour",
        plant: "delete from analytics.mart_hourly_ctr where hour_of_day = 7",
        must_fail: &["daily_is_sum_of_hourly", "marts_match_metrics_hourly", "no_missing_hours"],
    },
];

fn faults_fail_the_same_tests(test: &str, kind: &str) {
    let Some(dbt) = adpipe_testkit::dbt::dbt(test, kind) else { return };
    let Some((ours, theirs)) = Place::pair(test, kind) else { return };
    let project = own_project();
    for place in [&ours, &theirs] {
        fill(place, 50, 30, 11);
    }
    for fault in &FAULTS {
        let build = Options { full_refresh: true, ..Options::of(Command::Build) };
        for place in [&ours, &theirs] {
            let built = place.adpipe(&project, &build).unwrap();
            assert_eq!(failed(&built), Vec::<String>::new(), "before {}", fault.name);
            place.script(Schema::Analytics, fault.plant);
        }
        let by_adpipe = ours.adpipe(&project, &Options::of(Command::Test)).unwrap();
        let by_dbt = theirs.dbt(&dbt, &project, &Options::of(Command::Test));
        assert_same(fault.name, &verdicts(&by_adpipe), &verdicts(&by_dbt));
        assert_same(&format!("{}: failing rows", fault.name), &ours.rows(), &theirs.rows());
        println!("{}: {:?}", fault.name, failed(&by_adpipe));
        assert_eq!(failed(&by_adpipe), fault.must_fail, "{}", fault.name);
    }
}
