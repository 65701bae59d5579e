//! `adpipe sql` ends what takes too much, and what nobody wants any more; its CSV runs nothing in a
//! spreadsheet.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use adpipe_testkit::eventually_within;
use adpipe_testkit::postgres::Postgres;
use common::{Folder, adpipe_in, shown};

/// Counts without an end.
const ENDLESS: &str = "with recursive n(i) as (select 1 union all select i + 1 from n) select max(i) from n";

fn filled() -> Folder {
    let folder = Folder::new();
    folder.generate("events.ndjson", &["--rows", "100", "--seed", "1"]);
    folder.run(&["ingest", "--wait", "events.ndjson"]);
    folder
}

/// Must fail with these words, and not take for ever.
fn ended(mut command: Command, words: &str) {
    let started = Instant::now();
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", shown(&output));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains(words), "{told}");
    assert!(started.elapsed() < Duration::from_secs(60));
}

fn interrupted(mut command: Command) {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let pid = child.id().to_string();
    let started = Instant::now();
    // In the middle of the statement, or before anybody listens: then the signal ends the process itself.
    std::thread::sleep(Duration::from_millis(700));
    assert!(child.try_wait().unwrap().is_none(), "it has not ended by itself");
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let status = child.wait().unwrap();
    assert!(status.code().is_none_or(|code| code == 130), "{status}");
    assert!(started.elapsed() < Duration::from_secs(15));
}

#[test]
fn an_embedded_statement_has_limits() {
    let folder = filled();
    ended(folder.adpipe(&["sql", "--timeout", "200ms", ENDLESS]), "took longer than 0.2 s");
    let series = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 3000000)";
    let concat = format!("{series} select length(group_concat('some thirty letters or so, ' || i)) from n");
    ended(folder.adpipe(&["sql", "--memory", "64MiB", &concat]), "64 MiB of memory");
    ended(folder.adpipe(&["sql", "--memory", "64MiB", "select zeroblob(40000000)"]), "64 MiB of memory");
    let wide = "with a(x) as materialized (select hex(randomblob(4000000))) select x, x, x, x from a";
    ended(folder.adpipe(&["sql", "--memory", "64MiB", wide]), "64 MiB of memory");
    // What does not fit is sorted on disk, and rows are not kept.
    let sorted =
        format!("{series} select i, hex(i * 7919 % 3000017) as h from n where i <= 700000 order by h");
    let output = folder.adpipe(&["sql", "--memory", "24MiB", "--format", "csv", &sorted]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stdout.iter().filter(|byte| **byte == b'\n').count(), 700_001);
    // The configuration has them, too; a flag wins, and 0 means no limit.
    let mut configured = folder.adpipe(&["sql", ENDLESS]);
    ended(
        {
            configured.env("ADPIPE_SQL__TIMEOUT", "100ms");
            configured
        },
        "took longer than 0.1 s",
    );
    let mut unlimited = folder.adpipe(&["sql", "--timeout", "0", "--memory", "0", "select 1"]);
    assert!(unlimited.env("ADPIPE_SQL__TIMEOUT", "1ns").output().unwrap().status.success());
    assert!(folder.fail(2, &["sql", "--timeout", "soon", "select 1"]).contains("--timeout soon"));
    assert!(folder.fail(2, &["sql", "--memory", "much", "select 1"]).contains("--memory much"));
    assert!(folder.fail(1, &["sql", "delete from realtime.events"]).contains("only reads"));
    interrupted(folder.adpipe(&["sql", "--timeout", "0", ENDLESS]));
}

#[test]
fn a_statement_on_postgresql_has_limits() {
    let Some(server) = Postgres::start("a_statement_on_postgresql_has_limits") else { return };
    let (folder, url) = (Folder::new(), server.new_database());
    let adpipe = |arguments: &[&str]| {
        let mut command = adpipe_in(folder.path());
        command.args(arguments).env("ADPIPE_WAREHOUSE__URL", &url);
        command
    };
    folder.generate("events.ndjson", &["--rows", "100", "--seed", "1"]);
    assert!(adpipe(&["ingest", "--wait", "events.ndjson"]).status().unwrap().success());
    ended(adpipe(&["sql", "--timeout", "300ms", "select pg_sleep(60)"]), "took longer than 0.3 s");
    // Over many fetches, each of them short.
    let slow = "select pg_sleep(0.02), i from generate_series(1, 100000) i";
    ended(adpipe(&["sql", "--format", "csv", "--timeout", "1s", slow]), "took longer than 1 s");
    let cheat = "select set_config('statement_timeout', '0', false), pg_sleep(60)";
    ended(adpipe(&["sql", "--timeout", "300ms", cheat]), "took longer than 0.3 s");
    ended(adpipe(&["sql", "--memory", "64MiB", "select repeat('x', 40000000)"]), "memory");
    ended(adpipe(&["sql", "--memory", "64MiB", "select repeat('x', 900000000)"]), "memory");
    let many = "select repeat('x', 1000000) as x from generate_series(1, 300)";
    let output = adpipe(&["sql", "--memory", "64MiB", "--format", "csv", many]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stdout.len(), 2 + 300 * 1_000_001);
    interrupted(adpipe(&["sql", "--timeout", "0", "select pg_sleep(60)"]));
    // The server was told, too.
    let running =
        "select count(*) from pg_stat_activity where query like 'select pg_sleep(60)%' and state = 'active'";
    eventually_within("the server has ended it", Duration::from_secs(10), || {
        let database = url.rsplit('/').next().unwrap().split('?').next().unwrap().to_owned();
        server.psql(&database, running).trim() == "0"
    });
}

#[test]
fn a_spreadsheet_runs_nothing() {
    let folder = filled();
    let sql = "select '=HYPERLINK(\"http://x\")' as \"=1+1\", -5 as number, '-5' as digits, '@SUM(A1)' as at, null as n";
    let csv = folder.run(&["sql", "--format", "csv", sql]);
    assert_eq!(csv, "'=1+1,number,digits,at,n\n\"'=HYPERLINK(\"\"http://x\"\")\",-5,-5,'@SUM(A1),\n");
    let exact = folder.run(&["sql", "--format", "csv", "--exact", sql]);
    assert_eq!(exact, "=1+1,number,digits,at,n\n\"=HYPERLINK(\"\"http://x\"\")\",-5,-5,@SUM(A1),\n");
}
