//! What a project consists of, and the statement of one of its nodes. Nothing is run.

use adpipe_warehouse::{Schema, Warehouse};

use crate::compile::compile;
use crate::database::{Catalog, Work};
use crate::error::{Result, TransformError};
use crate::project::nodes::Detail;
use crate::project::{Node, Project};
use crate::run::unit_test;
use crate::select::select as select_nodes;

/// The nodes that are asked for, all without a selector, in the order of the project.
///
/// # Errors
/// [`TransformError::Asked`] for a selector that is not understood, or chooses nothing.
pub fn list<'p>(project: &'p Project, select: &[String], exclude: &[String]) -> Result<Vec<&'p Node>> {
    Ok(select_nodes(project, select, exclude)?.into_iter().map(|index| &project.nodes[index]).collect())
}

/// A node, by its name or dbt's id, and the statement that it runs on the warehouse as it is now: a
/// model's `select`, the query whose rows are a test's failures, a unit test's model on what is given.
///
/// # Errors
/// [`TransformError::Asked`] when there is no such node, or it has no statement; or of the project or
/// the warehouse.
pub fn statement<'p>(
    warehouse: &dyn Warehouse,
    project: &'p Project,
    name: &str,
) -> Result<(&'p Node, String)> {
    let is_meant = |node: &Node| node.name == name || node.id == name;
    let index = project.nodes.iter().position(is_meant).ok_or_else(|| {
        TransformError::Asked(format!(
            "there is no model, seed or test named {name:?}; `adpipe transform ls` lists them"
        ))
    })?;
    let node = &project.nodes[index];
    if let Detail::Seed(seed) = &node.detail {
        return Ok((node, format!("select * from {}", seed.relation)));
    }
    let mut steps = compile(project, &[index].into(), &Catalog::read(warehouse)?, false)?;
    let Some(step) = steps.remove(&index) else {
        let message = format!("{name} is ephemeral: it becomes a part of the statements that use it");
        return Err(TransformError::Asked(message));
    };
    let Detail::UnitTest(test) = &node.detail else { return Ok((node, step.sql)) };
    let mut session = warehouse.session(Schema::Analytics)?;
    let mut work = Work { transaction: session.begin()?, dialect: warehouse.dialect() };
    let sql = unit_test::statement(&mut work, project, test, &step.sql)
        .map_err(|failure| TransformError::Asked(format!("{name}: {failure}")))?;
    Ok((node, sql))
}
