//! Time, CPU and memory of a piece of work.

use std::time::Instant;

/// What a piece of work took.
pub struct Figure {
    /// The piece of work, in words.
    pub work: String,
    /// Events that it worked on.
    pub events: u64,
    /// By the clock on the wall.
    pub seconds: f64,
    /// User and system time of this process, or of the peer's.
    pub cpu_seconds: f64,
    /// The largest memory in use meanwhile.
    pub peak_mb: f64,
    /// What else is worth knowing.
    pub note: String,
}

impl Figure {
    /// Speed.
    pub fn events_per_second(&self) -> f64 {
        self.events as f64 / self.seconds.max(1e-9)
    }
}

/// Runs `work` and measures it; `work` gives the number of events.
pub fn measure(work: &str, run: impl FnOnce() -> anyhow::Result<u64>) -> anyhow::Result<Figure> {
    reset_peak_memory();
    let cpu_before = cpu_seconds();
    let started = Instant::now();
    let events = run()?;
    Ok(Figure {
        work: work.to_owned(),
        events,
        seconds: started.elapsed().as_secs_f64(),
        cpu_seconds: cpu_seconds() - cpu_before,
        peak_mb: peak_memory_mb(),
        note: String::new(),
    })
}

/// User and system time of this process so far; 0 where /proc is not there.
fn cpu_seconds() -> f64 {
    const TICKS_PER_SECOND: f64 = 100.0; // USER_HZ of every Linux that Rust supports
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The second field is the command in parentheses and may hold spaces.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / TICKS_PER_SECOND
}

/// Starts a new peak, where the kernel lets us (`man 5 proc`, clear_refs).
fn reset_peak_memory() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

fn peak_memory_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).and_then(|kib| kib.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1_024.0
}
