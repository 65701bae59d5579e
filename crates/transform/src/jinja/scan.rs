//! Finds the macros and generic tests of a file, so that each becomes a separate template.

use crate::error::{Place, Result};

/// A macro as a template: its file's text up to its end with everything else blanked, so that lines stay
/// what they are. A generic test `x` is the macro `test_x`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MacroSource {
    pub name: String,
    pub place: Place,
    pub template: String,
}

/// A tag `{% word … %}`: where it begins, its first word, where that begins and where the tag ends.
struct Tag<'t> {
    start: usize,
    word: &'t str,
    word_at: usize,
    end: usize,
}

/// The macros of a file, in its order. Text between them means nothing to dbt; other blocks do, and are refused.
pub(crate) fn macros(file: &str, text: &str) -> Result<Vec<MacroSource>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(tag) = next_tag(text, at) {
        let place = Place::new(file, line_of(text, tag.start));
        let (closing, is_test) = match tag.word {
            "macro" => ("endmacro", false),
            "test" | "data_test" => (if tag.word == "test" { "endtest" } else { "enddata_test" }, true),
            other => {
                return Err(place.refuse(format!(
                    "{{% {other} %}} is not understood here; this runner knows macro and test"
                )));
            }
        };
        let end = closing_tag(text, tag.end, closing)
            .ok_or_else(|| place.refuse(format!("{{% {} %}} has no {{% {closing} %}}", tag.word)))?;
        let after_word = &text[tag.word_at + tag.word.len()..tag.end];
        let name: String = after_word
            .trim_start()
            .chars()
            .take_while(|character| character.is_alphanumeric() || *character == '_')
            .collect();
        if name.is_empty() {
            return Err(place.refuse(format!("this {} has no name", tag.word)));
        }
        let name_at = text.len() - text[tag.word_at + tag.word.len()..].trim_start().len();
        let opening = &text[tag.start..tag.word_at];
        let body = &text[name_at + name.len()..end.start];
        let ending = format!(
            "{}endmacro{}",
            &text[end.start..end.word_at],
            &text[end.word_at + end.word.len()..end.end]
        );
        let full_name = if is_test { format!("test_{name}") } else { name };
        let between = "\n".repeat(text[tag.word_at..name_at].matches('\n').count());
        let template =
            format!("{}{opening}macro {between}{full_name}{body}{ending}", "\n".repeat(place.line - 1));
        found.push(MacroSource { name: full_name, place, template });
        at = end.end;
    }
    Ok(found)
}

/// The line of the first call of `config(` in a model, for refusals of what it says.
pub(crate) fn line_of_config(text: &str) -> usize {
    text.find("config(").map_or(1, |at| line_of(text, at))
}

pub(crate) fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

fn closing_tag<'t>(text: &'t str, from: usize, word: &str) -> Option<Tag<'t>> {
    let mut at = from;
    loop {
        let tag = next_tag(text, at)?;
        if tag.word == word {
            return Some(tag);
        }
        at = match tag.word {
            "raw" => closing_raw(text, tag.end)?,
            _ => tag.end,
        };
    }
}

fn closing_raw(text: &str, from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let start = at + text.get(at..)?.find("{%")?;
        let tag = read_tag(text, start)?;
        if tag.word == "endraw" {
            return Some(tag.end);
        }
        at = start + 2;
    }
}

/// The next `{% … %}` at or after `from`, without comments and expressions.
fn next_tag(text: &str, from: usize) -> Option<Tag<'_>> {
    let mut at = from;
    loop {
        let start = at + text.get(at..)?.find('{')?;
        let rest = &text[start..];
        if rest.starts_with("{#") {
            at = start + rest.find("#}")? + 2;
        } else if rest.starts_with("{{") {
            at = end_of(text, start + 2, "}}")?;
        } else if rest.starts_with("{%") {
            return read_tag(text, start);
        } else {
            at = start + 1;
        }
    }
}

fn read_tag(text: &str, start: usize) -> Option<Tag<'_>> {
    let end = end_of(text, start + 2, "%}")?;
    let inner = text[start + 2..end].trim_start_matches(['-', '+']);
    let word_at = end - inner.trim_start().len();
    let length =
        text[word_at..end].find(|character: char| !character.is_alphanumeric() && character != '_')?;
    Some(Tag { start, word: &text[word_at..word_at + length], word_at, end })
}

/// Where `mark` ends, strings left out.
fn end_of(text: &str, from: usize, mark: &str) -> Option<usize> {
    let mut quote = None;
    let mut escaped = false;
    for (offset, character) in text[from..].char_indices() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if character == '\\' => escaped = true,
            Some(open) if character == open => quote = None,
            Some(_) => {}
            None if character == '\'' || character == '"' => quote = Some(character),
            None if text[from + offset..].starts_with(mark) => return Some(from + offset + mark.len()),
            None => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macros_and_tests_are_found_with_their_lines() {
        let text = "{# {% macro no() %} #}\n\n{% macro a(x) -%}\n{{ '{% endmacro %}' }}\n{%- endmacro %}\n{% test\n b(model) %}select{% endtest %}\n";
        let found = macros("m.sql", text).unwrap();
        let names: Vec<_> = found.iter().map(|found| (found.name.as_str(), found.place.line)).collect();
        assert_eq!(names, [("a", 3), ("test_b", 6)]);
        assert!(found[0].template.starts_with("\n\n{% macro a(x) -%}"));
        assert_eq!(found[1].template.matches('\n').count(), 6);
        assert!(found[1].template.ends_with("{% endmacro %}"));
    }

    #[test]
    fn other_blocks_are_refused() {
        let error =
            macros("m.sql", "\n{% materialization x, default %}{% endmaterialization %}").unwrap_err();
        assert!(error.to_string().starts_with("m.sql:2: {% materialization %}"), "{error}");
        let error = macros("m.sql", "{% macro a() %}").unwrap_err();
        assert!(error.to_string().contains("has no {% endmacro %}"), "{error}");
    }
}
