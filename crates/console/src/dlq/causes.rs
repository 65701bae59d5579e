//! The table of causes: a page of it in a settled order, and the same causes again while the page is
//! open.

use adpipe_dlq::report::Group;
use adpipe_ingest::http::Refusal;
use serde::Serialize;

use crate::answer::unprocessable;
use crate::query::{Pairs, last};

/// Causes of a page, when not asked otherwise, and at most.
const PAGE: usize = 25;
const LONGEST_PAGE: usize = 500;

/// Which causes are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    /// The page, from 1.
    page: usize,
    limit: usize,
    /// Also those with nothing open.
    closed_too: bool,
    /// These, in this order, instead of the page's own: rows keep their places while their figures
    /// change.
    kept: Option<Vec<String>>,
}

/// A page of the table.
#[derive(Debug, Serialize)]
pub(super) struct Page {
    pub page: usize,
    pub pages: usize,
    /// Causes on all pages.
    pub listed: usize,
    /// Whether the causes are those of this page, in its order. False when those that were kept
    /// have been overtaken by others since.
    pub in_order: bool,
}

impl Choice {
    /// `page`, `limit`, `closed` and `keep` of an address.
    ///
    /// # Errors
    /// 422 for anything else, and for what cannot be.
    pub fn from_query(query: &Pairs) -> Result<Choice, Refusal> {
        for (name, _) in query {
            if !["page", "limit", "closed", "keep"].contains(&name.as_str()) {
                return Err(unprocessable(format!("there is no parameter {name:?}")));
            }
        }
        let number = |name: &str, otherwise: usize, most: usize| match last(query, name) {
            None => Ok(otherwise),
            Some(text) => text
                .parse()
                .ok()
                .filter(|number| (1..=most).contains(number))
                .ok_or_else(|| unprocessable(format!("{name} must be 1 to {most}"))),
        };
        let closed_too = match last(query, "closed") {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(unprocessable("closed must be true or false".to_owned())),
        };
        let kept = last(query, "keep").map(|list| list.split(',').map(str::to_owned).collect());
        Ok(Choice {
            page: number("page", 1, usize::MAX)?,
            limit: number("limit", PAGE, LONGEST_PAGE)?,
            closed_too,
            kept,
        })
    }

    /// The causes of the page: most open errors first, of equals the one that failed last, then by
    /// id, so that two looks at the same causes never differ.
    pub fn of(&self, mut groups: Vec<Group>) -> (Page, Vec<Group>) {
        groups.sort_by(|a, b| {
            b.open()
                .cmp(&a.open())
                .then_with(|| b.last_seen_at.cmp(&a.last_seen_at))
                .then_with(|| a.fingerprint.cmp(&b.fingerprint))
        });
        let is_listed = |group: &&Group| self.closed_too || group.open() > 0;
        let listed: Vec<&Group> = groups.iter().filter(is_listed).collect();
        let pages = listed.len().div_ceil(self.limit).max(1);
        let page = self.page.min(pages);
        let own: Vec<&Group> =
            listed.iter().skip((page - 1) * self.limit).take(self.limit).copied().collect();
        let shown: Vec<Group> = match &self.kept {
            None => own.iter().copied().cloned().collect(),
            Some(kept) => {
                let find = |id: &String| groups.iter().find(|group| group.fingerprint == *id).cloned();
                let mut shown: Vec<Group> = kept.iter().take(self.limit).filter_map(find).collect();
                // New ones go to the end while there is room.
                let room = self.limit - shown.len();
                let is_new = |group: &&&Group| !kept.contains(&group.fingerprint);
                shown.extend(own.iter().filter(is_new).take(room).map(|group| (*group).clone()));
                shown
            }
        };
        let in_order =
            shown.iter().map(|group| &group.fingerprint).eq(own.iter().map(|group| &group.fingerprint));
        (Page { page, pages, listed: listed.len(), in_order }, shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(id: &str, open: u64, last_seen_at: &str) -> Group {
        Group {
            fingerprint: id.to_owned(),
            error_type: "schema".to_owned(),
            stage: "stream".to_owned(),
            field: None,
            message: String::new(),
            sample_message: String::new(),
            sample_id: String::new(),
            first_seen_at: String::new(),
            last_seen_at: last_seen_at.to_owned(),
            counts: [0, 0, open, 7, 0],
        }
    }

    fn choice(text: &str) -> Choice {
        let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
        Choice::from_query(&pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()).unwrap()
    }

    fn ids(groups: &[Group]) -> Vec<&str> {
        groups.iter().map(|group| group.fingerprint.as_str()).collect()
    }

    #[test]
    fn the_most_open_come_first_and_pages_are_whole() {
        let groups = vec![
            group("a", 1, "2"),
            group("b", 9, "1"),
            group("c", 1, "3"),
            group("d", 0, "9"),
            group("e", 1, "2"),
        ];
        let (page, shown) = choice("limit=2").of(groups.clone());
        assert_eq!((ids(&shown), page.pages, page.listed, page.in_order), (vec!["b", "c"], 2, 4, true));
        let (_, shown) = choice("limit=2&page=2").of(groups.clone());
        assert_eq!(ids(&shown), ["a", "e"]);
        let (page, shown) = choice("limit=2&page=99&closed=true").of(groups);
        assert_eq!((ids(&shown), page.page, page.listed), (vec!["d"], 3, 5));
    }

    #[test]
    fn what_somebody_looks_at_keeps_its_place() {
        let now = vec![group("a", 1, "1"), group("b", 2, "1"), group("c", 3, "1")];
        let (page, shown) = choice("limit=2&keep=b,a").of(now.clone());
        assert_eq!((ids(&shown), page.in_order), (vec!["b", "a"], false));
        assert!(choice("limit=2&keep=c,b").of(now.clone()).0.in_order);
        let (page, shown) = choice("keep=gone,a").of(now);
        assert_eq!((ids(&shown), page.in_order), (vec!["a", "c", "b"], false), "new ones come last");
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for wrong in ["page=0", "limit=501", "limit=x", "closed=1", "order=name"] {
            let pair = wrong.split_once('=').unwrap();
            let pairs = vec![(pair.0.to_owned(), pair.1.to_owned())];
            assert!(Choice::from_query(&pairs).is_err(), "{wrong}");
        }
    }
}
