//! How many connections the open files of this process allow.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Open files that are kept for everything else: databases (a reader of the warehouse has eight),
/// the archive, brokers, connections that wait for a place.
const RESERVED: u64 = 320;

/// Connections that may be open when `wanted` are: fewer where the limit on open files (`ulimit -n`)
/// allows no more. The soft limit is raised first, as far as the hard one goes and is needed.
pub(super) fn connections(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let needed = wanted as u64 + RESERVED;
    let mut files = limit.current.unwrap_or(u64::MAX);
    if files < needed {
        let raised = needed.min(limit.maximum.unwrap_or(u64::MAX));
        let new = Rlimit { current: Some(raised), maximum: limit.maximum };
        if raised > files && setrlimit(Resource::Nofile, new).is_ok() {
            files = raised;
        }
    }
    let allowed = allowed(files, wanted);
    if allowed < wanted {
        tracing::warn!(
            open_files = files,
            connections = allowed,
            "the limit on open files leaves room for fewer connections than wanted; raise it with ulimit -n"
        );
    }
    allowed
}

fn allowed(files: u64, wanted: usize) -> usize {
    // However low the limit is, some are served; accepting fails where even they are too many.
    let room = files.saturating_sub(RESERVED).max(files / 4).max(8);
    usize::try_from(room).map_or(wanted, |room| room.min(wanted))
}

#[cfg(test)]
mod tests {
    use super::allowed;

    #[test]
    fn files_are_left_for_the_databases() {
        assert_eq!(allowed(u64::MAX, 1_024), 1_024);
        assert_eq!(allowed(1_024, 1_024), 704);
        assert_eq!(allowed(256, 1_024), 64);
        assert_eq!(allowed(1_024, 32), 32);
    }
}
