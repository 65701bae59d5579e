//! Why the console cannot start or continue.

use std::io;

/// A failure of the console itself; failures of a single request are answered to the client.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    /// Another program already listens there.
    #[error(
        "port {port} on {host} is in use; end the other program or set console.port to another one (0 takes any)"
    )]
    PortInUse {
        /// `console.host`.
        host: String,
        /// `console.port`.
        port: u16,
    },
    /// This user may not use the port.
    #[error("port {port} on {host} may not be used by this user; set console.port to 1024 or above")]
    PortForbidden {
        /// `console.host`.
        host: String,
        /// `console.port`.
        port: u16,
    },
    /// Reachable by others, and everybody could read and write.
    #[error(
        "console.host {host} can be reached by other machines, so a token is required; set ADPIPE_CONSOLE__TOKEN, or console.host = \"127.0.0.1\""
    )]
    TokenNeeded {
        /// `console.host`.
        host: String,
    },
    /// Reachable by others, and the token could be guessed.
    #[error(
        "console.host {host} can be reached by other machines, so the token must have at least 16 characters; make one with `openssl rand -hex 24`"
    )]
    TokenShort {
        /// `console.host`.
        host: String,
    },
    /// It could not be sent in a cookie or header.
    #[error("console.token may only hold letters, digits and - . _ ~ + / =, and at least one of them")]
    TokenUnusable,
    /// The name or address is not one of this machine.
    #[error("cannot listen on console.host {host}, console.port {port}: {source}")]
    Listen {
        /// `console.host`.
        host: String,
        /// `console.port`.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
    /// A fault in a template or a text: ours, caught by the first test.
    #[error("console page: {0}")]
    Page(String),
}

/// `/metrics` cannot be served.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot listen on metrics.host {host}, metrics.port {port}: {source}; name a free port of this machine, or 0 for none"
)]
pub struct MetricsError {
    /// `metrics.host`.
    pub host: String,
    /// `metrics.port`.
    pub port: u16,
    /// What the system said.
    pub source: io::Error,
}
