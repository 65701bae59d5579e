//! Texts by key, in the languages of messages.

use std::collections::BTreeMap;

use adpipe_monitor::rules::Language;

const ENGLISH: &str = include_str!("../../i18n/en.json");
const KOREAN: &str = include_str!("../../i18n/ko.json");

/// A file of texts is not JSON: a bug.
#[derive(Debug, thiserror::Error)]
#[error("texts: {0}")]
pub struct TextsError(#[from] serde_json::Error);

/// The texts of a language.
#[derive(Debug, Clone)]
pub struct Texts(BTreeMap<String, String>);

impl Texts {
    /// Of this language.
    ///
    /// # Errors
    /// Only if the file were no JSON.
    pub fn of(language: Language) -> Result<Texts, TextsError> {
        let json = match language {
            Language::English => ENGLISH,
            Language::Korean => KOREAN,
        };
        Ok(Texts(serde_json::from_str(json)?))
    }

    /// A text, when there is one of this key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// A text with its `{places}` filled; the key itself when there is no such text.
    pub fn fill(&self, key: &str, places: &[(&str, &str)]) -> String {
        let mut rest = self.get(key).unwrap_or(key);
        let mut text = String::with_capacity(rest.len() + 16);
        // In one pass, so that what is filled in is not looked at for places.
        while let Some((before, behind)) = rest.split_once('{') {
            let Some((name, after)) = behind.split_once('}') else { break };
            text.push_str(before);
            let value = places.iter().find(|(place, _)| *place == name);
            text.push_str(value.map_or("", |(_, value)| value));
            rest = after;
        }
        text.push_str(rest);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use adpipe_monitor::rules::Rules;

    #[test]
    fn languages_have_the_same_texts_and_every_rule_a_title() {
        let english = Texts::of(Language::English).unwrap();
        let korean = Texts::of(Language::Korean).unwrap();
        adpipe_testkit::texts::assert_same(&english.0, &korean.0);
        for (key, text) in &english.0 {
            assert!(!text.contains(['&', '<', '>']) && !korean.0[key].contains(['&', '<', '>']), "{key}");
        }
        for rule in Rules::built_in().unwrap().iter() {
            let key = format!("title_{}", crate::kind::of_rule(&rule.name));
            assert!(english.get(&key).is_some(), "{key} is missing");
        }
    }

    #[test]
    fn what_is_filled_in_has_no_places() {
        let texts = Texts(BTreeMap::from([("x".to_owned(), "{a} of {b}".to_owned())]));
        assert_eq!(texts.fill("x", &[("a", "{b}"), ("b", "2")]), "{b} of 2");
        assert_eq!(texts.fill("nothing", &[]), "nothing");
    }
}
