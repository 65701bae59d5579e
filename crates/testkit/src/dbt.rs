//! The real dbt, in a Python environment of its own for each database.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// Making an environment twice at once would spoil it.
static MAKING: Mutex<()> = Mutex::new(());

/// The program `dbt` for `sqlite` or `postgres`, in an environment that is made from
/// `dbt/requirements-KIND.txt` when it is not there. None when Python or the packages cannot be
/// had; see [`crate::skip`].
pub fn dbt(test: &str, kind: &str) -> Option<PathBuf> {
    let _making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    let home = std::env::var_os("HOME").map_or_else(std::env::temp_dir, PathBuf::from);
    let environment = home.join(format!(".cache/adpipe/venvs/dbt-{kind}"));
    let program = environment.join("bin/dbt");
    if works(&program) {
        return Some(program);
    }
    let requirements =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../dbt/requirements-{kind}.txt"));
    let made = make(&environment, &requirements);
    match (made, works(&program)) {
        (Ok(()), true) => Some(program),
        (Err(reason), _) => {
            crate::skip(test, &format!("dbt cannot be installed: {reason}"));
            None
        }
        (Ok(()), false) => {
            crate::skip(test, &format!("{} does not run", program.display()));
            None
        }
    }
}

fn works(program: &Path) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

fn make(environment: &Path, requirements: &Path) -> Result<(), String> {
    if let Some(folder) = environment.parent() {
        std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    }
    let python = environment.join("bin/python");
    let has_uv = Command::new("uv").arg("--version").output().is_ok_and(|output| output.status.success());
    if has_uv {
        run(Command::new("uv").args(["venv", "--clear"]).arg(environment))?;
        return run(Command::new("uv")
            .args(["pip", "install", "--python"])
            .arg(&python)
            .arg("-r")
            .arg(requirements));
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(environment))?;
    run(Command::new(&python).args(["-m", "pip", "install", "-r"]).arg(requirements))
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)))
    }
}
