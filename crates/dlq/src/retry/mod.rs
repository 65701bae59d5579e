//! Trying again: when (`backoff`), by whom (`sender`), what came of it (`outcome`), and when it is
//! better not to (`breaker`, `waiting`).

pub mod backoff;
mod breaker;
pub(crate) mod outcome;
pub mod sender;
mod waiting;
