//! Opens a file where its account says, decompressed and with its format found out.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use adpipe_event::{CsvColumns, Encoding, ErrorType, Format, decode, sniff_encoding, sniff_format};

use crate::chunks::{Cutter, ElementCutter, LineCutter};
use crate::files::{FileRow, TailOutcome};

type Input = Box<dyn Read + Send>;

/// Bytes looked at to find the format out.
const SNIFF_BYTES: usize = 4_096;

/// A file that can be read on.
pub struct Opened {
    /// Cuts it into pieces.
    pub cutter: Cutter<Input>,
    /// Columns of a CSV file.
    pub columns: Option<Arc<CsvColumns>>,
    /// Number of the row where reading begins.
    pub next_row: u64,
    /// That row was counted as an error before, of this type, and is counted anew.
    pub taken_back: Option<ErrorType>,
}

/// Opens the file at `row.position`. The error is for people.
pub fn open(
    path: &Path,
    row: &FileRow,
    max_record_bytes: usize,
    bytes_read: &Arc<AtomicU64>,
) -> Result<Opened, String> {
    let mut source = Source { path, size: row.size, encoding: Encoding::Identity, bytes_read };
    let mut first = vec![0; SNIFF_BYTES];
    let mut file = source.raw().map_err(|error| format!("cannot be read: {error}"))?;
    let count = read_full(&mut file, &mut first).map_err(|error| format!("cannot be read: {error}"))?;
    first.truncate(count);
    if first.starts_with(b"PK\x03\x04") {
        return Err("is a zip file; unpack it, or compress with gzip or zstd".to_owned());
    }
    source.encoding = sniff_encoding(&first);
    let cannot = |error: io::Error| format!("cannot be read on behind row 0: {error}");
    let mut start = vec![0; SNIFF_BYTES];
    let count = match source.encoding {
        Encoding::Identity => {
            start.clone_from(&first);
            first.len()
        }
        _ => read_full(&mut source.at(0).map_err(cannot)?, &mut start).map_err(cannot)?,
    };
    let format = sniff_format(&start[..count]).unwrap_or(Format::Ndjson);
    match format {
        Format::JsonArray => {
            let elements =
                ElementCutter::new(source.counted(0).map_err(cannot)?, row.position, max_record_bytes);
            let cutter = Cutter::Elements(Box::new(elements.map_err(cannot)?));
            Ok(Opened { cutter, columns: None, next_row: row.next_row, taken_back: None })
        }
        Format::Ndjson => {
            let Resumed { input, position, taken_back } = source.resumed(row).map_err(cannot)?;
            let cutter = Cutter::Lines(LineCutter::new(input, position, max_record_bytes));
            Ok(Opened { cutter, columns: None, next_row: row.next_row, taken_back })
        }
        Format::Csv => {
            let mut lines = LineCutter::new(source.counted(0).map_err(cannot)?, 0, max_record_bytes);
            let (header, rows) = lines.take_header().map_err(cannot)?;
            let columns = CsvColumns::parse(&header).map_err(|error| error.to_string())?;
            let columns = Some(Arc::new(columns));
            if row.position == 0 {
                let cutter = Cutter::Lines(lines);
                return Ok(Opened { cutter, columns, next_row: 1 + rows, taken_back: None });
            }
            let Resumed { input, position, taken_back } = source.resumed(row).map_err(cannot)?;
            let cutter = Cutter::Lines(LineCutter::new(input, position, max_record_bytes));
            Ok(Opened { cutter, columns, next_row: row.next_row, taken_back })
        }
    }
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
}

impl Source<'_> {
    /// The bytes that the account speaks of, and none behind them.
    fn raw(&self) -> io::Result<io::Take<File>> {
        Ok(File::open(self.path)?.take(self.size))
    }

    /// The uncompressed bytes from a place on.
    fn at(&self, position: u64) -> io::Result<Input> {
        self.open_at(position, Box::new(self.raw()?))
    }

    /// The same, counted for those who watch.
    fn counted(&self, position: u64) -> io::Result<Input> {
        let raw = self.raw()?;
        if self.encoding == Encoding::Identity && position > 0 {
            self.bytes_read.fetch_add(position, Ordering::Relaxed);
        }
        self.open_at(position, Box::new(Counted { input: raw, read: Arc::clone(self.bytes_read) }))
    }

    fn open_at(&self, position: u64, raw: Input) -> io::Result<Input> {
        if self.encoding == Encoding::Identity && position > 0 {
            let mut file = File::open(self.path)?;
            file.seek(SeekFrom::Start(position))?;
            let rest = file.take(self.size.saturating_sub(position));
            return Ok(Box::new(Counted { input: rest, read: Arc::clone(self.bytes_read) }));
        }
        let mut input = decode(raw, self.encoding)?;
        let skipped = io::copy(&mut input.by_ref().take(position), &mut io::sink())?;
        match skipped < position {
            true => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it ends before what was read of it")),
            false => Ok(input),
        }
    }

    /// From where the account ends on. When its last line had no end, and goes on now, or was no
    /// event, that line is read again from its beginning.
    fn resumed(&self, row: &FileRow) -> io::Result<Resumed> {
        let mut input = self.counted(row.position)?;
        let Some(tail) = row.tail else {
            return Ok(Resumed { input, position: row.position, taken_back: None });
        };
        let mut next = [0];
        let count = read_full(&mut input, &mut next)?;
        let line_has_ended = count == 0 || next[0] == b'\n' || next[0] == b'\r';
        if line_has_ended && (tail.outcome == TailOutcome::Event || count == 0) {
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

/// A reader that counts.
struct Counted<R> {
    input: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
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
