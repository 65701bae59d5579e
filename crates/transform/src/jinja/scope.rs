//! What a template can see: dbt's functions, for one model or test at a time.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::value::{Kwargs, Object, ObjectRepr, Rest, Value, from_args};
use minijinja::{Environment, Error, ErrorKind, State};

use super::macros::{Dispatch, Returned};

/// What a template names by `ref` or `source`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wanted {
    /// `ref('name')`; the project's own name may stand before it.
    Model(String),
    /// `source('source', 'table')`.
    Source(String, String),
}

/// Finds what is wanted: the value that the template gets, or why not.
pub(crate) type Resolve = dyn Fn(&Wanted) -> Result<Value, String> + Send + Sync;

/// One rendering's surroundings.
pub(crate) struct Scope {
    /// `this`.
    pub this: Value,
    /// Finds what `ref` and `source` name.
    pub resolve: Box<Resolve>,
    /// What `is_incremental()` says.
    pub is_incremental: bool,
    /// What `config.get` finds; `config(…)` adds to it.
    pub config: Mutex<BTreeMap<String, Value>>,
    /// What `config(…)` in the file itself said, in its order.
    pub said: Mutex<Vec<(String, Value)>>,
    /// Variables: the command line's before the project's.
    pub vars: Arc<BTreeMap<String, Value>>,
    /// Values that stand in for macros, of a unit test.
    pub overrides: BTreeMap<String, Value>,
}

impl Scope {
    /// Nothing but variables: for YAML.
    pub fn bare(vars: Arc<BTreeMap<String, Value>>) -> Scope {
        Scope {
            this: Value::UNDEFINED,
            resolve: Box::new(|_| Err("ref and source do not work here".to_owned())),
            is_incremental: false,
            config: Mutex::default(),
            said: Mutex::default(),
            vars,
            overrides: BTreeMap::new(),
        }
    }

    /// Makes itself visible to the environment's templates.
    pub fn enter(self, environment: &mut Environment<'static>) -> Arc<Scope> {
        let scope = Arc::new(self);
        let shared = || ScopeRef(scope.clone());
        if !scope.this.is_undefined() {
            environment.add_global("this", scope.this.clone());
        }
        environment.add_global("config", Value::from_object(ConfigFunction(shared())));
        environment.add_global("var", Value::from_object(VarFunction(shared())));
        let resolver = shared();
        environment.add_function("ref", move |names: Rest<Value>, kwargs: Kwargs| {
            if kwargs.args().next().is_some() {
                return Err(wrong("ref with a version is not understood by this runner"));
            }
            match names.iter().map(Value::as_str).collect::<Option<Vec<_>>>().as_deref() {
                // The other name is the package's; there is only the project itself.
                Some([name] | [_, name]) => resolver.find(&Wanted::Model((*name).to_owned())),
                _ => Err(wrong("ref requires the name of a model or seed")),
            }
        });
        let resolver = shared();
        environment.add_function("source", move |source: String, table: String| {
            resolver.find(&Wanted::Source(source, table))
        });
        let resolver = shared();
        environment.add_function("is_incremental", move || resolver.0.is_incremental);
        let resolver = shared();
        environment.add_function("should_store_failures", move || {
            lock(&resolver.0.config).get("store_failures").is_some_and(Value::is_true)
        });
        for (name, value) in &scope.overrides {
            let value = value.clone();
            environment.add_function(name.clone(), move |_: Rest<Value>, _: Kwargs| value.clone());
        }
        scope
    }
}

pub(super) fn wrong(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Clone)]
struct ScopeRef(Arc<Scope>);

impl ScopeRef {
    fn find(&self, wanted: &Wanted) -> Result<Value, Error> {
        (self.0.resolve)(wanted).map_err(wrong)
    }
}

impl fmt::Debug for ScopeRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<dbt>")
    }
}

#[derive(Debug)]
struct ConfigFunction(ScopeRef);

impl Object for ConfigFunction {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, _: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        let (dicts, kwargs): (Rest<Value>, Kwargs) = from_args(args)?;
        let mut said: Vec<(String, Value)> = Vec::new();
        for dict in dicts.iter() {
            for key in dict.try_iter()? {
                said.push((key.to_string(), dict.get_item(&key)?));
            }
        }
        for name in kwargs.args() {
            said.push((name.to_owned(), kwargs.get(name)?));
        }
        let mut known = lock(&self.0.0.config);
        known.extend(said.iter().cloned());
        lock(&self.0.0.said).extend(said);
        Ok(Value::from(""))
    }

    fn call_method(
        self: &Arc<Self>,
        _: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        let name = args.first().and_then(Value::as_str).unwrap_or_default();
        let found = lock(&self.0.0.config).get(name).cloned();
        match (method, found) {
            ("get" | "require", Some(value)) => Ok(value),
            ("get", None) => {
                let (_, default, kwargs): (String, Option<Value>, Kwargs) = from_args(args)?;
                let named: Option<Value> = kwargs.get("default")?;
                Ok(default.or(named).unwrap_or(Value::from(())))
            }
            ("require", None) => Err(wrong(format!("the configuration {name} is required and missing"))),
            _ => Err(unknown_method("config", method)),
        }
    }
}

#[derive(Debug)]
struct VarFunction(ScopeRef);

impl Object for VarFunction {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, _: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        let (name, default, kwargs): (String, Option<Value>, Kwargs) = from_args(args)?;
        let named: Option<Value> = kwargs.get("default")?;
        match self.0.0.vars.get(&name).cloned().or(default).or(named) {
            Some(value) => Ok(value),
            None => Err(wrong(format!(
                "there is no variable {name}: define it below vars in dbt_project.yml, or pass --vars '{name}: …'"
            ))),
        }
    }

    fn call_method(
        self: &Arc<Self>,
        _: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        match method {
            "has_var" => {
                let (name,): (String,) = from_args(args)?;
                Ok(Value::from(self.0.0.vars.contains_key(&name)))
            }
            _ => Err(unknown_method("var", method)),
        }
    }
}

/// A refusal of a method that dbt may have and we do not.
pub(super) fn unknown_method(object: &str, method: &str) -> Error {
    Error::new(ErrorKind::UnknownMethod, format!("{object}.{method} is not understood by this runner"))
}

/// What is the same for every template.
pub(super) fn add_common(environment: &mut Environment<'static>, target: &str) {
    environment.add_global("execute", Value::from(true));
    environment.add_global("adapter", Value::from_object(Dispatch { target: target.to_owned() }));
    environment.add_global("exceptions", Value::from_object(Exceptions));
    environment.add_function("return", |value: Value| -> Result<Value, Error> {
        Err(wrong("return stands outside of a macro").with_source(Returned(value)))
    });
    environment.add_function("env_var", |name: String, default: Option<Value>| {
        match (std::env::var(&name), default) {
            (Ok(value), _) => Ok(Value::from(value)),
            (Err(_), Some(default)) => Ok(default),
            (Err(_), None) => Err(wrong(format!("the environment variable {name} is not set"))),
        }
    });
    environment.add_function("log", |message: Value, _: Rest<Value>, _: Kwargs| {
        tracing::info!("{message}");
        Value::from("")
    });
    environment.add_filter("as_bool", |value: Value| match value.as_str() {
        Some(text) => Ok(Value::from(text.eq_ignore_ascii_case("true"))),
        None => Ok::<_, Error>(Value::from(value.is_true())),
    });
    environment.add_filter("as_number", |value: Value| match value.as_str() {
        Some(text) => match (text.parse::<i64>(), text.parse::<f64>()) {
            (Ok(number), _) => Ok(Value::from(number)),
            (_, Ok(number)) => Ok(Value::from(number)),
            _ => Err(wrong(format!("{text:?} is not a number"))),
        },
        None => Ok(value),
    });
    environment.add_filter("as_text", |value: Value| super::python::text(&value));
    environment.add_filter("as_native", |value: Value| value);
}

#[derive(Debug)]
struct Exceptions;

impl Object for Exceptions {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call_method(
        self: &Arc<Self>,
        _: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        let message = args.first().map(super::python::text).unwrap_or_default();
        match method {
            "raise_compiler_error" => Err(wrong(message)),
            "warn" => {
                tracing::warn!("{message}");
                Ok(Value::from(""))
            }
            _ => Err(unknown_method("exceptions", method)),
        }
    }
}
