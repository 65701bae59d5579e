//! What librdkafka says while it works: the reason behind a call that only "timed out".

use std::sync::{Mutex, PoisonError};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;

/// What went wrong last, in librdkafka's words.
#[derive(Debug, Clone)]
pub(super) struct Trouble {
    pub code: RDKafkaErrorCode,
    pub reason: String,
}

/// Remembers the newest trouble of a client.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    newest: Mutex<Option<Trouble>>,
}

impl Troubles {
    pub fn newest(&self) -> Option<Trouble> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn forget(&self) {
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub fn note(&self, error: &KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else { return };
        // "All brokers are down" and "end of partition" explain nothing.
        if matches!(code, RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::PartitionEOF) {
            return;
        }
        tracing::debug!(?code, reason, "kafka");
        let trouble = Trouble { code, reason: shortened(reason) };
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = Some(trouble);
    }
}

/// The context of clients that join no group.
#[derive(Debug, Default)]
pub(super) struct PlainContext {
    pub troubles: Troubles,
}

impl ClientContext for PlainContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.troubles.note(&error, reason);
    }
}

impl rdkafka::consumer::ConsumerContext for PlainContext {}

/// librdkafka's own log: whatever a person has to know comes from us, so it is only for `-vv`.
pub(super) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    tracing::debug!(?level, facility, message, "librdkafka");
}

/// The code of an answer; rdkafka gives it as the C library does.
pub(super) fn code_of(error: RDKafkaRespErr) -> RDKafkaErrorCode {
    error.into()
}

/// `127.0.0.1:9/bootstrap: Connect to … failed: Connection refused (after 0ms in state CONNECT)`
/// without what helps nobody.
fn shortened(reason: &str) -> String {
    let reason = reason.split(" (after ").next().unwrap_or(reason);
    match reason.split_once("/bootstrap: ") {
        Some((_, rest)) => rest.to_owned(),
        None => reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::shortened;

    #[test]
    fn reasons_lose_what_helps_nobody() {
        let reason = "127.0.0.1:9/bootstrap: Connect to ipv4#127.0.0.1:9 failed: Connection refused (after 0ms in state CONNECT)";
        assert_eq!(shortened(reason), "Connect to ipv4#127.0.0.1:9 failed: Connection refused");
    }
}
