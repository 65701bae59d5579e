//! What every role needs and none of them owns.
//!
//! A role is a loop that runs until it is asked to end ([`Shutdown`]), that one process plays at a time
//! on an embedded folder ([`RoleLock`]), that waits out what cannot be reached ([`Backoff`]), and that
//! does not hang with a server that answers nothing ([`BoundedWorker`]). What it makes has ids in the
//! order of their time ([`ids`]), the files it reads have one name in every account
//! ([`account_name`]), what takes long says how far it is ([`progress`]), and
//! people write times in one way ([`Span`]).

mod account_name;
mod backoff;
mod bounded_worker;
mod grouped;
pub mod ids;
pub mod progress;
mod role_lock;
mod shutdown;
pub mod span;

pub use account_name::account_name;
pub use backoff::Backoff;
pub use bounded_worker::BoundedWorker;
pub use grouped::grouped;
pub use role_lock::RoleLock;
pub use shutdown::Shutdown;
pub use span::Span;
