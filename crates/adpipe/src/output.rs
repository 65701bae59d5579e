//! Results to stdout, logs to stderr, colour only on a terminal. What comes from data never drives a
//! terminal (`terminal.rs`), and is no formula to a spreadsheet (`csv.rs`).

pub mod csv;
pub mod terminal;
pub mod whole_file;

use std::borrow::Cow;
use std::io::{IsTerminal, Write};

use tracing_subscriber::EnvFilter;

/// Starts logging to stderr; `RUST_LOG` overrides `-v`.
pub fn start_logging(verbose: u8) {
    let level = match verbose {
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new(format!("adpipe={level},adpipe_stream={level},adpipe_log={level},adpipe_warehouse={level},adpipe_console={level},adpipe_transform={level},adpipe_schedule={level},adpipe_monitor={level},adpipe_notify={level}")));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(is_colourful())
        .with_target(false)
        .init();
}

/// Whether stderr may be coloured: a terminal, and <https://no-color.org> not asked for.
pub fn is_colourful() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Red and bold where colour is allowed.
pub fn paint_error(text: &str) -> String {
    if is_colourful() { format!("\x1b[1;31m{text}\x1b[0m") } else { text.to_owned() }
}

/// Whether the reader of our output has gone (`adpipe sql … | head`), which is no failure.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
    })
}

/// Writes a result line.
pub fn line(text: &str) -> anyhow::Result<()> {
    let mut out = results();
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()?;
    Ok(())
}

/// Where results go: stdout, buffered. To be flushed at the end.
pub fn results() -> terminal::Results {
    terminal::Results::stdout()
}

/// Says something beside the results, on stderr.
pub fn note(text: &str) {
    eprintln!("{}", terminal::harmless(text, std::io::stderr().is_terminal()));
}

/// Says why the program ends.
pub fn error(text: &str) {
    let text = terminal::harmless(text, std::io::stderr().is_terminal());
    eprintln!("{} {text}", paint_error("error:"));
}

/// Writes a value as JSON.
pub fn json(value: &serde_json::Value) -> anyhow::Result<()> {
    line(&serde_json::to_string_pretty(value)?)
}

/// A number with thousands separated: `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number and its noun: `1 record`, `2 records`.
pub fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// A share as a percentage, `17.06 %`: clicks of events. None of nothing.
pub fn rate(part: u64, whole: u64) -> Option<String> {
    (whole > 0).then(|| format!("{:.2} %", part as f64 * 100.0 / whole as f64))
}

/// What becomes of records that are longer than the limit.
pub fn too_long(records: u64, dry_run: bool) -> String {
    let fate = if dry_run { "would be kept" } else { "is kept" };
    format!(
        "{} longer than ingest.max_record_size, thus invalid; only the beginning of each {fate}",
        counted(records, "record")
    )
}

/// Columns are made no wider than this: one long cell must not fill every other row with spaces.
const WIDEST: usize = 200;

/// Rows under a header, columns as wide as they need; numbers (by `right`) to the right. A row is one
/// line whatever its cells hold: line ends and other control characters are shown escaped.
pub fn table(header: &[&str], right: &[bool], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<Cow<'_, str>>> =
        rows.iter().map(|row| row.iter().map(|cell| terminal::escaped(cell)).collect()).collect();
    let header: Vec<Cow<'_, str>> = header.iter().map(|name| terminal::escaped(name)).collect();
    let mut widths: Vec<usize> = header.iter().map(|name| name.chars().count()).collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count().min(WIDEST));
        }
    }
    let mut text = String::new();
    let mut add = |cells: &mut dyn Iterator<Item = &str>| {
        let mut line = String::new();
        for (index, cell) in cells.enumerate() {
            let padding = " ".repeat(widths[index].saturating_sub(cell.chars().count()));
            if index > 0 {
                line.push_str("  ");
            }
            if right.get(index).copied().unwrap_or(false) {
                line.push_str(&padding);
                line.push_str(cell);
            } else {
                line.push_str(cell);
                line.push_str(&padding);
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    };
    add(&mut header.iter().map(AsRef::as_ref));
    for row in &rows {
        add(&mut row.iter().map(AsRef::as_ref));
    }
    text.truncate(text.trim_end_matches('\n').len());
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn one_long_cell_does_not_widen_the_others() {
        let row = |cell: &str| vec![cell.to_owned(), "b".to_owned()];
        let table = super::table(&["a", "b"], &[], &[row(&"x".repeat(1_000)), row("y")]);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!((lines[1].len(), lines[2].len()), (1_003, super::WIDEST + 3), "{table}");
    }

    #[test]
    fn thousands_are_separated() {
        assert_eq!(super::grouped(0), "0");
        assert_eq!(super::grouped(999), "999");
        assert_eq!(super::grouped(1_000), "1,000");
        assert_eq!(super::grouped(1_234_567), "1,234,567");
    }
}
