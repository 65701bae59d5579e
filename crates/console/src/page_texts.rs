//! What a page's script needs, found in the script itself: the modules that it imports, and the texts
//! that it can show, and no others.

use std::collections::BTreeSet;

use crate::assets::source;
use crate::i18n::Texts;

/// Loaded by every page, whatever its own script is.
const EVERYWHERE: [&str; 2] = ["firing.js", "zone.js"];

/// Of each page, its own script.
pub(crate) const SCRIPTS: [&str; 8] = [
    "overview.js",
    "dlq.js",
    "dlq-list.js",
    "dlq-error.js",
    "files.js",
    "quality.js",
    "operations.js",
    "dags.js",
];

/// What a script can ask for: whole keys, and beginnings of keys whose end it makes up.
struct Wanted {
    keys: BTreeSet<&'static str>,
    beginnings: BTreeSet<&'static str>,
}

/// A script, those that every page loads, and all that they import: a page that names them has them
/// loaded side by side, not one after the other.
pub(crate) fn modules(script: &'static str) -> BTreeSet<&'static str> {
    let mut seen = BTreeSet::new();
    let mut open: Vec<&'static str> = EVERYWHERE.into_iter().chain([script]).collect();
    while let Some(name) = open.pop() {
        if seen.insert(name) {
            open.extend(source(name).into_iter().flat_map(imports));
        }
    }
    seen
}

/// The texts, of all, that a script and what it imports can show.
pub(crate) fn of_script(script: &'static str, all: &Texts) -> Texts {
    let mut wanted = Wanted { keys: BTreeSet::new(), beginnings: BTreeSet::new() };
    for source in modules(script).into_iter().filter_map(source) {
        wanted.look(source);
    }
    let is_wanted = |key: &str| {
        wanted.keys.contains(key) || wanted.beginnings.iter().any(|beginning| key.starts_with(beginning))
    };
    all.iter().filter(|(key, _)| is_wanted(key)).map(|(key, text)| (key.clone(), text.clone())).collect()
}

fn imports(source: &'static str) -> impl Iterator<Item = &'static str> {
    source.split("from \"./").skip(1).filter_map(|rest| rest.split_once('"').map(|(name, _)| name))
}

impl Wanted {
    fn look(&mut self, source: &'static str) {
        // What is between two quotes that have no others between them.
        for part in source.split('"').filter(|part| is_key(part)) {
            self.keys.insert(part);
        }
        for part in source.split('`').filter_map(|part| part.split_once("${")) {
            if part.0.ends_with('_') && is_key(part.0) {
                self.beginnings.insert(part.0);
            }
        }
    }
}

fn is_key(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::i18n::{Language, texts};

    #[test]
    fn a_page_gets_its_own_texts_and_few_others() {
        let all = texts(Language::English).unwrap();
        let whole: usize = all.iter().map(|(key, text)| key.len() + text.len()).sum();
        for script in SCRIPTS {
            let own = of_script(script, &all);
            let size: usize = own.iter().map(|(key, text)| key.len() + text.len()).sum();
            assert!(size * 2 < whole, "{script}: {size} of {whole} bytes");
            assert!(own.contains_key("connection_lost"), "{script}");
        }
        let dlq = of_script("dlq.js", &all);
        assert!(dlq.contains_key("dlq_status_exhausted") && dlq.contains_key("dlq_job_waiting"));
        assert!(!dlq.contains_key("quality_docs") && !dlq.contains_key("no_events_text"));
    }

    #[test]
    fn a_script_is_loaded_with_all_that_it_imports() {
        for script in SCRIPTS {
            let modules = modules(script);
            assert!(modules.contains(script) && EVERYWHERE.iter().all(|name| modules.contains(name)));
            for name in &modules {
                let source = source(name).unwrap_or_else(|| panic!("{script} imports {name}"));
                assert!(imports(source).all(|imported| modules.contains(imported)), "{script}: {name}");
            }
        }
        assert!(
            modules("overview.js").contains("chart-scale.js") && !modules("files.js").contains("chart.js")
        );
    }

    /// `text("key")` in a script is a text that there is, and the page gets it.
    #[test]
    fn every_text_that_is_asked_for_is_there() {
        let all = texts(Language::English).unwrap();
        for script in SCRIPTS {
            let own = of_script(script, &all);
            for name in modules(script) {
                for rest in source(name).unwrap().split("text(\"").skip(1) {
                    let (key, _) = rest.split_once('"').unwrap();
                    assert!(own.contains_key(key), "{script}: {name}: {key}");
                }
            }
        }
    }
}
