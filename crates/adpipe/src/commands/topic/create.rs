//! `adpipe topic create`: the topics of a Kafka cluster, as adpipe needs them.

use serde_json::json;

use crate::config::Config;
use crate::log_place::LogPlace;
use crate::output;

/// Makes the topics that are missing and leaves the others as they are.
pub fn run(config: &Config, as_json: bool) -> anyhow::Result<()> {
    let (made, location) = match LogPlace::of(config)? {
        LogPlace::Embedded(folder) => (Vec::new(), folder.join("log.db").display().to_string()),
        #[cfg(feature = "kafka")]
        LogPlace::Kafka(options) => {
            let log = adpipe_log::kafka::KafkaLog::connect(options.clone())?;
            let missing = log.missing_topics()?;
            if !missing.is_empty() {
                log.create_topics(config.log.max_age.0)?;
            }
            let names = missing.into_iter().map(|topic| options.topic_name(topic));
            (names.collect(), adpipe_log::EventLog::location(&log))
        }
    };
    if as_json {
        return output::json(&json!({"made": made}));
    }
    for topic in &made {
        output::line(&format!("made {topic}"))?;
    }
    if made.is_empty() {
        output::line(&format!("nothing to create: {location} has all topics"))?;
    }
    Ok(())
}
