//! Runs the real binary on folders of its own.

#![allow(dead_code, reason = "each test file uses its part")]

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use adpipe_testkit::http::{self, Response};

pub const ADPIPE: &str = env!("CARGO_BIN_EXE_adpipe");

/// A folder that goes away with the test.
pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The binary, with its data in this folder and no configuration from around it.
    pub fn adpipe(&self, arguments: &[&str]) -> Command {
        let mut command = adpipe_in(self.path());
        command.arg("--data").arg(self.join("data")).args(arguments);
        command
    }

    /// Runs to the end and must succeed; gives what it printed.
    pub fn run(&self, arguments: &[&str]) -> String {
        printed(self.adpipe(arguments))
    }

    /// Runs to the end and must fail with this code; gives its last words.
    pub fn fail(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.adpipe(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "adpipe {arguments:?}: {}", shown(&output));
        let words = String::from_utf8(output.stderr).unwrap();
        assert!(!words.contains("panicked"), "{words}");
        words
    }

    /// The first row of a query.
    pub fn row(&self, sql: &str) -> serde_json::Value {
        let rows: serde_json::Value = serde_json::from_str(&self.run(&["sql", "--json", sql])).unwrap();
        rows[0].clone()
    }

    /// Rows of a few days from 2014-10-21 on, some of which are bad or repeat others.
    pub fn generate_some_bad(&self, file: &str, rows: u64, seed: u64, end: &str, format: &str) {
        let (rows, seed) = (rows.to_string(), seed.to_string());
        let kind = ["--bad", "0.01", "--duplicates", "0.02", "--start", "2014-10-21"];
        let size = ["--rows", &rows, "--seed", &seed, "--end", end, "--format", format];
        self.generate(file, &[&size[..], &kind[..]].concat());
    }

    /// Makes events and gives the generator's own account of them.
    pub fn generate(&self, file: &str, arguments: &[&str]) -> serde_json::Value {
        let out = self.join(file);
        let account = self.join(&format!("{file}.account"));
        let mut all =
            vec!["generate", "--out", out.to_str().unwrap(), "--account", account.to_str().unwrap()];
        all.extend(arguments);
        // Events of the last day, unless a test wants others.
        let now = now();
        if arguments.contains(&"--seed") && !arguments.iter().any(|it| matches!(*it, "--start" | "--end")) {
            all.extend(["--end", now.as_str()]);
        }
        self.run(&all);
        serde_json::from_slice(&std::fs::read(account).unwrap()).unwrap()
    }

    /// Rows for the batch, from 2014-10-21 on, some of which are bad or repeat others.
    pub fn generate_raw(&self, file: &str, seed: u64, rows: u64, end: &str) {
        let (seed, rows) = (seed.to_string(), rows.to_string());
        let format = file.rsplit('.').next().unwrap();
        let rows = ["--rows", &rows, "--seed", &seed, "--bad", "0.01", "--duplicates", "0.02"];
        self.generate(
            file,
            &[&rows[..], &["--start", "2014-10-21", "--end", end, "--format", format]].concat(),
        );
    }

    /// What was counted, by kind, in the words of the generator's account.
    pub fn account(&self) -> serde_json::Value {
        self.row(
            "select sum(records) as records, sum(valid) as valid, sum(clicks) as clicks,
                    sum(duplicates) as duplicates, sum(parse) as parse, sum(schema) as schema,
                    sum(validation) as validation, sum(future) as future
             from realtime.commits",
        )
    }
}

/// The binary in this folder, with no configuration from around it.
pub fn adpipe_in(folder: &Path) -> Command {
    let mut command = Command::new(ADPIPE);
    command.current_dir(folder).env_remove("RUST_LOG").env_remove("PGPASSWORD");
    without_test_settings(&mut command);
    command.env("ADPIPE_CONSOLE__PORT", "0");
    command
}

/// Runs to the end and must succeed; gives what it printed.
pub fn printed(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", shown(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// The time of now as `adpipe generate` takes it.
pub fn now() -> String {
    adpipe_event::Millis::now().to_string().replacen(' ', "T", 1)[..19].to_owned()
}

pub fn shown(output: &Output) -> String {
    format!(
        "{}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// A running `adpipe up` or `adpipe demo`. Killed with -9 when it goes out of scope.
pub struct Running {
    pub child: Child,
    pub address: String,
}

impl Running {
    pub fn start(mut command: Command) -> Running {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.next().expect("a first line").unwrap();
        let behind = line.split("http://").nth(1).expect("an address");
        let address = behind.split_whitespace().next().unwrap().trim_end_matches('/').to_owned();
        std::thread::spawn(move || lines.for_each(drop));
        Running { child, address }
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    /// Resident memory in MB.
    pub fn memory_mb(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1_024
    }

    /// Sends a request and gives the status and the body of the response.
    pub fn request(&self, method: &str, path: &str, body: &[u8]) -> (u16, String) {
        let response = self.send(method, path, &[], body);
        (response.status, response.body)
    }

    /// Sends a request with these headers.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        http::send(&self.address, method, path, headers, body)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A child that does not outlive its test, however that ends.
pub struct Killed(pub Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a command, and stops it with Ctrl-C when it takes longer; says whether it had to.
pub fn run_for(limit: Duration, mut command: Command) -> (Output, bool) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let read = |pipe: &mut dyn Read| {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        bytes
    };
    std::thread::scope(|scope| {
        let stdout = scope.spawn(move || read(&mut stdout));
        let stderr = scope.spawn(move || read(&mut stderr));
        let started = Instant::now();
        let mut is_waiting = false;
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if started.elapsed() > limit && !is_waiting {
                is_waiting = true;
                let pid = child.id().to_string();
                assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let output = Output { status, stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() };
        (output, is_waiting)
    })
}

/// Takes away what is said to the tests: adpipe would take it for its configuration.
pub fn without_test_settings(command: &mut Command) {
    command.env_remove("ADPIPE_TEST_SEED").env_remove("ADPIPE_TEST_FLIPS");
}
