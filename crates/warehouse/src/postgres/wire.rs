//! Values on their way to and from PostgreSQL, in its binary format.

use std::error::Error;

use adpipe_event::Millis;
use bytes::{BufMut, BytesMut};
use postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use crate::Value;

type BoxError = Box<dyn Error + Sync + Send>;

/// 2000-01-01 00:00 UTC, where PostgreSQL's times begin, in ms since 1970.
const POSTGRES_EPOCH_MS: i64 = 946_684_800_000;

/// Microseconds since 2000, as PostgreSQL stores a time.
pub(super) fn to_postgres_micros(time: Millis) -> i64 {
    (time.0 - POSTGRES_EPOCH_MS) * 1_000
}

fn from_postgres_micros(micros: i64) -> Millis {
    Millis(micros.div_euclid(1_000) + POSTGRES_EPOCH_MS)
}

/// A `timestamptz`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Time(pub Millis);

impl ToSql for Time {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
        out.put_i64(to_postgres_micros(self.0));
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::TIMESTAMPTZ
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Time {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Time, BoxError> {
        Ok(Time(from_postgres_micros(i64::from_be_bytes(raw.try_into()?))))
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::TIMESTAMPTZ
    }
}

/// A parameter of [`crate::Warehouse::query`]: takes the type that the statement expects, so that a
/// time may be given as text, as on SQLite.
#[derive(Debug)]
pub(super) struct Parameter<'a>(pub &'a Value);

impl ToSql for Parameter<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
        match (self.0, ty) {
            (Value::Null, _) => return Ok(IsNull::Yes),
            (Value::Int(number), &Type::INT2) => out.put_i16(i16::try_from(*number)?),
            (Value::Int(number), &Type::INT4) => out.put_i32(i32::try_from(*number)?),
            (Value::Int(number), &Type::INT8) => out.put_i64(*number),
            (Value::Int(number), &Type::FLOAT8) => out.put_f64(*number as f64),
            (Value::Real(number), &Type::FLOAT4) => out.put_f32(*number as f32),
            (Value::Real(number), &Type::FLOAT8) => out.put_f64(*number),
            (Value::Text(text), &Type::TIMESTAMPTZ | &Type::TIMESTAMP) => {
                let time = Millis::parse_sql(text).ok_or_else(|| format!("{text:?} is not a time"))?;
                out.put_i64(to_postgres_micros(time));
            }
            (
                Value::Text(text),
                &Type::TEXT | &Type::VARCHAR | &Type::BPCHAR | &Type::NAME | &Type::UNKNOWN,
            ) => {
                out.put_slice(text.as_bytes());
            }
            (Value::Blob(bytes), &Type::BYTEA) => out.put_slice(bytes),
            (Value::Text(text), &Type::UUID) => out.put_slice(&uuid(text)?),
            (Value::Text(text), &Type::JSON) => out.put_slice(text.as_bytes()),
            (Value::Int(number), &Type::BOOL) => out.put_u8(u8::from(*number != 0)),
            (value, ty) => return Err(format!("{value} is not a valid {ty}").into()),
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// The sixteen bytes of a UUID in text.
fn uuid(text: &str) -> Result<[u8; 16], BoxError> {
    let digits: String = text.chars().filter(|character| *character != '-').collect();
    let wrong = || format!("{text:?} is not a UUID");
    if digits.len() != 32 {
        return Err(wrong().into());
    }
    Ok(u128::from_str_radix(&digits, 16).map_err(|_| wrong())?.to_be_bytes())
}

/// A value of a result.
pub(super) struct Decoded(pub Value);

impl<'a> FromSql<'a> for Decoded {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Decoded, BoxError> {
        decode(ty, raw).map(Decoded)
    }

    fn from_sql_null(_: &Type) -> Result<Decoded, BoxError> {
        Ok(Decoded(Value::Null))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

fn decode(ty: &Type, raw: &[u8]) -> Result<Value, BoxError> {
    let text = |raw: &[u8]| Value::Text(String::from_utf8_lossy(raw).into_owned());
    Ok(match *ty {
        // SQLite has no other truth either.
        Type::BOOL => Value::Int(i64::from(raw.first() == Some(&1))),
        Type::INT2 => Value::Int(i16::from_be_bytes(raw.try_into()?).into()),
        Type::INT4 => Value::Int(i32::from_be_bytes(raw.try_into()?).into()),
        Type::OID => Value::Int(u32::from_be_bytes(raw.try_into()?).into()),
        Type::INT8 => Value::Int(i64::from_be_bytes(raw.try_into()?)),
        Type::FLOAT4 => Value::Real(f32::from_be_bytes(raw.try_into()?).into()),
        Type::FLOAT8 => Value::Real(f64::from_be_bytes(raw.try_into()?)),
        Type::NUMERIC => numeric(raw)?,
        Type::TIMESTAMPTZ | Type::TIMESTAMP => match i64::from_be_bytes(raw.try_into()?) {
            i64::MAX => Value::Text("infinity".to_owned()),
            i64::MIN => Value::Text("-infinity".to_owned()),
            micros => Value::Text(from_postgres_micros(micros).to_string()),
        },
        Type::DATE => {
            let days = i64::from(i32::from_be_bytes(raw.try_into()?));
            let midnight = Millis(days * 86_400_000 + POSTGRES_EPOCH_MS).to_string();
            Value::Text(midnight.split(' ').next().unwrap_or_default().to_owned())
        }
        Type::BYTEA => Value::Blob(raw.to_vec()),
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::CHAR | Type::JSON | Type::UNKNOWN => {
            text(raw)
        }
        // The first byte is the format's version.
        Type::JSONB => text(raw.get(1..).unwrap_or_default()),
        Type::UUID => {
            let hex: String = raw.iter().map(|byte| format!("{byte:02x}")).collect();
            let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
            let parts = [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)];
            Value::Text(parts.join("-"))
        }
        Type::VOID => Value::Null,
        ref other => {
            return Err(format!("a value of type {other} cannot be shown; cast it: (…)::text").into());
        }
    })
}

/// A decimal number: whole ones, as sums of counts are, stay whole.
///
/// Format: count of digits, weight of the first, sign, scale (16 bits each), then the digits of
/// base 10,000. Source: PostgreSQL, `src/backend/utils/adt/numeric.c`, `numeric_send`.
fn numeric(raw: &[u8]) -> Result<Value, BoxError> {
    let word = |index: usize| -> Result<i64, BoxError> {
        let bytes = raw.get(index * 2..index * 2 + 2).ok_or("a decimal number is cut off")?;
        Ok(i16::from_be_bytes(bytes.try_into()?).into())
    };
    let (digits, weight, sign) = (word(0)?, word(1)?, word(2)? as u16);
    let sign = match sign {
        0x0000 => 1,
        0x4000 => -1,
        0xD000 => return Ok(Value::Real(f64::INFINITY)),
        0xF000 => return Ok(Value::Real(f64::NEG_INFINITY)),
        _ => return Ok(Value::Real(f64::NAN)),
    };
    let mut whole: Option<i64> = Some(0);
    let mut real = 0.0;
    for index in 0..digits {
        let digit = word(4 + index as usize)?;
        let power = weight - index;
        real += digit as f64 * 10_000_f64.powi(power as i32);
        whole = match (whole, u32::try_from(power)) {
            (Some(sum), Ok(power)) => 10_000_i64
                .checked_pow(power)
                .and_then(|unit| unit.checked_mul(digit))
                .and_then(|part| sum.checked_add(part)),
            _ => None,
        };
    }
    Ok(whole.map_or(Value::Real(sign as f64 * real), |whole| Value::Int(sign * whole)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(words: &[i16]) -> Value {
        let raw: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        numeric(&raw).unwrap()
    }

    #[test]
    fn whole_decimals_stay_whole() {
        assert_eq!(decimal(&[0, 0, 0, 0]), Value::Int(0));
        assert_eq!(decimal(&[1, 0, 0x4000, 0, 42]), Value::Int(-42));
        assert_eq!(decimal(&[1, 1, 0, 0, 3]), Value::Int(30_000));
        assert_eq!(decimal(&[3, 2, 0, 0, 1, 2, 3]), Value::Int(100_020_003));
        assert_eq!(decimal(&[2, 0, 0, 1, 1, 5_000]), Value::Real(1.5));
        assert_eq!(decimal(&[1, -1, 0, 1, 2_500]), Value::Real(0.25));
    }

    #[test]
    fn times_go_there_and_back() {
        for ms in [0, -1, 946_684_800_000, 1_413_849_600_123] {
            assert_eq!(from_postgres_micros(to_postgres_micros(Millis(ms))), Millis(ms));
        }
    }
}
