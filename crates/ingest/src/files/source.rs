//! A file or standard input, decompressed and with its format found out.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use adpipe_event::{Encoding, Format, decode, find_format, read_start, sniff_encoding, sniff_foreign};
use adpipe_runtime::{Shutdown, account_name};

use super::error::IngestError;
use super::live_input::LiveInput;

/// What records are read from.
pub(super) type Input = Box<dyn Read + Send>;

/// One input.
pub struct Source {
    /// As the user wrote it.
    pub(super) name: String,
    /// Names the file and its content, so that an interrupted ingest can continue; none for standard
    /// input.
    pub(super) identity: Option<String>,
    size: Option<u64>,
    read: Arc<AtomicU64>,
    input: Input,
    shutdown: Shutdown,
}

impl Source {
    /// Opens a file, or standard input for `-`. Reading fails once the switch is on.
    ///
    /// # Errors
    /// [`IngestError::Folder`], [`IngestError::Open`].
    pub fn open(path: &Path, shutdown: &Shutdown) -> Result<Source, IngestError> {
        if path == Path::new("-") {
            let name = "standard input".to_owned();
            return Source::live(name, || Ok(Box::new(io::stdin())), shutdown);
        }
        let name = path.display().to_string();
        let failure = |source| IngestError::Open { path: path.display().to_string(), source };
        let metadata = std::fs::metadata(path).map_err(failure)?;
        if metadata.is_dir() {
            return Err(IngestError::Folder { path: name });
        }
        if !metadata.is_file() {
            // A pipe or device has no content to come back to, and opening it may wait for a writer.
            let opened = path.to_path_buf();
            return Source::live(name, move || Ok(Box::new(File::open(opened)?)), shutdown);
        }
        let file = File::open(path).map_err(failure)?;
        let changed = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        let whole = account_name(&path.canonicalize().unwrap_or_else(|_| path.to_path_buf()));
        Ok(Source {
            name,
            identity: Some(format!("{whole}\t{}\t{}", metadata.len(), changed.as_nanos())),
            size: Some(metadata.len()),
            read: Arc::default(),
            input: Box::new(file),
            shutdown: shutdown.clone(),
        })
    }

    fn live(
        name: String,
        open: impl FnOnce() -> io::Result<Input> + Send + 'static,
        shutdown: &Shutdown,
    ) -> Result<Source, IngestError> {
        let input = Box::new(LiveInput::start(open)?);
        let read = Arc::default();
        Ok(Source { name, identity: None, size: None, read, input, shutdown: shutdown.clone() })
    }

    /// Its name, as the user wrote it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Bytes on disk; none for a pipe or standard input.
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// How many bytes of it were read so far, also once it is being taken in.
    pub fn bytes_read(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.read)
    }

    /// The decompressed bytes and their format; none when there are no bytes.
    pub(super) fn reader(self, format: Option<Format>) -> Result<Option<(Input, Format)>, IngestError> {
        let shutdown = self.shutdown;
        let counted = Counted { input: self.input, read: self.read };
        let (start, rest) = peek(Box::new(counted), &shutdown)?;
        if let Some(reason) = sniff_foreign(&start, Encoding::Identity) {
            return Err(IngestError::Foreign(reason));
        }
        let encoding = sniff_encoding(&start);
        let decoded = decode(Box::new(Cursor::new(start).chain(rest)), encoding)?;
        let (start, rest) = peek(decoded, &shutdown).map_err(IngestError::Compression)?;
        if let Some(reason) = sniff_foreign(&start, encoding) {
            return Err(IngestError::Foreign(reason));
        }
        let found = format.or_else(|| find_format(&start, Format::of_name(&self.name)));
        let Some(format) = found else { return Ok(None) };
        let input = Cursor::new(start).chain(rest);
        Ok(Some((Box::new(Stoppable { input, shutdown }), format)))
    }
}

/// Fails once the switch is on, so that a record without an end does not block.
struct Stoppable<R> {
    input: R,
    shutdown: Shutdown,
}

impl<R: Read> Read for Stoppable<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.shutdown.is_triggered() {
            return Err(io::Error::other("stopped"));
        }
        self.input.read(buffer)
    }
}

/// The first bytes, and the reader after them.
fn peek(mut reader: Input, shutdown: &Shutdown) -> io::Result<(Vec<u8>, Input)> {
    let go_on = || if shutdown.is_triggered() { Err(io::Error::other("stopped")) } else { Ok(()) };
    let start = read_start(&mut reader, go_on)?;
    Ok((start, reader))
}

/// Counts what is read.
struct Counted {
    input: Input,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
