//! Nothing in the archive is deleted that this warehouse cannot prove to be its own and counted.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;
#[path = "common/pipeline.rs"]
mod pipeline;

use std::collections::BTreeMap;
use std::path::Path;

use adpipe_testkit::postgres::Postgres;
use adpipe_testkit::s3::S3;
use common::shown;
use pipeline::{Bucket, Pipeline, ten_files};
use serde_json::Value;

fn report(pipeline: &Pipeline) -> Value {
    serde_json::from_str(&pipeline.run(&["etl", "--json"])).unwrap()
}

/// Must fail, and say these words.
fn is_refused(pipeline: &Pipeline, words: &[&str]) {
    let output = pipeline.adpipe(&["etl"]).output().unwrap();
    let said = shown(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(words.iter().all(|word| said.contains(word)), "{said}");
}

/// Every file below a folder, with its bytes.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() {
            for (path, bytes) in files(&entry.path()) {
                found.insert(format!("{name}/{path}"), bytes);
            }
        } else if name != ".etl.lock" {
            found.insert(name, std::fs::read(entry.path()).unwrap());
        }
    }
    found
}

#[test]
fn what_others_put_into_the_archive_is_left_alone_and_named() {
    let pipeline = Pipeline::new(None);
    ten_files(&pipeline, 500);
    pipeline.run(&["etl"]);
    let root = pipeline.folder.join("data/processed");
    let foreign = [
        "notes.txt",
        "event_date=2014-10-21/_SUCCESS",
        "event_date=2014-10-21/part-00000-of-spark.parquet",
        "event_date=2014-10-21/part-20200102T030405678-0000001-000000.parquet",
        "event_date=2014-10-21/.unfinished-part-20200102T030405678-0000001-000000.parquet",
        "event_date=2020-01-01/part-x.parquet",
        "models/weights.bin",
    ];
    for path in foreign {
        std::fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
        std::fs::write(root.join(path), "of somebody else").unwrap();
    }
    let before = files(&root);
    let report = report(&pipeline);
    assert_eq!(files(&root), before);
    assert_eq!(report["archive"]["swept"], 0);
    let mut named: Vec<&str> = report["archive"]["unnamed"]
        .as_array()
        .unwrap()
        .iter()
        .map(|unnamed| unnamed["file"].as_str().unwrap())
        .collect();
    named.sort_unstable();
    let mut expected = foreign.to_vec();
    expected.sort_unstable();
    assert_eq!(named, expected);
    let words = pipeline.run(&["etl"]);
    assert!(words.contains("7 files in the archive that no row names, kept"), "{words}");
    let words = pipeline.run(&["verify"]);
    assert!(words.contains("zero residue") && words.contains("notes.txt"), "{words}");
    let words = shown(&pipeline.adpipe(&["doctor"]).output().unwrap());
    assert!(words.contains("7 files in the archive that no row names, kept"), "{words}");
}

/// The part of another run of this warehouse that no row names, as a crash leaves it: swept once its
/// events are counted elsewhere, kept while they are not.
#[test]
fn a_leftover_is_swept_when_its_events_are_counted_and_not_before() {
    let pipeline = Pipeline::new(None);
    ten_files(&pipeline, 500);
    pipeline.run(&["etl"]);
    let root = pipeline.folder.join("data/processed");
    let database = rusqlite::Connection::open(pipeline.folder.join("data/realtime.db")).unwrap();
    let listed: String =
        database.query_row("select min(path) from archive_parts", [], |row| row.get(0)).unwrap();
    // The same part under another name: as if its run had written it twice and died.
    let copy =
        listed.replace("-000000.parquet", "-000777.parquet").replace("-000001.parquet", "-000778.parquet");
    assert_ne!(copy, listed);
    std::fs::copy(root.join(&listed), root.join(&copy)).unwrap();
    let report_of_sweep = report(&pipeline);
    assert_eq!(report_of_sweep["archive"]["swept"], 1, "{report_of_sweep}");
    assert!(!root.join(&copy).exists() && root.join(&listed).exists());

    // A run that died, and whose raw file is gone: its part is all there is of these events.
    let other = Pipeline::new(None);
    ten_files(&other, 300);
    other.run(&["etl"]);
    let theirs = other.query("select path from realtime.archive_parts limit 1")[0]["path"].clone();
    let theirs = theirs.as_str().unwrap().to_owned();
    std::fs::copy(other.folder.join("data/processed").join(&theirs), root.join(&theirs)).unwrap();
    is_refused(&pipeline, &[&theirs, "adpipe rebuild", "archive.url"]);
    let run_id = theirs.split('-').nth_back(1).unwrap();
    database
        .execute("insert into etl_runs (run_id, started_at) values (?1, '2026-01-01 00:00:00')", [run_id])
        .unwrap();
    let kept = report(&pipeline);
    assert_eq!(
        (&kept["archive"]["swept"], &kept["archive"]["unnamed"][0]["file"]),
        (&0.into(), &theirs.as_str().into())
    );
    assert!(root.join(&theirs).exists());
}

/// A warehouse that was put back from an older copy, or is new: refused, with the cure, and nothing is
/// deleted.
fn an_older_warehouse_is_refused(pipeline: &Pipeline, listed: &dyn Fn() -> Vec<String>, go_back: &dyn Fn()) {
    ten_files(pipeline, 500);
    pipeline.run(&["etl"]);
    let first = listed();
    go_back();
    let refused =
        ["that this warehouse does not know", "adpipe rebuild", "archive.url", "nothing was changed"];
    is_refused(pipeline, &refused);
    assert_eq!(listed(), first, "nothing was deleted");
    is_refused(pipeline, &refused);
    let output = pipeline.adpipe(&["verify"]).output().unwrap();
    let said = shown(&output);
    assert!(!output.status.success() && said.contains("that this warehouse does not know"), "{said}");
    assert_eq!(listed(), first);
}

fn in_folder(pipeline: &Pipeline) -> Vec<String> {
    files(&pipeline.folder.join("data/processed")).into_keys().collect()
}

#[test]
fn an_older_copy_of_the_warehouse_sweeps_nothing() {
    let pipeline = Pipeline::new(None);
    pipeline.run(&["etl"]);
    let data = pipeline.folder.join("data");
    let older = std::fs::read(data.join("realtime.db")).unwrap();
    an_older_warehouse_is_refused(&pipeline, &|| in_folder(&pipeline), &|| {
        for end in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(data.join(format!("realtime.db{end}")));
        }
        std::fs::write(data.join("realtime.db"), &older).unwrap();
    });
}

#[test]
fn another_database_sweeps_nothing_on_postgres() {
    let Some(server) = Postgres::shared("another_database_sweeps_nothing") else { return };
    let mut pipeline = Pipeline::new(Some(server.new_database()));
    ten_files(&pipeline, 500);
    pipeline.run(&["etl"]);
    let first = in_folder(&pipeline);
    pipeline.warehouse = Some(server.new_database());
    is_refused(&pipeline, &["the archive has parts that no list names", "adpipe rebuild"]);
    assert_eq!(in_folder(&pipeline), first);
}

#[cfg(feature = "s3")]
#[test]
fn an_older_copy_of_the_warehouse_sweeps_nothing_in_a_bucket() {
    let Some(server) = S3::start("an_older_copy_sweeps_nothing_in_a_bucket") else { return };
    let pipeline = Pipeline::with_store(Bucket::make(&server, "ads"));
    pipeline.run(&["etl"]);
    let data = pipeline.folder.join("data");
    let older = std::fs::read(data.join("realtime.db")).unwrap();
    let listed = || server.objects("ads").into_iter().collect::<Vec<String>>();
    an_older_warehouse_is_refused(&pipeline, &listed, &|| {
        for end in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(data.join(format!("realtime.db{end}")));
        }
        std::fs::write(data.join("realtime.db"), &older).unwrap();
    });
}
