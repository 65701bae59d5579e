//! One batch process per archive: the process that removes and merges files must be alone.

use adpipe_runtime::RoleLock;
use adpipe_sql::section;
use adpipe_warehouse::{Dialect, Schema, Session, Warehouse, WarehouseError};

use crate::BatchError;
use crate::archive::Archive;

const ARCHIVE_SQL: &str = include_str!("../sql/archive.sql");
const TRY_ROLE: &str = section(ARCHIVE_SQL, "try_role");
const LEAVE_ROLE: &str = section(ARCHIVE_SQL, "leave_role");

/// The lock file in the archive's folder, or next to the warehouse: `.etl.lock`.
const ROLE: &str = ".etl";

/// Held for as long as the run lasts; the system drops it even after `kill -9`.
pub(crate) struct BatchLock {
    _folder: Option<RoleLock>,
    /// The server's lock is this connection's.
    session: Option<Box<dyn Session>>,
}

impl Drop for BatchLock {
    /// The server ends a session some time after it was closed; the next run may begin before that.
    fn drop(&mut self) {
        if let Some(session) = &mut self.session {
            let _ = leave(session.as_mut());
        }
    }
}

fn leave(session: &mut dyn Session) -> Result<(), WarehouseError> {
    let mut transaction = session.begin()?;
    transaction.query(LEAVE_ROLE, &[])?;
    transaction.commit()
}

/// Takes the lock file, and the database's lock where several machines may share it.
pub(crate) fn take(archive: &Archive, warehouse: &dyn Warehouse) -> Result<BatchLock, BatchError> {
    let folder = match archive.lock_folder() {
        Some(folder) => Some(
            RoleLock::take(folder, ROLE)
                .map_err(|error| {
                    BatchError::archive(folder.display(), format!("cannot be written: {error}"))
                })?
                .ok_or_else(|| BatchError::Busy(archive.location()))?,
        ),
        None => None,
    };
    let session = match warehouse.dialect() {
        Dialect::Sqlite => None,
        Dialect::Postgres => {
            let mut session = warehouse.session(Schema::Realtime)?;
            let mut transaction = session.begin()?;
            let taken = transaction.query(TRY_ROLE, &[])?;
            transaction.commit()?;
            if !taken.one()?.get::<bool>("is_ours")? {
                return Err(BatchError::Busy(warehouse.location()));
            }
            Some(session)
        }
    };
    Ok(BatchLock { _folder: folder, session })
}
