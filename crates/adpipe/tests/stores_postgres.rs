//! The stores in PostgreSQL: the database gone, older, newer or another's, one schema of it, and
//! flipped bits of its tables' files.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;
#[path = "common/damage.rs"]
mod damage;
#[path = "common/pipeline.rs"]
mod pipeline;

use std::path::Path;
use std::process::{Command, Output};

use adpipe_testkit::postgres::Postgres;
use adpipe_testkit::{Dice, eventually, flips, seed};
use common::{Folder, Running, adpipe_in, printed, shown};
use damage::{filled, is_harmless, is_told, verdict};

/// An embedded log, and a database whose name may change.
struct Pipeline<'p> {
    server: &'p Postgres,
    folder: Folder,
    database: String,
}

impl Pipeline<'_> {
    fn adpipe(&self, arguments: &[&str]) -> Command {
        let mut command = adpipe_in(self.folder.path());
        command.env("ADPIPE_WAREHOUSE__URL", self.server.url(&self.database));
        command.args(arguments);
        command
    }

    fn output(&self, arguments: &[&str]) -> Output {
        self.adpipe(arguments).output().unwrap()
    }

    fn run(&self, arguments: &[&str]) -> String {
        printed(self.adpipe(arguments))
    }

    fn number(&self, sql: &str) -> u64 {
        let rows: serde_json::Value = serde_json::from_str(&self.run(&["sql", "--json", sql])).unwrap();
        rows[0]["n"].as_u64().or_else(|| rows[0]["n"].as_f64().map(|number| number as u64)).unwrap_or(0)
    }

    /// Runs everything until so many events and errors are stored.
    fn work(&self, seed: &str, rows: &str, expected: (u64, u64)) {
        let file = format!("{seed}.ndjson");
        self.run(&["generate", "--out", &file, "--rows", rows, "--seed", seed, "--end", &common::now()]);
        std::fs::write(self.folder.join(&format!("{seed}.bad")), format!("{{\"id\":\"bad-{seed}\"}}\n"))
            .unwrap();
        let mut up = Running::start(self.adpipe(&["up"]));
        self.run(&["ingest", &file, &format!("{seed}.bad")]);
        eventually("all is counted", || {
            self.number("select sum(valid) as n from realtime.commits") == expected.0
        });
        eventually("all errors are stored", || {
            self.number("select count(*) as n from errors.dlq_errors") == expected.1
        });
        up.signal("TERM");
        up.child.wait().unwrap();
    }

    /// A copy of the database as it is.
    fn copy(&self, name: &str) -> String {
        let ended = "select pg_terminate_backend(pid) from pg_stat_activity where datname = ";
        self.server.psql("postgres", &format!("{ended} '{}'", self.database));
        self.server.psql("postgres", &format!("create database {name} template \"{}\"", self.database));
        name.to_owned()
    }
}

#[test]
fn a_database_that_is_gone_older_or_anothers_goes_on_or_says_what_to_do() {
    let Some(server) = Postgres::start("stores_postgres") else { return };
    let new_database = || {
        let url = server.new_database();
        url.rsplit('/').next().unwrap().split('?').next().unwrap().to_owned()
    };
    let mut pipeline = Pipeline { server: &server, folder: Folder::new(), database: new_database() };
    pipeline.work("1", "2000", (2_000, 1));
    let early = pipeline.copy("early");
    pipeline.work("2", "1000", (3_000, 2));
    pipeline.run(&["verify"]);
    let late = pipeline.copy("late");

    // An older copy continues from its own offsets: realtime, errors and ops fit each other.
    pipeline.database = early;
    pipeline.work("3", "500", (3_500, 3));
    pipeline.run(&["verify"]);

    // None at all: the log is complete.
    pipeline.database = new_database();
    pipeline.work("4", "500", (4_000, 4));
    pipeline.run(&["verify"]);

    // The database of another log.
    let other = Pipeline { server: &server, folder: Folder::new(), database: new_database() };
    other.work("5", "100", (100, 1));
    let own = std::mem::replace(&mut pipeline.database, other.database.clone());
    let refused = pipeline.output(&["up"]);
    assert_eq!(refused.status.code(), Some(1), "{}", shown(&refused));
    assert!(shown(&refused).contains("it is not the log that the other stores know"), "{}", shown(&refused));
    pipeline.database = own;

    // A schema that was dropped stops its part.
    pipeline.database = late;
    server.psql(&pipeline.database, "drop schema errors cascade");
    let mut up = Running::start(pipeline.adpipe(&["up"]));
    eventually("the role is named", || {
        let (_, ready) = up.request("GET", "/readyz", b"");
        ready.contains("role dlq has stopped") && ready.contains("schema errors does not exist")
    });
    up.signal("TERM");
    assert_eq!(up.child.wait().unwrap().code(), Some(1));
}

/// Bits flipped every day.
const FLIPS: u64 = 40;

#[test]
fn any_bit_of_the_tables_files_flipped() {
    let Some(server) = Postgres::start("any_bit_of_the_tables_files_flipped") else { return };
    let mut dice = Dice(seed());
    let url = server.new_database();
    let database = url.rsplit('/').next().unwrap().split('?').next().unwrap().to_owned();
    let pipeline = filled(Some(url));
    let (is_content, words) = verdict(&pipeline);
    assert!(is_content, "{words}");
    let expected = content(&server, &database);
    let files = server.psql(
        &database,
        "select current_setting('data_directory') || '/' || pg_relation_filepath(c.oid)
         from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where n.nspname in ('realtime', 'errors') and c.relkind in ('r', 't') and pg_relation_size(c.oid) > 0
         order by 1",
    );
    let files: Vec<&str> = files.lines().collect();
    let flips = flips(FLIPS);
    let data = server.psql(&database, "show data_directory");
    // A server that finds damage may write more than what was damaged, so all of it is put back.
    let saved = tempfile::tempdir().unwrap();
    let copy = |from: &Path, to: &Path| {
        let copied = Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status();
        assert!(copied.unwrap().success());
    };
    server.stop();
    copy(Path::new(&data), saved.path());
    server.start_again();
    let mut told = 0;
    for number in 0..flips {
        server.stop();
        let file = files[dice.below(files.len() as u64) as usize];
        let mut bytes = std::fs::read(file).unwrap();
        let (at, bit) = (dice.below(bytes.len() as u64) as usize, dice.below(8));
        bytes[at] ^= 1 << bit;
        std::fs::write(file, bytes).unwrap();
        server.start_again();
        let verdict = verdict(&pipeline);
        let words = &verdict.1;
        if !is_told(&verdict) {
            let place = format!("bit {bit} of byte {at} of {file}");
            assert_eq!(content(&server, &database), expected, "{place} went unseen: {words}");
        } else {
            told += 1;
            let line = words.lines().find(|line| line.starts_with("GAP") || line.starts_with("error"));
            println!("{number:3} {}", line.unwrap_or(words));
        }
        server.stop();
        for entry in std::fs::read_dir(&data).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }.unwrap();
        }
        copy(saved.path(), Path::new(&data));
        server.start_again();
    }
    println!("{told} of {flips} were named, the others change nothing");
    assert!(told > 0);
}

/// All that matters in the tables, read without any index.
fn content(server: &Postgres, database: &str) -> Vec<(String, String)> {
    let columns = server.psql(
        database,
        "select c.table_schema || '.' || c.table_name || ' ' || c.column_name from information_schema.columns c
         join information_schema.tables t using (table_schema, table_name)
         where c.table_schema in ('realtime', 'errors') and t.table_type = 'BASE TABLE'
           and c.table_name !~ '^events_' order by 1",
    );
    let mut tables: Vec<(&str, Vec<&str>)> = Vec::new();
    for (table, column) in columns.lines().filter_map(|line| line.split_once(' ')) {
        if is_harmless(table, column) {
            continue;
        }
        match tables.last_mut().filter(|(newest, _)| *newest == table) {
            Some((_, columns)) => columns.push(column),
            None => tables.push((table, vec![column])),
        }
    }
    let rows = |(table, columns): &(&str, Vec<&str>)| {
        let columns = columns.join(", ");
        let sql = format!(
            "set enable_indexscan = off; set enable_indexonlyscan = off; set enable_bitmapscan = off;
             select row({columns})::text from {table} order by 1"
        );
        ((*table).to_owned(), server.psql(database, &sql))
    };
    tables.iter().map(rows).collect()
}
