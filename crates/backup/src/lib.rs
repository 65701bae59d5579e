//! Copies of everything that adpipe keeps, taken while it runs (`adpipe backup`), and back again
//! (`adpipe restore`).
//!
//! A backup is one moment of all stores together. adpipe survives `kill -9` at any instant, so a copy
//! of what such a kill would leave behind is one that it goes on from. `cut.rs` takes that moment: it
//! holds up everybody who writes events, errors or runs for a few milliseconds, begins to read every
//! file, and lets them go on; what is copied afterwards is the files as they were then. On PostgreSQL
//! a snapshot of the server takes the place of the files (`postgres.rs`).
//!
//! ```text
//! BACKUP/
//!   manifest.json          what belongs to it: written last, replaced whole
//!   archive/event_date=…/  parts of the archive: never change, so each is copied once
//!   taken/TIME/            everything else of one backup
//! ```
//!
//! The manifest names every file with its size and hash and carries a checksum of its own, so that a
//! backup is whole or is refused. An interrupted backup leaves the one before it as it was.
//!
//! Open `take.rs` first, then `restore.rs`.

mod copy;
mod cut;
mod error;
mod manifest;
mod postgres;
mod progress;
mod restore;
mod source;
mod take;
mod tidy;

pub use error::BackupError;
pub use manifest::{FileEntry, Kind, MANIFEST, Manifest};
pub use progress::Progress;
pub use restore::{Targets, WarehouseTarget, check, restore};
pub use source::{ArchiveSource, LogSource, Sources, WarehouseSource};
pub use take::{Taken, take};
