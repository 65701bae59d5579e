//! YAML as a tree in which every node knows its line.
//!
//! Read by `saphyr-parser`: it passes the YAML test suite, gives the place of each event and is
//! looked after, where `serde_yaml` and its copies give no places to what was read. dbt reads
//! YAML 1.1, so words that mean something else there (`yes`, `on`, `010`) are refused unquoted.
//!
//! The tree is built here, by hand, as each mapping keeps the lines of its keys, follows `<<`, and refuses
//! those words one by one.

use std::collections::HashMap;

use minijinja::value::{Value, ValueKind};
use saphyr_parser::{Event, Parser, ScalarStyle};

use crate::error::{Place, Result};

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Yaml {
    pub line: usize,
    pub data: Data,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Data {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Yaml>),
    /// In the file's order. The line is that of the key.
    Map(Vec<(String, usize, Yaml)>),
}

impl Yaml {
    pub fn text(&self) -> Option<&str> {
        match &self.data {
            Data::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn list(&self) -> Option<&[Yaml]> {
        match &self.data {
            Data::List(items) => Some(items),
            _ => None,
        }
    }

    pub fn map(&self) -> Option<&[(String, usize, Yaml)]> {
        match &self.data {
            Data::Map(entries) => Some(entries),
            _ => None,
        }
    }

    pub fn get(&self, key: &str) -> Option<&Yaml> {
        self.map()?.iter().find(|(name, _, _)| name == key).map(|(_, _, value)| value)
    }

    pub fn is_null(&self) -> bool {
        self.data == Data::Null
    }

    /// Its kind, for people.
    pub fn kind(&self) -> &'static str {
        match self.data {
            Data::Null => "nothing",
            Data::Bool(_) => "true or false",
            Data::Int(_) | Data::Float(_) => "a number",
            Data::Text(_) => "text",
            Data::List(_) => "a list",
            Data::Map(_) => "a mapping",
        }
    }

    /// As templates see it.
    pub fn to_value(&self) -> Value {
        match &self.data {
            Data::Null => Value::from(()),
            Data::Bool(truth) => Value::from(*truth),
            Data::Int(number) => Value::from(*number),
            Data::Float(number) => Value::from(*number),
            Data::Text(text) => Value::from(text.as_str()),
            Data::List(items) => items.iter().map(Yaml::to_value).collect(),
            Data::Map(entries) => {
                Value::from_pairs(entries.iter().map(|(key, _, value)| (key.as_str(), value.to_value())))
            }
        }
    }

    /// A template's value, as if it had been written at `line`.
    pub fn from_value(value: &Value, line: usize) -> Yaml {
        let data = match value.kind() {
            ValueKind::Undefined | ValueKind::None => Data::Null,
            ValueKind::Bool => Data::Bool(value.is_true()),
            ValueKind::Number => match value.as_i64() {
                Some(number) if value.is_integer() => Data::Int(number),
                _ => Data::Float(f64::try_from(value.clone()).unwrap_or(f64::NAN)),
            },
            ValueKind::Seq | ValueKind::Iterable => {
                let items = value.try_iter().into_iter().flatten();
                Data::List(items.map(|item| Yaml::from_value(&item, line)).collect())
            }
            ValueKind::Map => {
                let keys = value.try_iter().into_iter().flatten();
                let entry = |key: Value| {
                    let item = value.get_item(&key).unwrap_or_default();
                    (key.to_string(), line, Yaml::from_value(&item, line))
                };
                Data::Map(keys.map(entry).collect())
            }
            _ => Data::Text(value.to_string()),
        };
        Yaml { line, data }
    }

    /// As Python prints it, which is what dbt makes names and hashes of.
    pub fn to_python(&self) -> String {
        match &self.data {
            Data::Text(text) => text.clone(),
            _ => crate::jinja::python::repr(&self.to_value()),
        }
    }
}

/// Reads one document; an empty one is null.
pub(crate) fn parse(file: &str, text: &str) -> Result<Yaml> {
    let mut loader = Loader { file, anchors: HashMap::new(), open: Vec::new(), done: None };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            Place::new(file, error.marker().line()).refuse(format!("this is not YAML: {}", error.info()))
        })?;
        loader.take(event, span.start.line())?;
    }
    Ok(loader.done.unwrap_or(Yaml { line: 1, data: Data::Null }))
}

struct Loader<'f> {
    file: &'f str,
    anchors: HashMap<usize, Yaml>,
    open: Vec<Open>,
    done: Option<Yaml>,
}

struct Open {
    anchor: usize,
    node: Yaml,
    key: Option<(String, usize)>,
}

impl Loader<'_> {
    fn refuse<T>(&self, line: usize, message: impl Into<String>) -> Result<T> {
        Err(Place::new(self.file, line).refuse(message))
    }

    fn take(&mut self, event: Event<'_>, line: usize) -> Result<()> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                if tag.is_some() {
                    return self.refuse(line, "tags (`!…`) are not understood");
                }
                let data = match style {
                    ScalarStyle::Plain => self.plain(&text, line)?,
                    _ => Data::Text(text.into_owned()),
                };
                self.put(Yaml { line, data }, anchor)
            }
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                Some(node) => self.put(node.clone(), 0),
                None => self.refuse(line, "this alias is inside the node that it names"),
            },
            Event::SequenceStart(anchor, _) => {
                self.open(anchor, Yaml { line, data: Data::List(Vec::new()) });
                Ok(())
            }
            Event::MappingStart(anchor, _) => {
                self.open(anchor, Yaml { line, data: Data::Map(Vec::new()) });
                Ok(())
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(open) => self.put(open.node, open.anchor),
                None => self.refuse(line, "this ends what has not begun"),
            },
            Event::DocumentStart(_) if self.done.is_some() => {
                self.refuse(line, "only one document per file; a second one begins here")
            }
            _ => Ok(()),
        }
    }

    fn open(&mut self, anchor: usize, node: Yaml) {
        self.open.push(Open { anchor, node, key: None });
    }

    fn put(&mut self, node: Yaml, anchor: usize) -> Result<()> {
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let file = self.file;
        let Some(open) = self.open.last_mut() else {
            self.done = Some(node);
            return Ok(());
        };
        match &mut open.node.data {
            Data::List(items) => items.push(node),
            Data::Map(entries) => match open.key.take() {
                None => {
                    let Some(key) = key_text(&node) else {
                        return self.refuse(node.line, "a key must be a word");
                    };
                    open.key = Some((key, node.line));
                }
                Some((key, line)) if key == "<<" => merge(file, entries, &node, line)?,
                Some((key, line)) => {
                    let earlier = entries.iter().position(|(name, _, _)| *name == key);
                    match earlier {
                        // A merged key gives way to one of the mapping's own.
                        Some(at) if entries[at].1 == 0 => entries[at] = (key, line, node),
                        Some(_) => {
                            return Err(Place::new(file, line).refuse(format!("{key} occurs twice")));
                        }
                        None => entries.push((key, line, node)),
                    }
                }
            },
            _ => {}
        }
        Ok(())
    }

    fn plain(&self, text: &str, line: usize) -> Result<Data> {
        Ok(match text {
            "" | "~" | "null" | "Null" | "NULL" => Data::Null,
            "true" | "True" | "TRUE" => Data::Bool(true),
            "false" | "False" | "FALSE" => Data::Bool(false),
            "yes" | "Yes" | "YES" | "no" | "No" | "NO" | "on" | "On" | "ON" | "off" | "Off" | "OFF" => {
                return self.refuse(
                    line,
                    format!("to dbt {text} is a truth value: write true or false, or put it in quotes"),
                );
            }
            _ => {
                let digits = text.trim_start_matches(['-', '+']);
                let starts_as_number =
                    digits.starts_with(|first: char| first.is_ascii_digit() || first == '.');
                if !starts_as_number {
                    return Ok(Data::Text(text.to_owned()));
                }
                let is_whole = digits.bytes().all(|byte| byte.is_ascii_digit());
                if is_whole && digits.len() > 1 && digits.starts_with('0') {
                    return self.refuse(line, format!("to dbt {text} is octal: put it in quotes"));
                }
                match (text.parse::<i64>(), text.parse::<f64>()) {
                    (Ok(number), _) => Data::Int(number),
                    // YAML 1.1 requires a point in a number with an exponent.
                    (_, Ok(number)) if text.contains('.') => Data::Float(number),
                    _ => Data::Text(text.to_owned()),
                }
            }
        })
    }
}

fn key_text(node: &Yaml) -> Option<String> {
    match &node.data {
        Data::Text(text) => Some(text.clone()),
        Data::Int(number) => Some(number.to_string()),
        Data::Bool(truth) => Some(truth.to_string()),
        Data::Null => Some("null".to_owned()),
        _ => None,
    }
}

/// `<<: *other`: what the mapping does not have itself. Such entries carry line 0.
fn merge(file: &str, entries: &mut Vec<(String, usize, Yaml)>, node: &Yaml, line: usize) -> Result<()> {
    let sources: Vec<&Yaml> = match &node.data {
        Data::List(items) => items.iter().collect(),
        _ => vec![node],
    };
    for source in sources {
        let Some(merged) = source.map() else {
            return Err(Place::new(file, line).refuse("<< requires a mapping"));
        };
        for (key, _, value) in merged {
            if !entries.iter().any(|(name, _, _)| name == key) {
                entries.push((key.clone(), 0, value.clone()));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_knows_its_line() {
        let tree = parse("f.yml", "a: 1\nb:\n  - x: 'no'\n    y: 2.5\nc: >\n  some\n  text\n").unwrap();
        assert_eq!(tree.get("a").unwrap().data, Data::Int(1));
        let item = &tree.get("b").unwrap().list().unwrap()[0];
        assert_eq!((item.get("y").unwrap().line, item.get("x").unwrap().text()), (4, Some("no")));
        assert_eq!(tree.get("c").unwrap().text(), Some("some text\n"));
    }

    #[test]
    fn aliases_and_merges_are_followed() {
        let tree = parse("f.yml", "a: &a {x: 1, y: 2}\nb: *a\nc:\n  <<: *a\n  y: 3\n").unwrap();
        assert_eq!(tree.get("b"), tree.get("a"));
        assert_eq!(tree.get("c").unwrap().get("x").unwrap().data, Data::Int(1));
        assert_eq!(tree.get("c").unwrap().get("y").unwrap().data, Data::Int(3));
    }

    #[test]
    fn what_dbt_would_read_otherwise_is_refused() {
        for (text, line) in
            [("a: yes", 1), ("a: 1\nb: 010", 2), ("a: 1\na: 2", 2), ("a: [", 2), ("a: !x 1", 1)]
        {
            let error = parse("f.yml", text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("f.yml:{line}: ")) || text == "a: [", "{text}: {error}");
        }
    }
}
