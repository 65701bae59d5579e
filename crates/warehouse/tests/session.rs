//! Sessions: transactions on small tables, alike on both databases.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

use std::time::{Duration, Instant};

use adpipe_testkit::postgres::Postgres;
use adpipe_warehouse::postgres::{PostgresSettings, PostgresWarehouse};
use adpipe_warehouse::sqlite::SqliteWarehouse;
use adpipe_warehouse::{Schema, Value, Warehouse, query_table};

#[test]
fn sqlite_keeps_what_was_committed_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    check(&SqliteWarehouse::open(&folder.path().join("odd %3f name#?")).unwrap());
}

#[test]
fn postgres_keeps_what_was_committed_and_nothing_else() {
    let Some(server) = Postgres::shared("postgres_keeps_what_was_committed_and_nothing_else") else { return };
    let url = server.new_database();
    check(&PostgresWarehouse::open(PostgresSettings::from_url(&url).unwrap()).unwrap());
}

fn check(warehouse: &dyn Warehouse) {
    let mut session = warehouse.session(Schema::Errors).unwrap();
    let mut transaction = session.begin().unwrap();
    transaction
        .script("create table errors.t (a bigint primary key, b text); create table errors.u (a bigint);")
        .unwrap();
    transaction.commit().unwrap();

    // Parameters go by number, not by where they stand.
    let mut transaction = session.begin().unwrap();
    let insert = "insert into errors.t (b, a) values ($2, $1)";
    assert_eq!(transaction.execute(insert, &[Value::Int(1), Value::from("one")]).unwrap(), 1);
    assert_eq!(transaction.execute(insert, &[Value::Int(2), Value::Null]).unwrap(), 1);
    let returned = transaction
        .query("update errors.t set b = $1 where a = $2 returning a, b", &["two".into(), Value::Int(2)])
        .unwrap();
    assert_eq!(returned.rows, vec![vec![Value::Int(2), Value::from("two")]]);
    transaction.commit().unwrap();

    let mut dropped = session.begin().unwrap();
    dropped.execute("delete from errors.t", &[]).unwrap();
    drop(dropped);
    let kept = query_table(warehouse, "select count(*) from errors.t where b = $1", &["two".into()]).unwrap();
    assert_eq!(kept.rows[0][0], Value::Int(1));

    // Too few parameters are told, not taken for null.
    let mut transaction = session.begin().unwrap();
    assert!(transaction.execute(insert, &[Value::Int(3)]).is_err());
    drop(transaction);

    // The stream does not wait for a session's transaction, nor the other way round.
    let held = session.begin().unwrap();
    let started = Instant::now();
    warehouse.begin_at("ad_events_raw", 0, 0).unwrap();
    let mut writer = warehouse.stream_writer().unwrap();
    let mut batch = writer.begin().unwrap();
    batch.claim("ad_events_raw", 0, 0, 1).unwrap();
    batch.commit().unwrap();
    assert!(started.elapsed() < Duration::from_secs(4), "it waited for the lock");
    drop(held);
}
