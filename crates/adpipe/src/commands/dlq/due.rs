//! Sending what is due by itself.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use adpipe_dlq::report::{self, totals};
use adpipe_dlq::{Dlq, Status};
use adpipe_runtime::Shutdown;

use super::running::{self, Ended, Look};
use crate::cli::dlq::PaceArgs;
use crate::output;
use crate::services::Services;
use crate::signals;

/// How long to wait for the outcomes of what was sent.
const OUTCOME_PATIENCE: Duration = Duration::from_secs(30);

/// Sends what is due by itself, waits for the outcomes, and ends.
pub fn send(services: &Services, dlq: &Dlq, pace: &PaceArgs, json: bool) -> anyhow::Result<ExitCode> {
    let shutdown = Shutdown::new();
    signals::watch(&shutdown, signals::GRACE)?;
    let before = totals(&report::groups(dlq)?);
    let mut sent_at: Option<Instant> = None;
    let ended = running::until(services, dlq, &shutdown, pace.wait, || {
        let (waiting, due) = (adpipe_dlq::role::waiting(dlq)?, adpipe_dlq::retry::sender::due(dlq)?);
        if waiting + due > 0 {
            sent_at = None;
            return Ok(Look::Waiting(waiting + due));
        }
        // If no stream processor runs, the outcomes come later.
        let waited = sent_at.get_or_insert_with(Instant::now).elapsed();
        let under_way = totals(&report::groups(dlq)?)[Status::Retrying as usize];
        if under_way == 0 || waited > OUTCOME_PATIENCE {
            Ok(Look::Over)
        } else {
            Ok(Look::Waiting(under_way))
        }
    })?;
    let after = totals(&report::groups(dlq)?);
    let resolved = after[Status::Resolved as usize].saturating_sub(before[Status::Resolved as usize]);
    let (pending, exhausted) = (after[Status::Pending as usize], after[Status::Exhausted as usize]);
    if json {
        output::json(&serde_json::json!({"resolved": resolved, "pending": pending, "exhausted": exhausted}))?
    } else {
        output::line(&format!(
            "{} resolved; {} pending{}, {} exhausted",
            output::counted(resolved, "error"),
            output::grouped(pending),
            if pending > 0 && ended == Ended::Over { " (not due yet)" } else { "" },
            output::grouped(exhausted)
        ))?
    }
    Ok(match ended {
        Ended::Over => ExitCode::SUCCESS,
        Ended::Interrupted => signals::exit_code(),
        Ended::GaveUp => {
            output::note(&running::gave_up(pace.wait));
            ExitCode::FAILURE
        }
    })
}
