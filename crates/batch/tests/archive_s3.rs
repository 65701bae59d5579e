//! The archive in a real S3-compatible server.

#![cfg(feature = "s3")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use adpipe_batch::Archive;
use adpipe_batch::archive::s3::{S3Keys, S3Place};
use adpipe_batch::archive::{PartFile, rows_by_date};
use adpipe_testkit::proxy::Proxy;
use adpipe_testkit::s3::{ACCESS_KEY, S3, SECRET_KEY};
use adpipe_warehouse::{ArchiveIds, ArchiveReadError};
use common::{events, line, listed, written};

const BUCKET: &str = "ads";

fn place(endpoint: &str) -> S3Place {
    let mut place = S3Place::from_url("s3://ads/events/archive").unwrap();
    place.endpoint = Some(endpoint.to_owned());
    place.allow_http = true;
    place.keys = Some(S3Keys {
        access_key_id: ACCESS_KEY.to_owned(),
        secret_access_key: SECRET_KEY.to_owned(),
        session_token: None,
    });
    place
}

fn server(test: &str) -> Option<S3> {
    let server = S3::start(test)?;
    server.make_bucket(BUCKET);
    Some(server)
}

#[test]
fn events_come_out_as_they_went_in() {
    let Some(server) = server("events_come_out_as_they_went_in") else { return };
    // Pieces of the least size that S3 takes, so that there are several.
    let place = S3Place { piece_bytes: Some(5 << 20), ..place(&server.endpoint()) };
    let archive = written(&Archive::in_s3(place).unwrap());
    let batch = events(300_000);
    let days = rows_by_date(&[&batch], |_, _| true);
    let mut found: Vec<Vec<u8>> = Vec::new();
    for rows in &days {
        let part = archive.write(&[&batch], rows).unwrap();
        assert!(server.objects(BUCKET).len() < days.len(), "nobody sees it before it is published");
        let missing = archive.rows_and_bytes(&part.path).unwrap_err();
        assert!(matches!(missing, ArchiveReadError::Missing(_)), "{missing}");
        assert!(part.bytes > 5 << 20, "{} bytes are sent as one piece", part.bytes);
        part.publish().unwrap();
        assert_eq!(archive.rows_and_bytes(&part.path).unwrap(), (part.rows, part.bytes));
        archive
            .events(&part.path, None, |events| {
                assert!(events.event_times().is_sorted());
                found.extend(events.iter().map(|event| line(&event)));
            })
            .unwrap();
        for (hour, of_hour) in &part.hours {
            let mut ids = HashSet::new();
            archive.ids_of_hour(&listed(&part), *hour, &mut |id| assert!(ids.insert(id.to_owned()))).unwrap();
            let expected: HashSet<String> = (0..batch.len())
                .filter(|index| batch.event_time(*index).floor_hour() == *hour)
                .map(|index| batch.id(index).to_owned())
                .collect();
            assert!(ids.len() as u64 == of_hour.rows && ids == expected, "hour {hour}");
        }
    }
    found.sort_unstable();
    let mut expected: Vec<Vec<u8>> = batch.iter().map(|event| line(&event)).collect();
    expected.sort_unstable();
    assert!(found == expected, "{} of {} came out", found.len(), expected.len());
    assert_eq!(server.unfinished(BUCKET), 0);
    assert!(server.objects(BUCKET).iter().all(|key| key.starts_with("events/archive/event_date=2014-10-2")));
}

#[test]
fn what_no_row_names_can_be_told_and_goes_alone() {
    let Some(server) = server("what_no_row_names_can_be_told") else { return };
    let archive = written(&Archive::in_s3(place(&server.endpoint())).unwrap());
    let batch = events(1_000);
    let write = || -> Vec<PartFile> {
        let days = rows_by_date(&[&batch], |_, _| true);
        days.iter().map(|rows| archive.write(&[&batch], rows).unwrap()).collect()
    };
    let (named, strays) = (write(), write());
    named.iter().chain(&strays).try_for_each(PartFile::publish).unwrap();
    let others =
        ["events/archive/event_date=2014-10-21/notes.txt", "events/archive-2/event_date=x/part-1.parquet"];
    for key in others {
        let file = server.file(BUCKET, key);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, "mine").unwrap();
    }
    let names: HashSet<String> = named.iter().map(|part| part.path.clone()).collect();
    let found = archive.strays(&names).unwrap();
    let expected: BTreeSet<String> = strays.iter().map(|part| part.path.clone()).collect();
    assert_eq!(BTreeSet::from_iter(found.clone()), expected);
    let all = archive.list().unwrap();
    assert_eq!(
        all.len(),
        named.len() + strays.len() + 1,
        "notes.txt, too, and nothing of archive-2: {all:?}"
    );
    let origin = archive.origin(&strays[0].path).unwrap();
    assert_eq!(origin.data_id.as_deref(), Some("this data set"));
    assert_eq!(archive.hash(&strays[0].path).unwrap(), (strays[0].hash.clone(), strays[0].bytes));
    strays.iter().for_each(PartFile::discard);
    assert!(archive.strays(&names).unwrap().is_empty());
    let mut left: BTreeSet<String> = names.iter().map(|path| format!("events/archive/{path}")).collect();
    left.extend(others.map(str::to_owned));
    assert_eq!(server.objects(BUCKET), left);
    // A part that is given up after all.
    named[0].discard();
    assert!(matches!(archive.rows_and_bytes(&named[0].path), Err(ArchiveReadError::Missing(_))));
}

#[test]
fn a_server_that_comes_back_gets_the_part_whole() {
    let Some(mut server) = server("a_server_that_comes_back") else { return };
    let place = S3Place { piece_bytes: Some(5 << 20), ..place(&server.endpoint()) };
    let archive = written(&Archive::in_s3(place).unwrap());
    let batch = events(300_000);
    let part = archive.write(&[&batch], &rows_by_date(&[&batch], |_, _| true)[0]).unwrap();
    server.kill();
    std::thread::scope(|scope| {
        let publishing = scope.spawn(|| part.publish());
        // It is trying: so many milliseconds of a server that is away change nothing.
        std::thread::sleep(Duration::from_millis(700));
        assert!(!publishing.is_finished());
        server.start_again();
        publishing.join().unwrap().unwrap();
    });
    assert_eq!(archive.rows_and_bytes(&part.path).unwrap(), (part.rows, part.bytes));
    // While it is read, too.
    server.kill();
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut rows = 0;
            archive.events(&part.path, None, |events| rows += events.len() as u64).map(|()| rows)
        });
        // Long enough for a request to meet nobody.
        std::thread::sleep(Duration::from_millis(300));
        server.start_again();
        assert_eq!(reading.join().unwrap().unwrap(), part.rows);
    });
}

#[test]
fn a_damaged_part_and_a_cut_connection_are_told_apart() {
    let Some(server) = server("a_damaged_part") else { return };
    let proxy = Proxy::new();
    proxy.set_target(server.port());
    let patience = Some(Duration::from_millis(500));
    let place = place(&format!("http://127.0.0.1:{}", proxy.port()));
    let archive = written(&Archive::in_s3(S3Place { patience, ..place }).unwrap());
    let batch = events(5_000);
    let part = archive.write(&[&batch], &rows_by_date(&[&batch], |_, _| true)[0]).unwrap();
    part.publish().unwrap();
    let file = server.file(BUCKET, &format!("events/archive/{}", part.path));
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    let error = archive.events(&part.path, None, |_| {}).unwrap_err();
    assert!(matches!(&error, ArchiveReadError::Damaged { path, .. } if *path == part.path), "{error}");
    std::fs::write(&file, &bytes).unwrap();
    archive.events(&part.path, None, |events| assert!(!events.is_empty())).unwrap();
    proxy.cut();
    let error = archive.events(&part.path, None, |_| {}).unwrap_err();
    let is_told = |words: &str| words.contains(&part.path) && words.contains("cannot be reached");
    assert!(matches!(&error, ArchiveReadError::Unavailable(words) if is_told(words)), "{error}");
}

#[test]
fn what_is_wrong_is_told_with_what_to_do() {
    let Some(server) = server("what_is_wrong_is_told") else { return };
    let right = place(&server.endpoint());
    let said = |place: S3Place| Archive::in_s3(place).unwrap().check().unwrap_err().to_string();
    assert!(Archive::in_s3(right.clone()).unwrap().check().unwrap().ends_with(": 0 files, can be written"));
    assert!(server.objects(BUCKET).is_empty());

    let words = said(S3Place { bucket: "nowhere".to_owned(), ..right.clone() });
    assert!(words.contains("there is no bucket nowhere on http://") && words.contains("s3 mb"), "{words}");

    let keys = |name: &str, secret: &str| {
        Some(S3Keys {
            access_key_id: name.to_owned(),
            secret_access_key: secret.to_owned(),
            session_token: None,
        })
    };
    let words = said(S3Place { keys: keys(ACCESS_KEY, "wrong-key"), ..right.clone() });
    assert!(words.contains("SignatureDoesNotMatch") && words.contains("AWS_SECRET_ACCESS_KEY"), "{words}");
    assert!(!words.contains("wrong-key"), "{words}");
    let words = said(S3Place { keys: keys("nobody", SECRET_KEY), ..right.clone() });
    assert!(
        words.contains("it does not know the access key") && words.contains("AWS_ACCESS_KEY_ID"),
        "{words}"
    );
    assert!(!words.contains(SECRET_KEY), "{words}");

    let nobody = format!("http://127.0.0.1:{}", adpipe_testkit::free_port());
    let words = said(S3Place { endpoint: Some(nobody.clone()), ..right });
    assert!(words.contains(&format!("{nobody} cannot be reached")), "{words}");
    assert!(words.contains("archive.endpoint"), "{words}");
}
