//! Parts of the archive that are damaged or missing: they stop their hours, and nothing else.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;
#[path = "common/pipeline.rs"]
mod pipeline;

use std::path::{Path, PathBuf};

use adpipe_testkit::postgres::Postgres;
use adpipe_testkit::{Dice, eventually, seed};
use common::{Running, shown};
use pipeline::Pipeline;
use serde_json::Value;

/// Events of eleven days: on PostgreSQL, too, the first ones have left the hot window.
const ROWS: u64 = 6_000;

fn eleven_days(pipeline: &Pipeline, file: &str) {
    let rows = ROWS.to_string();
    let span = ["--start", "2014-10-10", "--end", "2014-10-21", "--format", "csv", "--seed", "3"];
    let arguments = [&["--rows", rows.as_str()][..], &span].concat();
    pipeline.folder.generate(file, &arguments);
}

/// One event, as JSON.
fn event(id: &str, time: &str) -> String {
    format!(
        "{{\"id\":\"{id}\",\"click\":0,\"hour\":\"{time}\",\"banner_pos\":0,\"site_id\":\"a\",\"site_domain\":\"b\",\
         \"site_category\":\"c\",\"app_id\":\"d\",\"app_domain\":\"e\",\"app_category\":\"f\",\"device_id\":\"g\",\
         \"device_ip\":\"h\",\"device_model\":\"i\",\"device_type\":1,\"device_conn_type\":0}}\n"
    )
}

fn parts(pipeline: &Pipeline) -> Vec<String> {
    let rows = pipeline.query("select path from realtime.archive_parts order by path");
    rows.as_array().unwrap().iter().map(|row| row["path"].as_str().unwrap().to_owned()).collect()
}

fn place(pipeline: &Pipeline, part: &str) -> PathBuf {
    pipeline.folder.join("data/processed").join(part)
}

fn impressions(pipeline: &Pipeline) -> u64 {
    pipeline.number("select sum(impressions) from realtime.metrics_hourly")
}

/// Runs and gives exit code and what was printed, whatever the code.
fn said(pipeline: &Pipeline, arguments: &[&str]) -> (Option<i32>, String) {
    let output = pipeline.adpipe(arguments).output().unwrap();
    let words = shown(&output);
    assert!(!words.contains("panicked"), "{words}");
    (output.status.code(), words)
}

fn flip(path: &Path, dice: &mut Dice) -> (Vec<u8>, u64) {
    let sound = std::fs::read(path).unwrap();
    let bit = dice.below(sound.len() as u64 * 8);
    let mut changed = sound.clone();
    changed[(bit / 8) as usize] ^= 1 << (bit % 8);
    std::fs::write(path, changed).unwrap();
    (sound, bit)
}

#[test]
fn a_changed_bit_is_named_and_counts_nothing_twice() {
    let seed = seed();
    let mut dice = Dice(seed);
    let pipeline = Pipeline::new(None);
    eleven_days(&pipeline, "data/raw/events.csv");
    pipeline.run(&["etl"]);
    pipeline.verify(seed);
    assert_eq!(impressions(&pipeline), ROWS);
    let parts = parts(&pipeline);
    for round in 0..200 {
        let part = &parts[dice.below(parts.len() as u64) as usize];
        let path = place(&pipeline, part);
        let (sound, bit) = flip(&path, &mut dice);
        let at = format!("ADPIPE_TEST_SEED={seed}, round {round}, bit {bit} of {part}");
        let (code, words) = said(&pipeline, &["verify"]);
        assert!(code == Some(1) && words.contains("GAP") && words.contains(part), "{at}: {words}");
        assert!(!words.contains("zero residue"), "{at}: {words}");
        // All the same events once more, while the part cannot be asked.
        if round % 20 == 0 {
            pipeline.run(&["ingest", "--wait", "data/raw/events.csv"]);
            assert_eq!(impressions(&pipeline), ROWS, "{at}");
            let report: Value = serde_json::from_str(&pipeline.run(&["etl", "--force", "--json"])).unwrap();
            assert_eq!(report["this_run"]["valid"], 0, "{at}: {report}");
            assert_eq!(impressions(&pipeline), ROWS, "{at}");
        }
        std::fs::write(&path, sound).unwrap();
    }
    // What was set aside meanwhile is sent again by itself, and was counted already.
    let set_aside = pipeline.errors().len() as u64;
    assert!(set_aside > 100, "ADPIPE_TEST_SEED={seed}: only {set_aside}");
    let up = Running::start(pipeline.adpipe(&["up"]));
    eventually("what waited is resolved", || {
        pipeline.number("select count(*) from errors.dlq_errors where status = 'resolved'") >= set_aside
    });
    drop(up);
    assert_eq!(pipeline.number("select count(*) from errors.dlq_errors"), set_aside);
    let outcomes = pipeline.query("select distinct resolution from errors.dlq_errors");
    assert_eq!(outcomes, serde_json::json!([{"resolution": "already_counted"}]), "ADPIPE_TEST_SEED={seed}");
    assert_eq!(impressions(&pipeline), ROWS);
    pipeline.verify(seed);
}

/// A late event for a day that was moved away waits; all others are counted, and so is this one once
/// the day is back.
fn a_missing_day_stops_that_day_only(warehouse: Option<String>, is_damaged: bool) {
    let pipeline = Pipeline::new(warehouse);
    eleven_days(&pipeline, "events.csv");
    pipeline.run(&["ingest", "--wait", "events.csv"]);
    pipeline.run(&["etl"]);
    pipeline.verify(0);
    let part = parts(&pipeline).into_iter().find(|part| part.contains("2014-10-11")).unwrap();
    let (path, elsewhere) = (place(&pipeline, &part), pipeline.folder.join("elsewhere"));
    let sound = std::fs::read(&path).unwrap();
    if is_damaged {
        std::fs::write(&path, &sound[..sound.len() - 100]).unwrap()
    } else {
        std::fs::rename(&path, &elsewhere).unwrap()
    }
    let word = if is_damaged { "damaged" } else { "missing" };

    let mut up = Running::start(pipeline.adpipe(&["up"]));
    let body: String = [
        event("late-1", "2014-10-11T05:10:00Z"),
        event("late-2", "2014-10-11T05:20:00Z"),
        event("other", "2014-10-12T05:00:00Z"),
        event("newest", "2014-10-20T23:00:00Z"),
    ]
    .concat();
    assert_eq!(up.request("POST", "/v1/events", body.as_bytes()).0, 202);
    eventually("the others are counted", || impressions(&pipeline) == ROWS + 2);
    let waiting =
        "select count(*) from errors.dlq_errors where error_type = 'archive' and status = 'pending'";
    eventually("the late ones wait", || pipeline.number(waiting) == 2);
    assert_eq!(pipeline.number("select sum(archive) from realtime.commits"), 2);
    assert_eq!(pipeline.number("select count(*) from realtime.unreadable_hours"), 1);
    // One that is sent again by hand waits on, with as many attempts left as before.
    pipeline.run(&["dlq", "retry", "--type", "archive", "--yes", "--no-wait"]);
    eventually("they were tried", || {
        pipeline.number("select count(*) from errors.retry_history where outcome = 'failed'") == 2
    });
    eventually("they wait again", || pipeline.number(waiting) == 2);
    assert_eq!(pipeline.number("select count(distinct max_retries - retry_count) from errors.dlq_errors"), 1);
    assert_eq!(pipeline.number("select max(max_retries - retry_count) from errors.dlq_errors"), 5);

    let (code, words) = said(&pipeline, &["doctor"]);
    assert!(code == Some(1) && words.contains(&part) && words.contains(word), "{words}");
    let (code, words) = said(&pipeline, &["verify"]);
    assert!(code == Some(1) && words.contains(&part) && words.contains(word), "{words}");
    // Batch continues, too, and takes what it can judge.
    let header = "id,click,hour,banner_pos,site_id,site_domain,site_category,app_id,app_domain,app_category,\
                  device_id,device_ip,device_model,device_type,device_conn_type\n";
    let row = |id: &str, hour: &str| format!("{id},0,{hour},0,a,b,c,d,e,f,g,h,i,1,0\n");
    let rows = [header, &row("file-1", "14101105"), &row("file-2", "14101205"), &row("late-1", "14101105")];
    std::fs::write(pipeline.folder.join("data/raw/more.csv"), rows.concat()).unwrap();
    let report: Value = serde_json::from_str(&pipeline.run(&["etl", "--json"])).unwrap();
    let this_run = &report["this_run"];
    assert_eq!(
        (&this_run["valid"], &this_run["invalid_by_type"]["archive"]),
        (&1.into(), &2.into()),
        "{report}"
    );
    let hours = report["archive"]["unreadable_hours"].as_array().unwrap();
    assert!(hours.iter().any(|hour| hour["reason"].as_str().unwrap().contains(&part)), "{report}");
    assert!(up.child.try_wait().unwrap().is_none(), "it works on");

    if is_damaged {
        std::fs::write(&path, &sound).unwrap()
    } else {
        std::fs::rename(&elsewhere, &path).unwrap()
    }
    eventually("what waited is counted", || impressions(&pipeline) == ROWS + 6);
    eventually("nothing waits", || {
        pipeline.number("select count(*) from errors.dlq_errors where status <> 'resolved'") == 0
    });
    assert_eq!(pipeline.number("select count(*) from realtime.unreadable_hours"), 0);
    let twice = "select count(*) from errors.dlq_errors where resolution = 'already_counted'";
    assert_eq!(pipeline.number(twice), 1, "late-1 came by stream and by file");
    drop(up);
    pipeline.run(&["etl"]);
    pipeline.verify(0);
    let (_, words) = said(&pipeline, &["doctor"]);
    assert!(!words.contains(word) && words.contains("are there; the hash of"), "{words}");
}

#[test]
fn a_part_that_was_moved_away_stops_its_hours_only() {
    a_missing_day_stops_that_day_only(None, false);
}

#[test]
fn a_part_that_is_damaged_stops_its_hours_only() {
    a_missing_day_stops_that_day_only(None, true);
}

#[test]
fn a_part_that_was_moved_away_stops_its_hours_only_on_postgres() {
    let Some(server) = Postgres::shared("a_part_that_was_moved_away_on_postgres") else { return };
    a_missing_day_stops_that_day_only(Some(server.new_database()), false);
}

/// A dead-letter queue that nobody keeps meanwhile, and a part that is never put back: what is hot
/// stays, as it may be the only good copy.
#[test]
fn hot_events_of_a_damaged_part_stay() {
    let pipeline = Pipeline::new(None);
    let span = ["--rows", "2000", "--start", "2014-10-20", "--end", "2014-10-21", "--format", "csv"];
    pipeline.folder.generate("data/raw/events.csv", &span);
    pipeline.run(&["etl"]);
    assert_eq!(pipeline.number("select count(*) from realtime.events"), 2_000);
    let part = parts(&pipeline).remove(0);
    std::fs::remove_file(place(&pipeline, &part)).unwrap();
    // The hot window moves on by a month.
    std::fs::write(pipeline.folder.join("late.ndjson"), event("new", "2014-11-20T05:00:00Z")).unwrap();
    pipeline.run(&["ingest", "--wait", "late.ndjson"]);
    let report: Value = serde_json::from_str(&pipeline.run(&["etl", "--json"])).unwrap();
    assert_eq!(report["hot"]["out"], 0, "{report}");
    assert_eq!(pipeline.number("select count(*) from realtime.events"), 2_001);
}

/// A part from before hashes were kept gets one once it is what its list says; one that is not does
/// not.
#[test]
fn older_parts_get_their_hash_when_they_agree_with_the_list() {
    let pipeline = Pipeline::new(None);
    eleven_days(&pipeline, "data/raw/events.csv");
    pipeline.run(&["etl"]);
    let hashes = pipeline.query("select path, hash from realtime.archive_parts order by path");
    let database = rusqlite::Connection::open(pipeline.folder.join("data/realtime.db")).unwrap();
    database.execute("update archive_parts set hash = null", []).unwrap();
    let changed = "update archive_parts set clicks = clicks + 1
                   where path = (select min(path) from archive_parts)";
    assert_eq!(database.execute(changed, []).unwrap(), 1);
    let count = hashes.as_array().unwrap().len();
    let (code, words) = said(&pipeline, &["verify"]);
    assert!(code == Some(1) && words.contains("clicks"), "{words}");
    let report: Value = serde_json::from_str(&pipeline.run(&["etl", "--json"])).unwrap();
    assert_eq!(report["archive"]["hashed"], count as u64 - 1);
    let unreadable = &report["archive"]["unreadable_hours"][0]["reason"];
    assert!(unreadable.as_str().unwrap().contains("the archive's list says"), "{report}");
    database.execute("update archive_parts set clicks = clicks - 1 where hash is null", []).unwrap();
    let (code, words) = said(&pipeline, &["verify"]);
    assert!(code == Some(0) && words.contains("1 of them have no hash yet"), "{words}");
    let report: Value = serde_json::from_str(&pipeline.run(&["etl", "--json"])).unwrap();
    assert_eq!(report["archive"]["hashed"], 1);
    assert_eq!(report["archive"]["unreadable_hours"], serde_json::json!([]));
    assert_eq!(pipeline.query("select path, hash from realtime.archive_parts order by path"), hashes);
    pipeline.verify(0);
}

/// The events of hour 23 of a day, in the zone of the schedule, come before midnight and are open then.
#[test]
fn two_nights_in_seoul_archive_every_closed_hour() {
    let pipeline = Pipeline::new(None);
    let night = |date: &str| {
        let mut command = pipeline.adpipe(&["dag", "run", "dag_daily_etl", "--date", date]);
        let output = command.env("ADPIPE_SCHEDULER__TIMEZONE", "Asia/Seoul").output().unwrap();
        assert!(output.status.success(), "{}", shown(&output));
    };
    let send = |from: &str, to: &str, seed: &str| {
        let arguments = ["--rows", "1000", "--start", from, "--end", to, "--seed", seed];
        pipeline.folder.generate("some.ndjson", &arguments);
        pipeline.run(&["ingest", "--wait", "some.ndjson"]);
    };
    let open = "select count(*) from (select distinct event_hour from realtime.events) e
                left join realtime.hours h on h.event_hour = e.event_hour
                where h.event_hour is null";
    // The day is 15:00 UTC to 15:00 UTC: in its night the last hours have not come yet.
    send("2014-10-20T15:00:00", "2014-10-21T14:00:00", "1");
    night("2014-10-21");
    assert_eq!(pipeline.number(open), 0);
    send("2014-10-21T14:00:00", "2014-10-21T15:00:00", "2");
    send("2014-10-21T15:00:00", "2014-10-22T14:00:00", "3");
    assert!(pipeline.number(open) > 0);
    night("2014-10-22");
    assert_eq!(pipeline.number(open), 0, "hour 14 UTC of the first day, too");
    assert_eq!(pipeline.number("select sum(archived_rows) from realtime.hours"), 3_000);
    pipeline.verify(0);

    // The same of `etl --date`: it picks raw files, not hours.
    send("2014-10-23T14:00:00", "2014-10-23T15:00:00", "4");
    pipeline.run(&["etl", "--date", "2014-10-25"]);
    assert_eq!(pipeline.number(open), 0);
}
