//! The pipeline on a real Apache Kafka, with the embedded warehouse: several processors share the
//! partitions, are killed, stopped and woken, the broker goes away and comes back; the sums stay
//! exact.

#![cfg(feature = "kafka")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use adpipe_testkit::kafka::{Kafka, kcat, signal};
use adpipe_testkit::{eventually, skip};
use common::{Folder, adpipe_in, printed, shown};

/// A pipeline's folder and its broker.
struct Pipeline {
    folder: Folder,
    kafka: Kafka,
}

impl Pipeline {
    fn start(test: &str) -> Option<Pipeline> {
        let kafka = Kafka::start(test)?;
        let pipeline = Pipeline { folder: Folder::new(), kafka };
        let report = pipeline.run(&["doctor", "--fix"]);
        assert!(report.contains("made ad_events_raw"), "{report}");
        Some(pipeline)
    }

    fn adpipe(&self, arguments: &[&str]) -> Command {
        let mut command = adpipe_in(self.folder.path());
        command
            .env("ADPIPE_LOG__URL", self.kafka.url())
            .env("ADPIPE_LOG__KAFKA__SESSION_TIMEOUT_MS", "3000")
            .env("ADPIPE_LOG__KAFKA__HEARTBEAT_INTERVAL_MS", "500")
            .args(arguments);
        command
    }

    fn output(&self, arguments: &[&str]) -> Output {
        self.adpipe(arguments).output().unwrap()
    }

    fn run(&self, arguments: &[&str]) -> String {
        printed(self.adpipe(arguments))
    }

    fn processor(&self) -> Processor {
        let child = self.adpipe(&["-v", "run", "stream"]).stdout(Stdio::null()).spawn().unwrap();
        Processor(child)
    }

    /// Makes events and gives the generator's account.
    fn generate(&self, file: &str, arguments: &[&str]) -> serde_json::Value {
        let account = format!("{file}.account");
        let mut all = vec!["generate", "--out", file, "--account", &account];
        all.extend(arguments);
        let now = common::now();
        if arguments.contains(&"--seed") {
            all.extend(["--end", now.as_str()]);
        }
        self.run(&all);
        serde_json::from_slice(&std::fs::read(self.folder.join(&account)).unwrap()).unwrap()
    }

    fn number(&self, sql: &str) -> u64 {
        let output = self.output(&["sql", "--json", sql]);
        if !output.status.success() {
            // The first processor has not made the warehouse yet.
            return 0;
        }
        let rows: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        rows[0]["n"].as_u64().unwrap_or(0)
    }

    /// Records that are processed.
    fn processed(&self) -> u64 {
        self.number("select coalesce(sum(records), 0) as n from realtime.commits")
    }

    fn wait_until_processed(&self, records: u64) {
        eventually("everything is processed", || self.processed() >= records);
        assert_eq!(self.processed(), records);
    }

    fn verify(&self) {
        let output = self.output(&["verify"]);
        assert!(output.status.success(), "{}", shown(&output));
        print!("{}", String::from_utf8_lossy(&output.stdout));
    }

    fn kcat(&self, arguments: &[&str], input: &[u8]) -> Option<Output> {
        let address = self.kafka.address();
        let mut all = vec!["-b", &address];
        all.extend(arguments);
        kcat(&all, input)
    }
}

/// A running `adpipe run stream`.
struct Processor(Child);

impl Processor {
    fn signal(&self, name: &str) {
        signal(self.0.id(), name);
    }

    /// Asks it to end, and expects that it does so in order.
    fn end(mut self) {
        self.signal("TERM");
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Processor {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn foreign_clients_send_and_read() {
    let test = "foreign_clients_send_and_read";
    let Some(pipeline) = Pipeline::start(test) else { return };
    let truth =
        pipeline.generate("events.ndjson", &["--rows", "20000", "--bad", "0.02", "--duplicates", "0.01"]);
    let events = std::fs::read(pipeline.folder.join("events.ndjson")).unwrap();
    let Some(sent) = pipeline.kcat(&["-P", "-t", "ad_events_raw"], &events) else {
        return skip(test, "kcat is missing; apt-get install kcat");
    };
    assert!(sent.status.success(), "{}", shown(&sent));
    let processor = pipeline.processor();
    let records = truth["records"].as_u64().unwrap();
    pipeline.wait_until_processed(records);
    for kind in ["valid", "clicks", "duplicates"] {
        let sql = format!("select sum({kind}) as n from realtime.commits");
        assert_eq!(pipeline.number(&sql), truth[kind].as_u64().unwrap(), "{kind}");
    }
    processor.end();
    pipeline.verify();

    // What adpipe sends, others read: payload and headers as they are.
    std::fs::write(pipeline.folder.join("one.ndjson"), b"{\"id\":\"from adpipe\"}\n").unwrap();
    let told = pipeline.output(&["ingest", "one.ndjson"]);
    assert!(told.status.success() && String::from_utf8_lossy(&told.stderr).contains("not counted yet"));
    let read = pipeline
        .kcat(&["-C", "-t", "ad_events_raw", "-o", "beginning", "-e", "-q", "-f", "%k %s %h\n"], b"")
        .unwrap();
    let read = String::from_utf8_lossy(&read.stdout).into_owned();
    let sent = "from adpipe {\"id\":\"from adpipe\"} adpipe-source=one.ndjson,adpipe-row=1";
    assert!(read.lines().any(|line| line == sent));
    let errors = pipeline
        .kcat(&["-C", "-t", "ad_events_error", "-o", "beginning", "-e", "-q", "-f", "%h\n"], b"")
        .unwrap();
    let errors = String::from_utf8_lossy(&errors.stdout).into_owned();
    assert!(errors.lines().all(|line| line.contains("adpipe-error-topic=ad_events_raw")), "{errors}");
    // Nobody else processes: `--wait` does.
    let counted = pipeline.run(&["ingest", "--wait", "one.ndjson"]);
    // The one from before is told, too, when both came in one commit.
    assert!(counted.contains("1 invalid") || counted.contains("2 invalid"), "{counted}");
    let errors = pipeline.run(&["topic", "show", "ad_events_error", "--json", "--limit", "1"]);
    assert!(errors.contains(r#""adpipe-source":"one.ndjson""#), "{errors}");
    assert!(errors.contains(r#""adpipe-row":"1""#), "{errors}");

    let described = pipeline.run(&["doctor"]);
    assert!(described.contains("in 5 partitions of 3 topics"), "{described}");
}

#[test]
fn messages_that_are_not_json_are_named() {
    let test = "messages_that_are_not_json_are_named";
    let Some(pipeline) = Pipeline::start(test) else { return };
    let event = r#"{"id":"1","click":1,"hour":"14102105","banner_pos":1,"device_type":1,"device_conn_type":0,"site_id":"s","site_domain":"d","site_category":"c","app_id":"a","app_domain":"b","app_category":"e","device_id":"i","device_ip":"p","device_model":"m"}"#;
    let wide: Vec<u8> = event.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let messages: [(Vec<u8>, &str); 6] = [
        ([b"\xef\xbb\xbf", event.as_bytes()].concat(), ""),
        ([b"\0\0\0\0\x07", event.as_bytes()].concat(), "Confluent's magic byte"),
        (b"\x83\xa2id\xa11\xa5click\x01\xa4hour\xa814102105".to_vec(), "MessagePack"),
        (wide, "UTF-16 text"),
        (format!("\x1e{event}").into_bytes(), "RFC 7464"),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\x03".to_vec(), "compressed with gzip"),
    ];
    for (index, (message, _)) in messages.iter().enumerate() {
        let file = pipeline.folder.join(&format!("message{index}"));
        std::fs::write(&file, message).unwrap();
        let Some(sent) = pipeline.kcat(&["-P", "-t", "ad_events_raw", file.to_str().unwrap()], b"") else {
            return skip(test, "kcat is missing; apt-get install kcat");
        };
        assert!(sent.status.success(), "{}", shown(&sent));
    }
    let processor = pipeline.processor();
    pipeline.wait_until_processed(messages.len() as u64);
    processor.end();
    assert_eq!(pipeline.number("select sum(valid) as n from realtime.commits"), 1);
    let errors = pipeline.run(&["dlq", "list", "--json"]);
    for (_, words) in &messages[1..] {
        assert!(errors.contains(words), "{words}: {errors}");
    }
    pipeline.verify();
}

#[test]
fn processors_are_killed_stopped_and_woken_and_the_broker_restarts() {
    let test = "processors_are_killed_stopped_and_woken_and_the_broker_restarts";
    let Some(mut pipeline) = Pipeline::start(test) else { return };
    let mut records = 0;
    let mut valid = 0;
    let mut ingest = |pipeline: &Pipeline, seed: &str| {
        let truth = pipeline.generate(
            "events.ndjson",
            &["--rows", "60000", "--seed", seed, "--bad", "0.01", "--duplicates", "0.02"],
        );
        pipeline.run(&["ingest", "events.ndjson"]);
        records += truth["records"].as_u64().unwrap();
        valid += truth["valid"].as_u64().unwrap();
        records
    };
    let mut processors = [pipeline.processor(), pipeline.processor(), pipeline.processor()];
    let total = ingest(&pipeline, "1");
    pipeline.wait_until_processed(total);
    eventually("three share", || pipeline.run(&["doctor"]).contains("3 are running"));

    // One dies in the middle of its work.
    let total = ingest(&pipeline, "2");
    processors[0].signal("KILL");
    pipeline.wait_until_processed(total);
    processors[0] = pipeline.processor();

    // One stands still for longer than its session lasts, others take over, and it wakes up.
    processors[1].signal("STOP");
    let total = ingest(&pipeline, "3");
    std::thread::sleep(Duration::from_secs(5));
    let total = total.max(ingest(&pipeline, "4"));
    processors[1].signal("CONT");
    pipeline.wait_until_processed(total);
    let total = ingest(&pipeline, "5");
    pipeline.wait_until_processed(total);

    // The broker goes away with work to do and comes back.
    let total = ingest(&pipeline, "6");
    pipeline.kafka.kill();
    // That is how long the broker is away.
    std::thread::sleep(Duration::from_secs(2));
    pipeline.kafka.start_broker();
    pipeline.wait_until_processed(total);
    let total = ingest(&pipeline, "7");
    pipeline.wait_until_processed(total);

    for processor in processors {
        processor.end();
    }
    assert_eq!(pipeline.number("select count(*) as n from realtime.events"), valid);
    pipeline.verify();
}

#[test]
fn what_is_missing_is_said_with_the_command_that_makes_it() {
    let test = "what_is_missing_is_said_with_the_command_that_makes_it";
    let Some(kafka) = Kafka::start(test) else { return };
    let pipeline = Pipeline { folder: Folder::new(), kafka };
    let output = pipeline.output(&["run", "stream"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        shown(&output).contains("there is no topic ad_events_raw; run `adpipe doctor --fix`"),
        "{}",
        shown(&output)
    );
    let output = pipeline.output(&["doctor"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        shown(&output).contains("--create --topic ad_events_raw --partitions 3 --replication-factor 1"),
        "{}",
        shown(&output)
    );
    let mut command = pipeline.adpipe(&["config", "show"]);
    let output = command.env("ADPIPE_LOG__KAFKA__SASL_PASSWORD", "hunter2").output().unwrap();
    assert!(output.status.success());
    assert!(shown(&output).contains("\"sasl.password\" = \"(hidden)\""), "{}", shown(&output));
    assert!(!shown(&output).contains("hunter2"));
    let mut command = pipeline.adpipe(&["run", "stream"]);
    let output = command.env("ADPIPE_LOG__URL", "kafka://user:secret@host:9092").output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", shown(&output));
    assert!(!shown(&output).contains("secret@"), "{}", shown(&output));
}

#[test]
fn topics_made_anew_and_another_cluster_are_refused() {
    let test = "topics_made_anew_and_another_cluster_are_refused";
    let Some(pipeline) = Pipeline::start(test) else { return };
    pipeline.generate("events.ndjson", &["--rows", "500", "--seed", "1"]);
    pipeline.run(&["ingest", "--wait", "events.ndjson"]);
    pipeline.run(&["stores"]);

    // Another cluster with the same warehouse: a prefix of its own is as good as one.
    let mut other = pipeline.adpipe(&["doctor", "--fix"]);
    other.env("ADPIPE_LOG__TOPIC_PREFIX", "other.").output().unwrap();
    let mut other = pipeline.adpipe(&["run", "stream"]);
    let output = other.env("ADPIPE_LOG__TOPIC_PREFIX", "other.").output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", shown(&output));
    assert!(
        shown(&output).contains("it is not the Kafka cluster that the other stores know"),
        "{}",
        shown(&output)
    );

    let url = pipeline.kafka.url();
    let options =
        adpipe_log::kafka::KafkaOptions::from_url(&url, pipeline.folder.join("ingest.positions")).unwrap();
    adpipe_log::kafka::KafkaLog::connect(options).unwrap().delete_topics().unwrap();
    eventually("the topics are made anew", || {
        pipeline.output(&["doctor", "--fix"]).stdout.windows(18).any(|words| words == b"made ad_events_raw")
    });
    let output = pipeline.output(&["run", "stream"]);
    assert_eq!(output.status.code(), Some(1), "{}", shown(&output));
    assert!(
        shown(&output).contains("its topics are shorter than what was read of them"),
        "{}",
        shown(&output)
    );
    let verdict = pipeline.output(&["verify"]);
    assert!(!shown(&verdict).contains("zero residue"), "{}", shown(&verdict));
}

#[test]
fn topics_that_are_missing_are_made_and_others_left_alone() {
    let test = "topics_that_are_missing_are_made_and_others_left_alone";
    let Some(kafka) = Kafka::start(test) else { return };
    let pipeline = Pipeline { folder: Folder::new(), kafka };
    let made = |arguments: &[&str]| -> serde_json::Value {
        serde_json::from_str(&pipeline.run(&[&["topic", "create", "--json"], arguments].concat())).unwrap()
    };
    let all = serde_json::json!(["ad_events_raw", "ad_events_error", "ad_events_retry"]);
    assert_eq!(made(&[])["made"], all);
    let before = pipeline.run(&["topic", "list"]);
    assert_eq!(made(&[])["made"], serde_json::json!([]));
    assert_eq!(pipeline.run(&["topic", "list"]), before);
    let words = pipeline.run(&["topic", "create"]);
    assert!(words.contains("nothing to create"), "{words}");
}
