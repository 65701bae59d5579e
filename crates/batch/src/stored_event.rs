//! A row of `realtime.events`, read strictly: whatever adpipe did not write is damage.

use adpipe_event::{Event, Millis};
use adpipe_warehouse::Value;

// By place, not by name: of each event 25 values are read, and a look-up by name adds about 15 ns to
// each (0.4 µs an event). What is damaged is reported by the event's name, whichever value it is.
const EVENT_HOUR: usize = 0;
const EVENT_ID: usize = 1;
const EVENT_TIME: usize = 2;
const CLICK: usize = 3;
const FIRST_CODE: usize = 4;
const FIRST_TEXT: usize = 7;
const FIRST_INT: usize = 16;

/// The hour that a row says it is of, and its event.
pub(crate) fn read(row: &[Value]) -> Option<(Millis, Event<'_>)> {
    let time = |column: usize| {
        let text = row[column].as_str()?;
        Millis::parse_sql(text).filter(|time| time.to_string() == text)
    };
    let (hour, event_time) = (time(EVENT_HOUR)?, time(EVENT_TIME)?);
    if event_time.floor_hour() != hour {
        return None;
    }
    let code = |column: usize| row[column].as_i64().and_then(|code| u8::try_from(code).ok());
    let mut texts = [""; 9];
    for (column, text) in texts.iter_mut().enumerate() {
        *text = row[FIRST_TEXT + column].as_str()?;
    }
    let mut ints = [None; 9];
    for (column, int) in ints.iter_mut().enumerate() {
        *int = match &row[FIRST_INT + column] {
            Value::Null => None,
            value => Some(
                value
                    .as_i64()
                    .and_then(|number| i32::try_from(number).ok())
                    .filter(|number| *number >= -1)?,
            ),
        };
    }
    let event = Event {
        id: row[EVENT_ID].as_str()?,
        click: match row[CLICK].as_i64()? {
            0 => false,
            1 => true,
            _ => return None,
        },
        event_time,
        banner_pos: code(FIRST_CODE)?,
        device_type: code(FIRST_CODE + 1)?,
        device_conn_type: code(FIRST_CODE + 2)?,
        texts,
        ints,
    };
    Some((hour, event))
}

/// What a row that cannot be read is named by.
pub(crate) fn name_of(row: &[Value]) -> String {
    let shown = |value: &Value| value.to_string().escape_debug().take(80).collect::<String>();
    format!("realtime.events, {} {}", shown(&row[EVENT_HOUR]), shown(&row[EVENT_ID]))
}
