//! Where a statement ends: at the first `;` outside of texts, names and comments.

/// Bytes of the first statement with its `;`; none when it continues.
pub fn first_statement(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b';' => return Some(at + 1),
            quote @ (b'\'' | b'"') => at = after(bytes, at + 1, &[quote])?,
            b'-' if bytes[at..].starts_with(b"--") => at = after(bytes, at, b"\n")?,
            b'/' if bytes[at..].starts_with(b"/*") => at = after(bytes, at + 2, b"*/")?,
            b'$' => match dollar_quote(text, at) {
                Some(tag) => at = after(bytes, at + tag.len(), tag.as_bytes())?,
                None => at += 1,
            },
            _ => at += 1,
        }
    }
    None
}

/// The position after the next `end`; none when it is not there.
fn after(bytes: &[u8], from: usize, end: &[u8]) -> Option<usize> {
    bytes
        .get(from..)?
        .windows(end.len())
        .position(|window| window == end)
        .map(|found| from + found + end.len())
}

/// `$$` or `$tag$` of PostgreSQL, when one begins here. After a letter it is part of a name.
fn dollar_quote(text: &str, at: usize) -> Option<&str> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if text[..at].bytes().last().is_some_and(is_word) {
        return None;
    }
    let length = text[at + 1..].find('$')?;
    let tag = &text[at + 1..at + 1 + length];
    let is_tag = tag.bytes().all(is_word) && !tag.starts_with(|first: char| first.is_ascii_digit());
    is_tag.then(|| &text[at..at + length + 2])
}

/// Whether there is nothing to run: blanks, comments and a `;` at most.
pub fn is_empty(statement: &str) -> bool {
    let mut rest = statement.trim_start_matches([';', ' ', '\n', '\r', '\t']);
    loop {
        let end = if rest.starts_with("--") {
            rest.find('\n').map(|at| at + 1)
        } else if rest.starts_with("/*") {
            rest.find("*/").map(|at| at + 2)
        } else {
            return rest.is_empty();
        };
        let Some(end) = end else { return true };
        rest = rest[end..].trim_start_matches([';', ' ', '\n', '\r', '\t']);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_ends_outside_of_texts_names_and_comments() {
        for (text, first) in [
            ("select 1; select 2;", Some("select 1;")),
            ("select ';' ; x", Some("select ';' ;")),
            ("select 'it''s; fine';", Some("select 'it''s; fine';")),
            ("select \";\" as a;", Some("select \";\" as a;")),
            ("select 1 -- no; end\n;", Some("select 1 -- no; end\n;")),
            ("select /* ; */ 1;", Some("select /* ; */ 1;")),
            ("select $$;$$;", Some("select $$;$$;")),
            ("select $a$;$$;$a$;", Some("select $a$;$$;$a$;")),
            ("select a$b, c$d;", Some("select a$b, c$d;")),
            ("select $1;", Some("select $1;")),
            ("select 'é;", None),
            ("select 1", None),
            ("select 1 -- ;", None),
            ("select /* ;", None),
        ] {
            assert_eq!(first_statement(text).map(|end| &text[..end]), first, "{text:?}");
        }
    }

    #[test]
    fn comments_alone_are_nothing_to_run() {
        for text in ["", " ;", "-- x", "-- x\n /* y */ ;", "/* z"] {
            assert!(is_empty(text), "{text:?}");
        }
        assert!(!is_empty("-- x\nselect 1;"));
    }
}
