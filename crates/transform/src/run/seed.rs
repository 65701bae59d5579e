//! Loads a seed: a CSV file that becomes a table.

use adpipe_warehouse::Dialect;

use super::materialize::{Failure, beside, document, put_in_place};
use crate::database::{Kind, Work};
use crate::error::{Place, Result};
use crate::jinja::relation::{Relation, literal, quoted};
use crate::project::Node;
use crate::project::nodes::Seed;

/// Rows of one `insert`.
const ROWS_AT_ONCE: usize = 500;

/// A seed as a table: columns with their types, and cells as SQL.
#[derive(Debug)]
pub(crate) struct SeedTable {
    columns: Vec<(String, String)>,
    rows: Vec<Vec<String>>,
}

impl SeedTable {
    /// Reads the file. A column whose type is not configured gets that of its values, as dbt has it.
    pub fn read(seed: &Seed, place: &Place, dialect: Dialect) -> Result<SeedTable> {
        let records =
            crate::csv::parse(&seed.text, seed.config.delimiter).map_err(|message| place.refuse(message))?;
        let mut records = records.into_iter();
        let header = records.next().ok_or_else(|| place.refuse("the seed has no header"))?;
        let records: Vec<Vec<String>> = records.collect();
        let mut table = SeedTable { columns: Vec::new(), rows: vec![Vec::new(); records.len()] };
        for (index, name) in header.iter().enumerate() {
            let cells: Vec<&str> = records.iter().map(|record| record[index].as_str()).collect();
            let configured = seed.config.column_types.iter().find(|(column, _)| column == name);
            let guess = match configured {
                Some(_) => Guess::Text,
                None => guess(&cells, name, place)?,
            };
            let data_type =
                configured.map_or_else(|| guess.name(dialect).to_owned(), |(_, name)| name.clone());
            table.columns.push((name.clone(), data_type));
            for (row, cell) in table.rows.iter_mut().zip(cells) {
                row.push(guess.literal(cell, dialect));
            }
        }
        Ok(table)
    }

    /// Puts it into place.
    pub fn load(&self, work: &mut Work<'_>, node: &Node, seed: &Seed) -> Result<(), Failure> {
        let target = &seed.relation;
        match work.dialect {
            Dialect::Sqlite => {
                let drop = match work.kind(target)? {
                    Some(Kind::View) => "drop view",
                    _ => "drop table if exists",
                };
                work.script(&format!("{drop} {target}"))?;
                self.fill(work, target)?;
            }
            Dialect::Postgres => {
                let new = beside(target);
                self.fill(work, &new)?;
                put_in_place(work, target, &new)?;
            }
        }
        document(work, &seed.config, target, &node.description, &seed.columns)
    }

    fn fill(&self, work: &mut Work<'_>, table: &Relation) -> Result<(), Failure> {
        let typed: Vec<String> =
            self.columns.iter().map(|(name, data_type)| format!("{} {data_type}", quoted(name))).collect();
        work.script(&format!("create table {table} ({})", typed.join(", ")))?;
        for rows in self.rows.chunks(ROWS_AT_ONCE) {
            let rows: Vec<String> = rows.iter().map(|row| format!("({})", row.join(", "))).collect();
            work.script(&format!("insert into {table} values {}", rows.join(",\n")))?;
        }
        Ok(())
    }

    /// How many rows it has.
    pub fn len(&self) -> usize {
        self.rows.len()
    }
}

/// What a column's cells look like, in the order in which dbt tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guess {
    Whole,
    Decimal,
    Date,
    Time,
    Truth,
    Text,
}

impl Guess {
    fn name(self, dialect: Dialect) -> &'static str {
        match (dialect, self) {
            (Dialect::Sqlite, Guess::Whole | Guess::Truth) => "INT",
            (Dialect::Sqlite, Guess::Decimal) => "REAL",
            (Dialect::Sqlite, _) => "TEXT",
            (Dialect::Postgres, Guess::Whole) => "integer",
            (Dialect::Postgres, Guess::Decimal) => "float8",
            (Dialect::Postgres, Guess::Date) => "date",
            (Dialect::Postgres, Guess::Time) => "timestamp without time zone",
            (Dialect::Postgres, Guess::Truth) => "boolean",
            (Dialect::Postgres, Guess::Text) => "text",
        }
    }

    fn literal(self, cell: &str, dialect: Dialect) -> String {
        if is_null(cell) {
            return "null".to_owned();
        }
        match (self, dialect) {
            (Guess::Truth, Dialect::Sqlite) => {
                i32::from(cell.trim().eq_ignore_ascii_case("true")).to_string()
            }
            (Guess::Time, Dialect::Sqlite) => literal(&cell.trim().replace('T', " ")),
            (Guess::Text, _) => literal(cell),
            _ => literal(cell.trim()),
        }
    }
}

fn is_null(cell: &str) -> bool {
    let cell = cell.trim();
    cell.is_empty() || cell.eq_ignore_ascii_case("null")
}

fn guess(cells: &[&str], name: &str, place: &Place) -> Result<Guess> {
    let filled: Vec<&str> = cells.iter().map(|cell| cell.trim()).filter(|cell| !is_null(cell)).collect();
    let all = |test: fn(&str) -> bool| !filled.is_empty() && filled.iter().all(|cell| test(cell));
    // dbt reads "5%" and "1,000" as numbers, which is seldom meant.
    let is_doubtful = |cell: &str| {
        cell.contains([',', '%', '$', '€', '£'])
            && cell.contains(|character: char| character.is_ascii_digit())
            && cell.chars().all(|character| "0123456789.,-+%$€£ ".contains(character))
    };
    if filled.iter().any(|cell| is_doubtful(cell)) {
        return Err(place.refuse(format!(
            "the column {name} holds values that dbt takes for numbers but people may not: give it a type below column_types"
        )));
    }
    Ok(if all(is_whole) {
        Guess::Whole
    } else if all(|cell| {
        cell.parse::<f64>().is_ok_and(f64::is_finite) && !cell.contains(['e', 'E', 'n', 'i'])
    }) {
        Guess::Decimal
    } else if all(is_date) {
        Guess::Date
    } else if all(is_time) {
        Guess::Time
    } else if all(|cell| cell.eq_ignore_ascii_case("true") || cell.eq_ignore_ascii_case("false")) {
        Guess::Truth
    } else if filled.is_empty() {
        // Nothing but nulls: the first type that dbt tries takes them.
        Guess::Whole
    } else {
        Guess::Text
    })
}

fn is_whole(cell: &str) -> bool {
    let digits = cell.strip_prefix(['-', '+']).unwrap_or(cell);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_date(cell: &str) -> bool {
    has_shape(cell, "0000-00-00")
}

fn is_time(cell: &str) -> bool {
    has_shape(cell, "0000-00-00 00:00:00") || has_shape(cell, "0000-00-00T00:00:00")
}

fn has_shape(cell: &str, shape: &str) -> bool {
    cell.len() == shape.len()
        && cell.bytes().zip(shape.bytes()).all(|(byte, shape)| match shape {
            b'0' => byte.is_ascii_digit(),
            other => byte == other,
        })
}
