//! Batch: raw files to the archive (`adpipe etl`), and the archive itself.
//!
//! How it stays correct:
//! - An event is in `realtime.events`, in a part of the archive, or in both. `realtime.hours` says
//!   for each archived hour how many are in both, so that all of them can be counted at any time.
//! - Events are deduplicated by (event hour, id). A file's event is new if its id is neither in a part
//!   of its hour nor in `realtime.events`; the stream uses the same rule
//!   (`adpipe_warehouse::archive`). Both check again in the transaction that writes: the hour's version
//!   shows new parts, and the number of its events that are not archived shows new hot ones. While
//!   batch commits, the stream's transactions wait (SQLite: the file's lock; PostgreSQL: an advisory
//!   lock that streams share).
//! - What belongs together is committed together, in schema `realtime`: the parts' names, the hours,
//!   both figures and how far each file is read. Errors are durable in their topic before that,
//!   identified by file, content and row, so that the dead-letter queue stores each once.
//! - A part gets its path once it is complete and durable; then that transaction names it. After
//!   `kill -9` at any instant, the next run continues each file from its account, and removes leftovers
//!   once all of their events are counted. The result is the same as without the kill.
//! - A part's hash is in the list from the transaction that names it, and is compared before the part
//!   is read. If a part is missing or damaged, its hours cannot be read: their events wait in the
//!   dead-letter queue, and all others continue.
//! - Hot events are filled in from the archive after the files, when the newest event is known.
//!
//! Files become pieces (`intake.rs`, `chunks.rs`), pieces become columns (`parse.rs`), columns lose
//! their duplicates (`sorter.rs`, `hours.rs`) and make segments (`segment.rs`), whose events are written to the
//! archive (`archive/`) and which are committed one after the other (`commit.rs`).
//!
//! Open `etl.rs` first, then `threads.rs` and `commit.rs`.

mod account;
pub mod archive;
pub mod audit;
mod back_ends;
mod chunks;
mod closed;
mod commit;
mod config;
pub mod deep;
pub mod discover;
mod error;
mod etl;
mod file_errors;
mod files;
mod hashes;
mod hints;
mod hot;
mod hours;
mod identity;
mod intake;
mod limit;
mod lock;
mod merge;
mod parse;
mod reader;
mod rebuild;
mod report;
mod retry;
mod runs;
pub mod sample;
mod segment;
mod sorter;
mod stored_event;
mod sweep;
mod threads;
pub mod unnamed;
mod unreadable;

pub use adpipe_runtime::progress::Progress;
pub use archive::Archive;
pub use back_ends::BackEnds;
pub use config::EtlConfig;
pub use error::BatchError;
pub use etl::run;
pub use file_errors::audit_errors;
pub use limit::OverLimit;
pub use rebuild::{RebuildConfig, RebuildReport, rebuild};
pub use report::{FileReport, Report};
pub use unnamed::Unnamed;
