//! What Slack refuses: the limits of Block Kit's reference, and text that is not escaped.

use serde_json::Value;

/// In what a message would be refused, or shown wrong.
pub fn problems(body: &str) -> Vec<String> {
    let mut found = Vec::new();
    // Form-encoded messages (`payload=…`) are not ours.
    if body.starts_with("payload=") {
        return found;
    }
    let message: Value = match serde_json::from_str(body) {
        Ok(message) => message,
        Err(error) => return vec![format!("no JSON: {error}")],
    };
    let text = message["text"].as_str().unwrap_or_default();
    if text.chars().count() > 40_000 {
        found.push("text is longer than 40,000 characters".to_owned());
    }
    let Some(blocks) = message["blocks"].as_array() else {
        if text.is_empty() && !message["attachments"].is_array() {
            found.push("there is neither text nor blocks".to_owned());
        }
        return found;
    };
    if text.is_empty() {
        found.push("blocks without a text for the notification".to_owned());
    }
    if blocks.is_empty() || blocks.len() > 50 {
        found.push(format!("{} blocks; there may be 1 to 50", blocks.len()));
    }
    for (index, block) in blocks.iter().enumerate() {
        block_problems(block, &mut |what| found.push(format!("block {index}: {what}")));
    }
    found
}

fn block_problems(block: &Value, wrong: &mut dyn FnMut(String)) {
    match block["type"].as_str() {
        Some("header") => {
            if block["text"]["type"] != "plain_text" {
                wrong("a header's text is plain_text".to_owned());
            }
            text_problems(&block["text"], 150, wrong);
        }
        Some("section") => {
            let fields = block["fields"].as_array();
            if block["text"].is_null() && fields.is_none() {
                wrong("a section has text or fields".to_owned());
            }
            if !block["text"].is_null() {
                text_problems(&block["text"], 3_000, wrong);
            }
            if let Some(fields) = fields {
                if fields.is_empty() || fields.len() > 10 {
                    wrong(format!("{} fields; there may be 1 to 10", fields.len()));
                }
                fields.iter().for_each(|field| text_problems(field, 2_000, wrong));
            }
        }
        Some("context") => {
            let elements = block["elements"].as_array().map_or(&[] as &[Value], Vec::as_slice);
            if elements.is_empty() || elements.len() > 10 {
                wrong(format!("{} elements of a context; there may be 1 to 10", elements.len()));
            }
            elements.iter().for_each(|element| text_problems(element, 3_000, wrong));
        }
        Some("divider") => {}
        other => wrong(format!("type {other:?} is not known here")),
    }
}

fn text_problems(object: &Value, most: usize, wrong: &mut dyn FnMut(String)) {
    let text = object["text"].as_str().unwrap_or_default();
    let length = text.chars().count();
    if length == 0 || length > most {
        wrong(format!("a text of {length} characters; there may be 1 to {most}"));
    }
    match object["type"].as_str() {
        Some("mrkdwn") => markup_problems(text, wrong),
        Some("plain_text") => {}
        other => wrong(format!("a text is mrkdwn or plain_text, not {other:?}")),
    }
}

/// `&`, `<` and `>` only as entities or around a link.
fn markup_problems(text: &str, wrong: &mut dyn FnMut(String)) {
    let mut rest = text;
    while let Some(at) = rest.find(['&', '<', '>']) {
        let (found, behind) = (rest.as_bytes()[at], &rest[at + 1..]);
        rest = behind;
        match found {
            b'&' if ["amp;", "lt;", "gt;"].iter().any(|entity| behind.starts_with(entity)) => {}
            b'<' if ["http://", "https://"].iter().any(|scheme| behind.starts_with(scheme)) => {
                match behind.find('>') {
                    Some(end) => rest = &behind[end + 1..],
                    None => wrong("a link without its end".to_owned()),
                }
            }
            other => wrong(format!("a {:?} that is not escaped in {text:?}", char::from(other))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::problems;

    #[test]
    fn limits_are_seen() {
        let message = |blocks: serde_json::Value| {
            problems(&serde_json::json!({"text": "x", "blocks": blocks}).to_string())
        };
        let section =
            |text: &str| serde_json::json!([{"type": "section", "text": {"type": "mrkdwn", "text": text}}]);
        assert!(message(section("a &amp; b <https://x.example/?a=1|x>")).is_empty());
        assert_eq!(message(section("a & b")).len(), 1);
        assert_eq!(message(section("<!channel>")).len(), 2);
        assert_eq!(message(section(&"x".repeat(3_001))).len(), 1);
        assert_eq!(message(serde_json::json!([])).len(), 1);
        let header =
            serde_json::json!([{"type": "header", "text": {"type": "plain_text", "text": "x".repeat(151)}}]);
        assert_eq!(message(header).len(), 1);
        assert_eq!(problems("{\"blocks\": [{\"type\": \"divider\"}]}").len(), 1);
        assert_eq!(problems("{").len(), 1);
    }
}
