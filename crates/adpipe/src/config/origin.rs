//! Where each value comes from: a line of the file, a variable, or a flag. What has none is a default.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::error::ConfigError;

/// What set a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A line of the file.
    File {
        path: PathBuf,
        line: usize,
    },
    Variable(String),
    /// A flag of this call.
    Flag(&'static str),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::File { path, line } => write!(f, "{}:{line}", path.display()),
            Origin::Variable(name) => f.write_str(name),
            Origin::Flag(flag) => f.write_str(flag),
        }
    }
}

/// The origin of each value that is not a default, by key: `console.port`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins(BTreeMap<String, Origin>);

impl Origins {
    /// Those of a file. What cannot be read has none: the file is refused elsewhere.
    pub(super) fn of_file(path: &Path, text: &str) -> Origins {
        let mut origins = Origins::default();
        if let Ok(table) = DeTable::parse(text) {
            origins.add_table(path, text, "", table.get_ref());
        }
        origins
    }

    fn add_table(&mut self, path: &Path, text: &str, prefix: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let key = format!("{prefix}{}", name.get_ref());
            match value.get_ref() {
                DeValue::Table(inner) => self.add_table(path, text, &format!("{key}."), inner),
                _ => {
                    let (line, _) = position(text, name.span().start);
                    self.set(key, Origin::File { path: path.to_path_buf(), line });
                }
            }
        }
    }

    /// Notes what sets a key now; what set it before is overridden.
    pub fn set(&mut self, key: impl Into<String>, origin: Origin) {
        self.0.insert(key.into(), origin);
    }

    /// What set a key; none for a default.
    pub fn get(&self, key: &str) -> Option<&Origin> {
        self.0.get(key)
    }

    /// All of them, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Origin)> {
        self.0.iter().map(|(key, origin)| (key.as_str(), origin))
    }

    /// The error with the place of the value that it is about.
    pub(super) fn placed(&self, error: ConfigError) -> ConfigError {
        match error {
            ConfigError::Key { key, message } => match self.get(key) {
                Some(origin) => ConfigError::Key { key, message: format!("{message} ({origin})") },
                None => ConfigError::Key { key, message },
            },
            other => other,
        }
    }
}

/// Line and column, both from 1.
pub(super) fn position(text: &str, byte: usize) -> (usize, usize) {
    let before = &text[..byte.min(text.len())];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_each_key_is_known() {
        let text = "[console]\n\nport = 1\n[log]\nkafka = { \"session.timeout.ms\" = 6 }\n";
        let origins = Origins::of_file(Path::new("adpipe.toml"), text);
        let found: Vec<String> = origins.iter().map(|(key, origin)| format!("{key} {origin}")).collect();
        assert_eq!(found, ["console.port adpipe.toml:3", "log.kafka.session.timeout.ms adpipe.toml:5"]);
    }
}
