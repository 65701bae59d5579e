//! What was found about a file, for people (the table to paste is TOML) and machines.

use adpipe_event::{Basis, Format, Proposal, Proposed};
use serde_json::{Value, json};

use super::Judged;
use super::input::Input;
use crate::config::Written;
use crate::output;

/// Causes that are listed, at most.
const SHOWN_CAUSES: usize = 5;

pub struct Findings<'a> {
    pub file: String,
    pub input: &'a Input,
    pub proposal: &'a Proposal,
    /// Whether the proposal differs from what is configured.
    pub is_new: bool,
    /// Names of the input that are not read with the proposal.
    pub unread: Vec<&'a str>,
    pub present: Judged,
    pub proposed: Judged,
}

pub fn print(findings: &Findings<'_>, as_json: bool) -> anyhow::Result<()> {
    let table = table(findings.proposal);
    if as_json {
        return output::json(&to_json(findings, &table));
    }
    let Findings { file, input, present, proposed, .. } = findings;
    let count = input.records.len() as u64;
    let first = if input.is_complete { "" } else { "the first " };
    output::line(&format!(
        "{file}: {first}{} of {}",
        output::counted(count, "record"),
        format_name(input.format)
    ))?;
    if !findings.is_new {
        print_judged("with the current [event.fields]", present)?;
        return output::line("there is nothing to add to [event.fields]");
    }
    output::line("")?;
    output::line(
        "# For adpipe.toml. A field with names is read from these alone; add its own name where another source has it.",
    )?;
    for line in table.lines() {
        output::line(line)?;
    }
    output::line("")?;
    if !findings.unread.is_empty() {
        output::line(&format!("not read: {}", findings.unread.join(", ")))?;
    }
    print_judged("with the current [event.fields]", present)?;
    print_judged("with the proposed [event.fields]", proposed)
}

fn print_judged(how: &str, judged: &Judged) -> anyhow::Result<()> {
    let (valid, invalid) = (output::grouped(judged.valid), output::grouped(judged.invalid()));
    output::line(&format!("{how}: {valid} valid, {invalid} invalid"))?;
    for (count, message) in judged.causes.iter().take(SHOWN_CAUSES) {
        output::line(&format!("  {:>7}  {message}", output::grouped(*count)))?;
    }
    Ok(())
}

/// The table of the proposal as TOML, with why each line is there.
fn table(proposal: &Proposal) -> String {
    let mut text = "[event.fields]\n".to_owned();
    let entries: Vec<(String, String)> =
        proposal.fields.iter().map(|proposed| (entry(proposed), reason(proposed))).collect();
    let width = entries.iter().map(|(entry, _)| entry.chars().count()).max().unwrap_or(0);
    for (entry, reason) in entries {
        text += &format!("{entry:width$}  # {reason}\n");
    }
    for field in &proposal.open {
        text += &format!("# {field}: no field of the sample looks like it; {}\n", advice(field));
    }
    text
}

fn entry(proposed: &Proposed) -> String {
    // As it is written in the file, names before the default.
    let value = match toml::Value::try_from(Written(proposed.source.clone())) {
        Ok(toml::Value::Table(table)) => {
            let keys = ["names", "default"].into_iter();
            let parts: Vec<String> =
                keys.filter_map(|key| table.get(key).map(|value| format!("{key} = {value}"))).collect();
            format!("{{ {} }}", parts.join(", "))
        }
        Ok(value) => value.to_string(),
        Err(_) => String::new(),
    };
    format!("{} = {value}", proposed.field)
}

fn reason(proposed: &Proposed) -> String {
    let because = match proposed.basis {
        Basis::Present => "as it is",
        Basis::Name => "by its name",
        Basis::Values => "by its values: please check",
        Basis::Nothing => return "no field of the source looks like it".to_owned(),
    };
    match proposed.fit {
        Some(fit) if fit < 1.0 => format!("{because}; {:.1} % of its values are valid", fit * 100.0),
        _ => because.to_owned(),
    }
}

fn advice(field: &str) -> &'static str {
    match field {
        "id" => "every event needs one of its own",
        "click" => "if the source has impressions only, write click = { default = 0 }",
        _ => "every event needs a time",
    }
}

fn to_json(findings: &Findings<'_>, table: &str) -> Value {
    let fields: serde_json::Map<String, Value> = findings
        .proposal
        .fields
        .iter()
        .map(|proposed| {
            let basis = match proposed.basis {
                Basis::Present => "present",
                Basis::Name => "name",
                Basis::Values => "values",
                Basis::Nothing => "nothing",
            };
            let Proposed { source, fit, .. } = proposed;
            let value =
                json!({"names": source.names, "default": source.default, "basis": basis, "valid_share": fit});
            (proposed.field.to_owned(), value)
        })
        .collect();
    json!({
        "file": findings.file,
        "format": format_name(findings.input.format),
        "records": findings.input.records.len(),
        "is_complete": findings.input.is_complete,
        "toml": table,
        "is_new": findings.is_new,
        "fields": fields,
        "open": findings.proposal.open,
        "not_read": findings.unread,
        "present": judged_json(&findings.present),
        "proposed": judged_json(&findings.proposed),
    })
}

fn judged_json(judged: &Judged) -> Value {
    let causes: Vec<Value> =
        judged.causes.iter().map(|(count, message)| json!({"records": count, "message": message})).collect();
    json!({"valid": judged.valid, "invalid": judged.invalid(), "causes": causes})
}

fn format_name(format: Format) -> &'static str {
    match format {
        Format::Ndjson => "NDJSON",
        Format::JsonArray => "JSON",
        Format::Csv => "CSV",
    }
}
