//! Puts a project together.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::value::Value;

use super::Project;
use super::nodes::{Detail, Model, Node, Seed, Source};
use super::properties::{AllProperties, Properties};
use super::root::{self, Root};
use super::settings::{Settings, TableConfig, by_folder};
use crate::error::{Place, Result};
use crate::files::ProjectFiles;
use crate::jinja::Templates;
use crate::jinja::relation::Relation;
use crate::jinja::scan::{self, line_of_config};
use crate::jinja::scope::{Scope, Wanted};
use crate::target::{SCHEMA, Target};
use crate::yaml::Yaml;

pub(super) fn load(files: &ProjectFiles, target: &Target, vars: &BTreeMap<String, Value>) -> Result<Project> {
    let info = target.info();
    let root = Root::read(files, &info, vars)?;
    let info = crate::jinja::TargetInfo { project: root.name.clone(), ..info };
    let mut macros = Vec::new();
    let generic: Vec<String> = root.test_paths.iter().map(|path| format!("{path}/generic")).collect();
    for (file, text) in files.below(&root.macro_paths, &[".sql"]).chain(files.below(&generic, &[".sql"])) {
        macros.extend(scan::macros(file, text)?);
    }
    let templates = Templates::new(&info, macros)?;
    let mut properties = AllProperties::default();
    let (room, _) = templates.enter(Scope::bare(root.vars.clone()));
    let with_yaml: Vec<String> = [&root.model_paths, &root.seed_paths, &root.test_paths, &root.macro_paths]
        .into_iter()
        .flatten()
        .cloned()
        .collect();
    for (file, text) in files.below(&with_yaml, &[".yml", ".yaml"]) {
        properties.read(file, text, &room)?;
    }
    let mut builder = Builder { root: &root, templates: &templates, pending: Vec::new() };
    builder.models(files, &mut properties)?;
    builder.seeds(files, &mut properties)?;
    builder.singular_tests(files, &generic, &mut properties)?;
    let sources = builder.sources(&properties)?;
    builder.generic_tests(&properties, &room)?;
    builder.unit_tests(&properties, &room)?;
    refuse_unused(&properties)?;
    let pending = builder.pending;
    let (nodes, wanted): (Vec<Node>, Vec<Vec<(Wanted, usize)>>) = pending.into_iter().unzip();
    let mut project = Project {
        name: root.name.clone(),
        location: files.location.clone(),
        nodes,
        sources,
        exposures: Vec::new(),
        templates,
        vars: root.vars.clone(),
    };
    super::link::link(&mut project, wanted)?;
    project.exposures = super::link::exposures(&project, &properties)?;
    crate::graph::refuse_cycles(&project)?;
    Ok(project)
}

/// A node and what it refers to, with the line of each.
pub(super) type Pending = (Node, Vec<(Wanted, usize)>);

pub(super) struct Builder<'b> {
    pub root: &'b Root,
    pub templates: &'b Templates,
    pub pending: Vec<Pending>,
}

impl Builder<'_> {
    fn models(&mut self, files: &ProjectFiles, properties: &mut AllProperties) -> Result<()> {
        if let Some((file, _)) = files.below(&self.root.model_paths, &[".py"]).next() {
            return Err(Place::new(file, 1).refuse("models in Python are not understood by this runner"));
        }
        for (file, text) in files.below(&self.root.model_paths, &[".sql"]) {
            let place = Place::new(file, 1);
            let path = self.path_of(file, &self.root.model_paths);
            let name = path.last().cloned().unwrap_or_default();
            let found = take(&mut properties.models, &name)?;
            let mut settings = Settings::default();
            by_folder(&self.root.models, &path, &Place::new(root::FILE, 1), &mut settings)?;
            said_beside(&mut settings, found.as_ref());
            let (wanted, _) = self.render(&place, text, &mut settings)?;
            let config = TableConfig::of_model(&settings)?;
            if !config.shared.enabled {
                continue;
            }
            let relation = Relation::new(SCHEMA, config.shared.alias.as_deref().unwrap_or(&name));
            let columns = found.as_ref().map(|found| found.columns.clone()).unwrap_or_default();
            if config.contract {
                check_contract(&columns, found.as_ref().map_or(&place, |found| &found.place), &name)?;
            }
            let tags = config.shared.tags.clone();
            let model = Model { text: text.to_owned(), config, settings, columns, relation };
            self.add("model", name, place, path, tags, found.as_ref(), Detail::Model(model), wanted)?;
        }
        Ok(())
    }

    fn seeds(&mut self, files: &ProjectFiles, properties: &mut AllProperties) -> Result<()> {
        for (file, text) in files.below(&self.root.seed_paths, &[".csv"]) {
            let path = self.path_of(file, &self.root.seed_paths);
            let name = path.last().cloned().unwrap_or_default();
            let found = take(&mut properties.seeds, &name)?;
            let mut settings = Settings::default();
            by_folder(&self.root.seeds, &path, &Place::new(root::FILE, 1), &mut settings)?;
            said_beside(&mut settings, found.as_ref());
            let config = TableConfig::of_seed(&settings)?;
            if !config.shared.enabled {
                continue;
            }
            let relation = Relation::new(SCHEMA, config.shared.alias.as_deref().unwrap_or(&name));
            let columns = found.as_ref().map(|found| found.columns.clone()).unwrap_or_default();
            let tags = config.shared.tags.clone();
            let seed = Seed { text: text.to_owned(), config, columns, relation };
            self.add(
                "seed",
                name,
                Place::new(file, 1),
                path,
                tags,
                found.as_ref(),
                Detail::Seed(seed),
                Vec::new(),
            )?;
        }
        Ok(())
    }

    fn sources(&self, properties: &AllProperties) -> Result<Vec<Source>> {
        let mut sources: Vec<Source> = Vec::new();
        for table in &properties.sources {
            let id = format!("source.{}.{}.{}", self.root.name, table.source, table.properties.name);
            if let Some(earlier) = sources.iter().find(|earlier| earlier.id == id) {
                return Err(table
                    .properties
                    .place
                    .refuse(format!("{id} already exists, at {}", earlier.place)));
            }
            sources.push(Source {
                id,
                source: table.source.clone(),
                name: table.properties.name.clone(),
                place: table.properties.place.clone(),
                description: table.properties.description.trim().to_owned(),
                tags: table.tags.clone(),
                columns: table.properties.columns.clone(),
                relation: Relation::new(&table.schema, &table.identifier),
                freshness: table.freshness.clone(),
            });
        }
        Ok(sources)
    }

    /// Renders a file to see what it names and what its `config` says.
    pub(super) fn render(
        &self,
        place: &Place,
        text: &str,
        settings: &mut Settings,
    ) -> Result<(Vec<(Wanted, usize)>, String)> {
        let seen = Seen::default();
        let (room, scope) = self.templates.enter(self.scope(settings, &seen));
        let sql = room.render(place, text)?;
        let line = line_of_config(text);
        let said = std::mem::take(&mut *scope.said.lock().unwrap_or_else(PoisonError::into_inner));
        for (key, value) in said {
            settings.say(&key, Yaml::from_value(&value, line), place.at(line));
        }
        let wanted = seen.take().into_iter().map(|wanted| {
            let name = match &wanted {
                Wanted::Model(name) | Wanted::Source(_, name) => name.clone(),
            };
            let line = text.find(&name).map_or(1, |at| scan::line_of(text, at));
            (wanted, line)
        });
        Ok((wanted.collect(), sql))
    }

    pub(super) fn scope(&self, settings: &Settings, seen: &Seen) -> Scope {
        let seen = seen.clone();
        Scope {
            this: Relation::new(SCHEMA, "this").to_value(),
            resolve: Box::new(move |wanted| Ok(seen.note(wanted))),
            config: Mutex::new(settings.to_values()),
            ..Scope::bare(self.root.vars.clone())
        }
    }

    /// Project, folders and name of a file.
    pub(super) fn path_of(&self, file: &str, roots: &[String]) -> Vec<String> {
        let below = roots
            .iter()
            .find_map(|root| file.strip_prefix(root.as_str()).and_then(|rest| rest.strip_prefix('/')))
            .unwrap_or(file);
        let mut path = vec![self.root.name.clone()];
        path.extend(below.split('/').map(str::to_owned));
        if let Some(name) = path.last_mut() {
            *name = name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem).to_owned();
        }
        path
    }

    #[allow(clippy::too_many_arguments, reason = "a node has that many parts, and this is where they meet")]
    pub(super) fn add(
        &mut self,
        kind: &str,
        name: String,
        place: Place,
        path: Vec<String>,
        tags: Vec<String>,
        properties: Option<&Properties>,
        detail: Detail,
        wanted: Vec<(Wanted, usize)>,
    ) -> Result<()> {
        let node = Node {
            id: format!("{kind}.{}.{name}", self.root.name),
            description: properties.map(|found| found.description.trim().to_owned()).unwrap_or_default(),
            name,
            place,
            tags,
            path,
            depends_on: Vec::new(),
            reads: Vec::new(),
            detail,
        };
        self.push(node, wanted)
    }

    pub(super) fn push(&mut self, node: Node, wanted: Vec<(Wanted, usize)>) -> Result<()> {
        let is_same = |other: &Node| {
            other.id == node.id
                || (!node.is_test() && !other.is_test() && other.name == node.name)
                || other.relation().is_some_and(|relation| node.relation() == Some(relation))
        };
        if let Some((earlier, _)) = self.pending.iter().find(|(other, _)| is_same(other)) {
            return Err(node.place.refuse(format!("{} already exists, at {}", node.name, earlier.place)));
        }
        self.pending.push((node, wanted));
        Ok(())
    }
}

/// What a rendering has named so far.
#[derive(Clone, Default)]
pub(super) struct Seen(Arc<Mutex<Vec<Wanted>>>);

impl Seen {
    fn note(&self, wanted: &Wanted) -> Value {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !seen.contains(wanted) {
            seen.push(wanted.clone());
        }
        let name = match wanted {
            Wanted::Model(name) | Wanted::Source(_, name) => name,
        };
        Relation::new(SCHEMA, name).to_value()
    }

    pub fn take(&self) -> Vec<Wanted> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The properties of a name; two of one name are refused.
pub(super) fn take(list: &mut [Properties], name: &str) -> Result<Option<Properties>> {
    let mut found = list.iter_mut().filter(|found| found.name == name);
    let Some(first) = found.next() else { return Ok(None) };
    if let Some(second) = found.next() {
        return Err(second.place.refuse(format!("{name} is already described, at {}", first.place)));
    }
    first.is_used = true;
    Ok(Some(first.clone()))
}

/// Descriptions of what does not exist are typing errors.
fn refuse_unused(properties: &AllProperties) -> Result<()> {
    let all = [&properties.models, &properties.seeds, &properties.singular_tests];
    match all.into_iter().flatten().find(|found| !found.is_used) {
        Some(found) => Err(found.place.refuse(format!("there is no file for {}", found.name))),
        None => Ok(()),
    }
}

pub(super) fn said_beside(settings: &mut Settings, found: Option<&Properties>) {
    for (key, (value, place)) in found.map(|found| found.settings.0.clone()).unwrap_or_default() {
        settings.say(&key, value, place);
    }
}

fn check_contract(columns: &[super::Column], place: &Place, name: &str) -> Result<()> {
    match columns.iter().find(|column| column.data_type.is_none()) {
        _ if columns.is_empty() => Err(place.refuse(format!("{name} has a contract and no columns"))),
        Some(column) => {
            Err(place.refuse(format!("{name} has a contract, and its column {} no data_type", column.name)))
        }
        None => Ok(()),
    }
}
