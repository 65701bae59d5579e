//! `{date}` and its like in commands.

use jiff::Timestamp;
use jiff::tz::TimeZone;

const NAMES: [&str; 7] =
    ["date", "data_interval_start", "data_interval_end", "dag_id", "run_id", "task_id", "try_number"];

/// What placeholders stand for in one attempt of a task.
pub struct Values<'v> {
    /// Zone of `{date}`.
    pub zone: &'v TimeZone,
    /// The data interval.
    pub interval: (Timestamp, Timestamp),
    /// Name of the DAG.
    pub dag_id: &'v str,
    /// Name of the run.
    pub run_id: &'v str,
    /// Name of the task.
    pub task_id: &'v str,
    /// 1 for the first try.
    pub try_number: i64,
}

impl Values<'_> {
    fn get(&self, name: &str) -> Option<String> {
        Some(match name {
            "date" => self.zone.to_datetime(self.interval.0).date().to_string(),
            "data_interval_start" => self.interval.0.to_string(),
            "data_interval_end" => self.interval.1.to_string(),
            "dag_id" => self.dag_id.to_owned(),
            "run_id" => self.run_id.to_owned(),
            "task_id" => self.task_id.to_owned(),
            "try_number" => self.try_number.to_string(),
            _ => return None,
        })
    }

    /// The text with every placeholder resolved.
    pub fn fill(&self, text: &str) -> String {
        // What is wrong with it was refused when the file was read.
        replace(text, |name| self.get(name)).unwrap_or_else(|_| text.to_owned())
    }
}

/// Refuses unknown placeholders and single braces.
pub fn check(text: &str) -> Result<(), String> {
    replace(text, |name| NAMES.contains(&name).then(String::new)).map(drop)
}

fn replace(text: &str, value: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        filled.push_str(before);
        if from.starts_with("{{") || from.starts_with("}}") {
            filled.push_str(&from[..1]);
            rest = &from[2..];
            continue;
        }
        let name = from.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        let (name, behind) = name.ok_or_else(|| format!("{text:?} has a single brace; write it twice"))?;
        let found = value(name);
        filled.push_str(
            &found.ok_or_else(|| {
                format!("there is no placeholder {{{name}}}; there are: {}", NAMES.join(", "))
            })?,
        );
        rest = behind;
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_is_the_local_day_of_the_interval() {
        let zone = TimeZone::get("Asia/Seoul").unwrap();
        let interval = ("2026-11-22T15:00:00Z".parse().unwrap(), "2026-11-23T15:00:00Z".parse().unwrap());
        let values = Values { zone: &zone, interval, dag_id: "d", run_id: "r", task_id: "t", try_number: 2 };
        assert_eq!(values.fill("{date} {{x}} {try_number}"), "2026-11-23 {x} 2");
        assert_eq!(
            values.fill("{data_interval_start}/{data_interval_end}"),
            "2026-11-22T15:00:00Z/2026-11-23T15:00:00Z"
        );
    }

    #[test]
    fn what_nobody_knows_is_refused() {
        for wrong in ["{ds}", "{date", "date}", "{}", "{{date}"] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
        assert_eq!(check("{{}} {date}{task_id}"), Ok(()));
    }
}
