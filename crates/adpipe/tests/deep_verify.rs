//! `adpipe verify --deep` sees every change of what is stored: single bits of the files, single
//! columns of the tables, on both back ends.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;
#[path = "common/damage.rs"]
mod damage;
#[path = "common/pipeline.rs"]
mod pipeline;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use adpipe_testkit::postgres::Postgres;
use adpipe_testkit::{Dice, seed};
use common::Folder;
use damage::{filled, is_harmless, is_told, others, verdict};
use pipeline::Pipeline;
use rusqlite::types::{Value as Sql, ValueRef};
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

const FLIPS_A_FILE: u32 = 110;

/// The files of a warehouse, each written back whole.
struct Saved(Vec<(PathBuf, Vec<u8>)>);

impl Saved {
    /// Copies the whole content into the main files first.
    fn of(folder: &Path) -> Saved {
        let mut files = Vec::new();
        for name in ["realtime.db", "errors.db", "ops.db", "analytics.db", "log.db"] {
            let path = folder.join(name);
            let database = Connection::open(&path).unwrap();
            database.query_row("pragma wal_checkpoint(truncate)", [], |_| Ok(())).unwrap();
            drop(database);
            files.push((path.clone(), std::fs::read(&path).unwrap()));
        }
        Saved(files)
    }

    fn restore(&self) {
        for (path, bytes) in &self.0 {
            for end in ["-wal", "-shm"] {
                let _ = std::fs::remove_file(format!("{}{end}", path.display()));
            }
            std::fs::write(path, bytes).unwrap();
        }
    }

    fn bytes(&self, name: &str) -> &[u8] {
        &self.0.iter().find(|(path, _)| path.ends_with(name)).unwrap().1
    }
}

/// Every table of a file with its columns; those of the primary key first.
fn tables(database: &Connection) -> Vec<(String, Vec<String>, usize)> {
    let mut statement = database
        .prepare(
            "select name from sqlite_master where type = 'table' and name not like 'sqlite_%' order by 1",
        )
        .unwrap();
    let names: Vec<String> =
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    let columns = |table: &String| {
        let mut statement =
            database.prepare("select name, pk from pragma_table_info(?1) order by pk = 0, pk, cid").unwrap();
        let columns: Vec<(String, i64)> = statement
            .query_map([table], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        let keys = columns.iter().filter(|(_, key)| *key > 0).count();
        (columns.into_iter().map(|(name, _)| name).collect(), keys)
    };
    names
        .into_iter()
        .map(|table| {
            let (names, keys) = columns(&table);
            (table, names, keys)
        })
        .collect()
}

/// Everything that matters in a file, in the order of its rows; none when it cannot be read.
fn content(path: &Path, schema: &str) -> Option<BTreeMap<String, Vec<String>>> {
    let database = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
    let mut all = BTreeMap::new();
    for (table, columns, _) in tables(&database) {
        let name = format!("{schema}.{table}");
        let columns: Vec<&String> = columns.iter().filter(|column| !is_harmless(&name, column)).collect();
        if columns.is_empty() {
            continue;
        }
        let list: Vec<String> = columns.iter().map(|column| format!("\"{column}\"")).collect();
        let mut statement = database.prepare(&format!("select {} from \"{table}\"", list.join(", "))).ok()?;
        let mut rows = statement.query([]).ok()?;
        let mut lines = Vec::new();
        while let Some(row) = rows.next().ok()? {
            let values: Vec<Sql> =
                (0..columns.len()).map(|index| row.get(index).ok()).collect::<Option<_>>()?;
            lines.push(format!("{values:?}"));
        }
        lines.sort_unstable();
        all.insert(name, lines);
    }
    Some(all)
}

#[test]
fn every_flipped_bit_of_a_file_is_named_or_does_not_matter() {
    let mut dice = Dice(seed());
    let pipeline = filled(None);
    let folder = pipeline.folder.join("data");
    let saved = Saved::of(&folder);
    assert!(verdict(&pipeline).0, "{}", verdict(&pipeline).1);
    for schema in ["realtime", "errors"] {
        let name = format!("{schema}.db");
        let path = folder.join(&name);
        saved.restore();
        let whole = content(&path, schema).unwrap();
        let mut named = 0;
        for _ in 0..FLIPS_A_FILE {
            saved.restore();
            let mut bytes = saved.bytes(&name).to_vec();
            let (at, bit) = (dice.below(bytes.len() as u64) as usize, dice.below(8));
            bytes[at] ^= 1 << bit;
            std::fs::write(&path, bytes).unwrap();
            let verdict = verdict(&pipeline);
            let words = &verdict.1;
            named += u32::from(is_told(&verdict));
            if !is_told(&verdict) {
                let found = content(&path, schema).expect("content could be read by adpipe");
                assert!(found == whole, "bit {bit} of byte {at} of {name} went unseen: {words}");
            }
        }
        println!("{name}: {named} of {FLIPS_A_FILE} flips named, the others change nothing");
        // Most of a small file is room that nothing uses.
        assert!(named > FLIPS_A_FILE / 10, "{name}: only {named} flips were named");
    }
}

/// A row of failures that retention has removed, as the queue writes it.
fn retired(table: &str) -> String {
    let key = [adpipe_warehouse::Value::from("file:gone"), adpipe_warehouse::Value::Int(0)];
    let sum = adpipe_warehouse::added_sum("errors.retired", &key, &[3]);
    format!("insert into {table} (topic, partition, failures, row_sum) values ('file:gone', 0, 3, {sum})")
}

/// Records that went with a log, and that somebody has accepted as lost.
fn lost(table: &str) -> String {
    const NOTED: &str = "2026-01-01 00:00:00";
    let number = adpipe_warehouse::Value::Int;
    let key: [adpipe_warehouse::Value; 3] = ["ad_events_raw".into(), number(0), number(1 << 40)];
    let row = [&key[..], &[number((1 << 40) + 5), adpipe_warehouse::Value::Null, NOTED.into()]].concat();
    let accepted = [&key[..], &[NOTED.into(), "test".into()]].concat();
    let sum = adpipe_warehouse::row_sum("realtime.lost_records", &row);
    let accepted_sum = adpipe_warehouse::row_sum("realtime.lost_records.accepted_sum", &accepted);
    format!(
        "insert into {table} (topic, partition, first_offset, next_offset, since, noted_at, accepted_at, accepted_by, \
         row_sum, accepted_sum) values ('ad_events_raw', 0, {}, {}, null, '{NOTED}', '{NOTED}', 'test', {sum}, \
         {accepted_sum})",
        1_i64 << 40,
        (1_i64 << 40) + 5
    )
}

/// As JSON, which [`others`] takes; bytes as text where they are.
fn as_json(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => number.into(),
        ValueRef::Real(number) => (number as i64).into(),
        ValueRef::Text(text) | ValueRef::Blob(text) => String::from_utf8_lossy(text).into_owned().into(),
    }
}

/// Changes one column of one row, chosen by the dice; says what it did, none when the table has no
/// rows or does not take another value.
fn change_one(
    path: &Path,
    table: &str,
    columns: &[String],
    keys: usize,
    at: usize,
    dice: &mut Dice,
) -> Option<String> {
    let database = Connection::open(path).unwrap();
    // What a flipped bit does not ask either.
    database.execute_batch("pragma ignore_check_constraints = on").unwrap();
    let count = |sql: &str| database.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    let rows = count(&format!("select count(*) from \"{table}\""));
    if rows == 0 {
        return None;
    }
    let row = dice.below(rows as u64);
    let column = &columns[at];
    let key: Vec<String> = columns[..keys].iter().map(|name| format!("\"{name}\"")).collect();
    let found: Vec<Sql> = database
        .query_row(
            &format!("select {}, \"{column}\" from \"{table}\" limit 1 offset {row}", key.join(", ")),
            [],
            |found| (0..=keys).map(|index| found.get(index)).collect(),
        )
        .unwrap();
    let (key_values, value) = found.split_at(keys);
    let conditions: Vec<String> =
        key.iter().enumerate().map(|(index, name)| format!("{name} = ?{}", index + 1)).collect();
    let is_blob = matches!(value[0], Sql::Blob(_));
    for other in others(&as_json(ValueRef::from(&value[0])), dice) {
        let other = if is_blob { format!("cast({other} as blob)") } else { other };
        let sql = format!("update \"{table}\" set \"{column}\" = {other} where {}", conditions.join(" and "));
        match database.execute(&sql, rusqlite::params_from_iter(key_values)) {
            Ok(1) => return Some(format!("{column} of {key_values:?}: {:?} became {other}", value[0])),
            Ok(changed) => panic!("{changed} rows changed by {sql}"),
            Err(_) => {}
        }
    }
    None
}

#[test]
fn every_changed_column_is_named_or_does_not_matter() {
    let mut dice = Dice(seed());
    let pipeline = filled(None);
    let folder = pipeline.folder.join("data");
    Connection::open(folder.join("errors.db")).unwrap().execute_batch(&retired("retired")).unwrap();
    Connection::open(folder.join("realtime.db")).unwrap().execute_batch(&lost("lost_records")).unwrap();
    let saved = Saved::of(&folder);
    let (mut changed, mut harmless, mut unseen, mut without_rows) = (0, 0, Vec::new(), Vec::new());
    for schema in ["realtime", "errors"] {
        let path = folder.join(format!("{schema}.db"));
        saved.restore();
        let all = tables(&Connection::open(&path).unwrap());
        for (table, columns, keys) in all {
            let name = format!("{schema}.{table}");
            for at in 0..columns.len() {
                saved.restore();
                let Some(change) = change_one(&path, &table, &columns, keys, at, &mut dice) else {
                    if !is_harmless(&name, &columns[at]) {
                        without_rows.push(format!("{name}.{}", columns[at]));
                    }
                    continue;
                };
                changed += 1;
                let (is_content, _) = verdict(&pipeline);
                if is_content && is_harmless(&name, &columns[at]) {
                    harmless += 1;
                } else if is_content {
                    unseen.push(format!("{name}: {change}"));
                }
            }
        }
    }
    println!("{changed} columns changed, {harmless} of them harmless; not changed: {without_rows:?}");
    assert!(unseen.is_empty(), "{} went unseen: {unseen:#?}", unseen.len());
    assert!(changed >= 150, "{changed}");
    // Every table that matters has rows.
    assert!(without_rows.is_empty(), "{without_rows:?}");
}

#[test]
fn every_changed_column_on_postgresql_is_named_or_does_not_matter() {
    let Some(server) = Postgres::shared("every_changed_column_on_postgresql") else { return };
    let mut dice = Dice(seed());
    let url = server.new_database();
    let database = url.rsplit('/').next().unwrap().split('?').next().unwrap().to_owned();
    let pipeline = filled(Some(url));
    let psql = |sql: &str| server.psql(&database, sql);
    psql(&retired("errors.retired"));
    psql(&lost("realtime.lost_records"));
    let (is_content, words) = verdict(&pipeline);
    assert!(is_content, "{words}");
    let columns = psql(
        "select c.table_schema || '.' || c.table_name || ' ' || c.column_name from information_schema.columns c
         join information_schema.tables t using (table_schema, table_name)
         where c.table_schema in ('realtime', 'errors') and t.table_type = 'BASE TABLE'
           and c.table_name !~ '^events_' order by 1",
    );
    let (mut changed, mut harmless, mut unseen) = (0, 0, Vec::new());
    for (table, column) in columns.lines().filter_map(|line| line.trim().split_once(' ')) {
        let is_number = |kind: &str| matches!(kind, "smallint" | "integer" | "bigint");
        let (schema, short) = table.split_once('.').unwrap();
        let kind = psql(&format!(
            "select data_type from information_schema.columns
             where table_schema = '{schema}' and table_name = '{short}' and column_name = '{column}'"
        ));
        let kind = kind.trim();
        let rows: u64 = psql(&format!("select count(*) from {table}")).trim().parse().unwrap();
        if rows == 0 {
            continue;
        }
        let row = dice.below(rows);
        let bit = 1 << dice.below(12);
        let mut candidates: Vec<String> = match kind {
            kind if is_number(kind) => [
                format!("coalesce({column}, 5) # {bit}"),
                format!("coalesce({column}, 0) + 1"),
                format!("{column} - 1"),
            ]
            .to_vec(),
            "timestamp with time zone" => [
                format!("coalesce({column}, now()) + interval '1 hour'"),
                format!("{column} + interval '1 day'"),
            ]
            .to_vec(),
            "uuid" => vec!["'0199c0de-0000-7000-8000-000000000001'".to_owned()],
            "bytea" => vec![format!("coalesce({column}, '') || 'x'")],
            _ => vec![
                format!("coalesce({column}, '') || 'x'"),
                format!("overlay({column} placing '7' from 1 for 1)"),
            ],
        };
        candidates.extend(
            [
                "pending",
                "retrying",
                "resolved",
                "stream",
                "file",
                "done",
                "replaced",
                "applied",
                "already_counted",
                "edit",
                "retry",
            ]
            .iter()
            .filter(|_| kind == "text")
            .map(|word| format!("'{word}'")),
        );
        // In one transaction that tells whether the table took it; the old rows stay there, too.
        let took = candidates.iter().find(|other| {
            let sql = format!(
                "do $$
                 declare place tid; part oid; n bigint;
                 begin
                   drop table if exists public.saved;
                   create table public.saved as table {table};
                   select ctid, tableoid into place, part from {table} offset {row} limit 1;
                   update {table} set {column} = {other}
                   where ctid = place and tableoid = part and {column} is distinct from {other};
                   get diagnostics n = row_count;
                   if n <> 1 then raise exception 'nothing changed'; end if;
                 exception when others then
                   drop table if exists public.saved;
                 end $$;
                 select to_regclass('public.saved') is not null"
            );
            psql(&sql).trim().ends_with('t')
        });
        let Some(other) = took else {
            println!("{table}.{column}: the server refuses every other value");
            continue;
        };
        changed += 1;
        let (is_content, _) = verdict(&pipeline);
        if is_content && is_harmless(table, column) {
            harmless += 1;
        } else if is_content {
            unseen.push(format!("{table}.{column} became {other}"));
        }
        psql(&format!(
            "begin; delete from {table}; insert into {table} overriding system value select * from public.saved; \
             drop table public.saved; commit"
        ));
    }
    println!("{changed} columns changed, {harmless} of them harmless");
    assert!(unseen.is_empty(), "{} went unseen: {unseen:#?}", unseen.len());
    assert!(changed >= 85, "{changed}");
    assert!(verdict(&pipeline).0, "what was put back is whole");
}

/// Data from before sums were kept: named, then sealed, then watched.
fn seals(pipeline: &Pipeline, execute: impl Fn(&str)) {
    execute("update realtime.content_sums set content_sum = null");
    for covered in adpipe_warehouse::covered::COVERED {
        execute(&format!("update {} set {} = null", covered.table, covered.column));
    }
    execute("update realtime.commits set content_sum = null");
    let (is_content, words) = verdict(pipeline);
    assert!(is_content, "{words}");
    let not_checked = words.lines().find(|line| line.starts_with("zero residue")).unwrap();
    assert!(not_checked.contains("hours from before sums were kept (--seal)"), "{words}");
    assert!(
        not_checked.contains("sums of rows from before sums were kept (--seal; realtime.offsets"),
        "{words}"
    );

    // While something does not add up, nothing is sealed.
    execute(
        "update realtime.metrics_hourly set impressions = impressions + 1 where impressions = (select max(impressions) from realtime.metrics_hourly)",
    );
    let output = pipeline.adpipe(&["verify", "--deep", "--seal"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    execute(
        "update realtime.metrics_hourly set impressions = impressions - 1 where impressions = (select max(impressions) from realtime.metrics_hourly)",
    );
    assert_eq!(
        pipeline.number("select count(*) as n from realtime.content_sums where content_sum is not null"),
        0
    );

    let sealed = pipeline.run(&["verify", "--deep", "--seal"]);
    assert!(sealed.contains("note  sealed: "), "{sealed}");
    let (is_content, words) = verdict(pipeline);
    assert!(is_content && !words.contains("(--seal)"), "{words}");
    execute(
        "update realtime.events set device_model = 'other' where event_id = (select min(event_id) from realtime.events)",
    );
    let (is_content, words) = verdict(pipeline);
    assert!(
        !is_content && words.contains("not as they were counted")
            || words.contains("not what the archive has"),
        "{words}"
    );
}

#[test]
fn data_without_sums_is_named_and_sealed_when_it_adds_up() {
    let pipeline = filled(None);
    let folder = pipeline.folder.join("data");
    seals(&pipeline, |sql| {
        let schema = if sql.contains("errors.") { "errors" } else { "realtime" };
        let database = Connection::open(folder.join(format!("{schema}.db"))).unwrap();
        database.execute_batch(&sql.replace("realtime.", "").replace("errors.", "")).unwrap();
    });
}

#[test]
fn data_without_sums_is_sealed_on_postgresql() {
    let Some(server) = Postgres::shared("data_without_sums_is_sealed_on_postgresql") else { return };
    let url = server.new_database();
    let database = url.rsplit('/').next().unwrap().split('?').next().unwrap().to_owned();
    let pipeline = filled(Some(url));
    seals(&pipeline, |sql| drop(server.psql(&database, sql)));
}

#[test]
fn an_index_that_has_lost_its_row_is_named() {
    let pipeline = filled(None);
    let folder = pipeline.folder.join("data");
    let saved = Saved::of(&folder);
    let rows = pipeline.query("select event_id from realtime.events order by event_id desc limit 1");
    let id = rows[0]["event_id"].as_str().unwrap();
    let bytes = saved.bytes("realtime.db");
    let places: Vec<usize> =
        (0..bytes.len() - id.len()).filter(|at| &bytes[*at..at + id.len()] == id.as_bytes()).collect();
    assert!(places.len() >= 2, "the table and its key's index have it");
    for at in places {
        saved.restore();
        let mut damaged = bytes.to_vec();
        damaged[at + id.len() - 1] ^= 1;
        std::fs::write(folder.join("realtime.db"), damaged).unwrap();
        let output = pipeline.adpipe(&["verify"]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", common::shown(&output));
        let doctor = pipeline.adpipe(&["doctor"]).output().unwrap();
        assert_eq!(doctor.status.code(), Some(1), "{}", common::shown(&doctor));
    }
}

#[test]
fn verify_makes_no_log_and_says_what_it_did_not_check() {
    let folder = Folder::new();
    folder.generate("events.ndjson", &["--rows", "500", "--seed", "4"]);
    folder.run(&["ingest", "--wait", "events.ndjson"]);
    let words = folder.run(&["verify"]);
    let last = words.lines().last().unwrap();
    assert_eq!(last, "zero residue in what was checked; not checked: contents of events and rows (--deep)");
    let json: Value = serde_json::from_str(&folder.run(&["verify", "--json"])).unwrap();
    assert_eq!(json["not_checked"], serde_json::json!(["contents of events and rows (--deep)"]));

    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(folder.join(&format!("data/log.db{end}")));
    }
    let words = folder.fail(1, &["verify"]);
    assert!(words.contains("no log.db"), "{words}");
    assert!(!folder.join("data/log.db").exists());
}
