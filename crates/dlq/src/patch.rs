//! Edits as data: JSON Patch (RFC 6902) on the fields of a record, and `cast`.
//!
//! `test`, `add`, `replace`, `remove`, `move` and `copy` mean what they mean there; paths name one
//! field (`/banner_pos`), as events are flat. `{"op": "cast", "path": "/click", "to": "integer"}`
//! makes text a whole number, or with `"to": "text"` a number text. Every field that no step names
//! keeps its bytes: ids beyond 2^64, spaces and odd escapes stay as they came. A path may also name a
//! field of an event that is read from another name (`[event.fields]`): the step is done there.
//!
//! By hand, as libraries for JSON Patch work on parsed values and would rewrite those bytes.

use adpipe_event::FieldMap;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::error::DlqError;

/// Longest edit, in steps.
const MOST_STEPS: usize = 100;

/// One step of an edit.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase", deny_unknown_fields)]
pub enum Step {
    /// Continues only where the field has this value.
    Test {
        /// `/field`
        path: String,
        /// Compared as JSON.
        value: serde_json::Value,
    },
    /// Sets a field, whether it is there or not.
    Add {
        /// `/field`
        path: String,
        /// Its new value.
        value: serde_json::Value,
    },
    /// Sets a field that is there.
    Replace {
        /// `/field`
        path: String,
        /// Its new value.
        value: serde_json::Value,
    },
    /// Drops a field that is there.
    Remove {
        /// `/field`
        path: String,
    },
    /// Renames a field.
    Move {
        /// `/field`
        from: String,
        /// `/field`
        path: String,
    },
    /// Sets a field to another one's value.
    Copy {
        /// `/field`
        from: String,
        /// `/field`
        path: String,
    },
    /// Changes the kind of a value, not its meaning.
    Cast {
        /// `/field`
        path: String,
        /// What it becomes: a whole number, or text.
        to: Kind,
    },
}

/// What [`Step::Cast`] makes of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A whole number: of text that is one, of 3.0, of true and false.
    Integer,
    /// Text: of a number or a truth value, as it is written.
    Text,
}

/// An edit: its steps, in order. All are applied or none.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Patch {
    steps: Vec<Step>,
}

/// A record's fields in their order, their values as they were written.
struct Fields(Vec<(String, Box<RawValue>)>);

impl Patch {
    /// An edit of these steps.
    ///
    /// # Errors
    /// [`DlqError::Asked`] when there are none, too many, or one whose path is not `/field`.
    pub fn new(steps: Vec<Step>) -> Result<Patch, DlqError> {
        if steps.is_empty() || steps.len() > MOST_STEPS {
            return Err(DlqError::Asked(format!("an edit has 1 to {MOST_STEPS} steps")));
        }
        for step in &steps {
            for path in step.paths() {
                field_of(path)?;
            }
        }
        Ok(Patch { steps })
    }

    /// Reads an edit from JSON.
    ///
    /// # Errors
    /// [`DlqError::Asked`], with what is wrong and where.
    pub fn from_json(json: &str) -> Result<Patch, DlqError> {
        let steps = serde_json::from_str(json)
            .map_err(|error| DlqError::Asked(format!("the edit is not a JSON Patch: {error}")))?;
        Patch::new(steps)
    }

    /// The edit as JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(&self.steps).unwrap_or_default()
    }

    /// The payload with the edit applied; `map` says which names of the payload are those of an event.
    ///
    /// # Errors
    /// Why it does not fit this payload, in words.
    pub fn apply(&self, payload: &[u8], map: &FieldMap) -> Result<Vec<u8>, String> {
        let mut fields: Fields = serde_json::from_slice(payload)
            .map_err(|error| format!("the payload is not a JSON object: {error}"))?;
        for step in &self.steps {
            step.in_payload(&fields, map).apply(&mut fields)?;
        }
        Ok(fields.write())
    }
}

impl Step {
    fn paths(&self) -> Vec<&str> {
        match self {
            Step::Test { path, .. }
            | Step::Add { path, .. }
            | Step::Replace { path, .. }
            | Step::Remove { path }
            | Step::Cast { path, .. } => vec![path],
            Step::Move { from, path } | Step::Copy { from, path } => vec![from, path],
        }
    }

    /// The step with the names of this payload.
    fn in_payload(&self, fields: &Fields, map: &FieldMap) -> Step {
        let mut step = self.clone();
        if map.is_empty() {
            return step;
        }
        let rename = |path: &mut String, is_there_counts: bool| {
            let Ok(field) = field_of(path) else { return };
            if let Some(name) = fields.name_of(&field, map, is_there_counts) {
                *path = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
            }
        };
        match &mut step {
            Step::Test { path, .. }
            | Step::Add { path, .. }
            | Step::Replace { path, .. }
            | Step::Cast { path, .. } => rename(path, false),
            Step::Remove { path } => rename(path, true),
            Step::Move { from, path } | Step::Copy { from, path } => {
                rename(from, true);
                rename(path, false);
            }
        }
        step
    }

    fn apply(&self, fields: &mut Fields) -> Result<(), String> {
        let name = |path: &str| field_of(path).map_err(|error| error.to_string());
        match self {
            Step::Test { path, value } => {
                let (name, found) = (name(path)?, fields.get(&name(path)?)?);
                let found: serde_json::Value =
                    serde_json::from_str(found.get()).map_err(|error| error.to_string())?;
                if found == *value { Ok(()) } else { Err(format!("{name} is {found}, not {value}")) }
            }
            Step::Add { path, value } => fields.set(&name(path)?, raw(value)?),
            Step::Replace { path, value } => {
                fields.get(&name(path)?)?;
                fields.set(&name(path)?, raw(value)?)
            }
            Step::Remove { path } => fields.remove(&name(path)?).map(drop),
            Step::Move { from, path } => {
                let value = fields.remove(&name(from)?)?;
                fields.set(&name(path)?, value)
            }
            Step::Copy { from, path } => {
                let value = fields.get(&name(from)?)?.to_owned();
                fields.set(&name(path)?, value)
            }
            Step::Cast { path, to } => {
                let name = name(path)?;
                let value = cast(fields.get(&name)?, *to).map_err(|reason| format!("{name} {reason}"))?;
                fields.set(&name, value)
            }
        }
    }
}

/// The field that a path names (RFC 6901: `~1` is `/`, `~0` is `~`).
fn field_of(path: &str) -> Result<String, DlqError> {
    match path.strip_prefix('/') {
        Some(field) if !field.is_empty() && !field.contains('/') => {
            Ok(field.replace("~1", "/").replace("~0", "~"))
        }
        _ => Err(DlqError::Asked(format!("{path:?} does not name a field; write \"/banner_pos\""))),
    }
}

fn raw(value: &serde_json::Value) -> Result<Box<RawValue>, String> {
    serde_json::value::to_raw_value(value).map_err(|error| error.to_string())
}

fn cast(value: &RawValue, to: Kind) -> Result<Box<RawValue>, String> {
    let written = value.get();
    let text: Option<String> = serde_json::from_str(written).ok();
    let is_plain = !written.starts_with(['{', '[']) && written != "null";
    let cast = match to {
        Kind::Integer => {
            let number = text.as_deref().unwrap_or(written).trim();
            match number {
                "true" => "1".to_owned(),
                "false" => "0".to_owned(),
                _ => {
                    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
                    let digits = whole.strip_prefix('-').unwrap_or(whole);
                    let is_whole = !digits.is_empty()
                        && digits.bytes().all(|byte| byte.is_ascii_digit())
                        && fraction.bytes().all(|byte| byte == b'0');
                    if !is_whole {
                        return Err(format!("is {written}, which is not a whole number"));
                    }
                    let digits = digits.trim_start_matches('0');
                    match (whole.starts_with('-'), digits) {
                        (_, "") => "0".to_owned(),
                        (true, digits) => format!("-{digits}"),
                        (false, digits) => digits.to_owned(),
                    }
                }
            }
        }
        Kind::Text => match text {
            Some(_) => written.to_owned(),
            None if is_plain => format!("\"{written}\""),
            None => return Err(format!("is {written}, which is not a single value")),
        },
    };
    RawValue::from_string(cast).map_err(|error| error.to_string())
}

impl Fields {
    /// The name here of a field of an event; none where it is the same. What is read under another
    /// name may be here under its own as well, to be taken away (`is_there_counts`), but nothing that
    /// is put there would be read.
    fn name_of<'m>(&self, field: &'m str, map: &'m FieldMap, is_there_counts: bool) -> Option<&'m str> {
        let names = map.names(field);
        let is_there = |name: &str| self.get(name).is_ok();
        if map.field_of(field).is_some() || (is_there_counts && is_there(field)) {
            return None;
        }
        names.iter().copied().find(|name| is_there(name)).or_else(|| names.first().copied())
    }

    fn get(&self, name: &str) -> Result<&RawValue, String> {
        // Of a name that occurs twice, the last one counts, as everywhere.
        let found = self.0.iter().rev().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_ref()).ok_or_else(|| format!("there is no field {name}"))
    }

    fn set(&mut self, name: &str, value: Box<RawValue>) -> Result<(), String> {
        match self.0.iter_mut().rev().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name.to_owned(), value)),
        }
        Ok(())
    }

    fn remove(&mut self, name: &str) -> Result<Box<RawValue>, String> {
        let value = self.get(name)?.to_owned();
        self.0.retain(|(known, _)| known != name);
        Ok(value)
    }

    fn write(&self) -> Vec<u8> {
        let members: Vec<String> = self
            .0
            .iter()
            .map(|(name, value)| format!("{}:{}", serde_json::Value::from(name.as_str()), value.get()))
            .collect();
        format!("{{{}}}", members.join(",")).into_bytes()
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Fields, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Fields;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(patch: &str, payload: &str) -> Result<String, String> {
        let patch = Patch::from_json(patch).map_err(|error| error.to_string())?;
        patch.apply(payload.as_bytes(), &FieldMap::default()).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn what_is_not_named_keeps_its_bytes() {
        let payload = r#"{ "id": 99999999999999999999999, "a" : 1.50e+1, "b":"\u0041","x":null }"#;
        let patched = apply(r#"[{"op":"replace","path":"/x","value":7}]"#, payload).unwrap();
        assert_eq!(patched, r#"{"id":99999999999999999999999,"a":1.50e+1,"b":"\u0041","x":7}"#);
    }

    #[test]
    fn every_step_does_what_it_says() {
        for (patch, payload, expected) in [
            (r#"[{"op":"add","path":"/n","value":"x"}]"#, r#"{"a":1}"#, Ok(r#"{"a":1,"n":"x"}"#)),
            (r#"[{"op":"replace","path":"/n","value":1}]"#, r#"{"a":1}"#, Err("there is no field n")),
            (r#"[{"op":"remove","path":"/a"}]"#, r#"{"a":1,"b":2,"a":3}"#, Ok(r#"{"b":2}"#)),
            (r#"[{"op":"move","from":"/a","path":"/b"}]"#, r#"{"a":1}"#, Ok(r#"{"b":1}"#)),
            (r#"[{"op":"copy","from":"/a","path":"/b"}]"#, r#"{"a":1}"#, Ok(r#"{"a":1,"b":1}"#)),
            (r#"[{"op":"test","path":"/a","value":2}]"#, r#"{"a":1}"#, Err("a is 1, not 2")),
            (r#"[{"op":"cast","path":"/a","to":"integer"}]"#, r#"{"a":" 007 "}"#, Ok(r#"{"a":7}"#)),
            (r#"[{"op":"cast","path":"/a","to":"integer"}]"#, r#"{"a":-3.0}"#, Ok(r#"{"a":-3}"#)),
            (r#"[{"op":"cast","path":"/a","to":"integer"}]"#, r#"{"a":true}"#, Ok(r#"{"a":1}"#)),
            (
                r#"[{"op":"cast","path":"/a","to":"integer"}]"#,
                r#"{"a":"1x"}"#,
                Err("a is \"1x\", which is not a whole number"),
            ),
            (
                r#"[{"op":"cast","path":"/a","to":"text"}]"#,
                r#"{"a":18446744073709551616}"#,
                Ok(r#"{"a":"18446744073709551616"}"#),
            ),
            (
                r#"[{"op":"cast","path":"/a","to":"text"}]"#,
                r#"{"a":[1]}"#,
                Err("a is [1], which is not a single value"),
            ),
            (r#"[{"op":"remove","path":"/a~1b"}]"#, r#"{"a/b":1}"#, Ok("{}")),
            (r#"[{"op":"remove","path":"/a"}]"#, "[1]", Err("the payload is not a JSON object")),
        ] {
            match (apply(patch, payload), expected) {
                (Ok(patched), Ok(expected)) => assert_eq!(patched, expected, "{patch} on {payload}"),
                (Err(reason), Err(expected)) => assert!(reason.starts_with(expected), "{reason}"),
                (other, _) => panic!("{patch} on {payload}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_field_that_has_another_name_is_edited_there() {
        let source = |names: &[&str]| adpipe_event::FieldSource {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            default: None,
        };
        let map = FieldMap::new([("click", source(&["is_click", "clicked"])), ("site_id", source(&["a/b"]))])
            .unwrap();
        for (patch, payload, expected) in [
            (r#"[{"op":"replace","path":"/click","value":1}]"#, r#"{"is_click":7}"#, r#"{"is_click":1}"#),
            (r#"[{"op":"add","path":"/click","value":1}]"#, r#"{"clicked":7}"#, r#"{"clicked":1}"#),
            (r#"[{"op":"add","path":"/click","value":1}]"#, r#"{"click":7}"#, r#"{"click":7,"is_click":1}"#),
            (r#"[{"op":"cast","path":"/click","to":"integer"}]"#, r#"{"is_click":"1"}"#, r#"{"is_click":1}"#),
            (
                r#"[{"op":"cast","path":"/is_click","to":"integer"}]"#,
                r#"{"is_click":"1"}"#,
                r#"{"is_click":1}"#,
            ),
            (r#"[{"op":"move","from":"/click","path":"/is_click"}]"#, r#"{"click":1}"#, r#"{"is_click":1}"#),
            (r#"[{"op":"add","path":"/site_id","value":"x"}]"#, "{}", r#"{"a/b":"x"}"#),
            (r#"[{"op":"add","path":"/app_id","value":"x"}]"#, "{}", r#"{"app_id":"x"}"#),
            (r#"[{"op":"add","path":"/other","value":"x"}]"#, "{}", r#"{"other":"x"}"#),
        ] {
            let patched = Patch::from_json(patch).unwrap().apply(payload.as_bytes(), &map).unwrap();
            assert_eq!(String::from_utf8(patched).unwrap(), expected, "{patch} on {payload}");
        }
    }

    #[test]
    fn an_edit_that_makes_no_sense_is_refused() {
        for patch in [
            "[]",
            "{}",
            r#"[{"op":"explode","path":"/a"}]"#,
            r#"[{"op":"remove","path":"a"}]"#,
            r#"[{"op":"remove","path":"/a/b"}]"#,
            r#"[{"op":"remove","path":"/"}]"#,
            r#"[{"op":"cast","path":"/a","to":"date"}]"#,
        ] {
            assert!(Patch::from_json(patch).is_err(), "{patch}");
        }
        let patch = r#"[{"op":"cast","path":"/a","to":"text"}]"#;
        assert_eq!(Patch::from_json(patch).unwrap().to_json(), patch);
    }
}
