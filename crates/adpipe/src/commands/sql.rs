//! `adpipe sql`: one statement, or a shell (`shell.rs`), within limits of time and memory, so that a
//! slip takes neither the machine nor the evening. `print.rs` writes what it gives.

mod describe;
mod memory;
mod parquet;
mod print;
mod shell;
mod statements;

use std::io::{IsTerminal, Read};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use adpipe_runtime::Shutdown;
use adpipe_warehouse::{QueryLimits, Warehouse, WarehouseError};
use anyhow::{Context, anyhow};

use self::memory::Guard;
use self::print::Printer;
use crate::cli::sql::{SqlArgs, TableFormat};
use crate::config::{Config, ConfigError, Size};
use crate::output;
use crate::signals;
use crate::warehouse_place::WarehousePlace;

/// Runs the statement and prints its rows as they come; without one, the shell.
pub fn run(config: Config, args: &SqlArgs) -> anyhow::Result<ExitCode> {
    let printer = Printer::of(args);
    if printer.format == TableFormat::Parquet && args.out.is_none() && std::io::stdout().is_terminal() {
        let message = "a Parquet file cannot be shown on a terminal: name a file with --out, or redirect";
        return Err(ConfigError::Flag(message.to_owned()).into());
    }
    let (time, memory) = limits(&config, args)?;
    let warehouse = open(&config)?;
    let statement = match args.statement.as_deref() {
        None => return shell::run(warehouse, printer, time, memory),
        Some("-") => standard_input().context("cannot read standard input")?,
        Some(statement) => statement.to_owned(),
    };
    let shutdown = Shutdown::new();
    let asked = shutdown.clone();
    let limits = QueryLimits { time, memory, is_unwanted: Arc::new(move || asked.is_triggered()) };
    signals::watch(&shutdown, signals::GRACE)?;
    let query = Query { warehouse: warehouse.as_ref(), statement: &statement, limits };
    match printer.print(&query) {
        Err(_) if shutdown.is_triggered() => {
            output::note("interrupted");
            Ok(signals::exit_code())
        }
        printed => printed.map(|()| ExitCode::SUCCESS),
    }
}

/// The warehouse alone: reading it makes no log where there is none.
fn open(config: &Config) -> anyhow::Result<Arc<dyn Warehouse>> {
    let place = WarehousePlace::of(config)?;
    place.must_have_data()?;
    place.open()
}

/// A statement, where it runs, and what it may take.
struct Query<'a> {
    warehouse: &'a dyn Warehouse,
    statement: &'a str,
    limits: QueryLimits,
}

impl Query<'_> {
    fn each_row(&self, on_row: &mut adpipe_warehouse::OnRow<'_>) -> anyhow::Result<Vec<String>> {
        let _guard = self.limits.memory.map(Guard::start);
        self.warehouse.query_within(self.statement, &self.limits, on_row).map_err(explain)
    }
}

/// Most time and memory, of the flags, else of the configuration; 0 is none.
fn limits(config: &Config, args: &SqlArgs) -> Result<(Option<Duration>, Option<u64>), ConfigError> {
    let time = match args.timeout.as_deref() {
        None => config.sql.timeout.0,
        Some("0") => Duration::ZERO,
        Some(text) => adpipe_runtime::span::duration(text).map_err(|error| {
            ConfigError::Flag(format!("--timeout {text}: {error}; write a time such as \"30s\" or \"5m\""))
        })?,
    };
    let memory = match args.memory.as_deref() {
        None => config.sql.memory,
        Some(text) => Size::parse(text).ok_or_else(|| {
            ConfigError::Flag(format!("--memory {text}: write a size such as \"512MiB\" or \"2GB\""))
        })?,
    };
    Ok((Some(time).filter(|time| !time.is_zero()), Some(memory.0).filter(|memory| *memory > 0)))
}

fn explain(error: WarehouseError) -> anyhow::Error {
    match error {
        WarehouseError::Statement(reason) if reason.contains("authoriz") => {
            anyhow!("adpipe sql only reads; this statement would change something ({reason})")
        }
        WarehouseError::Statement(reason) => anyhow!("the statement is wrong: {reason}"),
        WarehouseError::Stopped(reason) => anyhow!(
            "{reason}; ask for less, or raise the limit with --timeout or --memory (section [sql] of adpipe.toml)"
        ),
        other => other.into(),
    }
}

fn standard_input() -> std::io::Result<String> {
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes)?;
    adpipe_sql::text::decode(bytes)
}
