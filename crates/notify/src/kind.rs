//! Kinds of messages: what `slack_config.json` switches on and off and metrics count by.

/// The kind of the daily summary.
pub const DAILY_SUMMARY: &str = "daily_summary";

/// The kind of a message that holds alerts of several kinds.
pub const DIGEST: &str = "digest";

/// The kind of `adpipe alerts test-notify`.
pub const TEST: &str = "test";

/// What can become of a message, for metrics.
pub const OUTCOMES: [&str; 4] = ["sent", "failed", "refused", "not_wanted"];

/// The kind of a rule's alerts: its name in lower case, `LagGrowing` → `lag_growing`. Two have the
/// names that they are known by.
pub fn of_rule(rule: &str) -> String {
    match rule {
        "ErrorRateHigh" => return "error_rate".to_owned(),
        "DataTestsFailing" => return "data_tests_failed".to_owned(),
        _ => {}
    }
    let mut kind = String::with_capacity(rule.len() + 4);
    for (index, letter) in rule.chars().enumerate() {
        if letter.is_uppercase() && index > 0 {
            kind.push('_');
        }
        kind.extend(letter.to_lowercase());
    }
    kind
}

#[cfg(test)]
mod tests {
    use super::of_rule;

    #[test]
    fn kinds_are_named_after_rules() {
        for (rule, kind) in [
            ("DagFailed", "dag_failed"),
            ("DataTestsFailing", "data_tests_failed"),
            ("ErrorRateHigh", "error_rate"),
            ("DlqExhausted", "dlq_exhausted"),
            ("ErrorBudgetBurnFast", "error_budget_burn_fast"),
        ] {
            assert_eq!(of_rule(rule), kind);
        }
    }
}
