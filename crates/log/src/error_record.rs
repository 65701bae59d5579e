//! Why and where a record failed: what the headers of its record in `ad_events_error` say, and which
//! retry of the dead-letter queue it was. Nobody else reads or writes these headers.

use adpipe_event::{EventError, Millis};

use crate::{Headers, header};

/// Errors appended at once: each carries headers of its own, which in memory are larger than most records.
const MOST_ERRORS: usize = 2_000;

/// Payload bytes of the errors appended at once.
const MOST_BYTES: usize = 4 << 20;

/// What a record of `ad_events_error` says of the record that failed. adpipe writes all of it but what is
/// an option below by name (`field`, `waits_for`); anybody else's record may lack anything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ErrorRecord<'a> {
    /// Topic, or `file:PATH`, where the record lay.
    pub topic: Option<&'a str>,
    /// Partition where it lay; 0 of a file.
    pub partition: Option<u32>,
    /// Its offset there, or its row in the file, from 1.
    pub offset: Option<u64>,
    /// The name of an [`ErrorType`](adpipe_event::ErrorType).
    pub error_type: Option<&'a str>,
    /// What was wrong.
    pub message: Option<&'a str>,
    /// The field that was wrong, when one is to blame.
    pub field: Option<&'a str>,
    /// When it failed.
    pub at: Option<Millis>,
    /// The event hour whose archive parts must be readable before it is sent again.
    pub waits_for: Option<Millis>,
}

impl<'a> ErrorRecord<'a> {
    /// What is written of a record that lay at a place and failed by an error.
    pub fn new(
        (topic, partition, offset): (&'a str, u32, u64),
        error: &'a EventError,
        at: Millis,
        waits_for: Option<Millis>,
    ) -> ErrorRecord<'a> {
        ErrorRecord {
            topic: Some(topic),
            partition: Some(partition),
            offset: Some(offset),
            error_type: Some(error.error_type.as_str()),
            message: Some(&error.message),
            field: error.field,
            at: Some(at),
            waits_for,
        }
    }

    /// Reads it. What is not there, or not what adpipe writes, is none.
    pub fn read(headers: &'a Headers) -> ErrorRecord<'a> {
        ErrorRecord {
            topic: headers.text(header::ERROR_TOPIC),
            partition: headers.number(header::ERROR_PARTITION),
            offset: headers.number(header::ERROR_OFFSET),
            error_type: headers.text(header::ERROR_TYPE),
            message: headers.text(header::ERROR_MESSAGE),
            field: headers.text(header::ERROR_FIELD),
            at: headers.number(header::ERROR_AT).and_then(|at: u64| i64::try_from(at).ok()).map(Millis),
            waits_for: headers.text(header::ERROR_WAITS_FOR).and_then(Millis::parse_sql),
        }
    }

    /// Adds it to the record's own headers.
    pub fn write(&self, own: Headers) -> Headers {
        let parts = [
            (header::ERROR_TOPIC, self.topic.map(str::to_owned)),
            (header::ERROR_PARTITION, self.partition.map(|partition| partition.to_string())),
            (header::ERROR_OFFSET, self.offset.map(|offset| offset.to_string())),
            (header::ERROR_TYPE, self.error_type.map(str::to_owned)),
            (header::ERROR_MESSAGE, self.message.map(str::to_owned)),
            (header::ERROR_AT, self.at.map(|at| at.0.to_string())),
            (header::ERROR_FIELD, self.field.map(str::to_owned)),
            (header::ERROR_WAITS_FOR, self.waits_for.map(|hour| hour.to_string())),
        ];
        parts.into_iter().fold(own, |headers, (name, value)| match value {
            Some(value) => headers.with(name, value),
            None => headers,
        })
    }

    /// Topic, partition and offset of the record that failed; none when it does not say all three.
    pub fn origin(&self) -> Option<(&'a str, u32, u64)> {
        Some((self.topic?, self.partition?, self.offset?))
    }
}

/// What a record of `ad_events_retry` says of the error that it tries again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryMark<'a> {
    /// The error's id in the dead-letter queue.
    pub error_id: &'a str,
    /// Which attempt it is, from 1.
    pub attempt: u32,
}

impl<'a> RetryMark<'a> {
    /// Reads it; none of a record that is no retry.
    pub fn read(headers: &'a Headers) -> Option<RetryMark<'a>> {
        Some(RetryMark {
            error_id: headers.text(header::RETRY_ERROR_ID)?,
            attempt: headers.number(header::RETRY_ATTEMPT)?,
        })
    }

    /// Adds it to the record's own headers.
    pub fn write(&self, own: Headers) -> Headers {
        own.with(header::RETRY_ERROR_ID, self.error_id).with(header::RETRY_ATTEMPT, self.attempt.to_string())
    }
}

/// The record's own headers: without those that say why it failed and which retry it was.
pub fn own_headers(headers: &Headers) -> Headers {
    let is_own = |name: &str| {
        !name.starts_with(header::ERROR_PREFIX)
            && name != header::RETRY_ERROR_ID
            && name != header::RETRY_ATTEMPT
    };
    Headers(headers.0.iter().filter(|(name, _)| is_own(name)).cloned().collect())
}

/// Cuts errors into what is appended at once: up to 2,000 of them and 4 MiB of payload, but one at least.
pub fn appends<T>(errors: &[T], payload_len: impl Fn(&T) -> usize) -> impl Iterator<Item = &[T]> {
    let mut rest = errors;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |error: &&T| {
            bytes += payload_len(error);
            bytes <= MOST_BYTES
        };
        let count = rest.iter().take(MOST_ERRORS).take_while(fits).count().max(1);
        let (these, others) = rest.split_at_checked(count)?;
        rest = others;
        Some(these)
    })
}

#[cfg(test)]
mod tests {
    use adpipe_event::ErrorType;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let own = Headers::default().with(header::FORMAT, "csv");
        let error = EventError {
            error_type: ErrorType::Archive,
            field: Some("click"),
            message: "cannot read the archive".to_owned(),
        };
        let hour = Some(Millis(1_413_849_600_000));
        let record = ErrorRecord::new(("file:raw/a.csv", 0, 17), &error, Millis(1_413_850_000_123), hour);
        let retry = RetryMark { error_id: "an id", attempt: 3 };
        let headers = retry.write(record.write(own.clone()));
        assert_eq!(ErrorRecord::read(&headers), record);
        assert_eq!(record.origin(), Some(("file:raw/a.csv", 0, 17)));
        assert_eq!(RetryMark::read(&headers), Some(retry));
        assert_eq!(own_headers(&headers), own);
    }

    #[test]
    fn what_anybody_else_wrote_is_read_as_far_as_it_goes() {
        let foreign = Headers::default()
            .with(header::ERROR_TOPIC, "t")
            .with(header::ERROR_PARTITION, "-1")
            .with(header::ERROR_OFFSET, vec![0xff])
            .with(header::ERROR_AT, "-5")
            .with(header::ERROR_WAITS_FOR, "soon")
            .with(header::RETRY_ERROR_ID, "x");
        assert_eq!(ErrorRecord::read(&foreign), ErrorRecord { topic: Some("t"), ..ErrorRecord::default() });
        assert_eq!(ErrorRecord::read(&foreign).origin(), None);
        assert_eq!(RetryMark::read(&foreign), None);
    }

    #[test]
    fn an_append_is_bound_by_number_and_bytes() {
        let lengths = |errors: &[usize]| -> Vec<usize> {
            appends(errors, |bytes| *bytes).map(<[usize]>::len).collect()
        };
        assert_eq!(lengths(&[]), [0; 0]);
        assert_eq!(lengths(&[1; 4_001]), [2_000, 2_000, 1]);
        assert_eq!(lengths(&[MOST_BYTES / 2, MOST_BYTES / 2, 1, MOST_BYTES + 1, 1]), [2, 1, 1, 1]);
    }
}
