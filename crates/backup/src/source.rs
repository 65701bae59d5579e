//! What there is to copy, as the configuration names it.

use std::path::PathBuf;
use std::sync::Arc;

use adpipe_warehouse::Warehouse;

use crate::manifest::Kind;

/// Where the event log is.
#[derive(Debug, Clone)]
pub enum LogSource {
    /// `log.db` in this folder.
    Embedded(PathBuf),
    /// On a Kafka cluster, which keeps its own copies: its address, for people.
    Kafka(String),
}

/// Where the warehouse is.
#[derive(Clone)]
pub enum WarehouseSource {
    /// One SQLite file a schema, in this folder.
    Folder(PathBuf),
    /// A PostgreSQL database.
    Postgres {
        /// The opened warehouse.
        warehouse: Arc<dyn Warehouse>,
        /// libpq's variables, with the password.
        environment: Vec<(String, String)>,
        /// The address, without secrets.
        location: String,
    },
}

/// Where the archive is.
#[derive(Debug, Clone)]
pub enum ArchiveSource {
    /// In this folder.
    Folder(PathBuf),
    /// In an object store, which is not copied: its address, for people.
    Store(String),
}

/// All that belongs to one pipeline.
#[derive(Clone)]
pub struct Sources {
    /// This program's version.
    pub version: String,
    /// The event log.
    pub log: LogSource,
    /// The warehouse.
    pub warehouse: WarehouseSource,
    /// The archive.
    pub archive: ArchiveSource,
    /// Folders of small files, which need not be there.
    pub folders: Vec<(Kind, PathBuf)>,
    /// Single files, which need not be there, with the names they get.
    pub files: Vec<(Kind, PathBuf, String)>,
}
