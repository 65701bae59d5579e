//! Reads mappings key by key and refuses unknown keys.

use crate::error::{Place, Result};
use crate::yaml::{Data, Yaml};

/// A mapping that is being read.
pub(crate) struct Fields<'y> {
    what: String,
    place: Place,
    entries: Vec<Option<&'y (String, usize, Yaml)>>,
    asked: Vec<&'static str>,
}

impl<'y> Fields<'y> {
    /// Starts on `node`; `what` it is, for people.
    pub fn new(node: &'y Yaml, place: &Place, what: impl Into<String>) -> Result<Fields<'y>> {
        let what = what.into();
        let place = place.at(node.line);
        let entries = match &node.data {
            Data::Map(entries) => entries.iter().map(Some).collect(),
            Data::Null => Vec::new(),
            _ => return Err(place.refuse(format!("{what} must be a mapping, not {}", node.kind()))),
        };
        Ok(Fields { what, place, entries, asked: Vec::new() })
    }

    /// File and line, for errors.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// A value, if it is there; a null is.
    pub fn take(&mut self, key: &'static str) -> Option<&'y Yaml> {
        self.asked.push(key);
        let entry = self.entries.iter_mut().find(|entry| entry.is_some_and(|(name, _, _)| name == key))?;
        entry.take().map(|(_, _, value)| value)
    }

    /// A value that is not null.
    pub fn take_some(&mut self, key: &'static str) -> Option<&'y Yaml> {
        self.take(key).filter(|value| !value.is_null())
    }

    /// A text.
    pub fn text(&mut self, key: &'static str) -> Result<Option<String>> {
        let what = self.what.clone();
        match self.take_some(key) {
            None => Ok(None),
            Some(node) => match &node.data {
                Data::Text(text) => Ok(Some(text.clone())),
                Data::Int(_) | Data::Float(_) => Ok(Some(node.to_python())),
                _ => Err(self
                    .place
                    .at(node.line)
                    .refuse(format!("{key} of {what} must be text, not {}", node.kind()))),
            },
        }
    }

    /// A text that must be there.
    pub fn required(&mut self, key: &'static str) -> Result<String> {
        match self.text(key)? {
            Some(text) => Ok(text),
            None => Err(self.place.refuse(format!("{} has no {key}", self.what))),
        }
    }

    /// The items of a list; none when it is missing.
    pub fn list(&mut self, key: &'static str) -> Result<&'y [Yaml]> {
        match self.take_some(key) {
            None => Ok(&[]),
            Some(node) => node.list().ok_or_else(|| {
                self.place.at(node.line).refuse(format!(
                    "{key} of {} must be a list, not {}",
                    self.what,
                    node.kind()
                ))
            }),
        }
    }

    /// A text or a list of texts.
    pub fn texts(&mut self, key: &'static str) -> Result<Vec<String>> {
        match self.take_some(key) {
            None => Ok(Vec::new()),
            Some(node) => texts(node, &self.place, key),
        }
    }

    /// Keys that change nothing that this runner does.
    pub fn ignore(&mut self, keys: &[&'static str]) {
        for key in keys {
            self.take(key);
        }
    }

    /// Refuses whatever is left.
    pub fn done(self) -> Result<()> {
        match self.entries.into_iter().flatten().next() {
            None => Ok(()),
            Some((key, line, _)) => Err(self.place.at(*line).refuse(format!(
                "{key} of {} is not understood by this runner, which knows {}",
                self.what,
                self.asked.join(", ")
            ))),
        }
    }
}

/// A text or a list of texts.
pub(crate) fn texts(node: &Yaml, place: &Place, what: &str) -> Result<Vec<String>> {
    let wrong =
        || place.at(node.line).refuse(format!("{what} must be text or a list of texts, not {}", node.kind()));
    match &node.data {
        Data::Text(text) => Ok(vec![text.clone()]),
        Data::List(items) => {
            items.iter().map(|item| item.text().map(str::to_owned).ok_or_else(wrong)).collect()
        }
        Data::Null => Ok(Vec::new()),
        _ => Err(wrong()),
    }
}
