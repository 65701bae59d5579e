//! SQL kept in files, and what every SQLite file of adpipe has in common.
//!
//! [`section`] takes a named statement out of an included `.sql` file at compile time, so that a
//! missing name is a build error. [`sqlite`] opens databases with the settings we rely on,
//! [`sqlite::migrate`] brings them up to date, [`private`] makes files readable only by their owner,
//! [`text`] reads files that people write, [`pool`] limits the readers' connections, and [`trouble`]
//! turns SQLite's error codes into advice.

pub mod pool;
pub mod private;
pub mod sqlite;
pub mod text;
pub mod trouble;

/// The statement under `-- name: NAME` in `file`, up to the next such line or the end.
///
/// Evaluated at compile time: `const NEXT: &str = section(include_str!("read.sql"), "next");`
///
/// # Panics
/// When the file has no section of that name: at compile time, in a `const`.
#[allow(clippy::panic, reason = "raised by the compiler, not by the program")]
pub const fn section(file: &'static str, name: &str) -> &'static str {
    let mut start = find(file, MARK, 0);
    while start < file.len() {
        let name_start = start + MARK.len();
        let name_end = find(file, "\n", name_start);
        let next = find(file, MARK, name_end);
        if equal(slice(file, name_start, name_end), name) {
            return slice(file, name_end, next);
        }
        start = next;
    }
    panic!("no SQL section of this name in the file")
}

const MARK: &str = "-- name: ";

/// Where `needle` begins at or after `from`; the text's length when it does not.
const fn find(text: &str, needle: &str, from: usize) -> usize {
    let (text, needle) = (text.as_bytes(), needle.as_bytes());
    let mut at = from;
    while at + needle.len() <= text.len() {
        let mut matched = 0;
        while matched < needle.len() && text[at + matched] == needle[matched] {
            matched += 1;
        }
        if matched == needle.len() {
            return at;
        }
        at += 1;
    }
    text.len()
}

const fn slice(text: &'static str, start: usize, end: usize) -> &'static str {
    text.split_at(end).0.split_at(start).1
}

const fn equal(a: &str, b: &str) -> bool {
    a.len() == b.len() && find(a, b, 0) == 0
}

#[cfg(test)]
mod tests {
    use super::section;

    const FILE: &str = "-- a file\n-- name: one\nselect 1;\n\n-- name: one_more\n-- why\nselect 2;\n";
    const ONE: &str = section(FILE, "one");

    #[test]
    fn takes_exactly_the_named_statement() {
        assert_eq!(ONE.trim(), "select 1;");
        assert_eq!(section(FILE, "one_more").trim(), "-- why\nselect 2;");
    }

    #[test]
    #[should_panic(expected = "no SQL section")]
    fn a_missing_name_is_an_error() {
        section(FILE, "two");
    }
}
