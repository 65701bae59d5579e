//! Tests of a project: files, generic ones next to their models, unit tests.

use std::collections::BTreeMap;

use minijinja::value::Value;

use super::names;
use super::nodes::{DataTest, Detail, Given, ModelArgument, Node, Rows, TestBody, UnitTest};
use super::parse::{Builder, Seen, said_beside, take};
use super::properties::{AllProperties, TestEntry, UnitTestEntry};
use super::root;
use super::settings::{Settings, TestConfig, by_folder};
use crate::error::{Place, Result};
use crate::files::ProjectFiles;
use crate::jinja::Room;
use crate::jinja::relation::Relation;
use crate::jinja::scope::Wanted;
use crate::target::SCHEMA;
use crate::yaml::Yaml;

impl Builder<'_> {
    pub(super) fn singular_tests(
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

    pub(super) fn generic_tests(&mut self, properties: &AllProperties, room: &Room) -> Result<()> {
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

    pub(super) fn unit_tests(&mut self, properties: &AllProperties, room: &Room) -> Result<()> {
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
        let mut given = Vec::new();
        for (named, rows) in &entry.given {
            given.push((named.clone(), rendered_rows(rows, room, &place)?));
        }
        let test = UnitTest {
            model: entry.model.clone(),
            given,
            expect: rendered_rows(&entry.expect, room, &place)?,
            macro_overrides: values(&entry.macros)?,
            var_overrides: values(&entry.vars)?,
        };
        let wanted = wanted_by(entry);
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
}

/// What a unit test reads: its model, and what that is given.
fn wanted_by(entry: &UnitTestEntry) -> Vec<(Wanted, usize)> {
    let line = entry.place.line;
    let given = entry.given.iter().filter_map(|(given, _)| match given {
        Given::Model(name) => Some(Wanted::Model(name.clone())),
        Given::Source(source, table) => Some(Wanted::Source(source.clone(), table.clone())),
        Given::This => None,
    });
    std::iter::once(Wanted::Model(entry.model.clone())).chain(given).map(|wanted| (wanted, line)).collect()
}

/// Rows written as SQL are templates.
fn rendered_rows(rows: &Rows, room: &Room, place: &Place) -> Result<Rows> {
    let Rows::Sql(sql) = rows else { return Ok(rows.clone()) };
    let text = Yaml { line: place.line, data: crate::yaml::Data::Text(sql.clone()) };
    let rendered = room.render_yaml(&text, place)?;
    Ok(Rows::Sql(rendered.text().unwrap_or_default().to_owned()))
}

/// `ref('x')` as an argument of a test means what it says.
fn as_template(value: &Yaml) -> Yaml {
    let Some(text) = value.text() else { return value.clone() };
    let trimmed = text.trim();
    let is_call = ["ref", "source", "var", "env_var"].iter().any(|function| {
        trimmed.strip_prefix(function).is_some_and(|rest| rest.trim_start().starts_with('('))
            && trimmed.ends_with(')')
    });
    if is_call {
        Yaml { line: value.line, data: crate::yaml::Data::Text(format!("{{{{ {text} }}}}")) }
    } else {
        value.clone()
    }
}

/// As dbt prints what it hashes: all that is not a list or mapping as text.
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

impl DataTest {
    /// The query whose rows are its failures.
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
