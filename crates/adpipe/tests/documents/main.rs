//! What README and docs show is so: every command in them is run, in order, in an empty folder, and
//! what they promise is compared. Where a fence cannot be run, a comment in the document, which no
//! reader sees, says why. `fences.rs` has the comments that there are.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

#[path = "../common/mod.rs"]
mod common;
mod events;
mod fences;
mod flags;
mod internals;
mod names;
mod shell;

use std::path::{Path, PathBuf};

use flags::Flags;
use shell::{Outcome, Reader};

/// How many documents are followed at once.
const READERS: usize = 2;

fn documents() -> Vec<PathBuf> {
    let root = shell::repository();
    let mut found = vec![root.join("README.md"), root.join("README.ko.md")];
    let docs = std::fs::read_dir(root.join("docs")).unwrap();
    let mut docs: Vec<PathBuf> = docs.map(|entry| entry.unwrap().path()).collect();
    docs.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    docs.sort();
    found.extend(docs);
    assert!(found.len() > 15, "{found:?}");
    found
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

#[derive(Default)]
struct Account {
    ran: usize,
    not_run: Vec<String>,
    without_command: usize,
    failed: Vec<String>,
}

fn follow(path: &Path) -> Account {
    let text = std::fs::read_to_string(path).unwrap();
    let (mut account, mut reader) = (Account::default(), Reader::new());
    for fence in fences::of(&text, path) {
        let place = format!("{}:{}", name(path), fence.line);
        match reader.follow(&fence) {
            Outcome::Ran => account.ran += 1,
            Outcome::NoCommand => account.without_command += 1,
            Outcome::NotRun(reason) => account.not_run.push(format!("{place}: {reason}")),
            Outcome::Failed(words) => account.failed.push(format!("{place}\n{words}")),
        }
    }
    account
}

#[test]
fn every_command_that_the_documents_show_does_what_they_say() {
    let documents = documents();
    let only = std::env::var("ADPIPE_TEST_DOCUMENT").unwrap_or_default();
    let queue = std::sync::Mutex::new(documents.iter().filter(|path| name(path).contains(&only)));
    let accounts = std::sync::Mutex::new(Account::default());
    std::thread::scope(|scope| {
        for _ in 0..READERS {
            scope.spawn(|| {
                loop {
                    let Some(path) = queue.lock().unwrap().next() else { break };
                    let account = follow(path);
                    println!(
                        "{}: {} run, {} not run, {} without a command, {} failed",
                        name(path),
                        account.ran,
                        account.not_run.len(),
                        account.without_command,
                        account.failed.len()
                    );
                    let mut all = accounts.lock().unwrap();
                    all.ran += account.ran;
                    all.without_command += account.without_command;
                    all.not_run.extend(account.not_run);
                    all.failed.extend(account.failed);
                }
            });
        }
    });
    let all = accounts.into_inner().unwrap();
    println!(
        "in all: {} run, {} not run, {} without a command, {} failed",
        all.ran,
        all.not_run.len(),
        all.without_command,
        all.failed.len()
    );
    all.not_run.iter().for_each(|place| println!("not run: {place}"));
    assert!(all.failed.is_empty(), "{}", all.failed.join("\n\n"));
}

#[test]
fn every_command_that_the_documents_name_exists() {
    let (mut flags, mut wrong, mut count) = (Flags::default(), Vec::new(), 0);
    for path in documents() {
        let text = std::fs::read_to_string(&path).unwrap();
        let mut commands = fences::inline_commands(&text);
        for fence in fences::of(&text, &path).iter().filter(|fence| fence.language == "sh") {
            let lines = fence.text.lines().enumerate().map(|(index, line)| (fence.line + index, line));
            let is_ours = |(_, line): &(usize, &str)| line.starts_with("adpipe ");
            let bare = |line: &str| line.split("  #").next().unwrap_or_default().to_owned();
            commands.extend(lines.filter(is_ours).map(|(line, text)| (line, bare(text))));
        }
        for (line, command) in commands {
            count += 1;
            if let Some(words) = flags.unknown(&command) {
                wrong.push(format!("{}:{line}: {command}: {words}", name(&path)));
            }
        }
    }
    println!("{count} commands are named");
    assert!(count > 200, "{count}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn both_languages_of_the_readme_show_the_same_commands() {
    let commands = |index: usize| {
        let path = &documents()[index];
        let fences = fences::of(&std::fs::read_to_string(path).unwrap(), path);
        let shell = fences.iter().filter(|fence| fence.language == "sh");
        shell.flat_map(fences::bare_commands).collect::<Vec<String>>()
    };
    assert_eq!(commands(0), commands(1));
}
