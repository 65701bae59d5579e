//! The YAML files next to models: descriptions, columns, tests, sources, unit tests, exposures.

use super::fields::Fields;
use super::fixtures::{reference, rows};
use super::nodes::{Column, Given, Rows};
use super::settings::Settings;
use crate::error::{Place, Result};
use crate::freshness::{Freshness, Said};
use crate::jinja::Room;
use crate::yaml::{Data, Yaml};

/// What YAML says about a model or seed.
#[derive(Debug, Clone)]
pub(crate) struct Properties {
    pub name: String,
    pub place: Place,
    pub description: String,
    pub settings: Settings,
    pub columns: Vec<Column>,
    pub tests: Vec<TestEntry>,
    /// Whether something of this name has been found.
    pub is_used: bool,
}

/// A generic test as it is written down.
#[derive(Debug, Clone)]
pub(crate) struct TestEntry {
    pub place: Place,
    /// The macro's name without `test_`.
    pub test: String,
    pub column: Option<String>,
    pub arguments: Vec<(String, Yaml)>,
    pub settings: Settings,
    pub name: Option<String>,
    pub description: String,
}

#[derive(Debug, Clone)]
pub(crate) struct SourceTable {
    pub source: String,
    pub schema: String,
    pub identifier: String,
    pub tags: Vec<String>,
    pub freshness: Option<Freshness>,
    pub properties: Properties,
}

#[derive(Debug, Clone)]
pub(crate) struct UnitTestEntry {
    pub place: Place,
    pub name: String,
    pub description: String,
    pub model: String,
    pub settings: Settings,
    pub given: Vec<(Given, Rows)>,
    pub expect: Rows,
    pub macros: Vec<(String, Yaml)>,
    pub vars: Vec<(String, Yaml)>,
}

#[derive(Debug, Clone)]
pub(crate) struct ExposureEntry {
    pub place: Place,
    pub name: String,
    pub label: String,
    pub kind: String,
    pub description: String,
    pub url: Option<String>,
    pub depends_on: Vec<(Given, usize)>,
}

/// Everything that the YAML files say.
#[derive(Debug, Default)]
pub(crate) struct AllProperties {
    pub models: Vec<Properties>,
    pub seeds: Vec<Properties>,
    pub singular_tests: Vec<Properties>,
    pub sources: Vec<SourceTable>,
    pub unit_tests: Vec<UnitTestEntry>,
    pub exposures: Vec<ExposureEntry>,
}

/// Keys of a generic test that are configuration even outside of `config`.
const TEST_CONFIG: [&str; 14] = [
    "severity",
    "tags",
    "enabled",
    "where",
    "limit",
    "warn_if",
    "error_if",
    "fail_calc",
    "store_failures",
    "store_failures_as",
    "meta",
    "database",
    "schema",
    "alias",
];

impl AllProperties {
    /// Reads one file.
    pub fn read(&mut self, file: &str, text: &str, room: &Room) -> Result<()> {
        let tree = crate::yaml::parse(file, text)?;
        let place = Place::new(file, 1);
        let reader = Reader { room };
        let mut fields = Fields::new(&tree, &place, "this file")?;
        fields.ignore(&["version", "macros"]);
        for node in fields.list("models")? {
            self.models.push(reader.properties(node, &place, "a model", true)?);
        }
        for node in fields.list("seeds")? {
            self.seeds.push(reader.properties(node, &place, "a seed", true)?);
        }
        for key in ["data_tests", "tests"] {
            for node in fields.list(key)? {
                self.singular_tests.push(reader.properties(node, &place, "a test", false)?);
            }
        }
        for node in fields.list("sources")? {
            reader.source(node, &place, &mut self.sources)?;
        }
        for node in fields.list("unit_tests")? {
            self.unit_tests.push(reader.unit_test(node, &place)?);
        }
        for node in fields.list("exposures")? {
            self.exposures.push(reader.exposure(node, &place)?);
        }
        fields.done()
    }
}

struct Reader<'r> {
    room: &'r Room,
}

impl Reader<'_> {
    fn properties(&self, node: &Yaml, place: &Place, what: &str, has_columns: bool) -> Result<Properties> {
        let mut fields = Fields::new(node, place, what)?;
        let properties = self.common(&mut fields, has_columns)?;
        fields.done()?;
        Ok(properties)
    }

    /// What models, seeds and source tables have in common.
    fn common(&self, fields: &mut Fields<'_>, has_columns: bool) -> Result<Properties> {
        let place = fields.place().clone();
        let name = fields.required("name")?;
        let description = fields.text("description")?.unwrap_or_default();
        let mut settings = Settings::default();
        for key in ["tags", "meta"] {
            if let Some(node) = fields.take_some(key) {
                settings.say(key, node.clone(), place.at(node.line));
            }
        }
        if let Some(node) = fields.take_some("config") {
            settings.say_all(&self.room.render_yaml(node, &place)?, &place)?;
        }
        fields.ignore(&["docs", "access", "group", "deprecation_date", "latest_version"]);
        let mut properties = Properties {
            name,
            place: place.clone(),
            description,
            settings,
            columns: Vec::new(),
            tests: Vec::new(),
            is_used: false,
        };
        if has_columns {
            for key in ["data_tests", "tests"] {
                for entry in fields.list(key)? {
                    properties.tests.push(self.test(entry, &place, None)?);
                }
            }
            for node in fields.list("columns")? {
                self.column(node, &place, &mut properties)?;
            }
        }
        Ok(properties)
    }

    fn column(&self, node: &Yaml, place: &Place, into: &mut Properties) -> Result<()> {
        let mut fields = Fields::new(node, place, format!("a column of {}", into.name))?;
        let name = fields.required("name")?;
        for key in ["data_tests", "tests"] {
            for entry in fields.list(key)? {
                into.tests.push(self.test(entry, place, Some(&name))?);
            }
        }
        let mut not_null = false;
        for entry in fields.list("constraints")? {
            let mut constraint = Fields::new(entry, place, "a constraint")?;
            match constraint.required("type")?.as_str() {
                "not_null" => not_null = true,
                other => {
                    return Err(place.at(entry.line).refuse(format!(
                        "the constraint {other} is not understood by this runner, which knows not_null"
                    )));
                }
            }
            constraint.done()?;
        }
        let column = Column {
            name,
            description: fields.text("description")?.unwrap_or_default(),
            data_type: fields.text("data_type")?,
            not_null,
        };
        fields.ignore(&["tags", "meta", "config"]);
        fields.done()?;
        into.columns.push(column);
        Ok(())
    }

    fn test(&self, node: &Yaml, place: &Place, column: Option<&str>) -> Result<TestEntry> {
        let place = place.at(node.line);
        let mut entry = TestEntry {
            place: place.clone(),
            test: String::new(),
            column: column.map(str::to_owned),
            arguments: Vec::new(),
            settings: Settings::default(),
            name: None,
            description: String::new(),
        };
        let body = match &node.data {
            Data::Text(test) => {
                entry.test.clone_from(test);
                None
            }
            Data::Map(entries) => match entries.as_slice() {
                [(test, _, body)] => {
                    entry.test.clone_from(test);
                    Some(body)
                }
                _ => return Err(place.refuse("a test is one name and, below it, its arguments")),
            },
            _ => return Err(place.refuse(format!("a test is a name or a mapping, not {}", node.kind()))),
        };
        if entry.test.contains('.') {
            return Err(
                place.refuse(format!("{}: tests of packages are not understood by this runner", entry.test))
            );
        }
        if let Some(body) = body {
            self.test_body(body, &mut entry)?;
        }
        if let Some(column) = column {
            let text = Yaml { line: place.line, data: Data::Text(column.to_owned()) };
            entry.arguments.push(("column_name".to_owned(), text));
        }
        Ok(entry)
    }

    fn test_body(&self, body: &Yaml, entry: &mut TestEntry) -> Result<()> {
        let place = entry.place.clone();
        let wrong = || place.at(body.line).refuse("a test's arguments must be a mapping");
        let entries = match &body.data {
            Data::Null => return Ok(()),
            _ => body.map().ok_or_else(wrong)?,
        };
        for (key, line, value) in entries {
            let at = place.at((*line).max(place.line));
            match key.as_str() {
                "name" => entry.name = value.text().map(str::to_owned),
                "description" => entry.description = value.text().unwrap_or_default().to_owned(),
                "config" => entry.settings.say_all(&self.room.render_yaml(value, &at)?, &at)?,
                "arguments" => {
                    for (name, _, value) in value.map().ok_or_else(wrong)? {
                        entry.arguments.push((name.clone(), value.clone()));
                    }
                }
                "column_name" => {
                    entry.column = value.text().map(str::to_owned);
                    entry.arguments.push((key.clone(), value.clone()));
                }
                _ if TEST_CONFIG.contains(&key.as_str()) => {
                    entry.settings.say(key, self.room.render_yaml(value, &at)?, at);
                }
                _ => entry.arguments.push((key.clone(), value.clone())),
            }
        }
        Ok(())
    }

    fn source(&self, node: &Yaml, place: &Place, into: &mut Vec<SourceTable>) -> Result<()> {
        let mut fields = Fields::new(node, place, "a source")?;
        let source = fields.required("name")?;
        let schema = match fields.take_some("schema") {
            None => source.clone(),
            Some(node) => {
                let rendered = self.room.render_yaml(node, place)?;
                rendered
                    .text()
                    .map(str::to_owned)
                    .ok_or_else(|| place.at(node.line).refuse("schema must be text"))?
            }
        };
        let mut shared = fields.texts("tags")?;
        fields.ignore(&["description", "loader", "meta"]);
        let mut above = Said::default();
        above.take(&mut fields)?;
        read_source_config(&mut fields, &mut shared, &mut above)?;
        for node in fields.list("tables")? {
            let mut table = Fields::new(node, place, format!("a table of the source {source}"))?;
            let mut properties = self.common(&mut table, true)?;
            let identifier = table.text("identifier")?.unwrap_or_else(|| properties.name.clone());
            table.ignore(&["loader"]);
            let mut said = Said::default();
            said.take(&mut table)?;
            table.done()?;
            let mut tags = shared.clone();
            if let Some((node, place)) = properties.settings.0.remove("tags") {
                tags.extend(super::fields::texts(&node, &place, "tags")?);
            }
            read_source_settings(&properties, &mut said)?;
            into.push(SourceTable {
                source: source.clone(),
                schema: schema.clone(),
                identifier,
                tags,
                freshness: Freshness::of(&above, &said)?,
                properties,
            });
        }
        fields.done()
    }

    fn unit_test(&self, node: &Yaml, place: &Place) -> Result<UnitTestEntry> {
        let mut fields = Fields::new(node, place, "a unit test")?;
        let place = fields.place().clone();
        let mut settings = Settings::default();
        if let Some(node) = fields.take_some("config") {
            settings.say_all(&self.room.render_yaml(node, &place)?, &place)?;
        }
        let given = given(&mut fields, &place)?;
        let expected = fields.take_some("expect").ok_or_else(|| place.refuse("a unit test has no expect"))?;
        let mut expect = Fields::new(expected, &place, "expect")?;
        let expected_rows = rows(&mut expect)?;
        expect.done()?;
        let (mut macros, mut vars) = (Vec::new(), Vec::new());
        if let Some(node) = fields.take_some("overrides") {
            let mut overrides = Fields::new(node, &place, "overrides")?;
            for (key, into) in [("macros", &mut macros), ("vars", &mut vars)] {
                if let Some(node) = overrides.take_some(key) {
                    into.extend(
                        node.map()
                            .unwrap_or_default()
                            .iter()
                            .map(|(key, _, value)| (key.clone(), value.clone())),
                    );
                }
            }
            overrides.done()?;
        }
        let entry = UnitTestEntry {
            place: place.clone(),
            name: fields.required("name")?,
            description: fields.text("description")?.unwrap_or_default(),
            model: fields.required("model")?,
            settings,
            given,
            expect: expected_rows,
            macros,
            vars,
        };
        fields.done()?;
        Ok(entry)
    }

    fn exposure(&self, node: &Yaml, place: &Place) -> Result<ExposureEntry> {
        let mut fields = Fields::new(node, place, "an exposure")?;
        let place = fields.place().clone();
        let name = fields.required("name")?;
        let mut depends_on = Vec::new();
        for node in fields.list("depends_on")? {
            let text = node.text().unwrap_or_default();
            depends_on.push((reference(text, &place.at(node.line))?, node.line));
        }
        let entry = ExposureEntry {
            label: fields.text("label")?.unwrap_or_else(|| name.clone()),
            kind: fields.required("type")?,
            description: fields.text("description")?.unwrap_or_default(),
            url: fields.text("url")?,
            depends_on,
            name,
            place,
        };
        fields.ignore(&["maturity", "owner", "config", "meta", "tags"]);
        fields.done()?;
        Ok(entry)
    }
}

/// What a unit test is given, by input.
fn given(fields: &mut Fields<'_>, place: &Place) -> Result<Vec<(Given, Rows)>> {
    let mut given = Vec::new();
    for node in fields.list("given")? {
        let mut input = Fields::new(node, place, "a given")?;
        let named = input.required("input")?;
        let found = match named.trim() {
            "this" => Given::This,
            other => reference(other, &place.at(node.line))?,
        };
        given.push((found, rows(&mut input)?));
        input.done()?;
    }
    Ok(given)
}

fn read_source_config(fields: &mut Fields<'_>, tags: &mut Vec<String>, said: &mut Said) -> Result<()> {
    let place = fields.place().clone();
    let Some(node) = fields.take_some("config") else { return Ok(()) };
    let mut config = Fields::new(node, &place, "config of a source")?;
    tags.extend(config.texts("tags")?);
    config.ignore(&["meta", "event_time"]);
    said.take(&mut config)?;
    config.done()
}

/// Freshness is taken; anything that would change a table is not understood.
fn read_source_settings(properties: &Properties, said: &mut Said) -> Result<()> {
    for (key, (node, place)) in &properties.settings.0 {
        if !said.take_entry(key, node, place) && !["meta", "event_time"].contains(&key.as_str()) {
            return Err(
                place.refuse(format!("the configuration {key} of a source is not understood by this runner"))
            );
        }
    }
    Ok(())
}
