//! The shell of `adpipe sql`: statements that end with `;`, and commands that begin with `\`.
//!
//! On a terminal lines are edited, kept in a history and completed; Ctrl-C ends a statement and not
//! the shell. Without one, statements come from standard input, and the first that fails is the end.

mod editor;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use adpipe_warehouse::{QueryLimits, Warehouse};
use anyhow::bail;

use self::editor::{Line, Lines};
use super::Query;
use super::describe::{self, Column};
use super::print::{Printer, has_people};
use super::statements::{first_statement, is_empty};
use crate::cli::sql::TableFormat;
use crate::config::ConfigError;
use crate::output;
use crate::services::VERSION;
use crate::signals;

const HELP: &str = "\
  select …;        run a read-only statement; it may span several lines
  \\d               list the tables
  \\d NAME          list the columns of a table
  \\x               switch between a table and a line for each value
  \\timing          switch timing of statements on or off
  \\q               leave (Ctrl-D)
Ctrl-C ends a running statement. Up and down go through the history, Ctrl-R searches it, Tab completes names.";

/// Reads and runs until the end.
pub fn run(
    warehouse: Arc<dyn Warehouse>,
    printer: Printer,
    time: Option<Duration>,
    memory: Option<u64>,
) -> anyhow::Result<ExitCode> {
    let is_unwanted = Arc::new(AtomicBool::new(false));
    let interrupt = Arc::clone(&is_unwanted);
    let asked = Arc::clone(&is_unwanted);
    let limits = QueryLimits { time, memory, is_unwanted: Arc::new(move || asked.load(Ordering::Relaxed)) };
    let mut shell = Shell { warehouse, printer, limits, is_unwanted, is_timed: false, ran: 0 };
    let mut lines = if has_people() {
        signals::at_each_interrupt(move || interrupt.store(true, Ordering::Relaxed))?;
        output::line(&format!(
            "adpipe {VERSION}, SQL on {}; it only reads. \\? for help, \\q to leave",
            shell.warehouse.location()
        ))?;
        Lines::edited(shell.names())?
    } else {
        Lines::plain()
    };
    shell.read(&mut lines)?;
    if shell.ran == 0 && !lines.is_edited() {
        let message =
            "no statement: write one, or - to read it from standard input; on a terminal you get a shell";
        return Err(ConfigError::Flag(message.to_owned()).into());
    }
    Ok(ExitCode::SUCCESS)
}

struct Shell {
    warehouse: Arc<dyn Warehouse>,
    printer: Printer,
    limits: QueryLimits,
    is_unwanted: Arc<AtomicBool>,
    is_timed: bool,
    /// Statements and commands so far.
    ran: u64,
}

impl Shell {
    fn read(&mut self, lines: &mut Lines) -> anyhow::Result<()> {
        let mut begun = String::new();
        loop {
            let prompt = if is_empty(&begun) { "adpipe> " } else { "     -> " };
            match lines.next(prompt)? {
                Line::Text(line) if begun.is_empty() && is_command(&line) => {
                    lines.remember(line.trim());
                    if !self.take_command(line.trim(), lines.is_edited())? {
                        return Ok(());
                    }
                }
                Line::Text(line) => {
                    begun.push_str(&line);
                    begun.push('\n');
                    self.run_whole(&mut begun, lines)?;
                }
                Line::Interrupted => begun.clear(),
                Line::End => {
                    if !lines.is_edited() && !is_empty(&begun) {
                        self.run_one(&begun, false)?;
                    }
                    return Ok(());
                }
            }
        }
    }

    /// Runs every statement that is whole, and leaves the rest.
    fn run_whole(&mut self, begun: &mut String, lines: &mut Lines) -> anyhow::Result<()> {
        while let Some(end) = first_statement(begun) {
            let statement: String = begun.drain(..end).collect();
            if !is_empty(&statement) {
                lines.remember(statement.trim());
                self.run_one(&statement, lines.is_edited())?;
            }
        }
        if begun.trim().is_empty() {
            begun.clear();
        }
        Ok(())
    }

    /// Runs one statement. In an interactive shell, a failure is reported and does not end it.
    fn run_one(&mut self, statement: &str, among_people: bool) -> anyhow::Result<()> {
        self.ran += 1;
        self.is_unwanted.store(false, Ordering::Relaxed);
        let started = Instant::now();
        let query = Query { warehouse: self.warehouse.as_ref(), statement, limits: self.limits.clone() };
        let printed = self.printer.print(&query);
        if self.is_timed {
            output::note(&format!("took {:.3} s", started.elapsed().as_secs_f64()));
        }
        match printed {
            Err(_) if among_people && self.is_unwanted.load(Ordering::Relaxed) => output::note("interrupted"),
            Err(error) if among_people => output::error(&format!("{error:#}")),
            printed => return printed,
        }
        Ok(())
    }

    /// Does a command; false when it is the last.
    fn take_command(&mut self, line: &str, among_people: bool) -> anyhow::Result<bool> {
        self.ran += 1;
        let (command, argument) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let done = match (command, argument.trim().trim_end_matches(';')) {
            ("\\q" | "quit" | "exit" | "quit;" | "exit;", _) => return Ok(false),
            ("\\?" | "\\h" | "help" | "help;", _) => output::line(HELP),
            ("\\d" | "\\dt", "") => self.show_tables(),
            ("\\d" | "\\dt", table) => self.show_columns(table),
            ("\\x", _) => {
                let is_vertical = self.printer.format == TableFormat::Vertical;
                self.printer.format = if is_vertical { TableFormat::Table } else { TableFormat::Vertical };
                output::note(if is_vertical { "results are tables" } else { "a line for each value" });
                Ok(())
            }
            ("\\timing", _) => {
                self.is_timed = !self.is_timed;
                output::note(if self.is_timed { "timing is on" } else { "timing is off" });
                Ok(())
            }
            (other, _) => Err(anyhow::anyhow!("there is no command {other}; \\? lists them")),
        };
        match done {
            Err(error) if among_people => output::error(&format!("{error:#}")),
            done => done?,
        }
        Ok(true)
    }

    fn show_tables(&self) -> anyhow::Result<()> {
        let found = describe::tables(self.warehouse.as_ref())?;
        let rows: Vec<Vec<String>> = found.into_iter().map(|(name, kind)| vec![name, kind]).collect();
        output::line(&output::table(&["name", "type"], &[], &rows))
    }

    fn show_columns(&self, table: &str) -> anyhow::Result<()> {
        let found = describe::columns(self.warehouse.as_ref(), table)?;
        if found.is_empty() {
            bail!("there is no table {table}; \\d lists them");
        }
        let row = |column: Column| vec![column.table, column.name, column.kind, column.null];
        let rows: Vec<Vec<String>> = found.into_iter().map(row).collect();
        output::line(&output::table(&["table", "column", "type", "null"], &[], &rows))
    }

    /// What Tab completes: tables with their schema, and columns. Without them the shell works, too.
    fn names(&self) -> Vec<String> {
        let Ok(found) = describe::columns(self.warehouse.as_ref(), "") else { return Vec::new() };
        let mut names: Vec<String> =
            found.into_iter().flat_map(|column| [column.table, column.name]).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// Whether a line is a command. `help`, `quit` and `exit` are not SQL either.
fn is_command(line: &str) -> bool {
    let line = line.trim();
    line.starts_with('\\') || matches!(line.trim_end_matches(';'), "help" | "quit" | "exit")
}
