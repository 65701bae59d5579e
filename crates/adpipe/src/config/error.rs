//! What is wrong with the configuration.

use std::path::PathBuf;

/// What is wrong with the configuration, and where.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path} cannot be read: {reason}", path = path.display())]
    Unreadable { path: PathBuf, reason: String },
    /// A line of the file is wrong.
    #[error("{path}:{line}:{column}: {message}", path = path.display())]
    File { path: PathBuf, line: usize, column: usize, message: String },
    /// A variable is wrong.
    #[error("environment variable {name}: {message}")]
    Variable { name: String, message: String },
    /// A key has a value that cannot work.
    #[error("{key}: {message}")]
    Key { key: &'static str, message: String },
    /// A flag has a value that cannot work.
    #[error("{0}")]
    Flag(String),
}

impl ConfigError {
    /// Wrong usage of the command line, whatever the data are.
    pub fn flag(message: impl Into<String>) -> ConfigError {
        ConfigError::Flag(message.into())
    }
}
