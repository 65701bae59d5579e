//! `adpipe sql`: within limits of time and memory, so that a slip takes neither the machine nor the
//! evening.

mod memory;

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use adpipe_stream::shutdown::Shutdown;
use adpipe_warehouse::{QueryLimits, Value, WarehouseError};
use anyhow::{Context, anyhow, bail};

use self::memory::Guard;
use crate::cli::sql::{SqlArgs, TableFormat};
use crate::config::{Config, ConfigError, Size};
use crate::output;
use crate::output::csv::Cells;
use crate::services::Services;
use crate::signals;

/// Rows, and bytes of them, that a table on the screen shows; CSV and JSON show all.
const TABLE_ROWS: usize = 10_000;
const TABLE_BYTES: usize = 16 << 20;

/// Runs the statement and prints its rows as they come.
pub fn run(config: Config, args: &SqlArgs) -> anyhow::Result<ExitCode> {
    let format = if args.json { TableFormat::Json } else { args.format };
    let shutdown = Shutdown::new();
    let limits = limits(&config, args, &shutdown)?;
    let statement = match args.statement.as_str() {
        "-" => std::io::read_to_string(std::io::stdin()).context("cannot read standard input")?,
        statement => statement.to_owned(),
    };
    let services = Services::open_to_look(config)?;
    signals::watch(&shutdown, signals::GRACE)?;
    let _guard = limits.memory.map(Guard::start);
    let query = Query { services: &services, statement: &statement, limits };
    let printed = match format {
        TableFormat::Table => print_table(&query),
        TableFormat::Csv => {
            let cells = if args.exact { Cells::Exact } else { Cells::Harmless };
            stream_rows(&query, &mut |out, columns, values, is_first| {
                write_csv_row(out, cells, columns, values, is_first)
            })
        }
        TableFormat::Json => stream_rows(&query, &mut write_json_row),
    };
    match printed {
        Err(_) if shutdown.is_triggered() => {
            output::note("interrupted");
            Ok(signals::exit_code())
        }
        printed => printed.map(|()| ExitCode::SUCCESS),
    }
}

/// A statement, where it runs, and what it may take.
struct Query<'a> {
    services: &'a Services,
    statement: &'a str,
    limits: QueryLimits,
}

impl Query<'_> {
    fn each_row(&self, on_row: &mut adpipe_warehouse::OnRow<'_>) -> anyhow::Result<Vec<String>> {
        self.services.warehouse.query_within(self.statement, &self.limits, on_row).map_err(explain)
    }
}

/// The limits of the flags, else of the configuration; 0 is none.
fn limits(config: &Config, args: &SqlArgs, shutdown: &Shutdown) -> Result<QueryLimits, ConfigError> {
    let time = match args.timeout.as_deref() {
        None => config.sql.timeout.0,
        Some("0") => Duration::ZERO,
        Some(text) => humantime::parse_duration(text).map_err(|error| {
            ConfigError::Flag(format!("--timeout {text}: {error}; write a time such as \"30s\" or \"5m\""))
        })?,
    };
    let memory = match args.memory.as_deref() {
        None => config.sql.memory,
        Some(text) => Size::parse(text).ok_or_else(|| {
            ConfigError::Flag(format!("--memory {text}: write a size such as \"512MiB\" or \"2GB\""))
        })?,
    };
    let shutdown = shutdown.clone();
    Ok(QueryLimits {
        time: Some(time).filter(|time| !time.is_zero()),
        memory: Some(memory.0).filter(|memory| *memory > 0),
        is_unwanted: Arc::new(move || shutdown.is_triggered()),
    })
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

fn print_table(query: &Query<'_>) -> anyhow::Result<()> {
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut is_number: Vec<bool> = Vec::new();
    let (mut more, mut bytes) = (false, 0);
    let columns = query.each_row(&mut |_, values| {
        if rows.is_empty() {
            is_number = values.iter().map(|value| value.as_f64().is_some()).collect();
        }
        if rows.len() == TABLE_ROWS || bytes > TABLE_BYTES {
            more = true;
            return false;
        }
        let row: Vec<String> = values.iter().map(Value::to_string).collect();
        bytes += row.iter().map(String::len).sum::<usize>();
        rows.push(row);
        true
    })?;
    if rows.is_empty() {
        return output::line("(no rows)");
    }
    let header: Vec<&str> = columns.iter().map(String::as_str).collect();
    output::line(&output::table(&header, &is_number, &rows))?;
    if more {
        let shown = output::grouped(rows.len() as u64);
        output::note(&format!("only the first {shown} rows are shown; --format csv shows all"));
    }
    Ok(())
}

/// Writes one row; the last argument says that it is the first. Without values it is the end.
type WriteRow<'a> = dyn FnMut(&mut dyn Write, &[String], Option<&[Value]>, bool) -> std::io::Result<()> + 'a;

fn stream_rows(query: &Query<'_>, write_row: &mut WriteRow<'_>) -> anyhow::Result<()> {
    let mut out = output::results();
    let mut is_first = true;
    let mut failure: Option<std::io::Error> = None;
    let result = query.each_row(&mut |columns, values| {
        failure = write_row(&mut out, columns, Some(values), is_first).err();
        is_first = false;
        failure.is_none()
    });
    if let Some(error) = failure {
        bail!(error);
    }
    match result {
        Ok(columns) => write_row(&mut out, &columns, None, is_first)?,
        Err(error) => {
            // What came before it is shown.
            out.flush()?;
            return Err(error);
        }
    }
    out.flush()?;
    Ok(())
}

fn write_csv_row(
    out: &mut dyn Write,
    cells: Cells,
    columns: &[String],
    values: Option<&[Value]>,
    is_first: bool,
) -> std::io::Result<()> {
    if is_first {
        let names: Vec<String> = columns.iter().map(|name| cells.text(name)).collect();
        writeln!(out, "{}", names.join(","))?;
    }
    let Some(values) = values else { return Ok(()) };
    let row: Vec<String> = values.iter().map(|value| cells.cell(value)).collect();
    writeln!(out, "{}", row.join(","))
}

fn write_json_row(
    out: &mut dyn Write,
    columns: &[String],
    values: Option<&[Value]>,
    is_first: bool,
) -> std::io::Result<()> {
    let Some(values) = values else {
        return writeln!(out, "{}", if is_first { "[]" } else { "\n]" });
    };
    let object: serde_json::Map<String, serde_json::Value> =
        columns.iter().cloned().zip(values.iter().map(json_value)).collect();
    write!(out, "{}  {}", if is_first { "[\n" } else { ",\n" }, serde_json::Value::Object(object))
}

fn json_value(value: &Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Int(number) => (*number).into(),
        Value::Real(number) => (*number).into(),
        Value::Text(text) => text.as_str().into(),
        Value::Blob(_) => value.to_string().into(),
    }
}
