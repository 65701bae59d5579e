//! `manifest.json`, in short: what dbt's has of it that other programs read most.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::error::Result;
use crate::project::nodes::Detail;
use crate::project::{Node, Project};
use crate::results::{RunResults, write_json};

impl Project {
    /// Writes `manifest.json` into a folder, whole or not at all.
    ///
    /// # Errors
    /// [`crate::TransformError::File`].
    pub fn write_manifest(&self, folder: &Path, run: &RunResults) -> Result<()> {
        write_json(&folder.join("manifest.json"), &self.manifest(run))
    }

    fn manifest(&self, run: &RunResults) -> Value {
        let mut nodes = Map::new();
        let mut unit_tests = Map::new();
        for node in &self.nodes {
            let into = if node.kind() == "unit_test" { &mut unit_tests } else { &mut nodes };
            into.insert(node.id.clone(), self.node_json(node));
        }
        let sources: Map<String, Value> = self
            .sources
            .iter()
            .map(|source| {
                let json = json!({
                    "unique_id": source.id, "source_name": source.source, "name": source.name, "resource_type": "source",
                    "schema": source.relation.schema, "identifier": source.relation.name,
                    "description": source.description, "tags": source.tags,
                    "original_file_path": &*source.place.file,
                });
                (source.id.clone(), json)
            })
            .collect();
        json!({
            "metadata": {
                "dbt_schema_version": "https://schemas.getdbt.com/dbt/manifest/v12.json",
                "dbt_version": concat!("adpipe ", env!("CARGO_PKG_VERSION")),
                "project_name": self.name,
                "invocation_id": run.run_id,
                "generated_at": format!("{}Z", run.started_at.replace(' ', "T")),
            },
            "nodes": nodes,
            "sources": sources,
            "unit_tests": unit_tests,
        })
    }

    fn node_json(&self, node: &Node) -> Value {
        let mut depends_on: Vec<&str> =
            node.depends_on.iter().map(|parent| self.nodes[*parent].id.as_str()).collect();
        depends_on.extend(node.reads.iter().map(|source| self.sources[*source].id.as_str()));
        let columns: Map<String, Value> = node
            .columns()
            .iter()
            .map(|column| {
                let json = json!({
                    "name": column.name, "description": column.description.trim(), "data_type": column.data_type,
                });
                (column.name.clone(), json)
            })
            .collect();
        let (attached, column, severity) = match &node.detail {
            Detail::DataTest(test) => {
                let severity = if test.config.warns_only { "WARN" } else { "ERROR" };
                (test.attached.as_deref(), test.column.as_deref(), Some(severity))
            }
            _ => (None, None, None),
        };
        json!({
            "unique_id": node.id, "name": node.name, "resource_type": node.kind(), "package_name": self.name,
            "original_file_path": &*node.place.file, "fqn": node.path, "tags": node.tags,
            "description": node.description, "columns": columns,
            "config": {"materialized": node.made_as(), "severity": severity},
            "depends_on": {"nodes": depends_on},
            "schema": node.relation().map(|relation| &relation.schema),
            "alias": node.relation().map(|relation| &relation.name),
            "attached_node": attached, "column_name": column,
        })
    }
}
