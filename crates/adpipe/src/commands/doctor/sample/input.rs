//! The first records of a file, whatever its format and compression.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;

use adpipe_event::{Encoding, Format, RecordReader, decode, sniff_encoding, sniff_foreign, sniff_format};
use anyhow::{Context, bail};

/// Records that are read, at most, and their bytes.
const MOST_RECORDS: usize = 10_000;
const MOST_BYTES: usize = 64 << 20;

/// Bytes looked at to find the format out.
const SNIFF_BYTES: u64 = 4_096;

type Bytes = Box<dyn Read + Send>;

/// The first records of a file.
pub struct Input {
    pub format: Format,
    /// The header line of a CSV file.
    pub header: Option<Vec<u8>>,
    pub records: Vec<Vec<u8>>,
    /// Whether these are all.
    pub is_complete: bool,
}

impl Input {
    /// Reads a file, or standard input for `-`.
    pub fn read(path: &Path, max_record_bytes: usize) -> anyhow::Result<Input> {
        let shown = path.display();
        let (format, bytes) = open(path).with_context(|| format!("cannot read {shown}"))?;
        // The header is a line like the others here: what it lacks is what is to be found out.
        let mut reader = match format {
            Format::Csv => RecordReader::continuing(bytes, format, max_record_bytes),
            _ => RecordReader::new(bytes, format, max_record_bytes),
        };
        let mut input = Input { format, header: None, records: Vec::new(), is_complete: false };
        let mut size = 0;
        while input.records.len() < MOST_RECORDS && size < MOST_BYTES {
            let record = match reader.next_record() {
                Ok(Some(record)) => record.payload.to_vec(),
                Ok(None) => {
                    input.is_complete = true;
                    break;
                }
                // What comes before damage is enough to go by.
                Err(_) if !input.records.is_empty() => break,
                Err(error) => return Err(error).with_context(|| format!("cannot read {shown}")),
            };
            size += record.len();
            if format == Format::Csv && input.header.is_none() {
                input.header = Some(record)
            } else {
                input.records.push(record)
            }
        }
        Ok(input)
    }
}

/// The decompressed bytes and their format.
fn open(path: &Path) -> anyhow::Result<(Format, Bytes)> {
    let raw: Bytes = if path == Path::new("-") {
        Box::new(io::stdin())
    } else if path.is_dir() {
        bail!("it is a folder; name one of its files");
    } else {
        Box::new(File::open(path)?)
    };
    let (start, raw) = peek(raw)?;
    refuse_foreign(&start, Encoding::Identity)?;
    let encoding = sniff_encoding(&start);
    let (start, bytes) = peek(decode(raw, encoding)?).context("it cannot be decompressed")?;
    refuse_foreign(&start, encoding)?;
    Ok((sniff_format(&start).unwrap_or(Format::Ndjson), bytes))
}

fn refuse_foreign(start: &[u8], encoding: Encoding) -> anyhow::Result<()> {
    match sniff_foreign(start, encoding) {
        Some(reason) => bail!("it {reason}"),
        None => Ok(()),
    }
}

/// The first bytes, and all of them.
fn peek(mut bytes: Bytes) -> io::Result<(Vec<u8>, Bytes)> {
    let mut start = Vec::new();
    bytes.by_ref().take(SNIFF_BYTES).read_to_end(&mut start)?;
    Ok((start.clone(), Box::new(Cursor::new(start).chain(bytes))))
}
