//! What a project consists of.

use minijinja::value::Value;

use super::settings::{Materialized, Settings, TableConfig, TestConfig};
use crate::error::Place;
use crate::freshness::Freshness;
use crate::jinja::relation::Relation;
use crate::yaml::Yaml;

/// A model, seed, data test or unit test.
#[derive(Debug, Clone)]
pub struct Node {
    /// dbt's id: `model.adpipe.stg_events`.
    pub id: String,
    /// As queries refer to it.
    pub name: String,
    /// Its file, and its line there.
    pub place: Place,
    /// What it is for.
    pub description: String,
    /// Tags.
    pub tags: Vec<String>,
    /// Project, folders, name.
    pub path: Vec<String>,
    /// What it is made of: indices into [`super::Project::nodes`].
    pub depends_on: Vec<usize>,
    /// Indices into [`super::Project::sources`].
    pub reads: Vec<usize>,
    pub(crate) detail: Detail,
}

#[derive(Debug, Clone)]
pub(crate) enum Detail {
    Model(Model),
    Seed(Seed),
    DataTest(DataTest),
    UnitTest(UnitTest),
}

/// A `select` that becomes a table or view.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    pub text: String,
    pub config: TableConfig,
    pub settings: Settings,
    pub columns: Vec<Column>,
    pub relation: Relation,
}

/// A CSV file that becomes a table.
#[derive(Debug, Clone)]
pub(crate) struct Seed {
    pub text: String,
    pub config: TableConfig,
    pub columns: Vec<Column>,
    pub relation: Relation,
}

/// A statement whose rows are failures.
#[derive(Debug, Clone)]
pub(crate) struct DataTest {
    pub body: TestBody,
    pub config: TestConfig,
    pub settings: Settings,
    /// The model, seed or source that it belongs to, by id.
    pub attached: Option<String>,
    pub column: Option<String>,
    /// Where failing rows are kept.
    pub relation: Relation,
}

#[derive(Debug, Clone)]
pub(crate) enum TestBody {
    /// A file.
    Singular { text: String },
    /// A macro and what it is called with; the model apart, as it may be filtered.
    Generic { macro_name: String, model: ModelArgument, arguments: Vec<(String, Yaml)> },
}

#[derive(Debug, Clone)]
pub(crate) enum ModelArgument {
    Model(String),
    Source(String, String),
}

/// A model run on given rows.
#[derive(Debug, Clone)]
pub(crate) struct UnitTest {
    pub model: String,
    pub given: Vec<(Given, Rows)>,
    pub expect: Rows,
    pub macro_overrides: Vec<(String, Value)>,
    pub var_overrides: Vec<(String, Value)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Given {
    Model(String),
    Source(String, String),
    This,
}

/// Rows of a unit test: column and value, or a statement.
#[derive(Debug, Clone)]
pub(crate) enum Rows {
    Values(Vec<Vec<(String, Yaml)>>),
    Sql(String),
}

/// A described column.
#[derive(Debug, Clone, Default)]
pub struct Column {
    /// As in the table.
    pub name: String,
    /// What it holds.
    pub description: String,
    /// Its type, where a contract says one.
    pub data_type: Option<String>,
    /// A contract's `not null`.
    pub not_null: bool,
}

/// A table that others write.
#[derive(Debug, Clone)]
pub struct Source {
    /// dbt's id: `source.adpipe.realtime.events`.
    pub id: String,
    /// The group of tables.
    pub source: String,
    /// The table.
    pub name: String,
    /// Where it is described.
    pub place: Place,
    /// What it holds.
    pub description: String,
    /// Tags.
    pub tags: Vec<String>,
    /// Columns that the properties describe.
    pub columns: Vec<Column>,
    pub(crate) relation: Relation,
    pub(crate) freshness: Option<Freshness>,
}

/// Something that uses the models: a dashboard.
#[derive(Debug, Clone)]
pub struct Exposure {
    /// As in the project; unique.
    pub name: String,
    /// What dashboards call it.
    pub label: String,
    /// dashboard, notebook, analysis, ml or application.
    pub kind: String,
    /// What it is for.
    pub description: String,
    /// Where it is.
    pub url: Option<String>,
    /// Indices of nodes.
    pub depends_on: Vec<usize>,
    /// Indices of sources.
    pub reads: Vec<usize>,
}

impl Node {
    /// `model`, `seed`, `test` or `unit_test`, as dbt calls them.
    pub fn kind(&self) -> &'static str {
        match self.detail {
            Detail::Model(_) => "model",
            Detail::Seed(_) => "seed",
            Detail::DataTest(_) => "test",
            Detail::UnitTest(_) => "unit_test",
        }
    }

    /// Whether it is a data test or a unit test.
    pub fn is_test(&self) -> bool {
        matches!(self.detail, Detail::DataTest(_) | Detail::UnitTest(_))
    }

    /// Its described columns.
    pub fn columns(&self) -> &[Column] {
        match &self.detail {
            Detail::Model(model) => &model.columns,
            Detail::Seed(seed) => &seed.columns,
            _ => &[],
        }
    }

    /// How it is made: `view`, `table`, `incremental`, `ephemeral`, `seed`, `test` or `unit`.
    pub fn made_as(&self) -> &'static str {
        match &self.detail {
            Detail::Model(model) => model.config.materialized.name(),
            Detail::Seed(_) => "seed",
            Detail::DataTest(_) => "test",
            Detail::UnitTest(_) => "unit",
        }
    }

    pub(crate) fn is_ephemeral(&self) -> bool {
        matches!(&self.detail, Detail::Model(model) if model.config.materialized == Materialized::Ephemeral)
    }

    /// The table or view that it makes.
    pub(crate) fn relation(&self) -> Option<&Relation> {
        match &self.detail {
            Detail::Model(model) => Some(&model.relation),
            Detail::Seed(seed) => Some(&seed.relation),
            Detail::DataTest(test) if test.config.store_failures => Some(&test.relation),
            _ => None,
        }
    }
}
