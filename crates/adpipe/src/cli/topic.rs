//! `adpipe topic`.

use adpipe_log::{Offset, Topic};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};

use super::JsonArgs;

#[derive(Args)]
pub struct TopicArgs {
    #[command(subcommand)]
    pub action: TopicAction,
}

#[derive(Subcommand)]
pub enum TopicAction {
    /// List the topics, their partitions, and the offsets that each holds
    List(JsonArgs),
    /// Show the newest records of a topic, or those at an offset
    #[command(after_help = "\
With --partition and --offset a record is shown whole, with its headers: of ad_events_error they say
why the record was refused and where it came from. Reading changes nothing and commits no offset.

Examples:
  adpipe topic show ad_events_error
  adpipe topic show ad_events_raw --partition 2 --offset 4711
  adpipe topic show ad_events_raw --partition 2 --offset 4711 --payload > record.json
  adpipe topic show ad_events_error --limit 1000 --json")]
    Show(TopicShowArgs),
    /// Make the topics that are missing on the Kafka cluster
    #[command(after_help = "\
Topics that exist stay as they are; `adpipe doctor` checks their settings. The embedded log makes its
own topics. Safe to run again: for the step that sets up a deployment.

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

    /// Begin at this offset
    #[arg(long, value_name = "OFFSET", requires = "partition", value_parser = clap::value_parser!(u64).map(Offset))]
    pub offset: Option<Offset>,

    /// At most so many records [default: 20; with --offset 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub limit: Option<u64>,

    /// Print the payload of the record as it is, and nothing else
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
