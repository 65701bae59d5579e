//! The bytes that were read and not yet given out, and taking a record of them.

use std::io::{self, Read};
use std::ops::Range;

/// Bytes asked for in one read.
const READ_BYTES: usize = 128 << 10;

/// Of a record that is too long this much is kept.
const KEPT_OF_TOO_LONG: usize = 64 << 10;

/// Bytes looked at beyond the longest record: enough for its line end, or for the beginning of the
/// object that follows.
const LOOK_AHEAD: usize = 8;

/// What follows the bytes that a finder is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ahead {
    /// There may be more.
    More,
    /// More than a record may have: whatever is still open will not be closed in time.
    Limit,
    /// Nothing.
    End,
}

/// Where a record ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    /// Bytes of the record.
    pub length: usize,
    /// Bytes up to where the next one begins.
    pub taken: usize,
}

/// Finds the end of the record that is being read. It is shown the record from its beginning, each
/// time with more bytes, and remembers how far it has looked.
pub(super) trait FindEnd {
    /// The end, if it lies within `text`.
    fn find(&mut self, text: &[u8], ahead: Ahead) -> Option<End>;

    /// Bytes of the record, where nothing ended it before the input did.
    fn length_at_end(&self, text: &[u8]) -> usize {
        text.len()
    }

    /// The record is too long: the bytes that need not be looked at again are shown no more. Gives
    /// their number.
    fn skip(&mut self, text: &[u8]) -> usize;

    /// The next record begins.
    fn restart(&mut self);
}

/// A record within the buffer.
pub(super) struct Found {
    pub range: Range<usize>,
    pub byte_offset: u64,
    pub truncated_from: Option<u64>,
    /// Whether anything ended it but the end of the input.
    pub is_ended: bool,
}

/// A record that is too long, while the rest of it is read over.
struct Skipping {
    kept: Vec<u8>,
    byte_offset: u64,
    skipped: u64,
}

/// The bytes that were read and not yet given out.
pub(super) struct Input<R: Read> {
    reader: R,
    pub buffer: Vec<u8>,
    /// Where what was not given out begins in `buffer`.
    pub start: usize,
    /// Where `buffer` begins in the input.
    offset: u64,
    at_end: bool,
    /// Kept here, so that a pause of the input in the middle of such a record loses nothing of it.
    skipping: Option<Skipping>,
}

impl<R: Read> Input<R> {
    pub fn new(reader: R) -> Input<R> {
        Input { reader, buffer: Vec::new(), start: 0, offset: 0, at_end: false, skipping: None }
    }

    /// Where what was not given out begins in the input.
    pub fn position(&self) -> u64 {
        self.offset + self.start as u64
    }

    /// Reads more; what was given out makes room.
    fn fill(&mut self) -> io::Result<()> {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.offset += self.start as u64;
            self.start = 0;
        }
        let filled = self.buffer.len();
        self.buffer.resize(filled + READ_BYTES, 0);
        let outcome = loop {
            match self.reader.read(&mut self.buffer[filled..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.buffer.truncate(filled + *outcome.as_ref().unwrap_or(&0));
        self.at_end = outcome? == 0;
        Ok(())
    }

    /// Whether everything was given out.
    pub fn is_exhausted(&mut self) -> io::Result<bool> {
        while self.start == self.buffer.len() && !self.at_end {
            self.fill()?;
        }
        Ok(self.start == self.buffer.len() && self.skipping.is_none())
    }

    pub fn skip_byte_order_mark(&mut self) -> io::Result<()> {
        while self.offset == 0 && self.start == 0 && self.buffer.len() < 3 && !self.at_end {
            self.fill()?;
        }
        if self.offset == 0 && self.start == 0 && self.buffer.starts_with(b"\xef\xbb\xbf") {
            self.start = 3;
        }
        Ok(())
    }

    /// The next byte that is not white space, without taking it.
    pub fn skip_space(&mut self) -> io::Result<Option<u8>> {
        while !self.is_exhausted()? {
            match self.buffer.get(self.start) {
                Some(byte) if byte.is_ascii_whitespace() => self.start += 1,
                next => return Ok(next.copied()),
            }
        }
        Ok(None)
    }

    /// Takes the next record. After an error that passes, such as a pause, it may be called again.
    pub fn take(&mut self, max_record_bytes: usize, finder: &mut impl FindEnd) -> io::Result<Found> {
        let window = max_record_bytes.saturating_add(LOOK_AHEAD);
        while self.skipping.is_none() {
            let rest = &self.buffer[self.start..];
            // Never more than the window, so that it does not matter in which pieces the bytes come.
            let text = &rest[..rest.len().min(window)];
            let ahead = match (text.len() == window, self.at_end) {
                (true, _) => Ahead::Limit,
                (false, true) => Ahead::End,
                (false, false) => Ahead::More,
            };
            match (finder.find(text, ahead), ahead) {
                (Some(end), _) => return Ok(self.give(end, true, max_record_bytes, finder)),
                (None, Ahead::End) => {
                    let end = End { length: finder.length_at_end(text), taken: text.len() };
                    return Ok(self.give(end, false, max_record_bytes, finder));
                }
                (None, Ahead::More) => self.fill()?,
                (None, Ahead::Limit) => {
                    let kept = text[..KEPT_OF_TOO_LONG.min(max_record_bytes)].to_vec();
                    let byte_offset = self.position();
                    self.skipping = Some(Skipping { kept, byte_offset, skipped: 0 });
                }
            }
        }
        let (end, is_ended) = self.find_end_of_skipped(finder)?;
        Ok(self.give_skipped(end, is_ended, max_record_bytes, finder))
    }

    /// Looks first at what is there already: a read for each such record would heap up what follows.
    fn find_end_of_skipped(&mut self, finder: &mut impl FindEnd) -> io::Result<(End, bool)> {
        loop {
            let count = finder.skip(&self.buffer[self.start..]);
            self.start += count;
            if let Some(skipping) = &mut self.skipping {
                skipping.skipped += count as u64;
            }
            let text = &self.buffer[self.start..];
            let ahead = if self.at_end { Ahead::End } else { Ahead::More };
            match finder.find(text, ahead) {
                Some(end) => return Ok((end, true)),
                None if self.at_end => {
                    return Ok((End { length: finder.length_at_end(text), taken: text.len() }, false));
                }
                None => self.fill()?,
            }
        }
    }

    fn give(
        &mut self,
        end: End,
        is_ended: bool,
        max_record_bytes: usize,
        finder: &mut impl FindEnd,
    ) -> Found {
        finder.restart();
        let start = self.start;
        self.start = start + end.taken;
        let too_long = end.length > max_record_bytes;
        let kept = if too_long { end.length.min(KEPT_OF_TOO_LONG).min(max_record_bytes) } else { end.length };
        Found {
            range: start..start + kept,
            byte_offset: self.offset + start as u64,
            truncated_from: too_long.then_some(end.length as u64),
            is_ended,
        }
    }

    fn give_skipped(
        &mut self,
        end: End,
        is_ended: bool,
        max_record_bytes: usize,
        finder: &mut impl FindEnd,
    ) -> Found {
        let Some(Skipping { kept, byte_offset, skipped }) = self.skipping.take() else {
            return self.give(end, is_ended, max_record_bytes, finder);
        };
        finder.restart();
        self.start += end.taken;
        // The kept beginning goes right in front of what is still to come, over bytes that were
        // given out if there are enough of them.
        match self.start.checked_sub(kept.len()) {
            Some(from) => self.buffer[from..self.start].copy_from_slice(&kept),
            None => {
                self.offset = (self.offset + self.start as u64).saturating_sub(kept.len() as u64);
                self.buffer.splice(..self.start, kept.iter().copied());
                self.start = kept.len();
            }
        }
        let length = skipped + end.length as u64;
        let range = self.start - kept.len()..self.start;
        Found { range, byte_offset, truncated_from: Some(length), is_ended }
    }

    /// A record without bytes, where the input ends too early.
    pub fn give_nothing(&self) -> Found {
        Found {
            range: self.start..self.start,
            byte_offset: self.position(),
            truncated_from: None,
            is_ended: true,
        }
    }
}
