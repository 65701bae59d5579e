//! Writes events in the wire formats that [`crate::Parser`] reads.

use std::io::Write;

use crate::{Event, INT_FIELDS, TEXT_FIELDS};

/// The header line for [`Event::write_csv`], in the order of the Avazu data set, without a line end.
pub const CSV_HEADER: &str = "id,click,hour,C1,banner_pos,\
    site_id,site_domain,site_category,app_id,app_domain,app_category,\
    device_id,device_ip,device_model,device_type,device_conn_type,\
    C14,C15,C16,C17,C18,C19,C20,C21";

impl Event<'_> {
    /// Appends the event as one JSON object without a line end. The id is a string: as a number
    /// it would lose digits in most readers.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"id\":");
        write_json_text(self.id, out);
        // Writing to a vector cannot fail.
        let _ = write!(
            out,
            ",\"click\":{},\"hour\":\"{}\",\"banner_pos\":{},\"device_type\":{},\"device_conn_type\":{}",
            u8::from(self.click),
            self.event_time,
            self.banner_pos,
            self.device_type,
            self.device_conn_type
        );
        for (name, text) in TEXT_FIELDS.iter().zip(self.texts) {
            let _ = write!(out, ",\"{name}\":");
            write_json_text(text, out);
        }
        for (name, number) in INT_FIELDS.iter().zip(self.ints) {
            if let Some(number) = number {
                let _ = write!(out, ",\"{name}\":{number}");
            }
        }
        out.push(b'}');
    }

    /// Appends the event as one CSV row without a line end; its columns are those of [`CSV_HEADER`].
    pub fn write_csv(&self, out: &mut Vec<u8>) {
        let [c1, others @ ..] = self.ints;
        write_csv_text(self.id, out);
        let _ = write!(out, ",{},{}", u8::from(self.click), self.event_time);
        write_csv_number(c1, out);
        write_csv_number(Some(self.banner_pos), out);
        for text in self.texts {
            out.push(b',');
            write_csv_text(text, out);
        }
        write_csv_number(Some(self.device_type), out);
        write_csv_number(Some(self.device_conn_type), out);
        for number in others {
            write_csv_number(number, out);
        }
    }
}

/// A comma and the number, or nothing after the comma.
fn write_csv_number(number: Option<impl std::fmt::Display>, out: &mut Vec<u8>) {
    out.push(b',');
    if let Some(number) = number {
        let _ = write!(out, "{number}");
    }
}

fn write_json_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..b' ' => {
                let _ = write!(out, "\\u{byte:04x}");
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

fn write_csv_text(text: &str, out: &mut Vec<u8>) {
    if !text.bytes().any(|byte| matches!(byte, b'"' | b',')) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    out.push(b'"');
    for byte in text.bytes() {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}
