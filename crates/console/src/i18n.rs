//! The languages of the console.

use std::collections::BTreeMap;

use adpipe_monitor::rules;

use crate::error::ConsoleError;
use crate::query::Parameters;

/// A language that the console speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    English,
    Korean,
}

impl Language {
    pub const ALL: [Language; 2] = [Language::English, Language::Korean];

    /// As BCP 47 has it.
    pub fn tag(self) -> &'static str {
        match self {
            Language::English => "en",
            Language::Korean => "ko",
        }
    }

    pub fn own_name(self) -> &'static str {
        match self {
            Language::English => "English",
            Language::Korean => "한국어",
        }
    }

    pub fn from_tag(tag: &str) -> Option<Language> {
        let primary = tag.split('-').next().unwrap_or_default().trim().to_ascii_lowercase();
        Language::ALL.into_iter().find(|language| language.tag() == primary)
    }

    /// That of `?lang=`, which scripts ask for sentences in; else English.
    pub fn of_query(query: &Parameters) -> Language {
        query.get("lang").and_then(|tag| Language::from_tag(tag)).unwrap_or(Language::English)
    }

    /// The one of ours that an `Accept-Language` header likes best; English when it likes none.
    pub fn accepted(header: &str) -> Language {
        let mut best: Option<(f32, Language)> = None;
        for item in header.split(',') {
            let (tag, weight) = item.split_once(";q=").unwrap_or((item, "1"));
            let weight: f32 = weight.trim().parse().unwrap_or(0.0);
            let Some(language) = Language::from_tag(tag.trim()) else { continue };
            // Of equal weights the first one counts.
            if weight > 0.0 && best.is_none_or(|(most, _)| weight > most) {
                best = Some((weight, language));
            }
        }
        best.map_or(Language::English, |(_, language)| language)
    }
}

/// The monitor speaks the same ones.
impl From<Language> for rules::Language {
    fn from(language: Language) -> rules::Language {
        match language {
            Language::English => rules::Language::English,
            Language::Korean => rules::Language::Korean,
        }
    }
}

/// Texts by their key.
pub(crate) type Texts = BTreeMap<String, String>;

/// The texts that every page shares, and those of each page: in English and in Korean.
const FILES: [(&str, &str); 7] = [
    (include_str!("../i18n/en/shared.json"), include_str!("../i18n/ko/shared.json")),
    (include_str!("../i18n/en/overview.json"), include_str!("../i18n/ko/overview.json")),
    (include_str!("../i18n/en/dlq.json"), include_str!("../i18n/ko/dlq.json")),
    (include_str!("../i18n/en/dags.json"), include_str!("../i18n/ko/dags.json")),
    (include_str!("../i18n/en/quality.json"), include_str!("../i18n/ko/quality.json")),
    (include_str!("../i18n/en/files.json"), include_str!("../i18n/ko/files.json")),
    (include_str!("../i18n/en/operations.json"), include_str!("../i18n/ko/operations.json")),
];

pub(crate) fn texts(language: Language) -> Result<Texts, ConsoleError> {
    let mut texts = Texts::new();
    for (english, korean) in FILES {
        let json = match language {
            Language::English => english,
            Language::Korean => korean,
        };
        let more: Texts = serde_json::from_str(json)
            .map_err(|error| ConsoleError::Page(format!("texts of {}: {error}", language.tag())))?;
        texts.extend(more);
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_have_the_same_texts() {
        let english = texts(Language::English).unwrap();
        let korean = texts(Language::Korean).unwrap();
        adpipe_testkit::texts::assert_same(&english, &korean);
    }

    #[test]
    fn accept_language_is_weighed() {
        for (header, expected) in [
            ("ko-KR,ko;q=0.9,en-US;q=0.8", Language::Korean),
            ("en;q=0.5, ko;q=0.8", Language::Korean),
            ("de,fr;q=0.9", Language::English),
            ("", Language::English),
            ("ko;q=0, en;q=0.1", Language::English),
            ("EN-gb,ko", Language::English),
        ] {
            assert_eq!(Language::accepted(header), expected, "{header}");
        }
    }
}
