//! Rows of a result, read by the names of their columns and by type.
//!
//! Reading is strict: a value that is not of the wanted type is damage and an error, never a 0 or
//! an empty text. Only `Option` takes a null.

use std::cell::Cell;

use crate::from_value::FromValue;
use crate::{Value, WarehouseError};

/// Characters of a value that an error shows.
const SHOWN_CHARACTERS: usize = 40;

/// Columns that an error names the row by.
const SHOWN_COLUMNS: usize = 2;

/// A result in memory.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    /// Column names.
    pub columns: Vec<String>,
    /// Rows, each as long as `columns`.
    pub rows: Vec<Vec<Value>>,
}

impl Table {
    /// True when it has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Its rows, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Row<'_>> + ExactSizeIterator {
        self.rows.iter().map(|values| Row::new(&self.columns, values))
    }

    /// The first row, if there is one.
    pub fn first(&self) -> Option<Row<'_>> {
        self.iter().next()
    }

    /// The first row of a statement that always gives one.
    ///
    /// # Errors
    /// [`WarehouseError::Statement`] when there is none.
    pub fn one(&self) -> Result<Row<'_>, WarehouseError> {
        self.first().ok_or_else(|| {
            WarehouseError::Statement(format!("no row came with the columns {}", self.columns.join(", ")))
        })
    }

    /// Reads every row.
    ///
    /// # Errors
    /// The same as [`Row::get`].
    pub fn read<T: FromRow>(&self) -> Result<Vec<T>, WarehouseError> {
        self.iter().map(|row| T::from_row(&row)).collect()
    }

    /// Reads the first row, if there is one.
    ///
    /// # Errors
    /// The same as [`Row::get`].
    pub fn read_first<T: FromRow>(&self) -> Result<Option<T>, WarehouseError> {
        self.first().map(|row| T::from_row(&row)).transpose()
    }

    /// Reads one column of every row.
    ///
    /// # Errors
    /// The same as [`Row::get`].
    pub fn column<'t, T: FromValue<'t>>(&'t self, name: &str) -> Result<Vec<T>, WarehouseError> {
        self.iter().map(|row| row.get(name)).collect()
    }
}

/// What can be read from a row of a statement that names its columns.
pub trait FromRow: Sized {
    /// Reads it, best in the order of the statement's columns.
    ///
    /// # Errors
    /// The same as [`Row::get`].
    fn from_row(row: &Row<'_>) -> Result<Self, WarehouseError>;
}

/// One row of a result.
///
/// A column is searched from the one after the last that was read. So reading in the order of the
/// statement compares one name for each value, and no index of names is built for small results.
#[derive(Debug, Clone)]
pub struct Row<'t> {
    columns: &'t [String],
    values: &'t [Value],
    next: Cell<usize>,
}

impl<'t> Row<'t> {
    /// Columns and values side by side.
    pub fn new(columns: &'t [String], values: &'t [Value]) -> Row<'t> {
        Row { columns, values, next: Cell::new(0) }
    }

    /// Names of the columns.
    pub fn columns(&self) -> &'t [String] {
        self.columns
    }

    /// The values in the order of the columns, for statements whose columns are not known.
    pub fn values(&self) -> &'t [Value] {
        self.values
    }

    /// The value of a column.
    ///
    /// # Errors
    /// [`WarehouseError::Unusable`] when it is not a `T`, with the column, the row and what was
    /// found; [`WarehouseError::Statement`] when the statement has no such column.
    pub fn get<T: FromValue<'t>>(&self, name: &str) -> Result<T, WarehouseError> {
        let value = self.value(name)?;
        self.typed(name, value)
    }

    fn typed<T: FromValue<'t>>(&self, name: &str, value: &'t Value) -> Result<T, WarehouseError> {
        T::from_value(value)
            .ok_or_else(|| self.damaged(name, &format!("{} is not {}", shown(value), T::WANTED)))
    }

    /// The value of a column that must mean something to the caller, too: the name of a state, say.
    /// `wanted` completes "… is not".
    ///
    /// # Errors
    /// As [`get`](Row::get), and when `parse` gives nothing.
    pub fn parse<T: FromValue<'t>, P>(
        &self,
        name: &str,
        wanted: &str,
        parse: impl FnOnce(T) -> Option<P>,
    ) -> Result<P, WarehouseError> {
        let value = self.value(name)?;
        let parsed = parse(self.typed(name, value)?);
        parsed.ok_or_else(|| self.damaged(name, &format!("{} is not {wanted}", shown(value))))
    }

    /// The same for a column that may be null.
    ///
    /// # Errors
    /// The same as [`parse`](Row::parse).
    pub fn parse_optional<T: FromValue<'t>, P>(
        &self,
        name: &str,
        wanted: &str,
        parse: impl FnOnce(T) -> Option<P>,
    ) -> Result<Option<P>, WarehouseError> {
        self.parse(name, wanted, |value: Option<T>| match value {
            Some(value) => parse(value).map(Some),
            None => Some(None),
        })
    }

    fn value(&self, name: &str) -> Result<&'t Value, WarehouseError> {
        let (before, from) = self.columns.split_at(self.next.get().min(self.columns.len()));
        let is_it = |column: &String| column == name;
        let index = match from.iter().position(is_it) {
            Some(index) => before.len() + index,
            None => before.iter().position(is_it).ok_or_else(|| self.unknown(name))?,
        };
        self.next.set(index + 1);
        self.values.get(index).ok_or_else(|| self.unknown(name))
    }

    fn unknown(&self, name: &str) -> WarehouseError {
        WarehouseError::Statement(format!(
            "the result has no column {name}; it has {}",
            self.columns.join(", ")
        ))
    }

    /// An error about a column of this row, which it names by its first columns.
    pub fn damaged(&self, name: &str, reason: &str) -> WarehouseError {
        let others = self.columns.iter().zip(self.values).filter(|(column, _)| *column != name);
        let key: Vec<String> =
            others.take(SHOWN_COLUMNS).map(|(column, value)| format!("{column} {}", shown(value))).collect();
        let place = if key.is_empty() { String::new() } else { format!(" where {}", key.join(", ")) };
        WarehouseError::damaged(format!("column {name}{place}"), reason)
    }
}

/// A value as an error shows it: on one line, and not too long.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Int(_) | Value::Real(_) => value.to_string(),
        Value::Text(text) if text.chars().count() <= SHOWN_CHARACTERS => format!("{text:?}"),
        Value::Text(text) => {
            let start: String = text.chars().take(SHOWN_CHARACTERS).collect();
            format!("{start:?}…")
        }
        Value::Blob(bytes) => format!("a value of {} bytes", bytes.len()),
    }
}

#[cfg(test)]
mod tests {
    use adpipe_event::Millis;

    use super::*;

    fn table(values: &[(&str, Value)]) -> Table {
        let (columns, row) = values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).unzip();
        Table { columns, rows: vec![row] }
    }

    #[test]
    fn every_type_is_read_by_name_in_any_order() {
        let table = table(&[
            ("records", Value::Int(7)),
            ("rate", Value::Real(0.5)),
            ("topic", "raw".into()),
            ("at", "2014-10-21 00:00:00.000".into()),
            ("payload", Value::Blob(vec![1])),
            ("note", Value::Null),
            ("is_new", Value::Int(1)),
        ]);
        let row = table.one().unwrap();
        assert!(row.get::<bool>("is_new").unwrap());
        assert_eq!(row.get::<Option<String>>("note").unwrap(), None);
        assert_eq!(row.get::<Vec<u8>>("payload").unwrap(), [1]);
        assert_eq!(row.get::<Millis>("at").unwrap().to_string(), "2014-10-21 00:00:00");
        assert_eq!(row.get::<&str>("topic").unwrap(), "raw");
        assert_eq!((row.get::<f64>("rate").unwrap(), row.get::<f64>("records").unwrap()), (0.5, 7.0));
        assert_eq!((row.get::<u64>("records").unwrap(), row.get::<i64>("records").unwrap()), (7, 7));
        assert_eq!(row.get::<Option<u32>>("records").unwrap(), Some(7));
    }

    #[test]
    fn damage_is_an_error_that_names_column_row_type_and_value() {
        let error = |value: Value| {
            let table = table(&[("topic", "raw".into()), ("records", value), ("valid", Value::Int(0))]);
            table.one().unwrap().get::<u64>("records").unwrap_err()
        };
        let text = error("twelve".into()).to_string();
        let expected = "column records where topic \"raw\", valid 0: \"twelve\" is not a count";
        assert!(text.contains(expected), "{text}");
        assert!(matches!(error(Value::Null), WarehouseError::Unusable { .. }));
        for value in [Value::Int(-1), Value::Real(0.5), Value::Blob(Vec::new()), "".into()] {
            error(value);
        }
    }

    #[test]
    fn nothing_else_is_taken_for_what_is_wanted() {
        let table = table(&[("number", Value::Int(2)), ("text", "2".into()), ("null", Value::Null)]);
        let row = table.one().unwrap();
        assert!(row.get::<bool>("number").is_err());
        assert!(row.get::<String>("number").is_err());
        assert!(row.get::<Millis>("text").is_err());
        assert!(row.get::<i64>("text").is_err());
        assert!(row.get::<Option<i64>>("text").is_err());
        assert!(row.get::<Vec<u8>>("text").is_err());
        assert!(row.get::<f64>("null").is_err());
        let unknown = row.get::<i64>("numbers").unwrap_err().to_string();
        assert_eq!(unknown, "the result has no column numbers; it has number, text, null");
    }

    #[test]
    fn what_a_caller_cannot_read_is_damage_too() {
        let table = table(&[("state", "paused".into())]);
        let row = table.one().unwrap();
        let state = |text: &str| (text == "running").then_some(1);
        let error = row.parse("state", "the state of a run", state).unwrap_err().to_string();
        assert!(error.contains("column state: \"paused\" is not the state of a run"), "{error}");
        assert_eq!(row.parse("state", "a word", |text: &str| Some(text.len())).unwrap(), 6);
    }
}
