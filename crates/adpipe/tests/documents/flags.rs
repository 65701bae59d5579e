//! Whether commands and flags exist that a document names.

use std::collections::BTreeMap;
use std::process::Command;

use crate::common::ADPIPE;

/// Help texts by command, asked for once each.
#[derive(Default)]
pub struct Flags(BTreeMap<Vec<String>, Option<String>>);

impl Flags {
    /// What of a command does not exist; none when all of it does.
    pub fn unknown(&mut self, command: &str) -> Option<String> {
        let command = command.split(" | ").next().unwrap_or_default();
        let words: Vec<&str> = command.split_whitespace().skip(1).collect();
        let mut path: Vec<String> = Vec::new();
        for word in words.iter().take_while(|word| is_name(word)) {
            // `run stream|dlq`: each is a role or a command of its own.
            let alternatives: Vec<&str> = word.split('|').collect();
            let has_commands = self.help(&path).is_some_and(|help| help.contains("\nCommands:\n"));
            if !has_commands {
                break;
            }
            for alternative in &alternatives {
                let longer = [&path[..], &[(*alternative).to_owned()]].concat();
                if self.help(&longer).is_none() {
                    return Some(format!("there is no `adpipe {}`", longer.join(" ")));
                }
            }
            path.push(alternatives[0].to_owned());
        }
        let help = self.help(&path).unwrap_or_default();
        let flags = words.iter().filter_map(|word| word.strip_prefix("--"));
        for flag in flags.filter(|flag| !flag.is_empty()) {
            let name: String = flag
                .chars()
                .take_while(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-')
                .collect();
            if !help.contains(&format!("--{name}")) {
                return Some(format!("`adpipe {}` has no --{name}", path.join(" ")));
            }
        }
        None
    }

    fn help(&mut self, path: &[String]) -> Option<String> {
        if let Some(known) = self.0.get(path) {
            return known.clone();
        }
        let output = Command::new(ADPIPE).args(path).arg("--help").output().expect("adpipe can be run");
        let help = output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned());
        self.0.insert(path.to_vec(), help.clone());
        help
    }
}

fn is_name(word: &str) -> bool {
    !word.is_empty()
        && word.chars().all(|c| c.is_ascii_lowercase() || c == '-' || c == '|')
        && !word.starts_with('-')
}
