//! Writes a file of the archive.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use adpipe_event::{EventBatch, INT_FIELDS, Millis, TEXT_FIELDS};
use bytes::Bytes;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use twox_hash::xxhash3_128::Hasher;

use super::store::{NewFile, UNFINISHED};
use super::{Archive, RUN_ID_DIGITS, Stamp, date_of, hash_text, schema};
use crate::BatchError;

const BUFFER_BYTES: usize = 256 << 10;

/// Rows of several batches that are to lie in one file.
#[derive(Debug, Default, Clone)]
pub struct Rows {
    /// Batch and index, sorted by event time.
    pub order: Vec<(u32, u32)>,
}

/// What a file holds of an hour.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct OfHour {
    /// Events.
    pub rows: u64,
    /// Events that were clicked.
    pub clicks: u64,
}

/// A file being written, not visible yet.
#[derive(Debug)]
pub struct PartFile {
    /// Its path in the archive, as it will be.
    pub path: String,
    /// Day of its events.
    pub event_date: String,
    /// Oldest event.
    pub first_event: Millis,
    /// Newest event.
    pub last_event: Millis,
    /// Events.
    pub rows: u64,
    /// Clicks.
    pub clicks: u64,
    /// Size.
    pub bytes: u64,
    /// XXH3-128 of all its bytes, hexadecimal.
    pub hash: String,
    /// By the hour.
    pub hours: BTreeMap<Millis, OfHour>,
    file: Box<dyn NewFile>,
}

impl PartFile {
    /// Gives it its path, for good.
    ///
    /// # Errors
    /// [`BatchError::Archive`].
    pub fn publish(&self) -> Result<(), BatchError> {
        Ok(self.file.publish()?)
    }

    /// Removes it, published or not. What cannot be removed now is swept by the next run.
    pub fn discard(&self) {
        self.file.discard();
    }
}

/// Sorts rows by their day, each day's by their time. `is_in` says which rows of a batch.
pub fn rows_by_date(batches: &[&EventBatch], is_in: impl Fn(usize, usize) -> bool) -> Vec<Rows> {
    const DAY_MS: i64 = 24 * 3_600_000;
    let mut days: Vec<(i64, Rows)> = Vec::new();
    let mut current = 0;
    for (batch_index, batch) in batches.iter().enumerate() {
        for (index, time) in batch.event_times().iter().enumerate() {
            if !is_in(batch_index, index) {
                continue;
            }
            let day = time.0.div_euclid(DAY_MS);
            if days.get(current).is_none_or(|(its_day, _)| *its_day != day) {
                current = days.iter().position(|(its_day, _)| *its_day == day).unwrap_or_else(|| {
                    days.push((day, Rows::default()));
                    days.len() - 1
                });
            }
            days[current].1.order.push((batch_index as u32, index as u32));
        }
    }
    days.sort_unstable_by_key(|(day, _)| *day);
    let time = |at: &(u32, u32)| batches[at.0 as usize].event_time(at.1 as usize);
    for (_, rows) in &mut days {
        if !rows.order.is_sorted_by_key(time) {
            // Stable, so that the same input gives the same file.
            rows.order.sort_by_key(time);
        }
    }
    days.into_iter().map(|(_, rows)| rows).collect()
}

impl Archive {
    /// Writes rows of one day into one new file.
    ///
    /// # Errors
    /// [`BatchError::Archive`], with nothing left behind that counts.
    pub fn write(&self, batches: &[&EventBatch], rows: &Rows) -> Result<PartFile, BatchError> {
        let (Some(first), Some(last)) = (rows.order.first(), rows.order.last()) else {
            return Err(BatchError::archive(self.location(), "a part without rows; please report this"));
        };
        let time = |at: (u32, u32)| batches[at.0 as usize].event_time(at.1 as usize);
        let event_date = date_of(time(*first));
        let Some(stamp) = &self.stamp else {
            return Err(BatchError::archive(self.location(), "a part without a run; please report this"));
        };
        let path = format!("event_date={event_date}/{}", part_name(&stamp.run_id));
        let (file, bytes, hash) = self.write_file(&path, stamp, batches, &rows.order)?;
        let mut hours: BTreeMap<Millis, OfHour> = BTreeMap::new();
        let mut current = (time(*first).floor_hour(), OfHour::default());
        let mut clicks = 0;
        for at in &rows.order {
            let hour = time(*at).floor_hour();
            if hour != current.0 {
                hours.insert(current.0, current.1);
                current = (hour, OfHour::default());
            }
            let click = u64::from(batches[at.0 as usize].click(at.1 as usize));
            current.1.rows += 1;
            current.1.clicks += click;
            clicks += click;
        }
        hours.insert(current.0, current.1);
        Ok(PartFile {
            path,
            first_event: time(*first),
            last_event: time(*last),
            rows: rows.order.len() as u64,
            clicks,
            bytes,
            hash,
            hours,
            file,
            event_date,
        })
    }

    fn write_file(
        &self,
        path: &str,
        stamp: &Stamp,
        batches: &[&EventBatch],
        order: &[(u32, u32)],
    ) -> Result<(Box<dyn NewFile>, u64, String), BatchError> {
        let hashed = Hashed::new(self.store.create(path)?);
        let buffered = BufWriter::with_capacity(BUFFER_BYTES, hashed);
        // A file that cannot be written to its end goes with the error.
        let Hashed { mut file, hasher } = encode(buffered, stamp, batches, order)
            .map_err(|error| BatchError::archive(self.store.location_of(path), error))?;
        match file.complete() {
            Ok(bytes) => Ok((file, bytes, hash_text(&hasher))),
            Err(error) => {
                file.discard();
                Err(error.into())
            }
        }
    }
}

/// A name that no other part has or had, and that says which run wrote it.
fn part_name(run_id: &str) -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    let now = Millis::now().to_string().replace(['-', ':', '.'], "").replace(' ', "T");
    format!("part-{now:0<18}-{run_id}-{number:06}.parquet")
}

/// The run that a part's name says, finished or not.
pub(crate) fn run_in_name(path: &str) -> Option<&str> {
    let (_, name) = path.split_once('/')?;
    let name = name.strip_prefix(UNFINISHED).unwrap_or(name);
    let mut words = name.strip_prefix("part-")?.strip_suffix(".parquet")?.split('-');
    let (_time, run_id) = (words.next()?, words.next()?);
    (run_id.len() == RUN_ID_DIGITS).then_some(run_id)
}

/// A file and the hash of what went into it.
struct Hashed {
    file: Box<dyn NewFile>,
    hasher: Hasher,
}

impl Hashed {
    fn new(file: Box<dyn NewFile>) -> Hashed {
        Hashed { file, hasher: Hasher::new() }
    }
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.write(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

type File = BufWriter<Hashed>;

fn encode(
    file: File,
    stamp: &Stamp,
    batches: &[&EventBatch],
    order: &[(u32, u32)],
) -> Result<Hashed, ParquetError> {
    let properties = Arc::new(schema::properties(stamp)?);
    let mut writer = SerializedFileWriter::new(file, schema::message()?, properties)?;
    for group in order.chunks(schema::ROW_GROUP_ROWS) {
        let mut row_group = writer.next_row_group()?;
        write_row_group(&mut row_group, batches, group)?;
        row_group.close()?;
    }
    let buffered = writer.into_inner()?;
    buffered.into_inner().map_err(|error| ParquetError::External(Box::new(error.into_error())))
}

type RowGroup<'a> = SerializedRowGroupWriter<'a, File>;

/// Rows that lie one after the other in a batch: input that is sorted by time, as raw files mostly are,
/// is few of these, and a column of each is copied at once.
struct Run<'a> {
    batch: &'a EventBatch,
    rows: Range<usize>,
}

fn runs<'a>(batches: &[&'a EventBatch], order: &[(u32, u32)]) -> Vec<Run<'a>> {
    order
        .chunk_by(|before, row| before.0 == row.0 && before.1 + 1 == row.1)
        .map(|run| {
            let (batch, first) = run[0];
            Run { batch: batches[batch as usize], rows: first as usize..first as usize + run.len() }
        })
        .collect()
}

fn write_row_group(
    group: &mut RowGroup<'_>,
    batches: &[&EventBatch],
    order: &[(u32, u32)],
) -> Result<(), ParquetError> {
    let runs = runs(batches, order);
    let mut texts: Vec<ByteArray> = Vec::with_capacity(order.len());
    let mut numbers: Vec<i32> = Vec::with_capacity(order.len());

    gather_texts(&mut texts, &runs, |run, text, ends| run.batch.append_ids(run.rows.clone(), text, ends));
    write_column::<ByteArrayType>(group, &texts, None)?;
    let times = runs.iter().flat_map(|run| &run.batch.event_times()[run.rows.clone()]);
    let times: Vec<i64> = times.map(|time| time.0).collect();
    write_column::<Int64Type>(group, &times, None)?;
    drop(times);
    let codes: [fn(&EventBatch, usize) -> u8; 4] = [
        |batch, index| u8::from(batch.click(index)),
        EventBatch::banner_pos,
        EventBatch::device_type,
        EventBatch::device_conn_type,
    ];
    for code in codes {
        numbers.clear();
        for run in &runs {
            numbers.extend(run.rows.clone().map(|index| i32::from(code(run.batch, index))));
        }
        write_column::<Int32Type>(group, &numbers, None)?;
    }
    for column in 0..TEXT_FIELDS.len() {
        gather_texts(&mut texts, &runs, |run, text, ends| {
            run.batch.append_texts(column, run.rows.clone(), text, ends);
        });
        write_column::<ByteArrayType>(group, &texts, None)?;
    }
    let mut levels: Vec<i16> = Vec::with_capacity(order.len());
    for column in 0..INT_FIELDS.len() {
        numbers.clear();
        levels.clear();
        for run in &runs {
            for index in run.rows.clone() {
                let number = run.batch.int(column, index);
                levels.push(i16::from(number.is_some()));
                numbers.extend(number);
            }
        }
        write_column::<Int32Type>(group, &numbers, Some(&levels))?;
    }
    Ok(())
}

/// The texts of one column, all in one buffer.
fn gather_texts(
    texts: &mut Vec<ByteArray>,
    runs: &[Run<'_>],
    append: impl Fn(&Run<'_>, &mut Vec<u8>, &mut Vec<usize>),
) {
    let rows = runs.iter().map(|run| run.rows.len()).sum();
    let mut buffer = Vec::with_capacity(rows * 10);
    let mut ends = Vec::with_capacity(rows);
    runs.iter().for_each(|run| append(run, &mut buffer, &mut ends));
    let buffer = Bytes::from(buffer);
    texts.clear();
    let mut start = 0;
    for end in ends {
        texts.push(ByteArray::from(buffer.slice(start..end)));
        start = end;
    }
}

fn write_column<T: DataType>(
    group: &mut RowGroup<'_>,
    values: &[T::T],
    levels: Option<&[i16]>,
) -> Result<(), ParquetError> {
    let Some(mut column) = group.next_column()? else {
        return Err(ParquetError::General("the schema has too few columns".to_owned()));
    };
    column.typed::<T>().write_batch(values, levels, None)?;
    column.close()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_which_run_wrote_the_part() {
        let run_id = "0".repeat(RUN_ID_DIGITS);
        let name = part_name(&run_id);
        for path in [format!("event_date=2014-10-21/{name}"), format!("event_date=x/{UNFINISHED}{name}")] {
            assert_eq!(run_in_name(&path), Some(run_id.as_str()), "{path}");
        }
        for other in
            ["event_date=2014-10-21/part-20200102T030405678-0000001-000000.parquet", "x/part-1.parquet"]
        {
            assert_eq!(run_in_name(other), None, "{other}");
        }
    }
}
