//! The dbt project that the configuration names.

use std::path::{Path, PathBuf};

use adpipe_transform::{Project, ProjectFiles, Target, TransformError};
use adpipe_warehouse::{Dialect, Warehouse};

use crate::config::Config;
use crate::warehouse_place::WarehousePlace;

/// Where the project is looked for when none is configured.
const USUAL_FOLDER: &str = "dbt";

/// The project's folder; none for the project built into adpipe.
pub fn folder(config: &Config) -> Option<PathBuf> {
    match config.transform.project.as_str() {
        "" => Some(PathBuf::from(USUAL_FOLDER)).filter(|folder| folder.join("dbt_project.yml").is_file()),
        folder => Some(PathBuf::from(folder)),
    }
}

/// The files of the project in this folder; without one, of the project inside of adpipe.
pub fn files_in(folder: Option<&Path>) -> Result<ProjectFiles, TransformError> {
    match folder {
        Some(folder) => ProjectFiles::read(folder),
        None => Ok(ProjectFiles::embedded()),
    }
}

/// The project's files as they are now.
pub fn files(config: &Config) -> Result<ProjectFiles, TransformError> {
    files_in(folder(config).as_deref())
}

/// The names of models, seeds and tests.
pub fn names(config: &Config) -> anyhow::Result<Vec<String>> {
    let project = without_data(config)?;
    Ok(project.nodes.into_iter().map(|node| node.name).collect())
}

/// The project as it is now. It needs no data.
pub fn without_data(config: &Config) -> anyhow::Result<Project> {
    let dialect = match WarehousePlace::of(config)? {
        WarehousePlace::Folder(_) => Dialect::Sqlite,
        WarehousePlace::Postgres(_) => Dialect::Postgres,
    };
    Ok(Project::load(&files(config)?, &target_for(config, dialect), "")?)
}

/// What the project is built for.
pub fn target(config: &Config, warehouse: &dyn Warehouse) -> Target {
    target_for(config, warehouse.dialect())
}

fn target_for(config: &Config, dialect: Dialect) -> Target {
    let mut target = Target::new(dialect);
    target.name.clone_from(&config.transform.target);
    target.threads = config.transform.threads as usize;
    target
}

/// The project as it is now.
pub fn project(config: &Config, warehouse: &dyn Warehouse) -> Result<Project, TransformError> {
    Project::load(&files(config)?, &target(config, warehouse), "")
}

/// The page of `adpipe transform docs`, of the project as it is now.
pub fn docs_page(config: &Config, warehouse: &dyn Warehouse) -> Result<String, TransformError> {
    adpipe_transform::page(warehouse, &project(config, warehouse)?)
}
