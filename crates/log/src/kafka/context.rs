//! What librdkafka says while it works: the reason for a call that only "timed out".

use std::sync::{Mutex, PoisonError};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;

/// A connection of less than this, in ms, has just been made.
const YOUNG_MS: u32 = 2_000;

/// What went wrong last, in librdkafka's words.
#[derive(Debug, Clone)]
pub(super) struct ClientError {
    pub code: RDKafkaErrorCode,
    pub reason: String,
}

/// Remembers the newest error of a client.
#[derive(Debug, Default)]
pub(super) struct NewestError {
    newest: Mutex<Option<ClientError>>,
}

impl NewestError {
    pub fn newest(&self) -> Option<ClientError> {
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
        self.set(ClientError { code, reason: shortened(reason).to_owned() });
    }

    /// Takes librdkafka's log: a client that was connected before reports why it cannot connect
    /// again only there. Whatever a person has to know comes from us, so the rest is for `-vv`.
    pub fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(?level, facility, message, "librdkafka");
        let reason = shortened(message);
        let is_error = (level as i32) <= (RDKafkaLogLevel::Error as i32);
        if facility != "FAIL" || !(is_error || was_turned_away(message)) {
            return;
        }
        let code = match reason {
            _ if reason.contains("resolve") => RDKafkaErrorCode::Resolve,
            _ if reason.contains("authentication") => RDKafkaErrorCode::Authentication,
            _ if reason.contains("SSL handshake") => RDKafkaErrorCode::SSL,
            _ => RDKafkaErrorCode::BrokerTransportFailure,
        };
        // An error event with the same words knows its code.
        if self.newest().is_none_or(|newest| newest.reason != reason) {
            self.set(ClientError { code, reason: reason.to_owned() });
        }
    }

    fn set(&self, error: ClientError) {
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}

/// The context of clients that join no group.
#[derive(Debug, Default)]
pub(super) struct PlainContext {
    pub newest_error: NewestError,
}

impl ClientContext for PlainContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.newest_error.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.newest_error.note(&error, reason);
    }
}

impl rdkafka::consumer::ConsumerContext for PlainContext {}

/// The code of an answer; rdkafka gives it as the C library does.
pub(super) fn code_of(error: RDKafkaRespErr) -> RDKafkaErrorCode {
    error.into()
}

/// True for a broker that hung up on a connection that was just made: it wanted TLS or a password.
/// librdkafka takes a broker that hangs up for no error, as one may do so to an idle connection.
fn was_turned_away(message: &str) -> bool {
    let age = message.split_once(" (after ").and_then(|(_, rest)| rest.split_once("ms in state"));
    let is_young = age.and_then(|(ms, _)| ms.parse().ok()).is_some_and(|ms: u32| ms < YOUNG_MS);
    is_young && message.contains("isconnected")
}

/// `[thrd:…]: 127.0.0.1:9/1: Connect to … failed: Connection refused (after 0ms in state CONNECT)`
/// without what does not help.
fn shortened(reason: &str) -> &str {
    let mut rest = reason.split(" (after ").next().unwrap_or(reason);
    while let Some((before, behind)) = rest.split_once(": ") {
        let names_thread = before.starts_with("[thrd:");
        let names_broker = before.contains('/') && before.contains(':') && !before.contains(' ');
        if !names_thread && !names_broker {
            break;
        }
        rest = behind;
    }
    rest
}

#[cfg(test)]
mod tests {
    use rdkafka::config::RDKafkaLogLevel;

    use super::{NewestError, shortened};

    #[test]
    fn a_broker_that_hangs_up_at_once_is_trouble() {
        let newest_error = NewestError::default();
        let hung_up =
            "127.0.0.1:9/bootstrap: Disconnected: connection closed by peer: receive 0 after POLLIN";
        newest_error.log(RDKafkaLogLevel::Info, "FAIL", &format!("{hung_up} (after 601000ms in state UP)"));
        assert!(newest_error.newest().is_none());
        newest_error.log(RDKafkaLogLevel::Info, "FAIL", &format!("{hung_up} (after 9ms in state UP)"));
        assert!(newest_error.newest().unwrap().reason.starts_with("Disconnected"));
    }

    #[test]
    fn reasons_lose_what_helps_nobody() {
        let reason = "127.0.0.1:9/bootstrap: Connect to ipv4#127.0.0.1:9 failed: Connection refused (after 0ms in state CONNECT)";
        let short = "Connect to ipv4#127.0.0.1:9 failed: Connection refused";
        assert_eq!(shortened(reason), short);
        let log =
            format!("[thrd:127.0.0.1:9/1]: 127.0.0.1:9/1: {short} (after 0ms in state CONNECT, 1 identical)");
        assert_eq!(shortened(&log), short);
    }
}
