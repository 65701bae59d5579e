//! How fresh the sources are: `dbt source freshness` without dbt.

use std::time::Instant;

use adpipe_event::Millis;
use adpipe_warehouse::{FromValue, Value, Warehouse, query_table};
use serde_json::{Value as Json, json};

use crate::error::{Place, Result};
use crate::project::fields::Fields;
use crate::project::{Project, Source};
use crate::results::Status;
use crate::yaml::{Data, Yaml};

/// What the files say of one place: a source, or a table of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Said {
    loaded_at: Option<String>,
    /// A null switches off what was said above.
    freshness: Option<(Yaml, Place)>,
}

impl Said {
    /// Takes the two keys out of a mapping.
    pub fn take(&mut self, fields: &mut Fields<'_>) -> Result<()> {
        let place = fields.place().clone();
        if let Some(text) = fields.text("loaded_at_field")? {
            self.loaded_at = Some(text);
        }
        if let Some(node) = fields.take("freshness") {
            self.freshness = Some((node.clone(), place));
        }
        Ok(())
    }

    /// Takes one of the two keys from elsewhere; false when it is none of them.
    pub fn take_entry(&mut self, key: &str, node: &Yaml, place: &Place) -> bool {
        match key {
            "loaded_at_field" => self.loaded_at = node.text().map(str::to_owned),
            "freshness" => self.freshness = Some((node.clone(), place.clone())),
            _ => return false,
        }
        true
    }
}

/// What is expected of a source. Spans are in ms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Freshness {
    loaded_at: String,
    filter: Option<String>,
    warn_after: Option<i64>,
    error_after: Option<i64>,
}

impl Freshness {
    /// What the table says, and for the rest what its source says; none when nothing is expected.
    pub fn of(above: &Said, table: &Said) -> Result<Option<Freshness>> {
        let is_off = table.freshness.as_ref().is_some_and(|(node, _)| node.is_null());
        let loaded_at = table.loaded_at.as_ref().or(above.loaded_at.as_ref());
        let (Some(loaded_at), false) = (loaded_at, is_off) else { return Ok(None) };
        let mut found =
            Freshness { loaded_at: loaded_at.clone(), filter: None, warn_after: None, error_after: None };
        for said in [above, table] {
            let Some((node, place)) = said.freshness.as_ref().filter(|(node, _)| !node.is_null()) else {
                continue;
            };
            let mut fields = Fields::new(node, place, "freshness")?;
            found.filter = fields.text("filter")?.or(found.filter);
            found.warn_after = span(&mut fields, "warn_after")?.or(found.warn_after);
            found.error_after = span(&mut fields, "error_after")?.or(found.error_after);
            fields.done()?;
        }
        Ok((found.warn_after.is_some() || found.error_after.is_some()).then_some(found))
    }

    fn judge(&self, age: i64) -> Status {
        match () {
            () if self.error_after.is_some_and(|after| age > after) => Status::Error,
            () if self.warn_after.is_some_and(|after| age > after) => Status::Warn,
            () => Status::Pass,
        }
    }
}

fn span(fields: &mut Fields<'_>, key: &'static str) -> Result<Option<i64>> {
    let place = fields.place().clone();
    let Some(node) = fields.take_some(key) else { return Ok(None) };
    let mut fields = Fields::new(node, &place, key)?;
    let place = fields.place().clone();
    let count = fields.take_some("count").map(|node| &node.data);
    let period = match fields.required("period")?.as_str() {
        "minute" => 60_000,
        "hour" => 3_600_000,
        "day" => 86_400_000,
        other => return Err(place.refuse(format!("period of {key} is {other}, not minute, hour or day"))),
    };
    fields.done()?;
    match count {
        Some(Data::Int(count)) if *count >= 0 => Ok(Some(count.saturating_mul(period))),
        _ => Err(place.refuse(format!("count of {key} must be a whole number"))),
    }
}

/// What was found of one source.
#[derive(Debug, Clone)]
pub struct SourceFreshness {
    /// dbt's id: `source.adpipe.realtime.events`.
    pub id: String,
    /// `realtime.events`.
    pub name: String,
    /// The newest time in it; none without rows.
    pub newest: Option<Millis>,
    /// How old that is, in ms; none without rows.
    pub age_ms: Option<i64>,
    /// Older than this many ms warns.
    pub warn_after_ms: Option<i64>,
    /// Older than this many ms is an error.
    pub error_after_ms: Option<i64>,
    /// `Pass`, `Warn` or `Error`.
    pub status: Status,
    /// Why it could not be found out.
    pub message: Option<String>,
    /// How long the search took.
    pub seconds: f64,
}

impl SourceFreshness {
    /// With dbt's names (`sources.json`).
    pub fn to_json(&self) -> Json {
        let time = |millis: Millis| format!("{}Z", millis.to_string().replace(' ', "T"));
        json!({
            "unique_id": self.id,
            "max_loaded_at": self.newest.map(time),
            "max_loaded_at_time_ago_in_s": self.age_ms.map(|age| age as f64 / 1_000.0),
            "status": self.status.name(),
            "criteria": {
                "warn_after_s": self.warn_after_ms.map(|ms| ms / 1_000),
                "error_after_s": self.error_after_ms.map(|ms| ms / 1_000),
            },
            "message": self.message,
            "execution_time": self.seconds,
        })
    }
}

/// Looks at every source of which the project expects something. It only reads; a table that
/// cannot be read is an error of that source, as with dbt, and so is one without rows that has
/// an `error_after`.
pub fn freshness(warehouse: &dyn Warehouse, project: &Project, now: Millis) -> Vec<SourceFreshness> {
    let look = |source: &Source| {
        let expected = source.freshness.as_ref()?;
        Some(measure(warehouse, source, expected, now))
    };
    project.sources.iter().filter_map(look).collect()
}

fn measure(warehouse: &dyn Warehouse, source: &Source, expected: &Freshness, now: Millis) -> SourceFreshness {
    let started = Instant::now();
    let filter = expected.filter.as_ref().map(|filter| format!(" where {filter}")).unwrap_or_default();
    let sql = format!("select max({}) as newest from {}{filter}", expected.loaded_at, source.relation);
    let newest = query_table(warehouse, &sql, &[]).map_err(|error| error.to_string()).and_then(|table| {
        let stored: &Value =
            table.one().and_then(|row| row.get("newest")).map_err(|error| error.to_string())?;
        Option::<Millis>::from_value(stored).ok_or_else(|| {
            format!("{} gives {:?}, which is not a time", expected.loaded_at, stored.to_string())
        })
    });
    let (newest, message) = match newest {
        Ok(newest) => (newest, None),
        Err(message) => (None, Some(message)),
    };
    let age_ms = newest.map(|newest| now.0 - newest.0);
    let status = if message.is_some() { Status::Error } else { expected.judge(age_ms.unwrap_or(i64::MAX)) };
    SourceFreshness {
        id: source.id.clone(),
        name: format!("{}.{}", source.source, source.name),
        newest,
        age_ms,
        warn_after_ms: expected.warn_after,
        error_after_ms: expected.error_after,
        status,
        message,
        seconds: started.elapsed().as_secs_f64(),
    }
}
