//! Python environments, made once per user.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of programs of the environment `name`, made from its pins when it is not there, or
/// they have changed. The error says what is missing.
pub fn environment(name: &str, requirements: &Path) -> Result<PathBuf, String> {
    let pins = std::fs::read_to_string(requirements).map_err(|error| error.to_string())?;
    let home = std::env::var_os("HOME").ok_or("HOME is not set")?;
    let folder = PathBuf::from(home).join(".cache/adpipe/venvs");
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    // Tests run at once and in several processes: one of them installs, the others wait.
    let lock =
        std::fs::File::create(folder.join(format!("{name}.lock"))).map_err(|error| error.to_string())?;
    lock.lock().map_err(|error| error.to_string())?;
    let venv = folder.join(name);
    let installed = venv.join("installed.txt");
    if std::fs::read_to_string(&installed).is_ok_and(|text| text == pins) {
        return Ok(venv.join("bin"));
    }
    let uv = |arguments: &mut Command| match arguments.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            Err(format!("{name} cannot be installed: {said}"))
        }
        Err(_) => Err(format!("neither {name} nor uv (`pip install uv`) is installed")),
    };
    uv(Command::new("uv").args(["venv", "--clear"]).arg(&venv))?;
    let python = venv.join("bin").join("python");
    uv(Command::new("uv").args(["pip", "install", "-r"]).arg(requirements).arg("--python").arg(python))?;
    std::fs::write(&installed, pins).map_err(|error| error.to_string())?;
    Ok(venv.join("bin"))
}
