//! PostgreSQL's errors, sorted by what the caller and a person can do about them.

use std::error::Error as _;
use std::io;

use postgres::Error;
use postgres::error::SqlState;

use crate::WarehouseError;

const GET_IN: &str = "set PGPASSWORD, ADPIPE_WAREHOUSE__PASSWORD or warehouse.password_file, and check the user in \
                      warehouse.url and pg_hba.conf";
const REACH: &str = "start PostgreSQL, or correct host and port in warehouse.url";
const WAIT: &str = "nothing is lost: adpipe continues when it is back";
const GRANT: &str = "give this user the rights that sql/postgres/roles.sql lists";
const PRIMARY: &str = "name the primary server in warehouse.url";

/// Sorts a failure.
pub(super) fn failure(location: &str, error: &Error) -> WarehouseError {
    let unavailable = |reason: String, advice| WarehouseError::Unavailable {
        location: location.to_owned(),
        reason,
        advice,
    };
    let unusable =
        |reason: String, advice| WarehouseError::Unusable { location: location.to_owned(), reason, advice };
    let Some(state) = error.code() else {
        return without_code(location, error);
    };
    let reason = server_message(error);
    if is_missing_partition(error) {
        return unavailable(
            reason,
            "a day was dropped while it was written to; the batch is repeated and creates it",
        );
    }
    match state.code() {
        "28P01" | "28000" => unusable(reason, GET_IN),
        "3D000" => unusable(reason, "create it with `createdb`, or correct the name in warehouse.url"),
        "42501" => unusable(reason, GRANT),
        "25006" => unavailable(reason, PRIMARY),
        "53100" => {
            unavailable(reason, "free some disk space on the server; nothing that was acknowledged is lost")
        }
        "53300" => unavailable(reason, "raise max_connections, or end idle clients"),
        "57014" => {
            unavailable(reason, "look for a lock in pg_stat_activity, or a server with too much to do")
        }
        "55P03" | "40001" | "40P01" => unavailable(reason, "this passes by itself; if not, look at pg_locks"),
        "XX001" | "XX002" => unusable(reason, "the server's files are damaged: restore them from a backup"),
        code if ["08", "53", "57", "58", "25"].iter().any(|class| code.starts_with(class)) => {
            unavailable(reason, WAIT)
        }
        _ => WarehouseError::Statement(reason),
    }
}

/// Failures that are not the server's words: of the network, of TLS, of the settings.
fn without_code(location: &str, error: &Error) -> WarehouseError {
    let location = location.to_owned();
    let source = error.source();
    let reason = source.map_or_else(|| error.to_string(), |source| source.to_string());
    let io_kind = source.and_then(|source| source.downcast_ref::<io::Error>()).map(io::Error::kind);
    if error.is_closed() {
        return WarehouseError::Unavailable {
            location,
            reason: "the connection was lost".to_owned(),
            advice: WAIT,
        };
    }
    if error.to_string().contains("TLS") {
        let advice = "have the server use TLS, name its authority by ?sslrootcert=FILE in warehouse.url, or, on a \
                      network that is trusted, add ?sslmode=disable";
        return WarehouseError::Unusable { location, reason: format!("TLS: {reason}"), advice };
    }
    if reason.contains("password missing") {
        return WarehouseError::Unusable {
            location,
            reason: "it requires a password".to_owned(),
            advice: GET_IN,
        };
    }
    match io_kind {
        Some(io::ErrorKind::ConnectionRefused | io::ErrorKind::TimedOut) => {
            WarehouseError::Unavailable { location, reason, advice: REACH }
        }
        Some(_) if reason.contains("lookup") || reason.contains("resolve") => WarehouseError::Unavailable {
            location,
            reason,
            advice: "correct the host in warehouse.url, or repair the name service",
        },
        Some(_) => WarehouseError::Unavailable { location, reason, advice: WAIT },
        None if error.to_string().contains("connect") => {
            WarehouseError::Unavailable { location, reason, advice: REACH }
        }
        None => WarehouseError::Statement(format!("{error}: {reason}")),
    }
}

/// What the server said, with its detail.
pub(super) fn server_message(error: &Error) -> String {
    match error.as_db_error() {
        Some(said) => match said.detail() {
            Some(detail) => format!("{} ({})", said.message(), detail.trim_end_matches('.')),
            None => said.message().to_owned(),
        },
        None => error.to_string(),
    }
}

/// True when a key that is to be unique is there already.
pub(super) fn is_conflict(error: &Error) -> bool {
    error.code() == Some(&SqlState::UNIQUE_VIOLATION)
}

/// True when a row's day has no partition. (A rule of the table that the row breaks has a name.)
fn is_missing_partition(error: &Error) -> bool {
    error.code() == Some(&SqlState::CHECK_VIOLATION)
        && error.as_db_error().is_some_and(|said| said.constraint().is_none())
}

/// True when the row is at fault and not the server: data exceptions, integrity constraints, and
/// whatever a trigger raises.
pub(super) fn is_fault_of_a_row(error: &Error) -> bool {
    !is_missing_partition(error)
        && error.code().is_some_and(|state| {
            let code = state.code();
            code.starts_with("22") || code.starts_with("23") || code.starts_with("44") || code == "P0001"
        })
}
