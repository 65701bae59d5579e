//! Block Kit, within its limits (<https://docs.slack.dev/reference/block-kit/blocks>).
//!
//! By hand, as four kinds of blocks are all there is to write and shortening to the limits is most of it.

use serde_json::{Value, json};

/// Most characters of a header.
pub const HEADER: usize = 150;
/// Most characters of a section's text.
pub const TEXT: usize = 3_000;
/// Most characters of a field.
const FIELD: usize = 2_000;
/// Most fields of a section.
const FIELDS: usize = 10;
/// Most blocks of a message.
const BLOCKS: usize = 50;
/// Of the line for the notification; Slack cuts longer ones itself, phones much sooner.
const FALLBACK: usize = 300;

/// A message in the making.
#[derive(Debug, Default)]
pub struct Blocks {
    blocks: Vec<Value>,
}

impl Blocks {
    /// The header: plain text.
    pub fn header(&mut self, text: &str) {
        self.push(json!({
            "type": "header",
            "text": {"type": "plain_text", "text": cut(&escape(text), HEADER), "emoji": true},
        }));
    }

    /// A section of text in Slack's markup, which is escaped already.
    pub fn section(&mut self, markup: &str) {
        self.push(json!({"type": "section", "text": markup_of(markup, TEXT)}));
    }

    /// A section of short fields, two in a row: name and value, both plain.
    pub fn fields(&mut self, fields: &[(String, String)]) {
        for ten in fields.chunks(FIELDS) {
            let fields: Vec<Value> = ten
                .iter()
                .map(|(name, value)| markup_of(&format!("*{}*\n{}", escape(name), escape(value)), FIELD))
                .collect();
            self.push(json!({"type": "section", "fields": fields}));
        }
    }

    /// Small print in Slack's markup, which is escaped already.
    pub fn context(&mut self, markup: &str) {
        self.push(json!({"type": "context", "elements": [markup_of(markup, TEXT)]}));
    }

    fn push(&mut self, block: Value) {
        // Ours have far fewer; a message that Slack refuses would reach no one.
        if self.blocks.len() < BLOCKS {
            self.blocks.push(block);
        }
    }

    /// The whole message, with the line that a phone shows.
    pub fn message(self, fallback: &str) -> Value {
        json!({"text": cut(&escape(fallback), FALLBACK), "blocks": self.blocks})
    }
}

/// `verbatim`: what merely looks like a link, a channel or a person is none.
fn markup_of(markup: &str, most: usize) -> Value {
    json!({"type": "mrkdwn", "text": cut(markup, most), "verbatim": true})
}

/// The three characters that Slack reads as its own.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Foreign text, in one line, as code: markup in it has no effect.
pub fn code(text: &str, most: usize) -> String {
    let line: String = text
        .chars()
        .map(|letter| match letter {
            '`' => '\'',
            letter if letter.is_control() => ' ',
            letter => letter,
        })
        .collect();
    let line = line.trim();
    let short = if line.chars().count() > most {
        format!("{}…", line.chars().take(most.saturating_sub(1)).collect::<String>())
    } else {
        line.to_owned()
    };
    if short.is_empty() { String::new() } else { format!("`{}`", escape(&short)) }
}

/// A link; only the words when there is no address.
pub fn link(address: &str, words: &str) -> String {
    let is_address = address.starts_with("https://") || address.starts_with("http://");
    if is_address && !address.contains(['<', '>', '|', ' ']) {
        format!("<{}|{}>", address.replace('&', "&amp;"), escape(words))
    } else {
        escape(words)
    }
}

/// At most so many characters of escaped text, without half an entity or half a link at the end.
fn cut(escaped: &str, most: usize) -> String {
    // A block without a text is refused.
    if escaped.trim().is_empty() {
        return "–".to_owned();
    }
    if escaped.chars().count() <= most {
        return escaped.to_owned();
    }
    let mut short: String = escaped.chars().take(most - 1).collect();
    for (open, close) in [('<', '>'), ('&', ';')] {
        if let Some(at) = short.rfind(open)
            && !short[at..].contains(close)
        {
            short.truncate(at);
        }
    }
    // A code span that was cut open would swallow what follows.
    if short.matches('`').count() % 2 == 1
        && let Some(at) = short.rfind('`')
    {
        short.truncate(at);
    }
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_cut_in_its_middle() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "ab…");
        assert_eq!(cut("ab&amp;cd", 6), "ab…");
        assert_eq!(cut("ab <https://x|y> z", 10), "ab …");
        assert_eq!(cut("a `code` and `more code`", 16), "a `code` and …");
        assert_eq!(cut("가나다라", 3), "가나…");
        assert_eq!(cut(" ", 3), "–");
    }

    #[test]
    fn the_text_of_others_is_only_text() {
        assert_eq!(escape("<!channel> & <@U1>"), "&lt;!channel&gt; &amp; &lt;@U1&gt;");
        assert_eq!(code("a `b`\n<c>", 20), "`a 'b' &lt;c&gt;`");
        assert_eq!(code("abcdef", 4), "`abc…`");
        assert_eq!(link("", "a<b"), "a&lt;b");
        assert_eq!(link("https://x/?a=1&b=2", "x"), "<https://x/?a=1&amp;b=2|x>");
        assert_eq!(link("https://x/>|<!channel>", "x"), "x");
    }

    #[test]
    fn random_text_stays_within_slacks_limits() {
        use rand::{RngExt, SeedableRng};
        let seed = 20_261_125;
        println!("seed {seed}");
        let mut random = rand_pcg::Pcg64Mcg::seed_from_u64(seed);
        let alphabet: Vec<char> = "ab <>&`*_~|가\n{}\u{1f534}:".chars().collect();
        for _ in 0..200 {
            let length = random.random_range(0..4_000);
            let text: String =
                (0..length).map(|_| alphabet[random.random_range(0..alphabet.len())]).collect();
            let mut blocks = Blocks::default();
            blocks.header(&text);
            blocks.section(&escape(&text));
            blocks.section(&code(&text, 100));
            blocks.fields(&vec![(text.clone(), text.clone()); random.random_range(1..30)]);
            blocks.context(&link(&text, &text));
            let problems = adpipe_testkit::slack::problems(&blocks.message(&text).to_string());
            assert!(problems.is_empty(), "{problems:?}");
        }
    }
}
