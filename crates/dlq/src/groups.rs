//! The counts of each group, changed in the transaction that changes the errors.

use std::collections::BTreeMap;

use adpipe_event::Millis;
use adpipe_sql::section;
use adpipe_warehouse::{Transaction, Value, row_sum};

use crate::error::DlqError;
use crate::failure::Failure;
use crate::status::Status;

const GROUPS_SQL: &str = include_str!("../sql/groups.sql");
const ADD: &str = section(GROUPS_SQL, "add");
const ARRIVE: &str = section(GROUPS_SQL, "arrive");
const ARRIVE_HOUR: &str = section(GROUPS_SQL, "arrive_hour");

/// Changes to the counts of some groups. Applied in the order of the groups, so that two
/// transactions never wait for each other in a circle.
#[derive(Debug, Default)]
pub(crate) struct GroupChanges {
    by_status: BTreeMap<String, [i64; 5]>,
    arrived: BTreeMap<String, Arrived>,
}

/// Errors that are new to a group.
#[derive(Debug)]
struct Arrived {
    sample: Failure,
    sample_id: String,
    first_at: Millis,
    last_at: Millis,
    by_hour: BTreeMap<Millis, i64>,
}

impl GroupChanges {
    /// An error changes its status within its group.
    pub fn moved(&mut self, fingerprint: &str, from: Status, to: Status) {
        self.count(fingerprint, from, -1);
        self.count(fingerprint, to, 1);
    }

    /// An error of this status leaves its group, or comes into it.
    pub fn count(&mut self, fingerprint: &str, status: Status, by: i64) {
        match self.by_status.get_mut(fingerprint) {
            Some(counts) => counts[status as usize] += by,
            None => {
                let mut counts = [0; 5];
                counts[status as usize] = by;
                self.by_status.insert(fingerprint.to_owned(), counts);
            }
        }
    }

    /// A failure belongs to a group that may be new; its counts are changed separately.
    pub fn arrived(&mut self, failure: &Failure, error_id: &str) {
        let group = self.arrived.entry(failure.fingerprint.clone()).or_insert_with(|| Arrived {
            sample: failure.clone(),
            sample_id: error_id.to_owned(),
            first_at: failure.at,
            last_at: failure.at,
            by_hour: BTreeMap::new(),
        });
        group.first_at = group.first_at.min(failure.at);
        group.last_at = group.last_at.max(failure.at);
        *group.by_hour.entry(failure.at.floor_hour()).or_default() += 1;
    }

    /// Writes the changes.
    pub fn apply(self, transaction: &mut dyn Transaction) -> Result<(), DlqError> {
        for (fingerprint, group) in &self.arrived {
            let failure = &group.sample;
            let mut params: Vec<Value> = vec![
                fingerprint.as_str().into(),
                failure.error_type.as_str().into(),
                failure.stage.into(),
                failure.field.clone().into(),
                failure.masked.as_str().into(),
                failure.message.as_str().into(),
                group.sample_id.as_str().into(),
            ];
            // When it was seen first and last changes, and is not covered.
            let sum = row_sum("errors.groups", &params);
            params.extend([group.first_at.to_string().into(), group.last_at.to_string().into(), sum]);
            transaction.execute(ARRIVE, &params)?;
            for (hour, errors) in &group.by_hour {
                let params = [fingerprint.as_str().into(), hour.to_string().into(), Value::Int(*errors)];
                transaction.execute(ARRIVE_HOUR, &params)?;
            }
        }
        for (fingerprint, counts) in &self.by_status {
            if counts.iter().all(|count| *count == 0) {
                continue;
            }
            let mut params = vec![Value::from(fingerprint.as_str())];
            params.extend(counts.iter().map(|count| Value::Int(*count)));
            transaction.execute(ADD, &params)?;
        }
        Ok(())
    }
}
