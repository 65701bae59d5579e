//! A real Airflow in a folder of the test's own; its Python environment is made once per user.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

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
}

impl Airflow {
    /// Airflow over a folder of DAGs; `requirements` are its pins. None when neither it nor `uv`,
    /// which could install it, is there; see [`crate::skip`].
    pub fn start(test: &str, dags: &Path, requirements: &Path) -> Option<Airflow> {
        let bin = match environment(requirements) {
            Ok(bin) => bin,
            Err(reason) => {
                crate::skip(test, &reason);
                return None;
            }
        };
        let home = tempfile::Builder::new().prefix("adpipe-airflow-").tempdir().expect("a temporary folder");
        let airflow = Airflow { bin, home, dags: dags.to_path_buf() };
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
            .env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }
}

/// What a program said.
pub fn said(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    format!("{}\n{}", output.status, String::from_utf8_lossy(&text))
}

/// The environment's folder of programs.
fn environment(requirements: &Path) -> Result<PathBuf, String> {
    let pins = std::fs::read_to_string(requirements).map_err(|error| error.to_string())?;
    let home = std::env::var_os("HOME").ok_or("HOME is not set")?;
    let folder = PathBuf::from(home).join(".cache/adpipe/venvs");
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    // Tests run at once and in several processes: one of them installs, the others wait.
    let lock = std::fs::File::create(folder.join("airflow.lock")).map_err(|error| error.to_string())?;
    lock.lock().map_err(|error| error.to_string())?;
    let venv = folder.join("airflow");
    let installed = venv.join("installed.txt");
    if std::fs::read_to_string(&installed).is_ok_and(|text| text == pins) {
        return Ok(venv.join("bin"));
    }
    let uv = |arguments: &mut Command| match arguments.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("Airflow cannot be installed: {}", said(&output))),
        Err(_) => Err("neither Airflow nor uv (`pip install uv`) is installed".to_owned()),
    };
    uv(Command::new("uv").args(["venv", "--clear"]).arg(&venv))?;
    let python = venv.join("bin").join("python");
    uv(Command::new("uv").args(["pip", "install", "-r"]).arg(requirements).arg("--python").arg(python))?;
    std::fs::write(&installed, pins).map_err(|error| error.to_string())?;
    Ok(venv.join("bin"))
}
