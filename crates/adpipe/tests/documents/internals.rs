//! docs/INTERNALS.md names files, functions and crates: all of them are there.

use std::collections::BTreeMap;

use crate::fences;
use crate::shell::repository;

fn internals() -> String {
    std::fs::read_to_string(repository().join("docs/INTERNALS.md")).unwrap()
}

/// The words between backticks of a line.
fn names(line: &str) -> Vec<&str> {
    line.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_file_and_function_of_the_walk_exists() {
    let (mut missing, mut steps) = (Vec::new(), 0);
    for (index, line) in internals().lines().enumerate() {
        let files = names(line).into_iter().filter(|name| name.starts_with("crates/"));
        for file in files.filter(|file| !repository().join(file).is_file()) {
            missing.push(format!("line {}: there is no {file}", index + 1));
        }
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, number, file, function, ..] = cells[..] else { continue };
        let Ok(number) = number.parse::<usize>() else { continue };
        steps += 1;
        assert_eq!(number, steps, "the steps are numbered from 1, without a gap");
        let source = std::fs::read_to_string(repository().join(file.trim_matches('`'))).unwrap_or_default();
        let function = function.trim_matches('`');
        let is_there = ["(", "<"].iter().any(|end| source.contains(&format!("fn {function}{end}")));
        if !is_there {
            missing.push(format!("line {}: {file} has no fn {function}", index + 1));
        }
    }
    assert!(steps > 30, "{steps}");
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn every_crate_is_drawn_above_those_that_it_uses() {
    let text = internals();
    let drawing = &fences::of(&text, &repository().join("docs/INTERNALS.md"))[0].text;
    let mut rows: BTreeMap<&str, usize> = BTreeMap::new();
    for (row, line) in drawing.lines().enumerate() {
        for name in line.split_whitespace() {
            assert!(rows.insert(name, row).is_none(), "{name} is drawn twice");
            assert!(text.contains(&format!("| `{name}` | ")), "the table does not explain {name}");
        }
    }
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(repository().join("crates")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let manifest = std::fs::read_to_string(entry.path().join("Cargo.toml")).unwrap();
        let Some(row) = rows.remove(name.as_str()) else {
            wrong.push(format!("{name} is not drawn"));
            continue;
        };
        let (_, below) = manifest.split_once("\n[dependencies]").unwrap();
        let used = below.lines().skip(1).take_while(|line| !line.starts_with('['));
        let used = used.filter_map(|line| line.strip_prefix("adpipe-")?.split(['.', ' ']).next());
        let drawn =
            |used: &str| drawing.lines().position(|line| line.split_whitespace().any(|name| name == used));
        for used in used.filter(|used| drawn(used).is_some_and(|other| other <= row)) {
            wrong.push(format!("{name} uses {used}, which is not drawn below it"));
        }
    }
    wrong.extend(rows.keys().map(|name| format!("there is no crate {name}")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
