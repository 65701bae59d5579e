//! The ad event: wire formats, splitting, parsing, validation, columnar batches. No I/O of its own.
//!
//! Bytes become records ([`RecordReader`]), a record becomes fields (`json.rs`, `csv.rs`), fields
//! become an [`Event`] or an [`EventError`] (`validate.rs`), events become columns
//! ([`EventBatch`]). One [`Parser`] serves stream, HTTP and batch. Nothing is allocated per field:
//! an event borrows from its record.
//!
//! Open `validate.rs` first: it holds every rule. `fields.rs` says which names of the input are read.

mod batch;
mod content;
mod csv;
mod encode;
mod encoding;
mod error;
mod event;
mod fields;
mod foreign;
mod format;
mod gzip;
mod json;
mod key;
mod limit;
mod mark;
mod name_table;
mod parser;
mod proposal;
mod raw;
mod sample;
mod split;
mod time;
mod topic;
mod validate;

pub use batch::EventBatch;
pub use content::{ContentHasher, ContentSum};
pub use csv::{CsvColumns, HeaderError, csv_cells};
pub use encode::CSV_HEADER;
pub use encoding::{Encoding, decode, sniff_encoding};
pub use error::{ErrorType, EventError};
pub use event::{Event, INT_FIELDS, Parsed, TEXT_FIELDS, Warnings};
pub use fields::{FIELDS, FieldMap, FieldMapError, FieldSource, is_number_field};
pub use foreign::sniff_foreign;
pub use format::{Format, find_format, read_start, sniff_format};
pub use gzip::GzipReader;
pub use key::record_id;
pub use limit::ErrorLimit;
pub use mark::{decode_text, without_mark};
pub use parser::{Parser, Rules};
pub use proposal::{Basis, Proposal, Proposed};
pub use sample::Sample;
pub use split::{InputRecord, ReadError, RecordReader};
pub use time::Millis;
pub use topic::Topic;
