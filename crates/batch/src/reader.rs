//! Opens a file where its account says, decompressed and with its format found out.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use adpipe_event::{
    CsvColumns, Encoding, ErrorType, FieldMap, Format, ReadError, RecordReader, decode, find_format,
    read_start, sniff_encoding, sniff_foreign,
};
use adpipe_runtime::Shutdown;

use crate::chunks::Cutter;
use crate::discover::open_regular;
use crate::files::{FileRow, TailOutcome};

type Input = Box<dyn Read + Send>;

/// A file that can be read on.
pub struct Opened {
    /// Cuts it into pieces.
    pub cutter: Cutter<Input>,
    /// Columns of a CSV file.
    pub columns: Option<Arc<CsvColumns>>,
    /// Number of the row where reading begins.
    pub next_row: u64,
    /// That row was counted as an error before, of this type, and is counted again.
    pub taken_back: Option<ErrorType>,
}

/// Opens the file at `row.position`. The error is for people.
pub fn open(
    path: &Path,
    row: &FileRow,
    max_record_bytes: usize,
    fields: &FieldMap,
    bytes_read: &Arc<AtomicU64>,
    shutdown: &Shutdown,
) -> Result<Opened, String> {
    let mut source = Source { path, size: row.size, encoding: Encoding::Identity, bytes_read, shutdown };
    let unreadable = |error: io::Error| format!("cannot be read: {error}");
    let first = start_of(source.raw().map_err(unreadable)?).map_err(unreadable)?;
    if let Some(reason) = sniff_foreign(&first, Encoding::Identity) {
        return Err(reason);
    }
    source.encoding = sniff_encoding(&first);
    let cannot = |error: io::Error| format!("cannot be read further after row 0: {}", with_cure(&error));
    let start = match source.encoding {
        Encoding::Identity => first,
        _ => start_of(source.at(0).map_err(cannot)?).map_err(cannot)?,
    };
    if let Some(reason) = sniff_foreign(&start, source.encoding) {
        return Err(reason);
    }
    let said = path.file_name().and_then(|name| Format::of_name(&name.to_string_lossy()));
    let format = find_format(&start, said).unwrap_or(Format::Ndjson);
    if format == Format::JsonArray {
        let input = source.counted(0).map_err(cannot)?;
        let cutter = Cutter::elements(input, row.position, max_record_bytes).map_err(cannot)?;
        return Ok(Opened { cutter, columns: None, next_row: row.next_row, taken_back: None });
    }
    let mut columns = None;
    if format == Format::Csv {
        let header = RecordReader::new(source.at(0).map_err(cannot)?, format, max_record_bytes);
        let mut header = header.with_fields(fields);
        columns = match header.columns() {
            Ok(columns) => columns.map(|columns| Arc::new(columns.clone())),
            Err(ReadError::Io(error)) => return Err(cannot(error)),
            Err(ReadError::Header(error)) => return Err(error.to_string()),
        };
        if row.position == 0 {
            let (position, rows) = (header.position(), header.ended_rows());
            let input = source.counted(position).map_err(cannot)?;
            let cutter = Cutter::lines(input, format, position, max_record_bytes);
            return Ok(Opened { cutter, columns, next_row: 1 + rows, taken_back: None });
        }
    }
    let Resumed { input, position, taken_back } = source.resumed(row, format).map_err(cannot)?;
    let cutter = Cutter::lines(input, format, position, max_record_bytes);
    Ok(Opened { cutter, columns, next_row: row.next_row, taken_back })
}

/// A file that is gone on with.
struct Resumed {
    input: Input,
    position: u64,
    taken_back: Option<ErrorType>,
}

struct Source<'a> {
    path: &'a Path,
    size: u64,
    encoding: Encoding,
    bytes_read: &'a Arc<AtomicU64>,
    shutdown: &'a Shutdown,
}

impl Source<'_> {
    /// The bytes that the account speaks of, and none after them.
    fn raw(&self) -> io::Result<io::Take<File>> {
        Ok(open_regular(self.path)?.take(self.size))
    }

    /// The uncompressed bytes from a place on.
    fn at(&self, position: u64) -> io::Result<Input> {
        self.open_at(position, Box::new(self.raw()?))
    }

    /// The same, counted for the progress.
    fn counted(&self, position: u64) -> io::Result<Input> {
        let raw = self.raw()?;
        if self.encoding == Encoding::Identity && position > 0 {
            self.bytes_read.fetch_add(position, Ordering::Relaxed);
        }
        self.open_at(position, Box::new(self.watched(raw)))
    }

    fn watched<R: Read>(&self, input: R) -> Watched<R> {
        Watched { input, read: Arc::clone(self.bytes_read), shutdown: self.shutdown.clone() }
    }

    fn open_at(&self, position: u64, raw: Input) -> io::Result<Input> {
        if self.encoding == Encoding::Identity && position > 0 {
            let mut file = open_regular(self.path)?;
            file.seek(SeekFrom::Start(position))?;
            let rest = file.take(self.size.saturating_sub(position));
            return Ok(Box::new(self.watched(rest)));
        }
        let mut input = decode(raw, self.encoding)?;
        let skipped = io::copy(&mut input.by_ref().take(position), &mut io::sink())?;
        if skipped < position {
            Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it ends before what was read of it"))
        } else {
            Ok(input)
        }
    }

    /// From where the account ends on. When its last line had no end, and continues now, or was not an
    /// event, that line is read again from its beginning.
    fn resumed(&self, row: &FileRow, format: Format) -> io::Result<Resumed> {
        let mut input = self.counted(row.position)?;
        let Some(tail) = row.tail else {
            return Ok(Resumed { input, position: row.position, taken_back: None });
        };
        let mut next = [0];
        let count = read_full(&mut input, &mut next)?;
        // A JSON object has its own end, and the next may follow it at once.
        let has_ended = count == 0
            || matches!((next[0], format), (b'\n' | b'\r', _) | (b' ' | b'\t' | b'{', Format::Ndjson));
        if has_ended && (tail.outcome == TailOutcome::Event || count == 0) {
            let input = Box::new(Cursor::new(next[..count].to_vec()).chain(input));
            return Ok(Resumed { input, position: row.position, taken_back: None });
        }
        let taken_back = match tail.outcome {
            TailOutcome::Event => None,
            TailOutcome::Error(error_type) => error_type,
        };
        Ok(Resumed { input: self.counted(tail.position)?, position: tail.position, taken_back })
    }
}

/// A reader that counts, and fails once the switch is off.
struct Watched<R> {
    input: R,
    read: Arc<AtomicU64>,
    shutdown: Shutdown,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.shutdown.is_triggered() {
            return Err(io::Error::other("stopped"));
        }
        let count = self.input.read(buffer)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// The first bytes. What came before a failure may be enough to see what they are.
fn start_of(input: impl Read) -> io::Result<Vec<u8>> {
    read_start(&mut UpToFailure { input, has_read: false }, || Ok(()))
}

/// Ends where its input fails, unless it fails at once.
struct UpToFailure<R> {
    input: R,
    has_read: bool,
}

impl<R: Read> Read for UpToFailure<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.input.read(buffer) {
            Err(error) if self.has_read && error.kind() != io::ErrorKind::Interrupted => Ok(0),
            other => {
                self.has_read |= other.as_ref().is_ok_and(|count| *count > 0);
                other
            }
        }
    }
}

/// A failure to read on, and what helps: a damaged file stays damaged until someone acts.
pub(crate) fn with_cure(error: &io::Error) -> String {
    let text = error.to_string();
    let cure = match error.kind() {
        _ if text.contains("too much memory") => {
            "compress it again with a smaller window (zstd without --long or --ultra)"
        }
        // It says itself what to do.
        io::ErrorKind::InvalidData => return text,
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput | io::ErrorKind::Other => {
            "put a complete copy in its place (nothing is counted twice), \
             or move the file away to keep what was counted"
        }
        _ => return text,
    };
    format!("{text}; {cure}")
}

/// Fills the buffer, or reads to the end.
fn read_full(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // What came before a failure may be enough to see what it is.
            Err(_) if filled > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
