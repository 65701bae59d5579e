//! The small process between the scheduler and a task.
//!
//! It starts the task in a separate process group and reports its end. Its standard input is a pipe
//! that the scheduler holds and never writes to: when that closes, because the task is cancelled, has
//! run out of time, or because the scheduler died (of `kill -9`, too), it ends the task: SIGTERM to the
//! group, and SIGKILL after a grace period. So no task outlives its scheduler.
//!
//! Its standard error is the log of the attempt, which the scheduler has locked, and the task's output
//! goes there: the lock stays for as long as any process of the attempt lives. On standard output it
//! reports to the scheduler how it ended: `exited CODE`, `signalled NUMBER`, or `failed REASON` when
//! there is no such program.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use crate::process;

/// Runs `command` to its end and reports it; gives an exit code for this process. The identity of the
/// task's process goes into `process_file`, by which it is found when nothing watches it.
pub fn run(command: &[OsString], grace: Duration, process_file: &Path) -> u8 {
    let Some((program, arguments)) = command.split_first() else {
        tell("failed there is no command");
        return 1;
    };
    let spawned = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::from(std::io::stderr()))
        .stderr(Stdio::inherit())
        .process_group(0)
        .spawn();
    let child = match spawned {
        Ok(child) => child,
        Err(error) => {
            tell(&format!("failed cannot start {}: {error}", program.to_string_lossy()));
            return 1;
        }
    };
    if let Some(identity) = process::identity(child.id()) {
        // Without it only the rarest of accidents cannot be cleaned up after.
        let _ = adpipe_sql::private::write(process_file, identity.as_bytes());
    }
    let ended = Arc::new(Ended::default());
    if let Some(group) = group_of(&child) {
        let ended = Arc::clone(&ended);
        std::thread::spawn(move || end_with_the_scheduler(group, grace, &ended));
    }
    match wait(child, &ended) {
        Ok(status) => tell(&in_words(status)),
        Err(error) => tell(&format!("failed cannot wait for it: {error}")),
    }
    0
}

/// Turned on when the task's own process has ended: from there on its number may be another's.
#[derive(Default)]
struct Ended(Mutex<bool>, Condvar);

impl Ended {
    /// Does `work` unless the task has ended.
    fn unless(&self, work: impl FnOnce()) {
        let ended = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !*ended {
            work();
        }
    }

    fn wait(&self, limit: Duration) {
        let ended = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.1.wait_timeout_while(ended, limit, |ended| !*ended));
    }
}

fn group_of(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

/// Waits for the task. Whatever it leaves running in its group is killed, so that a next attempt does
/// not run next to it.
fn wait(mut child: Child, ended: &Ended) -> std::io::Result<ExitStatus> {
    if let Some(group) = group_of(&child) {
        // The number of a process that was not waited for stays taken: the group still belongs to it.
        let _ = waitid(WaitId::Pid(group), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
        let mut flag = ended.0.lock().unwrap_or_else(PoisonError::into_inner);
        *flag = true;
        ended.1.notify_all();
        // The scheduler may be gone.
        let _ = kill_process_group(group, Signal::KILL);
    }
    child.wait()
}

fn end_with_the_scheduler(group: Pid, grace: Duration, ended: &Ended) {
    let mut buffer = [0; 64];
    // The scheduler writes nothing: this returns when the pipe is closed.
    while matches!(std::io::stdin().read(&mut buffer), Ok(count) if count > 0) {}
    // The reader may be gone.
    ended.unless(|| _ = kill_process_group(group, Signal::TERM));
    ended.wait(grace);
    ended.unless(|| _ = kill_process_group(group, Signal::KILL));
}

fn in_words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited {code}"),
        (None, Some(signal)) => format!("signalled {signal}"),
        (None, None) => format!("failed {status}"),
    }
}

/// One line to the scheduler, which may be gone.
fn tell(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{}", line.replace('\n', " "));
    let _ = out.flush();
}
