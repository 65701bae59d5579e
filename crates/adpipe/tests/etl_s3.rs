//! The archive in an S3-compatible store: the same as in a folder, whatever happens.

#![cfg(feature = "s3")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;
#[path = "common/pipeline.rs"]
mod pipeline;

use std::process::{Command, Stdio};
use std::time::Duration;

use adpipe_testkit::eventually;
use adpipe_testkit::s3::{S3, SECRET_KEY};
use common::{Killed, shown};
use pipeline::{Bucket, Pipeline, kills, ten_files};
use serde_json::Value;

/// Two pipelines on the same raw files: one with its archive in a folder, one in a bucket.
fn twins(server: &S3, rows: u32) -> (Pipeline, Pipeline) {
    let in_folder = Pipeline::new(None);
    ten_files(&in_folder, rows);
    let in_bucket = Pipeline::with_store(Bucket::make(server, "ads"));
    let raw = in_folder.folder.join("data/raw");
    let copied = Command::new("cp").arg("-rp").arg(raw).arg(in_bucket.folder.join("data")).status();
    assert!(copied.unwrap().success());
    (in_folder, in_bucket)
}

#[test]
fn files_and_stream_give_the_same_as_in_a_folder() {
    let Some(server) = S3::start("files_and_stream_give_the_same") else { return };
    let (in_folder, in_bucket) = twins(&server, 20_000);
    // Hours that are not in the files come by stream, and are archived once they are closed.
    in_folder
        .folder
        .generate("more.ndjson", &["--rows", "5000", "--start", "2014-10-25", "--end", "2014-10-26"]);
    std::fs::copy(in_folder.folder.join("more.ndjson"), in_bucket.folder.join("more.ndjson")).unwrap();
    let mut reports = Vec::new();
    for pipeline in [&in_folder, &in_bucket] {
        pipeline.run(&["ingest", "--wait", "more.ndjson"]);
        let report: Value = serde_json::from_str(&pipeline.run(&["etl", "--json"])).unwrap();
        assert_eq!(report["archive"]["from_stream"], 5_000);
        assert!(report["archive"]["merged"].as_u64() > Some(0), "{report}");
        reports.push(report);
    }
    assert_eq!(reports[0]["this_run"], reports[1]["this_run"]);
    in_bucket.end_state().must_be(&in_folder.end_state(), 0);
    in_bucket.verify(0);
    let listed = in_bucket.number("select count(*) from realtime.archive_parts");
    let parts = server.objects("ads").into_iter().filter(|key| !key.contains("/_adpipe/account-"));
    assert_eq!(parts.count() as u64, listed, "the bucket has the parts, the account and nothing else");
    assert!(!in_bucket.folder.join("data/processed").exists());

    // The days have left the hot window: the stream asks the bucket for their ids.
    in_bucket.run(&["ingest", "--wait", "data/raw/0.csv"]);
    assert_eq!(in_bucket.number("select sum(valid) from realtime.commits"), 5_000);
    in_bucket.verify(0);
}

#[test]
fn killed_at_any_instant_it_ends_in_the_same_state() {
    let Some(server) = S3::start("killed_at_any_instant_with_s3") else { return };
    let bucket = Bucket::make(&server, "killed");
    kills(None, Some(bucket), 10_000, 5);
}

#[test]
fn a_server_that_is_stopped_and_comes_back_loses_nothing() {
    let Some(mut server) = S3::start("a_server_that_is_stopped") else { return };
    let (in_folder, in_bucket) = twins(&server, 30_000);
    in_folder.run(&["etl"]);
    let mut etl = in_bucket.adpipe(&["etl", "--json"]);
    let mut etl = Killed(etl.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    for parts in [1, 6, 12] {
        eventually("parts are put", || server.objects("ads").len() >= parts);
        server.kill();
        // Long enough for a request to meet nobody.
        std::thread::sleep(Duration::from_millis(400));
        server.start_again();
    }
    assert!(etl.0.wait().unwrap().success());
    in_bucket.end_state().must_be(&in_folder.end_state(), 0);
    in_bucket.verify(0);
}

#[test]
fn what_is_wrong_is_told_with_what_to_do() {
    let Some(mut server) = S3::start("what_is_wrong_is_told_of_s3") else { return };
    let pipeline = Pipeline::with_store(Bucket::make(&server, "ads"));
    let doctor = |changes: &[(&str, &str)]| -> (bool, String) {
        let output = pipeline.adpipe(&["doctor"]).envs(changes.iter().copied()).output().unwrap();
        assert!(!shown(&output).contains(SECRET_KEY) && !shown(&output).contains("wrong-key"));
        let text = String::from_utf8(output.stdout).unwrap();
        let line = text.lines().find(|line| line.contains("archive")).unwrap_or_default().to_owned();
        (output.status.success(), line)
    };
    let (is_good, words) = doctor(&[]);
    assert!(is_good && words.contains("s3://ads/deep/archive: 0 files, can be written"), "{words}");
    let (is_good, words) = doctor(&[("AWS_SECRET_ACCESS_KEY", "wrong-key")]);
    assert!(!is_good && words.contains("SignatureDoesNotMatch"), "{words}");
    let (is_good, words) = doctor(&[("ADPIPE_ARCHIVE__SECRET_ACCESS_KEY", "wrong-key")]);
    assert!(!is_good && words.contains("SignatureDoesNotMatch"), "{words}");
    let (is_good, words) = doctor(&[("ADPIPE_ARCHIVE__URL", "s3://nowhere")]);
    assert!(!is_good && words.contains("there is no bucket nowhere"), "{words}");
    let (is_good, words) = doctor(&[("ADPIPE_ARCHIVE__ALLOW_HTTP", "false")]);
    assert!(!is_good && words.contains("archive.endpoint: http://127.0.0.1"), "{words}");
    let (is_good, words) = doctor(&[("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", "")]);
    assert!(!is_good && words.contains("there are no keys for s3://ads"), "{words}");
    let (is_good, words) = doctor(&[("ADPIPE_ARCHIVE__URL", "s3://name:wrong-key@ads/x")]);
    assert!(!is_good && words.contains("archive.url: is not understood"), "{words}");

    // What is wrong with the configuration is a wrong usage; what is wrong with the server is not.
    let etl = |changes: &[(&str, &str)]| {
        let output = pipeline.adpipe(&["etl"]).envs(changes.iter().copied()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(etl(&[("ADPIPE_ARCHIVE__ALLOW_HTTP", "false")]).0, Some(2));
    let (code, words) = etl(&[("ADPIPE_ARCHIVE__URL", "s3://nowhere/x")]);
    assert!(code == Some(1) && words.contains("archive s3://nowhere/x: there is no bucket"), "{words}");
    let shown = pipeline.run(&["config", "show"]);
    assert!(shown.contains("s3://ads/deep/archive") && !shown.contains(SECRET_KEY), "{shown}");
    server.kill();
    let (is_good, words) = doctor(&[]);
    assert!(!is_good && words.contains("cannot be reached"), "{words}");
    let (code, words) = etl(&[]);
    assert!(code == Some(1) && words.contains("cannot be reached"), "{words}");
}

#[test]
fn a_server_with_tls_is_talked_to_when_its_certificate_is_trusted() {
    let test = "a_server_with_tls";
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-out")
        .arg(&certificate)
        .arg("-keyout")
        .arg(&key)
        .output();
    if !made.is_ok_and(|made| made.status.success()) {
        return adpipe_testkit::skip(test, "openssl is not installed");
    }
    let Some(server) = S3::start_with_tls(test, &certificate, &key) else { return };
    let pipeline = Pipeline::with_store(Bucket::make(&server, "ads"));
    let doctor = |trusted: bool| {
        let mut command = pipeline.adpipe(&["doctor"]);
        command.env("ADPIPE_ARCHIVE__ALLOW_HTTP", "false");
        if trusted {
            command.env("SSL_CERT_FILE", &certificate);
        }
        shown(&command.output().unwrap())
    };
    let words = doctor(true);
    assert!(words.contains("s3://ads/deep/archive: 0 files, can be written"), "{words}");
    let words = doctor(false);
    assert!(words.contains("BAD   archive") && words.to_lowercase().contains("certificate"), "{words}");
}
