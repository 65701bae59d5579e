//! The commands and their flags.

pub mod alerts;
pub mod dlq;
pub mod recovery;
pub mod sql;
pub mod stores;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

const ROOT_EXAMPLES: &str = "\
Examples:
  adpipe demo                             try it: made-up events, everything running
  adpipe up                               run the pipeline and its console on your data
  adpipe ingest --wait clicks.csv.gz      count the events of a file
  curl --data-binary @events.ndjson localhost:8088/v1/events
  adpipe sql 'select count(*) from realtime.events'
  adpipe dlq stats                        what is in error, and why
  adpipe alerts list                      what needs somebody now
  adpipe verify                           prove that nothing was lost or counted twice

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 130 stopped by Ctrl-C, 143 by SIGTERM.";

/// The ad-click pipeline in one binary: raw ad events in, trusted click-through rates out.
#[derive(Parser)]
#[command(version, about, after_help = ROOT_EXAMPLES, propagate_version = true)]
pub struct Cli {
    /// Configuration file [default: adpipe.toml here, if there is one]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Everywhere")]
    pub config: Option<PathBuf>,

    /// Keep the log and the warehouse in this folder, whatever the configuration says
    #[arg(long, global = true, value_name = "FOLDER", help_heading = "Everywhere")]
    pub data: Option<PathBuf>,

    /// Say more on stderr (-v: what happens, -vv: in detail)
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Everywhere")]
    pub verbose: u8,

    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Make events and run everything: history first, then live traffic
    #[command(after_help = "\
Examples:
  adpipe demo                    in data/demo; Ctrl-C ends it, nothing is lost
  adpipe demo --rate 5000        more live traffic
  adpipe demo --data /tmp/demo   somewhere else")]
    Demo(DemoArgs),

    /// Run all roles in one process: stream processor, dead-letter queue, scheduler, monitor, console, retention
    #[command(after_help = "\
Examples:
  adpipe up
  adpipe up --data /var/lib/adpipe
  ADPIPE_CONSOLE__PORT=9000 adpipe up")]
    Up,

    /// Run one role in this process
    #[command(after_help = "\
On Kafka any number of `adpipe run stream` share the partitions of ad_events_raw; one that dies
is replaced by the others, and no event is lost or counted twice. Of several `adpipe run scheduler`
one is active and the others stand by, and so it is with `adpipe run monitor`.

Examples:
  adpipe run stream
  adpipe run dlq
  adpipe run scheduler
  adpipe run console
  adpipe run monitor
  ADPIPE_LOG__URL=kafka://broker:9092 adpipe run stream")]
    Run(RunArgs),

    /// Append the events of files, or of standard input, to the log
    #[command(after_help = "\
Formats: NDJSON, a JSON array, CSV with a header; plain, gzip or zstd; found out by themselves.
An ingest that was stopped goes on where it was when it is started again.

Examples:
  adpipe ingest clicks.csv more.ndjson.zst
  adpipe ingest --wait clicks.csv    also wait until the events are counted
  adpipe generate --rows 1000 | adpipe ingest -")]
    Ingest(IngestArgs),

    /// Batch: raw files to the Parquet archive and the warehouse
    #[command(after_help = "\
Reads the files of etl.raw_folder, or those named, and counts what was not counted yet: new files,
what has been added to known ones, and files that were replaced. Rows that are no events go to
ad_events_error with file and row. Archives the hours that came by stream and are closed, too.
Run twice, or stopped in the middle and run again, it ends in the same state. Exit code 1 when a
file could not be read to its end; the others are done all the same.

Examples:
  adpipe etl                             everything new in data/raw
  adpipe etl --dry-run clicks.csv.gz     validate and report, change nothing
  adpipe etl --date 2014-10-21           only files with this date in their names
  adpipe etl --json > report.json")]
    Etl(EtlArgs),

    /// Write made-up events in the shape of the Avazu data set
    #[command(after_help = "\
The same seed gives the same events. What was made is told on stderr, or in --account FILE.

Examples:
  adpipe generate --rows 1000000 --format csv --out events.csv
  adpipe generate --rows 10000 --bad 0.02 --duplicates 0.01 --account truth.json > events.ndjson
  adpipe generate --rate 1000 | adpipe ingest -      live traffic until Ctrl-C")]
    Generate(GenerateArgs),

    /// Run a reading SQL statement on the warehouse
    #[command(after_help = "\
Tables: realtime.events, realtime.metrics (by the minute), realtime.metrics_5m,
realtime.metrics_hourly, realtime.offsets, realtime.commits.

Examples:
  adpipe sql 'select count(*) from realtime.events'
  adpipe sql --format csv 'select * from realtime.metrics_hourly' > hourly.csv")]
    Sql(sql::SqlArgs),

    /// The dead-letter queue: look at errors, retry, repair, discard
    Dlq(Box<dlq::DlqArgs>),

    /// Alerts: what needs somebody, since when, and who knows
    #[command(after_help = "\
The table of alerts is config/alerts.toml; docs/MONITORING.md explains it. `adpipe up` and
`adpipe run monitor` watch them; Prometheus can, by the same table.

Examples:
  adpipe alerts list
  adpipe alerts check
  adpipe alerts ack DlqExhausted --note 'repairing'
  adpipe alerts silence ThroughputLow --for 2h --comment 'the feed is being moved'
  adpipe alerts test-notify               a test message to Slack
  adpipe alerts summary                   what yesterday was like")]
    Alerts(Box<alerts::AlertsArgs>),

    /// Prove that nothing was lost or counted twice
    #[command(after_help = "\
Recounts every record that the log still holds against the warehouse, and every table against
the others, as they stand at one moment: events may keep coming in. Looks at every page and index
of the files. The last line says what was not checked. Exit code 1 when something does not add up.

Examples:
  adpipe verify
  adpipe verify --deep           also the content of every event and of every row of the accounts
  adpipe verify --deep --seal    then gives data from before sums were kept its sums
  adpipe verify --json")]
    Verify(VerifyArgs),

    /// Whether log and warehouse belong together, and what to do when one is gone, older or another's
    #[command(after_help = stores::EXAMPLES)]
    Stores(stores::StoresArgs),

    /// Copy everything into a folder, while the pipeline runs
    #[command(after_help = recovery::BACKUP_EXAMPLES)]
    Backup(recovery::BackupArgs),

    /// Put a backup back into a new folder
    #[command(after_help = recovery::RESTORE_EXAMPLES)]
    Restore(recovery::RestoreArgs),

    /// Make the warehouse again from the archive and the log
    #[command(after_help = recovery::REBUILD_EXAMPLES)]
    Rebuild(recovery::RebuildArgs),

    /// Make the marts: run, test and document the dbt project
    #[command(after_help = "\
The project is ./dbt, the folder in transform.project, or else the one inside of adpipe. It is run
by adpipe itself, or by the real dbt with transform.engine = \"dbt\". What the tests find is kept in
ops.data_tests and ops.data_test_failures. Exit code 1 when something failed.

Examples:
  adpipe transform build                        seeds, models and tests
  adpipe transform run --select mart_daily_ctr+
  adpipe transform test --select tag:marts
  adpipe transform docs                         a page with models, tests and lineage")]
    Transform(TransformArgs),

    /// Check every configured part and say what to do
    #[command(after_help = "\
Exit code 1 when a part is bad, 2 when the configuration is wrong. The whole log is read, so that every checksum is looked at; on
Kafka its topics are, whose records are the brokers' to check.

Examples:
  adpipe doctor
  adpipe doctor --json
  adpipe doctor --fix    also make the Kafka topics that are missing")]
    Doctor(DoctorArgs),

    /// Run, backfill and watch DAGs: the pipeline's daily work
    #[command(after_help = "\
DAGs are defined in config/dags.toml; `adpipe up` and `adpipe run scheduler` run them at their
time. What is asked for here is done by the active scheduler, or, when there is none, by this very
command.

Examples:
  adpipe dag list
  adpipe dag run dag_daily_etl --date 2026-01-31
  adpipe dag backfill dag_daily_etl --from 2026-01-01 --to 2026-01-31
  adpipe dag runs dag_daily_etl
  adpipe dag logs dag_daily_etl --follow
  adpipe dag cancel dag_daily_etl")]
    Dag(DagArgs),

    /// Stand between the scheduler and a task
    #[command(hide = true)]
    TaskProcess(TaskProcessArgs),

    /// Show the configuration
    Config(ConfigArgs),

    /// Measure this machine: parse, ingest, stream, latency
    #[command(after_help = "\
Makes its own events in a temporary folder and removes them.

Examples:
  adpipe bench                  all of it, about a minute
  adpipe bench --rows 4000000   more rows
  adpipe bench parse stream     only these
  adpipe bench stream --warehouse postgres://me@localhost/empty
  adpipe bench etl --rows 4000000 --python venv/bin/python
  adpipe bench dlq              a million errors, some minutes")]
    Bench(BenchArgs),

    /// Print a completion script for your shell
    #[command(after_help = "Example: adpipe completions bash > /etc/bash_completion.d/adpipe")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },

    /// Print the manual page
    #[command(after_help = "Example: adpipe man > adpipe.1 && man ./adpipe.1")]
    Man,
}

#[derive(Args)]
pub struct DemoArgs {
    /// Live events per second
    #[arg(long, default_value_t = 200, value_name = "N")]
    pub rate: u32,

    /// Days of history to make at the first start
    #[arg(long, default_value_t = 3, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(0..=60))]
    pub days: u32,

    /// Events a day of that history
    #[arg(long, default_value_t = 100_000, value_name = "N")]
    pub events_a_day: u64,
}

#[derive(Args)]
pub struct IngestArgs {
    /// Files, or - for standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// Wait until the events are counted, and say what they were. Counts them itself when no
    /// `adpipe up` does
    #[arg(long)]
    pub wait: bool,

    /// Take this format instead of finding it out
    #[arg(long, value_enum)]
    pub format: Option<FileFormat>,

    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct EtlArgs {
    /// Files and folders to read instead of etl.raw_folder
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// Only files whose names hold this date (2014-10-21, 20141021 or 2014_10_21), with all their
    /// rows, whatever their times; the report lists the files passed over. Closed hours that came by
    /// stream are archived whatever date they have
    #[arg(long, value_name = "DATE")]
    pub date: Option<String>,

    /// Read files that are known already again; what they held counts as duplicate
    #[arg(long)]
    pub force: bool,

    /// Validate and report only: nothing is written
    #[arg(long)]
    pub dry_run: bool,

    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum FileFormat {
    /// One JSON object a line
    Ndjson,
    /// A JSON array
    Json,
    /// CSV with a header
    Csv,
}

#[derive(Args)]
pub struct GenerateArgs {
    /// Number of records; without it, and with --rate, they never end
    #[arg(long, value_name = "N")]
    pub rows: Option<u64>,

    /// The same seed gives the same events
    #[arg(long, default_value_t = 1, value_name = "S")]
    pub seed: u64,

    /// Records per second, with the time of now
    #[arg(long, value_name = "R", value_parser = clap::value_parser!(u32).range(1..))]
    pub rate: Option<u32>,

    /// Share of broken records, 0 to 1; they take turns through all error types
    #[arg(long, default_value_t = 0.0, value_name = "P")]
    pub bad: f64,

    /// Share of records that repeat an earlier one, 0 to 1
    #[arg(long, default_value_t = 0.0, value_name = "P")]
    pub duplicates: f64,

    /// Format to write
    #[arg(long, value_enum, default_value_t = GenerateFormat::Ndjson)]
    pub format: GenerateFormat,

    /// First event time (UTC): YYYY-MM-DD or YYYY-MM-DDTHH:MM:SS [default: a day before --end]
    #[arg(long, value_name = "TIME")]
    pub start: Option<String>,

    /// End of the event times (UTC) [default: now]
    #[arg(long, value_name = "TIME")]
    pub end: Option<String>,

    /// Write times as Avazu does, YYMMDDHH
    #[arg(long)]
    pub avazu_hours: bool,

    /// Write to this file instead of standard output
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,

    /// Write what was made, counted by kind, to this file as JSON
    #[arg(long, value_name = "FILE")]
    pub account: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GenerateFormat {
    /// One JSON object a line
    Ndjson,
    /// CSV with a header
    Csv,
}

#[derive(Args)]
pub struct JsonArgs {
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct VerifyArgs {
    /// Also compare the content of every event, hot and archived, and of every row of the accounts
    /// and of the dead-letter queue with the sums that were stored when they were written
    #[arg(long)]
    pub deep: bool,

    /// Compare stored sums only: records, files and contents are not read. Takes seconds whatever
    /// there is; the last line names what was not checked
    #[arg(long, conflicts_with = "deep")]
    pub quick: bool,

    /// When everything adds up, store the sums of data that was written before sums were kept
    #[arg(long, requires = "deep")]
    pub seal: bool,

    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct RunArgs {
    /// The role
    #[arg(value_enum)]
    pub role: Role,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Count the events of the log
    Stream,
    /// Store, retry and repair errors
    Dlq,
    /// Run the DAGs at their time
    Scheduler,
    /// Serve the console and take events over HTTP
    Console,
    /// Measure, watch the alerts, tell people
    Monitor,
}

#[derive(Args)]
pub struct DagArgs {
    #[command(subcommand)]
    pub action: DagAction,
}

#[derive(Subcommand)]
pub enum DagAction {
    /// Print every DAG, when it is due next and how it last went
    List(JsonArgs),
    /// Run a DAG now and wait for its end; exit code 1 when it fails
    Run(DagRunArgs),
    /// Run a DAG for every data interval of a range of days, oldest first
    #[command(after_help = "\
Intervals that have succeeded are left out unless --all is given. DAGs that follow this one run
once, at the end, over the whole range.

Examples:
  adpipe dag backfill dag_daily_etl --from 2026-01-01 --to 2026-01-31 --dry-run
  adpipe dag backfill dag_daily_etl --from 2026-01-01 --to 2026-01-31")]
    Backfill(DagBackfillArgs),
    /// Print the newest runs, of one DAG or of all
    Runs(DagRunsArgs),
    /// Print the output of a run's tasks
    #[command(after_help = "\
Examples:
  adpipe dag logs dag_daily_etl                 the newest run
  adpipe dag logs dag_daily_etl --follow        as it is written
  adpipe dag logs dag_dbt_run --task test --try 1")]
    Logs(DagLogsArgs),
    /// Run the tasks of a finished run again that did not succeed
    Retry(DagRetryArgs),
    /// End a run; its tasks get SIGTERM, then SIGKILL
    Cancel(DagRunName),
}

#[derive(Args)]
pub struct DagRunArgs {
    /// The DAG
    pub dag: String,

    /// The data interval that begins on this day (in the DAG's time zone) [default: the newest]
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub date: Option<jiff::civil::Date>,

    /// Only queue it, for the active scheduler
    #[arg(long)]
    pub no_wait: bool,

    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct DagBackfillArgs {
    /// The DAG
    pub dag: String,

    /// First day, in the DAG's time zone
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub from: jiff::civil::Date,

    /// Last day, included
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub to: jiff::civil::Date,

    /// Run again what has succeeded, too
    #[arg(long)]
    pub all: bool,

    /// Only print what would be run
    #[arg(long)]
    pub dry_run: bool,

    /// Only queue it, for the active scheduler
    #[arg(long)]
    pub no_wait: bool,

    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct DagRunsArgs {
    /// The DAG [default: all]
    pub dag: Option<String>,

    /// How many
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,

    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct DagRunName {
    /// The DAG
    pub dag: String,

    /// The run, as `adpipe dag runs` prints it [default: the newest]
    pub run: Option<String>,
}

#[derive(Args)]
pub struct DagLogsArgs {
    #[command(flatten)]
    pub name: DagRunName,

    /// Only this task
    #[arg(long)]
    pub task: Option<String>,

    /// Only this try [default: the newest]
    #[arg(long = "try", value_name = "N", requires = "task")]
    pub try_number: Option<i64>,

    /// Go on as it is written, until the run ends
    #[arg(short, long)]
    pub follow: bool,
}

#[derive(Args)]
pub struct DagRetryArgs {
    #[command(flatten)]
    pub name: DagRunName,

    /// The tasks that succeeded, too
    #[arg(long)]
    pub all: bool,

    /// Only queue it, for the active scheduler
    #[arg(long)]
    pub no_wait: bool,

    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct TaskProcessArgs {
    /// From SIGTERM to SIGKILL, in milliseconds
    #[arg(long)]
    pub grace_ms: u64,

    /// Where to write which process the task is
    #[arg(long)]
    pub process_file: PathBuf,

    /// Program and arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<std::ffi::OsString>,
}

#[derive(Args)]
pub struct DoctorArgs {
    /// Make what is missing
    #[arg(long)]
    pub fix: bool,

    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct TransformArgs {
    #[command(subcommand)]
    pub action: TransformAction,
}

#[derive(Subcommand)]
pub enum TransformAction {
    /// Make the models
    Run(TransformRunArgs),
    /// Run the tests
    Test(TransformRunArgs),
    /// Seeds, models and tests, in the order that they need
    Build(TransformRunArgs),
    /// Look at how old the sources are; ends with 1 when one is older than its error_after
    Freshness(JsonArgs),
    /// Write the documentation, one page
    Docs(TransformDocsArgs),
    /// Write the project that is inside of adpipe into a folder, to change it or to run it with dbt
    Export {
        /// A new or empty folder
        folder: PathBuf,
    },
}

#[derive(Args)]
pub struct TransformRunArgs {
    /// Only these: names, tag:T, path:P, source:S, test_type:T …; + before or after takes what it
    /// is made of, or what is made of it; a,b what both choose
    #[arg(short, long, value_name = "SELECTOR", num_args = 1..)]
    pub select: Vec<String>,

    /// Not these
    #[arg(long, value_name = "SELECTOR", num_args = 1..)]
    pub exclude: Vec<String>,

    /// Make incremental models anew
    #[arg(long)]
    pub full_refresh: bool,

    /// Variables of the project, as YAML: '{minutes_kept_days: 30}'
    #[arg(long, value_name = "YAML", default_value = "", hide_default_value = true)]
    pub vars: String,

    /// Print the results as JSON, in the form of dbt's run_results.json
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct TransformDocsArgs {
    /// The page [default: index.html in transform.target_path]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(Args)]
pub struct ConfigArgs {
    #[command(subcommand)]
    pub action: ConfigAction,
}

#[derive(Subcommand)]
pub enum ConfigAction {
    /// Print what is in force: defaults, file, variables and flags together
    Show(JsonArgs),
}

#[derive(Args)]
pub struct BenchArgs {
    /// What to measure [default: all]
    #[arg(value_enum)]
    pub what: Vec<BenchKind>,

    /// Events to work on
    #[arg(long, default_value_t = 1_000_000, value_name = "N")]
    pub rows: u64,

    /// Measure with this log instead of an embedded one: kafka://HOST:PORT. Makes topics of its
    /// own there and removes them
    #[arg(long, value_name = "URL")]
    pub log: Option<String>,

    /// Events per second of the latency measurement
    #[arg(long, default_value_t = 20_000, value_name = "N")]
    pub rate: u32,

    /// Measure stream, latency, transform and dlq with this PostgreSQL database, which must be empty and keeps
    /// what is written
    #[arg(long, value_name = "URL")]
    pub warehouse: Option<String>,

    /// Give DuckDB and Polars the same file as etl, with this Python that has their packages
    #[arg(long, value_name = "FILE")]
    pub python: Option<PathBuf>,

    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BenchKind {
    /// Bytes to events, beside a plain JSON loop
    Parse,
    /// Files into the log, durable
    Ingest,
    /// HTTP into the log, durable
    Http,
    /// Log into the warehouse, committed
    Stream,
    /// From append to commit at a fixed rate
    Latency,
    /// Files into the archive; DuckDB and Polars beside it, with --python
    Etl,
    /// All marts over the metrics of 40 million events
    Transform,
    /// As many errors as --rows says: stored, searched, and repaired by one edit; only when it is
    /// named
    Dlq,
    /// The stream processor with and without somebody who scrapes /metrics; only when it is named
    Scrape,
}
