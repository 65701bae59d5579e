//! `adpipe topic`.

use adpipe_log::{Offset, Topic};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};

use super::json::JsonArgs;

#[derive(Args)]
pub struct TopicArgs {
    #[command(subcommand)]
    pub action: TopicAction,
}

#[derive(Subcommand)]
pub enum TopicAction {
    /// List the topics, their partitions and offsets
    List(JsonArgs),
    /// Show the newest records of a topic, or those at an offset
    #[command(after_help = "\
With --partition and --offset, adpipe shows the whole record with its headers. In ad_events_error,
headers say why the record is invalid and where it came from. Reading changes nothing and commits no
offset.

Examples:
  adpipe topic show ad_events_error
  adpipe topic show ad_events_raw --partition 2 --offset 4711
  adpipe topic show ad_events_raw --partition 2 --offset 4711 --payload > record.json
  adpipe topic show ad_events_error --limit 1000 --json")]
    Show(TopicShowArgs),
    /// Create missing topics on the Kafka cluster
    #[command(after_help = "\
Existing topics stay as they are; `adpipe doctor` checks their settings. The embedded log creates its
own topics. You can run it again at any time, for example whenever you deploy.

Examples:
  adpipe topic create
  ADPIPE_LOG__URL=kafka://broker:9092 adpipe topic create")]
    Create(JsonArgs),
}

#[derive(Args)]
pub struct TopicShowArgs {
    /// The topic
    #[arg(value_parser = topics())]
    pub topic: Topic,

    /// Only this partition
    #[arg(long, value_name = "P")]
    pub partition: Option<u32>,

    /// Start at this offset
    #[arg(long, value_name = "OFFSET", requires = "partition", value_parser = clap::value_parser!(u64).map(Offset))]
    pub offset: Option<Offset>,

    /// Maximum number of records [default: 20; with --offset 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub limit: Option<u64>,

    /// Print only the payload of the record, unchanged
    #[arg(long, requires = "offset", conflicts_with_all = ["json", "limit"])]
    pub payload: bool,

    /// Print the result as JSON, one object a line
    #[arg(long)]
    pub json: bool,
}

fn topics() -> impl TypedValueParser<Value = Topic> {
    let names = PossibleValuesParser::new(Topic::ALL.map(Topic::name));
    names.try_map(|name| Topic::from_name(&name).ok_or("there is no such topic"))
}
