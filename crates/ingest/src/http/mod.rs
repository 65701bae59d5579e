//! What an HTTP server needs to withstand its clients.
//!
//! A request passes through these files: `server.rs` accepts the connection, as many as `handles.rs`
//! allows, and guards it against a peer that takes no answer (`stall.rs`); [`Client`] says whose it is;
//! [`FairSemaphore`] gives each sender its turn; [`ReceivedBody`] takes the body into memory that
//! [`Budget`] bounds; [`close_after_unread`] ends a connection whose body was not read; [`Refusal`]
//! answers a request that is not served.

mod body;
mod budget;
mod client;
mod fair;
mod handles;
mod refusal;
mod server;
mod stall;
mod unread;

pub use body::{ReceiveLimits, ReceivedBody, SegmentReader};
pub use budget::{Budget, Reservation};
pub use client::Client;
pub use fair::{FairPermit, FairSemaphore};
pub use refusal::Refusal;
pub use server::{ServerConfig, ended, listen, serve};
pub use unread::close_after_unread;
