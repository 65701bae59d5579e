//! What is written into the archive is read out of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use std::collections::HashSet;

use adpipe_batch::archive::{Archive, rows_by_date};
use adpipe_event::Millis;
use adpipe_warehouse::{ArchiveIds, ArchiveReadError};
use common::{events, line, listed, written};

#[test]
fn events_come_out_as_they_went_in_sorted_by_time() {
    let folder = tempfile::tempdir().unwrap();
    let archive = written(&Archive::in_folder(folder.path()));
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
            archive.ids_of_hour(&listed(&part), *hour, &mut |id| assert!(ids.insert(id.to_owned()))).unwrap();
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
fn a_part_says_who_wrote_it_and_what_is_beside_it_is_listed() {
    let folder = tempfile::tempdir().unwrap();
    let archive = written(&Archive::in_folder(folder.path()));
    let batch = events(1_000);
    let rows = rows_by_date(&[&batch], |_, _| true);
    let [named, unnamed, begun] = [(); 3].map(|()| archive.write(&[&batch], &rows[0]).unwrap());
    named.publish().unwrap();
    unnamed.publish().unwrap();
    std::fs::write(folder.path().join("event_date=2014-10-21/notes.txt"), "mine").unwrap();
    std::fs::write(folder.path().join(".etl.lock"), "").unwrap();

    let strays = archive.strays(&HashSet::from([named.path.clone()])).unwrap();
    assert_eq!(strays.len(), 2, "one without a name, one that no row names: {strays:?}");
    assert!(strays.contains(&unnamed.path), "{strays:?}");
    let all = archive.list().unwrap();
    assert_eq!(all.len(), 4, "the lock is adpipe's own: {all:?}");
    assert!(all.iter().any(|path| path.ends_with("notes.txt")), "{all:?}");

    let origin = archive.origin(&unnamed.path).unwrap();
    assert!(origin.is_adpipe && origin.data_id.as_deref() == Some("this data set"), "{origin:?}");
    let run_id = origin.run_id.unwrap();
    assert!(strays.iter().all(|path| path.contains(&run_id)), "{run_id}: {strays:?}");
    begun.discard();
    unnamed.discard();
    assert!(archive.strays(&HashSet::from([named.path.clone()])).unwrap().is_empty());
    assert!(archive.rows_and_bytes(&named.path).is_ok());
}

#[test]
fn a_file_of_another_program_is_told() {
    use parquet::file::writer::SerializedFileWriter;
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::in_folder(folder.path());
    let path = "event_date=2014-10-21/part-0001.parquet";
    std::fs::create_dir_all(folder.path().join("event_date=2014-10-21")).unwrap();
    let schema = parquet::schema::parser::parse_message_type("message m { required int32 a; }").unwrap();
    let file = std::fs::File::create(folder.path().join(path)).unwrap();
    SerializedFileWriter::new(file, schema.into(), Default::default()).unwrap().close().unwrap();
    let origin = archive.origin(path).unwrap();
    assert!(!origin.is_adpipe && origin.run_id.is_none(), "{origin:?}");
}

/// Whatever bit of a part changes, its ids are not used.
#[test]
fn no_changed_bit_of_a_part_goes_unseen() {
    let folder = tempfile::tempdir().unwrap();
    let archive = written(&Archive::in_folder(folder.path()));
    let batch = events(20_000);
    let part = archive.write(&[&batch], &rows_by_date(&[&batch], |_, _| true)[0]).unwrap();
    part.publish().unwrap();
    let (hour, path) = (*part.hours.keys().next().unwrap(), folder.path().join(&part.path));
    let sound = std::fs::read(&path).unwrap();
    assert_eq!(archive.hash(&part.path).unwrap(), (part.hash.clone(), sound.len() as u64));
    let seed = adpipe_testkit::seed();
    let mut state = seed;
    for _ in 0..1_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let bit = (state >> 20) as usize % (sound.len() * 8);
        let mut changed = sound.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&path, &changed).unwrap();
        let mut ids = 0;
        let error = archive.ids_of_hour(&listed(&part), hour, &mut |_| ids += 1).unwrap_err();
        assert!(
            matches!(&error, ArchiveReadError::Damaged { path, .. } if *path == part.path) && ids == 0,
            "seed {seed}, bit {bit}: {error}"
        );
    }
    std::fs::write(&path, &sound).unwrap();
    archive.ids_of_hour(&listed(&part), hour, &mut |_| {}).unwrap();
}

#[test]
fn a_damaged_part_and_a_missing_one_are_told_with_their_name() {
    let folder = tempfile::tempdir().unwrap();
    let archive = written(&Archive::in_folder(folder.path()));
    let batch = events(5_000);
    let part = archive.write(&[&batch], &rows_by_date(&[&batch], |_, _| true)[0]).unwrap();
    part.publish().unwrap();
    let path = folder.path().join(&part.path);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let error = archive.events(&part.path, None, |_| {}).unwrap_err();
    assert!(matches!(&error, ArchiveReadError::Damaged { path, .. } if *path == part.path), "{error}");
    std::fs::remove_file(&path).unwrap();
    let error = archive.events(&part.path, None, |_| {}).unwrap_err();
    assert!(matches!(&error, ArchiveReadError::Missing(path) if *path == part.path), "{error}");
    // An archive that is not there at all says nothing about its parts.
    std::fs::remove_dir_all(folder.path()).unwrap();
    let error = archive.events(&part.path, None, |_| {}).unwrap_err();
    assert!(matches!(&error, ArchiveReadError::Unavailable(_)), "{error}");
}
