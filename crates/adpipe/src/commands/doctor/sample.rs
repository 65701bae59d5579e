//! `adpipe doctor --sample FILE`: how the fields of a source may be read, and what would be valid then.

mod input;
mod report;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use adpipe_event::{CsvColumns, FieldMap, Millis, Parser, Proposal, Rules, Sample};
use anyhow::bail;

use crate::config::Config;
use input::Input;

/// Records whose values are compared with the rules of every field.
const COMPARED_RECORDS: usize = 1_000;

/// What becomes of the records of a file by one mapping.
struct Judged {
    valid: u64,
    /// Why others are in error, the commonest cause first: how many, and the first such message.
    causes: Vec<(u64, String)>,
}

impl Judged {
    fn invalid(&self) -> u64 {
        self.causes.iter().map(|(count, _)| count).sum()
    }
}

/// Looks at the file. Exit code 1 when none of its records would be valid, not even with the proposal.
pub fn run(config: &Config, file: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let input = Input::read(file, config.ingest.max_record_size.bytes())?;
    if input.records.is_empty() {
        bail!("{}: it contains no record", file.display());
    }
    let present = config.event.fields.map();
    let sample = sampled(&input)?;
    let proposal = Proposal::of(&sample, present);
    // A guess that contradicts itself is none.
    let map = proposal.map().unwrap_or_else(|| present.clone());
    let judged = |fields: &FieldMap| judge(&input, &Rules { fields: fields.clone(), ..config.event_rules() });
    let findings = report::Findings {
        file: file.display().to_string(),
        input: &input,
        proposal: &proposal,
        is_new: map != *present,
        unread: sample.unread(&map),
        present: judged(present),
        proposed: judged(&map),
    };
    let is_hopeless = findings.proposed.valid == 0 && findings.present.valid == 0;
    report::print(&findings, json)?;
    Ok(if is_hopeless { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn sampled(input: &Input) -> anyhow::Result<Sample> {
    let mut sample = Sample::new();
    if let Some(header) = &input.header {
        sample.set_header(header)?;
    }
    for record in input.records.iter().take(COMPARED_RECORDS) {
        // What cannot be read says nothing about fields; it is counted when records are judged.
        let _ = match input.header {
            Some(_) => sample.add_csv(record),
            None => sample.add_json(record),
        };
    }
    Ok(sample)
}

fn judge(input: &Input, rules: &Rules) -> Judged {
    let columns = match input.header.as_ref().map(|header| CsvColumns::parse_by(header, &rules.fields)) {
        // Nothing of such a file is taken.
        Some(Err(error)) => {
            return Judged { valid: 0, causes: vec![(input.records.len() as u64, error.to_string())] };
        }
        columns => columns.and_then(Result::ok),
    };
    let mut parser = Parser::new(rules.clone());
    let now = Millis::now();
    let mut valid = 0;
    let mut causes: BTreeMap<(&str, Option<&str>), (u64, String)> = BTreeMap::new();
    for record in &input.records {
        let parsed = match &columns {
            Some(columns) => parser.parse_csv(columns, record, now),
            None => parser.parse_json(record, now),
        };
        match parsed {
            Ok(_) => valid += 1,
            Err(error) => {
                let cause = causes.entry((error.error_type.as_str(), error.field));
                cause.or_insert((0, error.message)).0 += 1;
            }
        }
    }
    let mut causes: Vec<(u64, String)> = causes.into_values().collect();
    causes.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    Judged { valid, causes }
}
