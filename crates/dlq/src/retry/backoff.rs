//! When an error is tried again.

use adpipe_counting::micro_batch::Parsing;
use adpipe_event::{ErrorType, FieldMap, Millis, Rules};
use adpipe_log::Headers;
use adpipe_warehouse::Value;

use crate::failure::Failure;
use crate::settings::DlqSettings;
use crate::status::Status;

/// The pause before attempt number `attempt` (from 1): a random time up to base × 2^(attempt - 1), but
/// no more than the cap. Full jitter, so that errors of one moment do not come back in one moment.
/// Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
pub fn pause_ms(settings: &DlqSettings, attempt: u32) -> i64 {
    let base = settings.base_backoff.as_millis() as u64;
    let doubled = base.saturating_mul(1u64.checked_shl(attempt.saturating_sub(1)).unwrap_or(u64::MAX));
    let longest = doubled.min(settings.max_backoff.as_millis() as u64);
    rand::random_range(0..=longest) as i64
}

/// When an error is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NextRetry {
    /// At this time.
    At(Millis),
    /// Once the archive's parts of this event hour can be read.
    WhenReadable(Millis),
    /// Not by itself.
    Never,
}

impl NextRetry {
    /// The status that goes with it.
    pub fn status(self) -> Status {
        if self == NextRetry::Never { Status::Exhausted } else { Status::Pending }
    }

    /// The columns `next_retry_at` and `waits_for`.
    pub fn columns(self) -> [Value; 2] {
        match self {
            NextRetry::At(at) => [at.to_string().into(), Value::Null],
            NextRetry::WhenReadable(hour) => [Value::Null, hour.to_string().into()],
            NextRetry::Never => [Value::Null, Value::Null],
        }
    }
}

/// When a new failure is tried for the first time; never when its type is not retryable.
pub(crate) fn first_retry(settings: &DlqSettings, failure: &Failure) -> NextRetry {
    next_retry(settings, failure, &failure.payload, &failure.headers, 1)
}

/// When an error is tried again, as try number `attempt`; `payload` and `headers` as they are now.
///
/// An event of the future is right at a known moment: trying before only uses up attempts. One whose
/// archive cannot be read is right as soon as it can: no number of attempts ends that.
pub(crate) fn next_retry(
    settings: &DlqSettings,
    failure: &Failure,
    payload: &[u8],
    headers: &Headers,
    attempt: u32,
) -> NextRetry {
    let error_type = failure.error_type;
    let soon = Millis(Millis::now().0 + pause_ms(settings, attempt));
    if error_type == ErrorType::Archive {
        return failure.waits_for.map_or(NextRetry::At(soon), NextRetry::WhenReadable);
    }
    if !settings.is_retryable(error_type) || attempt > settings.max_retries {
        return NextRetry::Never;
    }
    let heals_at = match error_type {
        ErrorType::Future => event_time(&settings.fields, payload, headers)
            .map(|time| Millis(time.0.saturating_sub(settings.max_future.as_millis() as i64))),
        _ => None,
    };
    NextRetry::At(heals_at.map_or(soon, |heals_at| heals_at.max(soon)))
}

/// The time of an event that has no other fault.
fn event_time(fields: &FieldMap, payload: &[u8], headers: &Headers) -> Option<Millis> {
    let mut parsing = Parsing::new(Rules::of_any_time(fields.clone()));
    parsing.parse_one(payload, headers, Millis(0)).ok().map(|parsed| parsed.event.event_time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_are_capped() {
        let settings = DlqSettings::default();
        for (attempt, longest) in [(1, 1_000), (2, 2_000), (5, 16_000), (40, 300_000), (200, 300_000)] {
            let pauses: Vec<i64> = (0..500).map(|_| pause_ms(&settings, attempt)).collect();
            assert!(pauses.iter().all(|pause| (0..=longest).contains(pause)), "{attempt}: {pauses:?}");
            // Full jitter: the whole range is used. Five hundred draws miss a third once in 10^88.
            assert!(pauses.iter().any(|pause| *pause < longest / 3), "{attempt}");
            assert!(pauses.iter().any(|pause| *pause > longest * 2 / 3), "{attempt}");
        }
    }

    #[test]
    fn what_is_wrong_for_good_is_not_tried() {
        let settings = DlqSettings::default();
        let tried = |error_type, attempt| {
            let failure = failure(error_type, None);
            next_retry(&settings, &failure, b"{", &Headers::default(), attempt) != NextRetry::Never
        };
        assert!(!tried(ErrorType::Validation, 1) && !tried(ErrorType::Parse, 1));
        assert!(tried(ErrorType::Sink, 5) && !tried(ErrorType::Sink, 6));
        assert!(tried(ErrorType::Future, 1));
    }

    #[test]
    fn what_waits_for_the_archive_waits_however_often_it_was_tried() {
        let settings = DlqSettings { retryable: Vec::new(), ..DlqSettings::default() };
        let hour = Millis::parse_sql("2014-10-21 05:00:00");
        for attempt in [1, 6, 1_000] {
            let next = |waits_for| {
                let failure = failure(ErrorType::Archive, waits_for);
                next_retry(&settings, &failure, b"{", &Headers::default(), attempt)
            };
            assert_eq!(Some(next(hour)), hour.map(NextRetry::WhenReadable), "{attempt}");
            assert!(matches!(next(None), NextRetry::At(_)), "{attempt}");
        }
        assert_eq!(NextRetry::Never.status(), Status::Exhausted);
    }

    fn failure(error_type: ErrorType, waits_for: Option<Millis>) -> Failure {
        Failure {
            topic: "ad_events_raw".to_owned(),
            partition: 0,
            offset: 0,
            stage: "stream",
            key: Vec::new(),
            payload: Vec::new(),
            headers: Headers::default(),
            error_type,
            field: None,
            message: String::new(),
            masked: String::new(),
            fingerprint: String::new(),
            at: Millis(0),
            waits_for,
            retry: None,
        }
    }
}
