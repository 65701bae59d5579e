//! Rows of any statement as a Parquet file.
//!
//! Neither database says what a column will hold, so the first rows decide: whole numbers, numbers,
//! text or bytes. A later value that does not fit is named, with the cast that helps.

use std::io::Write;
use std::sync::Arc;

use adpipe_warehouse::Value;
use anyhow::bail;
use parquet::basic::{Compression, LogicalType, Repetition, Type as PhysicalType, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{Type, TypePtr};

use super::print::unique_names;
use crate::output;

/// Rows of a group, and about how many bytes of them are held at most.
const GROUP_ROWS: usize = 65_536;
const GROUP_BYTES: usize = 32 << 20;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Whole,
    Number,
    Text,
    Bytes,
}

pub struct ParquetRows<W: Write + Send> {
    state: State<W>,
    rows: Vec<Vec<Value>>,
    bytes: usize,
    written: u64,
}

enum State<W: Write + Send> {
    /// Nothing is known of the columns.
    New(W),
    Writing(Box<SerializedFileWriter<W>>, Vec<(String, Kind)>),
    Failed,
}

impl<W: Write + Send> ParquetRows<W> {
    pub fn new(out: W) -> ParquetRows<W> {
        ParquetRows { state: State::New(out), rows: Vec::new(), bytes: 0, written: 0 }
    }

    pub fn add(&mut self, columns: &[String], values: &[Value]) -> anyhow::Result<()> {
        self.bytes += values.iter().map(size).sum::<usize>();
        self.rows.push(values.to_vec());
        if self.rows.len() >= GROUP_ROWS || self.bytes >= GROUP_BYTES {
            self.write_group(columns)?;
        }
        Ok(())
    }

    pub fn end(mut self, columns: &[String]) -> anyhow::Result<W> {
        self.write_group(columns)?;
        match self.state {
            State::Writing(writer, _) => Ok(writer.into_inner()?),
            State::New(_) | State::Failed => bail!("the Parquet file cannot be started"),
        }
    }

    fn write_group(&mut self, columns: &[String]) -> anyhow::Result<()> {
        if let State::New(_) = &self.state {
            self.begin(columns)?;
        }
        let State::Writing(writer, kinds) = &mut self.state else { return Ok(()) };
        if self.rows.is_empty() {
            return Ok(());
        }
        let mut group = writer.next_row_group()?;
        for (index, (name, kind)) in kinds.iter().enumerate() {
            let values = self.rows.iter().map(|row| &row[index]);
            write_column(&mut group, *kind, values).map_err(|failure| match failure {
                Failure::Parquet(error) => error.into(),
                Failure::Row(row) => {
                    does_not_fit(name, *kind, self.written + row, &self.rows[row as usize][index])
                }
            })?;
        }
        group.close()?;
        self.written += self.rows.len() as u64;
        self.rows.clear();
        self.bytes = 0;
        Ok(())
    }

    fn begin(&mut self, columns: &[String]) -> anyhow::Result<()> {
        let State::New(out) = std::mem::replace(&mut self.state, State::Failed) else { return Ok(()) };
        let names = unique_names(columns);
        let kinds: Vec<Kind> =
            (0..names.len()).map(|index| kind_of(self.rows.iter().map(|row| &row[index]))).collect();
        let kinds: Vec<(String, Kind)> = names.into_iter().zip(kinds).collect();
        let properties = WriterProperties::builder()
            .set_created_by(format!("adpipe version {}", env!("CARGO_PKG_VERSION")))
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
            .build();
        let writer = SerializedFileWriter::new(out, schema(&kinds)?, Arc::new(properties))?;
        self.state = State::Writing(Box::new(writer), kinds);
        Ok(())
    }
}

fn size(value: &Value) -> usize {
    std::mem::size_of::<Value>()
        + match value {
            Value::Text(text) => text.len(),
            Value::Blob(bytes) => bytes.len(),
            Value::Null | Value::Int(_) | Value::Real(_) => 0,
        }
}

/// What holds all of these values; text for nothing but nulls.
fn kind_of<'v>(values: impl Iterator<Item = &'v Value>) -> Kind {
    let mut kind: Option<Kind> = None;
    for value in values {
        let needed = match value {
            Value::Null => continue,
            Value::Int(_) => Kind::Whole,
            Value::Real(_) => Kind::Number,
            Value::Text(_) => Kind::Text,
            Value::Blob(_) => Kind::Bytes,
        };
        kind = Some(match (kind, needed) {
            (None, needed) => needed,
            (Some(known), needed) if known == needed => known,
            (Some(Kind::Bytes), _) | (_, Kind::Bytes) => Kind::Bytes,
            (Some(Kind::Text), _) | (_, Kind::Text) => Kind::Text,
            (Some(_), _) => Kind::Number,
        });
    }
    kind.unwrap_or(Kind::Text)
}

fn schema(columns: &[(String, Kind)]) -> Result<TypePtr, ParquetError> {
    let column = |(name, kind): &(String, Kind)| {
        let (physical, logical) = match kind {
            Kind::Whole => (PhysicalType::INT64, None),
            Kind::Number => (PhysicalType::DOUBLE, None),
            Kind::Text => (PhysicalType::BYTE_ARRAY, Some(LogicalType::String)),
            Kind::Bytes => (PhysicalType::BYTE_ARRAY, None),
        };
        Type::primitive_type_builder(name, physical)
            .with_repetition(Repetition::OPTIONAL)
            .with_logical_type(logical)
            .build()
            .map(Arc::new)
    };
    let fields = columns.iter().map(column).collect::<Result<Vec<_>, _>>()?;
    Type::group_type_builder("result").with_fields(fields).build().map(Arc::new)
}

/// Why a column could not be written.
enum Failure {
    /// This row of the group has a value of another kind.
    Row(u64),
    Parquet(ParquetError),
}

impl From<ParquetError> for Failure {
    fn from(error: ParquetError) -> Failure {
        Failure::Parquet(error)
    }
}

fn write_column<'v, W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    kind: Kind,
    values: impl Iterator<Item = &'v Value>,
) -> Result<(), Failure> {
    match kind {
        Kind::Whole => write_typed::<Int64Type, W>(group, values, |value| value.as_i64()),
        Kind::Number => write_typed::<DoubleType, W>(group, values, |value| match value {
            // Beyond this a double would be another number.
            Value::Int(number) if number.unsigned_abs() > 1 << 53 => None,
            number => number.as_f64(),
        }),
        Kind::Text => write_typed::<ByteArrayType, W>(group, values, |value| match value {
            Value::Blob(_) => None,
            other => Some(ByteArray::from(other.to_string().into_bytes())),
        }),
        Kind::Bytes => write_typed::<ByteArrayType, W>(group, values, |value| match value {
            Value::Blob(bytes) => Some(ByteArray::from(bytes.clone())),
            Value::Text(text) => Some(ByteArray::from(text.clone().into_bytes())),
            _ => None,
        }),
    }
}

fn write_typed<'v, T: DataType, W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    values: impl Iterator<Item = &'v Value>,
    convert: impl Fn(&Value) -> Option<T::T>,
) -> Result<(), Failure> {
    let (mut filled, mut levels) = (Vec::new(), Vec::new());
    for (row, value) in values.enumerate() {
        levels.push(i16::from(*value != Value::Null));
        if *value != Value::Null {
            filled.push(convert(value).ok_or(Failure::Row(row as u64))?);
        }
    }
    let missing = || ParquetError::General("the schema has too few columns".to_owned());
    let mut column = group.next_column()?.ok_or_else(missing)?;
    column.typed::<T>().write_batch(&filled, Some(&levels), None)?;
    column.close()?;
    Ok(())
}

fn does_not_fit(name: &str, kind: Kind, row: u64, value: &Value) -> anyhow::Error {
    let kind = match kind {
        Kind::Whole => "whole numbers",
        Kind::Number => "numbers",
        Kind::Text => "text",
        Kind::Bytes => "bytes",
    };
    let shown: String = value.to_string().chars().take(40).collect();
    anyhow::anyhow!(
        "column {name} holds {kind} in earlier rows and {shown:?} in row {}: give it one type in the \
         statement, such as cast({name} as text)",
        output::grouped(row + 1)
    )
}

#[cfg(test)]
mod tests {
    use parquet::file::reader::{FileReader, SerializedFileReader};

    use super::*;

    fn file(columns: &[&str], rows: &[Vec<Value>]) -> anyhow::Result<Vec<String>> {
        let columns: Vec<String> = columns.iter().map(|&name| name.to_owned()).collect();
        let mut out = ParquetRows::new(Vec::new());
        for row in rows {
            out.add(&columns, row)?;
        }
        let bytes = out.end(&columns)?;
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("x.parquet");
        std::fs::write(&path, bytes)?;
        let reader = SerializedFileReader::new(std::fs::File::open(path)?)?;
        let rows = reader.get_row_iter(None)?;
        Ok(rows.map(|row| row.map(|row| row.to_string())).collect::<Result<_, _>>()?)
    }

    #[test]
    fn each_column_gets_the_type_of_what_it_holds() {
        let rows = [
            vec![Value::Int(1), Value::Int(2), "a".into(), Value::Null, Value::Blob(vec![255, 0])],
            vec![Value::Null, Value::Real(0.5), Value::Int(7), Value::Null, Value::Null],
        ];
        assert_eq!(
            file(&["n", "r", "t", "nothing", "n"], &rows).unwrap(),
            [
                "{n: 1, r: 2.0, t: \"a\", nothing: null, n_2: [255, 0]}",
                "{n: null, r: 0.5, t: \"7\", nothing: null, n_2: null}",
            ]
        );
        assert!(file(&["n"], &[]).unwrap().is_empty(), "a file without rows is a file");
    }

    #[test]
    fn a_value_of_another_kind_later_on_is_named() {
        let mut rows = vec![vec![Value::Int(1)]; GROUP_ROWS];
        rows.push(vec!["x".into()]);
        let error = file(&["n"], &rows).unwrap_err().to_string();
        assert!(
            error.contains("column n") && error.contains("row 65,537") && error.contains("cast("),
            "{error}"
        );
    }
}
