//! Prometheus' exporters for PostgreSQL and for the machine. (Kafka's is a part of the broker:
//! [`crate::kafka::Kafka::start_monitored`].)

use crate::server::Server;

/// A running exporter.
pub struct Exporter(Server);

impl Exporter {
    /// postgres_exporter on this database (`postgres://USER@HOST:PORT/DATABASE`); None when it is
    /// not installed.
    ///
    /// # Panics
    /// If it does not start.
    pub fn postgres(test: &str, url: &str) -> Option<Exporter> {
        Server::start(test, "prometheus-postgres-exporter", "/", |command, _, address| {
            command
                .env("DATA_SOURCE_NAME", format!("{url}?sslmode=disable"))
                .arg(format!("--web.listen-address={address}"))
                .arg("--log.level=warn");
        })
        .map(Exporter)
    }

    /// node_exporter; None when it is not installed.
    ///
    /// # Panics
    /// If it does not start.
    pub fn node(test: &str) -> Option<Exporter> {
        Server::start(test, "prometheus-node-exporter", "/", |command, _, address| {
            command.arg(format!("--web.listen-address={address}")).arg("--log.level=warn");
        })
        .map(Exporter)
    }

    /// `host:port` of `/metrics`.
    pub fn address(&self) -> &str {
        self.0.address()
    }
}
