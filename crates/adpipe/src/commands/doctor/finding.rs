//! One line of the report.

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum State {
    Good,
    Notice,
    Bad,
}

pub struct Finding {
    pub part: &'static str,
    pub state: State,
    pub text: String,
}

pub fn add(findings: &mut Vec<Finding>, part: &'static str, state: State, text: String) {
    findings.push(Finding { part, state, text });
}
