//! How the fields of a source may be those of an event: a guess, by names that are alike and by values.
//!
//! Every pair of a field of ours and one of the input has a score. The best pair is taken, then the
//! best of what is left, and so on. What no name explains is looked for by its values, where these
//! leave no choice. A person looks at the outcome before it is used, so it errs on the side of saying
//! nothing.

mod alike;

use std::collections::BTreeMap;

use self::alike::{LEAST, name_score};
use crate::fields::{FIELDS, FieldMap, FieldSource};
use crate::raw::{CLICK, EVENT_TIME, FIELD_COUNT, FIRST_INT, FIRST_TEXT, HOUR, ID, field_index};
use crate::sample::{Sample, SampleField};

const DEVICE_IP: usize = FIRST_TEXT + 7;
const SITE_DOMAIN: usize = FIRST_TEXT + 1;

/// Fewer records than this say nothing by their values.
const FEWEST_RECORDS: u64 = 10;

/// Why a field is proposed as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// The mapping has it already.
    Present,
    /// Its name is alike.
    Name,
    /// Nothing else has such values.
    Values,
    /// The source has nothing like it.
    Nothing,
}

/// How one field may be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposed {
    /// Field of ours.
    pub field: &'static str,
    /// Where it may be read from.
    pub source: FieldSource,
    /// What the proposal rests on: a name, or values.
    pub basis: Basis,
    /// Which part of the values in the sample is valid for it; none where there are none.
    pub fit: Option<f64>,
}

/// How a source may be read.
#[derive(Debug, Clone, Default)]
pub struct Proposal {
    /// What `[event.fields]` may say, in the order of [`FIELDS`].
    pub fields: Vec<Proposed>,
    /// Fields without which no event is valid and that nothing in the sample looks like.
    pub open: Vec<&'static str>,
}

impl Proposal {
    /// Guesses; what `present` finds in the sample already stays as it is.
    pub fn of(sample: &Sample, present: &FieldMap) -> Proposal {
        let chosen = Choice::of(sample, present).chosen;
        let mut proposal = Proposal::default();
        let has_time = chosen.contains_key(&HOUR) || chosen.contains_key(&EVENT_TIME);
        for (field, name) in FIELDS.into_iter().enumerate() {
            let known = present.sources().find(|(known, _)| *known == name).map(|(_, source)| source);
            let is_time = matches!(field, HOUR | EVENT_TIME);
            match chosen.get(&field) {
                Some(choice) => proposal.fields.extend(proposed(field, choice, known, sample)),
                None if known.is_some_and(|source| source.default.is_some() || is_time && has_time) => {
                    let source = known.cloned().unwrap_or_default();
                    let basis = Basis::Present;
                    proposal.fields.push(Proposed { field: name, source, basis, fit: None });
                }
                None if field >= FIRST_INT || (is_time && (has_time || field == EVENT_TIME)) => {
                    if let Some(source) = known.cloned() {
                        proposal.fields.push(Proposed {
                            field: name,
                            source,
                            basis: Basis::Present,
                            fit: None,
                        });
                    }
                }
                None => match usual_default(field) {
                    Some(default) => {
                        let names = known.map(|source| source.names.clone()).unwrap_or_default();
                        let source = FieldSource { names, default: Some(default.to_owned()) };
                        proposal.fields.push(Proposed {
                            field: name,
                            source,
                            basis: Basis::Nothing,
                            fit: None,
                        });
                    }
                    None => {
                        proposal.open.push(name);
                        let entry =
                            |source| Proposed { field: name, source, basis: Basis::Present, fit: None };
                        proposal.fields.extend(known.cloned().map(entry));
                    }
                },
            }
        }
        proposal
    }

    /// The proposal as a map; none where it contradicts itself, which a guess may.
    pub fn map(&self) -> Option<FieldMap> {
        FieldMap::new(self.fields.iter().map(|field| (field.field, field.source.clone()))).ok()
    }
}

/// The entry for a field that was found; none where it is read so without an entry.
fn proposed(field: usize, choice: &Chosen, known: Option<&FieldSource>, sample: &Sample) -> Option<Proposed> {
    let found = sample.get(&choice.name)?;
    let mut source = known.cloned().unwrap_or_default();
    if choice.basis != Basis::Present && choice.name != FIELDS[field] {
        source.names.push(choice.name.clone());
    }
    let lacks_some = found.present < sample.records && field < FIRST_INT;
    if lacks_some && source.default.is_none() && choice.basis != Basis::Present {
        source.default = usual_default(field).map(str::to_owned);
    }
    if source == FieldSource::default() {
        return None;
    }
    Some(Proposed { field: FIELDS[field], source, basis: choice.basis, fit: Some(found.fit(field)) })
}

/// What may stand for a field that a source lacks; none where only a person can say.
fn usual_default(field: usize) -> Option<&'static str> {
    match field {
        ID | CLICK | HOUR | EVENT_TIME => None,
        text if (FIRST_TEXT..FIRST_INT).contains(&text) => Some("none"),
        code if code < FIRST_TEXT => Some("0"),
        _ => None,
    }
}

struct Chosen {
    name: String,
    basis: Basis,
}

struct Choice<'a> {
    sample: &'a Sample,
    chosen: BTreeMap<usize, Chosen>,
}

impl<'a> Choice<'a> {
    fn of(sample: &'a Sample, present: &FieldMap) -> Choice<'a> {
        let mut choice = Choice { sample, chosen: BTreeMap::new() };
        choice.keep(present);
        choice.by_names();
        choice.by_values();
        choice
    }

    /// Entries that the mapping has, where the sample has such a name.
    fn keep(&mut self, present: &FieldMap) {
        for (field, source) in present.sources() {
            let Some(index) = field_index(field.as_bytes()) else { continue };
            let names = present.names(field);
            let name = names.into_iter().find(|name| self.sample.has(name));
            if let Some(name) = name.filter(|_| !source.names.is_empty() || source.default.is_some()) {
                self.chosen.insert(index, Chosen { name: name.to_owned(), basis: Basis::Present });
            }
        }
    }

    fn by_names(&mut self) {
        let mut pairs = Vec::new();
        for (place, found) in self.sample.fields.iter().enumerate() {
            for field in 0..FIELD_COUNT {
                // Names that fit with values that do not may still be what is meant, if nothing is better.
                let weight = if found.present == 0 || found.fit(field) >= 0.5 { 1.0 } else { 0.5 };
                let score = name_score(&found.name, field) * weight;
                if score >= LEAST {
                    pairs.push((score, field, place));
                }
            }
        }
        pairs.sort_by(|one, other| other.0.total_cmp(&one.0).then((one.2, one.1).cmp(&(other.2, other.1))));
        for (_, field, place) in pairs {
            self.take(field, &self.sample.fields[place], Basis::Name);
        }
    }

    fn by_values(&mut self) {
        if self.sample.records < FEWEST_RECORDS {
            return;
        }
        let all = |part: f64| part >= 0.95;
        self.take_only(EVENT_TIME, |found| all(found.fit(EVENT_TIME)));
        self.take_only(DEVICE_IP, |found| all(found.part(found.addresses)));
        self.take_only(SITE_DOMAIN, |found| all(found.part(found.domains)));
        // Fewer clicks than impressions, and some.
        self.take_only(CLICK, |found| {
            found.fit(CLICK) == 1.0 && found.ones > 0 && found.ones * 2 < found.present
        });
        self.take_only(ID, |found| found.is_unique() && found.fit(ID) == 1.0 && !all(found.fit(EVENT_TIME)));
    }

    /// Takes the only field that is so, if it is the only one.
    fn take_only(&mut self, field: usize, is_so: impl Fn(&SampleField) -> bool) {
        let records = self.sample.records;
        let mut found = self
            .sample
            .fields
            .iter()
            .filter(|found| found.present * 2 > records && !self.is_taken(&found.name) && is_so(found));
        if let (Some(only), None) = (found.next(), found.next()) {
            self.take(field, only, Basis::Values);
        }
    }

    fn is_taken(&self, name: &str) -> bool {
        self.chosen.values().any(|chosen| chosen.name == name)
    }

    fn take(&mut self, field: usize, found: &SampleField, basis: Basis) {
        let mut field = field;
        if matches!(field, HOUR | EVENT_TIME) && found.name != FIELDS[field] {
            // One of the two is enough, and neither may be read from a field that only has its name.
            if self.chosen.contains_key(&HOUR) || self.chosen.contains_key(&EVENT_TIME) {
                return;
            }
            field = if self.sample.has(FIELDS[HOUR]) { HOUR } else { EVENT_TIME };
        }
        if !self.chosen.contains_key(&field) && !self.is_taken(&found.name) {
            self.chosen.insert(field, Chosen { name: found.name.clone(), basis });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proposal(lines: &[String], present: &FieldMap) -> Proposal {
        let mut sample = Sample::new();
        for line in lines {
            sample.add_json(line.as_bytes()).unwrap();
        }
        Proposal::of(&sample, present)
    }

    fn names(proposal: &Proposal) -> Vec<(&'static str, String)> {
        let shown = |proposed: &Proposed| match (&proposed.source.names[..], &proposed.source.default) {
            ([], Some(default)) => format!("={default}"),
            (names, None) => names.join("|"),
            (names, Some(default)) => format!("{}={default}", names.join("|")),
        };
        proposal.fields.iter().map(|proposed| (proposed.field, shown(proposed))).collect()
    }

    #[test]
    fn values_decide_where_names_do_not() {
        let lines: Vec<String> = (0..40)
            .map(|row| {
                format!(
                    "{{\"k\":\"e{row}\",\"f\":{},\"m\":\"2026-01-31T10:{row:02}:00Z\",\"a\":\"10.0.0.{}\",\
                     \"d\":\"{}.example.org\",\"n\":{}}}",
                    u8::from(row % 10 == 0),
                    row % 7,
                    row % 3,
                    row % 5
                )
            })
            .collect();
        let proposal = proposal(&lines, &FieldMap::default());
        let found = names(&proposal);
        for (field, expected) in
            [("id", "k"), ("click", "f"), ("event_time", "m"), ("device_ip", "a"), ("site_domain", "d")]
        {
            assert!(found.contains(&(field, expected.to_owned())), "{field}: {found:?}");
        }
        assert!(found.contains(&("app_id", "=none".to_owned())) && proposal.open.is_empty(), "{found:?}");
        assert!(proposal.map().is_some());
    }

    #[test]
    fn what_the_mapping_has_stays_and_is_added_to() {
        let present = FieldMap::new([
            ("click", FieldSource { names: vec!["clk".to_owned()], default: None }),
            ("id", FieldSource { names: vec!["old_id".to_owned()], default: None }),
        ])
        .unwrap();
        let lines = vec!["{\"clk\":1,\"event_id\":\"x\",\"hour\":13,\"ts\":\"2026-01-31\"}".to_owned()];
        let found = names(&proposal(&lines, &present));
        assert!(found.contains(&("click", "clk".to_owned())), "{found:?}");
        assert!(found.contains(&("id", "old_id|event_id".to_owned())), "{found:?}");
    }

    #[test]
    fn a_field_that_only_has_our_name_is_not_read() {
        let lines: Vec<String> =
            (0..20).map(|row| format!("{{\"hour\":{row},\"ts\":\"2026-01-31T00:00:{row:02}\"}}")).collect();
        let found = names(&proposal(&lines, &FieldMap::default()));
        assert!(found.contains(&("hour", "ts".to_owned())), "{found:?}");
    }
}
