//! Which errors are meant: by a filter in the address, or named one by one.

use adpipe_dlq::{Filter, Status};
use adpipe_ingest::http::Refusal;

use super::queue::refusal;
use crate::answer::unprocessable;
use crate::query::Pairs;

/// Errors that one request may name.
const MOST_IDS: usize = 1_000;

/// Stands in the address for "no field is to blame".
const NO_FIELD: &str = "-";

/// The filter in an address. Lists are repeated or, but for fields, separated by commas; what is empty
/// says nothing. The names in `others` belong to other parameters; any other name is refused, so that a
/// mistyped filter does not mean "everything".
pub(super) fn from_query(pairs: &Pairs, others: &[&str]) -> Result<Filter, Refusal> {
    let mut filter = Filter::default();
    for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
        let parts = || value.split(',').map(str::trim).filter(|part| !part.is_empty());
        match name.as_str() {
            "status" => {
                for part in parts() {
                    filter.status.push(part.parse::<Status>().map_err(unprocessable)?);
                }
            }
            "error_type" => filter.error_type.extend(parts().map(str::to_owned)),
            "group" => filter.group.extend(parts().map(str::to_owned)),
            "field" if value == NO_FIELD => filter.field.push(String::new()),
            "field" => filter.field.push(value.clone()),
            "topic" => filter.topic = Some(value.clone()),
            "since" => filter.since = Some(as_sql_time(value)),
            "until" => filter.until = Some(as_sql_time(value)),
            "text" => filter.text = Some(value.clone()),
            other if others.contains(&other) => {}
            other => return Err(unprocessable(format!("there is no filter {other:?}"))),
        }
    }
    filter.check().map_err(refusal)?;
    Ok(filter)
}

/// What a browser's field for times gives (`2026-01-31T23:59`), as the warehouse writes it.
fn as_sql_time(value: &str) -> String {
    let time = value.trim().trim_end_matches('Z').replacen('T', " ", 1);
    match time.len() {
        10 => format!("{time} 00:00:00"),
        16 => format!("{time}:00"),
        _ => time,
    }
}

/// Ids of errors, as many as one request may name.
pub(super) fn checked_ids(ids: &[String]) -> Result<(), Refusal> {
    match ids.len() {
        0 => Err(unprocessable("no error is named".to_owned())),
        1..=MOST_IDS => Ok(()),
        _ => Err(unprocessable(format!("more than {MOST_IDS} errors; start a bulk action instead"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(query: &[(&str, &str)]) -> Pairs {
        query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn filters_are_read_from_the_address() {
        let query = [
            ("status", "pending,exhausted"),
            ("error_type", "parse"),
            ("error_type", "schema"),
            ("field", "a,b"),
            ("field", "-"),
            ("since", "2026-01-31T23:59"),
            ("until", "2026-02-01"),
            ("text", ""),
            ("lang", "ko"),
        ];
        let read = from_query(&pairs(&query), &["lang"]).unwrap();
        assert_eq!(read.status, [Status::Pending, Status::Exhausted]);
        assert_eq!(read.error_type, ["parse", "schema"]);
        assert_eq!(read.field, ["a,b", ""]);
        assert_eq!(read.since.as_deref(), Some("2026-01-31 23:59:00"));
        assert_eq!(read.until.as_deref(), Some("2026-02-01 00:00:00"));
        assert_eq!(read.text, None);
        for wrong in [("status", "open"), ("since", "yesterday"), ("error_type", "odd"), ("stat", "pending")]
        {
            assert!(from_query(&pairs(&[wrong]), &[]).is_err(), "{wrong:?}");
        }
    }
}
