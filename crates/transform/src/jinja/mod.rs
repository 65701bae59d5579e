//! Templates as dbt has them, rendered by `minijinja`.
//!
//! Every macro of the project is a separate template and a global value that calls it, so that each can
//! call every other. A model or test is rendered in a copy of that environment to which [`Scope`] has
//! added what dbt's functions say for just this one.

mod macros;
pub(crate) mod python;
pub(crate) mod relation;
pub(crate) mod scan;
pub(crate) mod scope;

use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::value::Value;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior};

use self::scan::MacroSource;
use self::scope::Scope;
use crate::error::{Place, Result, TransformError};
use crate::yaml::{Data, Yaml};

/// The four generic tests that every dbt project has.
const BUILT_IN: &str = include_str!("built_in_tests.sql");
const BUILT_IN_FILE: &str = "built_in_tests.sql";

/// Macros by which a project changes how dbt itself works.
const HOOKS_INTO_DBT: [&str; 12] = [
    "generate_schema_name",
    "generate_alias_name",
    "generate_database_name",
    "ref",
    "source",
    "config",
    "var",
    "is_incremental",
    "get_where_subquery",
    "should_store_failures",
    "get_fixture_sql",
    "should_full_refresh",
];

/// Macros of dbt's own that belong to what this runner does not do anyway (`dbt source freshness`):
/// replacing them changes nothing here.
const NOT_DONE_HERE: [&str; 2] = ["collect_freshness", "get_catalog"];

/// What templates know about the target.
#[derive(Debug, Clone)]
pub(crate) struct TargetInfo {
    pub name: String,
    pub kind: &'static str,
    pub schema: String,
    pub threads: usize,
    pub project: String,
    pub full_refresh: bool,
}

/// The environment with every macro of a project.
pub(crate) struct Templates {
    base: Environment<'static>,
    macros: BTreeMap<String, Place>,
}

impl Templates {
    /// Compiles the macros.
    pub fn new(target: &TargetInfo, own: Vec<MacroSource>) -> Result<Templates> {
        let mut base = Environment::new();
        base.set_undefined_behavior(UndefinedBehavior::Strict);
        // Errors then know the words that they are about.
        base.set_debug(true);
        base.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        base.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        base.set_formatter(|out, state, value| {
            if value.is_undefined() {
                // It knows `x if y` without else, which prints nothing, from what is not defined.
                minijinja::escape_formatter(out, state, value)
            } else {
                out.write_str(&python::text(value)).map_err(Error::from)
            }
        });
        scope::add_common(&mut base, target.kind);
        macros::add_json(&mut base);
        base.add_global("target", target.to_value());
        let flags = [("FULL_REFRESH", Value::from(target.full_refresh))];
        base.add_global("flags", Value::from_pairs(flags));
        base.add_global("project_name", Value::from(target.project.as_str()));
        base.add_global(target.project.clone(), Value::from_object(macros::Namespace));
        let mut templates = Templates { base, macros: BTreeMap::new() };
        for built_in in scan::macros(BUILT_IN_FILE, BUILT_IN)? {
            templates.add(built_in)?;
        }
        check_names(&own)?;
        for source in own {
            templates.add(source)?;
        }
        Ok(templates)
    }

    fn add(&mut self, source: MacroSource) -> Result<()> {
        let template = format!("{}#{}", source.place.file, source.name);
        self.base
            .add_template_owned(template.clone(), source.template)
            .map_err(|error| refusal(&error, &source.place))?;
        let value = Value::from_object(macros::Macro { name: source.name.clone(), template });
        self.base.add_global(source.name.clone(), value);
        self.macros.insert(source.name, source.place);
        Ok(())
    }

    /// Whether there is such a macro.
    pub fn has(&self, name: &str) -> bool {
        self.macros.contains_key(name)
    }

    /// An environment for one rendering.
    pub fn enter(&self, scope: Scope) -> (Room, Arc<Scope>) {
        let mut environment = self.base.clone();
        let scope = scope.enter(&mut environment);
        (Room { environment }, scope)
    }
}

impl TargetInfo {
    fn to_value(&self) -> Value {
        Value::from_pairs([
            ("name", Value::from(self.name.as_str())),
            ("target_name", Value::from(self.name.as_str())),
            ("profile_name", Value::from(self.project.as_str())),
            ("type", Value::from(self.kind)),
            ("schema", Value::from(self.schema.as_str())),
            ("threads", Value::from(self.threads)),
        ])
    }
}

/// An environment with a scope in it.
pub(crate) struct Room {
    environment: Environment<'static>,
}

impl Room {
    /// Renders a model's or test's text.
    pub fn render(&self, place: &Place, text: &str) -> Result<String> {
        self.environment.render_named_str(&place.file, text, ()).map_err(|error| refusal(&error, place))
    }

    /// Calls a macro with named arguments.
    pub fn call(&self, name: &str, arguments: &[(String, Value)], place: &Place) -> Result<String> {
        let kwargs: minijinja::value::Kwargs =
            arguments.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        let mut state = self.environment.empty_state();
        let found = state.lookup(name).ok_or_else(|| place.refuse(format!("there is no macro {name}")))?;
        let result = found.call(&mut state, &[Value::from(kwargs)]);
        result.map(|value| python::text(&value)).map_err(|error| refusal(&error, place))
    }

    /// Renders every text of a tree. A text that is one `{{ expression }}` becomes its value.
    pub fn render_yaml(&self, node: &Yaml, place: &Place) -> Result<Yaml> {
        let data = match &node.data {
            Data::Text(text) if text.contains("{{") || text.contains("{%") => {
                return self.render_text(text, &place.at(node.line));
            }
            Data::List(items) => {
                Data::List(items.iter().map(|item| self.render_yaml(item, place)).collect::<Result<_>>()?)
            }
            Data::Map(entries) => {
                let mut rendered = Vec::with_capacity(entries.len());
                for (key, line, value) in entries {
                    rendered.push((key.clone(), *line, self.render_yaml(value, place)?));
                }
                Data::Map(rendered)
            }
            other => other.clone(),
        };
        Ok(Yaml { line: node.line, data })
    }

    fn render_text(&self, text: &str, place: &Place) -> Result<Yaml> {
        let inner = text.trim().strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
        match inner {
            Some(expression) if !expression.contains("{{") && !expression.contains("}}") => {
                self.evaluate(expression, place).map(|value| Yaml::from_value(&value, place.line))
            }
            _ => {
                let rendered =
                    self.environment.render_str(text, ()).map_err(|error| at_yaml(&error, place))?;
                Ok(Yaml { line: place.line, data: Data::Text(rendered) })
            }
        }
    }

    /// An expression's value.
    pub fn evaluate(&self, expression: &str, place: &Place) -> Result<Value> {
        let compiled = self.environment.compile_expression_owned(expression.trim().to_owned());
        compiled.and_then(|compiled| compiled.eval(())).map_err(|error| at_yaml(&error, place))
    }
}

/// This runner would not call a macro that changes dbt itself or replaces one of dbt's own.
fn check_names(own: &[MacroSource]) -> Result<()> {
    for (index, source) in own.iter().enumerate() {
        if HOOKS_INTO_DBT.contains(&source.name.as_str()) {
            return Err(source.place.refuse(format!(
                "a macro {} changes how dbt works; this runner does not understand that",
                source.name
            )));
        }
        if let Some(earlier) = own[..index].iter().find(|earlier| earlier.name == source.name) {
            return Err(source.place.refuse(format!("{} already exists, at {}", source.name, earlier.place)));
        }
        let Some((prefix, name)) = source.name.split_once("__") else { continue };
        let is_ours = NOT_DONE_HERE.contains(&name) || own.iter().any(|other| other.name == name);
        if ["default", "postgres", "sqlite"].contains(&prefix) && !is_ours {
            return Err(source.place.refuse(format!(
                "there is no macro {name}: {} would stand for one of dbt's own, which this runner does not have",
                source.name
            )));
        }
    }
    Ok(())
}

fn message(error: &Error) -> String {
    let detail = error.detail().unwrap_or_default();
    let is_unknown = error.kind() == ErrorKind::UndefinedError
        || error.kind() == ErrorKind::UnknownFunction
        || (detail.contains("undefined") && error.kind() != ErrorKind::SyntaxError);
    if is_unknown {
        let words = error.template_source().zip(error.range()).and_then(|(source, range)| source.get(range));
        return match words {
            Some(words) => format!("{} is not defined, or not known to this runner", words.trim()),
            None => format!("{error}: not defined, or not known to this runner"),
        };
    }
    match error.kind() {
        ErrorKind::InvalidOperation | ErrorKind::UnknownMethod if !detail.is_empty() => detail.to_owned(),
        kind if detail.is_empty() => kind.to_string(),
        kind => format!("{kind}: {detail}"),
    }
}

/// The refusal of what a template does, at the line where it does it.
fn refusal(error: &Error, place: &Place) -> TransformError {
    // A macro's template carries its name after its file.
    let file = error.name().map_or(&*place.file, |name| name.split('#').next().unwrap_or(name));
    let place = match error.line() {
        Some(line) if file == &*place.file || error.name().is_some_and(|name| name.contains('#')) => {
            Place::new(file, line)
        }
        _ => place.clone(),
    };
    place.refuse(message(error))
}

/// The same for an expression in a YAML file, whose line is known already. An error inside of a macro keeps its own.
fn at_yaml(error: &Error, place: &Place) -> TransformError {
    if error.name().is_some_and(|name| name.contains('#')) {
        refusal(error, place)
    } else {
        place.refuse(message(error))
    }
}

/// A template's value as JSON.
pub(crate) fn json_of(value: &Value) -> serde_json::Value {
    let tree = Yaml::from_value(value, 0);
    yaml_to_json(&tree)
}

pub(crate) fn yaml_to_json(tree: &Yaml) -> serde_json::Value {
    match &tree.data {
        Data::Null => serde_json::Value::Null,
        Data::Bool(truth) => (*truth).into(),
        Data::Int(number) => (*number).into(),
        Data::Float(number) => (*number).into(),
        Data::Text(text) => text.as_str().into(),
        Data::List(items) => items.iter().map(yaml_to_json).collect(),
        Data::Map(entries) => serde_json::Value::Object(
            entries.iter().map(|(key, _, value)| (key.clone(), yaml_to_json(value))).collect(),
        ),
    }
}
