//! A record's fields before any rule was applied: what the wire formats give, and validation takes.

use std::ops::Range;

use crate::{INT_FIELDS, TEXT_FIELDS};

/// Positions of the fields in [`Fields::values`]: also the order in which rules are checked.
pub(crate) const ID: usize = 0;
pub(crate) const CLICK: usize = 1;
pub(crate) const HOUR: usize = 2;
pub(crate) const EVENT_TIME: usize = 3;
pub(crate) const BANNER_POS: usize = 4;
pub(crate) const DEVICE_TYPE: usize = 5;
pub(crate) const DEVICE_CONN_TYPE: usize = 6;
pub(crate) const FIRST_TEXT: usize = 7;
pub(crate) const FIRST_INT: usize = FIRST_TEXT + TEXT_FIELDS.len();
pub(crate) const FIELD_COUNT: usize = FIRST_INT + INT_FIELDS.len();

/// A field's value as the wire format gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RawValue<'a> {
    /// Not there, null, or an empty CSV cell.
    Absent,
    /// A JSON string, as it is in the record.
    Text(&'a str),
    /// A JSON string with escapes: where its text is in the parser's buffer.
    RewrittenText(Range<usize>),
    /// A JSON number's token.
    Number(&'a str),
    /// A CSV cell: text and number at once.
    Cell(&'a str),
    /// A CSV cell with doubled quotes, in the parser's buffer.
    RewrittenCell(Range<usize>),
    /// A JSON value of a type that no field has: true, false, an array, an object.
    Other(&'static str),
}

/// The fields of a record before validation.
pub(crate) struct Fields<'a> {
    pub values: [RawValue<'a>; FIELD_COUNT],
    pub unknown: u32,
    /// Whether the whole record is printable ASCII: then so is every text in it, which does not have to
    /// be checked separately.
    pub is_plain: bool,
}

impl Fields<'_> {
    /// None yet, of this record.
    pub fn of(record: &[u8]) -> Self {
        Fields { values: [const { RawValue::Absent }; FIELD_COUNT], unknown: 0, is_plain: is_plain(record) }
    }

    /// Whether the field's text is printable ASCII for certain.
    pub fn has_plain(&self, field: usize) -> bool {
        self.is_plain && !matches!(self.values[field], RawValue::RewrittenText(_))
    }
}

/// Whether all is printable ASCII.
pub(crate) fn is_plain(text: &[u8]) -> bool {
    // A largest byte is found sixteen at a time, a byte that is out of range one at a time.
    text.iter().fold(0, |most: u8, byte| most.max(byte.wrapping_sub(b' '))) <= b'~' - b' '
}

/// The position of a field with this name.
pub(crate) fn field_index(name: &[u8]) -> Option<usize> {
    Some(match name {
        b"id" => ID,
        b"click" => CLICK,
        b"hour" => HOUR,
        b"event_time" => EVENT_TIME,
        b"banner_pos" => BANNER_POS,
        b"device_type" => DEVICE_TYPE,
        b"device_conn_type" => DEVICE_CONN_TYPE,
        b"site_id" => FIRST_TEXT,
        b"site_domain" => FIRST_TEXT + 1,
        b"site_category" => FIRST_TEXT + 2,
        b"app_id" => FIRST_TEXT + 3,
        b"app_domain" => FIRST_TEXT + 4,
        b"app_category" => FIRST_TEXT + 5,
        b"device_id" => FIRST_TEXT + 6,
        b"device_ip" => FIRST_TEXT + 7,
        b"device_model" => FIRST_TEXT + 8,
        b"C1" => FIRST_INT,
        b"C14" => FIRST_INT + 1,
        b"C15" => FIRST_INT + 2,
        b"C16" => FIRST_INT + 3,
        b"C17" => FIRST_INT + 4,
        b"C18" => FIRST_INT + 5,
        b"C19" => FIRST_INT + 6,
        b"C20" => FIRST_INT + 7,
        b"C21" => FIRST_INT + 8,
        _ => return None,
    })
}
