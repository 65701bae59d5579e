//! Why a file or a pipe cannot be taken in.

use std::error::Error;
use std::io;

use adpipe_event::ReadError;
use adpipe_log::LogError;

use crate::lag::LagError;

/// A failure of one source. What was appended before it stays.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// A folder where a file should be named: wrong usage.
    #[error("{path} is a folder; name its files, for example {path}/*.csv")]
    Folder {
        /// As the user wrote it.
        path: String,
    },
    /// The file is not there, or is not ours to read.
    #[error("cannot read {path}")]
    Open {
        /// As the user wrote it.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// Its first bytes are those of something else.
    #[error("{0}")]
    Foreign(String),
    /// Its compression is damaged from the start.
    #[error("cannot be decompressed")]
    Compression(#[source] io::Error),
    /// It cannot be read from the start.
    #[error(transparent)]
    Start(#[from] ReadError),
    /// It cannot be read, and no record of it was taken.
    #[error("none of it was taken")]
    Nothing(#[source] ReadError),
    /// It cannot be read to its end.
    #[error(
        "cannot be read further after record {row}; the records up to there are in the log, so ingest a \
         complete copy (nothing is counted twice) or keep what was taken"
    )]
    Partly {
        /// The last record that could be read.
        row: u64,
        /// What came after it.
        source: ReadError,
    },
    /// The log took no more.
    #[error(transparent)]
    Log(#[from] LogError),
    /// It is not known how much waits.
    #[error(transparent)]
    Lag(#[from] LagError),
    /// It is not known whether a processor counts the log.
    #[error(transparent)]
    Processor(Box<dyn Error + Send + Sync>),
}

impl From<io::Error> for IngestError {
    fn from(error: io::Error) -> IngestError {
        IngestError::Start(error.into())
    }
}
