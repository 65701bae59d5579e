//! The writer's statements, prepared once a connection.

use adpipe_sql::section;
use postgres::{Client, Error, Statement};

const STREAM_SQL: &str = include_str!("../../sql/postgres/stream.sql");
const CLAIM: &str = section(STREAM_SQL, "claim");
const COPY_EVENTS: &str = section(STREAM_SQL, "copy_events");
const COPY_INCOMING: &str = section(STREAM_SQL, "copy_incoming");
const INSERT_INCOMING: &str = section(STREAM_SQL, "insert_incoming");
const CLEAR_INCOMING: &str = section(STREAM_SQL, "clear_incoming");
const IDS_OF_HOUR: &str = section(STREAM_SQL, "ids_of_hour");
const ADD_MINUTES: &str = section(STREAM_SQL, "add_minutes");
const ADD_HOURS: &str = section(STREAM_SQL, "add_hours");
const SHARE_ARCHIVE: &str = section(STREAM_SQL, "share_archive");
const LOCK_ARCHIVE: &str = section(STREAM_SQL, "lock_archive");
const ARCHIVED_HOURS: &str = section(STREAM_SQL, "archived_hours");

const SESSION_SQL: &str = include_str!("../../sql/postgres/session.sql");
const INCOMING_EVENTS: &str = section(SESSION_SQL, "incoming_events");

pub(super) struct Statements {
    pub claim: Statement,
    pub copy_events: Statement,
    pub copy_incoming: Statement,
    pub insert_incoming: Statement,
    pub clear_incoming: Statement,
    pub ids_of_hour: Statement,
    pub add_minutes: Statement,
    pub add_hours: Statement,
    pub share_archive: Statement,
    pub lock_archive: Statement,
    pub archived_hours: Statement,
}

impl Statements {
    /// Makes the session's temporary table and prepares everything.
    pub fn prepare(client: &mut Client) -> Result<Statements, Error> {
        client.batch_execute(INCOMING_EVENTS)?;
        Ok(Statements {
            claim: client.prepare(CLAIM)?,
            copy_events: client.prepare(COPY_EVENTS)?,
            copy_incoming: client.prepare(COPY_INCOMING)?,
            insert_incoming: client.prepare(INSERT_INCOMING)?,
            clear_incoming: client.prepare(CLEAR_INCOMING)?,
            ids_of_hour: client.prepare(IDS_OF_HOUR)?,
            add_minutes: client.prepare(ADD_MINUTES)?,
            add_hours: client.prepare(ADD_HOURS)?,
            share_archive: client.prepare(SHARE_ARCHIVE)?,
            lock_archive: client.prepare(LOCK_ARCHIVE)?,
            archived_hours: client.prepare(ARCHIVED_HOURS)?,
        })
    }
}
