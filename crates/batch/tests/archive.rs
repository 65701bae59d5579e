//! What is written into the archive is read out of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use std::collections::HashSet;

use adpipe_batch::archive::{Archive, rows_by_date};
use adpipe_event::Millis;
use adpipe_warehouse::{ArchiveIds, ArchiveReadError};
use common::{events, line};

#[test]
fn events_come_out_as_they_went_in_sorted_by_time() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::in_folder(folder.path());
    let batch = events(300_000);
    let left_out = |index: usize| index % 10 == 7;
    let days = rows_by_date(&[&batch], |_, index| !left_out(index));
    assert_eq!(days.len(), 2);
    let mut found: HashSet<Vec<u8>> = HashSet::new();
    for rows in &days {
        let part = archive.write(&[&batch], rows).unwrap();
        let missing = archive.rows_and_bytes(&part.path).unwrap_err();
        assert!(matches!(missing, ArchiveReadError::Missing(_)), "it has no name before it is published");
        part.publish().unwrap();
        assert_eq!(archive.rows_and_bytes(&part.path).unwrap(), (part.rows, part.bytes));
        let (mut rows, mut clicks, mut newest) = (0, 0, Millis(0));
        archive
            .events(&part.path, None, |events| {
                for event in events.iter() {
                    assert!(
                        event.event_time >= newest && part.path.contains(&event.event_time.to_string()[..10])
                    );
                    newest = event.event_time;
                    (rows, clicks) = (rows + 1, clicks + u64::from(event.click));
                    found.insert(line(&event));
                }
            })
            .unwrap();
        assert_eq!((rows, clicks), (part.rows, part.clicks));
        for (hour, of_hour) in &part.hours {
            let mut ids = HashSet::new();
            archive.ids_of_hour(&part.path, *hour, &mut |id| assert!(ids.insert(id.to_owned()))).unwrap();
            let expected: HashSet<String> = (0..batch.len())
                .filter(|index| !left_out(*index) && batch.event_time(*index).floor_hour() == *hour)
                .map(|index| batch.id(index).to_owned())
                .collect();
            assert_eq!((ids.len() as u64, ids == expected), (of_hour.rows, true), "hour {hour}");
        }
    }
    let expected: HashSet<Vec<u8>> =
        (0..batch.len()).filter(|index| !left_out(*index)).map(|index| line(&batch.event(index))).collect();
    assert!(found == expected, "{} of {} came out", found.len(), expected.len());
}

#[test]
fn what_no_row_names_is_swept_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::in_folder(folder.path());
    let batch = events(1_000);
    let parts: Vec<_> = rows_by_date(&[&batch], |_, _| true)
        .iter()
        .map(|rows| archive.write(&[&batch], rows).unwrap())
        .collect();
    parts[0].publish().unwrap();
    let another = archive.write(&[&batch], &rows_by_date(&[&batch], |_, _| true)[0]).unwrap();
    another.publish().unwrap();
    std::fs::write(folder.path().join("event_date=2014-10-21/notes.txt"), "mine").unwrap();
    let named = HashSet::from([parts[0].path.clone()]);
    let strays = archive.strays(&named).unwrap();
    assert_eq!(strays.len(), 2, "one without a name, one that no row names: {strays:?}");
    archive.sweep(&strays).unwrap();
    assert!(archive.rows_and_bytes(&parts[0].path).is_ok());
    assert!(folder.path().join("event_date=2014-10-21/notes.txt").exists());
    assert!(archive.strays(&named).unwrap().is_empty());
}

#[test]
fn a_damaged_part_is_told_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::in_folder(folder.path());
    let batch = events(5_000);
    let part = archive.write(&[&batch], &rows_by_date(&[&batch], |_, _| true)[0]).unwrap();
    part.publish().unwrap();
    let path = folder.path().join(&part.path);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let error = archive.events(&part.path, None, |_| {}).unwrap_err();
    assert!(matches!(&error, ArchiveReadError::Damaged(words) if words.contains(&part.path)), "{error}");
}
