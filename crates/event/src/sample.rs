//! What the fields of some records hold, as far as it shows which fields of an event they are.

use std::collections::{HashMap, HashSet};

use crate::EventError;
use crate::csv::{each_cell, header_names};
use crate::json::each_member;
use crate::raw::{BANNER_POS, CLICK, EVENT_TIME, FIELD_COUNT, FIRST_INT, FIRST_TEXT, HOUR, ID, RawValue};
use crate::validate::check_value;
use crate::{FieldMap, HeaderError};

/// One field of each rule: what is valid for it is valid for all of its kind.
const KINDS: [usize; 6] = [ID, CLICK, HOUR, BANNER_POS, FIRST_TEXT, FIRST_INT];

/// Some records of a source, field by field.
#[derive(Debug, Default)]
pub struct Sample {
    pub(crate) records: u64,
    /// In the order in which they were met.
    pub(crate) fields: Vec<SampleField>,
    by_name: HashMap<String, usize>,
    /// Names of a CSV file's columns.
    columns: Vec<String>,
}

/// One field of the input.
#[derive(Debug, Default)]
pub(crate) struct SampleField {
    pub name: String,
    /// Records that have a value for it.
    pub present: u64,
    /// Values that are valid for each of [`KINDS`].
    fits: [u64; KINDS.len()],
    distinct: HashSet<String>,
    /// Values that are 1.
    pub ones: u64,
    pub addresses: u64,
    pub domains: u64,
}

impl Sample {
    /// Nothing yet.
    pub fn new() -> Sample {
        Sample::default()
    }

    /// The header line of a CSV file, before its rows.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn set_header(&mut self, header: &[u8]) -> Result<(), HeaderError> {
        self.columns = header_names(header)?.1;
        for name in self.columns.clone() {
            self.field(&name);
        }
        Ok(())
    }

    /// Takes note of a JSON object.
    ///
    /// # Errors
    /// When it cannot be read as one.
    pub fn add_json(&mut self, payload: &[u8]) -> Result<(), EventError> {
        let mut members = Vec::new();
        each_member(payload, |name, value, rewritten| {
            members.push((name.to_owned(), Noted::of(&value, rewritten)));
        })?;
        self.add(members);
        Ok(())
    }

    /// Takes note of a row of CSV.
    ///
    /// # Errors
    /// When it cannot be read, or has more or fewer cells than the header.
    pub fn add_csv(&mut self, line: &[u8]) -> Result<(), EventError> {
        let text = std::str::from_utf8(line).map_err(|_| EventError::parse("not valid UTF-8"))?;
        let mut cells = Vec::new();
        each_cell(text, &mut String::new(), |cell, rewritten| cells.push(Noted::of(&cell, rewritten)))?;
        if cells.len() != self.columns.len() {
            return Err(EventError::parse("the row and the header differ in their number of cells"));
        }
        self.add(self.columns.clone().into_iter().zip(cells).collect());
        Ok(())
    }

    /// Records that were noted.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Names of the input that are not read by a map, in the order in which they were met.
    pub fn unread(&self, map: &FieldMap) -> Vec<&str> {
        let names = self.fields.iter().map(|field| field.name.as_str());
        names.filter(|name| map.field_of(name).is_none()).collect()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&SampleField> {
        self.by_name.get(name).map(|index| &self.fields[*index])
    }

    fn add(&mut self, members: Vec<(String, Option<Noted>)>) {
        self.records += 1;
        for (name, value) in members {
            let field = self.field(&name);
            if let Some(value) = value {
                field.note(value);
            }
        }
    }

    fn field(&mut self, name: &str) -> &mut SampleField {
        let index = *self.by_name.entry(name.to_owned()).or_insert(self.fields.len());
        if index == self.fields.len() {
            self.fields.push(SampleField { name: name.to_owned(), ..SampleField::default() });
        }
        &mut self.fields[index]
    }
}

/// A value, and which rules it keeps.
struct Noted {
    text: String,
    fits: [bool; KINDS.len()],
}

impl Noted {
    /// None for a value that is absent.
    fn of(value: &RawValue<'_>, rewritten: &str) -> Option<Noted> {
        let text = match value {
            RawValue::Absent => return None,
            RawValue::Text(text) | RawValue::Number(text) | RawValue::Cell(text) => (*text).to_owned(),
            RawValue::RewrittenText(range) | RawValue::RewrittenCell(range) => {
                rewritten[range.clone()].to_owned()
            }
            RawValue::Other(kind) => (*kind).to_owned(),
        };
        Some(Noted { text, fits: KINDS.map(|field| check_value(field, value, rewritten).is_ok()) })
    }
}

impl SampleField {
    fn note(&mut self, value: Noted) {
        self.present += 1;
        for (count, fits) in self.fits.iter_mut().zip(value.fits) {
            *count += u64::from(fits);
        }
        self.ones += u64::from(value.text == "1");
        let is_address = value.text.parse::<std::net::IpAddr>().is_ok();
        self.addresses += u64::from(is_address);
        self.domains += u64::from(!is_address && is_domain(&value.text));
        self.distinct.insert(value.text);
    }

    /// Which part of its values is valid for a field of ours; 0 when it has none.
    pub fn fit(&self, field: usize) -> f64 {
        debug_assert!(field < FIELD_COUNT);
        let kind = match field {
            ID => 0,
            CLICK => 1,
            HOUR | EVENT_TIME => 2,
            code if code < FIRST_TEXT => 3,
            text if text < FIRST_INT => 4,
            _ => 5,
        };
        self.part(self.fits[kind])
    }

    pub fn part(&self, count: u64) -> f64 {
        if self.present == 0 { 0.0 } else { count as f64 / self.present as f64 }
    }

    /// Whether no value came twice.
    pub fn is_unique(&self) -> bool {
        self.distinct.len() as u64 == self.present
    }
}

/// `news.example.org`: labels with letters, and a dot between them.
fn is_domain(text: &str) -> bool {
    let mut labels = text.split('.');
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let last = labels.next_back().unwrap_or_default();
    let has_more = text.contains('.') && labels.all(is_label);
    has_more && last.len() >= 2 && last.bytes().all(|byte| byte.is_ascii_alphabetic())
}
