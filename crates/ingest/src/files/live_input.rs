//! Standard input, a pipe or a device: input that comes when it comes.

use std::io::{self, Cursor, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use super::source::Input;

/// A live input that is silent this long drops what has come.
const LIVE_PAUSE: Duration = Duration::from_millis(200);

/// Read by a separate thread, so that a pause in the input can be noticed: then `read` fails with
/// `TimedOut` and may be called again.
pub(super) struct LiveInput {
    pieces: Receiver<io::Result<Vec<u8>>>,
    current: Cursor<Vec<u8>>,
}

impl LiveInput {
    /// Begins to read; `open` may wait for a writer.
    pub fn start(open: impl FnOnce() -> io::Result<Input> + Send + 'static) -> io::Result<LiveInput> {
        let (sender, pieces) = sync_channel(4);
        std::thread::Builder::new().name("live-input".to_owned()).spawn(move || {
            let mut input = match open() {
                Ok(input) => input,
                Err(error) => return drop(sender.send(Err(error))),
            };
            loop {
                let mut piece = vec![0; 64 << 10];
                let outcome = input.read(&mut piece).map(|count| {
                    piece.truncate(count);
                    piece
                });
                let at_end = outcome.as_ref().is_ok_and(Vec::is_empty);
                if sender.send(outcome).is_err() || at_end {
                    return;
                }
            }
        })?;
        Ok(LiveInput { pieces, current: Cursor::new(Vec::new()) })
    }
}

impl Read for LiveInput {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.current.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            match self.pieces.recv_timeout(LIVE_PAUSE) {
                Ok(piece) => {
                    let piece = piece?;
                    if piece.is_empty() {
                        return Ok(0);
                    }
                    self.current = Cursor::new(piece);
                }
                Err(RecvTimeoutError::Timeout) => return Err(io::ErrorKind::TimedOut.into()),
                Err(RecvTimeoutError::Disconnected) => return Ok(0),
            }
        }
    }
}
