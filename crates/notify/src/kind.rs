//! Kinds of messages: what `slack_config.json` switches on and off and metrics count by.

/// The kind of the daily summary.
pub const DAILY_SUMMARY: &str = "daily_summary";

/// The kind of a message that holds alerts of several kinds.
pub const DIGEST: &str = "digest";

/// What can become of a message, for metrics.
pub const OUTCOMES: [&str; 4] = ["sent", "failed", "refused", "not_wanted"];

/// The kind of a rule's alerts: its name in lower case, `LagGrowing` → `lag_growing`.
pub fn of_rule(rule: &str) -> String {
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
            ("DataTestsFailing", "data_tests_failing"),
            ("ErrorRateHigh", "error_rate_high"),
            ("DlqExhausted", "dlq_exhausted"),
            ("ErrorBudgetBurnFast", "error_budget_burn_fast"),
        ] {
            assert_eq!(of_rule(rule), kind);
        }
    }
}
