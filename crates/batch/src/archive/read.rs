//! Reads ids and events out of a file of the archive.

use std::ops::Range;
use std::sync::PoisonError;

use adpipe_event::{Event, EventBatch, Millis};
use adpipe_warehouse::{ArchiveIds, ArchiveReadError, PartName};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use parquet::file::statistics::Statistics;

use super::part::Part;
use super::{Archive, schema};

const HOUR_MS: i64 = 3_600_000;

const SITE_CATEGORY: usize = 2;
const APP_CATEGORY: usize = 5;

/// What figures are made of.
#[derive(Debug, Clone, Copy)]
pub struct Figure<'a> {
    /// When the ad was shown.
    pub event_time: Millis,
    /// Whether it was clicked.
    pub click: bool,
    /// Banner position, device type, connection type.
    pub codes: [u8; 3],
    /// Category of the site.
    pub site_category: &'a str,
    /// Category of the app.
    pub app_category: &'a str,
}

/// The writer of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// It names adpipe as the program that wrote it.
    pub is_adpipe: bool,
    /// The run that wrote it; none for a part from before runs were recorded.
    pub run_id: Option<String>,
    /// The data set that it belongs to.
    pub data_id: Option<String>,
    /// Where its events came from: `file`, `stream` or `merged`.
    pub source: Option<String>,
}

impl ArchiveIds for Archive {
    fn ids_of_hour(
        &self,
        part: &PartName,
        hour: Millis,
        on_id: &mut dyn FnMut(&str),
    ) -> Result<(), ArchiveReadError> {
        self.check_part(part)?;
        let times = hour..Millis(hour.0 + HOUR_MS);
        self.row_groups(&part.path, Some(&times), |group| {
            let (start, end) = rows_within(group, &times)?;
            for id in texts(group, schema::EVENT_ID, start, end - start)? {
                on_id(as_str(&id)?);
            }
            Ok(())
        })
    }
}

impl Archive {
    /// Calls `on_events` with the events of a part, a row group at a time; with times, with those
    /// of that time only.
    ///
    /// # Errors
    /// The same as [`ArchiveIds::ids_of_hour`].
    pub fn events(
        &self,
        path: &str,
        times: Option<Range<Millis>>,
        mut on_events: impl FnMut(EventBatch),
    ) -> Result<(), ArchiveReadError> {
        self.row_groups(path, times.as_ref(), |group| {
            let (start, end) = match &times {
                Some(times) => rows_within(group, times)?,
                None => (0, group.metadata().num_rows() as usize),
            };
            if start < end {
                on_events(events(group, start, end - start)?);
            }
            Ok(())
        })
    }

    /// Calls `on_event` with what figures are made of, for each event of a part.
    ///
    /// # Errors
    /// The same as [`ArchiveIds::ids_of_hour`].
    pub fn figures(&self, path: &str, mut on_event: impl FnMut(Figure<'_>)) -> Result<(), ArchiveReadError> {
        self.row_groups(path, None, |group| {
            let rows = group.metadata().num_rows() as usize;
            let code = |column| numbers(group, column, 0, rows).map(|(values, _)| values);
            let (times, clicks) = (times(group, 0, rows)?, code(schema::CLICK)?);
            let codes =
                [code(schema::BANNER_POS)?, code(schema::DEVICE_TYPE)?, code(schema::DEVICE_CONN_TYPE)?];
            let sites = texts(group, schema::FIRST_TEXT + SITE_CATEGORY, 0, rows)?;
            let apps = texts(group, schema::FIRST_TEXT + APP_CATEGORY, 0, rows)?;
            for row in 0..rows {
                on_event(Figure {
                    event_time: Millis(times[row]),
                    click: clicks[row] != 0,
                    codes: [codes[0][row] as u8, codes[1][row] as u8, codes[2][row] as u8],
                    site_category: as_str(&sites[row])?,
                    app_category: as_str(&apps[row])?,
                });
            }
            Ok(())
        })
    }

    /// Calls `on_id` with the hour and id of each event of a part, in the order of time.
    ///
    /// # Errors
    /// The same as [`ArchiveIds::ids_of_hour`].
    pub(crate) fn hours_and_ids(
        &self,
        path: &str,
        mut on_id: impl FnMut(Millis, &str),
    ) -> Result<(), ArchiveReadError> {
        self.row_groups(path, None, |group| {
            let rows = group.metadata().num_rows() as usize;
            let (times, ids) = (times(group, 0, rows)?, texts(group, schema::EVENT_ID, 0, rows)?);
            for (time, id) in times.iter().zip(&ids) {
                on_id(Millis(*time).floor_hour(), as_str(id)?);
            }
            Ok(())
        })
    }

    /// Compares a part with the hash of its list, once a process; a part that has none yet is taken as
    /// it is.
    ///
    /// # Errors
    /// [`ArchiveReadError::Damaged`] when it is another, and as [`ArchiveIds::ids_of_hour`].
    pub fn check_part(&self, part: &PartName) -> Result<(), ArchiveReadError> {
        let Some(listed) = &part.hash else { return Ok(()) };
        let key = (part.path.clone(), listed.clone());
        let lock = || self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        if lock().contains(&key) {
            return Ok(());
        }
        let (found, _) = self.hash(&part.path)?;
        if found != *listed {
            let reason = format!("its hash is {found}, the archive's list has {listed}");
            return Err(ArchiveReadError::Damaged { path: part.path.clone(), reason });
        }
        lock().insert(key);
        Ok(())
    }

    /// XXH3-128 of a stored part, hexadecimal, and its length.
    ///
    /// # Errors
    /// The same as [`ArchiveIds::ids_of_hour`].
    pub fn hash(&self, path: &str) -> Result<(String, u64), ArchiveReadError> {
        self.open(path)?.hash()
    }

    /// Who wrote a part, according to the part.
    ///
    /// # Errors
    /// As [`ArchiveIds::ids_of_hour`]; damaged if it is not a Parquet file.
    pub fn origin(&self, path: &str) -> Result<Origin, ArchiveReadError> {
        let part = self.open(path)?;
        let reader = SerializedFileReader::new(part.clone()).map_err(|error| part.error(&error))?;
        let metadata = reader.metadata().file_metadata();
        let value = |key: &str| {
            let pair = metadata.key_value_metadata()?.iter().find(|pair| pair.key == key)?;
            pair.value.clone()
        };
        Ok(Origin {
            is_adpipe: metadata.created_by().is_some_and(|name| name.starts_with(schema::CREATED_BY)),
            run_id: value(schema::RUN_ID),
            data_id: value(schema::DATA_ID),
            source: value(schema::SOURCE),
        })
    }

    /// How many rows a part has by its own word, and its size.
    ///
    /// # Errors
    /// The same as [`ArchiveIds::ids_of_hour`].
    pub fn rows_and_bytes(&self, path: &str) -> Result<(u64, u64), ArchiveReadError> {
        let part = self.open(path)?;
        let reader = SerializedFileReader::new(part.clone()).map_err(|error| part.error(&error))?;
        Ok((reader.metadata().file_metadata().num_rows() as u64, part.size()))
    }

    /// Goes through the row groups that may hold events of these times.
    fn row_groups(
        &self,
        path: &str,
        times: Option<&Range<Millis>>,
        mut on_group: impl FnMut(&dyn RowGroupReader) -> Result<(), ParquetError>,
    ) -> Result<(), ArchiveReadError> {
        let part = self.open(path)?;
        let reader = SerializedFileReader::new(part.clone()).map_err(|error| part.error(&error))?;
        for index in 0..reader.num_row_groups() {
            if times.is_some_and(|times| !may_hold(&reader, index, times)) {
                continue;
            }
            reader
                .get_row_group(index)
                .and_then(|group| on_group(group.as_ref()))
                .map_err(|error| part.error(&error))?;
        }
        Ok(())
    }

    fn open(&self, path: &str) -> Result<Part, ArchiveReadError> {
        let file = self.store.open(path)?;
        Ok(Part::new(path.to_owned(), self.store.location_of(path), file))
    }
}

/// Whether the row group's own statistics leave room for these times.
fn may_hold(reader: &SerializedFileReader<Part>, group: usize, wanted: &Range<Millis>) -> bool {
    match reader.metadata().row_group(group).column(schema::EVENT_TIME).statistics() {
        Some(Statistics::Int64(times)) => match (times.min_opt(), times.max_opt()) {
            (Some(first), Some(last)) => *first < wanted.end.0 && *last >= wanted.start.0,
            _ => true,
        },
        _ => true,
    }
}

/// Where the rows of these times lie in a row group, which is sorted by time.
fn rows_within(group: &dyn RowGroupReader, wanted: &Range<Millis>) -> Result<(usize, usize), ParquetError> {
    let times = times(group, 0, group.metadata().num_rows() as usize)?;
    let start = times.partition_point(|time| *time < wanted.start.0);
    let end = times.partition_point(|time| *time < wanted.end.0);
    Ok((start, end))
}

fn times(group: &dyn RowGroupReader, start: usize, rows: usize) -> Result<Vec<i64>, ParquetError> {
    match group.get_column_reader(schema::EVENT_TIME)? {
        ColumnReader::Int64ColumnReader(reader) => Ok(values::<Int64Type>(reader, start, rows)?.0),
        _ => Err(unexpected(schema::EVENT_TIME)),
    }
}

fn texts(
    group: &dyn RowGroupReader,
    column: usize,
    start: usize,
    rows: usize,
) -> Result<Vec<ByteArray>, ParquetError> {
    match group.get_column_reader(column)? {
        ColumnReader::ByteArrayColumnReader(reader) => Ok(values::<ByteArrayType>(reader, start, rows)?.0),
        _ => Err(unexpected(column)),
    }
}

/// Numbers, and which rows have one when the column is optional.
fn numbers(
    group: &dyn RowGroupReader,
    column: usize,
    start: usize,
    rows: usize,
) -> Result<(Vec<i32>, Vec<i16>), ParquetError> {
    match group.get_column_reader(column)? {
        ColumnReader::Int32ColumnReader(reader) => values::<Int32Type>(reader, start, rows),
        _ => Err(unexpected(column)),
    }
}

fn values<T: DataType>(
    mut reader: ColumnReaderImpl<T>,
    start: usize,
    rows: usize,
) -> Result<(Vec<T::T>, Vec<i16>), ParquetError> {
    let (mut values, mut levels) = (Vec::with_capacity(rows), Vec::with_capacity(rows));
    if reader.skip_records(start)? != start {
        return Err(ParquetError::EOF("a column is too short".to_owned()));
    }
    let mut read = 0;
    while read < rows {
        let (records, _, _) = reader.read_records(rows - read, Some(&mut levels), None, &mut values)?;
        if records == 0 {
            return Err(ParquetError::EOF("a column is too short".to_owned()));
        }
        read += records;
    }
    Ok((values, levels))
}

fn unexpected(column: usize) -> ParquetError {
    ParquetError::General(format!("column {column} is not of the type that adpipe writes"))
}

fn as_str(text: &ByteArray) -> Result<&str, ParquetError> {
    std::str::from_utf8(text.data()).map_err(|error| ParquetError::General(error.to_string()))
}

fn events(group: &dyn RowGroupReader, start: usize, rows: usize) -> Result<EventBatch, ParquetError> {
    let ids = texts(group, schema::EVENT_ID, start, rows)?;
    let times = times(group, start, rows)?;
    let code = |column| numbers(group, column, start, rows).map(|(values, _)| values);
    let (clicks, banners) = (code(schema::CLICK)?, code(schema::BANNER_POS)?);
    let (devices, connections) = (code(schema::DEVICE_TYPE)?, code(schema::DEVICE_CONN_TYPE)?);
    let mut text_columns = Vec::with_capacity(adpipe_event::TEXT_FIELDS.len());
    for column in schema::FIRST_TEXT..schema::FIRST_INT {
        text_columns.push(texts(group, column, start, rows)?);
    }
    let mut int_columns = Vec::with_capacity(adpipe_event::INT_FIELDS.len());
    for column in schema::FIRST_INT..schema::COLUMNS {
        let (values, levels) = numbers(group, column, start, rows)?;
        let mut values = values.into_iter();
        // Without a level for each row there is a value for each.
        let spread: Vec<Option<i32>> = match levels.len() {
            0 => values.map(Some).collect(),
            _ => levels.iter().map(|level| if *level > 0 { values.next() } else { None }).collect(),
        };
        int_columns.push(spread);
    }
    let mut batch = EventBatch::new();
    for row in 0..rows {
        let mut text_values = [""; adpipe_event::TEXT_FIELDS.len()];
        for (value, column) in text_values.iter_mut().zip(&text_columns) {
            *value = as_str(&column[row])?;
        }
        batch.push(&Event {
            id: as_str(&ids[row])?,
            click: clicks[row] != 0,
            event_time: Millis(times[row]),
            banner_pos: banners[row] as u8,
            device_type: devices[row] as u8,
            device_conn_type: connections[row] as u8,
            texts: text_values,
            ints: std::array::from_fn(|column| int_columns[column][row]),
        });
    }
    Ok(batch)
}
