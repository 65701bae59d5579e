//! Puts common table expressions before a statement, in front of its own.

/// A named part of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cte {
    pub name: String,
    pub sql: String,
}

/// The statement with these parts in it.
pub(crate) fn inject(sql: &str, ctes: &[Cte]) -> String {
    if ctes.is_empty() {
        return sql.to_owned();
    }
    let parts: Vec<String> = ctes.iter().map(|cte| format!("{} as (\n{}\n)", cte.name, cte.sql)).collect();
    let parts = parts.join(",\n");
    let start = first_word(sql);
    let rest = &sql[start..];
    let Some(behind_with) = strip_word(rest, "with") else {
        return format!("{}with {parts}\n{rest}", &sql[..start]);
    };
    let inner = &behind_with[first_word(behind_with)..];
    match strip_word(inner, "recursive") {
        Some(own) => format!("{}with recursive {parts},{own}", &sql[..start]),
        None => format!("{}with {parts},{behind_with}", &sql[..start]),
    }
}

/// Where the first word begins, after spaces and comments.
fn first_word(sql: &str) -> usize {
    let mut at = 0;
    loop {
        let rest = &sql[at..];
        let trimmed = rest.trim_start();
        at += rest.len() - trimmed.len();
        let comment = if trimmed.starts_with("--") {
            trimmed.find('\n').map_or(trimmed.len(), |end| end + 1)
        } else if trimmed.starts_with("/*") {
            trimmed.find("*/").map_or(trimmed.len(), |end| end + 2)
        } else {
            return at;
        };
        at += comment;
    }
}

fn strip_word<'s>(text: &'s str, word: &str) -> Option<&'s str> {
    let head = text.get(..word.len())?;
    let rest = &text[word.len()..];
    let ends = !rest.starts_with(|next: char| next.is_alphanumeric() || next == '_');
    (head.eq_ignore_ascii_case(word) && ends).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_first() {
        let ctes = [Cte { name: "a".to_owned(), sql: "select 1".to_owned() }];
        let join = |sql| inject(sql, &ctes).split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(join("select 2"), "with a as ( select 1 ) select 2");
        assert_eq!(
            join("-- with\nWITH b as (x) select 2"),
            "-- with with a as ( select 1 ), b as (x) select 2"
        );
        assert_eq!(
            join("/* x */ with recursive b as (x) select 2"),
            "/* x */ with recursive a as ( select 1 ), b as (x) select 2"
        );
        assert_eq!(join("withdrawn"), "with a as ( select 1 ) withdrawn");
    }
}
