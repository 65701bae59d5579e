//! The log in Kafka: bits of its files flipped under a running broker, and records removed before they
//! were counted. What happens is that everything is exact, or that a command stops and says why.

#![cfg(feature = "kafka")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use std::process::{Command, Output};
use std::time::Duration;

use adpipe_testkit::kafka::Kafka;
use adpipe_testkit::{Dice, eventually, flips, seed};
use common::{Folder, adpipe_in, run_for, shown};

/// Bits flipped every day.
const FLIPS: u64 = 40;

/// A command that takes longer waits for something, and must have said for what.
const LIMIT: Duration = Duration::from_secs(20);

const QUERIES: [&str; 4] = [
    "select window_start, sum(impressions) as i, sum(clicks) as c from realtime.metrics_hourly group by 1 order by 1",
    "select window_start, sum(impressions) as i, sum(clicks) as c from realtime.metrics group by 1 order by 1",
    "select event_hour, event_id, event_time, click, site_id, app_id, device_id, device_ip, c14, c20
     from realtime.events order by event_hour, event_id",
    "select sum(valid) as valid, sum(parse) as parse, sum(schema) as missing, sum(validation) as wrong
     from realtime.commits",
];

/// A new, empty warehouse that reads the broker's topics from their beginning.
struct Reader<'k> {
    kafka: &'k Kafka,
    folder: Folder,
    group: String,
}

impl<'k> Reader<'k> {
    fn new(kafka: &'k Kafka, group: &str) -> Reader<'k> {
        let folder = Folder::new();
        std::fs::write(folder.join("repeated.ndjson"), REPEATED).unwrap();
        Reader { kafka, folder, group: group.to_owned() }
    }

    fn adpipe(&self, arguments: &[&str]) -> Command {
        let mut command = adpipe_in(self.folder.path());
        command
            .env("ADPIPE_LOG__URL", self.kafka.url())
            .env("ADPIPE_LOG__KAFKA__GROUP_ID", &self.group)
            .args(arguments);
        command
    }

    fn output(&self, arguments: &[&str]) -> Output {
        self.adpipe(arguments).output().unwrap()
    }

    /// Counts all that is in the topics: what it says where it does not, none where it does.
    fn count_all(&self) -> Option<String> {
        let (output, is_waiting) = run_for(LIMIT, self.adpipe(&["ingest", "--wait", "repeated.ndjson"]));
        let words = shown(&output);
        assert!(!words.contains("panicked"), "{words}");
        if output.status.success() && !is_waiting {
            return None;
        }
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        let says = if is_waiting { "WARN" } else { "error: " };
        let line = errors.lines().rfind(|line| line.contains(says)).unwrap_or_default();
        assert!(line.len() > 20, "it does not say why: {words}");
        Some(line.to_owned())
    }

    fn content(&self) -> Vec<String> {
        let read = |sql: &&str| {
            let output = self.output(&["sql", "--json", sql]);
            assert!(output.status.success(), "{}", shown(&output));
            String::from_utf8(output.stdout).unwrap()
        };
        QUERIES.iter().map(read).collect()
    }
}

/// An event that each reader sends once more: the first of all has counted, and no other does.
const REPEATED: &str = r#"{"id":"repeated","click":0,"hour":"14102100","banner_pos":0,"site_id":"a","site_domain":"b","site_category":"c","app_id":"d","app_domain":"e","app_category":"f","device_id":"g","device_ip":"h","device_model":"i","device_type":1,"device_conn_type":0}
"#;

#[test]
fn any_bit_of_the_topics_files_flipped() {
    let Some(kafka) = Kafka::start("any_bit_of_the_topics_files_flipped") else { return };
    let first = Reader::new(&kafka, "first");
    assert!(first.output(&["doctor", "--fix"]).status.success());
    first.folder.generate("events.ndjson", &["--rows", "4000", "--seed", "1", "--bad", "0.03"]);
    // Several appends, so that the files hold several batches.
    let bytes = std::fs::read(first.folder.join("events.ndjson")).unwrap();
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    for (number, lines) in lines.chunks(lines.len().div_ceil(8)).enumerate() {
        let file = format!("{number}.ndjson");
        std::fs::write(first.folder.join(&file), lines.join(&b"\n"[..])).unwrap();
        let output = first.output(&["ingest", &file]);
        assert!(output.status.success(), "{}", shown(&output));
    }
    assert_eq!(first.count_all(), None);
    let expected = first.content();

    let (mut dice, flips) = (Dice(seed()), flips(FLIPS));
    let segments: Vec<_> = kafka
        .segments("ad_events_raw")
        .into_iter()
        .filter(|segment| std::fs::metadata(segment).unwrap().len() > 0)
        .collect();
    let mut told = 0;
    for number in 0..flips {
        let segment = &segments[dice.below(segments.len() as u64) as usize];
        // What the readers have repeated comes after what counts.
        let whole = std::fs::read(segment).unwrap();
        let (at, bit) = (dice.below(whole.len() as u64) as usize, dice.below(8));
        write_byte(segment, at, whole[at] ^ (1 << bit));
        let reader = Reader::new(&kafka, &format!("trial-{number}"));
        let answer = reader.count_all();
        let place = format!("bit {bit} of byte {at} of {}", segment.display());
        match &answer {
            Some(words) => {
                told += 1;
                println!("{number:3} {words}");
            }
            None => assert_eq!(reader.content(), expected, "{place} went unseen"),
        }
        write_byte(segment, at, whole[at]);
    }
    println!("{told} of {flips} were named, the others change nothing");
    assert!(told > flips / 2, "{told} of {flips} were named");

    // Set right again, everything is as before.
    let after = Reader::new(&kafka, "after");
    assert_eq!(after.count_all(), None);
    assert_eq!(after.content(), expected);
}

#[test]
fn records_that_retention_removed_before_they_were_counted_are_missed() {
    let test = "records_that_retention_removed_before_they_were_counted_are_missed";
    // A broker that looks often, and topics that keep a second.
    let often = "log.retention.check.interval.ms=200\nlog.initial.task.delay.ms=200\n";
    let Some(kafka) = Kafka::start_with(test, often) else { return };
    let reader = Reader::new(&kafka, "reader");
    let mut doctor = reader.adpipe(&["doctor", "--fix"]);
    assert!(doctor.env("ADPIPE_LOG__MAX_AGE", "1s").status().unwrap().success());
    assert_eq!(reader.count_all(), None);
    reader.folder.generate("events.ndjson", &["--rows", "900", "--seed", "1"]);
    assert!(reader.output(&["ingest", "events.ndjson"]).status.success());
    let bytes = || -> u64 {
        let sizes = kafka.segments("ad_events_raw");
        sizes.iter().filter_map(|segment| std::fs::metadata(segment).ok()).map(|file| file.len()).sum()
    };
    eventually("the records are gone", || bytes() == 0);
    let told = reader.count_all();
    let verdict = reader.output(&["verify"]);
    let words = format!("{}{}", told.unwrap_or_default(), shown(&verdict));
    assert!(!verdict.status.success(), "{words}");
    assert!(words.contains("ad_events_raw") && !words.contains("zero residue"), "{words}");
    println!("{words}");
}

fn write_byte(file: &std::path::Path, at: usize, byte: u8) {
    use std::os::unix::fs::FileExt;
    let file = std::fs::File::options().write(true).open(file).unwrap();
    file.write_all_at(&[byte], at as u64).unwrap();
}
