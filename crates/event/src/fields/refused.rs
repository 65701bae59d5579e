//! What a mapping of fields must not contain.

use std::collections::BTreeMap;

use super::{FIELDS, FieldSource};
use crate::raw::{EVENT_TIME, HOUR, ID, field_index};
use crate::validate::check_default;

/// Names that a field may be read from; more would be a slip.
const MOST_NAMES: usize = 32;
const LONGEST_NAME: usize = 256;

/// Why fields cannot be read in a way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldMapError {
    /// Events have no such field.
    #[error("an event has no field {name:?}{hint}; its fields are {fields}", fields = FIELDS.join(", "))]
    UnknownField {
        /// As it was written.
        name: String,
        /// What was meant, perhaps.
        hint: String,
    },
    /// An entry that changes nothing.
    #[error("{0} has neither a name nor a default")]
    Nothing(&'static str),
    /// A list is too long, or a name cannot be one.
    #[error("{field}: {name:?} cannot be a name in the input: {reason}")]
    BadName {
        /// Field of ours.
        field: &'static str,
        /// As it was written.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// One name for two fields.
    #[error("the input name {name:?} is listed for {first} and for {second}; it can give only one of them")]
    TwoFields {
        /// The name as it was written.
        name: String,
        /// Field of ours.
        first: &'static str,
        /// Another one.
        second: &'static str,
    },
    /// A name that is another field's own.
    #[error(
        "{field} is to be read from {name:?}, but that is where {name} itself is read from; \
         list other names for {name} as well"
    )]
    OwnName {
        /// Field of ours.
        field: &'static str,
        /// Another field of ours, which is read from its own name.
        name: &'static str,
    },
    /// A field that cannot have a default.
    #[error("{field} cannot have a default: {reason}")]
    NoDefault {
        /// Field of ours.
        field: &'static str,
        /// Why not.
        reason: &'static str,
    },
    /// A default that no event may have.
    #[error("the default of {field} is not valid: {reason}")]
    BadDefault {
        /// Field of ours.
        field: &'static str,
        /// The broken rule.
        reason: String,
    },
}

/// The index of a field of ours.
pub(super) fn known_field(name: &str) -> Result<usize, FieldMapError> {
    field_index(name.as_bytes()).ok_or_else(|| FieldMapError::UnknownField {
        name: name.to_owned(),
        hint: did_you_mean(name).map_or_else(String::new, |field| format!(" (did you mean {field}?)")),
    })
}

/// What one entry says is possible by itself.
pub(super) fn check_source(field: usize, source: &FieldSource) -> Result<(), FieldMapError> {
    check_names(field, source)?;
    check_source_default(field, source)
}

fn check_names(field: usize, source: &FieldSource) -> Result<(), FieldMapError> {
    let field = FIELDS[field];
    if source.names.is_empty() && source.default.is_none() {
        return Err(FieldMapError::Nothing(field));
    }
    for (index, name) in source.names.iter().enumerate() {
        let reason = if name.is_empty() {
            "it is empty".to_owned()
        } else if name.trim() != name || name.chars().any(char::is_control) {
            "it has spaces around it, or a control character in it".to_owned()
        } else if name.len() > LONGEST_NAME {
            format!("it is longer than {LONGEST_NAME} bytes")
        } else if source.names[..index].contains(name) {
            "it is listed twice".to_owned()
        } else if index >= MOST_NAMES {
            format!("a field is read from at most {MOST_NAMES} names")
        } else {
            continue;
        };
        return Err(FieldMapError::BadName { field, name: name.clone(), reason });
    }
    Ok(())
}

fn check_source_default(field: usize, source: &FieldSource) -> Result<(), FieldMapError> {
    let Some(default) = &source.default else { return Ok(()) };
    let reason = match field {
        ID => "events with the same id in the same hour are one event",
        HOUR | EVENT_TIME => "an event belongs to the hour in which it happened",
        _ => {
            let is_valid = check_default(field, default);
            return is_valid
                .map_err(|error| FieldMapError::BadDefault { field: FIELDS[field], reason: error.message });
        }
    };
    Err(FieldMapError::NoDefault { field: FIELDS[field], reason })
}

/// No name gives two fields.
pub(super) fn check_apart(sources: &BTreeMap<usize, FieldSource>) -> Result<(), FieldMapError> {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for (field, source) in sources {
        for name in &source.names {
            if let Some(first) = seen.insert(name, *field) {
                let (first, second) = (FIELDS[first], FIELDS[*field]);
                return Err(FieldMapError::TwoFields { name: name.clone(), first, second });
            }
        }
    }
    for (name, field) in &seen {
        let Some(owner) = field_index(name.as_bytes()).filter(|owner| owner != field) else { continue };
        if sources.get(&owner).is_none_or(|source| source.names.is_empty()) {
            return Err(FieldMapError::OwnName { field: FIELDS[*field], name: FIELDS[owner] });
        }
    }
    Ok(())
}

/// The field that a slip of the pen comes from, most likely.
fn did_you_mean(name: &str) -> Option<&'static str> {
    let plain = |name: &str| name.to_lowercase().replace(['-', ' ', '.'], "_");
    let wanted = plain(name);
    FIELDS
        .into_iter()
        .map(|field| (distance(&wanted, &plain(field)), field))
        .filter(|(distance, field)| *distance <= field.len() / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, field)| field)
}

/// Letters to insert, remove or replace to get from one word to the other (Levenshtein 1966).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, letter) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, wanted) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *wanted);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_pen_are_recognised() {
        assert_eq!(did_you_mean("clik"), Some("click"));
        assert_eq!(did_you_mean("Site-Id"), Some("site_id"));
        assert_eq!(did_you_mean("c14"), Some("C14"));
        assert_eq!(did_you_mean("price"), None);
    }
}
