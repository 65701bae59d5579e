//! gzip as files in the wild have it: several members, zeros between and after them.

use std::io::{self, BufRead, BufReader, ErrorKind, Read};

use flate2::bufread::GzDecoder;

/// The uncompressed bytes of all members. Zeros after a member, with which tapes and block devices pad
/// files, are skipped, as gzip itself does; anything else that follows is an error.
pub struct GzipReader<R: Read> {
    state: State<R>,
    /// Number of the member that is read, from 1, and where it begins.
    member: u64,
    member_start: u64,
}

enum State<R: Read> {
    Member(Box<GzDecoder<BufReader<Compressed<R>>>>),
    Between {
        input: BufReader<Compressed<R>>,
        is_first: bool,
    },
    /// Never seen from outside.
    Moving,
}

impl<R: Read> GzipReader<R> {
    /// Reads what `input` holds.
    pub fn new(input: R) -> GzipReader<R> {
        let input = BufReader::with_capacity(64 << 10, Compressed { input, read: 0 });
        GzipReader { state: State::Between { input, is_first: true }, member: 0, member_start: 0 }
    }

    fn read_on(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match &mut self.state {
                State::Member(decoder) => {
                    let (member, start) = (self.member, self.member_start);
                    let count = decoder.read(buffer).map_err(|error| damage(error, member, start))?;
                    if count > 0 || buffer.is_empty() {
                        return Ok(count);
                    }
                    if let State::Member(decoder) = std::mem::replace(&mut self.state, State::Moving) {
                        self.state = State::Between { input: decoder.into_inner(), is_first: false };
                    }
                }
                State::Between { input, is_first } => {
                    if !next_member(input, *is_first)? {
                        return Ok(0);
                    }
                    self.member += 1;
                    self.member_start = input.get_ref().read - input.buffer().len() as u64;
                    if let State::Between { input, .. } = std::mem::replace(&mut self.state, State::Moving) {
                        self.state = State::Member(Box::new(GzDecoder::new(input)));
                    }
                }
                State::Moving => return Err(io::Error::other("a gzip reader panicked before")),
            }
        }
    }
}

impl<R: Read> Read for GzipReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_on(buffer).map_err(|error| match error.kind() {
            ErrorKind::WouldBlock => ErrorKind::TimedOut.into(),
            _ => error,
        })
    }
}

/// Names the member that is damaged; a pause stays a pause.
fn damage(error: io::Error, member: u64, start: u64) -> io::Error {
    let place = match member {
        1 => "the gzip data".to_owned(),
        _ => format!("the gzip member {member}, which begins at byte {start},"),
    };
    match error.kind() {
        ErrorKind::UnexpectedEof => io::Error::new(error.kind(), format!("{place} is cut short")),
        // What flate2 says of bytes that are not as they should be.
        ErrorKind::InvalidInput | ErrorKind::InvalidData => {
            io::Error::new(ErrorKind::InvalidInput, format!("{place} is damaged ({error})"))
        }
        _ => error,
    }
}

/// Goes to the next member; false when there is none.
fn next_member<R: Read>(input: &mut BufReader<Compressed<R>>, is_first: bool) -> io::Result<bool> {
    loop {
        let bytes = input.fill_buf()?;
        let Some(first) = bytes.first() else { return Ok(false) };
        if is_first || *first == 0x1f {
            return Ok(true);
        }
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        if zeros == 0 {
            let at = input.get_ref().read - input.buffer().len() as u64;
            return Err(io::Error::new(
                ErrorKind::InvalidData,
                format!("the gzip data ends at byte {at} and something else follows; remove what follows"),
            ));
        }
        input.consume(zeros);
    }
}

/// The input, counted. A pause of a live input is known to flate2 as `WouldBlock`: after any other
/// error in the middle of a header it would not continue.
struct Compressed<R> {
    input: R,
    read: u64,
}

impl<R: Read> Read for Compressed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let outcome = self.input.read(buffer);
        self.read += *outcome.as_ref().unwrap_or(&0) as u64;
        outcome.map_err(|error| match error.kind() {
            ErrorKind::TimedOut => ErrorKind::WouldBlock.into(),
            _ => error,
        })
    }
}
