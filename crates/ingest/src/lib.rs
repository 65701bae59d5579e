//! The ways in: HTTP, files and standard input, and the one feeder that takes them into the log.
//!
//! Whatever comes in is split into records, and [`RecordFeeder`] gives each its key and headers, so
//! that an event meets the same partition whichever way it came. What it collects is appended to the
//! log and acknowledged once it is durable. Both ways ask one [`LagGauge`] how much waits for the
//! processor, and slow their senders down by it.
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
