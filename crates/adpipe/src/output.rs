//! Results to stdout, logs to stderr, colour only on a terminal. Text from data never controls a
//! terminal (`terminal.rs`), and is never a formula in a spreadsheet (`csv.rs`).

pub mod csv;
pub mod payload;
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
    // A directive is a prefix: this one is about every crate of ours.
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(format!("adpipe={level}")));
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

/// Whether the reader of our output has gone (`adpipe sql … | head`), which is not a failure.
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

/// Says something in addition to the results, on stderr.
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
    adpipe_runtime::grouped(&number.to_string())
}

/// A text whose counts have separators: numbers that stand before a word, as in `303083 records`.
/// Offsets, years and parts of names stay as they are: people copy them.
pub fn with_separators(text: &str) -> String {
    let words: Vec<&str> = text.split(' ').collect();
    let is_word = |word: &&&str| word.starts_with(|first: char| first.is_ascii_lowercase());
    let is_name = |word: &str| ["offset", "partition", "row", "line", "year", "port"].contains(&word);
    let shown = words.iter().enumerate().map(|(index, word)| {
        let counts = words.get(index + 1).filter(is_word).is_some()
            && !index.checked_sub(1).is_some_and(|before| is_name(words[before]));
        match word.parse::<u64>() {
            Ok(number) if counts && word.bytes().all(|byte| byte.is_ascii_digit()) => grouped(number),
            _ => (*word).to_owned(),
        }
    });
    shown.collect::<Vec<_>>().join(" ")
}

/// A number and its noun: `1 record`, `2 records`.
pub fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// How many errors a cause has, in the state that the alert is about.
pub fn errors_of_cause(cause: &serde_json::Value) -> String {
    match cause["exhausted"].as_u64() {
        Some(1) => "1 needs a decision".to_owned(),
        Some(errors) => format!("{} need a decision", grouped(errors)),
        None => format!("{} open", grouped(cause["open"].as_u64().unwrap_or(0))),
    }
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

/// Columns that a text takes on a terminal.
pub fn width(text: &str) -> usize {
    unicode_width::UnicodeWidthStr::width(text)
}

/// Columns are made no wider than this: one long cell must not fill every other row with spaces.
const WIDEST: usize = 200;

/// Columns are cut to no less than this, to fit a terminal.
const NARROWEST: usize = 8;

/// Rows under a header, columns as wide as they need; numbers (by `right`) to the right. A row is one
/// line whatever its cells hold: line ends and other control characters are shown escaped.
pub fn table(header: &[&str], right: &[bool], rows: &[Vec<String>]) -> String {
    fitting_table(header, right, rows, None).map_or_else(String::new, |fitting| fitting.text)
}

/// A table, and whether cells had to be cut.
pub struct Fitting {
    pub text: String,
    pub is_cut: bool,
}

/// The same within so many columns of a terminal. None when there are too many for one line.
pub fn fitting_table(
    header: &[&str],
    right: &[bool],
    rows: &[Vec<String>],
    terminal: Option<usize>,
) -> Option<Fitting> {
    let rows: Vec<Vec<Cow<'_, str>>> =
        rows.iter().map(|row| row.iter().map(|cell| terminal::escaped(cell)).collect()).collect();
    let header: Vec<Cow<'_, str>> = header.iter().map(|name| terminal::escaped(name)).collect();
    let mut widths: Vec<usize> = header.iter().map(|name| width(name)).collect();
    let mut longest = widths.clone();
    for row in &rows {
        for ((column, longest), cell) in widths.iter_mut().zip(&mut longest).zip(row) {
            *column = (*column).max(width(cell).min(WIDEST));
            *longest = (*longest).max(width(cell));
        }
    }
    let most = match terminal {
        Some(terminal) => Some(cut_to_fit(&longest, terminal)?),
        None => None,
    };
    if let Some(most) = most {
        widths = longest.iter().map(|longest| (*longest).min(most)).collect();
    }
    let mut text = String::new();
    for row in std::iter::once(&header).chain(&rows) {
        add_row(&mut text, row, &widths, right, most);
    }
    text.truncate(text.trim_end_matches('\n').len());
    let is_cut = most.is_some_and(|most| longest.iter().any(|longest| *longest > most));
    Some(Fitting { text, is_cut })
}

/// Adds a row as a line; cells longer than `most` are cut.
fn add_row(text: &mut String, row: &[Cow<'_, str>], widths: &[usize], right: &[bool], most: Option<usize>) {
    let mut line = String::new();
    for (index, cell) in row.iter().enumerate() {
        let cell = match most {
            Some(most) => terminal::cut(cell, most),
            None => Cow::Borrowed(cell.as_ref()),
        };
        let padding = " ".repeat(widths[index].saturating_sub(width(&cell)));
        if index > 0 {
            line.push_str("  ");
        }
        if right.get(index).copied().unwrap_or(false) {
            line.push_str(&padding);
            line.push_str(&cell);
        } else {
            line.push_str(&cell);
            line.push_str(&padding);
        }
    }
    text.push_str(line.trim_end());
    text.push('\n');
}

/// The width to which columns are cut so that all fit into a line; the narrow ones stay as they are.
/// None when they do not fit even when all are narrow.
fn cut_to_fit(widths: &[usize], terminal: usize) -> Option<usize> {
    let between = widths.len().saturating_sub(1) * 2;
    let needed = |most: usize| between + widths.iter().map(|width| (*width).min(most)).sum::<usize>();
    let widest = widths.iter().copied().max().unwrap_or(0).max(NARROWEST);
    (NARROWEST..=widest).rev().find(|most| needed(*most) <= terminal)
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
    fn a_table_fits_its_terminal() {
        let rows = [vec!["1".to_owned(), "x".repeat(100), "가나다라마바사".to_owned()]];
        let fitting = super::fitting_table(&["n", "long", "wide"], &[true], &rows, Some(40)).unwrap();
        assert!(
            fitting.is_cut && fitting.text.lines().all(|line| super::width(line) <= 40),
            "{}",
            fitting.text
        );
        assert!(fitting.text.contains("1  ") && fitting.text.contains("가나다라마바사"), "{}", fitting.text);
        let whole = super::fitting_table(&["n", "long", "wide"], &[true], &rows, Some(200)).unwrap();
        assert!(!whole.is_cut && whole.text.contains(&"x".repeat(100)));
        let many = vec!["123456789".to_owned(); 10];
        assert!(super::fitting_table(&["c"; 10], &[], &[many], Some(40)).is_none());
    }

    #[test]
    fn counts_in_a_text_have_separators_and_places_do_not() {
        let text = "303083 records, 51729 clicks; ad_events_raw partition 0 offset 12345 to 23456: on 2014-10-21 1e5 x";
        let shown = "303,083 records, 51,729 clicks; ad_events_raw partition 0 offset 12345 to 23456: on 2014-10-21 1e5 x";
        // A trailing mark keeps a number from being taken for a count.
        assert_eq!(super::with_separators("51729 clicks"), "51,729 clicks");
        assert_eq!(super::with_separators(text), shown);
    }

    #[test]
    fn thousands_are_separated() {
        assert_eq!(super::grouped(0), "0");
        assert_eq!(super::grouped(999), "999");
        assert_eq!(super::grouped(1_000), "1,000");
        assert_eq!(super::grouped(1_234_567), "1,234,567");
    }
}
