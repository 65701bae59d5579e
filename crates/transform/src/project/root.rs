//! `dbt_project.yml`.

use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::value::Value;

use super::fields::Fields;
use super::settings::check_tree;
use crate::error::{Place, Result};
use crate::files::ProjectFiles;
use crate::jinja::scope::Scope;
use crate::jinja::{TargetInfo, Templates};
use crate::yaml::{Data, Yaml};

pub(crate) const FILE: &str = "dbt_project.yml";

/// What `dbt_project.yml` says.
pub(crate) struct Root {
    pub name: String,
    pub model_paths: Vec<String>,
    pub seed_paths: Vec<String>,
    pub macro_paths: Vec<String>,
    pub test_paths: Vec<String>,
    pub models: Yaml,
    pub seeds: Yaml,
    pub data_tests: Yaml,
    pub unit_tests: Yaml,
    pub vars: Arc<BTreeMap<String, Value>>,
}

/// Keys that are read elsewhere, or change nothing here.
const IGNORED: [&str; 18] = [
    "name",
    "version",
    "config-version",
    "require-dbt-version",
    "profile",
    "vars",
    "flags",
    "clean-targets",
    "target-path",
    "log-path",
    "packages-install-path",
    "docs-paths",
    "asset-paths",
    "exposures",
    "sources",
    "analysis-paths",
    "snapshot-paths",
    "macros",
];

/// Files that bring packages in, whose macros we do not have.
const PACKAGES: [&str; 2] = ["packages.yml", "dependencies.yml"];

impl Root {
    /// Reads it; `vars` are the command line's, which go before its own.
    pub fn read(files: &ProjectFiles, target: &TargetInfo, vars: &BTreeMap<String, Value>) -> Result<Root> {
        let place = Place::new(FILE, 0);
        let text = files.get(FILE).ok_or_else(|| place.refuse("there is none in the project"))?;
        let raw = crate::yaml::parse(FILE, text)?;
        refuse_packages(files)?;

        let name = raw.get("name").and_then(Yaml::text).unwrap_or_default().to_owned();
        if name.is_empty() {
            return Err(place.at(1).refuse("the project has no name"));
        }
        let all_vars = Arc::new(merge_vars(raw.get("vars"), &name, vars));
        let target = TargetInfo { project: name.clone(), ..target.clone() };
        let templates = Templates::new(&target, Vec::new())?;
        let (room, _) = templates.enter(Scope::bare(all_vars.clone()));
        let tree = room.render_yaml(&raw, &place)?;

        let mut fields = Fields::new(&tree, &place, "the project")?;
        fields.ignore(&IGNORED);
        let paths = |fields: &mut Fields<'_>, key, default: &str| -> Result<Vec<String>> {
            let found = fields.texts(key)?;
            let trimmed =
                found.iter().map(|path| path.trim_end_matches('/').trim_start_matches("./").to_owned());
            Ok(if found.is_empty() { vec![default.to_owned()] } else { trimmed.collect() })
        };
        let tree_of = |fields: &mut Fields<'_>, key: &'static str| -> Result<Yaml> {
            match fields.take_some(key) {
                Some(tree) => {
                    check_tree(tree, &place, key)?;
                    Ok(tree.clone())
                }
                None => Ok(Yaml { line: 1, data: Data::Null }),
            }
        };
        let mut root = Root {
            name,
            model_paths: paths(&mut fields, "model-paths", "models")?,
            seed_paths: paths(&mut fields, "seed-paths", "seeds")?,
            macro_paths: paths(&mut fields, "macro-paths", "macros")?,
            test_paths: paths(&mut fields, "test-paths", "tests")?,
            models: tree_of(&mut fields, "models")?,
            seeds: tree_of(&mut fields, "seeds")?,
            data_tests: tree_of(&mut fields, "data_tests")?,
            unit_tests: tree_of(&mut fields, "unit_tests")?,
            vars: all_vars,
        };
        if let Some(tests) = fields.take_some("tests") {
            check_tree(tests, &place, "tests")?;
            root.data_tests = tests.clone();
        }
        refuse_hooks(&mut fields, &raw, &place)?;
        fields.done()?;
        refuse_other_resources(files, &raw)?;
        Ok(root)
    }
}

fn refuse_hooks(fields: &mut Fields<'_>, raw: &Yaml, place: &Place) -> Result<()> {
    for hook in ["on-run-start", "on-run-end"] {
        if fields.take_some(hook).is_some_and(|hooks| hooks.list().is_none_or(|list| !list.is_empty())) {
            let line = raw.get(hook).map_or(1, |hooks| hooks.line);
            return Err(place.at(line).refuse(format!("{hook}: hooks are not understood by this runner")));
        }
    }
    Ok(())
}

fn refuse_packages(files: &ProjectFiles) -> Result<()> {
    for file in PACKAGES {
        let Some(text) = files.get(file) else { continue };
        let tree = crate::yaml::parse(file, text)?;
        if let Some(packages) =
            tree.get("packages").filter(|packages| packages.list().is_some_and(|list| !list.is_empty()))
        {
            return Err(Place::new(file, packages.line).refuse("packages are not understood by this runner"));
        }
    }
    Ok(())
}

/// Snapshots are tables that dbt would make and we would not.
fn refuse_other_resources(files: &ProjectFiles, raw: &Yaml) -> Result<()> {
    let said = raw.get("snapshot-paths").and_then(Yaml::list).unwrap_or_default();
    let mut folders: Vec<String> = said.iter().filter_map(|path| path.text().map(str::to_owned)).collect();
    if folders.is_empty() {
        folders.push("snapshots".to_owned());
    }
    match files.below(&folders, &[".sql", ".yml", ".yaml"]).next() {
        Some((file, _)) => Err(Place::new(file, 1).refuse("snapshots are not understood by this runner")),
        None => Ok(()),
    }
}

/// Variables of the whole project and of the package of this name; those of the command line go first.
fn merge_vars(
    node: Option<&Yaml>,
    project: &str,
    given: &BTreeMap<String, Value>,
) -> BTreeMap<String, Value> {
    let mut vars = BTreeMap::new();
    for (key, _, value) in node.and_then(Yaml::map).unwrap_or_default() {
        vars.insert(key.clone(), value.to_value());
    }
    for (key, _, value) in node.and_then(|vars| vars.get(project)).and_then(Yaml::map).unwrap_or_default() {
        vars.insert(key.clone(), value.to_value());
    }
    vars.extend(given.iter().map(|(key, value)| (key.clone(), value.clone())));
    vars
}
