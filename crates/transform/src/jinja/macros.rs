//! Macros as values: callable from every template, with dispatch by database and `return`.

use std::fmt;
use std::sync::Arc;

use minijinja::value::Kwargs;
use minijinja::value::{Object, ObjectRepr, Rest, Value, from_args};
use minijinja::{Environment, Error, State};

use super::scope::{unknown_method, wrong};

/// A macro in its own template.
#[derive(Debug)]
pub(super) struct Macro {
    pub name: String,
    pub template: String,
}

impl Object for Macro {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, state: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        let environment: &Environment<'_> = state.env();
        let mut captured = environment.get_template(&self.template)?.render_captured(())?;
        let result = captured.with_state_mut(|inner| {
            let body = inner.lookup(&self.name).ok_or_else(|| wrong(format!("{} has no body", self.name)))?;
            body.call(inner, args)
        });
        match result {
            Err(error) => match returned(&error) {
                Some(value) => Ok(value),
                None => Err(error),
            },
            done => done,
        }
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<macro {}>", self.name)
    }
}

/// `return(value)` on its way out of a macro.
#[derive(Debug)]
pub(super) struct Returned(pub Value);

impl fmt::Display for Returned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a returned value")
    }
}

impl std::error::Error for Returned {}

fn returned(error: &Error) -> Option<Value> {
    let mut cause = std::error::Error::source(error);
    while let Some(found) = cause {
        if let Some(Returned(value)) = found.downcast_ref::<Returned>() {
            return Some(value.clone());
        }
        cause = found.source();
    }
    None
}

/// `adapter`, of which only `dispatch` is understood.
#[derive(Debug)]
pub(super) struct Dispatch {
    pub target: String,
}

impl Object for Dispatch {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call_method(
        self: &Arc<Self>,
        state: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        if method != "dispatch" {
            return Err(unknown_method("adapter", method));
        }
        let (name, _, _): (String, Option<Value>, Kwargs) = from_args(args)?;
        for prefix in [self.target.as_str(), "default"] {
            if let Some(found) = state.lookup(&format!("{prefix}__{name}")) {
                return Ok(found);
            }
        }
        Err(wrong(format!("there is neither a macro {}__{name} nor default__{name}", self.target)))
    }
}

/// The project's name as a namespace of its macros.
#[derive(Debug)]
pub(super) struct Namespace;

impl Object for Namespace {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call_method(
        self: &Arc<Self>,
        state: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        match state.lookup(method) {
            Some(found) => found.call(state, args),
            None => Err(wrong(format!("there is no macro {method}"))),
        }
    }
}

/// `fromjson` and the like take a default for what cannot be read; here only what is needed.
pub(super) fn add_json(environment: &mut Environment<'static>) {
    environment.add_function("tojson", |value: Value, _: Rest<Value>| super::json_of(&value).to_string());
}
