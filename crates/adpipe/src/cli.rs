//! The commands and their flags.

pub mod alerts;
pub mod bench;
pub mod checks;
pub mod config;
pub mod dag;
pub mod dlq;
pub mod generate;
pub mod json;
pub mod recovery;
pub mod run;
pub mod sql;
pub mod stores;
pub mod topic;
pub mod transform;
pub mod ways_in;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

const ROOT_EXAMPLES: &str = "\
Examples:
  adpipe demo                             try it: synthetic events, all roles running
  adpipe up                               run the pipeline and its console on your data
  adpipe ingest --wait clicks.csv.gz      count the events of a file
  curl --data-binary @events.ndjson localhost:8088/v1/events
  adpipe sql 'select count(*) from realtime.events'
  adpipe dlq stats                        the causes of invalid records
  adpipe alerts list                      what needs attention now
  adpipe verify                           prove that nothing was lost or counted twice

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 130 stopped by Ctrl-C, 143 by SIGTERM.";

/// The ad-click pipeline in one binary: raw ad events in, trusted click-through rates out.
#[derive(Parser)]
#[command(version, about, after_help = ROOT_EXAMPLES, propagate_version = true)]
pub struct Cli {
    /// Configuration file [default: adpipe.toml in the current folder, if it exists]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Everywhere")]
    pub config: Option<PathBuf>,

    /// Keep all data in this folder, whatever the configuration says
    #[arg(long, global = true, value_name = "FOLDER", help_heading = "Everywhere")]
    pub data: Option<PathBuf>,

    /// Log more to stderr (-v: what happens, -vv: in detail)
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Everywhere")]
    pub verbose: u8,

    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Generate events and run everything: history first, then live traffic
    #[command(after_help = "\
Examples:
  adpipe demo                    in data/demo; Ctrl-C stops it, nothing is lost
  adpipe demo --rate 5000        more live traffic
  adpipe demo --data /tmp/demo   somewhere else")]
    Demo(run::DemoArgs),

    /// Run all roles in one process: stream processor, dead-letter queue, scheduler, monitor, console, retention
    #[command(after_help = "\
Examples:
  adpipe up
  adpipe up --data /var/lib/adpipe
  ADPIPE_CONSOLE__PORT=9000 adpipe up")]
    Up,

    /// Run one role in this process
    #[command(after_help = "\
On Kafka, any number of `adpipe run stream` share the partitions of ad_events_raw. If one dies, the
others take over its partitions; no event is lost or counted twice. If you run several
`adpipe run scheduler` or `adpipe run monitor`, one is active and the others stand by.

Examples:
  adpipe run stream
  adpipe run dlq
  adpipe run scheduler
  adpipe run console
  adpipe run monitor
  ADPIPE_LOG__URL=kafka://broker:9092 adpipe run stream")]
    Run(run::RunArgs),

    /// Append the events of files, or of standard input, to the log
    #[command(after_help = "\
Formats: NDJSON, a JSON array, CSV with a header; plain, gzip or zstd. adpipe detects them.
If you stop an ingest and start it again, it continues where it stopped.

Examples:
  adpipe ingest clicks.csv more.ndjson.zst
  adpipe ingest --wait clicks.csv    also wait until the events are counted
  adpipe generate --rows 1000 | adpipe ingest -")]
    Ingest(ways_in::IngestArgs),

    /// Batch: raw files to the Parquet archive and the warehouse
    #[command(after_help = "\
Reads the files of etl.raw_folder, or the files you name, and counts what was not counted yet: new
files, rows added to known files, and files that were replaced. Invalid rows go to ad_events_error
with file and row. Also archives the closed hours that came by stream. The result is the same if you
run it twice, or stop it and run it again. Exit code 1 if a file could not be read to its end; the
other files are done.

Examples:
  adpipe etl                             everything new in data/raw
  adpipe etl --dry-run clicks.csv.gz     validate and report, change nothing
  adpipe etl --date 2014-10-21           only files with this date in their names
  adpipe etl --json > report.json")]
    Etl(ways_in::EtlArgs),

    /// Generate events with the fields of the Avazu data set
    #[command(after_help = "\
The same --seed (with the same --start and --end, if any) gives the same bytes. With --rate, events
have the current time. A summary goes to stderr, and to --account FILE.

Examples:
  adpipe generate --rows 1000000 --format csv --out events.csv
  adpipe generate --rows 10000 --bad 0.02 --duplicates 0.01 --account truth.json > events.ndjson
  adpipe generate --rows 10000 --seed 7 > same.ndjson    the same file on every machine
  adpipe generate --rate 1000 | adpipe ingest -      live traffic until Ctrl-C")]
    Generate(generate::GenerateArgs),

    /// Run read-only SQL on the warehouse: one statement, or a shell
    #[command(after_help = sql::EXAMPLES)]
    Sql(sql::SqlArgs),

    /// The event log's topics: what they hold, and single records
    #[command(after_help = "\
Examples:
  adpipe topic list
  adpipe topic show ad_events_error
  adpipe topic show ad_events_raw --partition 0 --offset 17
  adpipe topic create                 on a Kafka cluster")]
    Topic(topic::TopicArgs),

    /// The dead-letter queue: look at errors, retry, repair, discard
    Dlq(Box<dlq::DlqArgs>),

    /// Alerts: what needs attention, since when, and who works on it
    #[command(after_help = "\
config/alerts.toml defines the alerts; docs/MONITORING.md explains it. `adpipe up` and
`adpipe run monitor` evaluate them; Prometheus can, too, from the same table.

Examples:
  adpipe alerts list
  adpipe alerts check
  adpipe alerts ack DlqExhausted --note 'repairing'
  adpipe alerts silence ThroughputLow --for 2h --comment 'the feed is being moved'
  adpipe alerts test-notify               a test message to Slack
  adpipe alerts summary                   the summary of yesterday")]
    Alerts(Box<alerts::AlertsArgs>),

    /// Prove that nothing was lost or counted twice
    #[command(after_help = "\
Compares every record that the log still holds with the warehouse, and the tables with each other,
as of one moment: events may keep coming in. Checks every page and index of the files. The last
line says what was not checked. Exit code 1 if something does not add up.

Examples:
  adpipe verify
  adpipe verify --deep           also compare the content of every event and row
  adpipe verify --deep --seal    then store sums for data from before sums were kept
  adpipe verify --json")]
    Verify(checks::VerifyArgs),

    /// Check that log and warehouse belong together, and what to do if one is gone, older or foreign
    #[command(after_help = stores::EXAMPLES)]
    Stores(stores::StoresArgs),

    /// Copy everything into a folder, while the pipeline runs
    #[command(after_help = recovery::BACKUP_EXAMPLES)]
    Backup(recovery::BackupArgs),

    /// Restore a backup into a new folder
    #[command(after_help = recovery::RESTORE_EXAMPLES)]
    Restore(recovery::RestoreArgs),

    /// Rebuild the warehouse from the archive and the log
    #[command(after_help = recovery::REBUILD_EXAMPLES)]
    Rebuild(recovery::RebuildArgs),

    /// Build the marts: run, test and document the dbt project
    #[command(after_help = "\
The project is the folder in transform.project, or ./dbt, or else the one built into adpipe. adpipe
runs it itself; with transform.engine = \"dbt\", the real dbt runs it. Test results are stored in
ops.data_tests and ops.data_test_failures. Exit code 1 if something failed.

Examples:
  adpipe transform build                        seeds, models and tests
  adpipe transform run --select mart_daily_ctr+
  adpipe transform test --select tag:marts
  adpipe transform show no_missing_hours --rows 20   the query of a test, and the rows that fail
  adpipe transform docs                         a page with models, tests and lineage")]
    Transform(transform::TransformArgs),

    /// Check every configured part and say what to do
    #[command(after_help = "\
Exit code 1 if a part is bad, 2 if the configuration is wrong. Reads the whole log to check every
checksum. On Kafka, checks the topics; the brokers check their records.

Examples:
  adpipe doctor
  adpipe doctor --json
  adpipe doctor --fix                  also create missing Kafka topics
  adpipe doctor --sample events.csv    propose [event.fields] for a file with other field names")]
    Doctor(checks::DoctorArgs),

    /// Check that an adpipe process answers, for health checks of containers and services
    #[command(after_help = "\
Asks /healthz on console.port, and on metrics.port if it is set. Exit code 0 if one of them answers,
1 if none does. It does not open the log or the warehouse; `adpipe doctor` checks those.

Examples:
  adpipe health
  ADPIPE_METRICS__PORT=8091 adpipe health    of `adpipe run stream`
  adpipe health --json")]
    Health(json::JsonArgs),

    /// Run, backfill and watch DAGs: the pipeline's daily work
    #[command(after_help = "\
config/dags.toml defines the DAGs; `adpipe up` and `adpipe run scheduler` run them on schedule. The
active scheduler performs what you ask for here. If there is none, this command does it itself.

Examples:
  adpipe dag list
  adpipe dag run dag_daily_etl --date 2026-01-31
  adpipe dag backfill dag_daily_etl --from 2026-01-01 --to 2026-01-31
  adpipe dag runs dag_daily_etl
  adpipe dag logs dag_daily_etl --follow
  adpipe dag cancel dag_daily_etl")]
    Dag(dag::DagArgs),

    /// Stand between the scheduler and a task
    #[command(hide = true)]
    TaskProcess(run::TaskProcessArgs),

    /// Show the configuration
    Config(config::ConfigArgs),

    /// Measure this machine: parse, ingest, stream, latency
    #[command(after_help = "\
Works on synthetic events in a temporary folder, and removes them afterwards.

Examples:
  adpipe bench                  everything, about a minute
  adpipe bench --rows 4000000   more rows
  adpipe bench parse stream     only these
  adpipe bench stream --warehouse postgres://me@localhost/empty
  adpipe bench etl --rows 4000000 --python venv/bin/python
  adpipe bench dlq              a million errors, some minutes")]
    Bench(bench::BenchArgs),

    /// Print a completion script for your shell
    #[command(after_help = "\
The script calls adpipe, so it completes the DAGs, alerts and models of the current folder, too.

Examples:
  echo 'source <(adpipe completions bash)' >> ~/.bashrc
  echo 'source <(adpipe completions zsh)' >> ~/.zshrc
  adpipe completions fish > ~/.config/fish/completions/adpipe.fish")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },

    /// Print the manual page of adpipe or of one command, or write all pages into a folder
    #[command(after_help = "\
Examples:
  adpipe man dlq edit | man -l -
  adpipe man --out ~/.local/share/man/man1 && man adpipe-dlq-edit")]
    Man(ManArgs),
}

#[derive(Args)]
pub struct ManArgs {
    /// The command, such as dlq edit [default: adpipe as a whole]
    #[arg(value_name = "COMMAND", conflicts_with = "out")]
    pub command: Vec<String>,

    /// Write one page for each command into this folder
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
}
