//! What comes before what.

use std::collections::BTreeSet;

use crate::error::Result;
use crate::project::Project;

/// Refuses models that are made of themselves.
pub(crate) fn refuse_cycles(project: &Project) -> Result<()> {
    let mut state = vec![0_u8; project.nodes.len()];
    for start in 0..project.nodes.len() {
        if let Some(node) = find_cycle(project, start, &mut state) {
            let node = &project.nodes[node];
            return Err(node.place.refuse(format!("{} depends on itself, by way of others", node.name)));
        }
    }
    Ok(())
}

fn find_cycle(project: &Project, node: usize, state: &mut [u8]) -> Option<usize> {
    match state[node] {
        1 => return Some(node),
        2 => return None,
        _ => state[node] = 1,
    }
    for &parent in &project.nodes[node].depends_on {
        if let Some(found) = find_cycle(project, parent, state) {
            return Some(found);
        }
    }
    state[node] = 2;
    None
}

/// Everything that these are made of, at most `depth` steps away; without themselves.
pub(crate) fn ancestors(project: &Project, of: &BTreeSet<usize>, depth: usize) -> BTreeSet<usize> {
    walk(of, depth, |node| project.nodes[node].depends_on.clone())
}

/// Everything that is made of these, at most `depth` steps away; without themselves.
pub(crate) fn descendants(project: &Project, of: &BTreeSet<usize>, depth: usize) -> BTreeSet<usize> {
    walk(of, depth, |node| {
        let is_child = |index: &usize| project.nodes[*index].depends_on.contains(&node);
        (0..project.nodes.len()).filter(is_child).collect()
    })
}

fn walk(from: &BTreeSet<usize>, depth: usize, next: impl Fn(usize) -> Vec<usize>) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let mut edge: Vec<usize> = from.iter().copied().collect();
    for _ in 0..depth {
        edge = edge.into_iter().flat_map(&next).filter(|node| found.insert(*node)).collect();
        if edge.is_empty() {
            break;
        }
    }
    found
}

/// For each of `chosen`, which others of them must be done before. In a build, tests of what a
/// model is made of come before the model, and its unit tests, too.
pub(crate) fn waits_for(
    project: &Project,
    chosen: &BTreeSet<usize>,
    tests_first: bool,
) -> Vec<BTreeSet<usize>> {
    let mut waits: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); project.nodes.len()];
    for &node in chosen {
        let is_unit_test = project.nodes[node].kind() == "unit_test";
        for &parent in &project.nodes[node].depends_on {
            // A unit test comes before its model; what it is given must be there.
            if is_unit_test && project.nodes[node].depends_on.first() == Some(&parent) {
                if tests_first {
                    waits[parent].insert(node);
                }
                waits[node].extend(&project.nodes[parent].depends_on);
            } else {
                waits[node].insert(parent);
            }
        }
    }
    if tests_first {
        let data_tests: Vec<usize> =
            chosen.iter().copied().filter(|node| project.nodes[*node].kind() == "test").collect();
        for &node in chosen.iter().filter(|node| project.nodes[**node].kind() != "test") {
            // A unit test waits for all that its model waits for.
            let tested = project.nodes[node].depends_on.first().filter(|_| project.nodes[node].is_test());
            let upstream = ancestors(project, &BTreeSet::from([*tested.unwrap_or(&node)]), usize::MAX);
            let own_reads = &project.nodes[*tested.unwrap_or(&node)].reads;
            let reads: BTreeSet<usize> = upstream
                .iter()
                .flat_map(|node| &project.nodes[*node].reads)
                .chain(own_reads)
                .copied()
                .collect();
            let is_before = |test: &&usize| {
                let test = &project.nodes[**test];
                (!test.depends_on.is_empty() || !test.reads.is_empty())
                    && test.depends_on.iter().all(|parent| upstream.contains(parent))
                    && test.reads.iter().all(|source| reads.contains(source))
            };
            waits[node].extend(data_tests.iter().filter(is_before));
        }
    }
    for (node, waits) in waits.iter_mut().enumerate() {
        waits.retain(|other| chosen.contains(other) && *other != node);
    }
    waits
}
