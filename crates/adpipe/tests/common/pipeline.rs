//! `adpipe etl` on one of several warehouses and archives, and all that it leaves behind.

#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::Duration;

use adpipe_batch::Archive;
#[cfg(feature = "s3")]
use adpipe_batch::archive::s3::{S3Keys, S3Place};
use adpipe_log::{EventLog, Offset, Topic, header};
use adpipe_testkit::postgres::Postgres;
use adpipe_testkit::s3::{ACCESS_KEY, S3, SECRET_KEY};
use serde_json::Value;

use crate::common::{Folder, adpipe_in, printed};
use adpipe_testkit::{Dice, seed};

/// A pipeline on some warehouse; log and raw files are in the folder, and so is the archive when it
/// is in no object store.
pub struct Pipeline {
    pub folder: Folder,
    pub warehouse: Option<String>,
    pub store: Option<Bucket>,
}

/// A bucket for one archive.
#[derive(Clone)]
pub struct Bucket {
    pub name: String,
    pub endpoint: String,
}

impl Bucket {
    pub fn make(server: &S3, name: &str) -> Bucket {
        server.make_bucket(name);
        Bucket { name: name.to_owned(), endpoint: server.endpoint() }
    }

    #[cfg(feature = "s3")]
    fn place(&self) -> S3Place {
        let mut place = S3Place::from_url(&self.url()).unwrap();
        place.endpoint = Some(self.endpoint.clone());
        place.allow_http = true;
        place.keys = Some(S3Keys {
            access_key_id: ACCESS_KEY.to_owned(),
            secret_access_key: SECRET_KEY.to_owned(),
            session_token: None,
        });
        place
    }

    pub fn url(&self) -> String {
        format!("s3://{}/deep/archive", self.name)
    }
}

impl Pipeline {
    pub fn new(warehouse: Option<String>) -> Pipeline {
        let folder = Folder::new();
        std::fs::create_dir_all(folder.join("data/raw")).unwrap();
        Pipeline { folder, warehouse, store: None }
    }

    /// Makes log and warehouse, without data, so that they can be asked before the first record.
    pub fn make_tables(&self) {
        self.run(&["ingest", "/dev/null"]);
    }

    /// With the archive in an object store.
    pub fn with_store(store: Bucket) -> Pipeline {
        Pipeline { store: Some(store), ..Pipeline::new(None) }
    }

    pub fn adpipe(&self, arguments: &[&str]) -> Command {
        let mut command = adpipe_in(self.folder.path());
        command.args(arguments).env("ADPIPE_ETL__SEGMENT_ROWS", "5000");
        if let Some(url) = &self.warehouse {
            command.env("ADPIPE_WAREHOUSE__URL", url);
        }
        if let Some(store) = &self.store {
            command.env("ADPIPE_ARCHIVE__URL", store.url()).env("ADPIPE_ARCHIVE__ALLOW_HTTP", "true");
            command.env("AWS_ENDPOINT_URL", &store.endpoint);
            command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        }
        command
    }

    pub fn run(&self, arguments: &[&str]) -> String {
        printed(self.adpipe(arguments))
    }

    pub fn query(&self, sql: &str) -> Value {
        serde_json::from_str(&self.run(&["sql", "--json", sql])).unwrap()
    }

    pub fn number(&self, sql: &str) -> u64 {
        let rows = self.query(sql);
        let value = rows[0].as_object().unwrap().values().next().unwrap().clone();
        // A sum of PostgreSQL's is a decimal number.
        value.as_u64().or_else(|| value.as_f64().map(|number| number as u64)).unwrap_or(0)
    }

    /// All that a run leaves behind and that must not depend on how often it was killed.
    pub fn end_state(&self) -> EndState {
        let archive = self.archive();
        let named = self.query("select path from realtime.archive_parts order by path");
        let named: BTreeSet<String> =
            named.as_array().unwrap().iter().map(|row| row["path"].as_str().unwrap().to_owned()).collect();
        let mut events = Vec::new();
        for path in &named {
            let read = archive.events(path, None, |batch| {
                assert!(batch.event_times().is_sorted(), "{path} is not sorted by time");
                for event in batch.iter() {
                    let mut line = Vec::new();
                    event.write_csv(&mut line);
                    assert_eq!(
                        path.split('/').next().unwrap(),
                        format!("event_date={}", &event.event_time.to_string()[..10])
                    );
                    events.push(String::from_utf8(line).unwrap());
                }
            });
            read.unwrap();
        }
        events.sort_unstable();
        let tables = [
            "select * from realtime.metrics order by 1, 2, 3, 4, 5, 6",
            "select * from realtime.metrics_hourly order by 1, 2, 3, 4, 5, 6",
            "select event_hour, archived_rows, archived_clicks, hot_copies from realtime.hours order by 1",
            "select event_hour, event_id, event_time, click, site_id, c21 from realtime.events order by 1, 2",
            "select path, content, reading, state, position, next_row, records, valid, clicks, duplicates, parse,
                    schema, validation, future, float_ids, first_event, last_event
             from realtime.files order by 1",
            "select path, content, reading, state, records, valid, clicks, duplicates, invalid
             from ops.ingest_files order by 1",
        ];
        EndState {
            events,
            tables: tables.map(|sql| self.query(sql).to_string()),
            errors: self.errors(),
            strays: archive.strays(&named.into_iter().collect()).unwrap(),
        }
    }

    fn archive(&self) -> Archive {
        match &self.store {
            None => Archive::in_folder(&self.folder.join("data/processed")),
            #[cfg(feature = "s3")]
            Some(store) => Archive::in_s3(store.place()).unwrap(),
            #[cfg(not(feature = "s3"))]
            Some(_) => panic!("this adpipe is built without S3"),
        }
    }

    pub fn errors(&self) -> BTreeSet<(String, String, Vec<u8>)> {
        let log = adpipe_log::sqlite::SqliteLog::open(&self.folder.join("data")).unwrap();
        let mut errors = BTreeSet::new();
        let mut next = Offset(0);
        loop {
            let batches = log.read(Topic::Error, 0, next, 4 << 20).unwrap();
            let Some(last) = batches.last() else { return errors };
            next = last.next_offset();
            for record in batches.iter().flat_map(|batch| batch.iter()) {
                let text = |name| record.headers.text(name).unwrap().to_owned();
                errors.insert((
                    text(header::ERROR_TOPIC),
                    text(header::ERROR_OFFSET),
                    record.payload.to_vec(),
                ));
            }
        }
    }

    pub fn verify(&self, seed: u64) {
        let verdict = self.run(&["verify", "--deep"]);
        assert!(verdict.contains("zero residue"), "seed {seed}: {verdict}");
    }
}

/// What must not depend on how often a run was killed, and where the archive is.
pub struct EndState {
    pub events: Vec<String>,
    pub tables: [String; 6],
    pub errors: BTreeSet<(String, String, Vec<u8>)>,
    pub strays: Vec<String>,
}

impl EndState {
    /// It must be the same as another, with nothing left behind.
    pub fn must_be(&self, expected: &EndState, seed: u64) {
        assert_eq!(self.events.len(), expected.events.len(), "seed {seed}");
        assert!(self.events == expected.events, "seed {seed}: other events");
        for (found, expected) in self.tables.iter().zip(&expected.tables) {
            assert_eq!(found, expected, "seed {seed}");
        }
        assert!(self.errors == expected.errors, "seed {seed}: other errors");
        assert!(self.strays.is_empty(), "seed {seed}: {:?}", self.strays);
    }
}

/// Ten files that share some of their rows.
pub fn ten_files(pipeline: &Pipeline, rows: u32) {
    for number in 0..10 {
        let (format, end) = if number % 2 == 0 { ("csv", "2014-10-23") } else { ("ndjson", "2014-10-22") };
        let file = format!("data/raw/{number}.{format}");
        pipeline.folder.generate_some_bad(&file, rows.into(), number % 7, end, format);
    }
}

/// After so many a run is left to come to its end: each start looks at what the killed ones left.
const MOST_KILLS: u32 = 100;

/// Kills `adpipe etl`, and the database when there is one, until a run comes to its end. With a
/// bucket, the disturbed run has its archive there, and the other one in a folder.
pub fn kills(server: Option<&Postgres>, store: Option<Bucket>, rows: u32, wanted_kills: u32) {
    let warehouse = || server.map(Postgres::new_database);
    let seed = seed();
    let mut dice = Dice(seed);
    let undisturbed = Pipeline::new(warehouse());
    ten_files(&undisturbed, rows);
    undisturbed.run(&["etl"]);
    let expected = undisturbed.end_state();
    assert!(expected.strays.is_empty() && expected.errors.len() > 100);

    let disturbed = Pipeline { store, ..Pipeline::new(warehouse()) };
    let raw = disturbed.folder.join("data");
    let copied = Command::new("cp").arg("-rp").arg(undisturbed.folder.join("data/raw")).arg(raw).status();
    assert!(copied.unwrap().success());
    // Killed after a few milliseconds, later ones given more time, until a run comes to its end.
    let (mut kills, mut server_kills) = (0, 0);
    loop {
        let mut child =
            disturbed.adpipe(&["etl"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        if kills < MOST_KILLS {
            std::thread::sleep(Duration::from_millis(dice.below(60 + u64::from(kills) * 5)));
        } else {
            let status = child.wait().unwrap();
            assert!(status.success() || server_kills > 0, "seed {seed}: {status}");
        }
        if let Some(status) = child.try_wait().unwrap() {
            // A run that meets a server that is away may end with a message.
            if status.success() {
                break;
            }
            assert!(server_kills > 0, "seed {seed}: {status}");
            continue;
        }
        kills += 1;
        match server {
            Some(server) if server_kills < 10 && dice.below(3) == 0 => {
                server_kills += 1;
                server.kill();
                server.start_again();
                // It continues by itself, or ends with a message.
                child.wait().unwrap();
            }
            _ => {
                child.kill().unwrap();
                child.wait().unwrap();
            }
        }
    }
    println!("{kills} kills, {server_kills} of the server");
    assert!(kills >= wanted_kills, "seed {seed}: only {kills} kills met a run");
    disturbed.run(&["etl"]);
    let found = disturbed.end_state();
    found.must_be(&expected, seed);
    disturbed.verify(seed);
}
