//! `adpipe transform ls` and `show`.

use std::process::ExitCode;

use adpipe_transform::Project;
use adpipe_transform::project::Node;
use adpipe_warehouse::{Value, Warehouse};
use serde_json::json;

use super::Workspace;
use crate::cli::transform::{TransformListArgs, TransformShowArgs};
use crate::config::Config;
use crate::{output, project};

/// What the project consists of.
pub fn list(config: &Config, args: &TransformListArgs) -> anyhow::Result<ExitCode> {
    let project = project::without_data(config)?;
    let nodes = adpipe_transform::list(&project, &args.select, &args.exclude)?;
    if args.json {
        output::json(&nodes.iter().map(|node| as_json(node)).collect())?;
        return Ok(ExitCode::SUCCESS);
    }
    let row = |node: &&Node| {
        let made_as = if node.is_test() { "" } else { node.made_as() };
        vec![
            node.kind().replace('_', " "),
            node.name.clone(),
            made_as.to_owned(),
            node.tags.join(", "),
            node.place.to_string(),
        ]
    };
    let rows: Vec<Vec<String>> = nodes.iter().map(row).collect();
    output::line(&output::table(&["kind", "name", "made as", "tags", "file"], &[], &rows))?;
    Ok(ExitCode::SUCCESS)
}

fn as_json(node: &Node) -> serde_json::Value {
    json!({
        "id": node.id, "name": node.name, "kind": node.kind(), "made_as": node.made_as(),
        "tags": node.tags, "description": node.description, "file": node.place.to_string(),
    })
}

/// The statement of one node and, when asked, the first rows that it gives.
pub fn show(config: Config, args: &TransformShowArgs) -> anyhow::Result<ExitCode> {
    let workspace = Workspace::open(config, false)?;
    let warehouse = workspace.warehouse.as_ref();
    let project = Project::load(&workspace.files()?, &workspace.target, "")?;
    let (node, sql) = adpipe_transform::statement(warehouse, &project, &args.name)?;
    let found = args.rows.map(|rows| first_rows(warehouse, &sql, rows)).transpose()?;
    if args.json {
        let mut value = as_json(node);
        value["sql"] = sql.into();
        if let Some((columns, rows)) = found {
            let rows: Vec<Vec<String>> =
                rows.iter().map(|row| row.iter().map(Value::to_string).collect()).collect();
            value["columns"] = columns.into();
            value["rows"] = json!(rows);
        }
        output::json(&value)?;
        return Ok(ExitCode::SUCCESS);
    }
    output::line(&format!("-- {} {}, {}", node.kind().replace('_', " "), node.name, node.place))?;
    output::line(&sql)?;
    let Some((columns, rows)) = found else { return Ok(ExitCode::SUCCESS) };
    if rows.is_empty() {
        output::line("\n(no rows)")?;
        return Ok(ExitCode::SUCCESS);
    }
    let header: Vec<&str> = columns.iter().map(String::as_str).collect();
    let is_number: Vec<bool> = rows[0].iter().map(|value| value.as_f64().is_some()).collect();
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(Value::to_string).collect()).collect();
    output::line(&format!("\n{}", output::table(&header, &is_number, &rows)))?;
    Ok(ExitCode::SUCCESS)
}

/// Columns and rows of a result.
type Rows = (Vec<String>, Vec<Vec<Value>>);

fn first_rows(warehouse: &dyn Warehouse, sql: &str, most: usize) -> anyhow::Result<Rows> {
    let mut rows: Vec<Vec<Value>> = Vec::new();
    let columns = warehouse.query(sql, &[], &mut |row| {
        let is_wanted = rows.len() < most;
        if is_wanted {
            rows.push(row.values().to_vec());
        }
        is_wanted
    })?;
    Ok((columns, rows))
}
