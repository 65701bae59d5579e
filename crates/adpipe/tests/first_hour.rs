//! What a new user meets in the first hour: true words, help that helps, nothing left behind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use std::io::Write;
use std::process::{Command, Output, Stdio};

use adpipe_testkit::postgres::Postgres;
use common::{ADPIPE, Folder, adpipe_in, shown};
use serde_json::Value;

/// Three records: one is an event, one has a banner position that there is not, one is not a record.
const RECORDS: &str = r#"{"id":"1","click":1,"hour":"14102100","banner_pos":0,"device_type":1,"device_conn_type":0,"site_id":"a","site_domain":"a","site_category":"a","app_id":"a","app_domain":"a","app_category":"a","device_id":"a","device_ip":"a","device_model":"a"}
{"id":"2","click":0,"hour":"14102100","banner_pos":777,"device_type":1,"device_conn_type":0,"site_id":"a","site_domain":"a","site_category":"a","app_id":"a","app_domain":"a","app_category":"a","device_id":"a","device_ip":"a","device_model":"a"}
{"id":
"#;

fn with_errors() -> Folder {
    let folder = Folder::new();
    std::fs::write(folder.join("three.ndjson"), RECORDS).unwrap();
    folder.run(&["ingest", "--wait", "three.ndjson"]);
    folder
}

fn both(output: &Output) -> String {
    shown(output)
}

/// Runs with this on standard input.
fn fed(folder: &Folder, arguments: &[&str], input: &str) -> Output {
    let mut command = folder.adpipe(arguments);
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn ids(folder: &Folder) -> Vec<String> {
    let listed = folder.run(&["dlq", "list", "--json"]);
    let id =
        |line: &str| serde_json::from_str::<Value>(line).unwrap()["error_id"].as_str().unwrap().to_owned();
    listed.lines().map(id).collect()
}

#[test]
fn a_dry_run_does_not_claim_to_have_stored_anything() {
    let folder = Folder::new();
    std::fs::write(folder.join("three.ndjson"), RECORDS).unwrap();
    let told = folder.run(&["etl", "--dry-run", "three.ndjson"]);
    assert!(
        told.contains("without --dry-run they go to ad_events_error") && told.contains("checked"),
        "{told}"
    );
    assert!(!told.contains("they are in"), "{told}");
    let made: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(made, ["three.ndjson"], "nothing is written, no empty data folder either");
    let told = folder.run(&["etl", "three.ndjson"]);
    assert!(told.contains("they are in ad_events_error"), "{told}");
    folder.run(&["etl", "--dry-run", "--force", "three.ndjson"]);
    let files = folder.row("select count(*) as n from ops.ingest_files");
    assert_eq!(files["n"], 1, "where there is data, a dry run only reads it");
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let folder = Folder::new();
    let make = |arguments: &[&str]| {
        let output = folder.adpipe(&[&["generate", "--rows", "500"], arguments].concat()).output().unwrap();
        assert!(output.status.success(), "{}", shown(&output));
        (output.stdout, String::from_utf8(output.stderr).unwrap())
    };
    let (first, told) = make(&["--seed", "7", "--bad", "0.1", "--duplicates", "0.1"]);
    let (second, _) = make(&["--seed", "7", "--bad", "0.1", "--duplicates", "0.1"]);
    assert!(first == second && !first.is_empty(), "the same bytes");
    assert!(
        told.starts_with("500 records: ") && told.contains(" %), ") && told.contains(" invalid"),
        "{told}"
    );
    assert!(make(&["--seed", "8"]).0 != make(&["--seed", "7"]).0);
    assert_eq!(
        make(&["--seed", "7", "--start", "2026-01-01"]),
        make(&["--seed", "7", "--start", "2026-01-01"])
    );
    // Records of the future are of the future whenever they are read.
    std::fs::write(folder.join("events.ndjson"), &first).unwrap();
    folder.run(&["ingest", "--wait", "events.ndjson"]);
    assert!(folder.account()["future"].as_u64().unwrap() > 0);
}

#[test]
fn an_import_of_a_wrong_file_ends_soon() {
    let folder = with_errors();
    std::fs::write(folder.join("wrong.csv"), "id,click\n".repeat(2_000)).unwrap();
    let words = folder.fail(1, &["dlq", "import", "wrong.csv"]);
    assert!(words.lines().count() <= 12 && words.contains("wrong.csv is not a file that"), "{words}");
    // An export with many lines that are not right any more: the first are named, the rest is counted.
    folder.run(&["dlq", "export", "--out", "errors.ndjson"]);
    let mut text = std::fs::read_to_string(folder.join("errors.ndjson")).unwrap();
    text.push_str(&"nonsense\n".repeat(1_000));
    std::fs::write(folder.join("errors.ndjson"), text).unwrap();
    let output = folder.adpipe(&["dlq", "import", "errors.ndjson"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        both(&output).contains("and 990 lines more") || both(&output).contains("990 lines"),
        "{}",
        both(&output)
    );
    assert!(both(&output).lines().count() < 20 && both(&output).contains("1,000 wrong"), "{}", both(&output));
}

#[test]
fn an_edit_of_one_error_can_be_tried() {
    let folder = with_errors();
    ids(&folder);
    let id = folder.row("select error_id as id from errors.dlq_errors where error_type = 'validation'");
    let id = id["id"].as_str().unwrap();
    let told = folder.run(&["dlq", "edit", id, "--set", "banner_pos=1", "--dry-run"]);
    assert!(told.contains("1 error checked") && told.contains("nothing was changed"), "{told}");
    assert!(
        folder
            .fail(1, &["dlq", "edit", "x", "--set", "click=1", "--dry-run"])
            .contains("error x does not exist")
    );
}

#[test]
fn one_cause_found_by_stream_and_by_batch_is_told_apart() {
    let folder = with_errors();
    folder.run(&["etl", "--force", "three.ndjson"]);
    folder.run(&["dlq", "list"]);
    let told = folder.run(&["dlq", "stats"]);
    let causes: Vec<&str> = told.lines().filter(|line| line.contains("validation")).collect();
    assert_eq!(causes.len(), 2, "{told}");
    assert!(told.contains("found by"), "{told}");
    assert!(
        causes.iter().any(|line| line.contains(" stream "))
            && causes.iter().any(|line| line.contains(" batch ")),
        "{told}"
    );
    let shown = folder.run(&["dlq", "show", &ids(&folder)[0]]);
    assert!(shown.contains("found by      batch"), "{shown}");
}

#[test]
fn a_topic_shows_its_records() {
    let folder = Folder::new();
    assert!(folder.fail(1, &["topic", "list"]).contains("no event log in"));
    assert!(!folder.join("data").exists(), "looking makes nothing");
    let folder = with_errors();
    let listed = folder.run(&["topic", "list"]);
    assert_eq!(listed.lines().count(), 6, "{listed}");
    let told = folder.run(&["topic", "show", "ad_events_error"]);
    assert!(
        told.contains("banner_pos") && told.contains("ad_events_raw") && told.contains("parse"),
        "{told}"
    );
    let json: Vec<Value> = folder
        .run(&["topic", "show", "ad_events_error", "--json"])
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(json.len(), 2);
    let place = json.iter().find(|record| record["headers"]["adpipe-error-type"] == "validation").unwrap();
    let (partition, offset) =
        (&place["headers"]["adpipe-error-partition"], &place["headers"]["adpipe-error-offset"]);
    let show = ["topic", "show", "ad_events_raw", "--partition", partition.as_str().unwrap()];
    let at = [&show[..], &["--offset", offset.as_str().unwrap()]].concat();
    let whole = folder.run(&at);
    assert!(whole.contains("record        ad_events_raw partition") && whole.contains("777"), "{whole}");
    let payload = folder.run(&[&at[..], &["--payload"]].concat());
    assert_eq!(payload, RECORDS.lines().nth(1).unwrap());
    assert!(folder.fail(1, &[&show[..], &["--offset", "99"]].concat()).contains("holds"));
    assert!(folder.fail(2, &["topic", "show", "clicks"]).contains("ad_events_retry"));
}

#[test]
fn models_and_tests_can_be_looked_at() {
    let folder = Folder::new();
    let listed = folder.run(&["transform", "ls"]);
    assert!(listed.contains("mart_daily_ctr") && listed.contains("unit test"), "{listed}");
    let folder = with_errors();
    // Whether its tests pass is not the question here.
    folder.adpipe(&["transform", "build"]).output().unwrap();
    let told = folder.run(&["transform", "show", "no_missing_hours", "--rows", "5"]);
    assert!(told.contains("select") && told.contains("(no rows)"), "{told}");
    let told: Value =
        serde_json::from_str(&folder.run(&["transform", "show", "mart_daily_ctr", "--rows", "1", "--json"]))
            .unwrap();
    assert!(told["sql"].as_str().unwrap().contains("select") && told["rows"][0].is_array(), "{told}");
    let units = folder.run(&["transform", "ls", "--select", "test_type:unit", "--json"]);
    let units: Value = serde_json::from_str(&units).unwrap();
    let name = units[0]["name"].as_str().unwrap();
    assert!(folder.run(&["transform", "show", name, "--rows", "3"]).contains("select"), "{name}");
    assert!(folder.fail(2, &["transform", "show", "mart_dayly"]).contains("transform ls"));
}

#[test]
fn the_query_of_a_failing_test_is_named() {
    let folder = with_errors();
    folder.run(&["transform", "export", "dbt"]);
    std::fs::write(folder.join("dbt/tests/always.sql"), "select 42 as answer").unwrap();
    let output = folder.adpipe(&["transform", "test", "--select", "always"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", shown(&output));
    assert!(both(&output).contains("adpipe transform show always --rows 20"), "{}", both(&output));
    let told = folder.run(&["transform", "show", "always", "--rows", "20"]);
    assert!(told.contains("select 42 as answer") && told.ends_with("answer\n    42\n"), "{told}");
}

#[test]
fn the_configuration_says_where_each_value_comes_from() {
    let folder = Folder::new();
    std::fs::write(folder.join("adpipe.toml"), "# ours\n[stream]\nlinger = \"50ms\"\n").unwrap();
    let told = folder.run(&["config", "show"]);
    assert!(told.contains("linger = \"50ms\"  # adpipe.toml:3"), "{told}");
    assert!(told.contains("port = 0  # ADPIPE_CONSOLE__PORT"), "{told}");
    assert!(told.contains("/data\"  # --data") && told.contains("  # default"), "{told}");
    let told: Value = serde_json::from_str(&folder.run(&["config", "show", "--json"])).unwrap();
    assert_eq!(told["origins"]["stream.linger"], "adpipe.toml:3");
    assert_eq!(told["stream"]["linger"], "50ms");
    std::fs::write(folder.join("adpipe.toml"), "[warehouse]\nurl = \"mysql://me@db/x\"\n").unwrap();
    let words = folder.fail(2, &["config", "show"]);
    assert!(words.contains("mysql://") && words.contains("(adpipe.toml:2)"), "{words}");
}

#[test]
fn a_slip_in_any_configuration_file_is_answered_with_what_was_meant() {
    let folder = Folder::new();
    std::fs::write(folder.join("adpipe.toml"), "[consol]\nport = 1\n").unwrap();
    assert!(folder.fail(2, &["config", "show"]).contains("did you mean `console`?"));
    std::fs::remove_file(folder.join("adpipe.toml")).unwrap();
    std::fs::create_dir(folder.join("config")).unwrap();
    std::fs::write(folder.join("config/dags.toml"), "[[dag]]\nid = \"x\"\nschedul = \"@daily\"\n").unwrap();
    let words = folder.fail(2, &["dag", "list"]);
    assert!(words.contains("dags.toml:3") && words.contains("did you mean `schedule`?"), "{words}");
    std::fs::remove_file(folder.join("config/dags.toml")).unwrap();
    std::fs::write(folder.join("config/alerts.toml"), "[[alert]]\nnam = \"X\"\n").unwrap();
    let words = folder.fail(2, &["alerts", "rules"]);
    assert!(words.contains("alerts.toml:2") && words.contains("did you mean `name`?"), "{words}");
}

#[test]
fn a_dag_is_listed_in_one_zone() {
    let folder = Folder::new();
    std::fs::create_dir(folder.join("config")).unwrap();
    let dags = "[[dag]]\nid = \"night\"\nschedule = \"@daily\"\ntimezone = \"Asia/Seoul\"\n\n[[dag.task]]\nid = \"t\"\ncommand = [\"adpipe\", \"config\", \"show\"]\n";
    std::fs::write(folder.join("config/dags.toml"), dags).unwrap();
    folder.run(&["dag", "run", "night"]);
    let told = folder.run(&["dag", "list"]);
    let line = told.lines().find(|line| line.starts_with("night")).unwrap();
    assert_eq!(line.matches(" KST").count(), 2, "when it is due, and when it ran: {told}");
}

#[test]
fn every_command_has_its_page() {
    let folder = Folder::new();
    folder.run(&["man", "--out", "pages"]);
    let root = std::fs::read_to_string(folder.join("pages/adpipe.1")).unwrap();
    let mentioned: Vec<String> = root
        .lines()
        .filter_map(|line| {
            Some(line.replace('\\', "").strip_prefix("adpipe-")?.strip_suffix("(1)")?.to_owned())
        })
        .collect();
    assert!(mentioned.len() > 15, "{root}");
    for name in &mentioned {
        assert!(folder.join(&format!("pages/adpipe-{name}.1")).exists(), "{name}");
    }
    let page = folder.run(&["man", "dlq", "edit"]);
    assert!(page.contains("payload") && page.contains(".TH"), "{page}");
    let written = std::fs::read_to_string(folder.join("pages/adpipe-dlq-edit.1")).unwrap();
    assert!(written.contains(".TH adpipe-dlq-edit 1  \"adpipe "), "its foot names the program: {written}");
    assert!(folder.fail(2, &["man", "dlq", "mend"]).contains("there are: list"));
    // A manual's formatter takes it, where there is one.
    if let Ok(output) =
        Command::new("man").args(["-l", "pages/adpipe-sql.1"]).current_dir(folder.path()).output()
    {
        assert!(output.status.success(), "{}", shown(&output));
    }
}

/// What Tab offers behind these words, as bash asks.
fn completed(folder: &Folder, words: &[&str]) -> String {
    let mut command = adpipe_in(folder.path());
    command.env("COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", (words.len() - 1).to_string());
    command.env("_CLAP_COMPLETE_COMP_TYPE", "9").env("_CLAP_COMPLETE_SPACE", "true").env("_CLAP_IFS", "\n");
    let output = command.arg("--").args(words).output().unwrap();
    assert!(output.status.success(), "{}", shown(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn tab_completes_what_fits() {
    let folder = Folder::new();
    std::fs::write(folder.join("events.csv"), "").unwrap();
    let status = completed(&folder, &["adpipe", "dlq", "list", "--status", ""]);
    assert!(status.contains("exhausted") && !status.contains("events.csv"), "{status}");
    let kind = completed(&folder, &["adpipe", "dlq", "list", "--type", "v"]);
    assert!(kind.contains("validation") && !kind.contains("events.csv"), "{kind}");
    let dags = completed(&folder, &["adpipe", "dag", "run", "dag_d"]);
    assert!(dags.contains("dag_daily_etl") && dags.contains("dag_dbt_run"), "{dags}");
    let nodes = completed(&folder, &["adpipe", "transform", "show", "mart_daily"]);
    assert!(nodes.contains("mart_daily_ctr"), "{nodes}");
    assert!(completed(&folder, &["adpipe", "alerts", "silence", "Dlq"]).contains("DlqExhausted"));
    assert!(completed(&folder, &["adpipe", "topic", "show", ""]).contains("ad_events_error"));
    assert!(
        completed(&folder, &["adpipe", "ingest", "ev"]).contains("events.csv"),
        "files where files are meant"
    );
    for shell in ["bash", "zsh", "fish"] {
        let output = Command::new(ADPIPE).args(["completions", shell]).output().unwrap();
        assert!(output.status.success() && both(&output).contains("COMPLETE"), "{}", both(&output));
    }
}

#[test]
fn looking_makes_no_log() {
    let folder = with_errors();
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(folder.join(&format!("data/log.db{end}")));
    }
    assert_eq!(folder.row("select count(*) as n from realtime.events")["n"], 1);
    assert!(folder.fail(1, &["verify"]).contains("no log.db"));
    let _ = folder.adpipe(&["doctor"]).output().unwrap();
    assert!(!folder.join("data/log.db").exists(), "looking makes no log");
}

#[test]
fn the_sql_shell_reads_statements_and_commands() {
    let folder = with_errors();
    let input = "\\d realtime.events\nselect count(*) as \"a;b\"\nfrom realtime.events;select 'x';\n\\x\nselect 1 as one, 2 as two";
    let output = fed(&folder, &["sql"], input);
    assert!(output.status.success(), "{}", shown(&output));
    let told = both(&output);
    for expected in ["event_time", "a;b", "not null", "one | 1\ntwo | 2"] {
        assert!(told.contains(expected), "{expected}: {told}");
    }
    let tables = both(&fed(&folder, &["sql"], "\\d"));
    assert!(
        tables.contains("errors.dlq_errors")
            && tables.contains("realtime.metrics_5m")
            && tables.contains("view"),
        "{tables}"
    );
    // The first that fails is the end.
    let output = fed(&folder, &["sql"], "select 1;\nselekt 2;\nselect 'behind';");
    assert_eq!(output.status.code(), Some(1));
    assert!(!both(&output).contains("behind"), "{}", both(&output));
    assert_eq!(fed(&folder, &["sql"], "").status.code(), Some(2), "nothing to run is wrong usage");
    assert_eq!(fed(&folder, &["sql"], "\\d nothing").status.code(), Some(1));
    // As one statement, too.
    assert!(both(&fed(&folder, &["sql", "-"], "select 40 + 2 as n")).contains("42"));
}

#[test]
fn sql_prints_every_column_in_every_format() {
    let folder = with_errors();
    let twice = "select 1 as n, 2 as n, 'x' as t";
    let rows: Value = serde_json::from_str(&folder.run(&["sql", "--json", twice])).unwrap();
    assert_eq!(rows, serde_json::json!([{"n": 1, "n_2": 2, "t": "x"}]));
    let vertical = folder.run(&["sql", "--format", "vertical", "select 1 as n, 'a\nb' as text"]);
    assert_eq!(vertical, "-[ row 1 ]-\nn    | 1\ntext | a\\nb\n");
    folder.run(&["sql", "--format", "parquet", "--out", "x.parquet", twice]);
    let bytes = std::fs::read(folder.join("x.parquet")).unwrap();
    assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
    // What fails leaves the file as it was, and nothing next to it.
    let broken = ["sql", "--format", "parquet", "--out", "x.parquet", "select * from nowhere"];
    folder.fail(1, &broken);
    assert_eq!(std::fs::read(folder.join("x.parquet")).unwrap(), bytes);
    let left = std::fs::read_dir(folder.path()).unwrap();
    assert!(!left.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with(".x.parquet")));
}

#[test]
fn the_sql_shell_works_on_postgresql() {
    let Some(server) = Postgres::shared("the_sql_shell_works_on_postgresql") else { return };
    let (folder, url) = (Folder::new(), server.new_database());
    std::fs::write(folder.join("three.ndjson"), RECORDS).unwrap();
    let adpipe = |arguments: &[&str], input: &str| {
        let mut command = adpipe_in(folder.path());
        command.args(arguments).env("ADPIPE_WAREHOUSE__URL", &url);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", shown(&output));
        both(&output)
    };
    adpipe(&["ingest", "--wait", "three.ndjson"], "");
    let tables = adpipe(&["sql"], "\\d");
    assert!(tables.contains("realtime.events") && tables.contains("errors.groups"), "{tables}");
    assert!(!tables.contains("events_2014"), "partitions are parts of their table: {tables}");
    let columns =
        adpipe(&["sql"], "\\d errors.groups\nselect $$;$$ as text, count(*) as n from realtime.events;");
    assert!(
        columns.contains("fingerprint") && columns.contains("bigint") && columns.contains("not null"),
        "{columns}"
    );
    assert!(columns.contains(";     1"), "{columns}");
    let twice = adpipe(&["sql", "--json", "select 1 as n, 2 as n"], "");
    assert!(twice.contains("\"n_2\":2"), "{twice}");
    adpipe(&["sql", "--format", "parquet", "--out", "x.parquet", "select * from realtime.events"], "");
    assert!(std::fs::read(folder.join("x.parquet")).unwrap().ends_with(b"PAR1"));
    adpipe(&["dlq", "list"], "");
    let causes = adpipe(&["dlq", "stats"], "");
    assert!(causes.contains("found by") && causes.contains(" stream "), "{causes}");
    let made = adpipe(&["transform", "show", "stg_metrics", "--rows", "1"], "");
    assert!(made.contains("select") && made.contains("impressions"), "{made}");
}
