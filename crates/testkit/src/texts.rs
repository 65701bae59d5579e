//! What must hold of texts in two languages.

use std::collections::BTreeMap;

/// Every text is there in both, with the same `{places}` to fill in.
///
/// # Panics
/// When one is missing or empty, or has other places.
pub fn assert_same(one: &BTreeMap<String, String>, other: &BTreeMap<String, String>) {
    assert_eq!(one.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>());
    for (key, text) in one {
        let translated = &other[key];
        assert!(!text.trim().is_empty() && !translated.trim().is_empty(), "{key} is empty");
        assert_eq!(places(text), places(translated), "{key} has other places");
    }
}

/// `{name}` places of a text, in order of name.
fn places(text: &str) -> Vec<&str> {
    let mut places: Vec<&str> =
        text.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name).collect();
    places.sort_unstable();
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> BTreeMap<String, String> {
        BTreeMap::from([("key".to_owned(), text.to_owned())])
    }

    #[test]
    fn places_may_change_their_order() {
        assert_same(&texts("{a} of {b}"), &texts("{b} 중 {a}"));
    }

    #[test]
    #[should_panic(expected = "key has other places")]
    fn places_must_be_the_same() {
        assert_same(&texts("{a} of {b}"), &texts("{a}"));
    }
}
