//! One rule for every command: Ctrl-C and SIGTERM end it in less than two seconds (`up`, `run` and
//! `demo`, which have others to look after, in less than ten).
//!
//! A command that only reads is ended by the signal itself. One that writes watches for it here: the
//! first signal turns a switch off, and the command ends cleanly. A command that has not ended after
//! [`GRACE`] (or [`SERVER_GRACE`]), because it waits for a disk, a server or another process, is ended
//! as if by `kill -9`, which every store withstands. A second signal does the same at once.
//!
//! The exit code is 130 after Ctrl-C and 143 after SIGTERM, as a shell reports of programs that a
//! signal ends by itself. `up`, `run` and `demo`, which only a signal ends, exit with 0 when they ended
//! in order.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use adpipe_runtime::Shutdown;
use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How long a command may take to end in order.
pub const GRACE: Duration = Duration::from_millis(1_500);

/// The same for `up`, `run` and `demo`: requests are answered, running tasks of DAGs end and their end
/// is stored, a consumer leaves its group. Below what systemd (90 s) and Kubernetes (30 s) wait.
pub const SERVER_GRACE: Duration = Duration::from_secs(10);

const INTERRUPTED: u8 = 130;
const TERMINATED: u8 = 143;

/// The exit code of the signal that came first; 0 before it came.
static CODE: AtomicU8 = AtomicU8::new(0);

/// Folders that go away with the process, however it ends.
static SCRATCH: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// The exit code of a command that a signal has stopped.
pub fn exit_code() -> ExitCode {
    ExitCode::from(stopped_by().unwrap_or(INTERRUPTED))
}

fn stopped_by() -> Option<u8> {
    Some(CODE.load(Ordering::SeqCst)).filter(|code| *code != 0)
}

/// Turns the switch off at the first signal, for as long as the process lives; ends the process when
/// it has not ended by itself within `grace`.
pub fn watch(shutdown: &Shutdown, grace: Duration) -> anyhow::Result<()> {
    let shutdown = shutdown.clone();
    on_signal(move || shutdown.trigger(), grace)
}

/// Ends the process at the first signal: for work whose results are of no use when it is cut short.
/// Folders given to [`remove_at_end`] are removed.
pub fn end_at_once() -> anyhow::Result<()> {
    on_signal(|| {}, Duration::ZERO)
}

/// Calls `act` at every Ctrl-C, which ends one of many things and not the process. SIGTERM ends it.
pub fn at_each_interrupt(act: impl Fn() + Send + 'static) -> anyhow::Result<()> {
    on_thread(|mut signals| async move {
        loop {
            match signals.next().await {
                INTERRUPTED => act(),
                code => {
                    CODE.store(code, Ordering::SeqCst);
                    end_now();
                }
            }
        }
    })
}

/// Removes a folder if a signal ends the process before its creator removes it.
pub fn remove_at_end(folder: PathBuf) {
    SCRATCH.lock().unwrap_or_else(PoisonError::into_inner).push(folder);
}

fn on_signal(act: impl FnOnce() + Send + 'static, grace: Duration) -> anyhow::Result<()> {
    on_thread(move |mut signals| async move {
        let code = signals.next().await;
        let _ = CODE.compare_exchange(0, code, Ordering::SeqCst, Ordering::SeqCst);
        act();
        let is_late = tokio::select! {
            _ = signals.next() => false,
            () = tokio::time::sleep(grace) => !grace.is_zero(),
        };
        if is_late {
            say_that_it_was_late();
        }
        end_now();
    })
}

/// On a separate thread, so that nothing that blocks keeps it from ending the process.
fn on_thread<F>(work: impl FnOnce(Signals) -> F) -> anyhow::Result<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let signals = {
        let _in_runtime = runtime.enter();
        Signals {
            interrupt: signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?,
            terminate: signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?,
        }
    };
    let work = work(signals);
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || runtime.block_on(work))
        .context("cannot start the signal thread")?;
    Ok(())
}

/// On a thread that nothing waits for, because the reader may not read.
fn say_that_it_was_late() {
    std::thread::spawn(|| {
        let told = "stopped without waiting any longer; nothing that was stored is lost";
        let _ = writeln!(std::io::stderr(), "{told}");
    });
    std::thread::sleep(Duration::from_millis(20));
}

fn end_now() {
    for folder in SCRATCH.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        // A file may still be added while the folder is emptied.
        let _ = (0..5).find(|_| std::fs::remove_dir_all(folder).is_ok() || !folder.exists());
    }
    std::process::exit(i32::from(stopped_by().unwrap_or(INTERRUPTED)));
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// The exit code of the next signal.
    async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => INTERRUPTED,
            _ = self.terminate.recv() => TERMINATED,
        }
    }
}
