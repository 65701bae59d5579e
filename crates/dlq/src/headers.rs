//! Headers as JSON, for a column and for files: `[["name", "value"], …]`; a value that is not text is
//! written as `{"base64": "…"}`.

use adpipe_log::Headers;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// What a column of headers must hold, for errors about others.
pub(crate) const HEADERS: &str = "headers as JSON";

/// Writes headers as JSON.
pub fn headers_to_json(headers: &Headers) -> String {
    let pairs: Vec<Value> = headers
        .0
        .iter()
        .map(|(name, value)| match std::str::from_utf8(value) {
            Ok(text) => json!([name, text]),
            Err(_) => json!([name, {"base64": STANDARD.encode(value)}]),
        })
        .collect();
    Value::Array(pairs).to_string()
}

/// Reads headers; nothing where the text is not what [`headers_to_json`] writes.
pub fn headers_from_json(json: &str) -> Option<Headers> {
    let Ok(Value::Array(pairs)) = serde_json::from_str(json) else { return None };
    let mut headers = Headers::default();
    for pair in &pairs {
        let name = pair.get(0)?.as_str()?;
        let value = match pair.get(1)? {
            Value::String(text) => text.as_bytes().to_vec(),
            other => STANDARD.decode(other.get("base64")?.as_str()?).ok()?,
        };
        headers.0.push((name.to_owned(), value));
    }
    Some(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_go_there_and_back() {
        let headers = Headers::default().with("a", "b\u{0}\n").with("a", vec![0xff, 0x00]);
        let json = headers_to_json(&headers);
        assert!(!json.contains('\u{0}'));
        assert_eq!(headers_from_json(&json), Some(headers));
        assert_eq!(headers_from_json("{}"), None);
        assert_eq!(headers_from_json("[[1]]"), None);
    }
}
