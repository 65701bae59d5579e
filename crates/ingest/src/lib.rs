//! The ways in: HTTP, files and standard input, and the one feeder that passes them to the log.
//!
//! All input is split into records, and [`RecordFeeder`] gives each record its key and headers, so
//! that an event goes to the same partition whichever way it came. Records are appended to the log and
//! acknowledged once they are durable. Both ways ask one [`LagGauge`] how many records wait for the
//! processor, and slow down their senders accordingly.
//!
//! - `events/`: `POST /v1/events`. The console mounts [`EventsEndpoint::router`].
//! - `files/`: [`FileIngest`], what `adpipe ingest` does with a file, a pipe or standard input.
//! - `http/`: the HTTP server below the endpoint and the console's pages. It bounds connections,
//!   bodies and memory, gives each sender its turn, and says why a request is refused.
//!
//! Open `feeder.rs` first, then `events/mod.rs` or `files/mod.rs`.
#![forbid(unsafe_code)]

mod events;
mod feeder;
mod files;
pub mod http;
mod lag;

pub use events::{DECOMPRESSED_FACTOR, EVENTS_PATH, EventsConfig, EventsEndpoint};
pub use feeder::RecordFeeder;
pub use files::{
    Checker, Ended, FileIngest, IngestError, Ingested, InvalidRecord, Notice, ProcessorCheck, Source,
};
pub use lag::{Lag, LagError, LagGauge};
