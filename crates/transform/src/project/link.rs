//! Finds what each node refers to, once all are known.

use super::Project;
use super::nodes::{Detail, Exposure, Given};
use super::properties::AllProperties;
use crate::error::Result;
use crate::jinja::scope::Wanted;

/// Finds what each node refers to.
pub(super) fn link(project: &mut Project, wanted: Vec<Vec<(Wanted, usize)>>) -> Result<()> {
    for (index, wanted) in wanted.into_iter().enumerate() {
        let place = project.nodes[index].place.clone();
        for (wanted, line) in wanted {
            match &wanted {
                Wanted::Model(name) => match project.find_table(name) {
                    Some(found) => project.nodes[index].depends_on.push(found),
                    None => return Err(place.at(line).refuse(format!("there is no model or seed {name}"))),
                },
                Wanted::Source(source, table) => match project.find_source(source, table) {
                    Some(found) => project.nodes[index].reads.push(found),
                    None => {
                        return Err(place
                            .at(line)
                            .refuse(format!("there is no table {table} in the source {source}")));
                    }
                },
            }
        }
        check_unit_test(project, index)?;
    }
    Ok(())
}

fn check_unit_test(project: &Project, index: usize) -> Result<()> {
    let node = &project.nodes[index];
    let Detail::UnitTest(test) = &node.detail else { return Ok(()) };
    let model = project.find_table(&test.model).map(|model| &project.nodes[model].detail);
    match model {
        Some(Detail::Model(_)) => Ok(()),
        _ => Err(node.place.refuse(format!("{} is not a model", test.model))),
    }
}

pub(super) fn exposures(project: &Project, properties: &AllProperties) -> Result<Vec<Exposure>> {
    let mut exposures = Vec::new();
    for entry in &properties.exposures {
        let (mut depends_on, mut reads) = (Vec::new(), Vec::new());
        for (given, line) in &entry.depends_on {
            let missing = |name: &str| entry.place.at(*line).refuse(format!("there is no {name}"));
            match given {
                Given::Model(name) => depends_on.push(project.find_table(name).ok_or_else(|| missing(name))?),
                Given::Source(source, table) => {
                    reads.push(project.find_source(source, table).ok_or_else(|| missing(table))?);
                }
                Given::This => {}
            }
        }
        exposures.push(Exposure {
            name: entry.name.clone(),
            label: entry.label.clone(),
            kind: entry.kind.clone(),
            description: entry.description.trim().to_owned(),
            url: entry.url.clone(),
            depends_on,
            reads,
        });
    }
    Ok(exposures)
}
