//! The little of a certificate (RFC 5280 section 4.1) that a check reads itself: until when it is good.

use std::time::{Duration, UNIX_EPOCH};

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

const DAY: Duration = Duration::from_secs(86_400);

/// Until when a certificate in DER is good (`notAfter`), since the beginning of 1970 in UTC; `None` where that cannot
/// be read.
pub fn not_after(certificate: &[u8]) -> Option<Duration> {
    let (tag, certificate, _) = element(certificate)?;
    let (inner, to_be_signed, _) = element((tag == SEQUENCE).then_some(certificate)?)?;
    let mut rest = (inner == SEQUENCE).then_some(to_be_signed)?;
    if rest.first() == Some(&VERSION) {
        rest = element(rest)?.2;
    }
    // Serial number, signature and issuer stand before it.
    for _ in 0..3 {
        rest = element(rest)?.2;
    }
    let (tag, validity, _) = element(rest)?;
    let (_, _, rest) = element((tag == SEQUENCE).then_some(validity)?)?;
    let (tag, text, _) = element(rest)?;
    time(tag, text)
}

/// What is to be said of a certificate that is good until `end`, when it has less than so many days left; both times
/// since the beginning of 1970 in UTC.
pub fn expiry_words(end: Duration, now: Duration, days: u32) -> Option<String> {
    let at = humantime::format_rfc3339_seconds(UNIX_EPOCH + end);
    match end.checked_sub(now) {
        Some(left) if left >= DAY * days => None,
        Some(left) => Some(match left.as_secs() / DAY.as_secs() {
            0 => format!("the server's certificate expires within a day, at {at}"),
            1 => format!("the server's certificate expires in one day, at {at}"),
            left => format!("the server's certificate expires in {left} days, at {at}"),
        }),
        None => Some(format!("the server's certificate has expired at {at}")),
    }
}

/// The first element (X.690 section 8.1): its tag, what is in it, and what follows it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = bytes.split_first_chunk()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        // DER: in as few bytes as it takes; nothing longer is a certificate.
        0x81..=0x83 => {
            let (length, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
            let length = length.iter().fold(0, |n, b| n << 8 | usize::from(*b));
            (length, rest)
        }
        _ => return None,
    };
    let (inner, rest) = rest.split_at_checked(length)?;
    Some((tag, inner, rest))
}

/// `YYMMDDHHMMSSZ`, of which 50 and above are of the last century, or `YYYYMMDDHHMMSSZ` (RFC 5280 section 4.1.2.5).
fn time(tag: u8, text: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(text).ok()?;
    let digits = text.strip_suffix('Z')?;
    let digits = match tag {
        UTC_TIME if digits.len() == 12 && digits < "5" => format!("20{digits}"),
        UTC_TIME if digits.len() == 12 => format!("19{digits}"),
        GENERALIZED_TIME if digits.len() == 14 => digits.to_owned(),
        _ => return None,
    };
    let part = |from: usize, to: usize| digits.get(from..to);
    let (date, clock) = (
        [part(0, 4)?, part(4, 6)?, part(6, 8)?].join("-"),
        [part(8, 10)?, part(10, 12)?, part(12, 14)?].join(":"),
    );
    let time = humantime::parse_rfc3339(&format!("{date}T{clock}Z")).ok()?;
    time.duration_since(UNIX_EPOCH).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate without anything that is not read.
    fn certificate(tag: u8, end: &str) -> Vec<u8> {
        let wrap = |tag: u8, inner: &[u8]| {
            let length = u8::try_from(inner.len()).unwrap();
            [&[tag, 0x81, length], inner].concat()
        };
        let begin = wrap(UTC_TIME, b"200101000000Z");
        let validity = wrap(SEQUENCE, &[begin, wrap(tag, end.as_bytes())].concat());
        let version = wrap(VERSION, &[2, 1, 2]);
        let serial = vec![2, 1, 7];
        let (signature, issuer) = (wrap(SEQUENCE, &[]), wrap(SEQUENCE, &[0x31, 0]));
        let inner = [version, serial, signature, issuer, validity].concat();
        wrap(SEQUENCE, &wrap(SEQUENCE, &inner))
    }

    #[test]
    fn its_end_is_read_in_both_notations() {
        let words = |tag, end: &str| {
            let end = not_after(&certificate(tag, end))?;
            Some(humantime::format_rfc3339(UNIX_EPOCH + end).to_string())
        };
        let is = |text: &str| Some(text.to_owned());
        assert_eq!(words(UTC_TIME, "271121083000Z"), is("2027-11-21T08:30:00Z"));
        assert_eq!(words(UTC_TIME, "991231235959Z"), is("1999-12-31T23:59:59Z"));
        let end = "20500102030405Z";
        assert_eq!(words(GENERALIZED_TIME, end), is("2050-01-02T03:04:05Z"));
        for (tag, text) in [
            (UTC_TIME, "271121083000"),
            (UTC_TIME, "20271121083000Z"),
            (GENERALIZED_TIME, "20271321083000Z"),
            (4, "271121083000Z"),
        ] {
            assert_eq!(words(tag, text), None, "{text}");
        }
    }

    #[test]
    fn one_that_is_cut_off_anywhere_has_no_end() {
        let whole = certificate(UTC_TIME, "271121083000Z");
        for length in 0..whole.len() {
            assert_eq!(not_after(&whole[..length]), None, "{length}");
        }
    }

    #[test]
    fn what_is_about_to_expire_is_told_with_the_days_that_are_left() {
        let at = |text: &str| {
            let time = humantime::parse_rfc3339(text).unwrap();
            time.duration_since(UNIX_EPOCH).unwrap()
        };
        let end = at("2027-01-31T00:00:00Z");
        let said = |now: &str| expiry_words(end, at(now), 14);
        assert_eq!(said("2027-01-17T00:00:00Z"), None);
        assert_eq!(
            said("2027-01-17T00:00:01Z").as_deref(),
            Some("the server's certificate expires in 13 days, at 2027-01-31T00:00:00Z")
        );
        assert!(
            said("2027-01-30T23:00:00Z")
                .unwrap()
                .contains("within a day")
        );
        assert!(
            said("2027-02-01T00:00:00Z")
                .unwrap()
                .contains("has expired")
        );
    }
}
