//! Configuration of models, seeds and tests: said in `dbt_project.yml` by folder, next to the model in
//! YAML, and in the model itself, each over the one before.

use std::collections::BTreeMap;

use minijinja::value::Value;

use super::fields::texts;
use crate::error::{Place, Result};
use crate::yaml::{Data, Yaml};

/// What was said, by key, with its place.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings(pub BTreeMap<String, (Yaml, Place)>);

impl Settings {
    /// Takes what a nearer place says. Tags add up, `meta` is merged, all else is replaced.
    pub fn say(&mut self, key: &str, value: Yaml, place: Place) {
        let earlier = self.0.remove(key);
        let value = match (key, earlier) {
            ("tags", Some((earlier, _))) => {
                let mut all: Vec<Yaml> = items(earlier);
                for tag in items(value) {
                    if !all.iter().any(|known| known.data == tag.data) {
                        all.push(tag);
                    }
                }
                Yaml { line: place.line, data: Data::List(all) }
            }
            ("meta" | "column_types" | "persist_docs", Some((Yaml { data: Data::Map(mut all), .. }, _))) => {
                for (key, line, value) in value.map().unwrap_or_default() {
                    all.retain(|(known, _, _)| known != key);
                    all.push((key.clone(), *line, value.clone()));
                }
                Yaml { line: place.line, data: Data::Map(all) }
            }
            _ => value,
        };
        self.0.insert(key.to_owned(), (value, place));
    }

    /// Everything a mapping says.
    pub fn say_all(&mut self, node: &Yaml, place: &Place) -> Result<()> {
        match &node.data {
            Data::Null => Ok(()),
            Data::Map(entries) => {
                for (key, line, value) in entries {
                    self.say(key.trim_start_matches('+'), value.clone(), place.at(*line));
                }
                Ok(())
            }
            _ => Err(place.at(node.line).refuse(format!("config must be a mapping, not {}", node.kind()))),
        }
    }

    /// As `config.get` sees it.
    pub fn to_values(&self) -> BTreeMap<String, Value> {
        self.0.iter().map(|(key, (value, _))| (key.clone(), value.to_value())).collect()
    }
}

fn items(node: Yaml) -> Vec<Yaml> {
    match node.data {
        Data::List(items) => items,
        Data::Null => Vec::new(),
        data => vec![Yaml { line: node.line, data }],
    }
}

/// How a model is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Materialized {
    /// A view.
    View,
    /// A table, made again each time.
    Table,
    /// A table to which each run adds.
    Incremental,
    /// Not created: it becomes a part of the nodes that use it.
    Ephemeral,
}

impl Materialized {
    /// As dbt calls it.
    pub fn name(self) -> &'static str {
        match self {
            Materialized::View => "view",
            Materialized::Table => "table",
            Materialized::Incremental => "incremental",
            Materialized::Ephemeral => "ephemeral",
        }
    }
}

/// A model's or seed's configuration.
#[derive(Debug, Clone)]
pub(crate) struct TableConfig {
    pub materialized: Materialized,
    pub unique_key: Vec<String>,
    pub fail_on_schema_change: bool,
    pub contract: bool,
    pub persist_relation: bool,
    pub persist_columns: bool,
    pub full_refresh: Option<bool>,
    pub column_types: Vec<(String, String)>,
    pub delimiter: char,
    pub shared: Shared,
}

/// What everything can be configured with.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shared {
    pub alias: Option<String>,
    pub tags: Vec<String>,
    pub enabled: bool,
}

/// A data test's configuration.
#[derive(Debug, Clone)]
pub(crate) struct TestConfig {
    pub warns_only: bool,
    pub warn_if: String,
    pub error_if: String,
    pub fail_calc: String,
    pub limit: Option<i64>,
    pub condition: Option<String>,
    pub store_failures: bool,
    pub store_as_view: bool,
    pub shared: Shared,
}

impl TableConfig {
    /// Reads a model's settings.
    pub fn of_model(settings: &Settings) -> Result<TableConfig> {
        let mut config = TableConfig::default();
        for (key, (value, place)) in &settings.0 {
            let said = Said { key, value, place };
            match key.as_str() {
                "materialized" => {
                    config.materialized = match said.text()? {
                        "view" => Materialized::View,
                        "table" => Materialized::Table,
                        "incremental" => Materialized::Incremental,
                        "ephemeral" => Materialized::Ephemeral,
                        other => return Err(said.refuse(format!(
                            "materialized: {other} is not understood by this runner, which knows view, table, incremental, ephemeral"
                        ))),
                    }
                }
                "unique_key" => config.unique_key = texts(value, place, key)?,
                "incremental_strategy" => said.one_of(&["append", "delete+insert"])?,
                "on_schema_change" => {
                    said.one_of(&["ignore", "fail"])?;
                    config.fail_on_schema_change = said.value.text() == Some("fail");
                }
                "full_refresh" => config.full_refresh = said.optional_truth()?,
                "contract" => config.contract = said.truth_at("enforced", &["alias_types"])?,
                _ => config.shared_with_seeds(&said)?,
            }
        }
        config.check_strategy(settings)?;
        Ok(config)
    }

    /// Reads a seed's settings.
    pub fn of_seed(settings: &Settings) -> Result<TableConfig> {
        let mut config = TableConfig::default();
        for (key, (value, place)) in &settings.0 {
            let said = Said { key, value, place };
            match key.as_str() {
                "column_types" => {
                    for (column, line, name) in value.map().unwrap_or_default() {
                        let name =
                            name.text().ok_or_else(|| place.at(*line).refuse("a type must be text"))?;
                        config.column_types.push((column.clone(), name.to_owned()));
                    }
                }
                "delimiter" => {
                    let mut characters = said.text()?.chars();
                    config.delimiter = match (characters.next(), characters.next()) {
                        (Some(one), None) => one,
                        _ => return Err(said.refuse("delimiter must be one character")),
                    };
                }
                "quote_columns" | "full_refresh" => drop(said.optional_truth()?),
                _ => config.shared_with_seeds(&said)?,
            }
        }
        Ok(config)
    }

    fn shared_with_seeds(&mut self, said: &Said<'_>) -> Result<()> {
        match said.key {
            "persist_docs" => {
                self.persist_relation = said.truth_at("relation", &["columns"])?;
                self.persist_columns = said.truth_at("columns", &["relation"])?;
                Ok(())
            }
            "docs" | "group" | "access" => Ok(()),
            _ => self.shared.take(said),
        }
    }

    fn check_strategy(&self, settings: &Settings) -> Result<()> {
        let Some((value, place)) = settings.0.get("incremental_strategy") else { return Ok(()) };
        match (value.text(), self.unique_key.is_empty()) {
            (Some("append"), false) => {
                Err(place.refuse("append does not take a unique_key: leave one of the two out"))
            }
            (Some("delete+insert"), true) => Err(place.refuse("delete+insert requires a unique_key")),
            _ => Ok(()),
        }
    }
}

impl Default for TableConfig {
    fn default() -> TableConfig {
        TableConfig {
            materialized: Materialized::View,
            unique_key: Vec::new(),
            fail_on_schema_change: false,
            contract: false,
            persist_relation: false,
            persist_columns: false,
            full_refresh: None,
            column_types: Vec::new(),
            delimiter: ',',
            shared: Shared { enabled: true, ..Shared::default() },
        }
    }
}

impl TestConfig {
    /// Reads a test's settings.
    pub fn of_test(settings: &Settings) -> Result<TestConfig> {
        let mut config = TestConfig {
            warns_only: false,
            warn_if: "!= 0".to_owned(),
            error_if: "!= 0".to_owned(),
            fail_calc: "count(*)".to_owned(),
            limit: None,
            condition: None,
            store_failures: false,
            store_as_view: false,
            shared: Shared { enabled: true, ..Shared::default() },
        };
        let mut stored_as = None;
        for (key, (value, place)) in &settings.0 {
            let said = Said { key, value, place };
            match key.as_str() {
                "severity" => match said.text()?.to_lowercase().as_str() {
                    "warn" => config.warns_only = true,
                    "error" => config.warns_only = false,
                    other => return Err(said.refuse(format!("severity is warn or error, not {other}"))),
                },
                "warn_if" => config.warn_if = said.text()?.to_owned(),
                "error_if" => config.error_if = said.text()?.to_owned(),
                "fail_calc" => config.fail_calc = said.text()?.to_owned(),
                "where" => config.condition = said.optional_text()?,
                "limit" => match value.data {
                    Data::Int(limit) => config.limit = Some(limit),
                    Data::Null => {}
                    _ => return Err(said.refuse("limit must be a whole number")),
                },
                "store_failures" => config.store_failures = said.optional_truth()?.unwrap_or(false),
                "store_failures_as" => {
                    said.one_of(&["table", "view", "ephemeral"])?;
                    stored_as = value.text();
                }
                _ => config.shared.take(&said)?,
            }
        }
        if let Some(stored_as) = stored_as {
            config.store_failures = stored_as != "ephemeral";
            config.store_as_view = stored_as == "view";
        }
        Ok(config)
    }
}

impl Shared {
    fn take(&mut self, said: &Said<'_>) -> Result<()> {
        match said.key {
            "alias" => self.alias = said.optional_text()?,
            "tags" => self.tags = texts(said.value, said.place, "tags")?,
            "enabled" => self.enabled = said.optional_truth()?.unwrap_or(true),
            "meta" => {}
            // dbt would put it into another schema, to which the transformations may not write.
            "schema" | "database" if said.value.is_null() => {}
            "schema" | "database" => {
                return Err(said.refuse(format!(
                    "{}: everything is made in the schema analytics; leave this out",
                    said.key
                )));
            }
            "pre_hook" | "post_hook" | "pre-hook" | "post-hook"
                if said.value.list().is_some_and(<[_]>::is_empty) => {}
            _ => {
                return Err(
                    said.refuse(format!("the configuration {} is not understood by this runner", said.key))
                );
            }
        }
        Ok(())
    }
}

/// One setting.
struct Said<'s> {
    key: &'s str,
    value: &'s Yaml,
    place: &'s Place,
}

impl<'s> Said<'s> {
    fn refuse(&self, message: impl Into<String>) -> crate::error::TransformError {
        self.place.refuse(message)
    }

    fn text(&self) -> Result<&'s str> {
        self.value
            .text()
            .ok_or_else(|| self.refuse(format!("{} must be text, not {}", self.key, self.value.kind())))
    }

    fn optional_text(&self) -> Result<Option<String>> {
        if self.value.is_null() { Ok(None) } else { self.text().map(|text| Some(text.to_owned())) }
    }

    fn optional_truth(&self) -> Result<Option<bool>> {
        match &self.value.data {
            Data::Null => Ok(None),
            Data::Bool(truth) => Ok(Some(*truth)),
            _ => Err(self.refuse(format!("{} must be true or false, not {}", self.key, self.value.kind()))),
        }
    }

    fn one_of(&self, known: &[&str]) -> Result<()> {
        let text = self.text()?;
        if known.contains(&text) {
            Ok(())
        } else {
            Err(self.refuse(format!(
                "{}: {text} is not understood by this runner, which knows {}",
                self.key,
                known.join(", ")
            )))
        }
    }

    /// A truth inside of a mapping that may hold `others`, too.
    fn truth_at(&self, key: &str, others: &[&str]) -> Result<bool> {
        let mut truth = false;
        for (name, line, value) in self.value.map().unwrap_or_default() {
            match &value.data {
                Data::Bool(said) if name == key => truth = *said,
                _ if others.contains(&name.as_str()) => {}
                _ => {
                    return Err(self
                        .place
                        .at((*line).max(self.place.line))
                        .refuse(format!("{}: {name} is not understood", self.key)));
                }
            }
        }
        Ok(truth)
    }
}

/// What a tree of `dbt_project.yml` says of a node: the keys with `+` on the way down its path.
pub(crate) fn by_folder(tree: &Yaml, path: &[String], place: &Place, into: &mut Settings) -> Result<()> {
    let Some(entries) = tree.map() else { return Ok(()) };
    for (key, line, value) in entries {
        if let Some(name) = key.strip_prefix('+') {
            into.say(name, value.clone(), place.at(*line));
        }
    }
    let (Some(next), rest) = (path.first(), path.get(1..).unwrap_or_default()) else { return Ok(()) };
    match tree.get(next) {
        Some(below) => by_folder(below, rest, place, into),
        None => Ok(()),
    }
}

/// Refuses what looks like a configuration without its `+`.
pub(crate) fn check_tree(tree: &Yaml, place: &Place, what: &str) -> Result<()> {
    for (key, line, value) in tree.map().unwrap_or_default() {
        if key.starts_with('+') {
            continue;
        }
        match value.data {
            Data::Map(_) | Data::Null => check_tree(value, place, what)?,
            _ => return Err(place.at(*line).refuse(format!("{key} below {what}: write +{key}"))),
        }
    }
    Ok(())
}
