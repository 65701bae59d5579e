//! How far an ingest has come: a bar on a terminal, a line now and then otherwise.

use std::cell::Cell;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use adpipe_ingest::Source;
use indicatif::{ProgressBar, ProgressStyle};

use crate::output;

const LINE_EVERY: Duration = Duration::from_secs(5);

pub struct Progress {
    name: String,
    bytes: Option<u64>,
    read: Arc<AtomicU64>,
    bar: Option<ProgressBar>,
    told_at: Cell<Instant>,
}

impl Progress {
    /// For a source that is about to be read.
    pub fn new(source: &Source) -> Progress {
        let bar = source.size().filter(|_| std::io::stderr().is_terminal()).map(|bytes| {
            let bar = ProgressBar::new(bytes);
            let style =
                ProgressStyle::with_template("{prefix} [{bar:30}] {bytes}/{total_bytes} {msg} {eta} left");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_prefix(output::terminal::escaped(source.name()).into_owned());
            bar
        });
        Progress {
            name: source.name().to_owned(),
            bytes: source.size(),
            read: source.bytes_read(),
            bar,
            told_at: Cell::new(Instant::now()),
        }
    }

    /// The source's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Shows how many records were appended so far.
    pub fn appended(&self, records: u64) {
        let read = self.read.load(Ordering::Relaxed);
        if let Some(bar) = &self.bar {
            bar.set_position(read);
            bar.set_message(format!("{} records", output::grouped(records)));
        } else if self.told_at.get().elapsed() >= LINE_EVERY {
            self.told_at.set(Instant::now());
            let share = self.bytes.filter(|bytes| *bytes > 0).map(|bytes| read * 100 / bytes);
            let share = share.map_or(String::new(), |percent| format!(" ({percent} %)"));
            output::note(&format!("{}: {} records{share}", self.name, output::grouped(records)));
        }
    }

    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
