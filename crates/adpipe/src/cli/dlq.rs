//! `adpipe dlq …`.

use std::path::PathBuf;
use std::time::Duration;

use adpipe_dlq::{Filter, Status};
use adpipe_runtime::span::duration;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCandidates;

use crate::completion;

#[derive(Args)]
pub struct DlqArgs {
    #[command(subcommand)]
    pub action: DlqAction,
}

#[derive(Subcommand)]
pub enum DlqAction {
    /// List errors, the newest first
    #[command(after_help = "\
Examples:
  adpipe dlq list --status exhausted
  adpipe dlq list --type validation --field banner_pos --since '2026-01-31 12:00:00'
  adpipe dlq list --text 1fbe01fe --json")]
    List(ListArgs),

    /// Show everything about one error
    #[command(after_help = "\
Examples:
  adpipe dlq show 0193…
  adpipe dlq show 0193… --payload > record.json     its payload, byte for byte")]
    Show(ShowArgs),

    /// Show the causes and how many errors each has
    #[command(after_help = "Example: adpipe dlq stats --json")]
    Stats(StatsArgs),

    /// Send errors again
    #[command(after_help = "\
Examples:
  adpipe dlq retry 0193…
  adpipe dlq retry --group 1f2e3d4c5b6a7988             all errors of a cause
  adpipe dlq retry --status exhausted --type sink --canary 20
  adpipe dlq retry --due                                all automatic retries that are due")]
    Retry(RetryArgs),

    /// Repair payloads and send them again
    #[command(after_help = "\
An edit of many errors applies only where the event is valid afterwards. The payload as received is
kept; --undo goes back to it.

Examples:
  adpipe dlq edit 0193… --set banner_pos=1
  adpipe dlq edit --group 1f2e3d4c5b6a7988 --cast click=integer --dry-run
  adpipe dlq edit --group 1f2e3d4c5b6a7988 --rename bannerpos=banner_pos --canary 20
  adpipe dlq edit 0193… --payload repaired.json
  adpipe dlq edit --group … --patch edit.json           a JSON Patch (RFC 6902), and \"cast\"")]
    Edit(EditArgs),

    /// Discard errors, with a reason
    #[command(after_help = "\
Examples:
  adpipe dlq discard 0193… --reason 'a test of ours'
  adpipe dlq discard --group 1f2e3d4c5b6a7988 --reason 'bot traffic'")]
    Discard(DiscardArgs),

    /// Undo a discard
    #[command(after_help = "Example: adpipe dlq undo --group 1f2e3d4c5b6a7988")]
    Undo(UndoArgs),

    /// Write errors to a file, one JSON object a line
    #[command(after_help = "\
Example:
  adpipe dlq export --type parse --out errors.ndjson
  …repair the payloads in it…
  adpipe dlq import errors.ndjson")]
    Export(ExportArgs),

    /// Import an exported file: if a payload differs, the error is edited and sent again
    #[command(after_help = "\
A CSV row stays a CSV row: its format and columns are in the file. If the event of a line would fail
again, adpipe names the line and skips it. Exit code 1 if a line was skipped or an event failed
again.

Examples:
  adpipe dlq import errors.ndjson --dry-run
  adpipe dlq import errors.ndjson")]
    Import(ImportArgs),

    /// List the newest bulk actions
    #[command(after_help = "Example: adpipe dlq jobs")]
    Jobs(JobsArgs),

    /// Stop a bulk action; what it has done stays done
    #[command(after_help = "Example: adpipe dlq cancel 0193…")]
    Cancel(CancelArgs),

    /// Check whether an error needs attention; exit code 1 if one does
    #[command(after_help = "\
For scripts: unlike `adpipe alerts check`, it only measures; it does not wait or notify. Thresholds
are those of the alerts on dlq_exhausted, dlq_growth and error_share in config/alerts.toml.

Example: adpipe dlq check --json")]
    Check(CheckArgs),
}

/// Which errors are meant.
#[derive(Args)]
pub struct FilterArgs {
    /// Status: pending, retrying, exhausted, resolved, discarded
    #[arg(
        long,
        value_name = "STATUS",
        value_delimiter = ',',
        help_heading = "Which errors",
        value_parser = statuses(),
        hide_possible_values = true
    )]
    pub status: Vec<Status>,

    /// Type: parse, schema, validation, future, sink, archive
    #[arg(
        long = "type",
        value_name = "TYPE",
        value_delimiter = ',',
        help_heading = "Which errors",
        add = ArgValueCandidates::new(completion::error_types)
    )]
    pub error_type: Vec<String>,

    /// The invalid field
    #[arg(long, value_name = "FIELD", value_delimiter = ',', help_heading = "Which errors")]
    pub field: Vec<String>,

    /// Cause, as `adpipe dlq stats` names it
    #[arg(long, value_name = "GROUP", value_delimiter = ',', help_heading = "Which errors")]
    pub group: Vec<String>,

    /// Beginning of the topic: ad_events_raw, file:…
    #[arg(long, value_name = "TOPIC", help_heading = "Which errors")]
    pub topic: Option<String>,

    /// First failed at or after this time (UTC)
    #[arg(long, value_name = "TIME", help_heading = "Which errors")]
    pub since: Option<String>,

    /// First failed before this time (UTC)
    #[arg(long, value_name = "TIME", help_heading = "Which errors")]
    pub until: Option<String>,

    /// Text in the message or the payload, case-sensitive
    #[arg(long, value_name = "TEXT", help_heading = "Which errors")]
    pub text: Option<String>,
}

fn statuses() -> impl TypedValueParser<Value = Status> {
    PossibleValuesParser::new(Status::ALL.map(Status::as_str)).try_map(|name| name.parse::<Status>())
}

impl FilterArgs {
    pub fn filter(&self) -> Filter {
        Filter {
            status: self.status.clone(),
            error_type: self.error_type.clone(),
            field: self.field.clone(),
            group: self.group.clone(),
            topic: self.topic.clone(),
            since: self.since.clone(),
            until: self.until.clone(),
            text: self.text.clone(),
        }
    }
}

/// Errors by id, by filter, or all.
#[derive(Args)]
pub struct SelectionArgs {
    /// Ids of errors
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,

    #[command(flatten)]
    pub filter: FilterArgs,

    /// All errors
    #[arg(long, help_heading = "Which errors")]
    pub all: bool,

    /// Do not ask first
    #[arg(long, short = 'y')]
    pub yes: bool,

    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct ListArgs {
    #[command(flatten)]
    pub filter: FilterArgs,

    /// Maximum number
    #[arg(long, default_value_t = 50, value_name = "N")]
    pub limit: usize,

    /// Print the result as JSON, one object a line
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct ShowArgs {
    /// Id of the error
    #[arg(value_name = "ID")]
    pub id: String,

    /// Print the payload as it was received, and nothing else
    #[arg(long, conflicts_with = "json")]
    pub payload: bool,

    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct StatsArgs {
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// How a bulk action goes.
#[derive(Args)]
pub struct PaceArgs {
    /// Send this many first, and the rest only if most of them succeed (dlq.canary_share)
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "20")]
    pub canary: Option<u32>,

    /// Do not wait for the outcomes
    #[arg(long)]
    pub no_wait: bool,

    /// Stop waiting if no outcome arrives for this long
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = duration, conflicts_with = "no_wait")]
    pub wait: Duration,
}

impl PaceArgs {
    /// All at once, for what has no outcomes to wait for.
    pub fn plain() -> PaceArgs {
        PaceArgs { canary: None, no_wait: false, wait: Duration::from_secs(120) }
    }
}

#[derive(Args)]
pub struct RetryArgs {
    #[command(flatten)]
    pub selection: SelectionArgs,

    /// Only automatic retries that are due now
    #[arg(long, conflicts_with_all = ["ids", "all", "status", "error_type", "field", "group", "topic", "since", "until", "text"])]
    pub due: bool,

    #[command(flatten)]
    pub pace: PaceArgs,
}

#[derive(Args)]
pub struct EditArgs {
    #[command(flatten)]
    pub selection: SelectionArgs,

    /// Set a field. The value is parsed as JSON (1, null, "x") if it is valid JSON, otherwise taken as text
    #[arg(long, value_name = "FIELD=VALUE", help_heading = "Edit")]
    pub set: Vec<String>,

    /// Rename a field
    #[arg(long, value_name = "OLD=NEW", help_heading = "Edit")]
    pub rename: Vec<String>,

    /// Convert a value to an integer or to text
    #[arg(long, value_name = "FIELD=integer|text", help_heading = "Edit")]
    pub cast: Vec<String>,

    /// Remove a field
    #[arg(long, value_name = "FIELD", help_heading = "Edit")]
    pub drop: Vec<String>,

    /// File with a JSON Patch, or - for standard input
    #[arg(long, value_name = "FILE", help_heading = "Edit", conflicts_with_all = ["set", "rename", "cast", "drop"])]
    pub patch: Option<PathBuf>,

    /// Replace the whole payload of one error with this file, or - for standard input. A CSV row stays
    /// a CSV row with its columns; a payload that begins with { is a JSON object
    #[arg(long, value_name = "FILE", help_heading = "Edit", conflicts_with_all = ["set", "rename", "cast", "drop", "patch"])]
    pub payload: Option<PathBuf>,

    /// Go back to the payload as it was received
    #[arg(long, help_heading = "Edit", conflicts_with_all = ["set", "rename", "cast", "drop", "patch", "payload"])]
    pub undo: bool,

    /// Only show what would change
    #[arg(long)]
    pub dry_run: bool,

    /// With ids: save the edit without sending the event
    #[arg(long)]
    pub no_retry: bool,

    /// With ids: send the event even if it would fail again
    #[arg(long)]
    pub force: bool,

    #[command(flatten)]
    pub pace: PaceArgs,
}

#[derive(Args)]
pub struct DiscardArgs {
    #[command(flatten)]
    pub selection: SelectionArgs,

    /// Why
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
}

#[derive(Args)]
pub struct UndoArgs {
    #[command(flatten)]
    pub selection: SelectionArgs,
}

#[derive(Args)]
pub struct ExportArgs {
    #[command(flatten)]
    pub filter: FilterArgs,

    /// File to write [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(Args)]
pub struct ImportArgs {
    /// File to read, or - for standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Only show what would happen to each line
    #[arg(long)]
    pub dry_run: bool,

    /// Send events even if they would fail again
    #[arg(long)]
    pub force: bool,

    /// Do not wait for the outcomes
    #[arg(long)]
    pub no_wait: bool,

    /// Stop waiting if no outcome arrives for this long
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = duration, conflicts_with = "no_wait")]
    pub wait: Duration,

    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

impl ImportArgs {
    /// How it waits.
    pub fn pace(&self) -> PaceArgs {
        PaceArgs { canary: None, no_wait: self.no_wait, wait: self.wait }
    }
}

#[derive(Args)]
pub struct JobsArgs {
    /// Maximum number
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub limit: u32,

    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct CancelArgs {
    /// Id of the bulk action
    #[arg(value_name = "JOB")]
    pub job: String,
}

#[derive(Args)]
pub struct CheckArgs {
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}
