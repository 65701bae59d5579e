//! How far a long command has come: a bar on a terminal, a line now and then otherwise. Each step of
//! the work has its own bar.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use adpipe_runtime::progress::{Look, Unit};
use indicatif::{ProgressBar, ProgressStyle};

use crate::output;

const BAR_EVERY: Duration = Duration::from_millis(100);
const LINE_EVERY: Duration = Duration::from_secs(5);

/// What is left of a step is guessed only when this much of it is done, in percent …
const GUESS_FROM: u64 = 3;

/// … and it has lasted this long.
const GUESS_AFTER: Duration = Duration::from_secs(2);

/// Does `work` on a thread of this name and shows how far it has come.
pub fn shown<T: Send>(
    name: &str,
    look: impl Fn() -> Look,
    work: impl FnOnce() -> T + Send,
) -> anyhow::Result<T> {
    std::thread::scope(|scope| {
        let worker = std::thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, work)?;
        let watch = Watch { started: Instant::now(), step: 0, step_started: Instant::now() };
        if std::io::stderr().is_terminal() {
            draw(look, watch, || worker.is_finished())
        } else {
            print(look, watch, || worker.is_finished())
        }
        worker.join().map_err(|_| anyhow::anyhow!("{name} panicked; please report this"))
    })
}

/// Since when the command and its step are running.
struct Watch {
    started: Instant,
    step: u64,
    step_started: Instant,
}

impl Watch {
    /// Time of the command and of its step.
    fn times(&mut self, look: &Look) -> (Duration, Duration) {
        if self.step != look.step {
            (self.step, self.step_started) = (look.step, Instant::now());
        }
        (self.started.elapsed(), self.step_started.elapsed())
    }
}

fn draw(look: impl Fn() -> Look, mut watch: Watch, is_done: impl Fn() -> bool) {
    let bar = ProgressBar::new(0);
    let style = ProgressStyle::with_template("{prefix} [{bar:30}] {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    while !is_done() {
        let look = look();
        let (took, step_took) = watch.times(&look);
        bar.set_length(look.total.max(1));
        bar.set_position(look.done.min(look.total));
        bar.set_prefix(output::terminal::escaped(&title(&look)).into_owned());
        bar.set_message(extent(&look, took, step_took));
        std::thread::sleep(BAR_EVERY);
    }
    bar.finish_and_clear();
}

fn print(look: impl Fn() -> Look, mut watch: Watch, is_done: impl Fn() -> bool) {
    let started = watch.started;
    let mut printed_at = started;
    while !is_done() {
        // A short run is over before anybody would look.
        std::thread::sleep(if started.elapsed() < BAR_EVERY { Duration::from_millis(5) } else { BAR_EVERY });
        let look = look();
        let (took, step_took) = watch.times(&look);
        if printed_at.elapsed() >= LINE_EVERY {
            printed_at = Instant::now();
            output::note(&format!("{}: {}", title(&look), extent(&look, took, step_took)));
        }
    }
}

/// The step and what it works on: `step 2 of 7, reading raw files: a.csv`.
fn title(look: &Look) -> String {
    let number = match look.steps {
        0 | 1 => String::new(),
        steps => format!("step {} of {steps}, ", look.step.min(steps)),
    };
    match look.detail.as_str() {
        "" => format!("{number}{}", look.name),
        detail => format!("{number}{}: {detail}", look.name),
    }
}

/// How much of the step is done, and the time that the command has taken so far.
fn extent(look: &Look, took: Duration, step_took: Duration) -> String {
    let mut parts = Vec::new();
    if look.total > 0 {
        let percent = percent(look);
        parts.push(match look.unit {
            Unit::Bytes => {
                format!("{:.1} of {:.1} MB ({percent} %)", look.done as f64 / 1e6, look.total as f64 / 1e6)
            }
            unit => {
                let noun = if unit == Unit::Events { "event" } else { "record" };
                let total = output::counted(look.total, noun);
                format!("{} of {total} ({percent} %)", output::grouped(look.done.min(look.total)))
            }
        });
    }
    if look.rows > 0 {
        parts.push(output::counted(look.rows, "row"));
    }
    parts.push(format!("{} s", took.as_secs()));
    if let Some(left) = left(look, step_took) {
        let of_step = if look.steps > 1 { " of this step" } else { "" };
        parts.push(format!("about {} s{of_step} left", left.as_secs()));
    }
    parts.join(", ")
}

fn percent(look: &Look) -> u64 {
    (look.done * 100).checked_div(look.total).unwrap_or(0).min(100)
}

/// What is left of the step, as long as that can be said: nothing near its end, where a guess would
/// read "0 s left".
fn left(look: &Look, step_took: Duration) -> Option<Duration> {
    if step_took < GUESS_AFTER || percent(look) < GUESS_FROM || look.done >= look.total {
        return None;
    }
    let left = step_took.mul_f64((look.total - look.done) as f64 / look.done as f64);
    (left >= Duration::from_secs(1)).then_some(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(done: u64, total: u64, unit: Unit) -> Look {
        Look {
            step: 4,
            steps: 7,
            name: "filling realtime.events".to_owned(),
            done,
            total,
            unit,
            ..Look::default()
        }
    }

    #[test]
    fn a_step_says_which_it_is_and_how_much_is_left() {
        let seconds = Duration::from_secs;
        let mut half = look(500_000, 1_000_000, Unit::Events);
        half.rows = 1_000_000;
        assert_eq!(title(&half), "step 4 of 7, filling realtime.events");
        assert_eq!(
            extent(&half, seconds(9), seconds(6)),
            "500,000 of 1,000,000 events (50 %), 1,000,000 rows, 9 s, about 6 s of this step left"
        );
        let bytes = Look { detail: "a.csv".to_owned(), ..look(1_500_000, 6_000_000, Unit::Bytes) };
        assert_eq!(title(&bytes), "step 4 of 7, filling realtime.events: a.csv");
        assert_eq!(extent(&bytes, seconds(1), seconds(1)), "1.5 of 6.0 MB (25 %), 1 s");
    }

    #[test]
    fn nothing_is_said_to_be_left_that_nobody_knows() {
        let seconds = Duration::from_secs;
        assert_eq!(extent(&look(0, 0, Unit::Bytes), seconds(30), seconds(30)), "30 s");
        for (done, total) in [(1_000, 1_000), (999, 1_000), (1, 1_000)] {
            let text = extent(&look(done, total, Unit::Records), seconds(30), seconds(30));
            assert!(!text.contains("left"), "{text}");
        }
    }
}
