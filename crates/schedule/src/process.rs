//! Which process is which, after restarts and on several machines.
//!
//! A process number alone says little: it is given out again, and every container has its 7. The
//! identity here is the boot, the namespace of process numbers, the number, and when the process
//! was started, all from `/proc`. Where there is no `/proc` the life of others is unknown.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process_group};

/// What is known about a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// It runs.
    Alive,
    /// It does not.
    Dead,
    /// It is, or was, on another machine.
    Unknown,
}

/// The identity of this process.
pub fn own_identity() -> String {
    identity(std::process::id()).unwrap_or_else(|| format!("unknown/{}", std::process::id()))
}

/// The identity of a process of this machine; none when it is not there.
pub fn identity(pid: u32) -> Option<String> {
    let started = start_ticks(pid)?;
    Some(format!("{}/{pid}/{started}", machine()?))
}

/// Whether the process of an identity is alive.
pub fn life(identity: &str) -> Life {
    let Some((place, pid, started)) = parse(identity) else { return Life::Unknown };
    if machine().as_deref() != Some(place) {
        return Life::Unknown;
    }
    if start_ticks(pid) == Some(started) { Life::Alive } else { Life::Dead }
}

/// Where the identity of an attempt's process is kept, next to its log.
pub fn process_file(log_file: &Path) -> PathBuf {
    log_file.with_extension("process")
}

/// Kills the process group of an attempt, when it is of this machine. The caller knows from the lock of
/// the log that something of it lives, so its number is not another's.
pub fn kill_group_of(log_file: &Path) {
    let identity = fs::read_to_string(process_file(log_file)).unwrap_or_default();
    let Some((place, pid, _)) = parse(&identity) else { return };
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    if let (Some(pid), true) = (pid, machine().as_deref() == Some(place)) {
        // It may have ended in between.
        let _ = kill_process_group(pid, Signal::KILL);
    }
}

/// Whether anything holds the log of an attempt: its processes do, for as long as they live, because
/// their output is the file that the scheduler locked. Not even `kill -9` leaves such a lock behind.
pub fn holds_log(log_file: &Path) -> bool {
    let Ok(file) = File::open(log_file) else { return false };
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

fn parse(identity: &str) -> Option<(&str, u32, u64)> {
    let (rest, started) = identity.rsplit_once('/')?;
    let (place, pid) = rest.rsplit_once('/')?;
    Some((place, pid.parse().ok()?, started.parse().ok()?))
}

/// This boot and this namespace of process numbers.
fn machine() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{}/{}", boot.trim(), namespace.display()))
}

/// When a process was started, in ticks since the boot: field 22 of `/proc/PID/stat` (proc(5)).
/// None when it has ended, though its parent may not have asked yet.
fn start_ticks(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in brackets, which may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let is_dead = matches!(fields.first(), Some(&("Z" | "X")));
    if is_dead { None } else { fields.get(19)?.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_living_the_dead_and_the_strangers() {
        let own = own_identity();
        assert_eq!(life(&own), Life::Alive);
        let (rest, started) = own.rsplit_once('/').unwrap();
        let reused = format!("{rest}/{}", started.parse::<u64>().unwrap() + 1);
        assert_eq!(life(&reused), Life::Dead);
        assert_eq!(life(&format!("another{own}")), Life::Unknown);
        assert_eq!(life(""), Life::Unknown);

        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let childs = identity(child.id()).unwrap();
        assert_eq!(life(&childs), Life::Alive);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(life(&childs), Life::Dead);
    }

    #[test]
    fn a_log_is_held_by_those_who_write_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1.log");
        assert!(!holds_log(&path));
        let file = File::create(&path).unwrap();
        file.lock().unwrap();
        let mut child = std::process::Command::new("sleep").arg("60").stdout(file).spawn().unwrap();
        assert!(holds_log(&path));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!holds_log(&path));
    }
}
