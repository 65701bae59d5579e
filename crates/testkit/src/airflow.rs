//! A real Airflow in a folder of the test's own; its Python environment is made once per user.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

use crate::venv;

/// What is printed by [`Airflow::trouble`]: import errors and warnings of every DAG file.
const CHECK_IMPORTS: &str = "\
import sys
sys.path.insert(0, sys.argv[1])  # as Airflow's own processes have it
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1])
for name, error in bag.import_errors.items():
    print('ERROR', name, error)
for name, warnings in bag.captured_warnings.items():
    print('WARNING', name, *warnings)
print('DAGS', *sorted(bag.dags))
";

/// Airflow with an empty metadata database of its own.
pub struct Airflow {
    bin: PathBuf,
    home: TempDir,
    dags: PathBuf,
    /// Environment variables and their values.
    settings: Vec<(String, String)>,
}

impl Airflow {
    /// Airflow over a folder of DAGs; `requirements` are its pins. None when neither it nor `uv`,
    /// which could install it, is there; see [`crate::skip`].
    pub fn start(test: &str, dags: &Path, requirements: &Path) -> Option<Airflow> {
        Airflow::start_with(test, dags, requirements, Vec::new())
    }

    /// Airflow as a company runs it: its metadata in a database of PostgreSQL (of this URL), to be
    /// run by [`Airflow::live`]. DAGs are not paused when they are found.
    pub fn start_on_postgres(
        test: &str,
        dags: &Path,
        requirements: &Path,
        database: &str,
    ) -> Option<Airflow> {
        let port = crate::free_port();
        let url = format!("http://127.0.0.1:{port}");
        let settings = [
            ("DATABASE__SQL_ALCHEMY_CONN", database.replacen("postgres://", "postgresql+psycopg2://", 1)),
            ("CORE__EXECUTOR", "LocalExecutor".to_owned()),
            ("CORE__PARALLELISM", "4".to_owned()),
            ("CORE__DAGS_ARE_PAUSED_AT_CREATION", "False".to_owned()),
            ("CORE__EXECUTION_API_SERVER_URL", format!("{url}/execution/")),
            ("API__BASE_URL", url),
            ("API__HOST", "127.0.0.1".to_owned()),
            ("API__PORT", port.to_string()),
            ("API__WORKERS", "1".to_owned()),
            ("API_AUTH__JWT_SECRET", "of this test alone, and of nothing else".to_owned()),
            ("LOGGING__WORKER_LOG_SERVER_PORT", crate::free_port().to_string()),
            ("SCHEDULER__SCHEDULER_HEARTBEAT_SEC", "1".to_owned()),
        ];
        let settings = settings.map(|(name, value)| (format!("AIRFLOW__{name}"), value));
        Airflow::start_with(test, dags, requirements, settings.to_vec())
    }

    fn start_with(
        test: &str,
        dags: &Path,
        requirements: &Path,
        settings: Vec<(String, String)>,
    ) -> Option<Airflow> {
        let bin = match venv::environment("airflow", requirements) {
            Ok(bin) => bin,
            Err(reason) => {
                crate::skip(test, &reason);
                return None;
            }
        };
        let home = tempfile::Builder::new().prefix("adpipe-airflow-").tempdir().expect("a temporary folder");
        let airflow = Airflow { bin, home, dags: dags.to_path_buf(), settings };
        let output = airflow.command(&["db", "migrate"]).output().expect("airflow starts");
        assert!(output.status.success(), "airflow db migrate: {}", said(&output));
        Some(airflow)
    }

    /// `airflow` with arguments.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.python_environment("airflow");
        command.args(arguments);
        command
    }

    /// What is wrong with the DAG files, line by line, and last the DAGs that were found.
    pub fn imports(&self) -> Vec<String> {
        let mut command = self.python_environment("python");
        let output = command.args(["-c", CHECK_IMPORTS]).arg(&self.dags).output().expect("python starts");
        assert!(output.status.success(), "reading the DAGs: {}", said(&output));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let is_ours = |line: &&str| ["ERROR", "WARNING", "DAGS"].iter().any(|word| line.starts_with(word));
        text.lines().filter(is_ours).map(str::to_owned).collect()
    }

    fn python_environment(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin.join(program));
        command
            .current_dir(self.home.path())
            .env("AIRFLOW_HOME", self.home.path())
            .env("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
            .env("AIRFLOW__CORE__DAGS_FOLDER", &self.dags)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .envs(self.settings.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts scheduler, DAG processor and API server, with an environment that their tasks have,
    /// too. They end when the answer is dropped.
    pub fn live(&self, prepare: impl Fn(&mut Command)) -> Live {
        let start = |name: &str| {
            let log = File::create(self.home.path().join(format!("{name}.log"))).unwrap();
            let mut command = self.command(&[name]);
            prepare(&mut command);
            command.current_dir(self.home.path()).stdin(Stdio::null());
            // A group of its own: it has children, which must end with it.
            command.process_group(0).stdout(log.try_clone().unwrap()).stderr(log);
            command.spawn().unwrap()
        };
        let processes =
            ["api-server", "scheduler", "dag-processor"].map(|name| (name.to_owned(), start(name)));
        Live { processes: processes.into(), home: self.home.path().to_path_buf() }
    }
}

/// A running Airflow.
pub struct Live {
    processes: Vec<(String, Child)>,
    home: PathBuf,
}

impl Live {
    /// Fails when one of its processes has ended; with the last lines of all of them.
    ///
    /// # Panics
    /// Then.
    pub fn check(&mut self) {
        let ended: Vec<String> = self
            .processes
            .iter_mut()
            .filter_map(|(name, child)| child.try_wait().unwrap().map(|status| format!("{name}: {status}")))
            .collect();
        assert!(ended.is_empty(), "{ended:?}\n{}", self.logs());
    }

    /// The last lines of all processes.
    pub fn logs(&self) -> String {
        let last = |(name, _): &(String, Child)| {
            let text = std::fs::read_to_string(self.home.join(format!("{name}.log"))).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            format!("{name}:\n{}", lines[lines.len().saturating_sub(40)..].join("\n"))
        };
        self.processes.iter().map(last).collect::<Vec<_>>().join("\n\n")
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        for (_, child) in &mut self.processes {
            let group = format!("-{}", child.id());
            let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
            let _ = child.wait();
        }
    }
}

/// What a program said.
pub fn said(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    format!("{}\n{}", output.status, String::from_utf8_lossy(&text))
}
