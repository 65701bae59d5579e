//! The address of the webhook: anyone who knows it can post, so it is a secret.

use std::fmt;
use std::path::Path;

use crate::error::NotifyError;

/// The variable that holds it.
pub const VARIABLE: &str = "ADPIPE_NOTIFY__SLACK_WEBHOOK";

/// What is said wherever no webhook is set.
pub const HOW_TO_SET: &str = "set ADPIPE_NOTIFY__SLACK_WEBHOOK, or name a file that holds the address as \
                              notify.webhook_file (docs/SLACK.md)";

/// An address of an incoming webhook. It cannot be printed: `{}` and `{:?}` mask it.
#[derive(Clone, PartialEq, Eq)]
pub struct Webhook {
    address: String,
    host: String,
}

impl Webhook {
    /// Takes it from the variable, else from the file, else there is none.
    ///
    /// # Errors
    /// When the file cannot be read, or the address is none.
    pub fn find(variable: Option<&str>, file: &str) -> Result<Option<Webhook>, NotifyError> {
        if let Some(address) = variable.map(str::trim).filter(|address| !address.is_empty()) {
            return Webhook::parse(address, VARIABLE).map(Some);
        }
        if file.is_empty() {
            return Ok(None);
        }
        let text = adpipe_sql::text::read(Path::new(file)).map_err(|error| {
            NotifyError::Webhook(format!("notify.webhook_file: {file} cannot be read: {error}"))
        })?;
        Webhook::parse(text.trim(), "notify.webhook_file").map(Some)
    }

    /// Reads an address; `place` is where it came from, for messages, which do not repeat it.
    ///
    /// # Errors
    /// When it is not `https://HOST/PATH`; `http` only to this machine.
    pub fn parse(address: &str, place: &str) -> Result<Webhook, NotifyError> {
        let wrong = |what: &str| Err(NotifyError::Webhook(format!("{place}: {what}")));
        if address.is_empty()
            || address.contains(|letter: char| letter.is_whitespace() || letter.is_control())
        {
            return wrong("must hold one address, in one line: https://hooks.slack.com/services/…");
        }
        let Some((scheme, rest)) = address.split_once("://") else {
            return wrong("is not an address; write https://hooks.slack.com/services/…");
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let host = authority.to_owned();
        if host.is_empty() || host.contains('@') || path.is_empty() {
            return wrong("is not a webhook's address; write https://hooks.slack.com/services/…");
        }
        match scheme {
            "https" => {}
            "http" if is_loopback(&host) => {}
            "http" => return wrong("is not encrypted; write https://…"),
            _ => return wrong("must begin with https://"),
        }
        Ok(Webhook { address: address.to_owned(), host })
    }

    /// Host and port.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether it is on this machine.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.host)
    }

    /// The address itself, for the client alone.
    pub(crate) fn secret(&self) -> &str {
        &self.address
    }

    /// A text without the address, or the part of it that is secret, in it.
    pub fn scrub(&self, text: &str) -> String {
        let path = self.address.splitn(4, '/').nth(3).unwrap_or_default();
        text.replace(&self.address, "(hidden)").replace(path, "(hidden)")
    }
}

fn is_loopback(authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    let is_address = host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    host == "localhost" || is_address
}

impl fmt::Display for Webhook {
    /// Scheme, host and the beginnings of what is not the secret proper, to distinguish two webhooks.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = self.address.split_once("://").unwrap_or(("https", ""));
        write!(f, "{scheme}://{}", self.host)?;
        let parts: Vec<&str> = rest.split('/').skip(1).collect();
        for (index, part) in parts.iter().enumerate() {
            match *part {
                "services" => f.write_str("/services")?,
                part if index + 1 < parts.len() => {
                    write!(f, "/{}…", part.chars().take(2).collect::<String>())?;
                }
                _ => f.write_str("/…")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Webhook({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: &str = "https://hooks.slack.com/services/T0123/B0456/s3cr3tS3cr3t";

    #[test]
    fn it_is_masked_wherever_it_is_shown() {
        let webhook = Webhook::parse(ADDRESS, "here").unwrap();
        assert_eq!(webhook.to_string(), "https://hooks.slack.com/services/T0…/B0…/…");
        assert!(!format!("{webhook:?}").contains("s3cr3t"));
        let scrubbed = webhook.scrub(&format!("cannot post to {ADDRESS}: services/T0123/B0456/s3cr3tS3cr3t"));
        assert!(!scrubbed.contains("s3cr3t") && !scrubbed.contains("T0123"), "{scrubbed}");
    }

    #[test]
    fn only_encrypted_or_on_this_machine() {
        for good in [ADDRESS, "http://127.0.0.1:9/services/x", "http://[::1]:9/x", "http://localhost:9/x"] {
            assert!(Webhook::parse(good, "here").is_ok(), "{good}");
        }
        for wrong in [
            "http://hooks.slack.com/services/s3cr3t",
            "http://127.0.0.1.example/services/s3cr3t",
            "http://localhost@example/s3cr3t",
            "ftp://hooks.slack.com/s3cr3t",
            "hooks.slack.com/services/s3cr3t",
            "https:///s3cr3t",
            "https://hooks.slack.com",
            "https://hooks.slack.com/s3cr3t\nhttps://hooks.slack.com/s3cr3t",
            "",
        ] {
            let error = Webhook::parse(wrong, "here").unwrap_err().to_string();
            assert!(error.starts_with("here: ") && !error.contains("s3cr3t"), "{error}");
        }
    }

    #[test]
    fn the_variable_goes_before_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("webhook");
        std::fs::write(&file, format!("{ADDRESS}\n")).unwrap();
        let file = file.to_str().unwrap();
        assert_eq!(Webhook::find(None, file).unwrap().unwrap().host(), "hooks.slack.com");
        assert_eq!(Webhook::find(Some("https://other/x"), file).unwrap().unwrap().host(), "other");
        assert_eq!(Webhook::find(Some(""), "").unwrap(), None);
        assert!(Webhook::find(None, "/nowhere").unwrap_err().to_string().contains("/nowhere"));
    }
}
