//! The three topics of the pipeline, named once for the log, the warehouse and the metrics.

/// A topic of the event log (`docs/ARCHITECTURE.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// Raw events as they came in.
    Raw,
    /// Records that could not be counted, with why in their headers.
    Error,
    /// Retries that are due.
    Retry,
}

impl Topic {
    /// Every topic.
    pub const ALL: [Topic; 3] = [Topic::Raw, Topic::Error, Topic::Retry];

    /// The topic's name, the same in Kafka, in SQL and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Topic::Raw => "ad_events_raw",
            Topic::Error => "ad_events_error",
            Topic::Retry => "ad_events_retry",
        }
    }

    /// How many partitions a new log gives the topic.
    pub fn default_partitions(self) -> u32 {
        match self {
            Topic::Raw => 3,
            Topic::Error | Topic::Retry => 1,
        }
    }

    /// The topic of that name.
    pub fn from_name(name: &str) -> Option<Topic> {
        Topic::ALL.into_iter().find(|topic| topic.name() == name)
    }
}
