//! An event as bytes, with at most one field replaced: a broken record is a good one patched.

use crate::config::{Format, IdFormat, TimeFormat};
use crate::event::{Event, Field, Value};
use crate::text::{hex8, push_avazu_hour, push_i32, push_iso, push_u64};

/// How records are written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    pub(crate) format: Format,
    pub(crate) time_format: TimeFormat,
    pub(crate) id_format: IdFormat,
}

/// What differs from the event as it is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Patch<'a> {
    /// Nothing.
    Keep,
    /// The field is left out of the JSON object; in CSV its cell is empty.
    Omit(Field),
    /// These bytes stand in place of the field's value, quotes and all.
    Put(Field, &'a [u8]),
}

impl Style {
    /// Appends `event` without a newline.
    pub(crate) fn write(self, out: &mut Vec<u8>, event: &Event, patch: Patch<'_>) {
        match self.format {
            Format::Ndjson => self.write_json(out, event, patch),
            Format::Csv => self.write_csv(out, event, patch),
        }
    }

    fn write_json(self, out: &mut Vec<u8>, event: &Event, patch: Patch<'_>) {
        let start = out.len();
        for field in Field::ALL {
            match patch {
                Patch::Omit(omitted) if omitted == field => continue,
                Patch::Put(patched, bytes) if patched == field => {
                    out.extend_from_slice(field.json_key());
                    out.extend_from_slice(bytes);
                }
                _ => {
                    out.extend_from_slice(field.json_key());
                    self.write_json_value(out, event.value(field));
                }
            }
        }
        // Should the first field be left out, the second must open the object.
        if let Some(first) = out.get_mut(start) {
            *first = b'{';
        }
        out.push(b'}');
    }

    fn write_json_value(self, out: &mut Vec<u8>, value: Value) {
        match value {
            Value::Number(number) => push_i32(out, number),
            Value::Code(code) => {
                let [a, b, c, d, e, f, g, h] = hex8(code);
                out.extend_from_slice(&[b'"', a, b, c, d, e, f, g, h, b'"']);
            }
            Value::Id(id) => match self.id_format {
                IdFormat::Text => {
                    out.push(b'"');
                    push_u64(out, id);
                    out.push(b'"');
                }
                IdFormat::Number => push_u64(out, id),
            },
            Value::Time(time_ms) => {
                out.push(b'"');
                self.write_time(out, time_ms);
                out.push(b'"');
            }
        }
    }

    fn write_csv(self, out: &mut Vec<u8>, event: &Event, patch: Patch<'_>) {
        for field in Field::ALL {
            if field != Field::Id {
                out.push(b',');
            }
            match patch {
                Patch::Omit(omitted) if omitted == field => {}
                Patch::Put(patched, bytes) if patched == field => out.extend_from_slice(bytes),
                _ => match event.value(field) {
                    Value::Number(number) => push_i32(out, number),
                    Value::Code(code) => out.extend_from_slice(&hex8(code)),
                    Value::Id(id) => push_u64(out, id),
                    Value::Time(time_ms) => self.write_time(out, time_ms),
                },
            }
        }
    }

    fn write_time(self, out: &mut Vec<u8>, time_ms: i64) {
        match self.time_format {
            TimeFormat::Iso => push_iso(out, time_ms),
            TimeFormat::AvazuHour => push_avazu_hour(out, time_ms),
        }
    }
}
