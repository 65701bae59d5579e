//! Section `[event]`: which fields of the input give those of an event.

use std::collections::BTreeMap;

use adpipe_event::{FIELDS, FieldMap, FieldMapError, FieldSource};
use serde::de::{DeserializeSeed, Error, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Section `[event]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EventConfig {
    pub fields: EventFields,
}

/// Table `[event.fields]`: by field, a name, a list of names, or `{ names = […], default = … }`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EventFields(FieldMap);

impl EventFields {
    /// As the reader of events takes it.
    pub fn map(&self) -> &FieldMap {
        &self.0
    }
}

impl From<FieldMap> for EventFields {
    fn from(map: FieldMap) -> EventFields {
        EventFields(map)
    }
}

/// How a field may be written.
#[derive(Debug, Clone, PartialEq)]
pub struct Written(pub FieldSource);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Whole {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    names: Option<OneOrMore>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    default: Option<DefaultValue>,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum DefaultValue {
    Number(i64),
    Text(String),
}

/// What to write, for values that are none of it.
const FORMS: &str = "write a name, a list of names such as [\"is_click\", \"clicked\"], or \
    { names = [\"is_click\"], default = 0 }, of which either may be left out";

impl Serialize for Written {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let FieldSource { names, default } = &self.0;
        let names = match names.as_slice() {
            [] => None,
            [name] => Some(OneOrMore::One(name.clone())),
            names => Some(OneOrMore::More(names.to_vec())),
        };
        let default = default.as_ref().map(|default| match default.parse() {
            Ok(number) => DefaultValue::Number(number),
            Err(_) => DefaultValue::Text(default.clone()),
        });
        match (names, default) {
            (Some(names), None) => names.serialize(serializer),
            (names, default) => Whole { names, default }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Written, D::Error> {
        let names = |names: OneOrMore| match names {
            OneOrMore::One(name) => vec![name],
            OneOrMore::More(names) => names,
        };
        let source = match toml::Value::deserialize(deserializer)? {
            toml::Value::String(name) => FieldSource { names: vec![name], default: None },
            list @ toml::Value::Array(_) => {
                let list: Vec<String> = list.try_into().map_err(|_| D::Error::custom(FORMS))?;
                if list.is_empty() {
                    return Err(D::Error::custom("the list of names is empty"));
                }
                FieldSource { names: list, default: None }
            }
            toml::Value::Table(table) => {
                let whole: Whole = table.try_into().map_err(|_| D::Error::custom(FORMS))?;
                let default = whole.default.map(|default| match default {
                    DefaultValue::Number(number) => number.to_string(),
                    DefaultValue::Text(text) => text,
                });
                FieldSource { names: whole.names.map(names).unwrap_or_default(), default }
            }
            _ => return Err(D::Error::custom(FORMS)),
        };
        Ok(Written(source))
    }
}

/// The field that a variable names, whose letters say nothing about theirs.
pub fn field_of_variable(name: &str) -> String {
    let field = FIELDS.into_iter().find(|field| field.eq_ignore_ascii_case(name));
    field.unwrap_or(name).to_owned()
}

/// What a variable says: as in the file, or names separated by commas.
pub fn value_of_variable(value: &str) -> toml::Value {
    let in_file = value.trim_start().starts_with(['{', '[']).then(|| format!("value = {value}"));
    let in_file = in_file.and_then(|text| text.parse::<toml::Table>().ok()?.remove("value"));
    in_file.unwrap_or_else(|| {
        let names = value.split(',').map(str::trim).filter(|name| !name.is_empty());
        toml::Value::Array(names.map(|name| toml::Value::String(name.to_owned())).collect())
    })
}

impl Serialize for EventFields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (field, source) in self.0.sources() {
            map.serialize_entry(field, &Written(source.clone()))?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for EventFields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<EventFields, D::Error> {
        deserializer.deserialize_map(Table).map(EventFields)
    }
}

/// Reads the table, and says where a wrong entry is.
struct Table;

impl<'de> Visitor<'de> for Table {
    type Value = FieldMap;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a table of fields")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<FieldMap, M::Error> {
        let mut sources = BTreeMap::new();
        while let Some(field) = map.next_key::<String>()? {
            map.next_value_seed(Entry { field, sources: &mut sources })?;
        }
        FieldMap::new(sources).map_err(M::Error::custom)
    }
}

/// One entry, checked with those before it, so that the error is of this line.
struct Entry<'s> {
    field: String,
    sources: &'s mut BTreeMap<String, FieldSource>,
}

impl<'de> DeserializeSeed<'de> for Entry<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let Written(source) = Written::deserialize(deserializer)?;
        self.sources.insert(self.field, source);
        match FieldMap::new(self.sources.iter().map(|(field, source)| (field, source.clone()))) {
            // Other names for that field may follow.
            Ok(_) | Err(FieldMapError::OwnName { .. }) => Ok(()),
            Err(error) => Err(D::Error::custom(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<EventFields, String> {
        toml::from_str(text).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn every_form_is_read_and_written_again() {
        let text = "click = [\"is_click\", \"clicked\"]\nsite_id = \"site\"\n\
                    device_type = { names = \"kind\", default = 1 }\napp_id = { default = \"none\" }\n\
                    device_id = { names = [\"a\", \"b\"], default = \"x\" }\n";
        let fields = read(text).unwrap();
        assert_eq!(fields.map().names("click"), ["is_click", "clicked"]);
        assert_eq!(fields.map().names("app_id"), ["app_id"]);
        let written = toml::to_string(&fields).unwrap();
        assert_eq!(read(&written).unwrap(), fields, "{written}");
        assert_eq!(read("").unwrap(), EventFields::default());
    }

    #[test]
    fn what_cannot_be_is_explained() {
        for (text, expected) in [
            (
                "clik = \"x\"",
                "an event has no field \"clik\" (did you mean click?); its fields are id, click, hour",
            ),
            ("price = \"x\"", "an event has no field \"price\"; its fields are"),
            ("click = 1", "write a name, a list of names"),
            ("click = [1]", "write a name, a list of names"),
            ("click = { name = \"x\" }", "write a name, a list of names"),
            ("click = []", "the list of names is empty"),
            ("click = {}", "click has neither a name nor a default"),
            ("click = \"\"", "cannot be a name in the input: it is empty"),
            ("click = [\"a\", \"a\"]", "it is listed twice"),
            ("id = \"x\"\ndevice_id = \"x\"", "the input name \"x\" is listed for id and for device_id"),
            ("device_id = \"id\"", "list other names for id as well"),
            ("click = { default = 7 }", "the default of click is not valid: click 7 is out of range 0..=1"),
            ("app_id = { default = \"\" }", "the default of app_id is not valid"),
            ("banner_pos = { default = \"top\" }", "banner_pos \"top\" is not a whole number"),
            ("id = { default = \"x\" }", "id cannot have a default: events with the same id"),
            ("event_time = { default = \"2014-10-21\" }", "event_time cannot have a default"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
        // Fine, whichever comes first: the id is read from elsewhere.
        assert!(read("device_id = \"id\"\nid = \"event\"").is_ok());
        assert!(read("id = \"event\"\ndevice_id = \"id\"").is_ok());
        assert!(read("id = [\"id\", \"event\"]\nhour = \"event_time\"\nevent_time = \"hour\"").is_ok());
    }
}
