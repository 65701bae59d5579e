//! Runs a dbt project without Python.
//!
//! [`ProjectFiles`] reads the files (or the built-in project), [`Project::load`] turns them into
//! models, seeds and tests, and refuses what it does not understand, with file and line.
//! [`run`](run()) selects nodes, renders everything, and only then runs it: each model, seed and test in
//! its own transaction, in the order of their dependencies. [`history::keep`] stores the test results
//! in `ops`. [`dbt::run`] has the real dbt do the same and reads its results.
//! [`freshness`](freshness()) checks how old the sources are. [`list`] and [`statement`] show what a
//! project consists of, without running it.
//!
//! Open `run/mod.rs` first, then `project/parse.rs`. Templates are in `jinja/`.

mod compile;
mod csv;
mod ctes;
mod database;
pub mod dbt;
mod docs;
mod error;
mod files;
mod freshness;
mod graph;
pub mod history;
mod jinja;
pub mod project;
mod queries;
mod results;
mod run;
mod select;
mod target;
mod yaml;

pub use docs::page;
pub use error::{Place, Result, TransformError};
pub use files::ProjectFiles;
pub use freshness::{SourceFreshness, freshness};
pub use project::Project;
pub use queries::{list, statement};
pub use results::{NodeResult, ProjectTests, RunResults, Status};
pub use run::{Command, OnProgress, RunOptions, run};
pub use target::Target;
