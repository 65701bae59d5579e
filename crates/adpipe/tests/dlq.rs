//! The dead-letter queue of the real binary: killed at any moment, it loses nothing and repeats
//! nothing; and its command line says what it does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use std::process::Stdio;
use std::time::{Duration, Instant};

use adpipe_testkit::{Dice, eventually, seed};
use common::{Folder, Killed, Running};

const KILLS: u32 = 8;

/// Runs `adpipe up` over and over, killed after a moment each time, until `is_done` has held and it
/// was killed often enough. Fails when that takes too long.
fn kill_until(folder: &Folder, dice: &mut Dice, mut is_done: impl FnMut() -> bool) {
    let started = Instant::now();
    let mut kills = 0;
    loop {
        let up = folder.adpipe(&["up"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut up = up.unwrap();
        // Chance says how long it works.
        std::thread::sleep(Duration::from_millis(150 + dice.below(700)));
        up.kill().unwrap();
        up.wait().unwrap();
        kills += 1;
        if kills >= KILLS && is_done() {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(150), "not done after {kills} kills");
    }
}

fn number(folder: &Folder, sql: &str) -> u64 {
    folder.row(&format!("select ({sql}) as n"))["n"].as_u64().unwrap()
}

#[test]
fn kills_lose_no_error_and_count_no_event_twice() {
    let folder = Folder::new();
    let seed = seed();
    let mut dice = Dice(seed);
    let made = folder.generate("events.ndjson", &["--rows", "60000", "--seed", "5", "--bad", "0.1"]);
    let of = |kind: &str| made[kind].as_u64().unwrap();
    let bad = of("parse") + of("schema") + of("validation") + of("future");
    folder.run(&["ingest", "events.ndjson"]);

    let stored = "select count(*) from errors.dlq_errors";
    kill_until(&folder, &mut dice, || number(&folder, stored) == bad);
    for kind in ["parse", "schema", "validation", "future"] {
        let sql = format!("{stored} where error_type = '{kind}'");
        assert_eq!(number(&folder, &sql), of(kind), "seed {seed}: {kind}");
    }
    assert!(folder.run(&["verify", "--deep"]).contains("zero residue"), "seed {seed}");

    // A bulk repair under fire: clicks become 0 where that mends the event.
    let mend = ["dlq", "edit", "--field", "click", "--set", "click=0", "--yes", "--no-wait", "--json"];
    let job: serde_json::Value = serde_json::from_str(&folder.run(&mend)).unwrap();
    let id = job["job_id"].as_str().unwrap();
    // And a retry of everything else, which fails again.
    let retry = ["dlq", "retry", "--type", "schema,parse", "--yes", "--no-wait", "--json"];
    folder.run(&retry);
    let open = "select count(*) from errors.jobs where state in ('running', 'canary')";
    let under_way =
        format!("{stored} where status = 'retrying' or (status = 'pending' and error_type <> 'future')");
    kill_until(&folder, &mut dice, || number(&folder, open) == 0 && number(&folder, &under_way) == 0);

    let jobs: serde_json::Value = serde_json::from_str(&folder.run(&["dlq", "jobs", "--json"])).unwrap();
    let mended = jobs.as_array().unwrap().iter().find(|job| job["job_id"] == id).unwrap();
    let changed = mended["changed"].as_u64().unwrap();
    assert!(changed > 50, "seed {seed}: {mended}");
    assert_eq!(mended["state"], "done", "seed {seed}: {mended}");
    assert_eq!(number(&folder, &format!("{stored} where status = 'resolved'")), changed, "seed {seed}");
    assert_eq!(number(&folder, stored), bad, "seed {seed}");
    assert_eq!(number(&folder, "select count(*) from realtime.events"), of("valid") + changed, "seed {seed}");
    let hourly = "select sum(impressions) from realtime.metrics_hourly";
    assert_eq!(number(&folder, hourly), of("valid") + changed, "seed {seed}");
    let tried_twice = "select count(*) from (select error_id from errors.retry_history group by error_id having count(*) > 1) x";
    assert_eq!(number(&folder, tried_twice), 0, "seed {seed}");
    assert!(folder.run(&["verify", "--deep"]).contains("zero residue"), "seed {seed}");
}

#[test]
fn the_command_line_repairs_an_error_by_itself() {
    let folder = Folder::new();
    let event = r#"{"id":"1","click":7,"hour":"14102100","banner_pos":1,"device_type":1,"device_conn_type":0,"site_id":"s","site_domain":"d","site_category":"c","app_id":"a","app_domain":"b","app_category":"e","device_id":"f","device_ip":"g","device_model":"h"}"#;
    std::fs::write(folder.join("one.ndjson"), format!("{event}\nnot json\u{1b}[2J\n")).unwrap();
    assert!(folder.fail(1, &["dlq", "stats"]).contains("no data in"));
    folder.run(&["ingest", "--wait", "one.ndjson"]);
    // Nobody else runs: it stores what has come by itself.
    folder.run(&["dlq", "retry", "--due"]);
    let listed = folder.run(&["dlq", "list", "--field", "click", "--json"]);
    let error: serde_json::Value = serde_json::from_str(listed.lines().next().unwrap()).unwrap();
    let id = error["error_id"].as_str().unwrap();
    assert_eq!(error["status"], "exhausted");

    // Said where and what, with what to do; nothing is done.
    assert!(folder.fail(2, &["dlq", "retry"]).contains("say which errors"));
    assert!(folder.fail(2, &["dlq", "retry", "--all"]).contains("add --yes"));
    assert!(folder.fail(2, &["dlq", "edit", id]).contains("say how"));
    assert!(folder.fail(2, &["dlq", "edit", id, "--set", "click"]).contains("--set FIELD=VALUE"));
    assert!(folder.fail(1, &["dlq", "show", "x"]).contains("error x does not exist"));
    assert!(folder.fail(2, &["dlq", "list", "--since", "soon"]).contains("is not a time"));
    folder.fail(2, &["dlq", "list", "--status", "odd"]);
    assert!(folder.fail(1, &["dlq", "check"]).is_empty());
    let checked = folder.adpipe(&["dlq", "check"]).output().unwrap();
    let checked = String::from_utf8(checked.stdout).unwrap();
    assert!(checked.contains("need a decision because adpipe does not retry them: 2\n"), "{checked}");
    assert!(
        checked.contains("  1 needs a decision  stream  click ") && !checked.contains("used up"),
        "{checked}"
    );
    assert_eq!(folder.row("select count(*) as n from errors.actions")["n"], 0);

    let shown = folder.run(&["dlq", "show", id]);
    assert!(shown.contains("click 7 is out of range"), "{shown}");
    assert!(shown.contains("0; this type is not retried automatically and needs a decision"), "{shown}");
    let broken = folder.run(&["dlq", "list", "--type", "parse", "--json"]);
    let broken: serde_json::Value = serde_json::from_str(broken.lines().next().unwrap()).unwrap();
    let broken = broken["error_id"].as_str().unwrap();
    assert!(!folder.run(&["dlq", "show", broken]).contains('\u{1b}'), "a payload may not drive the terminal");
    assert_eq!(folder.run(&["dlq", "show", broken, "--payload"]), "not json\u{1b}[2J");

    let told = folder.run(&["dlq", "edit", id, "--set", "click=1"]);
    assert!(told.contains("applied"), "{told}");
    assert_eq!(folder.row("select sum(click) as n from realtime.events")["n"], 1);
    assert!(folder.run(&["dlq", "discard", broken, "--reason", "a test"]).contains("1 error discarded"));
    assert!(folder.run(&["dlq", "check"]).contains("no errors need attention"));
    assert!(folder.run(&["dlq", "undo", broken]).contains("1 error"));

    // Out, repaired by other means, and in again.
    folder.run(&["dlq", "export", "--type", "parse", "--out", "out.ndjson"]);
    let mut line: serde_json::Value =
        serde_json::from_str(std::fs::read_to_string(folder.join("out.ndjson")).unwrap().trim()).unwrap();
    line["payload"] = event.replace("\"1\"", "\"2\"").replace(":7", ":0").into();
    std::fs::write(folder.join("in.ndjson"), format!("{line}\nnonsense\n")).unwrap();
    assert!(folder.fail(1, &["dlq", "import", "in.ndjson"]).contains("line 2"));
    folder.run(&["dlq", "retry", "--due"]);
    assert_eq!(folder.row("select count(*) as n from realtime.events")["n"], 2);
    assert!(folder.run(&["verify", "--deep"]).contains("zero residue"));
}

#[test]
fn a_role_of_its_own_ends_cleanly() {
    let folder = Folder::new();
    let made = folder.generate("events.ndjson", &["--rows", "2000", "--bad", "0.5", "--seed", "3"]);
    let of = |kind: &str| made[kind].as_u64().unwrap();
    let exhausted = of("parse") + of("schema") + of("validation");
    folder.run(&["ingest", "--wait", "events.ndjson"]);
    let mut keeper = Killed(folder.adpipe(&["run", "dlq"]).stdout(Stdio::null()).spawn().unwrap());
    eventually("the errors are stored", || {
        number(&folder, "select count(*) from errors.dlq_errors") == exhausted + of("future")
    });
    let pid = keeper.0.id().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert!(keeper.0.wait().unwrap().success());
    let up = Running::start(folder.adpipe(&["up"]));
    eventually("the gauges are set", || {
        let (_, metrics) = up.request("GET", "/metrics", b"");
        metrics.contains(&format!("adpipe_dlq_errors{{status=\"exhausted\"}} {exhausted}\n"))
    });
}
