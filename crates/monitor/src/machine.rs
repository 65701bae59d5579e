//! What this process uses, and the disk where its data is.

use std::path::Path;

/// A disk, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Disk {
    /// What may still be written by this process.
    pub free: u64,
    /// All of it.
    pub size: u64,
}

/// What a process uses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Used {
    /// Of all its threads, since it began.
    pub cpu_seconds: f64,
    /// Resident, bytes; 0 if the system does not report it.
    pub memory_bytes: u64,
    /// Open files; 0 if the system does not report it.
    pub open_files: u64,
}

/// The name of this machine.
pub(crate) fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The disk of a folder, or of the nearest one above that is there.
pub(crate) fn disk_of(folder: &Path) -> Option<Disk> {
    let folder = std::path::absolute(folder).ok()?;
    let disk = folder.ancestors().find_map(|folder| rustix::fs::statvfs(folder).ok())?;
    Some(Disk { free: disk.f_bavail * disk.f_frsize, size: disk.f_blocks * disk.f_frsize })
}

/// What this process uses now.
pub(crate) fn used() -> Used {
    let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let page = rustix::param::page_size() as u64;
    // Linux reports both in files; elsewhere this would need unsafe code.
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok());
    let files = std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64);
    Used {
        cpu_seconds: cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9,
        memory_bytes: pages.unwrap_or(0) * page,
        // Not the one that was opened to look.
        open_files: files.saturating_sub(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_uses_something_on_some_disk() {
        let before = used();
        let mut sum = 0u64;
        while used().cpu_seconds < before.cpu_seconds + 0.01 {
            sum = sum.wrapping_add(1);
        }
        assert!(!host().is_empty());
        let disk = disk_of(Path::new("not/there/yet")).unwrap();
        assert!(disk.size > 0 && disk.free <= disk.size, "{disk:?} {sum}");
        #[cfg(target_os = "linux")]
        assert!(before.memory_bytes > 1 << 20 && before.open_files > 0, "{before:?}");
    }
}
