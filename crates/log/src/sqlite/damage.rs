//! Damage that SQLite itself cannot see, and damage that it sees without knowing where it is.

use adpipe_sql::trouble::Trouble;
use rusqlite::Row;

/// What does not fit, and where.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Damage(String);

/// An error that says so, for closures that return SQLite's errors.
/// [`LogError::from_sqlite`](crate::LogError) makes [`LogError::Corrupt`](crate::LogError::Corrupt) of it.
pub(super) fn damage(reason: String) -> rusqlite::Error {
    rusqlite::Error::UserFunctionError(Box::new(Damage(reason)))
}

/// Says where the damage is, if the error is one of damage.
pub(super) fn located(error: rusqlite::Error, place: &str) -> rusqlite::Error {
    match Trouble::of(&error) {
        Trouble::Corrupt | Trouble::Constraint | Trouble::Other if !is_located(&error) => {
            damage(format!("{place}: {error}"))
        }
        _ => error,
    }
}

fn is_located(error: &rusqlite::Error) -> bool {
    matches!(error, rusqlite::Error::UserFunctionError(inner) if inner.is::<Damage>())
}

/// A column that is never negative.
pub(super) fn unsigned(row: &Row<'_>, index: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(index)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(index, value))
}
