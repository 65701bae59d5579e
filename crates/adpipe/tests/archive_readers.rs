//! The archive as others read it: DuckDB and Polars, from PyPI.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;
#[path = "common/pipeline.rs"]
mod pipeline;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Folder, shown};
use serde_json::Value;

/// Sums by day, by both; then by a text column, which must be text.
const SCRIPT: &str = "
import json, sys
import duckdb, polars
files = sys.argv[1] + '/*/*.parquet'
by_duckdb = duckdb.sql(f\"select event_date::varchar, count(*), sum(click) from read_parquet('{files}') group by 1 order by 1\").fetchall()
frame = polars.scan_parquet(files, hive_partitioning=True)
by_polars = frame.group_by('event_date').agg(polars.len(), polars.col('click').sum()).sort('event_date').collect().rows()
ids = duckdb.sql(f\"select count(distinct event_id), min(length(site_id)), count(c21) from read_parquet('{files}')\").fetchall()
print(json.dumps([[list(map(str, row)) for row in by_duckdb], [list(map(str, row)) for row in by_polars], ids]))
";

/// The same sums as adpipe has them.
const DAYS: &str = "select substr(window_start, 1, 10) as day, sum(impressions) as n, sum(clicks) as c
    from realtime.metrics_hourly group by 1 order by 1";

fn days(answer: &str) -> Vec<Value> {
    let days: Value = serde_json::from_str(answer).unwrap();
    let row = |day: &Value| {
        serde_json::json!([day["day"].as_str().unwrap(), day["n"].to_string(), day["c"].to_string()])
    };
    days.as_array().unwrap().iter().map(row).collect()
}

/// A Python that has both; none when it cannot be had, see [`adpipe_testkit::skip`].
fn python(test: &str) -> Option<PathBuf> {
    let pins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testkit/requirements-archive-readers.txt");
    match adpipe_testkit::venv::environment("archive-readers", &pins) {
        Ok(bin) => Some(bin.join("python")),
        Err(reason) => {
            adpipe_testkit::skip(test, &reason);
            None
        }
    }
}

#[test]
fn duckdb_and_polars_get_the_same_sums() {
    let Some(python) = python("duckdb_and_polars_get_the_same_sums") else { return };
    let folder = Folder::new();
    std::fs::create_dir_all(folder.join("data/raw")).unwrap();
    folder.generate(
        "data/raw/events.csv",
        &[
            "--rows",
            "200000",
            "--bad",
            "0.01",
            "--duplicates",
            "0.02",
            "--start",
            "2014-10-21",
            "--end",
            "2014-10-25",
            "--format",
            "csv",
        ],
    );
    folder.run(&["etl"]);
    let days = days(&folder.run(&["sql", "--json", DAYS]));
    assert_eq!(days.len(), 4);
    let output =
        Command::new(python).args(["-c", SCRIPT]).arg(folder.join("data/processed")).output().unwrap();
    assert!(output.status.success(), "{}", shown(&output));
    let said = String::from_utf8(output.stdout).unwrap();
    let found: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!(found[0], Value::Array(days.clone()), "DuckDB");
    assert_eq!(found[1], Value::Array(days), "Polars");
    let events = folder.row("select sum(impressions) as n from realtime.metrics_hourly")["n"].clone();
    assert_eq!(found[2][0][0], events, "every id once");
}

#[test]
fn the_benchmark_gives_both_the_same_file() {
    let Some(python) = python("the_benchmark_gives_both_the_same_file") else { return };
    let folder = Folder::new();
    let python = python.to_str().unwrap();
    let table = folder.run(&["bench", "etl", "--rows", "20000", "--python", python, "--json"]);
    let figures: Value = serde_json::from_str(&table).unwrap();
    let works: Vec<&str> =
        figures.as_array().unwrap().iter().map(|row| row["work"].as_str().unwrap()).collect();
    assert_eq!(works.len(), 3, "{works:?}");
    assert!(works[1].starts_with("DuckDB") && works[2].starts_with("Polars"), "{works:?}");
}

/// By Polars alone: DuckDB would have to download its extension for S3.
#[cfg(feature = "s3")]
const SCRIPT_FOR_S3: &str = "
import json, sys
import polars
options = {'aws_endpoint_url': sys.argv[2], 'aws_access_key_id': sys.argv[3], 'aws_secret_access_key': sys.argv[4],
           'aws_region': 'us-east-1', 'aws_allow_http': 'true'}
frame = polars.scan_parquet(sys.argv[1] + '/*/*.parquet', hive_partitioning=True, storage_options=options)
by_polars = frame.group_by('event_date').agg(polars.len(), polars.col('click').sum()).sort('event_date').collect().rows()
print(json.dumps([list(map(str, row)) for row in by_polars]))
";

#[cfg(feature = "s3")]
#[test]
fn polars_gets_the_same_sums_from_an_object_store() {
    use adpipe_testkit::s3::{ACCESS_KEY, S3, SECRET_KEY};
    let test = "polars_gets_the_same_sums_from_an_object_store";
    let Some(python) = python(test) else { return };
    let Some(server) = S3::start(test) else { return };
    let pipeline = pipeline::Pipeline::with_store(pipeline::Bucket::make(&server, "ads"));
    pipeline::ten_files(&pipeline, 10_000);
    pipeline.run(&["etl"]);
    let days = days(&pipeline.run(&["sql", "--json", DAYS]));
    assert_eq!(days.len(), 2);
    let url = pipeline.store.as_ref().unwrap().url();
    let output = Command::new(python)
        .args(["-c", SCRIPT_FOR_S3, &url, &server.endpoint(), ACCESS_KEY, SECRET_KEY])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", shown(&output));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found, Value::Array(days));
}
