//! Lists the files of the repository's `dbt/` project, to be compiled into the library.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// What a dbt project is made of; everything else next to it (logs, results) is not its source.
const EXTENSIONS: [&str; 6] = ["sql", "yml", "yaml", "csv", "md", "txt"];
const NOT_SOURCE: [&str; 4] = ["target", "logs", "dbt_packages", ".user.yml"];

fn main() {
    let manifest = std::env::var("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
    let project = manifest.join("../../dbt");
    println!("cargo:rerun-if-changed={}", project.display());
    let mut files = Vec::new();
    collect(&project, "", &mut files);
    files.sort();
    let mut list = String::from("pub(super) const EMBEDDED: &[(&str, &str)] = &[\n");
    for file in &files {
        let _ =
            writeln!(list, "    ({file:?}, include_str!({:?})),", project.join(file).display().to_string());
    }
    list.push_str("];\n");
    let out = std::env::var("OUT_DIR").map(PathBuf::from).unwrap_or_default();
    if let Err(error) = std::fs::write(out.join("embedded.rs"), list) {
        println!("cargo:error=cannot write the list of the dbt project's files: {error}");
    }
}

fn collect(folder: &Path, prefix: &str, files: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if NOT_SOURCE.contains(&name.as_str()) {
            continue;
        }
        let path = entry.path();
        let relative = format!("{prefix}{name}");
        if path.is_dir() {
            println!("cargo:rerun-if-changed={}", path.display());
            collect(&path, &format!("{relative}/"), files);
        } else if path.extension().is_some_and(|end| EXTENSIONS.iter().any(|known| end == *known)) {
            println!("cargo:rerun-if-changed={}", path.display());
            files.push(relative);
        }
    }
}
