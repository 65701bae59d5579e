//! The files of a project: in a folder, or those compiled into this library.

use std::path::Path;

use crate::error::{Result, TransformError};

mod embedded {
    include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
}

/// Folders of dbt's that hold no source.
const NOT_SOURCE: [&str; 4] = ["target", "logs", "dbt_packages", "dbt_modules"];

/// A project's files, read once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectFiles {
    /// Where they came from, for people.
    pub location: String,
    /// Path relative to the project, with `/`, and text; sorted by path.
    pub(crate) files: Vec<(String, String)>,
}

impl ProjectFiles {
    /// Adpipe's own project, as it was when this was compiled.
    pub fn embedded() -> ProjectFiles {
        let own = |(path, text): &(&str, &str)| ((*path).to_owned(), (*text).to_owned());
        ProjectFiles {
            location: "the project built into adpipe".to_owned(),
            files: embedded::EMBEDDED.iter().map(own).collect(),
        }
    }

    /// Reads a folder.
    ///
    /// # Errors
    /// [`TransformError::File`] when it has no `dbt_project.yml` or something cannot be read.
    pub fn read(folder: &Path) -> Result<ProjectFiles> {
        if !folder.join("dbt_project.yml").is_file() {
            return Err(TransformError::File {
                path: folder.to_path_buf(),
                reason: "holds no dbt_project.yml; set transform.project to a dbt project's folder"
                    .to_owned(),
            });
        }
        let mut files = Vec::new();
        collect(folder, "", &mut files)?;
        files.sort();
        Ok(ProjectFiles { location: folder.display().to_string(), files })
    }

    /// Writes them into a folder, which must be empty or missing.
    ///
    /// # Errors
    /// [`TransformError::File`].
    pub fn write(&self, folder: &Path) -> Result<()> {
        let fail = |path: &Path, reason: String| TransformError::File { path: path.to_path_buf(), reason };
        if std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(fail(folder, "is not empty; name a new folder".to_owned()));
        }
        for (name, text) in &self.files {
            let path = folder.join(name);
            let parent = path.parent().unwrap_or(folder);
            std::fs::create_dir_all(parent)
                .and_then(|()| std::fs::write(&path, text))
                .map_err(|error| fail(&path, error.to_string()))?;
        }
        Ok(())
    }

    pub(crate) fn get(&self, path: &str) -> Option<&str> {
        self.files.iter().find(|(name, _)| name == path).map(|(_, text)| text.as_str())
    }

    /// Those below one of `folders` whose name ends so.
    pub(crate) fn below<'f>(
        &'f self,
        folders: &'f [String],
        ends: &'f [&'f str],
    ) -> impl Iterator<Item = (&'f str, &'f str)> {
        let is_below = |path: &str| {
            folders
                .iter()
                .any(|folder| path.strip_prefix(folder.as_str()).is_some_and(|rest| rest.starts_with('/')))
        };
        self.files
            .iter()
            .filter(move |(path, _)| is_below(path) && ends.iter().any(|end| path.ends_with(end)))
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }
}

fn collect(folder: &Path, prefix: &str, files: &mut Vec<(String, String)>) -> Result<()> {
    let fail = |path: &Path, reason: String| TransformError::File { path: path.to_path_buf(), reason };
    let entries = std::fs::read_dir(folder).map_err(|error| fail(folder, error.to_string()))?;
    for entry in entries {
        let entry = entry.map_err(|error| fail(folder, error.to_string()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') || (prefix.is_empty() && NOT_SOURCE.contains(&name.as_str())) {
            continue;
        }
        let path = entry.path();
        if path.is_dir() {
            collect(&path, &format!("{prefix}{name}/"), files)?;
        } else if [".sql", ".yml", ".yaml", ".csv", ".md", ".txt", ".py"]
            .iter()
            .any(|end| name.ends_with(end))
        {
            let text = adpipe_sql::text::read(&path).map_err(|error| fail(&path, error.to_string()))?;
            files.push((format!("{prefix}{name}"), text));
        }
    }
    Ok(())
}
