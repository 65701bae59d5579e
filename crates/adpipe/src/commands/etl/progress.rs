//! How far a run has come: a bar on a terminal, a line now and then otherwise.

use std::io::IsTerminal;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use adpipe_batch::Progress;
use indicatif::{ProgressBar, ProgressStyle};

use crate::output;

const BAR_EVERY: Duration = Duration::from_millis(100);
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Does `work` and shows how far it has come.
pub fn shown<T: Send>(progress: &Progress, work: impl FnOnce() -> T + Send) -> anyhow::Result<T> {
    std::thread::scope(|scope| {
        let worker = std::thread::Builder::new().name("etl".to_owned()).spawn_scoped(scope, work)?;
        match std::io::stderr().is_terminal() {
            true => draw(progress, || worker.is_finished()),
            false => tell(progress, || worker.is_finished()),
        }
        worker.join().map_err(|_| anyhow::anyhow!("batch panicked; please report this"))
    })
}

fn draw(progress: &Progress, is_done: impl Fn() -> bool) {
    let bar = ProgressBar::new(0);
    let style = ProgressStyle::with_template("{prefix} [{bar:30}] {bytes}/{total_bytes} {msg} {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    while !is_done() {
        bar.set_length(progress.bytes.load(Ordering::Relaxed));
        bar.set_position(progress.bytes_read.load(Ordering::Relaxed));
        bar.set_prefix(output::terminal::escaped(&progress.current()).into_owned());
        bar.set_message(output::counted(progress.records.load(Ordering::Relaxed), "row"));
        std::thread::sleep(BAR_EVERY);
    }
    bar.finish_and_clear();
}

fn tell(progress: &Progress, is_done: impl Fn() -> bool) {
    let mut told_at = Instant::now();
    let started = Instant::now();
    while !is_done() {
        // A short run is over before anybody would look.
        std::thread::sleep(if started.elapsed() < BAR_EVERY { Duration::from_millis(5) } else { BAR_EVERY });
        if told_at.elapsed() >= LINE_EVERY {
            told_at = Instant::now();
            let (bytes, read) =
                (progress.bytes.load(Ordering::Relaxed), progress.bytes_read.load(Ordering::Relaxed));
            let percent = (read * 100).checked_div(bytes).unwrap_or(100).min(100);
            let rows = output::counted(progress.records.load(Ordering::Relaxed), "row");
            output::note(&format!("{}: {rows} ({percent} %)", progress.current()));
        }
    }
}
