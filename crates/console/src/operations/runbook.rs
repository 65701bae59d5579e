//! `GET /runbook`: docs/RUNBOOK.md, or its Korean twin, as a page, so that it is at hand when it is needed.

use std::sync::LazyLock;

use adpipe_ingest::http::Refusal;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use minijinja::context;
use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd, html};

use crate::i18n::Language;
use crate::page::{self, Pages};
use crate::query::Parameters;

const ENGLISH: &str = include_str!("../../../../docs/RUNBOOK.md");
const KOREAN: &str = include_str!("../../../../docs/RUNBOOK.ko.md");

static ENGLISH_PAGE: LazyLock<minijinja::Value> = LazyLock::new(|| as_html(ENGLISH).into());
static KOREAN_PAGE: LazyLock<minijinja::Value> = LazyLock::new(|| as_html(KOREAN).into());

/// `GET /runbook`.
pub(crate) async fn get_runbook(
    State(pages): State<Pages>,
    Query(query): Query<Parameters>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let runbook = match page::language(&query, &headers) {
        Language::English => ENGLISH_PAGE.clone(),
        Language::Korean => KOREAN_PAGE.clone(),
    };
    pages.show_bare("runbook.html", &query, &headers, context! { page => "operations", runbook })
}

/// Markdown as HTML. Headings get the anchors that they have on GitHub; links to other documents,
/// which are not served here, are left as their text.
fn as_html(markdown: &str) -> String {
    let mut events: Vec<Event<'_>> = Vec::new();
    // Where the heading began, and its text so far.
    let mut heading: Option<(usize, String)> = None;
    let mut is_link_shown = true;
    for event in Parser::new_ext(markdown, Options::ENABLE_TABLES) {
        match &event {
            Event::Start(Tag::Heading { .. }) => heading = Some((events.len(), String::new())),
            Event::Text(text) | Event::Code(text) => {
                if let Some((_, words)) = &mut heading {
                    words.push_str(text);
                }
            }
            Event::End(TagEnd::Heading(_)) => {
                if let Some((start, words)) = heading.take()
                    && let Event::Start(Tag::Heading { id, .. }) = &mut events[start]
                {
                    *id = Some(CowStr::from(anchor(&words)));
                }
            }
            Event::Start(Tag::Link { dest_url, .. }) => {
                is_link_shown = dest_url.starts_with('#') || dest_url.starts_with("https://");
                if !is_link_shown {
                    continue;
                }
            }
            Event::End(TagEnd::Link) if !is_link_shown => continue,
            // Comments for the test of the documents.
            Event::Html(_) => continue,
            _ => {}
        }
        events.push(event);
    }
    let mut page = String::new();
    html::push_html(&mut page, events.into_iter());
    page
}

/// The name of a heading in addresses: small letters, digits, and hyphens for spaces.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase).map(|letter| if letter == ' ' { '-' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use adpipe_monitor::rules::Rules;

    #[test]
    fn every_rule_has_its_section() {
        for rule in Rules::built_in().unwrap().iter() {
            let heading = format!("<h2 id=\"{}\">", rule.name.to_lowercase());
            for (page, file) in [(&ENGLISH_PAGE, "RUNBOOK.md"), (&KOREAN_PAGE, "RUNBOOK.ko.md")] {
                assert!(page.to_string().contains(&heading), "docs/{file} has no section {}", rule.name);
            }
        }
    }

    /// Both have the same sections, the same commands and the same links, in the same order.
    #[test]
    fn both_languages_say_the_same() {
        let sections = |text: &str| -> Vec<String> {
            text.lines().filter(|line| line.starts_with("## ")).map(str::to_owned).collect()
        };
        assert_eq!(sections(ENGLISH), sections(KOREAN));
        let blocks = |text: &str| -> Vec<String> {
            let code = |block: &str| -> Vec<String> {
                block
                    .lines()
                    .map(|line| line.split("  #").next().unwrap_or("").trim_end().to_owned())
                    .collect()
            };
            text.split("```").skip(1).step_by(2).flat_map(code).collect()
        };
        assert_eq!(blocks(ENGLISH), blocks(KOREAN));
        let steps = |text: &str| {
            text.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_digit())).count()
        };
        assert_eq!(steps(ENGLISH), steps(KOREAN));
        for link in KOREAN.split("](#").skip(1).filter_map(|rest| rest.split_once(')')) {
            assert!(KOREAN_PAGE.to_string().contains(&format!(" id=\"{}\"", link.0)), "{}", link.0);
        }
    }

    #[test]
    fn links_lead_somewhere() {
        let page =
            as_html("## From `the` exporters\n[there](#b) [other](DLQ.md) [out](https://example.com/)");
        assert!(
            page.contains("<h2 id=\"from-the-exporters\">From <code>the</code> exporters</h2>"),
            "{page}"
        );
        assert!(
            page.contains("<a href=\"#b\">there</a> other <a href=\"https://example.com/\">out</a>"),
            "{page}"
        );
    }
}
