//! Sums of rows through the merging of commits: kept when all is sound, and never made of damage.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

use std::time::Duration;

use adpipe_event::{ContentSum, Millis};
use adpipe_testkit::postgres::Postgres;
use adpipe_warehouse::covered::check_rows;
use adpipe_warehouse::postgres::{PostgresSettings, PostgresWarehouse};
use adpipe_warehouse::sqlite::SqliteWarehouse;
use adpipe_warehouse::{
    Commit, Counts, LatencyCounts, RetentionPolicy, Schema, Value, Warehouse, query_table,
};

const DAY: Duration = Duration::from_secs(86_400);
const POLICY: RetentionPolicy = RetentionPolicy { minutes: DAY, commits: DAY, events: DAY };

/// Five commits of one hour, three days ago; each counted events whose sum is 7.
fn five_commits(warehouse: &dyn Warehouse, topic: &'static str) {
    let hour = Millis(Millis::now().0 - 3 * 86_400_000).floor_hour();
    let commit = |number: u64| Commit {
        topic,
        partition: 0,
        first_offset: number * 10,
        next_offset: number * 10 + 10,
        committed_at: Millis(hour.0 + number as i64),
        counts: Counts { records: 10, valid: 10, ..Counts::default() },
        latency: LatencyCounts::default(),
        content: ContentSum::from_i64(7),
    };
    let mut writer = warehouse.stream_writer().unwrap();
    let mut transaction = writer.begin().unwrap();
    transaction.record(&(0..5).map(commit).collect::<Vec<_>>()).unwrap();
    transaction.commit().unwrap();
}

fn commits(warehouse: &dyn Warehouse, topic: &str) -> Vec<Vec<Value>> {
    let sql = "select first_offset, next_offset, valid, content_sum from realtime.commits where topic = $1 order by 1";
    query_table(warehouse, sql, &[topic.into()]).unwrap().rows
}

fn merging_keeps_sums(warehouse: &dyn Warehouse) {
    five_commits(warehouse, "ad_events_raw");
    five_commits(warehouse, "ad_events_retry");
    let damage = "update realtime.commits set late = 1 where topic = 'ad_events_retry' and first_offset = 20";
    let mut session = warehouse.session(Schema::Realtime).unwrap();
    let mut transaction = session.begin().unwrap();
    transaction.script(damage).unwrap();
    transaction.commit().unwrap();

    assert_eq!(warehouse.retire(POLICY).unwrap().commits, 4);
    assert_eq!(commits(warehouse, "ad_events_raw"), [[0, 50, 50, 35].map(Value::Int)]);
    // A merged row would have looked sound.
    assert_eq!(commits(warehouse, "ad_events_retry").len(), 5);
    let found = check_rows(warehouse).unwrap();
    assert_eq!((found.sound, found.without_sum.len(), found.damaged.len()), (5, 0, 1), "{found:?}");
    assert!(found.damaged[0].contains("topic ad_events_retry, partition 0, first_offset 20"), "{found:?}");
}

#[test]
fn merging_keeps_sums_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    merging_keeps_sums(&SqliteWarehouse::open(folder.path()).unwrap());
}

#[test]
fn merging_keeps_sums_on_postgresql() {
    let Some(server) = Postgres::shared("merging_keeps_sums_on_postgresql") else { return };
    let settings = PostgresSettings::from_url(&server.new_database()).unwrap();
    merging_keeps_sums(&PostgresWarehouse::open(settings).unwrap());
}
