//! Every rule that makes fields an event. One place, whatever the wire format.

use crate::error::quoted;
use crate::raw::{
    BANNER_POS, CLICK, DEVICE_CONN_TYPE, DEVICE_TYPE, EVENT_TIME, FIRST_INT, FIRST_TEXT, Fields, HOUR, ID,
    RawValue, is_plain,
};
use crate::time::parse_time;
use crate::{ErrorType, Event, EventError, INT_FIELDS, Millis, Parsed, TEXT_FIELDS, Warnings};

const LONGEST_ID: usize = 128;
const LONGEST_TEXT: usize = 64;
const LARGEST_CODE: i64 = 99;

/// What a value is, once the place of its text is known.
enum Resolved<'a> {
    Absent,
    Text(&'a str),
    Number(&'a str),
    Cell(&'a str),
    Other(&'static str),
}

impl<'a> Resolved<'a> {
    #[inline]
    fn of(value: &RawValue<'a>, rewritten: &'a str) -> Resolved<'a> {
        match value {
            RawValue::Absent => Resolved::Absent,
            RawValue::Text(text) => Resolved::Text(text),
            RawValue::RewrittenText(range) => Resolved::Text(&rewritten[range.clone()]),
            RawValue::Number(token) => Resolved::Number(token),
            RawValue::Cell(cell) => Resolved::Cell(cell),
            RawValue::RewrittenCell(range) => Resolved::Cell(&rewritten[range.clone()]),
            RawValue::Other(kind) => Resolved::Other(kind),
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Resolved::Absent => "nothing",
            Resolved::Text(_) => "a string",
            Resolved::Number(_) => "a number",
            Resolved::Cell(_) => "text",
            Resolved::Other(kind) => kind,
        }
    }
}

/// Checks the rules in the order of the fields and builds the event, whose time may be at most
/// `max_future_ms` ahead of the clock.
pub(crate) fn validate<'a>(
    fields: &Fields<'a>,
    rewritten: &'a str,
    max_future_ms: i64,
    now: Millis,
) -> Result<Parsed<'a>, EventError> {
    let value = |index: usize| Resolved::of(&fields.values[index], rewritten);

    let (id, float_id) = check_id(value(ID), fields.has_plain(ID))?;
    let click = check_click(value(CLICK))?;
    let event_time = check_times(value(HOUR), value(EVENT_TIME))?;
    let banner_pos = check_code("banner_pos", value(BANNER_POS))?;
    let device_type = check_code("device_type", value(DEVICE_TYPE))?;
    let device_conn_type = check_code("device_conn_type", value(DEVICE_CONN_TYPE))?;
    let mut texts = [""; TEXT_FIELDS.len()];
    for (index, text) in texts.iter_mut().enumerate() {
        let field = FIRST_TEXT + index;
        *text = check_text(TEXT_FIELDS[index], value(field), fields.has_plain(field))?;
    }
    let mut ints = [None; INT_FIELDS.len()];
    for (index, int) in ints.iter_mut().enumerate() {
        *int = check_int(INT_FIELDS[index], value(FIRST_INT + index))?;
    }
    check_future(event_time, max_future_ms, now)?;

    let event = Event { id, click, event_time, banner_pos, device_type, device_conn_type, texts, ints };
    Ok(Parsed { event, warnings: Warnings { float_id, unknown_fields: fields.unknown } })
}

/// Checks one value by itself, by the rule of its field.
pub(crate) fn check_value(field: usize, value: &RawValue<'_>, rewritten: &str) -> Result<(), EventError> {
    let value = Resolved::of(value, rewritten);
    match field {
        ID => check_id(value, false).map(drop),
        CLICK => check_click(value).map(drop),
        HOUR => check_time("hour", value).map(drop),
        EVENT_TIME => check_time("event_time", value).map(drop),
        BANNER_POS => check_code("banner_pos", value).map(drop),
        DEVICE_TYPE => check_code("device_type", value).map(drop),
        DEVICE_CONN_TYPE => check_code("device_conn_type", value).map(drop),
        text @ FIRST_TEXT..FIRST_INT => check_text(TEXT_FIELDS[text - FIRST_TEXT], value, false).map(drop),
        int => check_int(INT_FIELDS[int - FIRST_INT], value).map(drop),
    }
}

/// Checks a value that is to stand where a record has none.
pub(crate) fn check_default(field: usize, default: &str) -> Result<(), EventError> {
    check_value(field, &RawValue::Cell(default), "")
}

fn missing(field: &'static str) -> EventError {
    EventError::schema(field, format!("{field} is missing"))
}

fn wrong_type(field: &'static str, found: &Resolved<'_>, wanted: &str) -> EventError {
    EventError::schema(field, format!("{field} is {} and should be {wanted}", found.kind()))
}

/// The id and whether it is a number in float notation.
fn check_id(value: Resolved<'_>, has_plain: bool) -> Result<(&str, bool), EventError> {
    let id = match value {
        Resolved::Absent => return Err(missing("id")),
        Resolved::Other(_) => return Err(wrong_type("id", &value, "a string or a number")),
        Resolved::Text(id) | Resolved::Number(id) | Resolved::Cell(id) => id,
    };
    let printable = has_plain || is_plain(id.as_bytes());
    let padded = id.starts_with(' ') || id.ends_with(' ');
    if id.is_empty() || id.len() > LONGEST_ID || !printable || padded {
        return Err(EventError::validation(
            "id",
            format!(
                "id {} is not 1 to {LONGEST_ID} printable ASCII characters without spaces around",
                quoted(id)
            ),
        ));
    }
    Ok((id, is_float_notation(id)))
}

/// `1.4e+19`, `1e5` or `1.5`, but not `abc.e1`.
fn is_float_notation(id: &str) -> bool {
    let starts_like_a_number = id.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    starts_like_a_number
        && id.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E'))
        && id.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'))
        && id.parse::<f64>().is_ok()
}

/// The digits of a whole number, sign included.
fn whole_number<'a>(field: &'static str, value: &Resolved<'a>) -> Result<&'a str, EventError> {
    let token = match value {
        Resolved::Number(token) | Resolved::Cell(token) => *token,
        Resolved::Absent => return Err(missing(field)),
        Resolved::Text(_) | Resolved::Other(_) => return Err(wrong_type(field, value, "a whole number")),
    };
    let digits = token.strip_prefix('-').unwrap_or(token);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(EventError::schema(field, format!("{field} {} is not a whole number", quoted(token))));
    }
    Ok(token)
}

/// A number of up to 18 digits, which cannot overflow; none for whatever else.
#[inline]
fn short_number(token: &[u8]) -> Option<i64> {
    let (sign, digits) = match token {
        [b'-', digits @ ..] => (-1, digits),
        digits => (1, digits),
    };
    if !(1..=18).contains(&digits.len()) {
        return None;
    }
    let mut number = 0;
    for digit in digits {
        let value = digit.wrapping_sub(b'0');
        if value > 9 {
            return None;
        }
        number = number * 10 + i64::from(value);
    }
    Some(sign * number)
}

#[inline]
fn ranged(field: &'static str, value: &Resolved<'_>, least: i64, most: i64) -> Result<i64, EventError> {
    if let Resolved::Number(token) | Resolved::Cell(token) = value
        && let Some(number) = short_number(token.as_bytes())
        && (least..=most).contains(&number)
    {
        return Ok(number);
    }
    let token = whole_number(field, value)?;
    // Digits that do not fit 64 bits are out of every range.
    match token.parse::<i64>() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(EventError::validation(
            field,
            format!("{field} {} is out of range {least}..={most}", quoted(token)),
        )),
    }
}

fn check_click(value: Resolved<'_>) -> Result<bool, EventError> {
    ranged("click", &value, 0, 1).map(|number| number == 1)
}

fn check_code(field: &'static str, value: Resolved<'_>) -> Result<u8, EventError> {
    ranged(field, &value, 0, LARGEST_CODE).map(|number| number as u8)
}

fn check_int(field: &'static str, value: Resolved<'_>) -> Result<Option<i32>, EventError> {
    if matches!(value, Resolved::Absent) {
        return Ok(None);
    }
    ranged(field, &value, -1, i64::from(i32::MAX)).map(|number| Some(number as i32))
}

fn check_text<'a>(field: &'static str, value: Resolved<'a>, has_plain: bool) -> Result<&'a str, EventError> {
    let text = match value {
        Resolved::Text(text) | Resolved::Cell(text) => text,
        Resolved::Absent => return Err(missing(field)),
        Resolved::Number(_) | Resolved::Other(_) => return Err(wrong_type(field, &value, "a string")),
    };
    // Bytes bound characters from above, so the common case needs no counting.
    let too_long = text.len() > LONGEST_TEXT && text.chars().count() > LONGEST_TEXT;
    if text.is_empty() || too_long {
        return Err(EventError::validation(
            field,
            format!("{field} has {} characters and may have 1 to {LONGEST_TEXT}", text.chars().count()),
        ));
    }
    if !has_plain && !is_plain(text.as_bytes()) && text.chars().any(char::is_control) {
        return Err(EventError::validation(
            field,
            format!("{field} {} holds a control character", quoted(text)),
        ));
    }
    Ok(text)
}

fn check_times(hour: Resolved<'_>, event_time: Resolved<'_>) -> Result<Millis, EventError> {
    let from_hour = check_time("hour", hour)?;
    let from_event_time = check_time("event_time", event_time)?;
    match (from_hour, from_event_time) {
        (Some(time), None) | (None, Some(time)) => Ok(time),
        // A producer that sends both means the hour as a partition of the exact time.
        (Some(hour), Some(exact)) if hour == exact.floor_hour() => Ok(exact),
        (Some(exact), Some(hour)) if hour == exact.floor_hour() => Ok(exact),
        (Some(a), Some(b)) if a == b => Ok(a),
        (Some(a), Some(b)) => {
            Err(EventError::validation("hour", format!("hour says {a} but event_time says {b}")))
        }
        (None, None) => Err(EventError::schema("hour", "hour (or event_time) is missing".to_owned())),
    }
}

fn check_time(field: &'static str, value: Resolved<'_>) -> Result<Option<Millis>, EventError> {
    let text = match value {
        Resolved::Absent => return Ok(None),
        Resolved::Other(_) => return Err(wrong_type(field, &value, "YYMMDDHH, ISO 8601 or epoch time")),
        Resolved::Text(text) | Resolved::Number(text) | Resolved::Cell(text) => text,
    };
    match parse_time(text) {
        Some(Ok(time)) => Ok(Some(time)),
        Some(Err(impossible)) => {
            Err(EventError::validation(field, format!("{field} {}: {}", quoted(text), impossible.0)))
        }
        None => Err(EventError::schema(
            field,
            format!("{field} {} is not YYMMDDHH, ISO 8601 or epoch time", quoted(text)),
        )),
    }
}

fn check_future(event_time: Millis, max_future_ms: i64, now: Millis) -> Result<(), EventError> {
    if event_time.0 <= now.0.saturating_add(max_future_ms) {
        return Ok(());
    }
    Err(EventError {
        error_type: ErrorType::Future,
        field: Some("hour"),
        message: format!(
            "event time {event_time} is more than {} s ahead of the clock",
            max_future_ms / 1_000
        ),
    })
}
