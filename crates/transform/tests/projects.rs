//! Small dbt projects, run alike by adpipe and by the real dbt, or refused with the place.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use adpipe_transform::{Command, TransformError};
use adpipe_warehouse::Schema;
use common::{Options, Place, assert_same, failed, fill, test_project, verdicts};

/// Twice: incremental models take another way the second time.
fn runs_alike(test: &str, kind: &str, project: &str, must_fail: &[&str]) {
    let Some(dbt) = adpipe_testkit::dbt::dbt(test, kind) else { return };
    let Some((ours, theirs)) = Place::pair(test, kind) else { return };
    let project = test_project(project);
    for place in [&ours, &theirs] {
        fill(place, 30, 20, 5);
    }
    for step in ["first", "second"] {
        let by_adpipe = ours.adpipe(&project, &Options::of(Command::Build)).unwrap();
        let by_dbt = theirs.dbt(&dbt, &project, &Options::of(Command::Build));
        assert_same(&format!("{step}: verdicts"), &verdicts(&by_adpipe), &verdicts(&by_dbt));
        assert_same(&format!("{step}: rows"), &ours.rows(), &theirs.rows());
        assert_eq!(failed(&by_adpipe), must_fail, "{step}");
        for place in [&ours, &theirs] {
            let more =
                "insert into realtime.metrics_hourly values ('2014-10-30 00:00:00', 1, 1, 1, 'x', 'y', 9, 2)";
            if step == "first" {
                place.script(Schema::Realtime, more);
            }
        }
    }
}

const SHOP_FAILS: [&str; 4] =
    ["amount_is_known", "leaf_that_is_wrong", "only_euros", "orders_have_a_customer"];

#[test]
fn shop_runs_alike_on_sqlite() {
    runs_alike("shop_runs_alike_on_sqlite", "sqlite", "shop", &SHOP_FAILS);
}

#[test]
fn shop_runs_alike_on_postgres() {
    runs_alike("shop_runs_alike_on_postgres", "postgres", "shop", &SHOP_FAILS);
}

const SENSORS_FAIL: [&str; 2] = [
    "relationships_hours_kept_device_type__device_type__ref_names_",
    "source_accepted_values_live_hours_banner_pos__False__0__1",
];

#[test]
fn sensors_run_alike_on_sqlite() {
    runs_alike("sensors_run_alike_on_sqlite", "sqlite", "sensors", &SENSORS_FAIL);
}

#[test]
fn sensors_run_alike_on_postgres() {
    runs_alike("sensors_run_alike_on_postgres", "postgres", "sensors", &SENSORS_FAIL);
}

#[test]
fn what_is_lacking_is_refused_with_its_place_before_anything_is_done() {
    let place = Place::sqlite();
    let before = place.rows();
    let error = place.adpipe(&test_project("lacking"), &Options::of(Command::Run)).unwrap_err();
    assert!(matches!(error, TransformError::Project { .. }), "{error:?}");
    let words = error.to_string();
    assert!(words.starts_with("macros/positions.sql:3: ") && words.contains("run_query"), "{words}");
    assert_eq!(place.rows(), before);
}

/// Writes a project with one more file and gives what is said about it.
fn refusal(file: &str, text: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let write = |file: &str, text: &str| {
        let path = folder.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("dbt_project.yml", "name: p\nversion: '1'\nprofile: p\n");
    write("models/one.sql", "select 1 as a\n");
    write(file, text);
    let place = Place::sqlite();
    match place.adpipe(folder.path(), &Options::of(Command::Build)) {
        Ok(results) => panic!("{file} was taken: {:?}", verdicts(&results)),
        Err(error) => {
            assert!(error.is_usage(), "{error:?}");
            assert_eq!(place.rows().len(), 0, "something was made");
            error.to_string()
        }
    }
}

#[test]
fn everything_that_is_not_understood_is_refused_with_its_place() {
    for (file, text, place, word) in [
        (
            "models/two.sql",
            "select 1\n\n{{ config(materialized='materialized_view') }}",
            "models/two.sql:3: ",
            "materialized_view",
        ),
        (
            "models/two.sql",
            "select 1 {{ config(post_hook='drop table x') }}",
            "models/two.sql:1: ",
            "post_hook",
        ),
        ("models/two.sql", "select 1 {{ config(schema='x') }}", "models/two.sql:1: ", "schema"),
        ("models/two.sql", "select *\nfrom {{ ref('missing') }}", "models/two.sql:2: ", "missing"),
        ("models/two.sql", "select *\nfrom {{ source('a', 'b') }}", "models/two.sql:2: ", "source a"),
        ("models/two.sql", "select {{ unknown }}", "models/two.sql:1: ", "not defined"),
        ("models/two.sql", "\nselect {{ dbt_utils.star() }}", "models/two.sql:2: ", "not defined"),
        ("models/two.sql", "\n{% snapshot x %}{% endsnapshot %}", "models/two.sql:2: ", "snapshot"),
        ("models/two.sql", "{{ adapter.get_relation('a') }}", "models/two.sql:1: ", "get_relation"),
        ("models/two.sql", "{{ var('nope') }}", "models/two.sql:1: ", "nope"),
        ("models/two.sql", "select * from {{ ref('two') }}", "models/two.sql:1: ", "depends on itself"),
        ("models/two.py", "def model(dbt, session): ...", "models/two.py:1: ", "Python"),
        ("models/a/one.sql", "select 2", "models/one.sql:1: ", "already exists"),
        ("models/_m.yml", "models:\n  - name: one\n    versions: [{v: 1}]", "models/_m.yml:3: ", "versions"),
        ("models/_m.yml", "models:\n  - name: ona\n", "models/_m.yml:2: ", "no file for ona"),
        (
            "models/_m.yml",
            "models:\n  - name: one\n    columns:\n      - name: a\n        data_tests:\n          - nonsense\n",
            "models/_m.yml:6: ",
            "nonsense",
        ),
        (
            "models/_m.yml",
            "models:\n  - name: one\n    config:\n      contract: {enforced: true}\n",
            "models/_m.yml:2: ",
            "no columns",
        ),
        ("models/_m.yml", "semantic_models: []\n", "models/_m.yml:1: ", "semantic_models"),
        ("models/_m.yml", "models: [\n", "models/_m.yml:", "not YAML"),
        (
            "packages.yml",
            "packages:\n  - package: dbt-labs/dbt_utils\n    version: 1.0.0\n",
            "packages.yml:2: ",
            "packages",
        ),
        ("snapshots/s.sql", "x", "snapshots/s.sql:1: ", "snapshots"),
        (
            "macros/m.sql",
            "\n{% macro generate_schema_name(a, b) %}x{% endmacro %}",
            "macros/m.sql:2: ",
            "generate_schema_name",
        ),
        (
            "macros/m.sql",
            "{% macro default__create_table_as(a, b) %}x{% endmacro %}",
            "macros/m.sql:1: ",
            "create_table_as",
        ),
        ("macros/m.sql", "{% macro open(a) %}x", "macros/m.sql:1: ", "no {% endmacro %}"),
        ("dbt_project.yml", "name: p\nprofile: p\non-run-end: ['grant x']\n", "dbt_project.yml:3: ", "hooks"),
        (
            "dbt_project.yml",
            "name: p\nprofile: p\nmodels:\n  p:\n    materialized: table\n",
            "dbt_project.yml:5: ",
            "+materialized",
        ),
        (
            "dbt_project.yml",
            "name: p\nprofile: p\nmodels:\n  +grants: {select: x}\n",
            "dbt_project.yml:4: ",
            "grants",
        ),
        ("seeds/s.csv", "a,b\n1\n", "seeds/s.csv:1: ", "record 2"),
    ] {
        let words = refusal(file, text);
        assert!(words.starts_with(place) && words.contains(word), "{file}: {text:?}\n{words}");
    }
}
