//! Renders everything that is to be done, before any of it is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::value::Value;

use crate::ctes::{Cte, inject};
use crate::database::Catalog;
use crate::error::Result;
use crate::jinja::relation::Relation;
use crate::jinja::scope::{Scope, Wanted};
use crate::project::nodes::{DataTest, Detail, Given, Model, UnitTest};
use crate::project::{Materialized, Node, Project};

/// A node with its statement.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub node: usize,
    /// The whole statement; of a unit test the model's, without what it is given.
    pub sql: String,
    /// For an incremental model: whether this run adds to what is there.
    pub is_incremental: bool,
}

/// The steps for these nodes, by node.
pub(crate) fn compile(
    project: &Project,
    chosen: &BTreeSet<usize>,
    catalog: &Catalog,
    full_refresh: bool,
) -> Result<BTreeMap<usize, Step>> {
    let mut compiler = Compiler { project, catalog, full_refresh, parts: BTreeMap::new() };
    let mut steps = BTreeMap::new();
    for &node in chosen {
        if let Some(step) = compiler.step(node)? {
            steps.insert(node, step);
        }
    }
    Ok(steps)
}

struct Compiler<'c> {
    project: &'c Project,
    catalog: &'c Catalog,
    full_refresh: bool,
    /// Ephemeral models as far as they are rendered, each with those that it needs before it.
    parts: BTreeMap<usize, Vec<Cte>>,
}

impl Compiler<'_> {
    fn step(&mut self, index: usize) -> Result<Option<Step>> {
        let project = self.project;
        let node = &project.nodes[index];
        let mut is_incremental = false;
        let sql = match &node.detail {
            Detail::Seed(_) => String::new(),
            Detail::Model(model) if model.config.materialized == Materialized::Ephemeral => {
                self.part(index)?;
                return Ok(None);
            }
            Detail::Model(model) => {
                is_incremental = self.is_incremental(model);
                let (sql, ctes) = self.model(node, model, is_incremental)?;
                inject(&sql, &ctes)
            }
            Detail::DataTest(test) => {
                let (sql, ctes) = self.data_test(node, test)?;
                inject(&sql, &ctes)
            }
            Detail::UnitTest(test) => self.unit_test(node, test)?,
        };
        let mut sql = sql.trim().to_owned();
        while let Some(rest) = sql.strip_suffix(';') {
            sql = rest.trim_end().to_owned();
        }
        if sql.is_empty() && !matches!(node.detail, Detail::Seed(_)) {
            return Err(node.place.refuse(format!("{} renders to nothing", node.name)));
        }
        Ok(Some(Step { node: index, sql, is_incremental }))
    }

    fn is_incremental(&self, model: &Model) -> bool {
        model.config.materialized == Materialized::Incremental
            && self.catalog.is_table(&model.relation)
            && !model.config.full_refresh.unwrap_or(self.full_refresh)
    }

    fn model(&mut self, node: &Node, model: &Model, is_incremental: bool) -> Result<(String, Vec<Cte>)> {
        let (scope, used) = self.scope(model.settings.to_values(), &model.relation, is_incremental);
        let (room, _) = self.project.templates.enter(scope);
        let sql = room.render(&node.place, &model.text)?;
        let ctes = self.parts_of(&used)?;
        Ok((sql, ctes))
    }

    fn data_test(&mut self, node: &Node, test: &DataTest) -> Result<(String, Vec<Cte>)> {
        let mut settings = test.settings.to_values();
        settings.insert("store_failures".to_owned(), Value::from(test.config.store_failures));
        let (scope, used) = self.scope(settings, &test.relation, false);
        let (room, _) = self.project.templates.enter(scope);
        let sql = test.sql(&room, &node.place)?;
        let ctes = self.parts_of(&used)?;
        Ok((sql, ctes))
    }

    /// The model of a unit test, reading from what the test gives instead of from tables.
    fn unit_test(&self, node: &Node, test: &UnitTest) -> Result<String> {
        let index = node.depends_on.first().copied().unwrap_or_default();
        let tested = &self.project.nodes[index];
        let Detail::Model(model) = &tested.detail else {
            return Err(node.place.refuse(format!("{} is not a model", test.model)));
        };
        let given: Vec<Given> = test.given.iter().map(|(given, _)| given.clone()).collect();
        let name = node.name.clone();
        let resolve = move |wanted: &Wanted| {
            let wanted = match wanted {
                Wanted::Model(name) => Given::Model(name.clone()),
                Wanted::Source(source, table) => Given::Source(source.clone(), table.clone()),
            };
            if given.contains(&wanted) {
                Ok(Value::from(given_name(&wanted, "")))
            } else {
                Err(format!("the unit test {name} gives no rows of {}", describe(&wanted)))
            }
        };
        let mut vars: BTreeMap<String, Value> = (*self.project.vars).clone();
        vars.extend(test.var_overrides.iter().cloned());
        let mut overrides: BTreeMap<String, Value> = test.macro_overrides.iter().cloned().collect();
        let is_incremental = overrides.remove("is_incremental").is_some_and(|value| value.is_true());
        let gives_this = test.given.iter().any(|(given, _)| *given == Given::This);
        let scope = Scope {
            this: if gives_this {
                Value::from(given_name(&Given::This, &model.relation.name))
            } else {
                model.relation.to_value()
            },
            resolve: Box::new(resolve),
            is_incremental,
            config: Mutex::new(model.settings.to_values()),
            said: Mutex::default(),
            vars: Arc::new(vars),
            overrides,
        };
        let (room, _) = self.project.templates.enter(scope);
        room.render(&tested.place, &model.text)
    }

    fn scope(
        &self,
        config: BTreeMap<String, Value>,
        this: &Relation,
        is_incremental: bool,
    ) -> (Scope, Arc<Mutex<Vec<usize>>>) {
        let used = Arc::new(Mutex::new(Vec::new()));
        let noted = used.clone();
        // Templates may outlive this borrow as far as the compiler knows: what they need is copied.
        let mut tables: BTreeMap<Wanted, (Value, Option<usize>)> = BTreeMap::new();
        for (index, node) in self.project.nodes.iter().enumerate() {
            let Some(relation) = node.relation().filter(|_| !node.is_test()) else { continue };
            let found = if node.is_ephemeral() {
                (Value::from(cte_name(&node.name)), Some(index))
            } else {
                (relation.to_value(), None)
            };
            tables.insert(Wanted::Model(node.name.clone()), found);
        }
        for source in &self.project.sources {
            let wanted = Wanted::Source(source.source.clone(), source.name.clone());
            tables.insert(wanted, (source.relation.to_value(), None));
        }
        let resolve = move |wanted: &Wanted| {
            let (value, part) = tables.get(wanted).ok_or_else(|| {
                format!(
                    "{wanted:?} was not seen when the project was read; name it outside of conditions, too"
                )
            })?;
            if let Some(part) = part {
                noted.lock().unwrap_or_else(PoisonError::into_inner).push(*part);
            }
            Ok(value.clone())
        };
        let scope = Scope {
            this: this.to_value(),
            resolve: Box::new(resolve),
            is_incremental,
            config: Mutex::new(config),
            ..Scope::bare(self.project.vars.clone())
        };
        (scope, used)
    }

    fn parts_of(&mut self, used: &Arc<Mutex<Vec<usize>>>) -> Result<Vec<Cte>> {
        let used = std::mem::take(&mut *used.lock().unwrap_or_else(PoisonError::into_inner));
        let mut all: Vec<Cte> = Vec::new();
        for part in used {
            for cte in self.part(part)? {
                if !all.iter().any(|known| known.name == cte.name) {
                    all.push(cte);
                }
            }
        }
        Ok(all)
    }

    /// An ephemeral model, after those that it needs.
    fn part(&mut self, index: usize) -> Result<Vec<Cte>> {
        if let Some(done) = self.parts.get(&index) {
            return Ok(done.clone());
        }
        let project = self.project;
        let node = &project.nodes[index];
        let Detail::Model(model) = &node.detail else { return Ok(Vec::new()) };
        let (sql, mut ctes) = self.model(node, model, false)?;
        ctes.push(Cte { name: cte_name(&node.name), sql: sql.trim().trim_end_matches(';').to_owned() });
        self.parts.insert(index, ctes.clone());
        Ok(ctes)
    }
}

/// What dbt calls an ephemeral model in statements.
fn cte_name(name: &str) -> String {
    format!("__dbt__cte__{name}")
}

/// The name under which a unit test's rows can be read.
pub(crate) fn given_name(given: &Given, this: &str) -> String {
    match given {
        Given::Model(name) => cte_name(name),
        Given::Source(source, table) => cte_name(&format!("{source}__{table}")),
        Given::This => cte_name(&format!("this__{this}")),
    }
}

fn describe(given: &Given) -> String {
    match given {
        Given::Model(name) => format!("ref('{name}')"),
        Given::Source(source, table) => format!("source('{source}', '{table}')"),
        Given::This => "this".to_owned(),
    }
}
