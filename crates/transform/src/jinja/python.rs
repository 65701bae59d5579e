//! Values as Python prints them: dbt's templates are rendered by Python, and SQL is made of what
//! they print.

use minijinja::value::{Value, ValueKind};

/// `str(value)`.
pub(crate) fn text(value: &Value) -> String {
    match value.as_str() {
        Some(text) => text.to_owned(),
        None => repr(value),
    }
}

/// `repr(value)`.
pub(crate) fn repr(value: &Value) -> String {
    match value.kind() {
        ValueKind::None => "None".to_owned(),
        ValueKind::Bool => if value.is_true() { "True" } else { "False" }.to_owned(),
        ValueKind::Number if !value.is_integer() => {
            f64::try_from(value.clone()).map_or_else(|_| value.to_string(), float)
        }
        ValueKind::String => quoted(value.as_str().unwrap_or_default()),
        ValueKind::Seq => {
            let items: Vec<String> = value.try_iter().into_iter().flatten().map(|item| repr(&item)).collect();
            format!("[{}]", items.join(", "))
        }
        ValueKind::Map => {
            let keys = value.try_iter().into_iter().flatten();
            let entry =
                |key: Value| format!("{}: {}", repr(&key), repr(&value.get_item(&key).unwrap_or_default()));
            format!("{{{}}}", keys.map(entry).collect::<Vec<_>>().join(", "))
        }
        _ => value.to_string(),
    }
}

fn float(number: f64) -> String {
    match number.abs() {
        size if size != 0.0 && !(1e-4..1e16).contains(&size) => {
            let text = format!("{number:e}");
            let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            let exponent: i32 = exponent.parse().unwrap_or(0);
            format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
        }
        _ => format!("{number:?}"),
    }
}

fn quoted(text: &str) -> String {
    let mark = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(mark);
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            other if other == mark => {
                out.push('\\');
                out.push(other);
            }
            other => out.push(other),
        }
    }
    out.push(mark);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_look_as_in_python() {
        assert_eq!(repr(&Value::from(1.0)), "1.0");
        assert_eq!(repr(&Value::from(1e20)), "1e+20");
        assert_eq!(repr(&Value::from(0.00001)), "1e-05");
        assert_eq!(repr(&Value::from(vec!["a", "it's"])), "['a', \"it's\"]");
        assert_eq!(
            repr(&Value::from_pairs([("k", Value::from(true)), ("n", Value::from(()))])),
            "{'k': True, 'n': None}"
        );
        assert_eq!(text(&Value::from("a'b")), "a'b");
    }
}
