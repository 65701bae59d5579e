//! SQLite's error codes, sorted by what a person can do about them.

use rusqlite::ErrorCode;

/// What kind of trouble a SQLite error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Another process holds the lock.
    Locked,
    /// The disk, or the size allowed, is full.
    Full,
    /// Writing the file or folder is not allowed.
    ReadOnly,
    /// The file cannot be opened.
    CannotOpen,
    /// The bytes are not a sound database.
    Corrupt,
    /// The statement breaks a rule of the table: a fault of the row, not of the database.
    Constraint,
    /// Reading or writing failed below SQLite.
    Io,
    /// Anything else: a fault of ours, as a rule.
    Other,
}

impl Trouble {
    /// The kind of `error`.
    pub fn of(error: &rusqlite::Error) -> Trouble {
        match error.sqlite_error_code() {
            Some(
                ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed,
            ) => Trouble::Locked,
            Some(ErrorCode::DiskFull) => Trouble::Full,
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Trouble::ReadOnly,
            Some(ErrorCode::CannotOpen) => Trouble::CannotOpen,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Trouble::Corrupt,
            Some(ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig) => {
                Trouble::Constraint
            }
            Some(ErrorCode::SystemIoFailure | ErrorCode::OutOfMemory) => Trouble::Io,
            _ => Trouble::Other,
        }
    }

    /// What a person can do, as an imperative without a full stop.
    pub fn advice(self) -> &'static str {
        match self {
            Trouble::Locked => "end the other process that holds it, or wait",
            Trouble::Full => "free some disk space; nothing that was acknowledged is lost",
            Trouble::ReadOnly => "make the folder and its files writable for this user",
            Trouble::CannotOpen => "check that the folder exists and that this user may read and write it",
            Trouble::Corrupt => "restore the file from a copy, or move it away to start an empty one",
            Trouble::Constraint => "check the row that is named",
            Trouble::Io => "check the disk and the limits of this user",
            Trouble::Other => "please report this with the command that led to it",
        }
    }
}
