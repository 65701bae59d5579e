//! The types that a value of a result can be read as.

use adpipe_event::Millis;

use crate::Value;

/// Whole numbers up to here are exact as real ones, too: 2^53.
const EXACT_REAL: f64 = 9_007_199_254_740_992.0;

/// A type that a value can be read as.
pub trait FromValue<'v>: Sized {
    /// What it is, for errors: completes "… is not".
    const WANTED: &'static str;

    /// The value, when it is one of this type.
    fn from_value(value: &'v Value) -> Option<Self>;
}

impl<'v> FromValue<'v> for &'v Value {
    const WANTED: &'static str = "a value";

    fn from_value(value: &'v Value) -> Option<&'v Value> {
        Some(value)
    }
}

impl<'v, T: FromValue<'v>> FromValue<'v> for Option<T> {
    const WANTED: &'static str = T::WANTED;

    fn from_value(value: &'v Value) -> Option<Option<T>> {
        match value {
            Value::Null => Some(None),
            value => T::from_value(value).map(Some),
        }
    }
}

impl FromValue<'_> for i64 {
    const WANTED: &'static str = "a whole number";

    /// A real number without a fraction is a whole one: databases round to such.
    fn from_value(value: &Value) -> Option<i64> {
        match value {
            Value::Int(number) => Some(*number),
            Value::Real(number) if number.fract() == 0.0 && number.abs() < EXACT_REAL => Some(*number as i64),
            _ => None,
        }
    }
}

impl FromValue<'_> for u64 {
    const WANTED: &'static str = "a count";

    fn from_value(value: &Value) -> Option<u64> {
        i64::from_value(value).and_then(|number| u64::try_from(number).ok())
    }
}

impl FromValue<'_> for u32 {
    const WANTED: &'static str = "a count below 2^32";

    fn from_value(value: &Value) -> Option<u32> {
        i64::from_value(value).and_then(|number| u32::try_from(number).ok())
    }
}

impl FromValue<'_> for u8 {
    const WANTED: &'static str = "a code below 256";

    fn from_value(value: &Value) -> Option<u8> {
        i64::from_value(value).and_then(|number| u8::try_from(number).ok())
    }
}

impl FromValue<'_> for f64 {
    const WANTED: &'static str = "a number";

    fn from_value(value: &Value) -> Option<f64> {
        value.as_f64()
    }
}

impl FromValue<'_> for bool {
    const WANTED: &'static str = "0 or 1";

    fn from_value(value: &Value) -> Option<bool> {
        match value {
            Value::Int(0) => Some(false),
            Value::Int(1) => Some(true),
            _ => None,
        }
    }
}

impl<'v> FromValue<'v> for &'v str {
    const WANTED: &'static str = "text";

    fn from_value(value: &'v Value) -> Option<&'v str> {
        value.as_str()
    }
}

impl FromValue<'_> for String {
    const WANTED: &'static str = "text";

    fn from_value(value: &Value) -> Option<String> {
        value.as_str().map(str::to_owned)
    }
}

impl FromValue<'_> for Millis {
    const WANTED: &'static str = "a time";

    fn from_value(value: &Value) -> Option<Millis> {
        value.as_str().and_then(Millis::parse_sql)
    }
}

impl<'v> FromValue<'v> for &'v [u8] {
    const WANTED: &'static str = "bytes";

    fn from_value(value: &'v Value) -> Option<&'v [u8]> {
        match value {
            Value::Blob(bytes) => Some(bytes),
            _ => None,
        }
    }
}

impl FromValue<'_> for Vec<u8> {
    const WANTED: &'static str = "bytes";

    fn from_value(value: &Value) -> Option<Vec<u8>> {
        <&[u8]>::from_value(value).map(<[u8]>::to_vec)
    }
}
