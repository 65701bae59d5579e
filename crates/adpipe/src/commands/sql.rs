//! `adpipe sql`.

use std::io::Write;

use adpipe_warehouse::{Value, WarehouseError};
use anyhow::{Context, anyhow, bail};

use crate::cli::{SqlArgs, TableFormat};
use crate::config::Config;
use crate::output;
use crate::services::Services;

/// Rows that a table on the screen shows; CSV and JSON show all.
const TABLE_ROWS: usize = 10_000;

/// Runs the statement and prints its rows as they come.
pub fn run(config: Config, args: &SqlArgs) -> anyhow::Result<()> {
    let format = if args.json { TableFormat::Json } else { args.format };
    let statement = match args.statement.as_str() {
        "-" => std::io::read_to_string(std::io::stdin()).context("cannot read standard input")?,
        statement => statement.to_owned(),
    };
    let services = Services::open_existing(config)?;
    match format {
        TableFormat::Table => print_table(&services, &statement),
        TableFormat::Csv => stream_rows(&services, &statement, false),
        TableFormat::Json => stream_rows(&services, &statement, true),
    }
}

fn explain(error: WarehouseError) -> anyhow::Error {
    match error {
        WarehouseError::Statement(reason) if reason.contains("authoriz") => {
            anyhow!("adpipe sql only reads; this statement would change something ({reason})")
        }
        WarehouseError::Statement(reason) => anyhow!("the statement is wrong: {reason}"),
        other => other.into(),
    }
}

fn print_table(services: &Services, statement: &str) -> anyhow::Result<()> {
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut is_number: Vec<bool> = Vec::new();
    let mut more = false;
    let result = services.warehouse.query(statement, &[], &mut |_, values| {
        if rows.is_empty() {
            is_number = values.iter().map(|value| value.as_f64().is_some()).collect();
        }
        if rows.len() == TABLE_ROWS {
            more = true;
            return false;
        }
        rows.push(values.iter().map(Value::to_string).collect());
        true
    });
    let columns = result.map_err(explain)?;
    if rows.is_empty() {
        return output::line("(no rows)");
    }
    let header: Vec<&str> = columns.iter().map(String::as_str).collect();
    output::line(&output::table(&header, &is_number, &rows))?;
    if more {
        eprintln!("only the first {TABLE_ROWS} rows are shown; --format csv shows all");
    }
    Ok(())
}

fn stream_rows(services: &Services, statement: &str, json: bool) -> anyhow::Result<()> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut written = 0u64;
    let mut failure: Option<std::io::Error> = None;
    let result = services.warehouse.query(statement, &[], &mut |columns, values| {
        let outcome = match json {
            true => write_json_row(&mut out, columns, values, written == 0),
            false => write_csv_row(&mut out, columns, values, written == 0),
        };
        written += 1;
        failure = outcome.err();
        failure.is_none()
    });
    let columns = result.map_err(explain)?;
    if let Some(error) = failure {
        bail!(error);
    }
    if !json && written == 0 {
        write_csv_header(&mut out, &columns)?;
    }
    if json {
        writeln!(out, "{}", if written == 0 { "[]" } else { "\n]" })?;
    }
    out.flush()?;
    Ok(())
}

fn write_csv_row(
    out: &mut impl Write,
    columns: &[String],
    values: &[Value],
    is_first: bool,
) -> std::io::Result<()> {
    if is_first {
        write_csv_header(out, columns)?;
    }
    let cells: Vec<String> = values.iter().map(|value| csv_cell(&value.to_string())).collect();
    writeln!(out, "{}", cells.join(","))
}

fn write_csv_header(out: &mut impl Write, columns: &[String]) -> std::io::Result<()> {
    let names: Vec<String> = columns.iter().map(|name| csv_cell(name)).collect();
    writeln!(out, "{}", names.join(","))
}

fn csv_cell(text: &str) -> String {
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

fn write_json_row(
    out: &mut impl Write,
    columns: &[String],
    values: &[Value],
    is_first: bool,
) -> std::io::Result<()> {
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
