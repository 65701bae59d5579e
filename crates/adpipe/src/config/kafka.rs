//! `[log.kafka]`: settings handed to librdkafka as they are, secrets among them.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

/// A setting with this end names a file that holds its value.
const FILE_SUFFIX: &str = "_file";

/// Shown in place of a secret.
const HIDDEN: &str = "(hidden)";

/// librdkafka's settings by name. Never shown with their secrets, not even by `{:?}`.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
pub struct KafkaSettings(BTreeMap<String, String>);

impl KafkaSettings {
    /// The settings, those of files read.
    ///
    /// # Errors
    /// What cannot be read, in words.
    #[cfg(feature = "kafka")]
    pub fn resolved(&self) -> Result<BTreeMap<String, String>, String> {
        let mut resolved = BTreeMap::new();
        for (key, value) in &self.0 {
            match key.strip_suffix(FILE_SUFFIX) {
                None => drop(resolved.insert(key.clone(), value.clone())),
                Some(key) => {
                    let secret = adpipe_sql::text::read(value.as_ref())
                        .map_err(|error| format!("{key}{FILE_SUFFIX}: cannot read {value}: {error}"))?;
                    resolved.insert(key.to_owned(), secret.trim().to_owned());
                }
            }
        }
        Ok(resolved)
    }

    #[cfg(feature = "kafka")]
    pub fn set(&mut self, key: &str, value: &str) {
        self.0.insert(key.to_owned(), value.to_owned());
    }

    /// A secret that is written out in the file, where it does not belong.
    pub fn plain_secret(&self) -> Option<&str> {
        let is_plain = |key: &&String| is_secret(key) && !key.ends_with(FILE_SUFFIX);
        self.0.keys().find(is_plain).map(String::as_str)
    }

    /// The same with every secret hidden.
    pub fn redacted(&self) -> KafkaSettings {
        let shown = |(key, value): (&String, &String)| {
            let is_secret = is_secret(key) && !key.ends_with(FILE_SUFFIX);
            (key.clone(), if is_secret { HIDDEN.to_owned() } else { value.clone() })
        };
        KafkaSettings(self.0.iter().map(shown).collect())
    }
}

/// The name of a setting in the environment, where names have no dots: `sasl_password`, and
/// `sasl_password_file` for a file.
pub fn name_from_variable(variable: &str) -> String {
    match variable.strip_suffix(FILE_SUFFIX) {
        Some(name) => name.replace('_', ".") + FILE_SUFFIX,
        None => variable.replace('_', "."),
    }
}

#[cfg(feature = "kafka")]
fn is_secret(key: &str) -> bool {
    adpipe_log::kafka::is_secret(key)
}

/// Without the client nothing is known of its settings, so nothing is shown.
#[cfg(not(feature = "kafka"))]
fn is_secret(_key: &str) -> bool {
    true
}

impl std::fmt::Debug for KafkaSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.redacted().0.iter()).finish()
    }
}

impl<'de> Deserialize<'de> for KafkaSettings {
    /// Numbers and booleans are taken as well: librdkafka knows only text.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<KafkaSettings, D::Error> {
        let table = BTreeMap::<String, toml::Value>::deserialize(deserializer)?;
        let mut settings = BTreeMap::new();
        for (key, value) in table {
            let text = match value {
                toml::Value::String(text) => text,
                toml::Value::Integer(number) => number.to_string(),
                toml::Value::Boolean(flag) => flag.to_string(),
                // `sasl.username = "x"` without quotes around the key is a table of TOML's.
                toml::Value::Table(_) => {
                    return Err(serde::de::Error::custom(format!(
                        "put the whole name of the setting in quotes: \"{key}.…\" = \"…\""
                    )));
                }
                _ => {
                    return Err(serde::de::Error::custom(format!(
                        "{key} is not a text, a number or true/false"
                    )));
                }
            };
            settings.insert(key, text);
        }
        Ok(KafkaSettings(settings))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "kafka")]
    #[test]
    fn secrets_come_from_files_and_are_hidden() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "hunter2\n").unwrap();
        let text = format!(
            "\"session.timeout.ms\" = 6000\n\"ssl.key.password\" = \"s3cret\"\n\"sasl.password_file\" = \"{}\"",
            file.display()
        );
        let settings: KafkaSettings = toml::from_str(&text).unwrap();
        let resolved = settings.resolved().unwrap();
        assert_eq!(resolved["sasl.password"], "hunter2");
        assert_eq!(resolved["session.timeout.ms"], "6000");
        let shown = format!("{settings:?} {}", toml::to_string(&settings.redacted()).unwrap());
        assert!(!shown.contains("s3cret") && !shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("sasl.password_file"), "{shown}");
    }

    #[test]
    fn an_unquoted_name_is_explained() {
        let error = toml::from_str::<KafkaSettings>("sasl.username = \"x\"").unwrap_err();
        assert!(error.to_string().contains("in quotes"), "{error}");
        assert_eq!(name_from_variable("sasl_password"), "sasl.password");
        assert_eq!(name_from_variable("ssl_key_password_file"), "ssl.key.password_file");
    }
}
