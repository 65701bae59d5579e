//! A table or view by name.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Object, ObjectRepr, Value};

/// A table or view: `"schema"."name"` in SQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Relation {
    pub schema: String,
    pub name: String,
}

impl Relation {
    pub fn new(schema: &str, name: &str) -> Relation {
        Relation { schema: schema.to_owned(), name: name.to_owned() }
    }

    pub fn to_value(&self) -> Value {
        Value::from_object(self.clone())
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", quoted(&self.schema), quoted(&self.name))
    }
}

impl Object for Relation {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str()? {
            "schema" => Some(Value::from(self.schema.as_str())),
            "name" | "identifier" | "table" => Some(Value::from(self.name.as_str())),
            _ => None,
        }
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A name in SQL.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text in SQL.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
