//! A dbt project, read whole and checked before anything is done.
//!
//! `root` reads `dbt_project.yml`, `properties` the YAML next to the models, `settings` puts the
//! configuration together, `parse` and `parse_tests` make [`Node`]s of it all and find out what depends
//! on what by rendering everything once, as dbt does; `link` joins them.

pub(crate) mod fields;
mod fixtures;
mod link;
pub(crate) mod names;
pub(crate) mod nodes;
mod parse;
mod parse_tests;
pub(crate) mod properties;
pub(crate) mod root;
pub(crate) mod settings;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use minijinja::value::Value;

pub use self::nodes::{Column, Exposure, Node, Source};
pub use self::settings::Materialized;
use crate::error::Result;
use crate::files::ProjectFiles;
use crate::jinja::Templates;
use crate::results::ProjectTests;
use crate::target::Target;

/// Everything that a project says.
pub struct Project {
    /// As `dbt_project.yml` gives it.
    pub name: String,
    /// Where it was read from, for people.
    pub location: String,
    /// Models, seeds and tests. A node may depend on one that follows it.
    pub nodes: Vec<Node>,
    /// Tables that others write.
    pub sources: Vec<Source>,
    /// The users of the models.
    pub exposures: Vec<Exposure>,
    pub(crate) templates: Templates,
    pub(crate) vars: Arc<BTreeMap<String, Value>>,
}

impl Project {
    /// Reads a project for a target. `vars` are YAML (or JSON), as for dbt's `--vars`.
    ///
    /// # Errors
    /// [`crate::TransformError::Project`] with the file and line of what is wrong or not understood.
    pub fn load(files: &ProjectFiles, target: &Target, vars: &str) -> Result<Project> {
        let vars = parse_vars(vars)?;
        parse::load(files, target, &vars)
    }

    /// dbt's ids of the tests that it has.
    pub fn test_ids(&self) -> BTreeSet<String> {
        self.nodes.iter().filter(|node| node.is_test()).map(|node| node.id.clone()).collect()
    }

    /// The tests that it has.
    pub fn tests(&self) -> ProjectTests {
        ProjectTests { project: self.name.clone(), ids: self.test_ids() }
    }

    /// The node of this id.
    pub fn find(&self, id: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node.id == id)
    }

    /// The model or seed of this name.
    pub(crate) fn find_table(&self, name: &str) -> Option<usize> {
        self.nodes.iter().position(|node| !node.is_test() && node.name == name)
    }

    pub(crate) fn find_source(&self, source: &str, table: &str) -> Option<usize> {
        self.sources.iter().position(|found| found.source == source && found.name == table)
    }
}

fn parse_vars(text: &str) -> Result<BTreeMap<String, Value>> {
    if text.trim().is_empty() {
        return Ok(BTreeMap::new());
    }
    let tree = crate::yaml::parse("--vars", text)?;
    match tree.map() {
        Some(entries) => Ok(entries.iter().map(|(key, _, value)| (key.clone(), value.to_value())).collect()),
        None => Err(crate::TransformError::Asked(format!(
            "--vars: {text:?} is not a mapping; write '{{name: value}}'"
        ))),
    }
}
