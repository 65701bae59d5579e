//! `adpipe dag logs`.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::process::ExitCode;
use std::time::Duration;

use adpipe_schedule::state::{Try, TryKey};
use anyhow::{Context, bail};

use super::access::{DagAccess, named};
use crate::cli::dag::DagLogsArgs;

const LOOK: Duration = Duration::from_millis(200);

/// Prints the newest attempts of a run's tasks, or the one that is named.
pub fn run(access: &DagAccess, args: &DagLogsArgs) -> anyhow::Result<ExitCode> {
    let key = named(access, &args.name)?.key();
    // How far each log is printed.
    let mut printed: HashMap<TryKey, u64> = HashMap::new();
    loop {
        // Looked at before the logs, so that nothing written in between is missed.
        let is_finished = access.store.run(&key)?.is_none_or(|run| run.state.is_finished());
        let tries = wanted(access.store.tries(&key)?, args);
        if tries.is_empty() && (is_finished || !args.follow) {
            bail!("none of it has started; `adpipe dag runs {} --json` shows the state", key.dag_id);
        }
        for one in &tries {
            print_more(one, &mut printed)?;
        }
        if is_finished || !args.follow {
            return Ok(ExitCode::SUCCESS);
        }
        std::thread::sleep(LOOK);
    }
}

/// The attempts to print, in the order in which they started.
fn wanted(tries: Vec<Try>, args: &DagLogsArgs) -> Vec<Try> {
    let mut newest: HashMap<String, i64> = HashMap::new();
    for one in tries.iter().filter(|one| one.started_at.is_some()) {
        newest.insert(one.key.task_id.clone(), one.key.try_number);
    }
    let is_wanted = |one: &Try| {
        let number = args.try_number.or_else(|| newest.get(&one.key.task_id).copied());
        let is_newest = number == Some(one.key.try_number);
        // While following, an attempt that failed is printed before the next one.
        one.started_at.is_some()
            && args.task.as_ref().is_none_or(|task| *task == one.key.task_id)
            && (is_newest || (args.follow && args.try_number.is_none()))
    };
    let mut wanted: Vec<Try> = tries.into_iter().filter(is_wanted).collect();
    wanted.sort_by_key(|one| (one.started_at.map(|at| at.0), one.key.try_number));
    wanted
}

fn print_more(one: &Try, printed: &mut HashMap<TryKey, u64>) -> anyhow::Result<()> {
    let mut log = match File::open(&one.log_file) {
        Ok(log) => log,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            bail!("{} is not on this machine; it is on the scheduler's", one.log_file)
        }
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", one.log_file)),
    };
    let mut out = crate::output::results();
    if !printed.contains_key(&one.key) {
        writeln!(out, "== {} attempt {}", one.key.task_id, one.key.try_number)?;
    }
    let at = printed.entry(one.key.clone()).or_insert(0);
    log.seek(SeekFrom::Start(*at))?;
    let mut more = Vec::new();
    log.read_to_end(&mut more)?;
    *at += more.len() as u64;
    out.write_all(&more)?;
    out.flush()?;
    Ok(())
}
