//! What an edit would do to many errors. Nothing is changed.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::Dlq;
use crate::error::DlqError;
use crate::fingerprint::mask;
use crate::patch::Patch;
use crate::repair::{Edit, Edited, content, try_edit};
use crate::search::{Direction, Filter, walk};
use crate::status::Status;

/// Errors that a dry run shows whole, and how much of each.
const SAMPLES: usize = 3;
const SAMPLE_CHARS: usize = 4_000;
/// Causes that a dry run names.
const MOST_REASONS: usize = 20;
/// Errors looked up at once.
const STEP: u64 = 500;

/// What an edit would do to many errors.
#[derive(Debug, Clone, Default, Serialize)]
pub struct DryRun {
    /// Errors looked at.
    pub looked_at: u64,
    /// Whether that is all of them.
    pub is_complete: bool,
    /// Errors whose event would then be counted.
    pub valid: u64,
    /// Errors that would fail again.
    pub still_invalid: u64,
    /// Errors that the edit does not fit.
    pub does_not_fit: u64,
    /// Errors that would stay as they are.
    pub unchanged: u64,
    /// Why some would fail or do not fit, values masked, the commonest first.
    pub reasons: Vec<(String, u64)>,
    /// Some of them, before and after.
    pub samples: Vec<Sample>,
}

/// One error before and after.
#[derive(Debug, Clone, Serialize)]
pub struct Sample {
    /// Names the error.
    pub error_id: String,
    /// Its payload now; anything that is not UTF-8 is replaced for display.
    pub before: String,
    /// Its payload after the edit.
    pub after: String,
    /// Why it would fail again, if it would.
    pub problem: Option<String>,
}

/// What an edit would do to every error that the filter meets, or to the first `limit` of them.
///
/// # Errors
/// Failures of the warehouse.
pub fn dry_run(dlq: &Dlq, filter: &Filter, patch: &Patch, limit: u64) -> Result<DryRun, DlqError> {
    let edit = Edit::Patch(patch.clone());
    let mut looking = Looking::default();
    let filter = filter.only(&[Status::Pending, Status::Exhausted]);
    let mut walk = walk(dlq, &filter, Direction::OldestFirst)?;
    while looking.run.looked_at < limit {
        let ids = walk.next(dlq, STEP.min(limit - looking.run.looked_at) as usize)?;
        if ids.is_empty() {
            looking.run.is_complete = true;
            break;
        }
        for error_id in &ids {
            looking.look(dlq, error_id, &edit)?;
        }
    }
    Ok(looking.end())
}

/// What an edit would do to the errors that are named.
///
/// # Errors
/// Failures of the warehouse.
pub fn dry_run_of(dlq: &Dlq, error_ids: &[String], edit: &Edit) -> Result<DryRun, DlqError> {
    let mut looking = Looking::default();
    for error_id in error_ids {
        looking.look(dlq, error_id, edit)?;
    }
    looking.run.is_complete = true;
    Ok(looking.end())
}

/// A dry run under way.
#[derive(Default)]
struct Looking {
    run: DryRun,
    reasons: BTreeMap<String, u64>,
}

impl Looking {
    fn look(&mut self, dlq: &Dlq, error_id: &str, edit: &Edit) -> Result<(), DlqError> {
        let Some(before) = content(dlq, error_id)? else { return Ok(()) };
        let run = &mut self.run;
        run.looked_at += 1;
        let (after, problem) = match try_edit(dlq.settings(), &before, edit) {
            Edited::Valid(after) => {
                run.valid += 1;
                (Some(after), None)
            }
            Edited::StillInvalid(after, error) => {
                run.still_invalid += 1;
                (Some(after), Some(error.message))
            }
            Edited::DoesNotFit(reason) => {
                run.does_not_fit += 1;
                (None, Some(reason))
            }
            Edited::Unchanged | Edited::Restored => {
                run.unchanged += 1;
                (None, None)
            }
        };
        if let Some(problem) = &problem {
            *self.reasons.entry(mask(problem)).or_default() += 1;
        }
        if let Some(after) = after.filter(|_| run.samples.len() < SAMPLES) {
            let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).chars().take(SAMPLE_CHARS).collect();
            run.samples.push(Sample {
                error_id: error_id.to_owned(),
                before: shown(&before.payload),
                after: shown(&after.payload),
                problem,
            });
        }
        Ok(())
    }

    fn end(self) -> DryRun {
        let mut run = self.run;
        run.reasons = self.reasons.into_iter().collect();
        run.reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        run.reasons.truncate(MOST_REASONS);
        run
    }
}
