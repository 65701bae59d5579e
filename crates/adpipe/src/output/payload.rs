//! Payloads and other texts of records, for people.

use super::terminal;

/// Bytes shown of a payload.
const SHOWN: usize = 4_096;

/// The beginning of a text, in one line.
pub fn shortened(text: &str, most: usize) -> String {
    let mut short: String = text.chars().take(most).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(most).is_some() {
        short.push('…');
    }
    short
}

/// A text in one line that does not drive a terminal.
pub fn in_one_line(text: &str) -> String {
    terminal::escaped(text).into_owned()
}

/// Text as text, anything else in hexadecimal.
pub fn shown(bytes: &[u8]) -> String {
    let start = &bytes[..bytes.len().min(SHOWN)];
    let more = if bytes.len() > SHOWN { "\n… (--payload shows all)" } else { "" };
    let is_text = match std::str::from_utf8(start) {
        Ok(_) => true,
        // Cut in the middle of a character.
        Err(error) => error.valid_up_to() + 4 > start.len() && bytes.len() > SHOWN,
    };
    if is_text {
        return in_one_line(&String::from_utf8_lossy(start)) + more;
    }
    let lines: Vec<String> = start
        .chunks(16)
        .enumerate()
        .map(|(index, chunk)| {
            let hex: Vec<String> = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
            let text: String =
                chunk.iter().map(|byte| if byte.is_ascii_graphic() { *byte as char } else { '.' }).collect();
            format!("{:08x}  {:<47}  {text}", index * 16, hex.join(" "))
        })
        .collect();
    lines.join("\n") + more
}
