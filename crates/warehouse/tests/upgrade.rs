//! A warehouse from before errors of type `archive` is brought up to date with all that it has.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

use adpipe_testkit::postgres::Postgres;
use adpipe_warehouse::postgres::{PostgresSettings, PostgresWarehouse};
use adpipe_warehouse::sqlite::SqliteWarehouse;
use adpipe_warehouse::{Schema, Warehouse, query_table};

/// The account as an older adpipe wrote it: merged commits, a gap of Kafka's, a file, a part.
const OLD_ROWS: [&str; 3] = [
    "insert into realtime.commits (topic, partition, first_offset, next_offset, committed_at, records, valid, \
     clicks, duplicates, parse, schema, validation, future, sink, late, float_ids, unknown_fields, latency_counts) \
     values ('ad_events_raw', 0, 0, 10, '2026-01-01 00:00:00', 10, 3, 1, 2, 1, 1, 1, 1, 1, 2, 3, 4, '1 2'), \
            ('ad_events_raw', 0, 12, 20, '2026-01-01 00:00:01', 7, 7, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, '')",
    "insert into realtime.files (path, content, reading, size, size_hash, modified, state, message, position, \
     next_row, tail_position, tail_is_event, records, valid, clicks, duplicates, parse, schema, validation, future, \
     sink, float_ids, unknown_fields, first_event, last_event, started_at, updated_at) \
     values ('a.csv', 'c', 1, 9, 'h', '0', 'done', '', 9, 5, -1, 0, 9, 4, 1, 1, 1, 1, 1, 1, 0, 2, 3, null, \
             '2014-10-21 00:00:00', '2026-01-01 00:00:00', '2026-01-01 00:00:00')",
    "insert into realtime.archive_parts (path, event_date, first_event, last_event, rows, clicks, bytes, source, \
     created_at) values ('event_date=2014-10-21/part-1.parquet', '2014-10-21', '2014-10-21 00:00:00', \
     '2014-10-21 01:00:00', 4, 1, 99, 'file', '2026-01-01 00:00:00')",
];

fn numbers(warehouse: &dyn Warehouse, sql: &str) -> Vec<Vec<i64>> {
    let number = |value: &adpipe_warehouse::Value| {
        value.as_i64().or_else(|| value.as_f64().map(|number| number as i64)).unwrap_or(-1)
    };
    query_table(warehouse, sql, &[])
        .unwrap()
        .rows
        .iter()
        .map(|row| row.iter().map(number).collect())
        .collect()
}

fn has_everything(warehouse: &dyn Warehouse) {
    let commits = numbers(
        warehouse,
        "select first_offset, next_offset, records, valid, clicks, duplicates, parse, schema, validation, future, \
         sink, archive, late, float_ids, unknown_fields from realtime.commits order by first_offset",
    );
    assert_eq!(
        commits,
        [[0, 10, 10, 3, 1, 2, 1, 1, 1, 1, 1, 0, 2, 3, 4], [12, 20, 7, 7, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]]
    );
    let files = numbers(
        warehouse,
        "select reading, size, next_row, records, valid, clicks, duplicates, parse, schema, validation, future, \
         sink, archive, float_ids, unknown_fields from realtime.files",
    );
    assert_eq!(files, [[1, 9, 5, 9, 4, 1, 1, 1, 1, 1, 1, 0, 0, 2, 3]]);
    let unhashed = "select count(*) from realtime.archive_parts where hash is null";
    assert_eq!(numbers(warehouse, unhashed), [[1]]);
    // What does not add up is refused still, and a sixth kind of invalid adds up.
    let mut session = warehouse.session(Schema::Realtime).unwrap();
    for (archive, is_right) in [(4, false), (3, true)] {
        let commit = format!(
            "insert into realtime.commits (topic, partition, first_offset, next_offset, committed_at, records, \
             valid, clicks, duplicates, parse, schema, validation, future, sink, archive, late, float_ids, \
             unknown_fields, latency_counts) values ('ad_events_raw', 0, 20, 25, '2026-01-01 00:00:02', 5, 2, 0, \
             0, 0, 0, 0, 0, 0, {archive}, 0, 0, 0, '')"
        );
        let mut transaction = session.begin().unwrap();
        assert_eq!(transaction.execute(&commit, &[]).is_ok(), is_right, "{archive}");
        if is_right {
            transaction.commit().unwrap();
        }
    }
    let mut transaction = session.begin().unwrap();
    let wrong = "update realtime.files set archive = 1";
    assert!(transaction.execute(wrong, &[]).is_err());
}

#[test]
fn an_older_folder_keeps_its_account() {
    let folder = tempfile::tempdir().unwrap();
    {
        let database = rusqlite::Connection::open_in_memory().unwrap();
        let file = folder.path().join("realtime.db");
        database.execute("attach ?1 as realtime", [file.to_str().unwrap()]).unwrap();
        let history =
            "create table realtime.schema_migrations (version integer primary key, name text not null,
                       applied_at text not null default (datetime('now')))";
        database.execute_batch(history).unwrap();
        for (version, step) in [
            include_str!("../sql/sqlite/realtime_0001.sql"),
            include_str!("../sql/sqlite/realtime_0002.sql"),
            include_str!("../sql/sqlite/realtime_0003.sql"),
        ]
        .iter()
        .enumerate()
        {
            database.execute_batch(step).unwrap();
            let note = "insert into realtime.schema_migrations (version, name) values (?1, 'x')";
            database.execute(note, [version as i64 + 1]).unwrap();
        }
        OLD_ROWS.iter().for_each(|rows| database.execute_batch(rows).unwrap());
    }
    has_everything(&SqliteWarehouse::open(folder.path()).unwrap());
}

#[test]
fn an_older_database_keeps_its_account() {
    let Some(server) = Postgres::shared("an_older_database_keeps_its_account") else { return };
    let url = server.new_database();
    let mut client = postgres::Client::connect(&url, postgres::NoTls).unwrap();
    let history = "create schema ops;
                   create table ops.schema_migrations (version integer primary key, name text not null,
                                                       applied_at timestamptz not null default now())";
    client.batch_execute(history).unwrap();
    let steps = [
        include_str!("../sql/postgres/0001_schemas.sql"),
        include_str!("../sql/postgres/0002_errors.sql"),
        include_str!("../sql/postgres/0003_runs.sql"),
        include_str!("../sql/postgres/0004_data_tests.sql"),
        include_str!("../sql/postgres/0005_archive.sql"),
        include_str!("../sql/postgres/0006_monitoring.sql"),
    ];
    for (version, step) in steps.iter().enumerate() {
        client.batch_execute(step).unwrap();
        let note = "insert into ops.schema_migrations (version, name) values ($1, 'x')";
        client.execute(note, &[&(version as i32 + 1)]).unwrap();
    }
    OLD_ROWS.iter().for_each(|rows| client.batch_execute(rows).unwrap());
    drop(client);
    has_everything(&PostgresWarehouse::open(PostgresSettings::from_url(&url).unwrap()).unwrap());
}
