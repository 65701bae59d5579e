//! Posting to the webhook.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};

use crate::error::NotifyError;
use crate::webhook::Webhook;

/// How long a post may take as a whole.
const TIMEOUT: Duration = Duration::from_secs(15);

/// What is waited after a 429 that does not say how long.
const RETRY_AFTER_UNSAID: Duration = Duration::from_secs(30);

/// No wait is longer, whatever the server says.
const RETRY_AFTER_MOST: Duration = Duration::from_secs(3_600);

/// Of an answer no more is read.
const ANSWER_BYTES: u64 = 4_096;

/// What became of a post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Slack has it.
    Taken,
    /// 429: everything has to wait so long.
    Wait(Duration),
    /// Not now: no answer, or a server's trouble. The reason, for people.
    Later(String),
    /// Never: the message or the webhook is wrong. Slack's word for it: `invalid_payload`,
    /// `no_service`, `channel_is_archived`.
    Refused(String),
}

/// A client of one webhook.
pub struct Client {
    agent: ureq::Agent,
    webhook: Webhook,
}

impl Client {
    /// Creates it; does not connect yet.
    ///
    /// # Errors
    /// When this machine's certificates cannot be read.
    pub fn new(webhook: Webhook) -> Result<Client, NotifyError> {
        let mut config = ureq::Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("adpipe/", env!("CARGO_PKG_VERSION")));
        if webhook.is_loopback() {
            config = config.proxy(None);
        } else {
            config = config.tls_config(tls()?);
        }
        Ok(Client { agent: config.build().new_agent(), webhook })
    }

    /// Where the messages go.
    pub fn webhook(&self) -> &Webhook {
        &self.webhook
    }

    /// Posts a message, as JSON.
    pub fn post(&self, body: &str) -> Answer {
        let request = self.agent.post(self.webhook.secret()).header("content-type", "application/json");
        let mut response = match request.send(body) {
            Ok(response) => response,
            // No message of ours holds the address.
            Err(error) => return Answer::Later(self.webhook.scrub(&error.to_string())),
        };
        let status = response.status().as_u16();
        let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
        let retry_after = retry_after.and_then(|value| value.trim().parse().ok()).map(Duration::from_secs);
        let mut answer = Vec::new();
        let read = response.body_mut().as_reader().take(ANSWER_BYTES).read_to_end(&mut answer);
        if let Err(error) = read {
            return Answer::Later(self.webhook.scrub(&format!("HTTP {status}, then {error}")));
        }
        let text = self.webhook.scrub(String::from_utf8_lossy(&answer).trim());
        let said: String = text.chars().filter(|letter| !letter.is_control()).collect();
        let verdict = verdict(&said);
        let said: String = said.chars().take(200).collect();
        match status {
            200..=299 => verdict,
            429 => Answer::Wait(retry_after.unwrap_or(RETRY_AFTER_UNSAID).min(RETRY_AFTER_MOST)),
            // Slack does not redirect: something is in between.
            300..=399 | 408 | 500..=599 => {
                Answer::Later(format!("HTTP {status} {said}").trim_end().to_owned())
            }
            _ => Answer::Refused(format!("HTTP {status} {said}").trim_end().to_owned()),
        }
    }
}

/// What the body of a success says. Slack answers `ok`, Mattermost too, Rocket.Chat
/// `{"success":true}`, others nothing at all. Slack's Web API refuses with 200 and `{"ok":false}`,
/// and a proxy that asks for a sign-in answers 200 with a page.
fn verdict(said: &str) -> Answer {
    if said.starts_with('<') {
        return Answer::Later("a web page instead of Slack's answer; is a proxy in the way?".to_owned());
    }
    let Ok(serde_json::Value::Object(answer)) = serde_json::from_str(said) else {
        return Answer::Taken;
    };
    let is_refused =
        ["ok", "success"].iter().any(|key| answer.get(*key) == Some(&serde_json::Value::Bool(false)));
    if !is_refused {
        return Answer::Taken;
    }
    let reason = ["error", "message"].iter().find_map(|key| answer.get(*key)?.as_str());
    Answer::Refused(reason.unwrap_or(said).to_owned())
}

/// What to do about a refusal.
pub fn advice(refusal: &str) -> &'static str {
    let has = |words: &[&str]| words.iter().any(|word| refusal.contains(word));
    if has(&["no_service", "no_active_hooks", "invalid_token", "no_team", "team_disabled", "user_not_found"])
    {
        return "the webhook is gone or switched off: make a new one in Slack and set its address";
    }
    if has(&["channel_is_archived", "channel_not_found"]) {
        return "the webhook's channel is gone: make a webhook for another channel and set its address";
    }
    if has(&["action_prohibited", "posting_to_general"]) {
        return "the workspace does not let this webhook post there: ask its admin, or take another channel";
    }
    if has(&["invalid_payload", "invalid_blocks", "too_many_attachments", "no_text"]) {
        return "Slack does not understand the message: please report this with the file in refused/";
    }
    "look up Slack's word in its documentation of incoming webhooks"
}

/// One provider of cryptography for the whole program, and the roots that this machine trusts.
fn tls() -> Result<TlsConfig, NotifyError> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        let reason = found.errors.first().map_or_else(String::new, |error| format!(" ({error})"));
        return Err(NotifyError::Start(format!(
            "no certificate authorities are found on this machine{reason}; install the package ca-certificates"
        )));
    }
    let roots: Vec<Certificate<'static>> =
        found.certs.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect();
    Ok(TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .root_certs(RootCerts::Specific(Arc::new(roots)))
        .build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_success_is_believed_only_when_its_body_says_so() {
        for body in ["ok", "", "{\"success\":true}", "{\"ok\":true}", "1"] {
            assert_eq!(verdict(body), Answer::Taken, "{body}");
        }
        let refused = |reason: &str| Answer::Refused(reason.to_owned());
        assert_eq!(verdict(r#"{"ok":false,"error":"channel_not_found"}"#), refused("channel_not_found"));
        assert_eq!(verdict(r#"{"success":false,"message":"no hook"}"#), refused("no hook"));
        assert_eq!(verdict(r#"{"ok":false}"#), refused(r#"{"ok":false}"#));
        assert!(matches!(verdict("<!DOCTYPE html><title>Sign in</title>"), Answer::Later(_)));
    }
}
