//! The PostgreSQL warehouse on a real server: who is counted, who is refused, what can be read.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

use std::time::Duration;

use adpipe_event::{ContentSum, Event, EventBatch, Millis};
use adpipe_testkit::postgres::Postgres;
use adpipe_warehouse::postgres::{PostgresSettings, PostgresWarehouse};
use adpipe_warehouse::{
    Commit, Counts, Inserted, LatencyCounts, MetricRow, RetentionPolicy, StreamWriter, Value, Warehouse,
    WarehouseError, WarehouseRead, query_table,
};

const TOPIC: &str = "ad_events_raw";
const HOUR: i64 = 3_600_000;

const DAY: Duration = Duration::from_secs(24 * 3_600);
/// 2014-10-21 00:00 UTC.
const START: Millis = Millis(1_413_849_600_000);

/// A warehouse whose partitions 0 to 3 have begun.
fn open(url: &str) -> PostgresWarehouse {
    let warehouse = PostgresWarehouse::open(PostgresSettings::from_url(url).unwrap()).unwrap();
    for partition in 0..4 {
        // A reader may not, and need not.
        let _ = warehouse.begin_at(TOPIC, partition, 0);
    }
    warehouse
}

fn event<'a>(id: &'a str, at: Millis, site_id: &'a str) -> Event<'a> {
    let mut texts = ["x"; 9];
    texts[0] = site_id;
    let ints = [Some(-1), None, Some(320), None, None, None, None, None, Some(7)];
    Event { id, click: true, event_time: at, banner_pos: 1, device_type: 2, device_conn_type: 3, texts, ints }
}

fn batch(ids: impl IntoIterator<Item = u64>, at: Millis) -> EventBatch {
    let mut events = EventBatch::new();
    for id in ids {
        events.push(&event(&id.to_string(), at, "site"));
    }
    events
}

/// One whole transaction on a partition; the metrics are of what was new.
fn write(
    writer: &mut dyn StreamWriter,
    partition: u32,
    first: u64,
    events: &EventBatch,
) -> Result<Inserted, WarehouseError> {
    let next = first + events.len() as u64;
    let mut transaction = writer.begin()?;
    transaction.claim(TOPIC, partition, first, next)?;
    let inserted = transaction.insert_events(events)?;
    let new = inserted.is_new.iter().filter(|is_new| **is_new).count() as u64;
    let row = MetricRow {
        window_start: START,
        banner_pos: 1,
        device_type: 2,
        device_conn_type: 3,
        site_category: "x",
        app_category: "x",
        impressions: new,
        clicks: new,
    };
    transaction.add_metrics(&[row], &[row])?;
    let duplicates = events.len() as u64 - new;
    let counts =
        Counts { records: events.len() as u64, valid: new, duplicates, clicks: new, ..Counts::default() };
    transaction.record(&[Commit {
        topic: TOPIC,
        partition,
        first_offset: first,
        next_offset: next,
        committed_at: Millis::now(),
        counts,
        latency: LatencyCounts::default(),
        content: Some(ContentSum::default()),
    }])?;
    transaction.commit()?;
    Ok(inserted)
}

fn number(warehouse: &dyn Warehouse, sql: &str) -> i64 {
    query_table(warehouse, sql, &[]).unwrap().rows[0][0].as_i64().unwrap()
}

/// Rows of events; impressions by the minute and by the hour.
fn counted(warehouse: &dyn Warehouse) -> (i64, i64, i64) {
    (
        number(warehouse, "select count(*) from realtime.events"),
        number(warehouse, "select coalesce(sum(impressions), 0) from realtime.metrics"),
        number(warehouse, "select coalesce(sum(impressions), 0) from realtime.metrics_hourly"),
    )
}

#[test]
fn ten_starters_on_an_empty_database_migrate_once() {
    let Some(server) = Postgres::shared("ten_starters") else { return };
    let url = server.new_database();
    std::thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| open(&url));
        }
    });
    let warehouse = open(&url);
    assert_eq!(
        number(&warehouse, "select count(*) from ops.schema_migrations"),
        number(&warehouse, "select count(distinct name) from ops.schema_migrations")
    );
}

#[test]
fn a_batch_is_counted_once_and_the_first_of_its_repeats_wins() {
    let Some(server) = Postgres::shared("a_batch_is_counted_once") else { return };
    let warehouse = open(&server.new_database());
    let mut writer = warehouse.stream_writer().unwrap();
    let inserted = write(writer.as_mut(), 0, 0, &batch([1, 2, 1, 3], START)).unwrap();
    assert_eq!(inserted.is_new, [true, true, false, true]);
    let inserted = write(writer.as_mut(), 0, 4, &batch([3, 4], START)).unwrap();
    assert_eq!(inserted.is_new, [false, true]);
    // The same id in another hour is another event; a new writer knows what the old one did.
    let mut writer = warehouse.stream_writer().unwrap();
    assert_eq!(write(writer.as_mut(), 0, 6, &batch([4], Millis(START.0 + HOUR))).unwrap().is_new, [true]);
    assert_eq!(write(writer.as_mut(), 0, 7, &batch([4], START)).unwrap().is_new, [false]);
    assert_eq!(counted(&warehouse), (5, 5, 5));
    assert_eq!(warehouse.contains(&batch([1, 9, 4], START)).unwrap(), [true, false, true]);
}

#[test]
fn who_went_on_from_the_same_offset_is_fenced_and_leaves_nothing() {
    let Some(server) = Postgres::shared("fenced") else { return };
    let warehouse = open(&server.new_database());
    let (mut one, mut two) = (warehouse.stream_writer().unwrap(), warehouse.stream_writer().unwrap());
    write(one.as_mut(), 0, 0, &batch(0..10, START)).unwrap();
    let error = write(two.as_mut(), 0, 0, &batch(0..10, START)).unwrap_err();
    assert!(matches!(error, WarehouseError::Fenced { partition: 0, expected: 0, .. }), "{error}");
    let mut abandoned = two.begin().unwrap();
    abandoned.claim(TOPIC, 0, 10, 20).unwrap();
    abandoned.insert_events(&batch(10..20, START)).unwrap();
    drop(abandoned);
    assert_eq!(counted(&warehouse), (10, 10, 10));
    assert_eq!(write(two.as_mut(), 0, 10, &batch(10..20, START)).unwrap().is_new, [true; 10]);
}

#[test]
fn a_processor_does_not_go_on_behind_commits_that_the_server_lost() {
    let Some(server) = Postgres::start("commits_that_the_server_lost") else { return };
    let url = server.new_database();
    let database = url.rsplit('/').next().unwrap();
    let warehouse = open(&url);
    let mut writer = warehouse.stream_writer().unwrap();
    write(writer.as_mut(), 0, 0, &batch(0..10, START)).unwrap();
    // What a crash of the server undoes when commits do not wait for the disk: the first commit with
    // its offset. What was stored by `begin_at` is never undone.
    server.psql(database, "update realtime.offsets set next_offset = 0 where partition = 0");
    let error = write(writer.as_mut(), 0, 10, &batch(10..20, START)).unwrap_err();
    assert!(matches!(error, WarehouseError::Fenced { expected: 10, .. }), "{error}");
    // Even a database that was restored empty does not let a processor skip what it counted.
    server.psql(database, "delete from realtime.offsets");
    let mut writer = warehouse.stream_writer().unwrap();
    let error = write(writer.as_mut(), 0, 10, &batch(10..20, START)).unwrap_err();
    assert!(matches!(error, WarehouseError::Fenced { expected: 10, .. }), "{error}");

    // And `begin_at` is durable, whatever is configured.
    let hasty = PostgresSettings::from_url(&url).unwrap().synchronous_commit(false);
    let hasty = PostgresWarehouse::open(hasty).unwrap();
    for partition in 100..110 {
        hasty.begin_at(TOPIC, partition, 7).unwrap();
        server.kill();
        server.start_again();
        let stored = PostgresWarehouse::open(PostgresSettings::from_url(&url).unwrap()).unwrap();
        let stored = stored.offsets(TOPIC).unwrap();
        assert!(stored.iter().any(|offset| offset.partition == partition && offset.next_offset == 7));
    }
}

#[test]
fn a_conflict_between_two_writers_is_judged_by_the_key() {
    let Some(server) = Postgres::shared("a_conflict_between_two_writers") else { return };
    let warehouse = open(&server.new_database());
    let (mut one, mut two) = (warehouse.stream_writer().unwrap(), warehouse.stream_writer().unwrap());
    write(one.as_mut(), 0, 0, &batch(0..1_000, START)).unwrap();
    // What the first one knows of this hour is out of date from here on.
    write(two.as_mut(), 1, 0, &batch(1_000..2_000, START)).unwrap();
    let inserted = write(one.as_mut(), 0, 1_000, &batch(1_900..2_100, START)).unwrap();
    let expected: Vec<bool> = (1_900..2_100).map(|id| id >= 2_000).collect();
    assert_eq!(inserted.is_new, expected);
    assert_eq!(counted(&warehouse), (2_100, 2_100, 2_100));
}

#[test]
fn writers_at_once_on_new_days_count_everything_once() {
    let Some(server) = Postgres::shared("writers_at_once") else { return };
    let warehouse = open(&server.new_database());
    std::thread::scope(|scope| {
        for partition in 0..4 {
            let warehouse = &warehouse;
            scope.spawn(move || {
                let mut writer = warehouse.stream_writer().unwrap();
                let mut first = 0;
                for day in 0..5 {
                    // All four bring the same events of the same new day.
                    let events = batch(0..500, Millis(START.0 + day * 24 * HOUR));
                    loop {
                        match write(writer.as_mut(), partition, first, &events) {
                            Ok(_) => break,
                            Err(error) if error.is_transient() => writer = warehouse.stream_writer().unwrap(),
                            Err(error) => panic!("{error}"),
                        }
                    }
                    first += 500;
                }
            });
        }
    });
    assert_eq!(counted(&warehouse), (2_500, 2_500, 2_500));
}

#[test]
fn single_rows_that_the_database_refuses_are_found_among_their_neighbours() {
    let Some(server) = Postgres::shared("single_rows_refused") else { return };
    let warehouse = open(&server.new_database());
    let url = warehouse.location();
    let database = url.rsplit('/').next().unwrap();
    server.psql(database, "alter table realtime.events add constraint taste check (site_id <> 'ugly')");
    let mut writer = warehouse.stream_writer().unwrap();
    let mut events = EventBatch::new();
    for id in 0..1_000 {
        let site = if id == 17 || id == 998 { "ugly" } else { "nice" };
        events.push(&event(&format!("{id:04}"), START, site));
    }
    let mut transaction = writer.begin().unwrap();
    transaction.claim(TOPIC, 0, 0, 1_000).unwrap();
    let inserted = transaction.insert_events(&events).unwrap();
    transaction.commit().unwrap();
    let refused: Vec<usize> = inserted.refused.iter().map(|(index, _)| *index).collect();
    assert_eq!(refused, [17, 998]);
    assert!(inserted.refused[0].1.contains("taste"), "{:?}", inserted.refused);
    assert_eq!(inserted.is_new.iter().filter(|is_new| **is_new).count(), 998);
    assert_eq!(number(&warehouse, "select count(*) from realtime.events"), 998);
}

#[test]
fn a_day_is_dropped_only_when_all_of_it_is_archived() {
    let Some(server) = Postgres::shared("a_day_is_dropped") else { return };
    let warehouse = open(&server.new_database());
    let mut writer = warehouse.stream_writer().unwrap();
    write(writer.as_mut(), 0, 0, &batch(0..10, START)).unwrap();
    let database = warehouse.location().rsplit('/').next().unwrap().to_owned();
    let archived = |rows: u32| {
        let hour = START.floor_hour();
        server.psql(
            &database,
            &format!(
                "insert into realtime.hours values ('{hour}+00', 1, {rows}, 0, {rows})
                 on conflict (event_hour) do update set archived_rows = {rows}, hot_copies = {rows}"
            ),
        );
    };
    archived(9);
    let error = warehouse.drop_archived_day(START).unwrap_err();
    assert!(error.to_string().contains("archive the others first"), "{error}");
    archived(10);
    assert_eq!(warehouse.drop_archived_day(START).unwrap(), Some(10));
    assert_eq!(warehouse.drop_archived_day(START).unwrap(), None);
    assert_eq!(number(&warehouse, "select sum(hot_copies) from realtime.hours"), 0);
    // The writer still believes in the day: it fails once, and its successor makes it again.
    let error = write(writer.as_mut(), 0, 10, &batch(10..20, START)).unwrap_err();
    assert!(error.is_transient(), "{error}");
    let mut writer = warehouse.stream_writer().unwrap();
    assert_eq!(write(writer.as_mut(), 0, 10, &batch(10..20, START)).unwrap().is_new, [true; 10]);
}

#[test]
fn old_commits_are_merged_and_the_account_stays_whole() {
    let Some(server) = Postgres::shared("old_commits_are_merged") else { return };
    let warehouse = open(&server.new_database());
    let mut writer = warehouse.stream_writer().unwrap();
    for part in 0..4 {
        write(writer.as_mut(), 0, part * 10, &batch(part * 10..part * 10 + 10, START)).unwrap();
    }
    let database = warehouse.location().rsplit('/').next().unwrap().to_owned();
    server.psql(
        &database,
        "update realtime.commits set committed_at = date_trunc('hour', now()) - interval '3 days', row_sum = null",
    );
    let policy = RetentionPolicy { minutes: Duration::from_secs(60), commits: DAY, events: DAY };
    let retired = warehouse.retire(policy).unwrap();
    assert_eq!((retired.commits, retired.minute_rows), (3, 0));
    let whole =
        "select count(*) from realtime.commits where first_offset = 0 and next_offset = 40 and valid = 40";
    assert_eq!(number(&warehouse, whole), 1);
}

#[test]
fn commits_with_kafkas_gaps_are_merged_too() {
    let Some(server) = Postgres::shared("commits_with_gaps") else { return };
    let warehouse = open(&server.new_database());
    let database = warehouse.location().rsplit('/').next().unwrap().to_owned();
    // Partition 0: one offset of each commit is a transaction's mark and no record. Partition 1: a
    // commit is missing between two, and those must not become one.
    server.psql(
        &database,
        "insert into realtime.commits (
             topic, partition, first_offset, next_offset, committed_at, records, valid, clicks, duplicates,
             parse, schema, validation, future, sink, late, float_ids, unknown_fields, latency_counts)
         select 'ad_events_raw', partition, first, first + 11, date_trunc('hour', now()) - interval '3 days',
                10, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ''
         from (values (0, 0), (0, 11), (0, 22), (1, 0), (1, 22)) v (partition, first)",
    );
    let policy = RetentionPolicy { minutes: Duration::from_secs(60), commits: DAY, events: DAY };
    assert_eq!(warehouse.retire(policy).unwrap().commits, 2);
    let merged =
        "select count(*) from realtime.commits where partition = 0 and next_offset = 33 and records = 30";
    assert_eq!(number(&warehouse, merged), 1);
    assert_eq!(number(&warehouse, "select count(*) from realtime.commits where partition = 1"), 2);
}

#[test]
fn values_look_as_they_do_on_sqlite() {
    let Some(server) = Postgres::shared("values_look_as_they_do") else { return };
    let warehouse = open(&server.new_database());
    let sql = "select timestamptz '2014-10-21 01:02:03.45+00' as t, timestamptz '2014-10-21 00:00+00', \
               sum(n), 1.5::numeric, null::text, true, 2.5::float8, '\\xff00'::bytea, date '2014-10-21' \
               from (values (3::bigint), (4)) v (n)";
    let table = query_table(&warehouse, sql, &[]).unwrap();
    assert_eq!(table.columns[0], "t");
    let expected = [
        "2014-10-21 01:02:03.450".into(),
        "2014-10-21 00:00:00".into(),
        Value::Int(7),
        Value::Real(1.5),
        Value::Null,
        Value::Int(1),
        Value::Real(2.5),
        Value::Blob(vec![0xff, 0]),
        "2014-10-21".into(),
    ];
    assert_eq!(table.rows[0], expected);
    let since = ["2014-10-21 00:00:00".into()];
    let sql = "select count(*) from realtime.metrics where window_start >= $1";
    assert_eq!(query_table(&warehouse, sql, &since).unwrap().rows[0], [Value::Int(0)]);
    let mut seen = 0;
    let all = "select * from generate_series(1, 100000)";
    warehouse
        .query(all, &[], &mut |_| {
            seen += 1;
            seen < 2_500
        })
        .unwrap();
    assert_eq!(seen, 2_500);
    assert_eq!(query_table(&warehouse, all, &[]).unwrap().rows.len(), 100_000);
}

#[test]
fn a_reading_statement_changes_nothing() {
    let Some(server) = Postgres::shared("a_reading_statement") else { return };
    let warehouse = open(&server.new_database());
    for sql in [
        "insert into realtime.offsets values ('x', 0, 0, now()) returning 1",
        "delete from realtime.offsets",
        "copy (select 1) to program 'cat > /tmp/adpipe-must-not-exist'",
        "set default_transaction_read_only = off",
        "commit",
        "select 1; delete from realtime.offsets",
        "select set_config('transaction_read_only', 'off', false)",
        "create table realtime.x (a int)",
        "select nonsense",
    ] {
        let error = query_table(&warehouse, sql, &[]).map(|table| panic!("{sql}: {table:?}")).unwrap_err();
        assert!(matches!(error, WarehouseError::Statement(_)), "{sql}: {error:?}");
    }
    let error = query_table(&warehouse, "delete from realtime.offsets", &[]).unwrap_err();
    assert!(error.to_string().contains("not authorized"), "{error}");
    // A setting made by a statement is gone with it.
    let _ = query_table(&warehouse, "select set_config('statement_timeout', '1', false)", &[]);
    assert_eq!(number(&warehouse, "select 1 from pg_sleep(0.05)"), 1);
}

#[test]
fn roles_have_the_rights_they_need_and_no_others() {
    let Some(server) = Postgres::shared("roles") else { return };
    let url = server.new_database();
    let database = url.rsplit('/').next().unwrap();
    let roles = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("sql/postgres/roles.sql");
    server.psql_file(database, &roles);
    server.psql_file(database, &roles);
    let as_user = |user: &str| server.url_of(user, database);
    let writer = open(&as_user("adpipe_writer"));
    write(writer.stream_writer().unwrap().as_mut(), 0, 0, &batch(0..10, START)).unwrap();
    let reader = open(&as_user("adpipe_reader"));
    assert_eq!(counted(&reader), (10, 10, 10));
    let error = reader.stream_writer().map(drop).unwrap_err();
    assert!(
        matches!(error, WarehouseError::Unusable { .. } | WarehouseError::Unavailable { .. }),
        "{error:?}"
    );
    server.psql(database, "set role adpipe_monitor; select version from ops.schema_migrations");
}
