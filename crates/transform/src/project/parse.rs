//! Puts a project together.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::value::Value;

use super::nodes::{
    DataTest, Detail, Exposure, Given, Model, ModelArgument, Node, Rows, Seed, Source, TestBody, UnitTest,
};
use super::properties::{AllProperties, Properties, TestEntry, UnitTestEntry};
use super::root::{self, Root};
use super::settings::{Settings, TableConfig, TestConfig, by_folder};
use super::{Project, names};
use crate::error::{Place, Result};
use crate::files::ProjectFiles;
use crate::jinja::relation::Relation;
use crate::jinja::scan::{self, line_of_config};
use crate::jinja::scope::{Scope, Wanted};
use crate::jinja::{Room, Templates};
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
    link(&mut project, wanted)?;
    project.exposures = exposures(&project, &properties)?;
    crate::graph::refuse_cycles(&project)?;
    Ok(project)
}

/// A node and what it wants, with the line of each.
type Pending = (Node, Vec<(Wanted, usize)>);

struct Builder<'b> {
    root: &'b Root,
    templates: &'b Templates,
    pending: Vec<Pending>,
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

    fn singular_tests(
        &mut self,
        files: &ProjectFiles,
        generic: &[String],
        properties: &mut AllProperties,
    ) -> Result<()> {
        for (file, text) in files.below(&self.root.test_paths, &[".sql"]) {
            if generic.iter().any(|folder| file.starts_with(&format!("{folder}/"))) {
                continue;
            }
            let path = self.path_of(file, &self.root.test_paths);
            let name = path.last().cloned().unwrap_or_default();
            let found = take(&mut properties.singular_tests, &name)?;
            let place = Place::new(file, 1);
            let mut settings = Settings::default();
            by_folder(&self.root.data_tests, &path, &Place::new(root::FILE, 1), &mut settings)?;
            said_beside(&mut settings, found.as_ref());
            let (wanted, _) = self.render(&place, text, &mut settings)?;
            let config = TestConfig::of_test(&settings)?;
            if !config.shared.enabled {
                continue;
            }
            let test = DataTest {
                body: TestBody::Singular { text: text.to_owned() },
                relation: Relation::new(SCHEMA, config.shared.alias.as_deref().unwrap_or(&name)),
                settings,
                attached: None,
                column: None,
                config,
            };
            let tags = test.config.shared.tags.clone();
            self.add("test", name, place, path, tags, found.as_ref(), Detail::DataTest(test), wanted)?;
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
                    .refuse(format!("{id} is there already, at {}", earlier.place)));
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
            });
        }
        Ok(sources)
    }

    fn generic_tests(&mut self, properties: &AllProperties, room: &Room) -> Result<()> {
        let of_tables = properties
            .models
            .iter()
            .map(|found| (found, "model"))
            .chain(properties.seeds.iter().map(|found| (found, "seed")));
        let mut entries = Vec::new();
        for (table, kind) in of_tables {
            let id = format!("{kind}.{}.{}", self.root.name, table.name);
            if !self.pending.iter().any(|(node, _)| node.id == id) {
                continue; // disabled
            }
            for entry in &table.tests {
                entries.push((
                    entry.clone(),
                    ModelArgument::Model(table.name.clone()),
                    id.clone(),
                    table.name.clone(),
                    entry.test.clone(),
                ));
            }
        }
        for table in &properties.sources {
            let name = &table.properties.name;
            let id = format!("source.{}.{}.{name}", self.root.name, table.source);
            let target = format!("{}_{name}", table.source);
            for entry in &table.properties.tests {
                let model = ModelArgument::Source(table.source.clone(), name.clone());
                entries.push((
                    entry.clone(),
                    model,
                    id.clone(),
                    target.clone(),
                    format!("source_{}", entry.test),
                ));
            }
        }
        for (entry, model, id, target, title) in entries {
            self.generic_test(entry, model, id, &target, &title, room)?;
        }
        Ok(())
    }

    fn generic_test(
        &mut self,
        entry: TestEntry,
        model: ModelArgument,
        attached: String,
        target: &str,
        title: &str,
        room: &Room,
    ) -> Result<()> {
        let place = entry.place.clone();
        let macro_name = format!("test_{}", entry.test);
        if !self.templates.has(&macro_name) {
            return Err(place.refuse(format!(
                "there is no test {}: neither dbt's nor below macros or tests/generic",
                entry.test
            )));
        }
        let (full, short) = names::generic_test(title, target, &entry.arguments);
        let (name, alias) = match &entry.name {
            Some(name) => (name.clone(), name.clone()),
            None => (full, short),
        };
        let folders = self.path_of(&place.file, &self.root.model_paths);
        let mut path: Vec<String> = folders[..folders.len().saturating_sub(1)].to_vec();
        path.push(name.clone());
        let mut settings = Settings::default();
        by_folder(&self.root.data_tests, &path, &Place::new(root::FILE, 1), &mut settings)?;
        for (key, (value, place)) in entry.settings.0 {
            settings.say(&key, value, place);
        }
        let config = TestConfig::of_test(&settings)?;
        if !config.shared.enabled {
            return Ok(());
        }
        let arguments = entry
            .arguments
            .iter()
            .map(|(name, value)| Ok((name.clone(), as_template(value))))
            .collect::<Result<Vec<_>>>()?;
        let test = DataTest {
            body: TestBody::Generic { macro_name, model, arguments },
            relation: Relation::new(SCHEMA, config.shared.alias.as_deref().unwrap_or(&alias)),
            settings,
            attached: Some(attached),
            column: entry.column.clone(),
            config,
        };
        let seen = Seen::default();
        let scope = self.scope(&test.settings, &seen);
        let (test_room, _) = self.templates.enter(scope);
        test.sql(&test_room, &place)?;
        let wanted = seen.take().into_iter().map(|wanted| (wanted, place.line)).collect();
        let id = format!(
            "test.{}.{name}.{}",
            self.root.name,
            self.test_hash(&entry.test, &name, &entry.arguments, &test, room)
        );
        let tags = test.config.shared.tags.clone();
        let node = Node {
            id,
            name,
            place,
            description: entry.description,
            tags,
            path,
            depends_on: Vec::new(),
            reads: Vec::new(),
            detail: Detail::DataTest(test),
        };
        self.push(node, wanted)
    }

    /// The ten digits that tell tests of one name apart in dbt.
    fn test_hash(
        &self,
        test: &str,
        name: &str,
        arguments: &[(String, Yaml)],
        found: &DataTest,
        _room: &Room,
    ) -> String {
        let model = match &found.body {
            TestBody::Generic { model: ModelArgument::Source(source, table), .. } => {
                format!("source('{source}', '{table}')")
            }
            TestBody::Generic { model: ModelArgument::Model(name), .. } => format!("ref('{name}')"),
            TestBody::Singular { .. } => String::new(),
        };
        let mut kwargs: BTreeMap<String, String> =
            arguments.iter().map(|(name, value)| (name.clone(), hashable(value))).collect();
        kwargs.insert("model".to_owned(), python_text(&format!("{{{{ get_where_subquery({model}) }}}}")));
        let kwargs: Vec<String> =
            kwargs.iter().map(|(name, value)| format!("{}: {value}", python_text(name))).collect();
        let metadata = format!(
            "{{'kwargs': {{{}}}, 'name': {}, 'namespace': 'None'}}",
            kwargs.join(", "),
            python_text(test)
        );
        let digest = names::md5_hex(&format!("{name}{metadata}"));
        digest[digest.len() - 10..].to_owned()
    }

    fn unit_tests(&mut self, properties: &AllProperties, room: &Room) -> Result<()> {
        for entry in &properties.unit_tests {
            self.unit_test(entry, room)?;
        }
        Ok(())
    }

    fn unit_test(&mut self, entry: &UnitTestEntry, room: &Room) -> Result<()> {
        let place = entry.place.clone();
        let path = vec![self.root.name.clone(), entry.model.clone(), entry.name.clone()];
        let mut settings = Settings::default();
        by_folder(&self.root.unit_tests, &path, &Place::new(root::FILE, 1), &mut settings)?;
        for (key, (value, place)) in &entry.settings.0 {
            settings.say(key, value.clone(), place.clone());
        }
        let config = TestConfig::of_test(&settings)?;
        if !config.shared.enabled {
            return Ok(());
        }
        let values = |list: &[(String, Yaml)]| -> Result<Vec<(String, Value)>> {
            list.iter()
                .map(|(name, value)| Ok((name.clone(), room.render_yaml(value, &place)?.to_value())))
                .collect()
        };
        // Rows written as SQL are templates.
        let rendered = |rows: &Rows| -> Result<Rows> {
            match rows {
                Rows::Sql(sql) => {
                    let text = Yaml { line: place.line, data: crate::yaml::Data::Text(sql.clone()) };
                    let rendered = room.render_yaml(&text, &place)?;
                    Ok(Rows::Sql(rendered.text().unwrap_or_default().to_owned()))
                }
                values => Ok(values.clone()),
            }
        };
        let mut given = Vec::new();
        for (named, rows) in &entry.given {
            given.push((named.clone(), rendered(rows)?));
        }
        let test = UnitTest {
            model: entry.model.clone(),
            given,
            expect: rendered(&entry.expect)?,
            macro_overrides: values(&entry.macros)?,
            var_overrides: values(&entry.vars)?,
        };
        let mut wanted = vec![(Wanted::Model(entry.model.clone()), place.line)];
        for (given, _) in &entry.given {
            match given {
                Given::Model(name) => wanted.push((Wanted::Model(name.clone()), place.line)),
                Given::Source(source, table) => {
                    wanted.push((Wanted::Source(source.clone(), table.clone()), place.line))
                }
                Given::This => {}
            }
        }
        let node = Node {
            id: format!("unit_test.{}.{}.{}", self.root.name, entry.model, entry.name),
            name: entry.name.clone(),
            place,
            description: entry.description.clone(),
            tags: config.shared.tags,
            path,
            depends_on: Vec::new(),
            reads: Vec::new(),
            detail: Detail::UnitTest(test),
        };
        self.push(node, wanted)
    }

    /// Renders a file to see what it names and what its `config` says.
    fn render(
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

    fn scope(&self, settings: &Settings, seen: &Seen) -> Scope {
        let seen = seen.clone();
        Scope {
            this: Relation::new(SCHEMA, "this").to_value(),
            resolve: Box::new(move |wanted| Ok(seen.note(wanted))),
            config: Mutex::new(settings.to_values()),
            ..Scope::bare(self.root.vars.clone())
        }
    }

    /// Project, folders and name of a file.
    fn path_of(&self, file: &str, roots: &[String]) -> Vec<String> {
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
    fn add(
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

    fn push(&mut self, node: Node, wanted: Vec<(Wanted, usize)>) -> Result<()> {
        let is_same = |other: &Node| {
            other.id == node.id
                || (!node.is_test() && !other.is_test() && other.name == node.name)
                || other.relation().is_some_and(|relation| node.relation() == Some(relation))
        };
        if let Some((earlier, _)) = self.pending.iter().find(|(other, _)| is_same(other)) {
            return Err(node.place.refuse(format!("{} is there already, at {}", node.name, earlier.place)));
        }
        self.pending.push((node, wanted));
        Ok(())
    }
}

/// What a rendering has named so far.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<Wanted>>>);

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

    fn take(&self) -> Vec<Wanted> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The properties of a name; two of one name are refused.
fn take(list: &mut [Properties], name: &str) -> Result<Option<Properties>> {
    let mut found = list.iter_mut().filter(|found| found.name == name);
    let Some(first) = found.next() else { return Ok(None) };
    if let Some(second) = found.next() {
        return Err(second.place.refuse(format!("{name} is described already, at {}", first.place)));
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

fn said_beside(settings: &mut Settings, found: Option<&Properties>) {
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

/// `ref('x')` as an argument of a test means what it says.
fn as_template(value: &Yaml) -> Yaml {
    let Some(text) = value.text() else { return value.clone() };
    let trimmed = text.trim();
    let is_call = ["ref", "source", "var", "env_var"].iter().any(|function| {
        trimmed.strip_prefix(function).is_some_and(|rest| rest.trim_start().starts_with('('))
            && trimmed.ends_with(')')
    });
    match is_call {
        true => Yaml { line: value.line, data: crate::yaml::Data::Text(format!("{{{{ {text} }}}}")) },
        false => value.clone(),
    }
}

/// As dbt prints what it hashes: all that is no list or mapping as text.
fn hashable(value: &Yaml) -> String {
    use crate::yaml::Data;
    match &value.data {
        Data::List(items) => format!("[{}]", items.iter().map(hashable).collect::<Vec<_>>().join(", ")),
        Data::Map(entries) => {
            let mut sorted: Vec<_> = entries.iter().collect();
            sorted.sort_by(|one, other| one.0.cmp(&other.0));
            let entries =
                sorted.iter().map(|(key, _, value)| format!("{}: {}", python_text(key), hashable(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        _ => python_text(&value.to_python()),
    }
}

fn python_text(text: &str) -> String {
    crate::jinja::python::repr(&Value::from(text))
}

/// Finds what each node wants.
fn link(project: &mut Project, wanted: Vec<Vec<(Wanted, usize)>>) -> Result<()> {
    for (index, wanted) in wanted.into_iter().enumerate() {
        let place = project.nodes[index].place.clone();
        for (wanted, line) in wanted {
            match &wanted {
                Wanted::Model(name) => match project.find_table(name) {
                    Some(found) => project.nodes[index].depends_on.push(found),
                    None => return Err(place.at(line).refuse(format!("there is no model or seed {name}"))),
                },
                Wanted::Source(source, table) => match project.find_source(source, table) {
                    Some(found) => project.nodes[index].reads.push(found),
                    None => {
                        return Err(place
                            .at(line)
                            .refuse(format!("there is no table {table} in the source {source}")));
                    }
                },
            }
        }
        check_unit_test(project, index)?;
    }
    Ok(())
}

fn check_unit_test(project: &Project, index: usize) -> Result<()> {
    let node = &project.nodes[index];
    let Detail::UnitTest(test) = &node.detail else { return Ok(()) };
    let model = project.find_table(&test.model).map(|model| &project.nodes[model].detail);
    match model {
        Some(Detail::Model(_)) => Ok(()),
        _ => Err(node.place.refuse(format!("{} is no model", test.model))),
    }
}

fn exposures(project: &Project, properties: &AllProperties) -> Result<Vec<Exposure>> {
    let mut exposures = Vec::new();
    for entry in &properties.exposures {
        let (mut depends_on, mut reads) = (Vec::new(), Vec::new());
        for (given, line) in &entry.depends_on {
            let missing = |name: &str| entry.place.at(*line).refuse(format!("there is no {name}"));
            match given {
                Given::Model(name) => depends_on.push(project.find_table(name).ok_or_else(|| missing(name))?),
                Given::Source(source, table) => {
                    reads.push(project.find_source(source, table).ok_or_else(|| missing(table))?);
                }
                Given::This => {}
            }
        }
        exposures.push(Exposure {
            name: entry.name.clone(),
            label: entry.label.clone(),
            kind: entry.kind.clone(),
            description: entry.description.trim().to_owned(),
            url: entry.url.clone(),
            depends_on,
            reads,
        });
    }
    Ok(exposures)
}

impl DataTest {
    /// Its statement.
    pub(crate) fn sql(&self, room: &Room, place: &Place) -> Result<String> {
        match &self.body {
            TestBody::Singular { text } => room.render(place, text),
            TestBody::Generic { macro_name, model, arguments } => {
                let model = match model {
                    ModelArgument::Model(name) => format!("ref({})", python_text(name)),
                    ModelArgument::Source(source, table) => {
                        format!("source({}, {})", python_text(source), python_text(table))
                    }
                };
                let mut model = room.evaluate(&model, place)?;
                if let Some(condition) = &self.config.condition {
                    model = Value::from(format!("(select * from {model} where {condition}) dbt_subquery"));
                }
                let mut given = vec![("model".to_owned(), model)];
                for (name, value) in arguments {
                    given.push((name.clone(), argument(value, room, place)?));
                }
                room.call(macro_name, &given, place)
            }
        }
    }
}

/// A test's argument: a text that is one expression becomes its value, a relation among them.
fn argument(value: &Yaml, room: &Room, place: &Place) -> Result<Value> {
    let expression = value
        .text()
        .and_then(|text| text.trim().strip_prefix("{{"))
        .and_then(|rest| rest.strip_suffix("}}"))
        .filter(|inner| !inner.contains("{{"));
    match expression {
        Some(expression) => room.evaluate(expression, &place.at(value.line)),
        None => room.render_yaml(value, place).map(|value| value.to_value()),
    }
}
