//! Kafka and PostgreSQL together: three processors, and everything that can go wrong between them.

#![cfg(feature = "kafka")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use adpipe_testkit::kafka::{Kafka, signal};
use adpipe_testkit::postgres::Postgres;
use adpipe_testkit::proxy::Proxy;
use adpipe_testkit::{Dice, eventually, eventually_within, seed};
use common::{Folder, adpipe_in, printed};

const ROWS: &str = "1000000";
const PROCESSORS: usize = 3;

/// Keepers of the dead-letter queue.
const KEEPERS: usize = 2;

/// Longer than the session timeout below.
const PAUSE: Duration = Duration::from_secs(9);

/// What may happen; each does at least once.
#[derive(Clone, Copy, Debug)]
enum Mishap {
    Kill,
    Pause,
    RestartPostgres,
    RestartKafka,
    CutPostgres,
    CutKafka,
}

const MISHAPS: [Mishap; 6] = [
    Mishap::Kill,
    Mishap::Pause,
    Mishap::RestartPostgres,
    Mishap::RestartKafka,
    Mishap::CutPostgres,
    Mishap::CutKafka,
];

struct Production {
    folder: Folder,
    kafka: Kafka,
    postgres: Postgres,
    kafka_network: Proxy,
    postgres_network: Proxy,
    database: String,
    processors: Vec<Child>,
    keepers: Vec<Child>,
}

impl Production {
    fn start(test: &str) -> Option<Production> {
        let postgres = Postgres::start(test)?;
        let kafka_network = Proxy::new();
        let listeners = format!("advertised.listeners=PLAINTEXT://127.0.0.1:{}\n", kafka_network.port());
        let kafka = Kafka::start_with(test, &listeners)?;
        let kafka_port = kafka.address().rsplit(':').next().unwrap().parse().unwrap();
        kafka_network.set_target(kafka_port);
        let postgres_network = Proxy::new();
        postgres_network.set_target(postgres.port());
        let through = format!(":{}/", postgres_network.port());
        let database = postgres.new_database().replace(&format!(":{}/", postgres.port()), &through);
        let folder = Folder::new();
        let (processors, keepers) = (Vec::new(), Vec::new());
        Some(Production {
            folder,
            kafka,
            postgres,
            kafka_network,
            postgres_network,
            database,
            processors,
            keepers,
        })
    }

    fn adpipe(&self, arguments: &[&str]) -> Command {
        let mut command = adpipe_in(self.folder.path());
        command
            .env("ADPIPE_LOG__URL", format!("kafka://127.0.0.1:{}", self.kafka_network.port()))
            .env("ADPIPE_WAREHOUSE__URL", &self.database)
            .env("ADPIPE_LOG__KAFKA__SESSION_TIMEOUT_MS", "6000")
            .env("ADPIPE_LOG__KAFKA__HEARTBEAT_INTERVAL_MS", "1000")
            .args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> String {
        printed(self.adpipe(arguments))
    }

    /// Starts a role and waits until it says that it works: one that finds no server at its start ends.
    fn start_role(&self, role: &str) -> Child {
        let mut child = self.adpipe(&["run", role]).stdout(Stdio::piped()).spawn().unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        child
    }

    fn add_processor(&mut self) {
        let child = self.start_role("stream");
        self.processors.push(child);
    }

    fn add_keeper(&mut self) {
        let child = self.start_role("dlq");
        self.keepers.push(child);
    }

    fn kill_a_keeper(&mut self) {
        let mut killed = self.keepers.swap_remove(0);
        killed.kill().unwrap();
        killed.wait().unwrap();
        self.add_keeper();
    }

    fn number(&self, sql: &str) -> u64 {
        let sql = format!("select ({sql}) as n");
        let rows: serde_json::Value = serde_json::from_str(&self.run(&["sql", "--json", &sql])).unwrap();
        rows[0]["n"].as_u64().unwrap()
    }

    /// Records that are processed; 0 while PostgreSQL cannot say.
    fn processed(&self) -> u64 {
        let output =
            self.adpipe(&["sql", "--json", "select sum(records) as n from realtime.commits"]).output();
        let output = output.unwrap();
        let rows: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        rows[0]["n"].as_u64().unwrap_or(0)
    }

    fn suffer(&mut self, mishap: Mishap, dice: &mut Dice) {
        let victim = dice.below(self.processors.len() as u64) as usize;
        match mishap {
            Mishap::Kill => {
                let mut killed = self.processors.swap_remove(victim);
                killed.kill().unwrap();
                killed.wait().unwrap();
                self.add_processor();
            }
            Mishap::Pause => {
                signal(self.processors[victim].id(), "STOP");
                std::thread::sleep(PAUSE);
                signal(self.processors[victim].id(), "CONT");
            }
            Mishap::RestartPostgres => {
                self.postgres.stop_immediately();
                self.postgres.start_again();
            }
            Mishap::RestartKafka => self.kafka.restart(),
            Mishap::CutPostgres => {
                self.postgres_network.cut();
                // That is how long the network is away.
                std::thread::sleep(Duration::from_secs(2));
                self.postgres_network.heal();
            }
            Mishap::CutKafka => {
                self.kafka_network.cut();
                // That is how long the network is away.
                std::thread::sleep(Duration::from_secs(2));
                self.kafka_network.heal();
            }
        }
    }

    /// Every processor must still be there: whatever happens, they come back by themselves.
    fn assert_all_alive(&mut self, seed: u64) {
        for processor in self.processors.iter_mut().chain(&mut self.keepers) {
            let ended = processor.try_wait().unwrap();
            assert!(ended.is_none(), "seed {seed}: a processor ended: {ended:?}");
        }
    }
}

impl Drop for Production {
    fn drop(&mut self) {
        for processor in self.processors.iter_mut().chain(&mut self.keepers) {
            let _ = processor.kill();
            let _ = processor.wait();
        }
    }
}

fn sorted_ids(csv: &str) -> Vec<&str> {
    let mut ids: Vec<&str> = csv.lines().skip(1).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn a_million_events_are_counted_once_whatever_happens() {
    let Some(mut production) = Production::start("a_million_events_are_counted_once_whatever_happens") else {
        return;
    };
    let seed = seed();
    let mut dice = Dice(seed);
    let made = production.folder.generate(
        "events.csv",
        &["--rows", ROWS, "--seed", "21", "--bad", "0.005", "--duplicates", "0.01", "--format", "csv"],
    );
    let total = made["records"].as_u64().unwrap();

    production.run(&["doctor", "--fix"]);
    production.run(&["ingest", "events.csv"]);
    for _ in 0..PROCESSORS {
        production.add_processor();
    }
    for _ in 0..KEEPERS {
        production.add_keeper();
    }
    eventually("the processors work", || production.processed() > 0);
    let mut left = MISHAPS.to_vec();
    while !left.is_empty() {
        let mishap = left.swap_remove(dice.below(left.len() as u64) as usize);
        println!("{mishap:?} at {} of {total}", production.processed());
        production.suffer(mishap, &mut dice);
        production.kill_a_keeper();
        std::thread::sleep(Duration::from_millis(500 + dice.below(1_500)));
        production.assert_all_alive(seed);
    }
    let started = Instant::now();
    eventually_within("everything is committed", Duration::from_secs(240), || {
        production.processed() >= total
    });
    println!("caught up {:?} after the last mishap", started.elapsed());
    production.assert_all_alive(seed);

    let account = "select sum(records) as records, sum(valid) as valid, sum(clicks) as clicks,
                          sum(duplicates) as duplicates, sum(parse) as parse, sum(schema) as schema,
                          sum(validation) as validation, sum(future) as future from realtime.commits";
    let rows: serde_json::Value = serde_json::from_str(&production.run(&["sql", "--json", account])).unwrap();
    assert_eq!(rows[0], made, "seed {seed}");
    let verdict = production.run(&["verify"]);
    assert!(verdict.contains("zero residue"), "seed {seed}: {verdict}");

    // The embedded pipeline on the same input is the judge of the ids and of every figure.
    production.folder.run(&["ingest", "--wait", "events.csv"]);
    let ids = "select event_id from realtime.events";
    let theirs = production.run(&["sql", "--format", "csv", ids]);
    let ours = production.folder.run(&["sql", "--format", "csv", ids]);
    assert!(sorted_ids(&theirs) == sorted_ids(&ours), "seed {seed}: the sets of ids differ");
    let figures =
        "select window_start, banner_pos, device_type, device_conn_type, site_category, app_category,
                          impressions, clicks from realtime.metrics_hourly";
    let theirs = production.run(&["sql", "--format", "csv", figures]);
    let ours = production.folder.run(&["sql", "--format", "csv", figures]);
    assert!(sorted_ids(&theirs) == sorted_ids(&ours), "seed {seed}: the hourly figures differ");

    errors_are_repaired_once(&mut production, &made, seed);
}

/// Every error of the stream is in the queue, whatever happened; a bulk repair under fire counts
/// each of them once.
fn errors_are_repaired_once(production: &mut Production, made: &serde_json::Value, seed: u64) {
    let of = |kind: &str| made[kind].as_u64().unwrap();
    let stored = "select count(*) from errors.dlq_errors";
    let bad = of("parse") + of("schema") + of("validation") + of("future");
    eventually("every error is stored", || production.number(stored) == bad);
    for kind in ["parse", "schema", "validation", "future", "sink", "archive"] {
        let expected = made.get(kind).map_or(0, |count| count.as_u64().unwrap());
        let found = production.number(&format!("{stored} where error_type = '{kind}'"));
        assert_eq!(found, expected, "seed {seed}: {kind}");
    }
    let mend = ["dlq", "edit", "--field", "click", "--set", "click=0", "--yes", "--no-wait", "--json"];
    let job: serde_json::Value = serde_json::from_str(&production.run(&mend)).unwrap();
    let id = job["job_id"].as_str().unwrap().to_owned();
    for _ in 0..3 {
        // Somewhere in the repair.
        std::thread::sleep(Duration::from_millis(700));
        production.kill_a_keeper();
    }
    let open = "select count(*) from errors.jobs where state in ('running', 'canary')";
    let under_way = format!("{stored} where status = 'retrying' or job_id = '{id}' and status = 'pending'");
    eventually_within("the repair is done", Duration::from_secs(240), || {
        production.number(open) == 0 && production.number(&under_way) == 0
    });
    let changed = production.number(&format!("select changed from errors.jobs where job_id = '{id}'"));
    assert!(changed > 50, "seed {seed}: {changed}");
    assert_eq!(production.number(&format!("{stored} where status = 'resolved'")), changed, "seed {seed}");
    let events = production.number("select count(*) from realtime.events");
    assert_eq!(events, of("valid") + changed, "seed {seed}");
    production.assert_all_alive(seed);
    let verdict = production.run(&["verify"]);
    assert!(verdict.contains("zero residue"), "seed {seed}: {verdict}");
}
