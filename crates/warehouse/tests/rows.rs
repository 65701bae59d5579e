//! Typed rows, alike on both databases: read by name, and damage is an error.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

use adpipe_event::Millis;
use adpipe_testkit::postgres::Postgres;
use adpipe_warehouse::postgres::{PostgresSettings, PostgresWarehouse};
use adpipe_warehouse::sqlite::SqliteWarehouse;
use adpipe_warehouse::{
    Dialect, FromRow, Row, Schema, Value, Warehouse, WarehouseError, errors, for_each_row, identity,
    query_as, query_table,
};

#[test]
fn sqlite_rows_are_read_by_name_and_type() {
    let folder = tempfile::tempdir().unwrap();
    check(&SqliteWarehouse::open(folder.path()).unwrap());
}

#[test]
fn postgres_rows_are_read_by_name_and_type() {
    let Some(server) = Postgres::shared("postgres_rows_are_read_by_name_and_type") else { return };
    let url = server.new_database();
    check(&PostgresWarehouse::open(PostgresSettings::from_url(&url).unwrap()).unwrap());
}

fn check(warehouse: &dyn Warehouse) {
    every_type_comes_back(warehouse);
    damage_is_an_error_and_not_a_number(warehouse);
    a_snapshot_reads_the_same(warehouse);
}

fn execute(warehouse: &dyn Warehouse, schema: Schema, sql: &str, params: &[Value]) {
    let mut session = warehouse.session(schema).unwrap();
    let mut transaction = session.begin().unwrap();
    transaction.execute(sql, params).unwrap();
    transaction.commit().unwrap();
}

#[derive(Debug, PartialEq)]
struct Sums {
    at: Millis,
    events: u64,
    total: i64,
    mean: f64,
    has_any: bool,
    name: String,
    note: Option<String>,
    bytes: Vec<u8>,
}

impl FromRow for Sums {
    fn from_row(row: &Row<'_>) -> Result<Sums, WarehouseError> {
        Ok(Sums {
            at: row.get("at")?,
            events: row.get("events")?,
            total: row.get("total")?,
            mean: row.get("mean")?,
            has_any: row.get("has_any")?,
            name: row.get("name")?,
            note: row.get("note")?,
            bytes: row.get("bytes")?,
        })
    }
}

fn every_type_comes_back(warehouse: &dyn Warehouse) {
    let (time, bytes) = match warehouse.dialect() {
        Dialect::Sqlite => ("text", "blob"),
        Dialect::Postgres => ("timestamptz", "bytea"),
    };
    let table = format!(
        "create table errors.typed (at {time}, number bigint, share double precision, name text, bytes {bytes})"
    );
    execute(warehouse, Schema::Errors, &table, &[]);
    let insert = "insert into errors.typed (at, number, share, name, bytes) values ($1, $2, $3, $4, $5)";
    for (number, share) in [(1 << 40, 0.5), (2, 1.0)] {
        let row = ["2014-10-21 00:00:00.250".into(), Value::Int(number), Value::Real(share), "a".into()];
        execute(warehouse, Schema::Errors, insert, &[&row[..], &[Value::Blob(vec![0, 255])]].concat());
    }
    // Sums and means are numbers of other types on PostgreSQL, truths on SQLite none of their own.
    let sql = "select min(at) as at, count(*) as events, sum(number) as total, avg(share) as mean,
                      count(*) > 0 as has_any, name, null as note, bytes
               from errors.typed group by name, bytes";
    let expected = Sums {
        at: Millis::parse_sql("2014-10-21 00:00:00.250").unwrap(),
        events: 2,
        total: (1 << 40) + 2,
        mean: 0.75,
        has_any: true,
        name: "a".to_owned(),
        note: None,
        bytes: vec![0, 255],
    };
    assert_eq!(query_as::<Sums>(warehouse, sql, &[]).unwrap(), [expected]);
    let names: Vec<String> =
        query_table(warehouse, "select name from errors.typed", &[]).unwrap().column("name").unwrap();
    assert_eq!(names, ["a", "a"]);
}

/// What a reader says; the row is written as nothing of adpipe would write it.
fn refusal<T: std::fmt::Debug>(outcome: Result<T, WarehouseError>) -> String {
    let error = outcome.unwrap_err();
    assert!(matches!(error, WarehouseError::Unusable { .. }), "{error:?}");
    error.to_string()
}

fn damage_is_an_error_and_not_a_number(warehouse: &dyn Warehouse) {
    let insert = "insert into errors.offsets (topic, partition, next_offset, updated_at)
                  values ('ad_events_error', 3, -5, '2014-10-21 00:00:00')";
    execute(warehouse, Schema::Errors, insert, &[]);
    let words = refusal(errors::offsets(warehouse));
    assert!(words.contains("column next_offset where partition 3: -5 is not a count"), "{words}");

    let insert = "insert into realtime.peers (store, store_id, epoch, how_far, seen_at)
                  values ('ops', 'x', 1, -1, '2014-10-21 00:00:00')";
    execute(warehouse, Schema::Realtime, insert, &[]);
    let words = refusal(identity::peers(warehouse, Schema::Realtime));
    assert!(
        words.contains("column how_far where store \"ops\", store_id \"x\": -1 is not a count"),
        "{words}"
    );

    // The first damaged row ends the reading.
    let mut seen = 0;
    let numbers = "select 1 as n union all select -2 union all select 3 order by 1 desc";
    let outcome = for_each_row(warehouse, numbers, &[], |row| {
        seen += row.get::<u64>("n")?;
        Ok::<(), WarehouseError>(())
    });
    assert!(refusal(outcome).contains("column n: -2 is not a count"));
    assert_eq!(seen, 4);
}

fn a_snapshot_reads_the_same(warehouse: &dyn Warehouse) {
    let snapshot = warehouse.snapshot().unwrap();
    execute(warehouse, Schema::Errors, "delete from errors.typed", &[]);
    let count = "select count(*) as rows from errors.typed";
    let before = query_table(snapshot.as_ref(), count, &[]).unwrap();
    assert_eq!(before.one().unwrap().get::<u64>("rows").unwrap(), 2);
    let after = query_table(warehouse, count, &[]).unwrap();
    assert_eq!(after.one().unwrap().get::<u64>("rows").unwrap(), 0);
}
