//! Opening connections: within a bounded time, with the session's settings.

use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use adpipe_sql::section;
use postgres::{CancelToken, Client, SimpleQueryMessage};

use super::failure::failure;
use super::pooler::refuse_shared_sessions;
use super::settings::PostgresSettings;
use crate::WarehouseError;

const SESSION_SQL: &str = include_str!("../../sql/postgres/session.sql");
const WRITER: &str = section(SESSION_SQL, "writer");
const READER: &str = section(SESSION_SQL, "reader");
const SNAPSHOT: &str = section(SESSION_SQL, "snapshot");
const COMMIT_WITHOUT_SYNC: &str = section(SESSION_SQL, "commit_without_sync");
const SERVER: &str = section(SESSION_SQL, "server");
const ENCODING: &str = section(SESSION_SQL, "encoding");

/// The driver bounds the TCP handshake only. A name service or a server that accepts and then
/// says nothing must not hold anybody up longer than this either.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(8);

/// PostgreSQL 15.
const OLDEST_VERSION: i32 = 150_000;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Writing,
    Reading,
    /// Reading, all of it as of one moment.
    Snapshot,
}

/// What kind of server answers.
pub(super) struct Server {
    /// As `server_version_num`: 150004 is 15.4.
    pub version: i32,
    /// A standby: it only reads.
    pub is_standby: bool,
    /// By a setting of the server, the database or the user, transactions only read.
    pub is_read_only: bool,
}

/// Connects and settles the session.
pub(super) fn connect(settings: &PostgresSettings, purpose: Purpose) -> Result<Client, WarehouseError> {
    settle(settings, connect_in_time(settings)?, purpose)
}

/// As [`connect`], where a process meets the server for the first time: refuses one that is not fit
/// for adpipe before anything is set or written there.
pub(super) fn connect_first(settings: &PostgresSettings, purpose: Purpose) -> Result<Client, WarehouseError> {
    let mut client = connect_in_time(settings)?;
    refuse_shared_sessions(settings, &mut client)?;
    refuse_encoding(settings, &mut client)?;
    settle(settings, client, purpose)
}

fn settle(
    settings: &PostgresSettings,
    mut client: Client,
    purpose: Purpose,
) -> Result<Client, WarehouseError> {
    let session = match purpose {
        Purpose::Writing => WRITER,
        Purpose::Reading => READER,
        Purpose::Snapshot => SNAPSHOT,
    };
    let settled = client.batch_execute(session).and_then(|()| {
        if purpose == Purpose::Writing && !settings.synchronous_commit {
            client.batch_execute(COMMIT_WITHOUT_SYNC)
        } else {
            Ok(())
        }
    });
    settled.map_err(|error| failure(settings.location(), &error))?;
    Ok(client)
}

pub(super) fn connect_in_time(settings: &PostgresSettings) -> Result<Client, WarehouseError> {
    let (sender, receiver) = sync_channel(1);
    let attempt = settings.clone();
    let unavailable = |reason: String| WarehouseError::Unavailable {
        location: settings.location().to_owned(),
        reason,
        advice: "check that the server is alive and that host and port in warehouse.url are right",
    };
    std::thread::Builder::new()
        .name("postgres-connect".to_owned())
        .spawn(move || drop(sender.send(open(&attempt))))
        .map_err(|error| unavailable(error.to_string()))?;
    match receiver.recv_timeout(CONNECT_TIMEOUT) {
        Ok(result) => result,
        Err(RecvTimeoutError::Timeout) => {
            Err(unavailable(format!("no answer within {} s", CONNECT_TIMEOUT.as_secs())))
        }
        Err(RecvTimeoutError::Disconnected) => Err(unavailable("the driver panicked".to_owned())),
    }
}

#[cfg(feature = "postgres-tls")]
fn open(settings: &PostgresSettings) -> Result<Client, WarehouseError> {
    let result = match settings.config().get_ssl_mode() {
        postgres::config::SslMode::Disable => settings.config().connect(postgres::NoTls),
        _ => settings.config().connect(super::tls::connector(settings)?),
    };
    result.map_err(|error| failure(settings.location(), &error))
}

#[cfg(not(feature = "postgres-tls"))]
fn open(settings: &PostgresSettings) -> Result<Client, WarehouseError> {
    if settings.config().get_ssl_mode() != postgres::config::SslMode::Disable {
        return Err(WarehouseError::Unusable {
            location: settings.location().to_owned(),
            reason: "this adpipe was built without TLS".to_owned(),
            advice: "build it with the feature postgres-tls, or, on a network that is trusted, add ?sslmode=disable \
                     to warehouse.url",
        });
    }
    settings.config().connect(postgres::NoTls).map_err(|error| failure(settings.location(), &error))
}

/// Asks the server to end what a connection runs. It may have ended by itself, so nothing is said
/// when that fails.
pub(super) fn cancel(settings: &PostgresSettings, token: &CancelToken) {
    #[cfg(feature = "postgres-tls")]
    if settings.config().get_ssl_mode() != postgres::config::SslMode::Disable {
        if let Ok(connector) = super::tls::connector(settings) {
            let _ = token.cancel_query(connector);
        }
        return;
    }
    let _ = (settings, token.cancel_query(postgres::NoTls));
}

/// Asks what the server is, and refuses one that is too old.
pub(super) fn inspect(settings: &PostgresSettings, client: &mut Client) -> Result<Server, WarehouseError> {
    let row = client.query_one(SERVER, &[]).map_err(|error| failure(settings.location(), &error))?;
    let server = Server { version: row.get(0), is_standby: row.get(1), is_read_only: row.get(2) };
    match too_old(server.version) {
        None => Ok(server),
        Some(reason) => Err(WarehouseError::Unusable {
            location: settings.location().to_owned(),
            reason,
            advice: "update the server",
        }),
    }
}

/// The refusal of a server that only reads.
pub(super) fn refuse_read_only(settings: &PostgresSettings, server: &Server) -> Result<(), WarehouseError> {
    let (reason, advice) = match (server.is_standby, server.is_read_only) {
        (true, _) => (
            "this server is a standby and only reads",
            "name the primary server in warehouse.url, or promote this one",
        ),
        (false, true) => (
            "default_transaction_read_only is on, so nothing can be written",
            "turn it off for this server, database or user, or name another server in warehouse.url",
        ),
        (false, false) => return Ok(()),
    };
    Err(WarehouseError::Unavailable {
        location: settings.location().to_owned(),
        reason: reason.to_owned(),
        advice,
    })
}

/// Events hold any character. A database in another encoding refuses most of them, and measures
/// text in bytes or in other characters than the rules do.
fn refuse_encoding(settings: &PostgresSettings, client: &mut Client) -> Result<(), WarehouseError> {
    let messages = client.simple_query(ENCODING).map_err(|error| failure(settings.location(), &error))?;
    let encoding = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    match encoding {
        Some("UTF8") | None => Ok(()),
        Some(other) => Err(WarehouseError::Unusable {
            location: settings.location().to_owned(),
            reason: format!("the database's encoding is {other}, and adpipe needs UTF8"),
            advice: "create another database with `createdb -E UTF8 -T template0 NAME` and name it in warehouse.url",
        }),
    }
}

fn too_old(version: i32) -> Option<String> {
    (version < OLDEST_VERSION).then(|| {
        format!(
            "PostgreSQL {} is too old, adpipe requires {} or newer",
            version / 10_000,
            OLDEST_VERSION / 10_000
        )
    })
}

#[cfg(test)]
mod tests {
    use super::too_old;

    #[test]
    fn fifteen_is_new_enough() {
        assert_eq!(too_old(150_000), None);
        assert_eq!(too_old(140_019).unwrap(), "PostgreSQL 14 is too old, adpipe requires 15 or newer");
    }
}
