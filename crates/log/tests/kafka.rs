//! The log on a real Apache Kafka: durable, shared, honest about gaps and about what is wrong.

#![cfg(feature = "kafka")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use adpipe_log::kafka::{KafkaLog, KafkaOptions};
use adpipe_log::{
    Consumer, EventLog, Headers, LogError, Offset, Polled, RecordBatch, Records, SourcePosition, Topic,
    header,
};
use adpipe_testkit::kafka::{Kafka, kcat};
use adpipe_testkit::{assert_in_time, eventually, skip};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

const MAX_AGE: Duration = Duration::from_secs(7 * 24 * 3_600);

fn options(url: &str, folder: &Path) -> KafkaOptions {
    let mut options = KafkaOptions::from_url(url, folder.join("ingest.positions")).unwrap();
    options.settings.insert("session.timeout.ms".to_owned(), "3000".to_owned());
    options.settings.insert("heartbeat.interval.ms".to_owned(), "500".to_owned());
    options
}

fn open(kafka: &Kafka, folder: &Path) -> KafkaLog {
    let log = KafkaLog::connect(options(&kafka.url(), folder)).unwrap();
    log.create_topics(MAX_AGE).unwrap();
    log
}

fn records(range: std::ops::Range<u32>) -> Records {
    let mut records = Records::new();
    let plain = records.add_headers(Headers::default());
    let csv = records.add_headers(Headers::default().with(header::FORMAT, "csv"));
    for number in range {
        let headers = if number.is_multiple_of(10) { csv } else { plain };
        let (key, payload) = (number.to_string(), format!("payload {number}"));
        let fits = match row_of(number) {
            Some(row) => records.push_row(key.as_bytes(), payload.as_bytes(), headers, row),
            None => records.push(key.as_bytes(), payload.as_bytes(), headers),
        };
        assert!(fits);
    }
    records
}

/// Two of three records come from a file.
fn row_of(number: u32) -> Option<u64> {
    (!number.is_multiple_of(3)).then_some(u64::from(number) << 8)
}

fn append(log: &KafkaLog, range: std::ops::Range<u32>) {
    log.append(Topic::Raw, records(range), None).unwrap().wait().unwrap();
}

fn keys_of(batches: &[RecordBatch]) -> Vec<u32> {
    let records = batches.iter().flat_map(RecordBatch::iter);
    records.map(|record| String::from_utf8_lossy(record.key).parse().unwrap()).collect()
}

/// Reads a topic whole, in small steps, and checks that the steps leave nothing out.
fn read_all(log: &KafkaLog, topic: Topic) -> Vec<RecordBatch> {
    let mut all = Vec::new();
    for range in log.ranges(topic).unwrap() {
        let mut next = range.first;
        while next < range.next {
            for batch in log.read(topic, range.partition, next, 1_000).unwrap() {
                assert_eq!(batch.covered_from, next);
                next = batch.next_offset();
                all.push(batch);
            }
        }
    }
    all
}

fn all_keys(log: &KafkaLog) -> Vec<u32> {
    let mut keys = keys_of(&read_all(log, Topic::Raw));
    keys.sort_unstable();
    keys
}

/// Polls until there is an assignment of so many partitions.
fn wait_for_assignment(consumer: &mut dyn Consumer, partitions: std::ops::RangeInclusive<usize>) -> Vec<u32> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        assert!(Instant::now() < deadline, "no assignment of {partitions:?} partitions");
        if let Polled::Assigned(assigned) = consumer.poll(1 << 20, Duration::from_millis(100)).unwrap()
            && partitions.contains(&assigned.len())
        {
            return assigned;
        }
    }
}

#[test]
fn what_was_acknowledged_is_read_back_with_its_headers() {
    let Some(kafka) = Kafka::start("what_was_acknowledged_is_read_back_with_its_headers") else { return };
    let folder = tempfile::tempdir().unwrap();
    let log = open(&kafka, folder.path());
    append(&log, 0..5_000);
    append(&log, 5_000..5_010);
    assert_eq!(all_keys(&log), (0..5_010).collect::<Vec<_>>());
    for batch in read_all(&log, Topic::Raw) {
        for record in batch.iter() {
            let number: u32 = String::from_utf8_lossy(record.key).parse().unwrap();
            assert_eq!(record.payload, format!("payload {number}").as_bytes());
            assert_eq!(record.headers.text(header::FORMAT), number.is_multiple_of(10).then_some("csv"));
            assert_eq!(record.row, row_of(number));
            assert_eq!(record.headers.text(header::ROW), None, "records with other rows share their headers");
            let own = record.own_headers();
            assert_eq!(own.text(header::ROW), row_of(number).map(|row| row.to_string()).as_deref());
        }
        assert!(batch.appended_at_ms > 1_700_000_000_000);
    }
    // One after the other, as `verify` does, and from the middle.
    let range = log.ranges(Topic::Raw).unwrap()[1];
    let middle = Offset(range.next.0 / 2);
    let batches = log.read(Topic::Raw, 1, middle, usize::MAX).unwrap();
    assert_eq!(batches[0].base_offset, middle);
    assert_eq!(batches.last().unwrap().next_offset(), range.next);
    assert!(log.read(Topic::Raw, 1, range.next, 1).unwrap().is_empty());
    let beyond = log.read(Topic::Raw, 1, Offset(range.next.0 + 1), 1).unwrap_err();
    assert!(matches!(beyond, LogError::OutOfRange { .. }), "{beyond}");

    // Positions of sources are kept after the records.
    let position = |position| Some(SourcePosition { source: "file".to_owned(), position });
    log.append(Topic::Raw, records(0..1), position(Some(7))).unwrap().wait().unwrap();
    assert_eq!(log.source_position("file").unwrap(), Some(7));
    log.append(Topic::Raw, Records::new(), position(None)).unwrap().wait().unwrap();
    assert_eq!(log.source_position("file").unwrap(), None);

    // A foreign client's keyed records meet the partitions that ours do.
    let line: String = (0..300).map(|number| format!("{number}:foreign\n")).collect();
    let address = kafka.address();
    let sent = kcat(
        &["-P", "-b", &address, "-t", "ad_events_raw", "-K:", "-X", "partitioner=murmur2_random"],
        line.as_bytes(),
    );
    let Some(sent) = sent else { return skip("foreign records", "kcat is missing; apt-get install kcat") };
    assert!(sent.status.success());
    let mut partition_of = std::collections::HashMap::new();
    for batch in read_all(&log, Topic::Raw) {
        for record in batch.iter() {
            let before = partition_of.insert(record.key.to_vec(), batch.partition);
            assert!(before.is_none_or(|before| before == batch.partition), "one id, one partition");
        }
    }
}

#[test]
fn partitions_are_shared_and_taken_over() {
    let Some(kafka) = Kafka::start("partitions_are_shared_and_taken_over") else { return };
    let folder = tempfile::tempdir().unwrap();
    let log = open(&kafka, folder.path());
    assert_eq!(log.consumers(Topic::Raw).unwrap(), Some(0));
    append(&log, 0..1_000);
    let mut first = log.consume(Topic::Raw).unwrap();
    assert_eq!(wait_for_assignment(first.as_mut(), 3..=3), [0, 1, 2]);
    // Nothing is read before its owner has said from where.
    let ranges = log.ranges(Topic::Raw).unwrap();
    for range in &ranges {
        first.seek(range.partition, Offset(range.next.0 / 2));
    }
    let mut seen = [0; 3];
    while (0..3).any(|index| seen[index] < ranges[index].next.0 - ranges[index].next.0 / 2) {
        if let Polled::Batch(batch) = first.poll(10_000, Duration::from_secs(1)).unwrap() {
            let partition = batch.partition as usize;
            assert_eq!(batch.base_offset.0, ranges[partition].next.0 / 2 + seen[partition]);
            seen[partition] += batch.len() as u64;
            first.committed(batch.partition, batch.next_offset());
        }
    }
    // Seeking again reads again.
    first.seek(0, Offset(0));
    let again = loop {
        if let Polled::Batch(batch) = first.poll(10_000, Duration::from_secs(1)).unwrap() {
            break batch;
        }
    };
    assert_eq!((again.partition, again.base_offset), (0, Offset(0)));
    assert_eq!(log.consumers(Topic::Raw).unwrap(), Some(1));

    // A second one takes some of the partitions, and all of them when the first leaves.
    let mut second = std::thread::scope(|scope| {
        let first = scope.spawn(|| {
            let assigned = wait_for_assignment(first.as_mut(), 1..=2);
            drop(first);
            assigned
        });
        let mut second = log.consume(Topic::Raw).unwrap();
        let second_has = wait_for_assignment(second.as_mut(), 1..=2);
        let first_has = first.join().unwrap();
        let shared: BTreeSet<u32> = first_has.iter().chain(&second_has).copied().collect();
        assert_eq!(shared.len(), 3, "{first_has:?} {second_has:?}");
        second
    });
    assert_eq!(wait_for_assignment(second.as_mut(), 3..=3).len(), 3);
}

/// librdkafka aborted the process when the group took partitions away that had just been sought.
#[test]
fn partitions_may_be_taken_away_while_they_are_sought() {
    let Some(kafka) = Kafka::start("partitions_may_be_taken_away_while_they_are_sought") else { return };
    let folder = tempfile::tempdir().unwrap();
    let log = open(&kafka, folder.path());
    append(&log, 0..1_000);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let seeking = scope.spawn(|| {
            let mut consumer = log.consume(Topic::Raw).unwrap();
            let mut assigned = Vec::new();
            let mut assignments = 0;
            while !is_over.load(Ordering::Relaxed) {
                match consumer.poll(10_000, Duration::from_millis(2)).unwrap() {
                    Polled::Assigned(partitions) => {
                        assignments += usize::from(!partitions.is_empty());
                        assigned = partitions;
                    }
                    Polled::Batch(batch) => assert_eq!(batch.base_offset, Offset(3), "it was sought"),
                    Polled::Idle => {}
                }
                assigned.iter().for_each(|partition| consumer.seek(*partition, Offset(3)));
            }
            assignments
        });
        for _ in 0..6 {
            let mut other = log.consume(Topic::Raw).unwrap();
            wait_for_assignment(other.as_mut(), 1..=2);
        }
        is_over.store(true, Ordering::Relaxed);
        assert!(seeking.join().unwrap() > 2, "it met rebalances");
    });
}

#[test]
fn a_restarted_broker_is_waited_for() {
    let Some(mut kafka) = Kafka::start("a_restarted_broker_is_waited_for") else { return };
    let folder = tempfile::tempdir().unwrap();
    let log = open(&kafka, folder.path());
    append(&log, 0..100);
    let mut consumer = log.consume(Topic::Raw).unwrap();
    wait_for_assignment(consumer.as_mut(), 3..=3);
    (0..3).for_each(|partition| consumer.seek(partition, Offset(0)));
    kafka.kill();
    // Everything that needs the broker gives up in time and says why.
    let started = Instant::now();
    let error = log.append(Topic::Raw, records(0..1), None).unwrap().wait().unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert_in_time("the error", started.elapsed(), Duration::from_secs(12));
    let started = Instant::now();
    let error = log.ranges(Topic::Raw).unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert_in_time("the error", started.elapsed(), Duration::from_secs(11));
    assert!(error.to_string().contains("efused; start the broker"), "{error}");
    kafka.start_broker();
    append(&log, 100..200);
    let mut keys = BTreeSet::new();
    let deadline = Instant::now() + Duration::from_secs(60);
    while keys.len() < 200 {
        assert!(Instant::now() < deadline, "only {} keys", keys.len());
        match consumer.poll(1 << 20, Duration::from_millis(100)).unwrap() {
            Polled::Batch(batch) => keys.extend(keys_of(&[batch])),
            Polled::Assigned(partitions) => {
                partitions.iter().for_each(|partition| consumer.seek(*partition, Offset(0)));
            }
            Polled::Idle => {}
        }
    }
    // A broker that hangs is not a better than none.
    kafka.pause();
    let started = Instant::now();
    let error = log.ranges(Topic::Raw).unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert_in_time("the error", started.elapsed(), Duration::from_secs(12));
    kafka.resume();
    append(&log, 200..210);
}

#[test]
fn what_is_wrong_is_said_in_time_and_with_advice() {
    let test = "what_is_wrong_is_said_in_time_and_with_advice";
    let Some(kafka) = Kafka::start(test) else { return };
    let folder = tempfile::tempdir().unwrap();
    let failure = |options: KafkaOptions| {
        let started = Instant::now();
        let error = KafkaLog::open(options).err().expect("no such log");
        assert_in_time(&error.to_string(), started.elapsed(), Duration::from_secs(11));
        println!("{error}");
        error
    };
    let error = failure(options(&kafka.url(), folder.path()));
    assert!(matches!(error, LogError::Refused { .. }), "{error}");
    assert!(
        error.to_string().contains("there is no topic ad_events_raw; run `adpipe doctor --fix`"),
        "{error}"
    );

    let error = failure(options("kafka://127.0.0.1:9", folder.path()));
    assert!(
        error.is_transient() && error.to_string().contains("onnection refused; start the broker"),
        "{error}"
    );

    let error = failure(options("kafka://no-such-host.invalid:9092", folder.path()));
    assert!(error.to_string().contains("resolve") && error.to_string().contains("log.url"), "{error}");

    let mut ours = options(&kafka.url(), folder.path());
    ours.settings.insert("enable.auto.commit".to_owned(), "true".to_owned());
    assert!(failure(ours).to_string().contains("\"enable.auto.commit\" is adpipe's own"));

    let mut unknown = options(&kafka.url(), folder.path());
    unknown.settings.insert("sasl.passwort".to_owned(), "hunter2".to_owned());
    let error = failure(unknown).to_string();
    assert!(error.contains("sasl.passwort") && !error.contains("hunter2"), "{error}");
}

#[test]
fn a_wrong_password_and_a_missing_right_are_told_apart() {
    let test = "a_wrong_password_and_a_missing_right_are_told_apart";
    let secured = "listeners=SASL_PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
        advertised.listeners=SASL_PLAINTEXT://127.0.0.1:{port}\n\
        inter.broker.listener.name=SASL_PLAINTEXT\n\
        sasl.enabled.mechanisms=PLAIN\n\
        sasl.mechanism.inter.broker.protocol=PLAIN\n\
        listener.name.sasl_plaintext.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username=\"admin\" password=\"admin-secret\" user_admin=\"admin-secret\" user_guest=\"guest-secret\";\n\
        authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
        super.users=User:admin;User:ANONYMOUS";
    let Some(kafka) = Kafka::start_with(test, secured) else { return };
    let folder = tempfile::tempdir().unwrap();
    let as_user = |user: &str, password: &str| {
        let mut options = options(&kafka.url(), folder.path());
        for (key, value) in [
            ("security.protocol", "sasl_plaintext"),
            ("sasl.mechanism", "PLAIN"),
            ("sasl.username", user),
            ("sasl.password", password),
        ] {
            options.settings.insert(key.to_owned(), value.to_owned());
        }
        options
    };
    let log = KafkaLog::connect(as_user("admin", "admin-secret")).unwrap();
    log.create_topics(MAX_AGE).unwrap();
    append(&log, 0..10);
    assert_eq!(all_keys(&log), (0..10).collect::<Vec<_>>());

    let started = Instant::now();
    let error = KafkaLog::open(as_user("admin", "wrong-secret")).err().expect("a refusal");
    println!("{error}");
    assert_in_time("the answer", started.elapsed(), Duration::from_secs(11));
    assert!(matches!(error, LogError::Refused { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("does not accept this user") && text.contains("SASL_PASSWORD"), "{text}");
    assert!(!text.contains("wrong-secret"), "{text}");

    let error = KafkaLog::open(as_user("guest", "guest-secret")).err().expect("a refusal");
    println!("{error}");
    assert!(matches!(error, LogError::Refused { .. }), "{error}");
    assert!(error.to_string().contains("no right to ad_events_raw; give it Read"), "{error}");

    // Without a password the broker only hangs up: the advice has to guess.
    let error = KafkaLog::open(options(&kafka.url(), folder.path())).err().expect("a refusal");
    println!("{error}");
    assert!(error.to_string().contains("security.protocol"), "{error}");
}

#[test]
fn what_transactions_leave_between_records_is_accounted_for() {
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

    let Some(kafka) = Kafka::start("what_transactions_leave_between_records_is_accounted_for") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let log = open(&kafka, folder.path());
    let foreign: BaseProducer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", kafka.address())
        .set("transactional.id", "foreign")
        .create()
        .unwrap();
    let patience = Duration::from_secs(30);
    foreign.init_transactions(patience).unwrap();
    for (number, is_kept) in [(0, true), (100, false), (200, true), (300, false)] {
        foreign.begin_transaction().unwrap();
        for number in number..number + 50 {
            let (key, payload) = (number.to_string(), format!("payload {number}"));
            foreign.send(BaseRecord::to("ad_events_raw").key(&key).payload(&payload)).ok().unwrap();
        }
        foreign.flush(patience).unwrap();
        if is_kept {
            foreign.commit_transaction(patience).unwrap()
        } else {
            foreign.abort_transaction(patience).unwrap()
        }
    }
    let kept: Vec<u32> = (0..50).chain(200..250).collect();
    assert_eq!(all_keys(&log), kept);
    // A consumer accounts for every offset up to the end, too.
    let ranges = log.ranges(Topic::Raw).unwrap();
    let mut consumer = log.consume(Topic::Raw).unwrap();
    wait_for_assignment(consumer.as_mut(), 3..=3);
    (0..3).for_each(|partition| consumer.seek(partition, Offset(0)));
    let mut next = [Offset(0); 3];
    let mut keys = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(30);
    while ranges.iter().any(|range| next[range.partition as usize] < range.next) {
        assert!(Instant::now() < deadline, "{next:?} of {ranges:?}");
        if let Polled::Batch(batch) = consumer.poll(1 << 20, Duration::from_millis(50)).unwrap() {
            assert_eq!(batch.covered_from, next[batch.partition as usize]);
            next[batch.partition as usize] = batch.next_offset();
            keys.extend(keys_of(&[batch]));
        }
    }
    keys.sort_unstable();
    assert_eq!(keys, kept);
    // And continues after the gap.
    append(&log, 900..910);
    let mut newer = BTreeSet::new();
    while newer.len() < 10 {
        assert!(Instant::now() < deadline, "{newer:?}");
        if let Polled::Batch(batch) = consumer.poll(1 << 20, Duration::from_millis(50)).unwrap() {
            newer.extend(keys_of(&[batch]));
        }
    }
    assert_eq!(newer, (900..910).collect());
}

/// Replaces the settings of a topic, as an administrator would.
fn alter(kafka: &Kafka, topic: &str, settings: &[(&str, &str)]) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", kafka.address()).create().unwrap();
    let altered =
        settings.iter().fold(AlterConfig::new(ResourceSpecifier::Topic(topic)), |config, (key, value)| {
            config.set(key, value)
        });
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let results = runtime.block_on(admin.alter_configs(&[altered], &AdminOptions::new())).unwrap();
    assert!(results.iter().all(Result::is_ok), "{results:?}");
}

#[test]
fn a_compacted_topic_is_refused_with_the_command_that_ends_it() {
    let Some(kafka) = Kafka::start("a_compacted_topic_is_refused_with_the_command_that_ends_it") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let log = open(&kafka, folder.path());
    assert!(log.topic_settings().unwrap().iter().all(|settings| !settings.is_compacted()));
    drop(KafkaLog::open(options(&kafka.url(), folder.path())).unwrap());
    for topic in Topic::ALL {
        for policy in ["compact", "compact,delete"] {
            alter(&kafka, topic.name(), &[("cleanup.policy", policy)]);
            eventually("the policy is seen", || log.topic_settings().unwrap()[topic as usize].is_compacted());
            let error = KafkaLog::open(options(&kafka.url(), folder.path())).err().unwrap();
            assert!(matches!(error, LogError::Refused { .. }), "{error}");
            let text = error.to_string();
            let command = format!("--entity-name {} --add-config cleanup.policy=delete", topic.name());
            assert!(
                text.contains("is compacted") && text.contains("kafka-configs") && text.contains(&command),
                "{text}"
            );
        }
        alter(&kafka, topic.name(), &[("cleanup.policy", "delete")]);
        eventually("the policy is seen", || !log.topic_settings().unwrap()[topic as usize].is_compacted());
    }
    drop(KafkaLog::open(options(&kafka.url(), folder.path())).unwrap());
}

#[test]
fn the_broker_stamps_events_and_the_cluster_has_an_identity() {
    let Some(kafka) = Kafka::start("the_broker_stamps_events_and_the_cluster_has_an_identity") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let log = open(&kafka, folder.path());
    let identity = log.identity().unwrap();
    assert_eq!((identity.id.as_str(), identity.epoch), ("kafka:4L6g3nShT-eMCtK--X86sw/", 0));
    let mut prefixed = options(&kafka.url(), folder.path());
    prefixed.topic_prefix = "other.".to_owned();
    assert_ne!(KafkaLog::connect(prefixed).unwrap().identity().unwrap().id, identity.id);
    assert!(log.gaps(Topic::Raw).unwrap().is_empty() && !log.is_dense());

    let settings = log.topic_settings().unwrap();
    assert!(settings.iter().all(|settings| !settings.has_senders_times() && !settings.are_hidden()));
    // A sender that dates its record far ahead: read again, the record has the same time.
    let ahead = 4_102_444_800_000;
    let send = || {
        let producer: BaseProducer =
            ClientConfig::new().set("bootstrap.servers", kafka.address()).create().unwrap();
        producer.send(BaseRecord::to(Topic::Retry.name()).key("1").payload("x").timestamp(ahead)).unwrap();
        producer.flush(Duration::from_secs(10)).unwrap();
    };
    let newest_time = || {
        let batches = read_all(&log, Topic::Retry);
        batches.iter().flat_map(RecordBatch::iter).last().unwrap().appended_at_ms
    };
    send();
    assert!(newest_time() < ahead, "the broker's time counts");
    alter(
        &kafka,
        Topic::Retry.name(),
        &[
            ("message.timestamp.type", "CreateTime"),
            ("message.timestamp.after.max.ms", "9223372036854775807"),
        ],
    );
    eventually("the setting is seen", || {
        log.topic_settings().unwrap()[Topic::Retry as usize].has_senders_times()
    });
    // The broker itself takes a moment longer.
    eventually("the sender's time is kept", || {
        send();
        newest_time() == ahead
    });
}
