//! What a statement gives, as a table, vertically, as CSV, JSON or Parquet.

use std::collections::HashSet;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use adpipe_warehouse::Value;
use anyhow::bail;

use super::Query;
use super::parquet::ParquetRows;
use crate::cli::sql::{SqlArgs, TableFormat};
use crate::output;
use crate::output::csv::Cells;
use crate::output::whole_file::WholeFile;

/// Rows, and bytes of them, that a table on the screen shows; the other formats show all.
const TABLE_ROWS: usize = 10_000;
const TABLE_BYTES: usize = 16 << 20;

/// How results are printed, and where.
#[derive(Clone)]
pub struct Printer {
    pub format: TableFormat,
    cells: Cells,
    out: Option<PathBuf>,
}

impl Printer {
    pub fn of(args: &SqlArgs) -> Printer {
        Printer {
            format: if args.json { TableFormat::Json } else { args.format },
            cells: if args.exact { Cells::Exact } else { Cells::Harmless },
            out: args.out.clone(),
        }
    }

    /// Runs the statement and prints its rows.
    pub fn print(&self, query: &Query<'_>) -> anyhow::Result<()> {
        let mut out = Out::to(self)?;
        match self.format {
            TableFormat::Table => print_table(query, &mut out, self.out.is_none())?,
            TableFormat::Vertical => print_vertical(query, &mut out)?,
            TableFormat::Csv => {
                let cells = self.cells;
                stream_rows(query, &mut out, &mut |out, columns, values, is_first| {
                    write_csv_row(out, cells, columns, values, is_first)
                })?;
            }
            TableFormat::Json => {
                let mut names = Vec::new();
                stream_rows(query, &mut out, &mut |out, columns, values, is_first| {
                    if is_first {
                        names = unique_names(columns);
                    }
                    write_json_row(out, &names, values, is_first)
                })?;
            }
            TableFormat::Parquet => return print_parquet(query, out),
        }
        out.finish()
    }
}

/// Where a result goes.
enum Out {
    Stdout(output::terminal::Results),
    File(WholeFile),
}

impl Out {
    fn to(printer: &Printer) -> anyhow::Result<Out> {
        Ok(match &printer.out {
            Some(place) => Out::File(WholeFile::begin(place)?),
            None => Out::Stdout(output::results()),
        })
    }

    fn finish(self) -> anyhow::Result<()> {
        match self {
            Out::Stdout(mut results) => Ok(results.flush()?),
            Out::File(file) => file.finish(),
        }
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Out::Stdout(results) => results.write(bytes),
            Out::File(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Out::Stdout(results) => results.flush(),
            Out::File(file) => file.flush(),
        }
    }
}

fn print_table(query: &Query<'_>, out: &mut dyn Write, is_for_screen: bool) -> anyhow::Result<()> {
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut is_number: Vec<bool> = Vec::new();
    let (mut more, mut bytes) = (false, 0);
    let columns = query.each_row(&mut |row| {
        let values = row.values();
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
        writeln!(out, "(no rows)")?;
        return Ok(());
    }
    let header: Vec<&str> = columns.iter().map(String::as_str).collect();
    let width = output::terminal::width().filter(|_| is_for_screen);
    match output::fitting_table(&header, &is_number, &rows, width) {
        Some(fitting) => {
            writeln!(out, "{}", fitting.text)?;
            if fitting.is_cut {
                out.flush()?;
                output::note(
                    "cells are cut to the width of the terminal; --format vertical shows them in full",
                );
            }
        }
        // Too many columns for a line.
        None => {
            for (index, row) in rows.iter().enumerate() {
                write_vertical(out, &columns, row, index as u64 + 1)?;
            }
        }
    }
    if more {
        out.flush()?;
        let shown = output::grouped(rows.len() as u64);
        output::note(&format!("only the first {shown} rows are shown; --format csv shows all"));
    }
    Ok(())
}

fn print_vertical(query: &Query<'_>, out: &mut Out) -> anyhow::Result<()> {
    let mut number = 0;
    stream_rows(query, out, &mut |out, columns, values, _| {
        let Some(values) = values else {
            return if number == 0 { writeln!(out, "(no rows)") } else { Ok(()) };
        };
        number += 1;
        let row: Vec<String> = values.iter().map(Value::to_string).collect();
        write_vertical(out, columns, &row, number)
    })
}

/// A row as a line for each value.
fn write_vertical(
    out: &mut dyn Write,
    columns: &[String],
    row: &[String],
    number: u64,
) -> std::io::Result<()> {
    let names: Vec<_> = columns.iter().map(|name| output::terminal::escaped(name)).collect();
    let widest = names.iter().map(|name| output::width(name)).max().unwrap_or(0);
    writeln!(out, "-[ row {} ]-", output::grouped(number))?;
    for (name, cell) in names.iter().zip(row) {
        let padding = " ".repeat(widest - output::width(name));
        let line = format!("{name}{padding} | {}", output::terminal::escaped(cell));
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// Writes one row; the last argument says that it is the first. Without values it is the end.
type WriteRow<'a> = dyn FnMut(&mut dyn Write, &[String], Option<&[Value]>, bool) -> std::io::Result<()> + 'a;

fn stream_rows(query: &Query<'_>, out: &mut Out, write_row: &mut WriteRow<'_>) -> anyhow::Result<()> {
    let mut is_first = true;
    let mut failure: Option<std::io::Error> = None;
    let result = query.each_row(&mut |row| {
        failure = write_row(out, row.columns(), Some(row.values()), is_first).err();
        is_first = false;
        failure.is_none()
    });
    if let Some(error) = failure {
        bail!(error);
    }
    match result {
        Ok(columns) => Ok(write_row(out, &columns, None, is_first)?),
        Err(error) => {
            // What came before it is shown.
            out.flush()?;
            Err(error)
        }
    }
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
    names: &[String],
    values: Option<&[Value]>,
    is_first: bool,
) -> std::io::Result<()> {
    let Some(values) = values else {
        return writeln!(out, "{}", if is_first { "[]" } else { "\n]" });
    };
    let object: serde_json::Map<String, serde_json::Value> =
        names.iter().cloned().zip(values.iter().map(json_value)).collect();
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

fn print_parquet(query: &Query<'_>, out: Out) -> anyhow::Result<()> {
    let mut rows = ParquetRows::new(out);
    let mut failure: Option<anyhow::Error> = None;
    let columns = query.each_row(&mut |row| {
        failure = rows.add(row.columns(), row.values()).err();
        failure.is_none()
    })?;
    if let Some(error) = failure {
        return Err(error);
    }
    rows.end(&columns)?.finish()
}

/// Names for a format that needs each only once: the second `n` is `n_2`. Says so.
pub fn unique_names(columns: &[String]) -> Vec<String> {
    let mut taken: HashSet<String> = columns.iter().cloned().collect();
    let mut seen = HashSet::new();
    let mut names = Vec::with_capacity(columns.len());
    for column in columns {
        if seen.insert(column.clone()) {
            names.push(column.clone());
            continue;
        }
        let free = (2..).map(|number| format!("{column}_{number}")).find(|name| taken.insert(name.clone()));
        let name = free.unwrap_or_default();
        output::note(&format!("another column is named {column}: here it is {name}"));
        names.push(name);
    }
    names
}

/// Whether a person is at the other end.
pub fn has_people() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_comes_twice() {
        let names = |columns: &[&str]| {
            unique_names(&columns.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()).join(" ")
        };
        assert_eq!(names(&["n", "n", "n"]), "n n_2 n_3");
        assert_eq!(names(&["n", "n", "n_2"]), "n n_3 n_2");
        assert_eq!(names(&["a", "b"]), "a b");
    }
}
