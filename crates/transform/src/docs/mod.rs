//! The documentation: one page that needs nothing but itself, and `manifest.json`.

mod lineage;
mod manifest;

use std::collections::BTreeMap;

use adpipe_event::Millis;
use adpipe_warehouse::Warehouse;
use minijinja::value::Value;
use minijinja::{Environment, context};

use crate::database::all_columns;
use crate::error::{Result, TransformError};
use crate::history::{Newest, newest};
use crate::project::nodes::Detail;
use crate::project::{Column, Node, Project};

const PAGE: &str = include_str!("page.html");

/// The page: models, columns, tests with their newest results, sources, exposures, lineage.
///
/// # Errors
/// The warehouse's, of which types and results are asked.
pub fn page(warehouse: &dyn Warehouse, project: &Project) -> Result<String> {
    let columns = all_columns(warehouse)?;
    let results = newest(warehouse)?;
    let mut environment = Environment::new();
    environment.add_template("page.html", PAGE).map_err(broken)?;
    let tables: Vec<Value> =
        (0..project.nodes.len()).filter_map(|index| table(project, index, &columns, &results)).collect();
    let sources: Vec<Value> =
        project.sources.iter().map(|source| self::source(project, source, &results)).collect();
    let exposures: Vec<Value> = project
        .exposures
        .iter()
        .map(|exposure| {
            context! {
                label => exposure.label.clone(), kind => exposure.kind.clone(), description => exposure.description.clone(), url => exposure.url.clone(),
                uses => exposure.depends_on.iter().map(|node| project.nodes[*node].name.clone()).collect::<Vec<_>>(),
            }
        })
        .collect();
    let others: Vec<Value> = project
        .nodes
        .iter()
        .filter(|node| matches!(&node.detail, Detail::DataTest(test) if test.attached.is_none()))
        .map(|node| test(node, &results))
        .collect();
    let all: Vec<&Newest> = project.nodes.iter().filter_map(|node| results.get(&node.id)).collect();
    let bad = all.iter().filter(|result| result.status.is_bad()).count();
    let page = environment.get_template("page.html").and_then(|template| {
        template.render(context! {
            name => project.name.clone(),
            at => Millis::now().to_string().chars().take(19).collect::<String>(),
            warehouse => warehouse.location(),
            lineage => Value::from_safe_string(lineage::svg(project)),
            tables, sources, exposures,
            singular => others,
            tested => all.len(),
            bad,
            newest => all.iter().map(|result| result.at.clone()).max(),
        })
    });
    page.map_err(broken)
}

fn broken(error: minijinja::Error) -> TransformError {
    TransformError::Asked(format!("the page cannot be made: {error:#}"))
}

fn table(
    project: &Project,
    index: usize,
    types: &BTreeMap<String, Vec<(String, String)>>,
    results: &BTreeMap<String, Newest>,
) -> Option<Value> {
    let node = &project.nodes[index];
    if node.is_test() {
        return None;
    }
    let relation = node.relation()?;
    let made = types.get(&relation.name).map(Vec::as_slice).unwrap_or_default();
    let described = node.columns();
    let mut columns: Vec<Value> = Vec::new();
    for (name, data_type) in made {
        let known = described.iter().find(|column| column.name == *name);
        columns.push(column(project, node, name, data_type, known, results));
    }
    for known in described.iter().filter(|known| !made.iter().any(|(name, _)| *name == known.name)) {
        let data_type = known.data_type.as_deref().unwrap_or_default();
        columns.push(column(project, node, &known.name, data_type, Some(known), results));
    }
    let tests: Vec<Value> = tests_of(project, &node.id)
        .filter(|test| column_of(test).is_none())
        .map(|node| test(node, results))
        .collect();
    let names = |indices: &[usize]| -> Vec<String> {
        indices.iter().map(|node| project.nodes[*node].name.clone()).collect()
    };
    let used_by: Vec<usize> = (0..project.nodes.len())
        .filter(|other| !project.nodes[*other].is_test() && project.nodes[*other].depends_on.contains(&index))
        .collect();
    let reads: Vec<String> = node.reads.iter().map(|source| full_name(project, *source)).collect();
    Some(context! {
        name => node.name.clone(), made_as => node.made_as(), file => &*node.place.file, description => node.description.clone(),
        tags => node.tags.clone(), columns, tests, depends_on => names(&node.depends_on), reads, used_by => names(&used_by),
        sql => match &node.detail { Detail::Model(model) => Some(model.text.trim().to_owned()), _ => None },
        is_made => !made.is_empty() || node.is_ephemeral(),
    })
}

fn full_name(project: &Project, source: usize) -> String {
    format!("{}.{}", project.sources[source].source, project.sources[source].name)
}

fn source(project: &Project, source: &crate::project::Source, results: &BTreeMap<String, Newest>) -> Value {
    let columns: Vec<Value> = source
        .columns
        .iter()
        .map(|column| {
            let tests: Vec<Value> = tests_of(project, &source.id)
                .filter(|test| column_of(test) == Some(&column.name))
                .map(|node| test(node, results))
                .collect();
            context! { name => column.name.clone(), data_type => "", description => column.description.clone(), tests }
        })
        .collect();
    context! { name => format!("{}.{}", source.source, source.name), description => source.description.clone(), columns }
}

fn column(
    project: &Project,
    node: &Node,
    name: &str,
    data_type: &str,
    known: Option<&Column>,
    results: &BTreeMap<String, Newest>,
) -> Value {
    let tests: Vec<Value> = tests_of(project, &node.id)
        .filter(|test| column_of(test) == Some(name))
        .map(|node| test(node, results))
        .collect();
    let description = known.map(|column| column.description.trim()).unwrap_or_default();
    context! { name, data_type, description, tests }
}

fn tests_of<'p>(project: &'p Project, id: &'p str) -> impl Iterator<Item = &'p Node> {
    project.nodes.iter().filter(move |node| match &node.detail {
        Detail::DataTest(test) => test.attached.as_deref() == Some(id),
        Detail::UnitTest(_) => node.depends_on.first().is_some_and(|model| project.nodes[*model].id == id),
        _ => false,
    })
}

fn column_of(node: &Node) -> Option<&str> {
    match &node.detail {
        Detail::DataTest(test) => test.column.as_deref(),
        _ => None,
    }
}

fn test(node: &Node, results: &BTreeMap<String, Newest>) -> Value {
    let result = results.get(&node.id);
    context! {
        name => node.name.clone(), description => node.description.clone(), kind => node.kind().replace('_', " "),
        status => result.map_or("not run", |result| result.status.name()),
        failures => result.map(|result| result.failures),
        message => result.and_then(|result| result.message.clone()),
        at => result.map(|result| result.at.clone()),
    }
}
