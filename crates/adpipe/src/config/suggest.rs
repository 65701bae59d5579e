//! "did you mean …?": the known name that is nearest to a wrong one.

/// The known name that a wrong one was meant to be, when one is near enough: at most every third
/// letter differs (Damerau-Levenshtein distance).
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = (wrong.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(wrong, name), name))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// The message of a file's reader (``unknown field `prot`, expected one of `host`, `port` ``) with the
/// name that was meant. Any other message stays as it is.
pub fn with_suggestion(message: &str) -> String {
    let suggested = || {
        let (before, rest) = ["unknown field `", "unknown variant `"]
            .iter()
            .find_map(|begin| message.find(begin).map(|at| message.split_at(at + begin.len())))?;
        let (wrong, rest) = rest.split_once('`')?;
        let (_, expected) = rest.split_once("expected ")?;
        let meant = nearest(wrong, expected.split('`').skip(1).step_by(2))?;
        let rest = rest.strip_prefix(", ").unwrap_or(rest);
        Some(format!("{before}{wrong}`, did you mean `{meant}`? {rest}"))
    };
    if message.contains("did you mean") {
        return message.to_owned();
    }
    suggested().unwrap_or_else(|| message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant_is_named() {
        for (message, expected) in [
            (
                "a.toml:3: unknown field `prot`, expected one of `host`, `port`, `token_file`",
                "a.toml:3: unknown field `prot`, did you mean `port`? expected one of `host`, `port`, `token_file`",
            ),
            (
                "unknown variant `buildin`, expected `builtin` or `dbt`",
                "unknown variant `buildin`, did you mean `builtin`? expected `builtin` or `dbt`",
            ),
        ] {
            assert_eq!(with_suggestion(message), expected);
            assert_eq!(with_suggestion(expected), expected);
        }
        for message in
            ["unknown field `zebra`, expected one of `host`, `port`", "no such file", "unknown field `x"]
        {
            assert_eq!(with_suggestion(message), message);
        }
        assert_eq!(nearest("max_retry", ["retryable", "max_retries", "max_age"]), Some("max_retries"));
    }
}
