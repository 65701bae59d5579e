//! Attempts that run: starting their processes, hearing of their end, ending them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use adpipe_event::Millis;

use crate::ScheduleError;
use crate::process;
use crate::state::{RunKey, TryKey};

/// How long processes that an attempt left behind are waited for.
const STRAGGLERS: Duration = Duration::from_secs(5);

/// How tasks are started on this machine.
#[derive(Debug, Clone)]
pub struct TaskPrograms {
    /// Starts [`crate::task_process`]; `--process-file FILE -- PROGRAM ARGUMENT …` is put after it.
    pub wrapper: Vec<OsString>,
    /// What the program `adpipe` is: this binary, with the flags that it was given itself.
    pub adpipe: Vec<OsString>,
    /// Where the logs of attempts go.
    pub log_folder: PathBuf,
    /// From SIGTERM to SIGKILL.
    pub grace: Duration,
}

/// An attempt has ended, and nothing of it runs any more.
#[derive(Debug)]
pub(crate) struct Report {
    pub key: TryKey,
    pub outcome: Outcome,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Exited(i64),
    Signalled(i64),
    /// It could not be started, or it is not known how it ended.
    Lost(String),
}

/// Why an attempt is being ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndedBy {
    Cancel,
    TaskTimeout,
    RunTimeout,
    Shutdown,
}

/// A running attempt.
pub(crate) struct Execution {
    /// Closing it ends the task.
    leash: Option<ChildStdin>,
    deadline: Option<Instant>,
    ended_by: Option<EndedBy>,
}

impl Execution {
    /// Ends it, the first reason counts. Its end is reported as ever.
    pub fn end(&mut self, by: EndedBy) {
        self.ended_by.get_or_insert(by);
        self.leash = None;
    }

    pub fn ended_by(&self) -> Option<EndedBy> {
        self.ended_by
    }

    pub fn is_overdue(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }
}

impl TaskPrograms {
    /// Where the output of an attempt goes.
    pub(crate) fn log_file(&self, key: &TryKey) -> PathBuf {
        self.run_folder(&key.run).join(&key.task_id).join(format!("{}.log", key.try_number))
    }

    /// Where the logs of a run go.
    pub(crate) fn run_folder(&self, key: &RunKey) -> PathBuf {
        // A run's name has colons, which some file systems and tools do not like.
        let run = key.run_id.replace(|c: char| !c.is_ascii_alphanumeric() && !"_-.".contains(c), "-");
        self.log_folder.join(&key.dag_id).join(run)
    }

    /// Program and arguments as they are started.
    pub(crate) fn resolve(&self, command: &[String]) -> Vec<OsString> {
        match command.split_first() {
            Some((program, arguments)) if program == "adpipe" => {
                let own = self.adpipe.iter().cloned();
                own.chain(arguments.iter().map(OsString::from)).collect()
            }
            _ => command.iter().map(OsString::from).collect(),
        }
    }

    /// Starts an attempt; its end comes as a [`Report`].
    pub(crate) fn start(
        &self,
        key: &TryKey,
        command: &[String],
        env: &BTreeMap<String, String>,
        timeout: Duration,
        reports: &Sender<Report>,
    ) -> Result<Execution, ScheduleError> {
        let log_file = self.log_file(key);
        let log = make_log(&log_file, command).map_err(|source| ScheduleError::Io {
            what: format!("cannot write the log {}", log_file.display()),
            source,
        })?;
        let process_file = process::process_file(&log_file).into_os_string();
        let own = self.wrapper.iter().cloned().chain(["--process-file".into(), process_file, "--".into()]);
        let mut words = own.chain(self.resolve(command));
        let program = words.next().unwrap_or_default();
        let mut child = Command::new(&program)
            .args(words)
            .envs(env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            // Ctrl-C in the terminal is for the scheduler, which ends its tasks in order.
            .process_group(0)
            .spawn()
            .map_err(|source| ScheduleError::Io {
                what: format!("cannot start {}", program.to_string_lossy()),
                source,
            })?;
        let leash = child.stdin.take();
        let words_of_child = child.stdout.take();
        let (key, reports) = (key.clone(), reports.clone());
        let listener = std::thread::Builder::new().name("task".to_owned()).spawn(move || {
            listen(&key, child, words_of_child, &log_file, &reports);
        });
        listener.map_err(|source| ScheduleError::Io { what: "cannot start a thread".to_owned(), source })?;
        Ok(Execution { leash, deadline: Instant::now().checked_add(timeout), ended_by: None })
    }
}

/// The log, locked by the processes that have it as output, with the command as its first line.
fn make_log(path: &Path, command: &[String]) -> std::io::Result<File> {
    if let Some(folder) = path.parent() {
        adpipe_sql::private::own_folder(folder)?;
    }
    let mut log = adpipe_sql::private::open(path, OpenOptions::new().create(true).append(true))?;
    log.lock()?;
    writeln!(log, "[{} UTC] {}", Millis::now(), shown(command))?;
    Ok(log)
}

/// The command as one would type it.
fn shown(command: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./=:@%+,".contains(c);
    let quoted = command.iter().map(|word| {
        if !word.is_empty() && word.chars().all(plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', "'\\''"))
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

fn listen(
    key: &TryKey,
    mut child: Child,
    words: Option<ChildStdout>,
    log_file: &Path,
    reports: &Sender<Report>,
) {
    let mut outcome = Outcome::Lost("the process that watched it was killed".to_owned());
    for line in words.into_iter().flat_map(|words| BufReader::new(words).lines()).map_while(Result::ok) {
        let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
        match (word, rest.parse::<i64>()) {
            ("exited", Ok(code)) => outcome = Outcome::Exited(code),
            ("signalled", Ok(signal)) => outcome = Outcome::Signalled(signal),
            _ => outcome = Outcome::Lost(rest.to_owned()),
        }
    }
    let _ = child.wait();
    // Only when the watching process was killed does anything live on; or a daemon that has left
    // its group and kept its output, which is beyond us.
    let limit = Instant::now() + STRAGGLERS;
    while process::holds_log(log_file) && Instant::now() < limit {
        process::kill_group_of(log_file);
        std::thread::sleep(Duration::from_millis(20));
    }
    note_end(log_file, &outcome);
    // The channel is closed once the scheduler has stopped.
    let _ = reports.send(Report { key: key.clone(), outcome });
}

/// The last line of a log. Even if a log cannot be written, the outcome must not be lost.
fn note_end(log_file: &Path, outcome: &Outcome) {
    let words = match outcome {
        Outcome::Exited(code) => format!("ended with exit code {code}"),
        Outcome::Signalled(signal) => format!("ended by signal {signal}"),
        Outcome::Lost(reason) => reason.clone(),
    };
    if let Ok(mut log) = OpenOptions::new().append(true).open(log_file) {
        let _ = writeln!(log, "[{} UTC] {words}", Millis::now());
    }
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn commands_are_shown_as_one_would_type_them() {
        let command = ["adpipe", "etl", "it's", "--date=2026-01-01", ""].map(str::to_owned);
        assert_eq!(shown(&command), r"adpipe etl 'it'\''s' --date=2026-01-01 ''");
    }
}
