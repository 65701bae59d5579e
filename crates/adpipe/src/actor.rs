//! Who acts, for the record.

/// The user of this shell.
pub fn actor() -> String {
    let user = ["USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    let user: String = user.unwrap_or_default().chars().filter(|c| !c.is_control()).take(100).collect();
    if user.is_empty() { "cli".to_owned() } else { format!("cli:{user}") }
}
