//! How far a long command has come: a bar on a terminal, a line now and then otherwise.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

const BAR_EVERY: Duration = Duration::from_millis(100);
const LINE_EVERY: Duration = Duration::from_secs(5);

/// How far it has come.
pub struct Shown {
    /// What it works on.
    pub what: String,
    /// Bytes that are done.
    pub done: u64,
    /// Bytes to do, as far as that is known.
    pub total: u64,
}

/// Does `work` on a thread of this name and shows how far it has come.
pub fn shown<T: Send>(
    name: &str,
    look: impl Fn() -> Shown,
    work: impl FnOnce() -> T + Send,
) -> anyhow::Result<T> {
    std::thread::scope(|scope| {
        let worker = std::thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, work)?;
        match std::io::stderr().is_terminal() {
            true => draw(look, || worker.is_finished()),
            false => print(look, || worker.is_finished()),
        }
        worker.join().map_err(|_| anyhow::anyhow!("{name} panicked; please report this"))
    })
}

fn draw(look: impl Fn() -> Shown, is_done: impl Fn() -> bool) {
    let bar = ProgressBar::new(0);
    let style = ProgressStyle::with_template("{prefix} [{bar:30}] {bytes}/{total_bytes} {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    while !is_done() {
        let Shown { what, done, total } = look();
        bar.set_length(total);
        bar.set_position(done);
        bar.set_prefix(what);
        std::thread::sleep(BAR_EVERY);
    }
    bar.finish_and_clear();
}

fn print(look: impl Fn() -> Shown, is_done: impl Fn() -> bool) {
    let started = Instant::now();
    let mut printed_at = started;
    while !is_done() {
        // A short run is over before anybody would look.
        std::thread::sleep(if started.elapsed() < BAR_EVERY { Duration::from_millis(5) } else { BAR_EVERY });
        if printed_at.elapsed() >= LINE_EVERY {
            printed_at = Instant::now();
            let Shown { what, done, total } = look();
            let percent = (done * 100).checked_div(total).unwrap_or(0).min(100);
            eprintln!("{what}: {:.1} of {:.1} MB ({percent} %)", done as f64 / 1e6, total as f64 / 1e6);
        }
    }
}
