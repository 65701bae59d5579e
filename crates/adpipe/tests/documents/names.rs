//! What documents name in running text: keys of the configuration, tables, metrics, other documents.

use std::collections::BTreeSet;
use std::path::Path;

use adpipe_event::FIELDS;

use crate::common::Folder;
use crate::shell::repository;
use crate::{documents, name};

/// Names that look like a key and are not: of files, of a report, of Kafka's topics.
const NO_KEYS: [&str; 7] = [
    "log.db",
    "stream.lock",
    "alerts.toml",
    "archive.unreadable_hours",
    "archive.unnamed",
    "retention.ms",
    "retention.bytes",
];

/// Each `…` outside of fences, with its line from 1.
fn spans(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut in_fence = false;
    for (index, line) in text.lines().enumerate() {
        in_fence ^= line.trim_start().starts_with("```");
        if !in_fence {
            found.extend(line.split('`').skip(1).step_by(2).map(|span| (index + 1, span)));
        }
    }
    found
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// `section.key` of every key in adpipe.toml.
fn keys() -> (BTreeSet<String>, BTreeSet<String>) {
    let text = std::fs::read_to_string(repository().join("adpipe.toml")).unwrap();
    let (mut sections, mut keys, mut section) = (BTreeSet::new(), BTreeSet::new(), String::new());
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            name.clone_into(&mut section);
            sections.insert(section.clone());
        } else if let Some((key, _)) = line.split_once(" = ").filter(|(key, _)| is_word(key)) {
            keys.insert(format!("{section}.{key}"));
        }
    }
    (sections, keys)
}

#[test]
fn every_key_that_the_documents_name_exists() {
    let (sections, keys) = keys();
    assert!(keys.len() > 50, "{}", keys.len());
    let (mut unknown, mut count) = (Vec::new(), 0);
    for path in documents() {
        let text = std::fs::read_to_string(&path).unwrap();
        for (line, span) in spans(&text) {
            let bare = span.split(" = ").next().unwrap_or_default();
            let is_key = bare.split_once('.').is_some_and(|(section, key)| {
                is_word(key) && sections.contains(section) && !NO_KEYS.contains(&bare)
            });
            let variable = bare.split('=').next().unwrap_or_default().strip_prefix("ADPIPE_");
            let of_variable = variable.and_then(|name| name.split_once("__"));
            let named = match of_variable {
                Some((section, key)) => format!("{}.{}", section.to_lowercase(), key.to_lowercase()),
                None if is_key => bare.to_owned(),
                None => continue,
            };
            count += 1;
            let is_secret = ["token", "password", "webhook", "secret", "session_token", "kafka__"];
            // The keys of this table are the fields of an event.
            let field = named.strip_prefix("event.fields__");
            let is_field =
                field.is_some_and(|field| FIELDS.iter().any(|own| own.eq_ignore_ascii_case(field)));
            let is_known =
                keys.contains(&named) || is_field || is_secret.iter().any(|word| named.contains(word));
            if !is_known {
                unknown.push(format!("{}:{line}: {span}", name(&path)));
            }
        }
    }
    println!("{count} keys are named");
    assert!(count > 80 && unknown.is_empty(), "{count}\n{}", unknown.join("\n"));
}

#[test]
fn every_table_that_the_documents_name_exists() {
    let folder = Folder::new();
    folder.generate("events.ndjson", &["--rows", "100"]);
    folder.run(&["ingest", "--wait", "events.ndjson"]);
    folder.run(&["transform", "build"]);
    let (mut tables, mut unknown) = (BTreeSet::new(), Vec::new());
    for path in documents() {
        let text = std::fs::read_to_string(&path).unwrap();
        for (line, span) in spans(&text) {
            let mut parts = span.split('.');
            let (Some(schema), Some(table)) = (parts.next(), parts.next()) else { continue };
            if !["realtime", "errors", "ops", "analytics"].contains(&schema)
                || !is_word(table)
                || table == "db"
            {
                continue;
            }
            let columns = parts.next().filter(|column| is_word(column)).unwrap_or("*");
            if tables.insert(format!("{schema}.{table}.{columns}")) {
                let sql = format!("select {columns} from {schema}.{table} limit 0");
                if !folder.adpipe(&["sql", &sql]).output().unwrap().status.success() {
                    unknown.push(format!("{}:{line}: {span}", name(&path)));
                }
            }
        }
    }
    println!("{} tables and columns are named", tables.len());
    assert!(tables.len() > 30 && unknown.is_empty(), "{}\n{}", tables.len(), unknown.join("\n"));
}

#[test]
fn every_metric_that_the_documents_name_exists() {
    let metrics = std::fs::read_to_string(repository().join("docs/METRICS.md")).unwrap();
    // A test of the crate compares this table with what is exported.
    let known: BTreeSet<&str> =
        metrics.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    assert!(known.len() > 30, "{}", known.len());
    let mut unknown = Vec::new();
    for path in documents() {
        let text = std::fs::read_to_string(&path).unwrap();
        for (index, line) in text.lines().enumerate() {
            for word in line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
                let is_metric = word.starts_with("adpipe_")
                    && !["adpipe_writer", "adpipe_reader", "adpipe_monitor", "adpipe_defaults"]
                        .contains(&word);
                let base = ["_bucket", "_sum", "_count"]
                    .iter()
                    .find_map(|end| word.strip_suffix(end).filter(|base| known.contains(base)))
                    .unwrap_or(word);
                if is_metric && !known.contains(base) {
                    unknown.push(format!("{}:{}: {word}", name(&path), index + 1));
                }
            }
        }
    }
    assert!(unknown.is_empty(), "{}", unknown.join("\n"));
}

/// The anchors of a document's headings, as GitHub makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    headings
        .map(|line| line.trim_start_matches('#').trim().to_lowercase())
        .map(|heading| heading.chars().filter(kept).map(|c| if c == ' ' { '-' } else { c }).collect())
        .collect()
}

#[test]
fn every_link_of_the_documents_leads_somewhere() {
    let mut broken = Vec::new();
    for path in documents() {
        let text = std::fs::read_to_string(&path).unwrap();
        for (index, line) in text.lines().enumerate() {
            for link in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                if link.contains("://") || link.contains(' ') {
                    continue;
                }
                let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
                let target = match file {
                    "" => path.clone(),
                    file => path.parent().unwrap_or(Path::new("")).join(file),
                };
                let is_there = target.exists();
                let leads = match anchor {
                    "" => is_there,
                    _ => is_there && anchors(&std::fs::read_to_string(&target).unwrap()).contains(anchor),
                };
                if !leads {
                    broken.push(format!("{}:{}: {link}", name(&path), index + 1));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}
