//! Models get into place at once, and what stands upon them stays.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use adpipe_transform::Command;
use adpipe_warehouse::{Schema, Value, query_table};
use common::{Options, Place, failed};

const ROWS: i64 = 20_000;

/// Two tables and a view; every row carries the round in which it was made.
fn write_project(folder: &Path, round: u32) {
    let write = |file: &str, text: &str| {
        let path = folder.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("dbt_project.yml", "name: p\nprofile: p\nmodels:\n  +materialized: table\n");
    let rows = format!("with recursive n (n) as (select 1 union all select n + 1 from n where n < {ROWS})");
    write("models/a.sql", &format!("{rows} select n, {round} as round from n"));
    write("models/b.sql", "select n, round from {{ ref('a') }}");
    write("models/v.sql", "{{ config(materialized='view') }} select n, round from {{ ref('b') }}");
}

fn readers_see_old_or_new(place: &Place) {
    let folder = tempfile::tempdir().unwrap();
    write_project(folder.path(), 0);
    place.adpipe(folder.path(), &Options::of(Command::Run)).unwrap();
    let done = AtomicBool::new(false);
    let looks = AtomicU32::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                for model in ["a", "b", "v"] {
                    let sql = format!("select count(*), min(round), max(round) from analytics.{model}");
                    let found = query_table(place.warehouse.as_ref(), &sql, &[]).unwrap();
                    let row = &found.rows[0];
                    assert!(row[0] == Value::Int(ROWS) && row[1] == row[2], "{model}: {row:?}");
                }
                looks.fetch_add(1, Ordering::Relaxed);
            }
        });
        for round in 1..=6 {
            write_project(folder.path(), round);
            let results = place.adpipe(folder.path(), &Options::of(Command::Run));
            done.store(results.is_err() || round == 6, Ordering::Relaxed);
            assert_eq!(failed(&results.unwrap()), Vec::<String>::new());
        }
    });
    assert!(looks.load(Ordering::Relaxed) > 5);
}

#[test]
fn readers_see_old_or_new_on_sqlite() {
    readers_see_old_or_new(&Place::sqlite());
}

#[test]
fn readers_see_old_or_new_on_postgres() {
    let Some(place) = Place::postgres("readers_see_old_or_new_on_postgres") else { return };
    readers_see_old_or_new(&place);
}

#[test]
fn views_of_others_stay_on_postgres() {
    let Some(place) = Place::postgres("views_of_others_stay_on_postgres") else { return };
    let folder = tempfile::tempdir().unwrap();
    write_project(folder.path(), 1);
    place.adpipe(folder.path(), &Options::of(Command::Run)).unwrap();
    place.script(
        Schema::Analytics,
        "create view analytics.theirs as select sum(n) as total, max(round) as round from analytics.a;
         create view analytics.theirs_too as select round from analytics.theirs;
         grant select on analytics.theirs to public;",
    );
    let theirs = |sql: &str| query_table(place.warehouse.as_ref(), sql, &[]).unwrap().rows[0][0].clone();
    write_project(folder.path(), 2);
    let results = place.adpipe(folder.path(), &Options::of(Command::Run).select("a")).unwrap();
    assert_eq!(failed(&results), Vec::<String>::new());
    assert_eq!(theirs("select round from analytics.theirs_too"), Value::Int(2));
    let granted = "select count(*) from information_schema.role_table_grants where table_name = 'theirs' and grantee = 'PUBLIC'";
    assert_eq!(theirs(granted), Value::Int(1));
    // A new column: the table is another one, and the views are made again upon it.
    let more = "select n, round, 'x' as more from (with recursive n (n) as (select 1 union all select n + 1 from n where n < 5) select n, 3 as round from n) as n";
    std::fs::write(folder.path().join("models/a.sql"), more).unwrap();
    place.adpipe(folder.path(), &Options::of(Command::Run).select("a")).unwrap();
    assert_eq!(theirs("select round from analytics.theirs_too"), Value::Int(3));
    assert_eq!(theirs("select count(*) from analytics.v"), Value::Int(ROWS));
}

#[test]
fn a_broken_contract_leaves_the_old_table() {
    for place in [Some(Place::sqlite()), Place::postgres("a_broken_contract_leaves_the_old_table")]
        .into_iter()
        .flatten()
    {
        let folder = tempfile::tempdir().unwrap();
        write_project(folder.path(), 1);
        let contract = "models:\n  - name: a\n    config: {contract: {enforced: true}}\n    columns:\n      - {name: n, data_type: integer}\n      - {name: round, data_type: integer}\n";
        std::fs::write(folder.path().join("models/_m.yml"), contract).unwrap();
        let results = place.adpipe(folder.path(), &Options::of(Command::Run)).unwrap();
        assert_eq!(failed(&results), Vec::<String>::new());
        std::fs::write(folder.path().join("models/a.sql"), "select 1 as n, 2 as other").unwrap();
        let results = place.adpipe(folder.path(), &Options::of(Command::Run)).unwrap();
        assert_eq!(failed(&results), ["a"]);
        let message =
            results.results.iter().find(|result| result.name == "a").unwrap().message.clone().unwrap();
        assert!(
            message.contains("other is given and not promised; round is promised and not given"),
            "{message}"
        );
        let kept = query_table(place.warehouse.as_ref(), "select count(*) from analytics.a", &[]).unwrap();
        assert_eq!(kept.rows[0][0], Value::Int(ROWS));
    }
}
