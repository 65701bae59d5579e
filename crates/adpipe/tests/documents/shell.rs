//! Runs what a document shows, in a folder of its own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::common::{ADPIPE, Folder, Killed, Running, shown};
use crate::fences::{Directive, Fence};

/// Places that a document names and a test must not touch; they lie in the test's folder instead.
const ABSOLUTE: [&str; 6] =
    ["/var/lib/adpipe", "/backup/", "/etc/adpipe", "/etc/prometheus", "/etc/grafana", "/var/lib/grafana"];

/// Programs of others that documents call. Where one is not installed its fences are not run.
const PROGRAMS: [&str; 3] = ["curl", "gzip", "promtool"];

/// Where the console is, as documents write it.
const ADDRESSES: [&str; 2] = ["127.0.0.1:8088", "localhost:8088"];

/// A port that a document gives to `/metrics`; another one here, as it may be taken.
const METRICS_PORT: &str = "8091";

/// Longer than any of them takes, on a loaded machine too.
const PATIENCE_SECONDS: &str = "300";

/// The reader of one document: an empty folder, and what was done there.
pub struct Reader {
    folder: Folder,
    /// What the last fence printed, stderr too.
    printed: String,
}

/// What became of a fence.
pub enum Outcome {
    Ran,
    NotRun(String),
    /// It shows something that is not a command.
    NoCommand,
    Failed(String),
}

impl Reader {
    pub fn new() -> Reader {
        Reader { folder: Folder::new(), printed: String::new() }
    }

    pub fn follow(&mut self, fence: &Fence) -> Outcome {
        let says = |which: fn(&Directive) -> Option<&String>| fence.directives.iter().find_map(which);
        if let Some(reason) = says(|directive| match directive {
            Directive::NotRun(reason) => Some(reason),
            _ => None,
        }) {
            return Outcome::NotRun(reason.clone());
        }
        let is_called = |program: &&&str| fence.text.split_whitespace().any(|word| word == **program);
        if let Some(program) = PROGRAMS.iter().filter(is_called).find(|program| !is_installed(program)) {
            let reason = format!("{program} is not installed");
            adpipe_testkit::skip("documents", &reason);
            return Outcome::NotRun(reason);
        }
        let done = if fence.directives.iter().any(|directive| matches!(directive, Directive::Printed)) {
            self.compare(&fence.text)
        } else if let Some(shell) = says(|directive| match directive {
            Directive::InputOf(shell) => Some(shell),
            _ => None,
        }) {
            self.pipe(shell, &fence.text)
        } else {
            match fence.language.as_str() {
                "sh" => self.run(fence),
                "sql" => self.succeed(Command::new(ADPIPE).args(["sql", &fence.text])),
                "toml" => self.configure(&fence.text),
                _ if fence.text.lines().any(is_command) => {
                    Err("it shows a command and is not marked as sh".to_owned())
                }
                _ => return Outcome::NoCommand,
            }
        };
        match done {
            Ok(()) => Outcome::Ran,
            Err(words) => Outcome::Failed(words),
        }
    }

    fn run(&mut self, fence: &Fence) -> Result<(), String> {
        let mut text = fence.text.clone();
        let (mut server, mut before, mut runs_until_stopped) = (None, String::new(), false);
        for directive in &fence.directives {
            match directive {
                Directive::Before(shell) => before.push_str(&format!("{shell}\n")),
                Directive::Let(word, shell) => {
                    self.shell(&std::mem::take(&mut before), None)?;
                    let output = self.shell(shell, None)?;
                    let value = String::from_utf8_lossy(&output.stdout).trim().to_owned();
                    if value.is_empty() {
                        return Err(format!("{word} is nothing: {shell}"));
                    }
                    text = with_word(&text, word, &value);
                }
                Directive::With(command) => {
                    let words: Vec<&str> = command.split_whitespace().skip(1).collect();
                    let mut command = Command::new(ADPIPE);
                    self.settle(command.args(words));
                    server = Some(Running::start(command));
                }
                Directive::ExitsWithOne(command) => {
                    let line = text.lines().find(|line| line.starts_with(command.as_str()));
                    let line = line.ok_or_else(|| format!("no line begins with {command}"))?.to_owned();
                    let bare = line.split("  #").next().unwrap_or_default();
                    text = text.replace(&line, &format!("code=0; {bare} || code=$?; [ $code = 1 ]"));
                }
                Directive::AnswersYes(commands) => {
                    let asks = |line: &str| commands.iter().any(|command| line.starts_with(command.as_str()));
                    let lines = text.lines().map(|line| {
                        if asks(line) {
                            format!("{} --yes", line.split("  #").next().unwrap_or_default())
                        } else {
                            line.to_owned()
                        }
                    });
                    text = lines.collect::<Vec<String>>().join("\n");
                }
                Directive::UntilStopped => runs_until_stopped = true,
                Directive::NotRun(_) | Directive::Printed | Directive::InputOf(_) => {}
            }
        }
        if runs_until_stopped {
            return self.run_until_stopped(&format!("{before}{text}"));
        }
        if let Some(server) = &server {
            for address in ADDRESSES {
                text = text.replace(address, &server.address);
            }
        }
        let output = self.shell(&format!("{before}{text}"), None)?;
        self.printed = shown(&output);
        Ok(())
    }

    /// Runs what does not end by itself, until it says that it works.
    fn run_until_stopped(&self, text: &str) -> Result<(), String> {
        let (lines, last) = text.rsplit_once('\n').unwrap_or(("", text));
        // In place of the shell, so that the signal reaches it.
        let script = format!("set -euo pipefail\n{lines}\n{}", last.replacen("adpipe ", "exec adpipe ", 1));
        let port = adpipe_testkit::free_port().to_string();
        let mut command = Command::new("bash");
        command.args(["-c", &script.replace(METRICS_PORT, &port)]).stdout(Stdio::piped());
        let mut child = Killed(self.settle(&mut command).spawn().map_err(|error| error.to_string())?);
        let stdout = child.0.stdout.take().ok_or("no output")?;
        let mut lines = BufReader::new(stdout).lines();
        let first = lines.next().and_then(Result::ok).unwrap_or_default();
        let drain = std::thread::spawn(move || lines.for_each(drop));
        let stopped = Command::new("kill").arg(child.0.id().to_string()).status();
        let ended = child.0.wait().map_err(|error| error.to_string())?;
        let _ = drain.join();
        if stopped.is_ok_and(|status| status.success()) && ended.success() && first.starts_with("adpipe ") {
            Ok(())
        } else {
            Err(format!("{script}\nbegan with {first:?} and ended with {ended}"))
        }
    }

    /// Lines that the fence before printed.
    fn compare(&self, promised: &str) -> Result<(), String> {
        for line in promised.lines().filter(|line| !line.trim().is_empty()) {
            if !self.printed.lines().any(|printed| is_like(printed.trim(), line.trim())) {
                return Err(format!("{line}\nis promised, and this was printed:\n{}", self.printed));
            }
        }
        Ok(())
    }

    fn pipe(&mut self, shell: &str, input: &str) -> Result<(), String> {
        let output = self.shell(shell, Some(input))?;
        self.printed = shown(&output);
        Ok(())
    }

    /// Whether adpipe takes it as its configuration, or as its table of alerts.
    fn configure(&mut self, text: &str) -> Result<(), String> {
        let file = self.folder.join("shown.toml");
        std::fs::write(&file, text).map_err(|error| error.to_string())?;
        if text.contains("[[alert]]") {
            let mut command = Command::new(ADPIPE);
            return self.succeed(command.env("ADPIPE_ALERTS__RULES_FILE", &file).args(["alerts", "rules"]));
        }
        self.succeed(Command::new(ADPIPE).arg("--config").arg(&file).args(["config", "show"]))
    }

    fn succeed(&mut self, command: &mut Command) -> Result<(), String> {
        let output = self.settle(command).output().map_err(|error| error.to_string())?;
        self.printed = shown(&output);
        if output.status.success() { Ok(()) } else { Err(shown(&output)) }
    }

    fn shell(&self, script: &str, input: Option<&str>) -> Result<Output, String> {
        let mut script = format!("set -euo pipefail\n{script}\n");
        for place in ABSOLUTE {
            script = script.replace(place, &format!("{}{place}", self.folder.join("root").display()));
        }
        let file = self.folder.join("root/fence.sh");
        std::fs::create_dir_all(self.folder.join("root/backup")).map_err(|error| error.to_string())?;
        std::fs::write(&file, &script).map_err(|error| error.to_string())?;
        let stdin = match input {
            None => Stdio::null(),
            Some(text) => {
                let file = self.folder.join("root/input");
                std::fs::write(&file, format!("{text}\n")).map_err(|error| error.to_string())?;
                Stdio::from(std::fs::File::open(&file).map_err(|error| error.to_string())?)
            }
        };
        let mut command = Command::new("timeout");
        let command = command.args([PATIENCE_SECONDS, "bash"]).arg(&file).stdin(stdin);
        let output = self.settle(command).output().map_err(|error| error.to_string())?;
        if output.status.success() { Ok(output) } else { Err(format!("{script}\n{}", shown(&output))) }
    }

    /// In the reader's folder, with `adpipe` on the path and no settings of the machine's.
    fn settle<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        let program = Path::new(ADPIPE).parent().map(PathBuf::from).unwrap_or_default();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths([program].into_iter().chain(std::env::split_paths(&path)));
        for (name, _) in std::env::vars_os().filter(|(name, _)| is_setting(&name.to_string_lossy())) {
            command.env_remove(name);
        }
        command
            .env("PATH", path.expect("the path can be joined"))
            .env("HOME", self.folder.path())
            .env("REPOSITORY", repository())
            .env("ADPIPE_CONSOLE__PORT", "0")
            .current_dir(self.folder.path())
    }
}

/// What a reader who has cloned it has got, too.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository is there")
}

fn is_setting(name: &str) -> bool {
    name.starts_with("ADPIPE_") || name == "RUST_LOG" || name.starts_with("PG") || name.starts_with("AWS_")
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn is_command(line: &str) -> bool {
    ["adpipe ", "$ ", "export ", "curl "].iter().any(|start| line.starts_with(start))
}

/// The text with a value for each whole word.
fn with_word(text: &str, word: &str, value: &str) -> String {
    let is_part = |character: Option<char>| character.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let (mut replaced, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(word) {
        let (before, behind) = (&rest[..at], &rest[at + word.len()..]);
        let last = before.chars().next_back().or_else(|| replaced.chars().next_back());
        let is_whole = !is_part(last) && !is_part(behind.chars().next());
        replaced.push_str(before);
        replaced.push_str(if is_whole { value } else { word });
        rest = behind;
    }
    replaced + rest
}

/// Whether a line is what was promised, with `…` for any text.
fn is_like(line: &str, promised: &str) -> bool {
    let mut parts = promised.split('…');
    let Some(mut rest) = line.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut ends_open = false;
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
        ends_open = part.is_empty();
    }
    rest.is_empty() || ends_open
}
