//! Names and hashes as dbt makes them, so that results of both can be laid side by side.
//! Source: dbt-core 1.11, `parser/generic_test_builders.py` and `parser/schema_generic_tests.py`.

use md5::{Digest, Md5};

use crate::yaml::{Data, Yaml};

/// Longest name of a generic test that dbt does not shorten.
const LONGEST: usize = 63;
const KEPT: usize = 30;

/// MD5 in hex.
pub(crate) fn md5_hex(text: &str) -> String {
    Md5::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A generic test's name, and its name for tables and files where the full one is too long.
/// `arguments` without the model.
pub(crate) fn generic_test(test: &str, target: &str, arguments: &[(String, Yaml)]) -> (String, String) {
    let mut sorted: Vec<_> = arguments.iter().collect();
    sorted.sort_by(|one, other| one.0.cmp(&other.0));
    let mut parts: Vec<String> = Vec::new();
    for (_, value) in sorted {
        match &value.data {
            Data::List(items) => parts.extend(items.iter().map(|item| clean(&item.to_python()))),
            Data::Map(entries) => parts.extend(entries.iter().map(|(_, _, item)| clean(&item.to_python()))),
            _ => parts.push(clean(&value.to_python())),
        }
    }
    let identifier = format!("{test}_{target}");
    let full = format!("{identifier}_{}", parts.join("__"));
    let short = if full.chars().count() > LONGEST {
        format!("{}_{}", identifier.chars().take(KEPT).collect::<String>(), md5_hex(&full))
    } else {
        full.clone()
    };
    (full, short)
}

/// Runs of what is neither letter, digit nor underscore become one underscore.
fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_ascii_alphanumeric() || character == '_' {
            out.push(character);
        } else if !out.ends_with('\u{0}') {
            out.push('\u{0}');
        }
    }
    out.replace('\u{0}', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Yaml {
        Yaml { line: 1, data: Data::Text(text.to_owned()) }
    }

    #[test]
    fn names_are_those_of_dbt() {
        let column = ("column_name".to_owned(), text("device_type"));
        let (full, short) = generic_test("not_null", "device_types", std::slice::from_ref(&column));
        assert_eq!(
            (full.as_str(), short.as_str()),
            ("not_null_device_types_device_type", "not_null_device_types_device_type")
        );
        let to = ("to".to_owned(), text("ref('device_types')"));
        let field = ("field".to_owned(), text("device_type"));
        let (full, short) = generic_test("relationships", "mart_device_performance", &[column, to, field]);
        assert_eq!(full, "relationships_mart_device_performance_device_type__device_type__ref_device_types_");
        assert_eq!(short, format!("relationships_mart_device_perf_{}", md5_hex(&full)));
    }
}
