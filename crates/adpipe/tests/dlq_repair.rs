//! Errors are repaired by their own command line until their events are counted, whatever format they
//! came in; what would fail is said before it is sent; and no wait is without end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use std::time::{Duration, Instant};

use adpipe_event::Millis;
use adpipe_runtime::RoleLock;
use adpipe_testkit::eventually;
use common::{Folder, Running};
use serde_json::{Value, json};

const HEADER: &str = "id,click,hour,banner_pos,site_id,site_domain,site_category,app_id,app_domain,\
    app_category,device_id,device_ip,device_model,device_type,device_conn_type,C14,C21";

fn row(id: u32, click: &str) -> String {
    format!("{id},{click},14102100,0,s,sd,sc,a,ad,ac,d,ip,m,1,2,320,79")
}

/// A good row, one with a comma too many, one with a click that is none, and one with a quoted cell.
fn rows() -> String {
    let quoted = row(4, "9").replace(",s,", ",\"s \"\"x\"\", y\",");
    [HEADER.to_owned(), row(1, "0"), format!("{},", row(2, "1")), row(3, "7"), quoted, String::new()]
        .join("\n")
}

/// The same with every name of the header in quotes.
fn rows_under_quotes() -> String {
    let names: Vec<String> = HEADER.split(',').map(|name| format!("\"{name}\"")).collect();
    rows().replacen(HEADER, &names.join(","), 1)
}

fn errors(folder: &Folder) -> Vec<Value> {
    let listed = folder.run(&["dlq", "list", "--json"]);
    listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn exported(folder: &Folder) -> Vec<Value> {
    let out = folder.run(&["dlq", "export", "--status", "exhausted"]);
    let mut lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // Errors of one millisecond come in any order.
    lines.sort_by_key(|line| line["payload"].to_string());
    lines
}

/// What a person does with an editor.
fn repaired(mut lines: Vec<Value>) -> Vec<Value> {
    for line in &mut lines {
        let payload = line["payload"].as_str().unwrap();
        let payload =
            payload.trim_end_matches(',').replace(",7,1410", ",0,1410").replace(",9,1410", ",1,1410");
        line["payload"] = payload.replace(":7", ":0").into();
    }
    lines
}

fn write(folder: &Folder, file: &str, lines: &[Value]) {
    let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
    std::fs::write(folder.join(file), lines.join("\n")).unwrap();
}

/// Out, repaired, and in again: three errors whose events are then counted, with nothing else.
fn repair_by_file(folder: &Folder) {
    let lines = exported(folder);
    assert_eq!(lines.len(), 3);
    write(folder, "repaired.ndjson", &repaired(lines));
    let told = folder.run(&["dlq", "import", "repaired.ndjson", "--dry-run"]);
    assert!(told.contains("3 errors would be edited and sent again, 0 unchanged, 0 would fail"), "{told}");
    assert_eq!(exported(folder).len(), 3, "a dry run changes nothing");
    let told = folder.run(&["dlq", "import", "repaired.ndjson"]);
    assert!(told.contains("3 errors edited and sent again") && told.contains("3 applied"), "{told}");
    let counted = folder.row(
        "select count(*) as events, sum(click) as clicks,
                sum(case when site_id = 's \"x\", y' then 1 else 0 end) as quoted, sum(c21) as c21
         from realtime.events",
    );
    assert_eq!(counted, json!({"events": 4, "clicks": 2, "quoted": 1, "c21": 4 * 79}));
    assert!(folder.run(&["verify"]).contains("zero residue"));
}

#[test]
fn csv_rows_of_a_file_that_was_ingested() {
    for text in [rows(), rows_under_quotes()] {
        let folder = Folder::new();
        std::fs::write(folder.join("rows.csv"), text).unwrap();
        folder.run(&["ingest", "--wait", "rows.csv"]);
        repair_by_file(&folder);
    }
}

#[test]
fn csv_rows_of_a_raw_file() {
    for text in [rows(), rows_under_quotes()] {
        let folder = Folder::new();
        std::fs::create_dir_all(folder.join("data/raw")).unwrap();
        std::fs::write(folder.join("data/raw/rows.csv"), text).unwrap();
        folder.run(&["etl"]);
        repair_by_file(&folder);
    }
}

#[test]
fn csv_rows_that_came_by_http() {
    for text in [rows(), rows_under_quotes()] {
        let folder = Folder::new();
        let up = Running::start(folder.adpipe(&["up"]));
        let (status, answer) = up.request("POST", "/v1/events", text.as_bytes());
        assert_eq!(status, 202, "{answer}");
        eventually("the errors are stored", || errors(&folder).len() == 3);
        repair_by_file(&folder);
    }
}

#[test]
fn json_lines_and_tools_that_drop_the_headers() {
    let folder = Folder::new();
    let event = |id: u32, click: u32| {
        format!(
            "{{\"id\":\"{id}\",\"click\":{click},\"hour\":\"14102100\",\"banner_pos\":0,\"site_id\":\"s\",\"site_domain\":\"s\",\
             \"site_category\":\"s\",\"app_id\":\"a\",\"app_domain\":\"a\",\"app_category\":\"a\",\"device_id\":\"d\",\
             \"device_ip\":\"i\",\"device_model\":\"m\",\"device_type\":1,\"device_conn_type\":0}}"
        )
    };
    std::fs::write(folder.join("a.ndjson"), format!("{}\n", event(9, 7))).unwrap();
    std::fs::write(folder.join("b.csv"), format!("{HEADER}\n{},\n{}\n", row(2, "1"), row(3, "7"))).unwrap();
    folder.run(&["ingest", "--wait", "a.ndjson", "b.csv"]);
    let mut lines = repaired(exported(&folder));
    for line in &mut lines {
        // Only what a repair needs: `jq '{error_id, payload}'`.
        *line = json!({"error_id": line["error_id"], "payload": line["payload"]});
    }
    write(&folder, "lines.ndjson", &lines);
    let told = folder.run(&["dlq", "import", "lines.ndjson"]);
    assert!(told.contains("3 errors edited") && told.contains("3 applied"), "{told}");
    // A second time there is nothing to do, and that is said.
    assert!(folder.fail(1, &["dlq", "import", "lines.ndjson"]).contains("resolved"));
    assert_eq!(folder.row("select count(*) as n from realtime.events")["n"], 3);
    assert!(folder.run(&["verify"]).contains("zero residue"));
}

#[test]
fn what_would_fail_is_said_and_not_sent() {
    let folder = Folder::new();
    std::fs::write(folder.join("rows.csv"), rows()).unwrap();
    folder.run(&["ingest", "--wait", "rows.csv"]);
    let mut lines = repaired(exported(&folder));
    let first = lines[0]["error_id"].as_str().unwrap().to_owned();
    lines[0]["payload"] = "2,1,14102100".into();
    write(&folder, "half.ndjson", &lines);

    let told = folder.fail(1, &["dlq", "import", "half.ndjson", "--dry-run"]);
    assert!(
        told.contains("line 1: if sent now, it would fail: the row has 3 cells and the header 17"),
        "{told}"
    );
    let told = folder.fail(1, &["dlq", "import", "half.ndjson"]);
    assert!(told.contains("line 1: if sent now, it would fail"), "{told}");
    let left = folder.row(&format!(
        "select retry_count, case when edited_payload is null then 0 else 1 end as edited
         from errors.dlq_errors where error_id = '{first}'"
    ));
    assert_eq!(left, json!({"retry_count": 0, "edited": 0}));
    assert_eq!(folder.row("select count(*) as n from realtime.events")["n"], 3);

    // By hand: the same, for a whole payload and for a step.
    std::fs::write(folder.join("bad.csv"), "2,1,14102100\n").unwrap();
    for edit in [["--payload", "bad.csv"], ["--set", "click=8"]] {
        let told = folder.fail(1, &["dlq", "edit", &first, edit[0], edit[1]]);
        assert!(told.contains("sent now, it would fail") && told.contains("--force"), "{told}");
    }
    assert!(
        folder.run(&["dlq", "edit", &first, "--payload", "bad.csv", "--dry-run"]).contains("1 would fail")
    );
    assert_eq!(folder.row("select count(*) as n from errors.actions where action = 'edit'")["n"], 2);
    // With consent it is sent, and that it failed is the exit code.
    let told = folder.fail(1, &["dlq", "edit", &first, "--payload", "bad.csv", "--force"]);
    assert!(told.contains("would fail"), "{told}");
    let told = folder.fail(1, &["dlq", "import", "half.ndjson", "--force"]);
    assert!(told.contains("resolved"), "{told}");
    // Repaired as a row, after all of it.
    std::fs::write(folder.join("good.csv"), format!("{}\n", row(2, "1"))).unwrap();
    assert!(folder.run(&["dlq", "edit", &first, "--payload", "good.csv"]).contains("applied"));
    assert_eq!(folder.row("select count(*) as n from realtime.events")["n"], 4);
    assert!(folder.run(&["verify"]).contains("zero residue"));
}

#[test]
fn a_future_error_among_those_sent_is_no_reason_to_wait() {
    let folder = Folder::new();
    let future = Millis(Millis::now().0 + 40 * 86_400_000).to_string().replacen(' ', "T", 1);
    let text = [HEADER.to_owned(), row(1, "7"), row(2, "0").replace("14102100", &future[..19])].join("\n");
    std::fs::write(folder.join("rows.csv"), text).unwrap();
    folder.run(&["ingest", "--wait", "rows.csv"]);
    let started = Instant::now();
    for canary in [None, Some("--canary")] {
        let mut arguments = vec!["dlq", "retry", "--all", "--yes", "--wait", "60s"];
        arguments.extend(canary);
        let output = folder.adpipe(&arguments).output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains("2 failed again, 0 not known yet"), "{told}");
        assert!(told.contains("1 error not due: retried automatically, the first at"), "{told}");
    }
    let of_future = folder.row("select error_id as id from errors.dlq_errors where error_type = 'future'");
    let output = folder.adpipe(&["dlq", "retry", of_future["id"].as_str().unwrap()]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(told.contains("failed: ") && told.contains("(not due before"), "{told}");
    assert!(folder.run(&["dlq", "retry", "--due"]).contains("1 pending (not due yet)"));
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
}

#[test]
fn a_wait_in_vain_ends() {
    let folder = Folder::new();
    std::fs::write(folder.join("rows.csv"), rows()).unwrap();
    folder.run(&["ingest", "--wait", "rows.csv"]);
    let id = errors(&folder)[0]["error_id"].as_str().unwrap().to_owned();
    // Somebody has both roles and does nothing.
    let _queue = RoleLock::take(&folder.join("data"), "dlq").unwrap().unwrap();
    let _stream = RoleLock::take(&folder.join("data"), "stream").unwrap().unwrap();
    let told = folder.fail(1, &["dlq", "retry", &id, "--wait", "300ms"]);
    assert!(told.contains("no outcome arrived for 300ms"), "{told}");
    let told = folder.fail(1, &["dlq", "retry", "--all", "--yes", "--wait", "300ms"]);
    assert!(told.contains("no outcome arrived for 300ms"), "{told}");
    let told = folder.fail(1, &["dlq", "retry", "--due", "--wait", "300ms"]);
    assert!(told.contains("no outcome arrived for 300ms"), "{told}");
}

#[test]
fn errors_that_nobody_has_stored_are_never_no_errors() {
    let folder = Folder::new();
    std::fs::write(folder.join("rows.csv"), rows()).unwrap();
    folder.run(&["ingest", "--wait", "rows.csv"]);
    {
        // Somebody has the role and does nothing: they are named.
        let _held = RoleLock::take(&folder.join("data"), "dlq").unwrap().unwrap();
        let stats = folder.run(&["dlq", "stats"]);
        assert!(
            stats.contains("3 errors in the log not stored yet") && !stats.contains("no errors"),
            "{stats}"
        );
        let stats: Value = serde_json::from_str(&folder.run(&["dlq", "stats", "--json"])).unwrap();
        assert_eq!(stats["waiting"], 3);
        let output = folder.adpipe(&["dlq", "list"]).output().unwrap();
        assert!(String::from_utf8_lossy(&output.stderr).contains("3 errors in the log not stored yet"));
        assert!(String::from_utf8_lossy(&output.stdout).contains("no stored error matches"));
        let output = folder.adpipe(&["dlq", "check"]).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stdout).contains("3 errors in the log not stored yet"));
        assert!(folder.run(&["doctor"]).contains("note  dead-letter queue: 3 errors in the log"));
    }
    // Nobody has it: whoever looks stores them.
    let stats = folder.run(&["dlq", "stats"]);
    assert!(stats.contains("3 exhausted"), "{stats}");
    assert!(folder.run(&["doctor"]).contains("ok    dead-letter queue: every error in the log is stored"));
    for looks in [&["dlq", "list"][..], &["dlq", "check"], &["dlq", "export"], &["doctor"]] {
        let folder = Folder::new();
        std::fs::write(folder.join("rows.csv"), rows()).unwrap();
        folder.run(&["ingest", "--wait", "rows.csv"]);
        let output = folder.adpipe(looks).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains("storing 3 errors"), "{looks:?}: {told}");
        assert_eq!(folder.row("select count(*) as n from errors.dlq_errors")["n"], 3, "{looks:?}");
    }
}
