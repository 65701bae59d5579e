//! A connection pooler between adpipe and the server.
//!
//! A pooler that hands a session from one client to another after each transaction (PgBouncer with
//! `pool_mode = transaction` or `statement`) loses what adpipe keeps in its sessions: settings,
//! prepared statements, temporary tables, advisory locks. Worse, settings that adpipe makes then
//! hold for other clients of the pool.

use std::sync::mpsc::sync_channel;
use std::time::Duration;

use adpipe_sql::section;
use postgres::{Client, SimpleQueryMessage};

use super::connect::connect_in_time;
use super::failure::failure;
use super::settings::PostgresSettings;
use crate::WarehouseError;

const SESSION_SQL: &str = include_str!("../../sql/postgres/session.sql");
const BACKEND: &str = section(SESSION_SQL, "backend");

/// A pooler whose connections are all taken keeps the second client waiting; the server itself does not.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// A busy pool may give two clients two sessions by chance.
const ROUNDS: usize = 4;

/// Fails when two clients that are connected at the same time meet the same session, or one client
/// meets two: both are impossible without a pooler that shares them. Nothing is set or prepared
/// before this is known.
pub(super) fn refuse_shared_sessions(
    settings: &PostgresSettings,
    client: &mut Client,
) -> Result<(), WarehouseError> {
    let own = backend(settings, client)?;
    // Without a second connection nothing can be found out, and nothing is held against the server.
    let Some((mut second, mut others)) = second_client(settings) else { return Ok(()) };
    for _ in 0..ROUNDS {
        if others == own || backend(settings, client)? != own {
            return Err(WarehouseError::Unusable {
                location: settings.location().to_owned(),
                reason: "a connection pooler shares sessions between clients (transaction pooling)"
                    .to_owned(),
                advice: "set pool_mode = session for adpipe's database in PgBouncer, or name the server itself in \
                         warehouse.url",
            });
        }
        others = backend(settings, &mut second)?;
    }
    Ok(())
}

/// Which process of the server answers. By the simple protocol, which prepares nothing.
fn backend(settings: &PostgresSettings, client: &mut Client) -> Result<Option<String>, WarehouseError> {
    let messages = client.simple_query(BACKEND).map_err(|error| failure(settings.location(), &error))?;
    Ok(messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    }))
}

/// Another client and the process that answered it; none when that takes too long or is refused.
fn second_client(settings: &PostgresSettings) -> Option<(Client, Option<String>)> {
    let (sender, receiver) = sync_channel(1);
    let settings = settings.clone();
    std::thread::Builder::new()
        .name("postgres-pooler".to_owned())
        .spawn(move || {
            let answer = connect_in_time(&settings)
                .and_then(|mut client| backend(&settings, &mut client).map(|backend| (client, backend)));
            drop(sender.send(answer));
        })
        .ok()?;
    receiver.recv_timeout(ANSWER_TIMEOUT).ok()?.ok()
}
