//! `adpipe verify --deep`, with a bar on a terminal.

use std::io::IsTerminal;
use std::sync::atomic::Ordering;
use std::time::Duration;

use adpipe_batch::deep::{Deep, DeepProgress};
use indicatif::{ProgressBar, ProgressStyle};

use crate::services::Services;

const BAR_EVERY: Duration = Duration::from_millis(100);

/// Compares everything with its sum.
pub fn verify(services: &Services) -> anyhow::Result<Deep> {
    let progress = DeepProgress::default();
    let minutes_kept = services.config.retention.minutes.0;
    let work = || {
        adpipe_batch::deep::verify(services.warehouse.as_ref(), &services.archive, minutes_kept, &progress)
    };
    if !std::io::stderr().is_terminal() {
        return Ok(work()?);
    }
    std::thread::scope(|scope| {
        let worker = std::thread::Builder::new().name("verify".to_owned()).spawn_scoped(scope, work)?;
        draw(&progress, || worker.is_finished());
        let deep = worker.join().map_err(|_| anyhow::anyhow!("verify panicked; please report this"))?;
        Ok(deep?)
    })
}

fn draw(progress: &DeepProgress, is_done: impl Fn() -> bool) {
    let bar = ProgressBar::new(0);
    let style = ProgressStyle::with_template("[{bar:30}] {human_pos}/{human_len} events {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    while !is_done() {
        bar.set_length(progress.events.load(Ordering::Relaxed));
        bar.set_position(progress.events_read.load(Ordering::Relaxed));
        std::thread::sleep(BAR_EVERY);
    }
    bar.finish_and_clear();
}
