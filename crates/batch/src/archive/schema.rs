//! What is in a file of the archive: the columns of `realtime.events`, except those that follow from
//! others (`event_hour`) or are not properties of the event (`ingested_at`). The day is the folder's
//! name.

use std::sync::Arc;

use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{ColumnPath, TypePtr};

use super::Stamp;

/// How the name of the program that wrote a part begins.
pub const CREATED_BY: &str = "adpipe version ";

/// Metadata of a part: the run that wrote it, and the data set that it belongs to.
pub const RUN_ID: &str = "adpipe.run_id";
pub const DATA_ID: &str = "adpipe.data_id";
pub const SOURCE: &str = "adpipe.source";

/// Columns in their order.
pub const EVENT_ID: usize = 0;
pub const EVENT_TIME: usize = 1;
pub const CLICK: usize = 2;
pub const BANNER_POS: usize = 3;
pub const DEVICE_TYPE: usize = 4;
pub const DEVICE_CONN_TYPE: usize = 5;
pub const FIRST_TEXT: usize = 6;
pub const FIRST_INT: usize = FIRST_TEXT + adpipe_event::TEXT_FIELDS.len();
pub const COLUMNS: usize = FIRST_INT + adpipe_event::INT_FIELDS.len();

/// Rows of a row group: what a reader must hold at least, and what an hour's ids are looked up in.
pub const ROW_GROUP_ROWS: usize = 128 * 1_024;

/// Columns of a part, in their order.
pub fn message() -> Result<TypePtr, ParquetError> {
    let mut text = String::from(
        "message event {
            required binary event_id (STRING);
            required int64 event_time (TIMESTAMP(MILLIS,true));
            required int32 click;
            required int32 banner_pos;
            required int32 device_type;
            required int32 device_conn_type;",
    );
    for name in adpipe_event::TEXT_FIELDS {
        text += &format!("required binary {name} (STRING);");
    }
    for name in adpipe_event::INT_FIELDS {
        text += &format!("optional int32 {};", name.to_lowercase());
    }
    text += "}";
    parse_message_type(&text).map(Arc::new)
}

/// Texts with few values, of which a row group may lack some.
const CATEGORIES: [&str; 2] = ["site_category", "app_category"];

/// How it is stored. Ids are all different, so a dictionary of them would be a second copy; times are
/// sorted, so their differences are small. Minimum and maximum are stored for every column except ids,
/// names and addresses: in rows sorted by time, those would span everything in every row group, so no
/// reader could skip one, and finding them took an eighth of the writing time.
pub fn properties(stamp: &Stamp) -> Result<WriterProperties, ParquetError> {
    let id = || ColumnPath::from("event_id");
    let time = || ColumnPath::from("event_time");
    let mut properties = WriterProperties::builder();
    for text in adpipe_event::TEXT_FIELDS.into_iter().filter(|name| !CATEGORIES.contains(name)) {
        properties =
            properties.set_column_statistics_enabled(ColumnPath::from(text), EnabledStatistics::None);
    }
    Ok(properties
        .set_created_by(format!("{CREATED_BY}{}", env!("CARGO_PKG_VERSION")))
        .set_key_value_metadata(Some(vec![
            KeyValue::new(RUN_ID.to_owned(), stamp.run_id.clone()),
            KeyValue::new(DATA_ID.to_owned(), stamp.data_id.clone()),
            KeyValue::new(SOURCE.to_owned(), stamp.source.to_owned()),
        ]))
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_dictionary_enabled(true)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_column_dictionary_enabled(id(), false)
        .set_column_statistics_enabled(id(), EnabledStatistics::None)
        .set_column_dictionary_enabled(time(), false)
        .set_column_encoding(time(), Encoding::DELTA_BINARY_PACKED)
        .set_column_statistics_enabled(time(), EnabledStatistics::Page)
        .build())
}
