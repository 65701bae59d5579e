//! What a test found is not open for ever once the test is gone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use std::path::Path;

use adpipe_transform::Command;
use adpipe_warehouse::query_table;
use common::{Options, Place};

fn write(folder: &Path, file: &str, text: &str) {
    let path = folder.join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// Names of tests with open failures.
fn open(place: &Place) -> Vec<String> {
    let sql =
        "select distinct test_id from ops.data_test_failures where resolved_at is null order by test_id";
    let found = query_table(place.warehouse.as_ref(), sql, &[]).unwrap();
    found.rows.iter().map(|row| row[0].to_string()).collect()
}

fn failures_of_a_removed_test_are_closed(place: &Place) {
    let folder = tempfile::tempdir().unwrap();
    let (project, other) = (folder.path().join("p"), folder.path().join("other"));
    for (project, name) in [(&project, "p"), (&other, "q")] {
        write(project, "dbt_project.yml", &format!("name: {name}\nprofile: p\n"));
        write(project, &format!("models/{name}.sql"), "select 1 as n");
        write(project, &format!("tests/{name}_stays.sql"), &format!("select n from {{{{ ref('{name}') }}}}"));
        write(project, &format!("tests/{name}_goes.sql"), &format!("select n from {{{{ ref('{name}') }}}}"));
        place.adpipe(project, &Options::of(Command::Build)).unwrap();
    }
    let all = ["test.p.p_goes", "test.p.p_stays", "test.q.q_goes", "test.q.q_stays"];
    assert_eq!(open(place), all);
    std::fs::remove_file(project.join("tests/p_goes.sql")).unwrap();
    // A run that tests something else finds out, too.
    place.adpipe(&project, &Options::of(Command::Test).select("p_stays")).unwrap();
    assert_eq!(
        open(place),
        ["test.p.p_stays", "test.q.q_goes", "test.q.q_stays"],
        "the other project's stay"
    );
}

#[test]
fn failures_of_a_removed_test_are_closed_on_sqlite() {
    failures_of_a_removed_test_are_closed(&Place::sqlite());
}

#[test]
fn failures_of_a_removed_test_are_closed_on_postgres() {
    let Some(place) = Place::postgres("failures_of_a_removed_test_are_closed_on_postgres") else { return };
    failures_of_a_removed_test_are_closed(&place);
}
