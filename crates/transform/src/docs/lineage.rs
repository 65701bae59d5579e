//! The lineage as a picture: sources left, models to the right of what they are made of.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::project::Project;

const BOX_WIDTH: usize = 210;
const BOX_HEIGHT: usize = 30;
const GAP_X: usize = 70;
const GAP_Y: usize = 14;
const MARGIN: usize = 10;

/// Anything that is drawn.
struct Drawn {
    title: String,
    kind: &'static str,
    link: String,
    parents: Vec<usize>,
}

/// An SVG whose colours come from the page.
pub(super) fn svg(project: &Project) -> String {
    let boxes = boxes(project);
    let rows = rows_by_column(&boxes);
    let place = places(&boxes, &rows);
    let width = rows.len() * (BOX_WIDTH + GAP_X) + 2 * MARGIN - GAP_X.min(rows.len() * GAP_X);
    let tallest = rows.values().map(Vec::len).max().unwrap_or(0);
    let height = tallest * (BOX_HEIGHT + GAP_Y) + 2 * MARGIN;
    let mut out = format!(
        "<svg class=\"lineage\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" \
         aria-label=\"Dependencies\">\n"
    );
    for (index, drawn) in boxes.iter().enumerate() {
        let (x, y) = place[index];
        for parent in &drawn.parents {
            let (from_x, from_y) = (place[*parent].0 + BOX_WIDTH, place[*parent].1 + BOX_HEIGHT / 2);
            let (to_x, to_y) = (x, y + BOX_HEIGHT / 2);
            let middle = (from_x + to_x) / 2;
            let _ = writeln!(
                out,
                "<path class=\"edge\" d=\"M{from_x} {from_y} C{middle} {from_y} {middle} {to_y} {to_x} {to_y}\"/>"
            );
        }
    }
    for (index, drawn) in boxes.iter().enumerate() {
        let (x, y) = place[index];
        let title = escaped(&drawn.title);
        let shown = if drawn.title.chars().count() > 27 {
            format!("{}…", escaped(&drawn.title.chars().take(26).collect::<String>()))
        } else {
            title.clone()
        };
        let _ = writeln!(
            out,
            "<a href=\"#{}\"><g class=\"node {}\"><title>{title} ({})</title><rect x=\"{x}\" y=\"{y}\" width=\"{BOX_WIDTH}\" \
             height=\"{BOX_HEIGHT}\" rx=\"5\"/><text x=\"{}\" y=\"{}\">{shown}</text></g></a>",
            escaped(&drawn.link),
            drawn.kind,
            drawn.kind,
            x + 10,
            y + BOX_HEIGHT / 2 + 4,
        );
    }
    out.push_str("</svg>");
    out
}

/// The boxes of each column, behind those of their parents.
fn rows_by_column(boxes: &[Drawn]) -> BTreeMap<usize, Vec<usize>> {
    let mut column = vec![0; boxes.len()];
    // As often as there are boxes is enough: the project has no cycles.
    for _ in 0..boxes.len() {
        for (index, drawn) in boxes.iter().enumerate() {
            let behind = drawn.parents.iter().map(|parent| column[*parent] + 1).max().unwrap_or(0);
            column[index] = column[index].max(behind);
        }
    }
    let mut rows: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (index, column) in column.iter().enumerate() {
        rows.entry(*column).or_default().push(index);
    }
    rows
}

fn boxes(project: &Project) -> Vec<Drawn> {
    let used = |index: &usize| project.nodes.iter().any(|node| !node.is_test() && node.reads.contains(index));
    let sources: Vec<usize> = (0..project.sources.len()).filter(used).collect();
    let tables: Vec<usize> =
        (0..project.nodes.len()).filter(|node| !project.nodes[*node].is_test()).collect();
    let source_at = |index: usize| sources.iter().position(|source| *source == index);
    let table_at =
        |index: usize| tables.iter().position(|table| *table == index).map(|at| sources.len() + at);
    let mut boxes: Vec<Drawn> = Vec::new();
    for &index in &sources {
        let source = &project.sources[index];
        let title = format!("{}.{}", source.source, source.name);
        boxes.push(Drawn { link: title.clone(), title, kind: "source", parents: Vec::new() });
    }
    for &index in &tables {
        let node = &project.nodes[index];
        let above = node.depends_on.iter().filter_map(|parent| table_at(*parent));
        let parents = node.reads.iter().filter_map(|source| source_at(*source)).chain(above).collect();
        boxes.push(Drawn {
            link: node.name.clone(),
            title: node.name.clone(),
            kind: node.made_as(),
            parents,
        });
    }
    for exposure in &project.exposures {
        let above = exposure.depends_on.iter().filter_map(|parent| table_at(*parent));
        let parents = exposure.reads.iter().filter_map(|source| source_at(*source)).chain(above).collect();
        boxes.push(Drawn {
            link: "exposures".to_owned(),
            title: exposure.label.clone(),
            kind: "exposure",
            parents,
        });
    }
    boxes
}

/// Each column sorted by where its parents lie, so that fewer lines cross.
fn places(boxes: &[Drawn], rows: &BTreeMap<usize, Vec<usize>>) -> Vec<(usize, usize)> {
    let mut place = vec![(0, 0); boxes.len()];
    for (column, members) in rows {
        let mut members = members.clone();
        let middle = |index: usize| {
            let parents = &boxes[index].parents;
            parents.iter().map(|parent| place[*parent].1).sum::<usize>() / parents.len().max(1)
        };
        members.sort_by_key(|index| (middle(*index), *index));
        for (row, index) in members.into_iter().enumerate() {
            place[index] = (MARGIN + column * (BOX_WIDTH + GAP_X), MARGIN + row * (BOX_HEIGHT + GAP_Y));
        }
    }
    place
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
