//! What the end of an address says.

use std::collections::BTreeMap;

use axum::extract::Query;
use axum::http::Uri;

/// Name and value, in their order.
pub(crate) type Pairs = Vec<(String, String)>;

/// The same by name, for a page or an answer that takes each name once.
pub(crate) type Parameters = BTreeMap<String, String>;

/// The last value of that name which says something.
pub(crate) fn last<'p>(pairs: &'p Pairs, name: &str) -> Option<&'p str> {
    let found = pairs.iter().rev().find(|(known, value)| known == name && !value.is_empty());
    found.map(|(_, value)| value.as_str())
}

/// What a form or the end of an address says.
pub(crate) fn parse_pairs(text: &str) -> Option<Parameters> {
    let address = Uri::try_from(format!("/?{text}")).ok()?;
    Query::try_from_uri(&address).ok().map(|Query(pairs)| pairs)
}
