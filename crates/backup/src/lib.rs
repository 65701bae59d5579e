//! Copies everything that adpipe keeps while it runs (`adpipe backup`), and restores it
//! (`adpipe restore`).
//!
//! A backup is one moment of all stores together. adpipe survives `kill -9` at any instant, so it can
//! continue from a copy of what such a kill would leave behind. `cut.rs` takes that moment: it blocks
//! everything that writes events, errors or runs for a few milliseconds, starts to read every file, and
//! releases the locks; afterwards the files are copied as they were at that moment. On PostgreSQL a
//! snapshot of the server takes the place of the files (`postgres.rs`).
//!
//! ```text
//! BACKUP/
//!   manifest.json          the files of the backup: written last, replaced as a whole
//!   archive/event_date=…/  parts of the archive: they never change, so each is copied once
//!   taken/TIME/            everything else of one backup
//! ```
//!
//! The manifest names every file with its size and hash and has its own checksum, so a backup is
//! complete or refused. An interrupted backup leaves the previous one as it was.
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
