//! A file or standard input, decompressed and with its format found out.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, UNIX_EPOCH};

use adpipe_event::{Encoding, Format, decode, find_format, read_start, sniff_encoding, sniff_foreign};
use adpipe_runtime::{Shutdown, account_name};
use anyhow::{Context, bail};

use super::progress::Progress;
use crate::config::ConfigError;

/// What records are read from.
pub type Input = Box<dyn Read + Send>;

/// A live input that is silent this long lets go of what has come.
const LIVE_PAUSE: Duration = Duration::from_millis(200);

/// One input of `adpipe ingest`.
pub struct Source {
    /// As the user wrote it.
    pub name: String,
    /// Names the file and its content, so that an interrupted ingest can go on; none for standard input.
    pub identity: Option<String>,
    /// Size on disk; none for standard input.
    pub bytes: Option<u64>,
    input: Input,
    shutdown: Shutdown,
}

impl Source {
    /// Opens a file, or standard input for `-`. Reading fails once the switch is off.
    pub fn open(path: &Path, shutdown: &Shutdown) -> anyhow::Result<Source> {
        if path == Path::new("-") {
            let name = "standard input".to_owned();
            return Source::live(name, || Ok(Box::new(io::stdin())), shutdown);
        }
        let shown = path.display();
        let metadata = std::fs::metadata(path).with_context(|| format!("cannot read {shown}"))?;
        if metadata.is_dir() {
            bail!(ConfigError::flag(format!(
                "{shown} is a folder; name its files, for example {shown}/*.csv"
            )));
        }
        if !metadata.is_file() {
            // A pipe or device has no content to come back to, and opening it may wait for a writer.
            let opened = path.to_path_buf();
            return Source::live(shown.to_string(), move || Ok(Box::new(File::open(opened)?)), shutdown);
        }
        let file = File::open(path).with_context(|| format!("cannot read {shown}"))?;
        let changed = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        let whole = account_name(&path.canonicalize().unwrap_or_else(|_| path.to_path_buf()));
        Ok(Source {
            name: shown.to_string(),
            identity: Some(format!("{whole}\t{}\t{}", metadata.len(), changed.as_nanos())),
            bytes: Some(metadata.len()),
            input: Box::new(file),
            shutdown: shutdown.clone(),
        })
    }

    fn live(
        name: String,
        open: impl FnOnce() -> io::Result<Input> + Send + 'static,
        shutdown: &Shutdown,
    ) -> anyhow::Result<Source> {
        let input = Box::new(LiveInput::start(open)?);
        Ok(Source { name, identity: None, bytes: None, input, shutdown: shutdown.clone() })
    }

    /// The decompressed bytes and their format; none when there are no bytes.
    pub fn reader(
        self,
        format: Option<Format>,
        progress: &Progress,
    ) -> anyhow::Result<Option<(Input, Format)>> {
        let shutdown = self.shutdown;
        let (start, rest) = peek(Box::new(progress.count(self.input)), &shutdown)?;
        if let Some(reason) = sniff_foreign(&start, Encoding::Identity) {
            bail!("{reason}");
        }
        let encoding = sniff_encoding(&start);
        let decoded = decode(Box::new(Cursor::new(start).chain(rest)), encoding)?;
        let (start, rest) = peek(decoded, &shutdown).context("cannot be decompressed")?;
        if let Some(reason) = sniff_foreign(&start, encoding) {
            bail!("{reason}");
        }
        let found = format.or_else(|| find_format(&start, Format::of_name(&self.name)));
        let Some(format) = found else { return Ok(None) };
        let input = Cursor::new(start).chain(rest);
        Ok(Some((Box::new(Stoppable { input, shutdown }), format)))
    }
}

/// Fails once the switch is off, so that a record without an end keeps nobody waiting.
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

/// The first bytes, and the reader behind them.
fn peek(mut reader: Input, shutdown: &Shutdown) -> io::Result<(Vec<u8>, Input)> {
    let start = read_start(&mut reader, || match shutdown.is_triggered() {
        true => Err(io::Error::other("stopped")),
        false => Ok(()),
    })?;
    Ok((start, reader))
}

/// Standard input, a pipe or a device, read by a thread of its own, so that a pause in it can be
/// noticed: then `read` fails with `TimedOut` and may be called again.
struct LiveInput {
    pieces: Receiver<io::Result<Vec<u8>>>,
    current: Cursor<Vec<u8>>,
}

impl LiveInput {
    fn start(open: impl FnOnce() -> io::Result<Input> + Send + 'static) -> io::Result<LiveInput> {
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
