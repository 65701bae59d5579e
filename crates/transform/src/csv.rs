//! CSV of seeds and fixtures, as RFC 4180 has it.

use std::io::Read;

/// A record behind the last one. A quote that is not closed takes it in, and only so shows.
const END: &str = "\nend";

/// Records with their cells; a line that is empty is none.
pub(crate) fn parse(text: &str, delimiter: char) -> Result<Vec<Vec<String>>, String> {
    let delimiter = u8::try_from(delimiter).map_err(|_| format!("{delimiter:?} cannot separate cells"))?;
    let text = text.trim_start_matches('\u{feff}').as_bytes();
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .from_reader(text.chain(END.as_bytes()));
    let mut records = Vec::new();
    let mut last_line = 0;
    for record in reader.records() {
        let record = record.map_err(|error| error.to_string())?;
        last_line = record.position().map_or(0, csv::Position::line);
        records.push(record.iter().map(str::to_owned).collect::<Vec<String>>());
    }
    if records.pop().is_none_or(|last| last != ["end"]) {
        return Err(format!("a quote is not closed at the end of the file (line {last_line})"));
    }
    let width = records.first().map_or(0, Vec::len);
    match records.iter().position(|record| record.len() != width) {
        None => Ok(records),
        Some(index) => Err(format!(
            "record {} has {} cells where the header has {width}",
            index + 1,
            records[index].len()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_line_ends_are_understood() {
        let records = parse("a,b\r\n1,\"x, \"\"y\"\"\nz\"\n\n2,\n", ',').unwrap();
        assert_eq!(records, [vec!["a", "b"], vec!["1", "x, \"y\"\nz"], vec!["2", ""]]);
        assert!(parse("a,b\n1", ',').unwrap_err().contains("record 2 has 1"));
        assert!(parse("a\n\"1", ',').unwrap_err().contains("not closed"));
    }

    #[test]
    fn what_a_file_begins_and_ends_with_is_no_cell() {
        assert_eq!(parse("\u{feff}a;b\n1;\"end\"", ';').unwrap(), [["a", "b"], ["1", "end"]]);
        assert_eq!(parse("a\nend\n", ',').unwrap(), [["a"], ["end"]]);
        assert_eq!(parse("", ',').unwrap(), Vec::<Vec<String>>::new());
        assert!(parse("a\n", '→').unwrap_err().contains("'→'"));
    }
}
