//! How records lie in one chunk of the embedded log.
//!
//! Little-endian, before compression:
//! ```text
//! u8  version (1, or 2 when a record has a row)
//! u32 records, u32 header sets
//! per header set: u16 count, then count × (u16 name length, name, u32 value length, value)
//! records × u32 key length, records × u32 payload length, records × u32 header set
//! version 2: u32 length, then per record the difference of its row from that of the record before
//!            it, zigzag LEB128; row 0 is no row
//! per record: key, payload
//! ```
//! Lengths are stored together because equal neighbours compress to almost nothing.

use crate::record::{Headers, Rows, Span};

/// Chunks without rows, as they were before rows were kept, …
const VERSION: u8 = 1;
/// … and with.
const VERSION_WITH_ROWS: u8 = 2;

/// zstd level 1: on event JSON a tenth of the size at several hundred MB/s.
const ZSTD_LEVEL: i32 = 1;

/// A chunk in memory: the records' bytes and where each is.
pub(crate) struct Decoded {
    pub data: Vec<u8>,
    pub spans: Vec<Span>,
    pub header_sets: Vec<Headers>,
    pub rows: Rows,
}

/// Collects the records of one partition until they are worth a chunk.
#[derive(Default)]
pub(crate) struct ChunkBuilder {
    header_sets: Vec<Headers>,
    key_lens: Vec<u8>,
    payload_lens: Vec<u8>,
    header_indexes: Vec<u8>,
    row_steps: Vec<u8>,
    newest_row: u64,
    has_rows: bool,
    body: Vec<u8>,
    records: u32,
    /// Which header set of which request the newest set here came from; requests arrive one by one.
    newest_origin: Option<(usize, u32)>,
}

/// A chunk ready to be stored.
pub(crate) struct Encoded {
    pub records: u32,
    pub raw_bytes: usize,
    /// Over `data`; the stored one continues over the chunk's place.
    pub data_crc32: u32,
    pub data: Vec<u8>,
}

impl ChunkBuilder {
    /// Adds a record of request number `request` that uses its header set number `header_set`.
    pub fn push(
        &mut self,
        request: usize,
        header_set: u32,
        headers: &Headers,
        row: Option<u64>,
        (key, payload): (&[u8], &[u8]),
    ) {
        if self.newest_origin != Some((request, header_set)) {
            if self.header_sets.last() != Some(headers) {
                self.header_sets.push(headers.clone());
            }
            self.newest_origin = Some((request, header_set));
        }
        self.key_lens.extend_from_slice(&(key.len() as u32).to_le_bytes());
        self.payload_lens.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        self.header_indexes.extend_from_slice(&((self.header_sets.len() - 1) as u32).to_le_bytes());
        let (row, newest) = (row.unwrap_or(0), self.newest_row);
        push_varint(&mut self.row_steps, zigzag(row.wrapping_sub(newest) as i64));
        self.newest_row = row;
        self.has_rows |= row > 0;
        self.body.extend_from_slice(key);
        self.body.extend_from_slice(payload);
        self.records += 1;
    }

    pub fn raw_bytes(&self) -> usize {
        self.body.len() + 12 * self.records as usize
    }

    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Compresses what was collected.
    pub fn finish(self) -> std::io::Result<Encoded> {
        let mut raw = Vec::with_capacity(self.raw_bytes() + 256);
        raw.push(if self.has_rows { VERSION_WITH_ROWS } else { VERSION });
        raw.extend_from_slice(&self.records.to_le_bytes());
        raw.extend_from_slice(&(self.header_sets.len() as u32).to_le_bytes());
        for headers in &self.header_sets {
            raw.extend_from_slice(&(headers.0.len() as u16).to_le_bytes());
            for (name, value) in &headers.0 {
                raw.extend_from_slice(&(name.len() as u16).to_le_bytes());
                raw.extend_from_slice(name.as_bytes());
                raw.extend_from_slice(&(value.len() as u32).to_le_bytes());
                raw.extend_from_slice(value);
            }
        }
        raw.extend_from_slice(&self.key_lens);
        raw.extend_from_slice(&self.payload_lens);
        raw.extend_from_slice(&self.header_indexes);
        if self.has_rows {
            raw.extend_from_slice(&(self.row_steps.len() as u32).to_le_bytes());
            raw.extend_from_slice(&self.row_steps);
        }
        raw.extend_from_slice(&self.body);
        let data = zstd::bulk::compress(&raw, ZSTD_LEVEL)?;
        let data_crc32 = crc32fast::hash(&data);
        Ok(Encoded { records: self.records, raw_bytes: raw.len(), data_crc32, data })
    }
}

/// Reads back a chunk whose checksum fits. The error says what else does not.
pub(crate) fn decode(data: &[u8], raw_bytes: u64) -> Result<Decoded, String> {
    // What the data itself says bounds the memory that is asked for.
    let size_in_data = zstd::zstd_safe::get_frame_content_size(data).ok().flatten();
    if size_in_data != Some(raw_bytes) || raw_bytes > u64::from(u32::MAX) {
        return Err(format!("its size of {raw_bytes} bytes does not fit its data"));
    }
    let raw = zstd::bulk::decompress(data, raw_bytes as usize)
        .map_err(|error| format!("cannot be decompressed: {error}"))?;
    let mut cursor = Cursor { bytes: &raw, at: 0 };
    let version = cursor.take(1)?[0];
    if version != VERSION && version != VERSION_WITH_ROWS {
        return Err(format!(
            "layout version {version} is newer than this adpipe knows ({VERSION_WITH_ROWS})"
        ));
    }
    let records = cursor.u32()? as usize;
    let header_sets = decode_header_sets(&mut cursor)?;
    let array_bytes = records.checked_mul(4).ok_or("record count is impossible")?;
    let key_lens = cursor.take(array_bytes)?;
    let payload_lens = cursor.take(array_bytes)?;
    let header_indexes = cursor.take(array_bytes)?;
    let rows =
        if version == VERSION_WITH_ROWS { decode_rows(&mut cursor, records)? } else { Rows::default() };
    let body_start = cursor.at;

    let mut spans = Vec::with_capacity(records);
    let mut start = 0usize;
    for index in 0..records {
        let span = Span {
            start: start as u32,
            key_len: le_u32(key_lens, index),
            payload_len: le_u32(payload_lens, index),
            header_set: le_u32(header_indexes, index),
        };
        if span.header_set as usize >= header_sets.len() {
            return Err("a record names a header set that is not there".to_owned());
        }
        start += span.key_len as usize + span.payload_len as usize;
        spans.push(span);
    }
    if body_start + start != raw.len() || u32::try_from(raw.len()).is_err() {
        return Err("the records' lengths do not add up".to_owned());
    }
    let mut data = raw;
    data.drain(..body_start);
    Ok(Decoded { data, spans, header_sets, rows })
}

fn decode_header_sets(cursor: &mut Cursor<'_>) -> Result<Vec<Headers>, String> {
    let count = cursor.u32()?;
    let mut header_sets = Vec::new();
    for _ in 0..count {
        let count = cursor.u16()?;
        let mut headers = Headers::default();
        for _ in 0..count {
            let name_len = cursor.u16()? as usize;
            let name = String::from_utf8_lossy(cursor.take(name_len)?).into_owned();
            let value_len = cursor.u32()? as usize;
            headers.0.push((name, cursor.take(value_len)?.to_vec()));
        }
        header_sets.push(headers);
    }
    Ok(header_sets)
}

fn decode_rows(cursor: &mut Cursor<'_>, records: usize) -> Result<Rows, String> {
    let length = cursor.u32()? as usize;
    let mut steps = cursor.take(length)?;
    let mut numbers = Vec::with_capacity(records);
    let mut row = 0u64;
    for _ in 0..records {
        row = row.wrapping_add(unzigzag(take_varint(&mut steps)?) as u64);
        numbers.push(row);
    }
    if steps.is_empty() { Ok(Rows::new(numbers)) } else { Err("there are more rows than records".to_owned()) }
}

/// Small numbers of either sign as small numbers.
fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

/// LEB128: seven bits a byte, the lowest first; the high bit says that more follow.
fn push_varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take_varint(bytes: &mut &[u8]) -> Result<u64, String> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or("its rows end too early")?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err("a row is not a number".to_owned())
}

fn le_u32(array: &[u8], index: usize) -> u32 {
    let at = index * 4;
    u32::from_le_bytes([array[at], array[at + 1], array[at + 2], array[at + 3]])
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| "it ends too early".to_owned())?;
        let slice = &self.bytes[self.at..end];
        self.at = end;
        Ok(slice)
    }

    fn u16(&mut self) -> Result<u16, String> {
        self.take(2).map(|b| u16::from_le_bytes([b[0], b[1]]))
    }

    fn u32(&mut self) -> Result<u32, String> {
        self.take(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded() -> Encoded {
        let mut builder = ChunkBuilder::default();
        let plain = Headers::default();
        let csv = Headers::default().with("adpipe-format", "csv");
        builder.push(0, 0, &plain, None, (b"1", b"{}"));
        builder.push(0, 1, &csv, None, (b"", b"\xff\x00"));
        builder.push(1, 0, &csv, None, (b"3", b""));
        builder.finish().unwrap()
    }

    #[test]
    fn reads_back_what_was_written() {
        let chunk = encoded();
        let decoded = decode(&chunk.data, chunk.raw_bytes as u64).unwrap();
        assert_eq!(decoded.data, b"1{}\xff\x003");
        assert_eq!(decoded.spans.len(), 3);
        assert_eq!(decoded.header_sets.len(), 2, "equal neighbours share one set");
        assert_eq!(
            decoded.header_sets[decoded.spans[2].header_set as usize].text("adpipe-format"),
            Some("csv")
        );
    }

    #[test]
    fn rows_of_files_are_read_back_and_cost_nothing_where_there_are_none() {
        let (plain, rows) = (Headers::default(), [None, Some(1), Some(u64::MAX), Some(7), None, Some(300)]);
        let mut builder = ChunkBuilder::default();
        for row in rows {
            builder.push(0, 0, &plain, row, (b"1", b"{}"));
        }
        let with_rows = builder.finish().unwrap();
        let decoded = decode(&with_rows.data, with_rows.raw_bytes as u64).unwrap();
        assert_eq!(decoded.data, b"1{}1{}1{}1{}1{}1{}");
        assert_eq!(std::array::from_fn(|index| decoded.rows.get(index)), rows);
        let without = encoded();
        assert_eq!(zstd::bulk::decompress(&without.data, without.raw_bytes).unwrap()[0], VERSION);
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_bytes_are_refused_without_a_panic(raw in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            let data = zstd::bulk::compress(&raw, 1).unwrap();
            let _ = decode(&data, raw.len() as u64);
        }
    }
}
