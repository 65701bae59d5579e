//! Waiting for what comes of single errors, and saying it.

use std::process::ExitCode;

use adpipe_dlq::Dlq;
use adpipe_dlq::sending::{Heard, Sending, heard_of};
use adpipe_runtime::Shutdown;

use super::running::{self, Ended, Look};
use crate::cli::dlq::PaceArgs;
use crate::output;
use crate::services::Services;
use crate::signals;

/// What became of the errors that were sent.
#[derive(Debug, Default, Clone, Copy)]
pub struct Outcomes {
    pub applied: u64,
    pub already_counted: u64,
    pub failed: u64,
    /// Not heard of within the limit.
    pub unknown: u64,
}

/// Waits for all outcomes, and calls `told` with each outcome.
pub fn wait(
    services: &Services,
    dlq: &Dlq,
    sendings: &[Sending],
    pace: &PaceArgs,
    mut told: impl FnMut(&Sending, &Heard) -> anyhow::Result<()>,
) -> anyhow::Result<(Outcomes, Ended)> {
    let shutdown = Shutdown::new();
    signals::watch(&shutdown, signals::GRACE)?;
    // They are sent in about this order, so the first that is not known shows how far it is.
    let mut known = 0;
    let ended = running::until(services, dlq, &shutdown, pace.wait, || {
        while let Some(sending) = sendings.get(known) {
            if heard_of(dlq, sending)? == Heard::Nothing {
                return Ok(Look::Waiting(known as u64));
            }
            known += 1;
        }
        Ok(Look::Over)
    })?;
    let mut outcomes = Outcomes::default();
    for sending in sendings {
        let heard = heard_of(dlq, sending)?;
        match &heard {
            Heard::Outcome { outcome, .. } => match outcome.as_str() {
                "applied" => outcomes.applied += 1,
                "already_counted" => outcomes.already_counted += 1,
                _ => outcomes.failed += 1,
            },
            Heard::Nothing => outcomes.unknown += 1,
            Heard::NotSent(_) => {}
        }
        told(sending, &heard)?;
    }
    Ok((outcomes, ended))
}

/// The exit code, with what is to be said about an end before all outcomes came.
pub fn exit_code(outcomes: Outcomes, ended: Ended, pace: &PaceArgs) -> ExitCode {
    match ended {
        Ended::Interrupted => {
            output::note("stopped waiting; the retries continue in `adpipe up` or `adpipe run dlq`");
            signals::exit_code()
        }
        Ended::GaveUp => {
            output::note(&running::gave_up(pace.wait));
            ExitCode::FAILURE
        }
        Ended::Over if outcomes.failed > 0 => ExitCode::FAILURE,
        Ended::Over => ExitCode::SUCCESS,
    }
}

/// Waits for the outcomes of errors that were named, and says each.
pub fn tell(
    services: &Services,
    dlq: &Dlq,
    sendings: &[Sending],
    pace: &PaceArgs,
    json: bool,
) -> anyhow::Result<ExitCode> {
    if pace.no_wait {
        return Ok(ExitCode::SUCCESS);
    }
    let (outcomes, ended) = wait(services, dlq, sendings, pace, |sending, heard| {
        if json {
            output::line(&as_json(sending, heard).to_string())
        } else {
            match in_words(heard) {
                Some(words) => output::line(&format!("{}  {words}", sending.error_id)),
                None => Ok(()),
            }
        }
    })?;
    Ok(exit_code(outcomes, ended, pace))
}

/// What is known about an attempt; nothing if it was not sent, which was reported before.
fn in_words(heard: &Heard) -> Option<String> {
    match heard {
        Heard::Nothing => Some("no outcome yet".to_owned()),
        Heard::NotSent(_) => None,
        Heard::Outcome { outcome, error_message, next_retry_at } => {
            let reason = error_message.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
            let next = next_retry_at.as_deref().filter(|_| outcome == "failed");
            let next = next.map(|at| format!(" (not due before {at} UTC)")).unwrap_or_default();
            Some(format!("{}{reason}{next}", outcome.replace('_', " ")))
        }
    }
}

fn as_json(sending: &Sending, heard: &Heard) -> serde_json::Value {
    let (outcome, message, next) = match heard {
        Heard::Outcome { outcome, error_message, next_retry_at } => {
            (Some(outcome), error_message.as_ref(), next_retry_at.as_ref())
        }
        Heard::Nothing | Heard::NotSent(_) => (None, None, None),
    };
    serde_json::json!({
        "error_id": sending.error_id, "outcome": outcome, "error_message": message, "next_retry_at": next,
    })
}
