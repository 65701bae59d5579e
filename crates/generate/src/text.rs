//! Numbers, codes and times as bytes, without going through `fmt`.

pub(crate) const MINUTE_MS: i64 = 60_000;
pub(crate) const HOUR_MS: i64 = 60 * MINUTE_MS;
pub(crate) const DAY_MS: i64 = 24 * HOUR_MS;

const HEX: &[u8; 16] = b"0123456789abcdef";
const PAIRS: &[u8; 200] = b"0001020304050607080910111213141516171819\
2021222324252627282930313233343536373839\
4041424344454647484950515253545556575859\
6061626364656667686970717273747576777879\
8081828384858687888990919293949596979899";

/// Appends `value` in decimal.
pub(crate) fn push_u64(out: &mut Vec<u8>, value: u64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    let mut rest = value;
    while rest >= 100 {
        at -= 2;
        digits[at..at + 2].copy_from_slice(&pair((rest % 100) as u32));
        rest /= 100;
    }
    if rest >= 10 {
        at -= 2;
        digits[at..at + 2].copy_from_slice(&pair(rest as u32));
    } else {
        at -= 1;
        digits[at] = b'0' + rest as u8;
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends `value` in decimal.
pub(crate) fn push_i32(out: &mut Vec<u8>, value: i32) {
    if value < 0 {
        out.push(b'-');
    }
    push_u64(out, u64::from(value.unsigned_abs()));
}

/// `code` as eight hexadecimal digits.
pub(crate) fn hex8(code: u32) -> [u8; 8] {
    std::array::from_fn(|place| HEX[(code >> (28 - 4 * place) & 0xf) as usize])
}

/// Appends `time_ms` as `YYYY-MM-DDTHH:MM:SS.mmmZ`.
pub(crate) fn push_iso(out: &mut Vec<u8>, time_ms: i64) {
    let (year, month, day) = civil(time_ms.div_euclid(DAY_MS));
    let in_day = time_ms.rem_euclid(DAY_MS) as u32;
    let (seconds, millis) = (in_day / 1_000, in_day % 1_000);
    let mut text = *b"0000-00-00T00:00:00.000Z";
    text[0..2].copy_from_slice(&pair(year / 100));
    text[2..4].copy_from_slice(&pair(year % 100));
    text[5..7].copy_from_slice(&pair(month));
    text[8..10].copy_from_slice(&pair(day));
    text[11..13].copy_from_slice(&pair(seconds / 3_600));
    text[14..16].copy_from_slice(&pair(seconds / 60 % 60));
    text[17..19].copy_from_slice(&pair(seconds % 60));
    text[20] = b'0' + (millis / 100) as u8;
    text[21..23].copy_from_slice(&pair(millis % 100));
    out.extend_from_slice(&text);
}

/// Appends `time_ms` as Avazu's `YYMMDDHH`.
pub(crate) fn push_avazu_hour(out: &mut Vec<u8>, time_ms: i64) {
    let (year, month, day) = civil(time_ms.div_euclid(DAY_MS));
    let hour = (time_ms.rem_euclid(DAY_MS) / HOUR_MS) as u32;
    for number in [year % 100, month, day, hour] {
        out.extend_from_slice(&pair(number));
    }
}

/// Year, month and day of a day counted from 1970-01-01, in the proleptic Gregorian calendar
/// (Hinnant, "chrono-compatible low-level date algorithms", `civil_from_days`).
fn civil(days: i64) -> (u32, u32, u32) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year as u32, month as u32, day as u32)
}

/// The two digits of a number below 100.
fn pair(number: u32) -> [u8; 2] {
    let at = number as usize % 100 * 2;
    [PAIRS[at], PAIRS[at + 1]]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_are_those_of_fmt() {
        for value in [0, 9, 10, 99, 100, 101, 12_345, u64::MAX - 1, u64::MAX] {
            assert_eq!(text(|out| push_u64(out, value)), value.to_string());
        }
        for value in [-1, 0, 7, i32::MIN, i32::MAX] {
            assert_eq!(text(|out| push_i32(out, value)), value.to_string());
        }
        assert_eq!(&hex8(0x0a9f_214a), b"0a9f214a");
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        for (time_ms, iso, hour) in [
            (946_684_800_000, "2000-01-01T00:00:00.000Z", "00010100"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z", "00022900"),
            (1_413_849_600_000, "2014-10-21T00:00:00.000Z", "14102100"),
            (1_795_179_907_123, "2026-11-20T13:05:07.123Z", "26112013"),
            (4_102_444_799_999, "2099-12-31T23:59:59.999Z", "99123123"),
        ] {
            assert_eq!(text(|out| push_iso(out, time_ms)), iso);
            assert_eq!(text(|out| push_avazu_hour(out, time_ms)), hour);
        }
    }
}
