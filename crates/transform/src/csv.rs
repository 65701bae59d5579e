//! CSV of seeds and fixtures, as RFC 4180 has it.

/// Records with their cells; a line that is empty is none.
pub(crate) fn parse(text: &str, delimiter: char) -> Result<Vec<Vec<String>>, String> {
    let mut records = Vec::new();
    let mut record: Vec<String> = Vec::new();
    let mut cell = String::new();
    let mut characters = text.trim_start_matches('\u{feff}').chars().peekable();
    let mut in_quotes = false;
    let mut line = 1;
    while let Some(character) = characters.next() {
        line += usize::from(character == '\n');
        match character {
            '"' if in_quotes && characters.peek() == Some(&'"') => {
                cell.push('"');
                characters.next();
            }
            '"' if in_quotes => in_quotes = false,
            other if in_quotes => cell.push(other),
            '"' if cell.is_empty() => in_quotes = true,
            '\r' if characters.peek() == Some(&'\n') => {}
            '\n' => end_of_record(&mut records, &mut record, &mut cell),
            other if other == delimiter => record.push(std::mem::take(&mut cell)),
            other => cell.push(other),
        }
    }
    if in_quotes {
        return Err(format!("a quote is not closed at the end of the file (line {line})"));
    }
    end_of_record(&mut records, &mut record, &mut cell);
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

fn end_of_record(records: &mut Vec<Vec<String>>, record: &mut Vec<String>, cell: &mut String) {
    if record.is_empty() && cell.is_empty() {
        return;
    }
    record.push(std::mem::take(cell));
    records.push(std::mem::take(record));
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
}
