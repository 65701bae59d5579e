//! Cuts a file into pieces that can be parsed by themselves: at line ends, or between the elements
//! of a JSON array. Memory is bounded whatever the file's size, and its longest line's.

use std::io::{self, Read};

use adpipe_event::{Format, RecordReader};

/// Bytes of a piece, about.
pub const CHUNK_BYTES: usize = 1 << 20;

/// Of a record that is too long this much is kept, as the splitter of the stream does.
const KEPT_OF_TOO_LONG: usize = 64 << 10;

/// A piece of a file.
#[derive(Debug)]
pub struct Chunk {
    /// Its bytes.
    pub data: Vec<u8>,
    /// What they are.
    pub kind: ChunkKind,
    /// Where the file goes on behind it: uncompressed bytes, or elements.
    pub end_position: u64,
    /// True for the last piece of a file whose last line has no end.
    pub is_open: bool,
}

/// How a piece is cut.
#[derive(Debug)]
pub enum ChunkKind {
    /// Lines.
    Lines,
    /// Elements of an array: where each ends, and its whole length when it was too long.
    Elements(Vec<(usize, Option<u64>)>),
    /// The beginning of one line that is too long, and its whole length.
    TooLong(u64),
}

/// Cuts a file.
pub enum Cutter<R: Read> {
    /// At line ends.
    Lines(LineCutter<R>),
    /// Between the elements of an array.
    Elements(Box<ElementCutter<R>>),
}

impl<R: Read> Cutter<R> {
    /// The next piece; none at the end.
    ///
    /// # Errors
    /// When the input cannot be read on; pieces given before it are sound.
    pub fn next_chunk(&mut self) -> io::Result<Option<Chunk>> {
        match self {
            Cutter::Lines(lines) => lines.next_chunk(),
            Cutter::Elements(elements) => elements.next_chunk(),
        }
    }
}

/// Cuts at line ends.
pub struct LineCutter<R: Read> {
    input: R,
    /// Bytes that were read and belong to the next piece.
    rest: Vec<u8>,
    position: u64,
    max_record_bytes: usize,
    at_end: bool,
    failure: Option<io::Error>,
}

impl<R: Read> LineCutter<R> {
    /// Cuts `input`, which begins at `position` of the file.
    pub fn new(input: R, position: u64, max_record_bytes: usize) -> LineCutter<R> {
        LineCutter { input, rest: Vec::new(), position, max_record_bytes, at_end: false, failure: None }
    }

    /// Takes the first line that is not blank, a header, and gives it with the number of lines taken.
    /// Empty when there is none.
    pub fn take_header(&mut self) -> io::Result<(Vec<u8>, u64)> {
        let mut rows = 0;
        loop {
            let Some(chunk) = self.next_chunk()? else { return Ok((Vec::new(), rows)) };
            let start = chunk.end_position - chunk.data.len() as u64;
            let mut from = 0;
            while from < chunk.data.len() {
                let end = memchr::memchr(b'\n', &chunk.data[from..]).map(|length| from + length);
                let line = &chunk.data[from..end.unwrap_or(chunk.data.len())];
                rows += u64::from(end.is_some());
                from = end.map_or(chunk.data.len(), |end| end + 1);
                if !line.trim_ascii().is_empty() {
                    if !matches!(chunk.kind, ChunkKind::TooLong(_)) {
                        // What is behind it is given out again.
                        let mut rest = chunk.data[from..].to_vec();
                        rest.append(&mut self.rest);
                        self.rest = rest;
                        self.position = start + from as u64;
                    }
                    return Ok((line.to_vec(), rows));
                }
            }
        }
    }

    fn next_chunk(&mut self) -> io::Result<Option<Chunk>> {
        let mut data = Vec::with_capacity(CHUNK_BYTES.max(self.rest.len()) + (64 << 10));
        data.append(&mut self.rest);
        let mut wanted = CHUNK_BYTES;
        loop {
            self.fill(&mut data, wanted);
            if let Some(end) = memchr::memrchr(b'\n', &data) {
                self.rest = data[end + 1..].to_vec();
                data.truncate(end + 1);
                return Ok(Some(self.give(data, ChunkKind::Lines, false)));
            }
            if let Some(error) = self.failure.take() {
                return Err(error);
            }
            if self.at_end {
                return Ok(match data.is_empty() {
                    true => None,
                    false => Some(self.give(data, ChunkKind::Lines, true)),
                });
            }
            // One byte more may be the \r of the line end.
            if data.len() > self.max_record_bytes + 1 {
                return self.skip_long_line(data).map(Some);
            }
            wanted = data.len() + CHUNK_BYTES;
        }
    }

    fn give(&mut self, data: Vec<u8>, kind: ChunkKind, is_open: bool) -> Chunk {
        self.position += data.len() as u64;
        Chunk { data, kind, end_position: self.position, is_open }
    }

    /// Reads until there are `wanted` bytes, the end, or a failure.
    fn fill(&mut self, data: &mut Vec<u8>, wanted: usize) {
        while data.len() < wanted && !self.at_end && self.failure.is_none() {
            let filled = data.len();
            data.resize(wanted, 0);
            let outcome = self.input.read(&mut data[filled..]);
            data.truncate(filled + *outcome.as_ref().unwrap_or(&0));
            match outcome {
                Ok(0) => self.at_end = true,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.failure = Some(error),
            }
        }
    }

    /// Reads over the rest of a line that is too long.
    fn skip_long_line(&mut self, mut data: Vec<u8>) -> io::Result<Chunk> {
        let mut length = data.len() as u64;
        let mut last = data.last().copied();
        data.truncate(KEPT_OF_TOO_LONG.min(self.max_record_bytes));
        let mut piece = Vec::new();
        let mut ended = false;
        while !ended {
            piece.clear();
            self.fill(&mut piece, CHUNK_BYTES);
            if piece.is_empty() {
                break;
            }
            let line = match memchr::memchr(b'\n', &piece) {
                Some(end) => {
                    self.rest = piece[end + 1..].to_vec();
                    ended = true;
                    &piece[..end]
                }
                None => &piece[..],
            };
            length += line.len() as u64;
            last = line.last().copied().or(last);
        }
        if let Some(error) = self.failure.take() {
            return Err(error);
        }
        self.position += length + u64::from(ended);
        let length = length - u64::from(ended && last == Some(b'\r'));
        Ok(Chunk { data, kind: ChunkKind::TooLong(length), end_position: self.position, is_open: !ended })
    }
}

/// Cuts between the elements of an array.
pub struct ElementCutter<R: Read> {
    reader: RecordReader<R>,
    taken: u64,
    failure: Option<io::Error>,
}

impl<R: Read> ElementCutter<R> {
    /// Cuts `input` from its beginning, and passes over the first `skip` elements.
    pub fn new(input: R, skip: u64, max_record_bytes: usize) -> io::Result<ElementCutter<R>> {
        let mut reader = RecordReader::new(input, Format::JsonArray, max_record_bytes);
        let mut taken = 0;
        while taken < skip {
            match reader.next_record().map_err(into_io)? {
                Some(_) => taken += 1,
                None => break,
            }
        }
        Ok(ElementCutter { reader, taken, failure: None })
    }

    fn next_chunk(&mut self) -> io::Result<Option<Chunk>> {
        if let Some(error) = self.failure.take() {
            return Err(error);
        }
        let (mut data, mut ends) = (Vec::with_capacity(CHUNK_BYTES), Vec::new());
        while data.len() < CHUNK_BYTES {
            match self.reader.next_record() {
                Ok(Some(record)) => {
                    data.extend_from_slice(record.payload);
                    ends.push((data.len(), record.truncated_from));
                    self.taken += 1;
                }
                Ok(None) => break,
                Err(error) => {
                    self.failure = Some(into_io(error));
                    break;
                }
            }
        }
        match (ends.is_empty(), self.failure.take()) {
            (true, Some(error)) => Err(error),
            (true, None) => Ok(None),
            (false, failure) => {
                self.failure = failure;
                let (kind, end_position) = (ChunkKind::Elements(ends), self.taken);
                Ok(Some(Chunk { data, kind, end_position, is_open: false }))
            }
        }
    }
}

fn into_io(error: adpipe_event::ReadError) -> io::Error {
    match error {
        adpipe_event::ReadError::Io(error) => error,
        other => io::Error::other(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a few bytes at a time, then fails when told so.
    struct Trickle<'a>(&'a [u8], bool);

    impl Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.0.len().min(buffer.len()).min(7);
            if count == 0 && self.1 {
                return Err(io::Error::other("gone"));
            }
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    #[test]
    fn pieces_are_the_file_again_and_a_failure_comes_last() {
        let mut cutter = LineCutter::new(Trickle(b"one\ntwo\nthr", false), 100, 1_000);
        let first = cutter.next_chunk().unwrap().unwrap();
        assert_eq!(
            (first.data.as_slice(), first.end_position, first.is_open),
            (&b"one\ntwo\n"[..], 108, false)
        );
        let last = cutter.next_chunk().unwrap().unwrap();
        assert_eq!((last.data.as_slice(), last.end_position, last.is_open), (&b"thr"[..], 111, true));
        assert!(cutter.next_chunk().unwrap().is_none());
        let mut cutter = LineCutter::new(Trickle(b"one\ntw", true), 0, 1_000);
        assert_eq!(cutter.next_chunk().unwrap().unwrap().data, b"one\n");
        assert_eq!(cutter.next_chunk().unwrap_err().to_string(), "gone");
    }

    #[test]
    fn a_line_of_any_length_takes_bounded_memory_and_is_one_record() {
        let mut text = vec![b'x'; 3 * CHUNK_BYTES + 5];
        text.extend_from_slice(b"\r\nnext\n");
        let mut cutter = LineCutter::new(text.as_slice(), 0, 1_000);
        let long = cutter.next_chunk().unwrap().unwrap();
        assert!(matches!(long.kind, ChunkKind::TooLong(length) if length == 3 * CHUNK_BYTES as u64 + 5));
        assert!(long.data.len() <= 1_000 && !long.is_open);
        let next = cutter.next_chunk().unwrap().unwrap();
        assert_eq!((next.data.as_slice(), next.end_position), (&b"next\n"[..], text.len() as u64));
    }
}
