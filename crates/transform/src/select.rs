//! `--select` and `--exclude`, as dbt reads them.

use std::collections::BTreeSet;

use crate::error::{Result, TransformError};
use crate::graph::{ancestors, descendants};
use crate::project::Project;
use crate::project::nodes::{Detail, TestBody};

/// The nodes that are asked for. Of several selectors each adds; `a,b` is what both choose; tests
/// of what is chosen are chosen, too.
///
/// # Errors
/// [`TransformError::Asked`] for a selector that is not understood, or chooses nothing.
pub(crate) fn select(project: &Project, select: &[String], exclude: &[String]) -> Result<BTreeSet<usize>> {
    let mut chosen =
        if select.is_empty() { (0..project.nodes.len()).collect() } else { union(project, select)? };
    for node in union(project, exclude)? {
        chosen.remove(&node);
    }
    Ok(chosen)
}

fn union(project: &Project, selectors: &[String]) -> Result<BTreeSet<usize>> {
    let mut chosen = BTreeSet::new();
    for selector in selectors.iter().flat_map(|selectors| selectors.split_whitespace()) {
        let mut of_all: Option<BTreeSet<usize>> = None;
        for part in selector.split(',').filter(|part| !part.is_empty()) {
            let found = one(project, part)?;
            of_all = Some(match of_all {
                Some(so_far) => so_far.intersection(&found).copied().collect(),
                None => found,
            });
        }
        chosen.extend(of_all.unwrap_or_default());
    }
    Ok(chosen)
}

fn one(project: &Project, selector: &str) -> Result<BTreeSet<usize>> {
    if selector.starts_with('@') {
        return Err(TransformError::Asked(format!(
            "--select {selector}: @ is not understood by this runner"
        )));
    }
    let (before, rest) = match selector.split_once('+') {
        Some((count, rest)) if count.is_empty() || count.bytes().all(|byte| byte.is_ascii_digit()) => {
            (Some(count), rest)
        }
        _ => (None, selector),
    };
    let (name, after) = match rest.rsplit_once('+') {
        Some((name, count)) if count.bytes().all(|byte| byte.is_ascii_digit()) => (name, Some(count)),
        _ => (rest, None),
    };
    let named: BTreeSet<usize> = matching(project, name)?;
    if named.is_empty() {
        return Err(TransformError::Asked(format!(
            "--select {selector}: there is nothing of this name in {}; names, tag:…, path:…, source:…, test_type:…",
            project.location
        )));
    }
    let depth = |count: &str| count.parse().unwrap_or(usize::MAX);
    let mut chosen = named.clone();
    if let Some(count) = before {
        chosen.extend(ancestors(project, &named, depth(count)));
    }
    if let Some(count) = after {
        chosen.extend(descendants(project, &named, depth(count)));
    }
    let is_touched = |index: &usize| {
        project.nodes[*index].is_test()
            && project.nodes[*index]
                .depends_on
                .iter()
                .any(|parent| is_owner(project, *index, *parent, &chosen))
    };
    let tests: Vec<usize> = (0..project.nodes.len()).filter(is_touched).collect();
    chosen.extend(tests);
    Ok(chosen)
}

/// A unit test belongs to its model only, a data test to all that it reads.
fn is_owner(project: &Project, test: usize, parent: usize, chosen: &BTreeSet<usize>) -> bool {
    let node = &project.nodes[test];
    chosen.contains(&parent) && (node.kind() != "unit_test" || node.depends_on.first() == Some(&parent))
}

fn matching(project: &Project, name: &str) -> Result<BTreeSet<usize>> {
    let (method, value) = match name.split_once(':') {
        Some((method, value)) => (method, value),
        None if name.contains('/') || name.ends_with(".sql") || name.ends_with(".csv") => ("path", name),
        None => ("fqn", name),
    };
    let matches = |index: usize| {
        let node = &project.nodes[index];
        Some(match method {
            "fqn" => is_named(&node.path, &node.name, value),
            "tag" => node.tags.iter().any(|tag| like(tag, value)),
            "path" | "file" => {
                let file = &*node.place.file;
                let folder = value.trim_end_matches('/').trim_start_matches("./");
                file == folder
                    || file.starts_with(&format!("{folder}/"))
                    || file.rsplit('/').next() == Some(folder)
            }
            "resource_type" => node.kind() == value,
            "test_type" => is_test_of_type(&node.detail, value),
            "test_name" => matches!(&node.detail, Detail::DataTest(test)
                if matches!(&test.body, TestBody::Generic { macro_name, .. } if macro_name.strip_prefix("test_") == Some(value))),
            "config.materialized" => node.made_as() == value,
            "source" => node.reads.iter().any(|source| {
                let source = &project.sources[*source];
                like(&source.source, value) || like(&format!("{}.{}", source.source, source.name), value)
            }),
            _ => return None,
        })
    };
    let mut found = BTreeSet::new();
    for index in 0..project.nodes.len() {
        match matches(index) {
            Some(true) => drop(found.insert(index)),
            Some(false) => {}
            None => {
                return Err(TransformError::Asked(format!(
                    "--select {method}: is not understood by this runner, which knows tag, path, source, resource_type, \
                     test_type, test_name, config.materialized"
                )));
            }
        }
    }
    Ok(found)
}

fn is_test_of_type(detail: &Detail, wanted: &str) -> bool {
    match (detail, wanted) {
        (Detail::UnitTest(_), "unit") | (Detail::DataTest(_), "data") => true,
        (Detail::DataTest(test), "generic") => matches!(test.body, TestBody::Generic { .. }),
        (Detail::DataTest(test), "singular") => matches!(test.body, TestBody::Singular { .. }),
        _ => false,
    }
}

/// Its name, or folders on the way to it, with or without the project's name before them.
fn is_named(path: &[String], name: &str, wanted: &str) -> bool {
    if like(name, wanted) {
        return true;
    }
    let wanted: Vec<&str> = wanted.split('.').collect();
    let begins = |path: &[String]| {
        path.len() >= wanted.len() && path.iter().zip(&wanted).all(|(part, wanted)| like(part, wanted))
    };
    begins(path) || path.get(1..).is_some_and(begins)
}

/// `*` stands for anything.
fn like(text: &str, pattern: &str) -> bool {
    match pattern.split_once('*') {
        None => text == pattern,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|tail| {
            tail.char_indices().map(|(at, _)| &tail[at..]).chain([""]).any(|tail| like(tail, rest))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::like;

    #[test]
    fn stars_stand_for_anything() {
        for (text, pattern, verdict) in [
            ("mart_x", "mart_*", true),
            ("mart_x", "*x", true),
            ("mart_x", "m*t*", true),
            ("mart_x", "art*", false),
            ("a", "a", true),
            ("", "*", true),
        ] {
            assert_eq!(like(text, pattern), verdict, "{text} {pattern}");
        }
    }
}
