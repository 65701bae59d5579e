//! Which fields of the input give the fields of an event: `[event.fields]` of the configuration.
//!
//! A field of ours is read from its own name, or from the names that are listed for it, and may have a
//! default for records that lack it. Without a mapping nothing of this is consulted: the reader of JSON
//! is compiled once for our own names ([`Own`]) and once for a [`Mapping`]. `refused.rs` has what a
//! mapping must not contain.

mod refused;

use std::collections::BTreeMap;
use std::sync::Arc;

use memchr::memmem::Finder;

pub use self::refused::FieldMapError;
use crate::EventError;
use crate::name_table::NameTable;
use crate::raw::{CLICK, EVENT_TIME, FIELD_COUNT, FIRST_TEXT, Fields, HOUR, ID, RawValue, field_index};

/// Names of all fields, in the order in which they are checked.
pub const FIELDS: [&str; FIELD_COUNT] = [
    "id",
    "click",
    "hour",
    "event_time",
    "banner_pos",
    "device_type",
    "device_conn_type",
    "site_id",
    "site_domain",
    "site_category",
    "app_id",
    "app_domain",
    "app_category",
    "device_id",
    "device_ip",
    "device_model",
    "C1",
    "C14",
    "C15",
    "C16",
    "C17",
    "C18",
    "C19",
    "C20",
    "C21",
];

/// How one field is read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldSource {
    /// Names in the input; of several that have a value the first counts. None: the field's own name.
    pub names: Vec<String>,
    /// The value where the input has none, as it would stand in a CSV cell.
    pub default: Option<String>,
}

/// How the fields are read. The default reads each from its own name. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct FieldMap(Option<Arc<Mapping>>);

/// Where a value of the input goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    /// Index of the field.
    pub field: u8,
    /// Place of the name in the field's list; a lower one counts.
    pub rank: u8,
}

/// A mapping that changes something.
#[derive(Debug)]
pub(crate) struct Mapping {
    sources: BTreeMap<usize, FieldSource>,
    table: NameTable,
    /// Fields with a default, and the default.
    defaults: Vec<(usize, String)>,
    /// Find the quoted names of the id in JSON, in the order of their ranks.
    pub id_names: Vec<Finder<'static>>,
}

impl FieldMap {
    /// Reads fields as it is said; those that are not named from their own names.
    ///
    /// # Errors
    /// The first thing that cannot be, in the order of the names.
    pub fn new<S: AsRef<str>>(
        sources: impl IntoIterator<Item = (S, FieldSource)>,
    ) -> Result<FieldMap, FieldMapError> {
        let mut known = BTreeMap::new();
        for (name, source) in sources {
            let name = name.as_ref();
            let field = refused::known_field(name)?;
            refused::check_source(field, &source)?;
            known.insert(field, source);
        }
        if known.is_empty() {
            return Ok(FieldMap(None));
        }
        refused::check_apart(&known)?;
        Ok(FieldMap(Some(Arc::new(Mapping::of(known)))))
    }

    /// Whether every field is read from its own name and none has a default.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The fields that are not just read from their own name, in the order of [`FIELDS`].
    pub fn sources(&self) -> impl Iterator<Item = (&'static str, &FieldSource)> {
        self.0.iter().flat_map(|mapping| &mapping.sources).map(|(field, source)| (FIELDS[*field], source))
    }

    /// The names that a field is read from, the first one first; its own where none are listed.
    pub fn names<'a>(&'a self, field: &'a str) -> Vec<&'a str> {
        let index = field_index(field.as_bytes());
        match self.mapping().and_then(|mapping| mapping.sources.get(&index?)) {
            Some(source) if !source.names.is_empty() => source.names.iter().map(String::as_str).collect(),
            _ => vec![field],
        }
    }

    /// The field of ours that a name in the input gives.
    pub fn field_of(&self, name: &str) -> Option<&'static str> {
        let index = match &self.0 {
            None => field_index(name.as_bytes()),
            Some(mapping) => mapping.table.find(name.as_bytes()).map(|place| usize::from(place.field)),
        };
        index.map(|index| FIELDS[index])
    }

    pub(crate) fn mapping(&self) -> Option<&Mapping> {
        self.0.as_deref()
    }

    /// Where the values of a column of this name go.
    pub(crate) fn place(&self, name: &[u8]) -> Option<Target> {
        match self.mapping() {
            None => field_index(name).map(|field| Target { field: field as u8, rank: 0 }),
            Some(mapping) => mapping.table.find(name),
        }
    }

    /// Whether an event can do without the input having this field.
    pub(crate) fn has_default(&self, field: usize) -> bool {
        self.mapping().is_some_and(|mapping| mapping.defaults.iter().any(|(known, _)| *known == field))
    }

    /// A field, with the names that it is read from if these are others.
    pub(crate) fn described(&self, field: &'static str) -> String {
        match self.mapping().and_then(|mapping| mapping.other_names(field)) {
            Some(names) => format!("{field} (read from {names})"),
            None => field.to_owned(),
        }
    }
}

impl PartialEq for FieldMap {
    fn eq(&self, other: &FieldMap) -> bool {
        self.sources().eq(other.sources())
    }
}

impl Eq for FieldMap {}

impl Mapping {
    fn of(sources: BTreeMap<usize, FieldSource>) -> Mapping {
        let mut names = Vec::new();
        for (field, own_name) in FIELDS.iter().enumerate() {
            let listed = sources.get(&field).map(|source| source.names.as_slice()).unwrap_or_default();
            let own = listed.is_empty().then_some(*own_name);
            for (rank, name) in listed.iter().map(String::as_str).chain(own).enumerate() {
                names.push((name.as_bytes().to_vec(), Target { field: field as u8, rank: rank as u8 }));
            }
        }
        let id_names = names
            .iter()
            .filter(|(_, place)| usize::from(place.field) == ID)
            .map(|(name, _)| Finder::new(&[b"\"", name.as_slice(), b"\""].concat()).into_owned())
            .collect();
        let defaults =
            sources.iter().filter_map(|(field, source)| Some((*field, source.default.clone()?))).collect();
        Mapping { sources, table: NameTable::new(names), defaults, id_names }
    }

    /// Gives the fields that the record lacks their defaults.
    #[inline]
    pub fn fill<'a>(&'a self, fields: &mut Fields<'a>) {
        for (field, default) in &self.defaults {
            let value = &mut fields.values[*field];
            if matches!(value, RawValue::Absent) {
                // Text and number at once, whatever the format of the record.
                *value = RawValue::Cell(default);
            }
        }
    }

    /// Says by which names the field in error was looked for, where they are not its own.
    #[cold]
    pub fn explain(&self, mut error: EventError) -> EventError {
        let Some(field) = error.field else { return error };
        let alternative = (field == FIELDS[HOUR]).then_some(FIELDS[EVENT_TIME]);
        for field in [Some(field), alternative].into_iter().flatten() {
            if let Some(names) = self.other_names(field) {
                error.message += &format!("; {field} is read from {names}");
            }
        }
        error
    }

    /// The names that a field is read from, unless it is its own alone.
    fn other_names(&self, field: &str) -> Option<String> {
        let names = &self.sources.get(&field_index(field.as_bytes())?)?.names;
        (!names.is_empty() && *names != [field]).then(|| names.join(" or "))
    }
}

/// What a reader of JSON asks about the names that it meets.
pub(crate) trait Names: Copy {
    /// Where the value of a known name goes.
    type Target: Copy;
    /// Which name gave each value, as far as that matters.
    type Ranks: Default;

    /// The place of a name; none for an unknown one.
    fn place(self, name: &[u8]) -> Option<Self::Target>;

    /// Puts a value there.
    fn put<'a>(fields: &mut Fields<'a>, ranks: &mut Self::Ranks, place: Self::Target, value: RawValue<'a>);
}

/// Every field by its own name.
#[derive(Clone, Copy)]
pub(crate) struct Own;

impl Names for Own {
    type Target = usize;
    type Ranks = ();

    #[inline]
    fn place(self, name: &[u8]) -> Option<usize> {
        field_index(name)
    }

    #[inline]
    fn put<'a>(fields: &mut Fields<'a>, (): &mut (), place: usize, value: RawValue<'a>) {
        fields.values[place] = value;
    }
}

impl Names for &Mapping {
    type Target = Target;
    type Ranks = [u8; FIELD_COUNT];

    #[inline]
    fn place(self, name: &[u8]) -> Option<Target> {
        self.table.find(name)
    }

    /// Of several names of a field the first in its list that has a value counts; of a name that occurs
    /// twice the last value.
    #[inline]
    fn put<'a>(fields: &mut Fields<'a>, ranks: &mut [u8; FIELD_COUNT], place: Target, value: RawValue<'a>) {
        let known = &mut fields.values[usize::from(place.field)];
        let rank = &mut ranks[usize::from(place.field)];
        let is_known = !matches!(known, RawValue::Absent);
        let gives_way = is_known && (*rank < place.rank || (*rank > place.rank && value == RawValue::Absent));
        if !gives_way {
            *known = value;
            *rank = place.rank;
        }
    }
}

/// Whether a field holds numbers; all others hold text.
pub fn is_number_field(field: &str) -> bool {
    match field_index(field.as_bytes()) {
        Some(ID | HOUR | EVENT_TIME) | None => false,
        Some(index) => {
            index == CLICK || !(FIRST_TEXT..FIRST_TEXT + crate::TEXT_FIELDS.len()).contains(&index)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_in_the_order_of_their_places() {
        for (index, field) in FIELDS.iter().enumerate() {
            assert_eq!(field_index(field.as_bytes()), Some(index), "{field}");
        }
        let numbers: Vec<&str> = FIELDS.into_iter().filter(|field| is_number_field(field)).collect();
        assert_eq!(numbers[..4], ["click", "banner_pos", "device_type", "device_conn_type"]);
        assert_eq!(numbers[4..], crate::INT_FIELDS);
    }
}
