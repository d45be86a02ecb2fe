//! What formats have in common: times, numbers, percent-encoding, separated fields with quotes.

use std::borrow::Cow;

const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

/// A whole number in decimal; at most 19 digits.
pub(super) fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 19 {
        return None;
    }
    text.iter().try_fold(0u64, |number, byte| {
        let digit = byte.wrapping_sub(b'0');
        (digit < 10).then(|| number * 10 + u64::from(digit))
    })
}

/// A whole number, or nothing where there is a dash or an empty text.
pub(super) fn number_or_dash(text: &[u8]) -> Option<Option<u64>> {
    match text {
        b"-" | b"" => Some(None),
        _ => number(text).map(Some),
    }
}

/// Days since 1970-01-01 of a date of the Gregorian calendar.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    const BEFORE: [u64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let before = BEFORE.get(usize::try_from(month.checked_sub(1)?).ok()?)?;
    if !(1..=31).contains(&day) || !(1970..=9999).contains(&year) {
        return None;
    }
    let leaps = |year: u64| year / 4 - year / 100 + year / 400;
    let is_leap = leaps(year) > leaps(year - 1);
    let passed = leaps(year - 1) - leaps(1969);
    Some((year - 1970) * 365 + passed + before + u64::from(is_leap && month > 2) + day - 1)
}

/// `06/Feb/2019:00:00:38 +0000`, in milliseconds since the Unix epoch.
pub(super) fn bracketed_time_ms(text: &[u8]) -> Option<u64> {
    let [
        d1,
        d2,
        b'/',
        month @ ..,
        b'/',
        y1,
        y2,
        y3,
        y4,
        b':',
        h1,
        h2,
        b':',
        m1,
        m2,
        b':',
        s1,
        s2,
        b' ',
        sign,
        z1,
        z2,
        z3,
        z4,
    ] = text
    else {
        return None;
    };
    let month = MONTHS.iter().position(|name| *name == month)? as u64 + 1;
    let two = |one: &u8, other: &u8| number(&[*one, *other]);
    let days = days(number(&[*y1, *y2, *y3, *y4])?, month, two(d1, d2)?)?;
    let seconds = days * 86_400 + two(h1, h2)? * 3600 + two(m1, m2)? * 60 + two(s1, s2)?;
    let zone = two(z1, z2)? * 3600 + two(z3, z4)? * 60;
    let seconds = match sign {
        b'+' => seconds.checked_sub(zone)?,
        b'-' => seconds + zone,
        _ => return None,
    };
    Some(seconds * 1000)
}

/// Text with `%20` and the like as the characters that they are; as it stands where that would be no UTF-8.
pub(super) fn percent_decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    let hex = |at: usize| {
        bytes
            .get(at)
            .and_then(|byte| char::from(*byte).to_digit(16))
    };
    while let Some(byte) = bytes.get(at) {
        match (byte, hex(at + 1), hex(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high * 16 + low) as u8);
                at += 3;
            }
            _ => {
                decoded.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8(decoded).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// Splits a line at `separator`, but not within double quotes; two double quotes within them are one. `None` where a quote is not
/// closed, or there are more than `most` fields.
pub(super) fn separated(line: &str, separator: u8, most: usize) -> Option<Vec<Cow<'_, str>>> {
    let bytes = line.as_bytes();
    let mut fields = Vec::new();
    let mut at = 0;
    loop {
        if fields.len() == most {
            return None;
        }
        if bytes.get(at) == Some(&b'"') {
            let (field, end) = quoted(line, at + 1)?;
            fields.push(field);
            at = end;
            match bytes.get(at) {
                None => return Some(fields),
                Some(byte) if *byte == separator => at += 1,
                Some(_) => return None,
            }
        } else {
            match memchr::memchr(separator, &bytes[at..]) {
                None => {
                    fields.push(Cow::Borrowed(&line[at..]));
                    return Some(fields);
                }
                Some(length) => {
                    fields.push(Cow::Borrowed(&line[at..at + length]));
                    at += length + 1;
                }
            }
        }
    }
}

/// The quoted text that begins at `start`, and where what follows its closing quote begins.
fn quoted(line: &str, start: usize) -> Option<(Cow<'_, str>, usize)> {
    let bytes = line.as_bytes();
    let mut doubled = false;
    let mut at = start;
    loop {
        at += memchr::memchr(b'"', &bytes[at..])?;
        if bytes.get(at + 1) != Some(&b'"') {
            break;
        }
        doubled = true;
        at += 2;
    }
    let text = &line[start..at];
    let text = match doubled {
        true => Cow::Owned(text.replace("\"\"", "\"")),
        false => Cow::Borrowed(text),
    };
    Some((text, at + 1))
}

/// Where the columns of a format stand, by a line of names.
#[derive(Clone, Debug)]
pub(super) struct Header<const COLUMNS: usize>([Option<usize>; COLUMNS]);

impl<const COLUMNS: usize> Header<COLUMNS> {
    /// By the names in `fields`; case does not matter.
    pub(super) fn new(fields: &[Cow<'_, str>], names: [&str; COLUMNS]) -> Self {
        let find = |name: &str| {
            fields
                .iter()
                .position(|field| field.trim().eq_ignore_ascii_case(name))
        };
        Header(names.map(find))
    }

    /// Whether the line that it was made of has this column.
    pub(super) fn has(&self, column: usize) -> bool {
        self.0[column].is_some()
    }

    /// The field of a column; empty where there is none.
    pub(super) fn get<'a>(&self, fields: &'a [Cow<'_, str>], column: usize) -> &'a str {
        self.0[column]
            .and_then(|at| fields.get(at))
            .map_or("", |field| field.trim())
    }

    /// The field of a column as it stands in the line; `None` where it has a doubled quote, or there is none.
    pub(super) fn borrowed<'a>(&self, fields: &[Cow<'a, str>], column: usize) -> Option<&'a str> {
        match fields.get(self.0[column]?)? {
            Cow::Borrowed(field) => Some(field.trim()),
            Cow::Owned(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skyfresh_sky::Timestamp;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (text, same) in [
            ("06/Feb/2019:00:00:38 +0000", "2019-02-06T00:00:38Z"),
            ("29/Feb/2024:23:59:59 -0130", "2024-02-29T23:59:59-01:30"),
            ("01/Mar/2000:12:00:00 +0200", "2000-03-01T12:00:00+02:00"),
            ("31/Dec/2100:00:00:00 +0000", "2100-12-31T00:00:00Z"),
            ("01/Jan/1970:00:00:00 +0000", "1970-01-01T00:00:00Z"),
        ] {
            let told = Timestamp::parse(same).unwrap().unix_ms();
            assert_eq!(bracketed_time_ms(text.as_bytes()), Some(told), "{text}");
        }
        for bad in [
            "06/Feb/2019:00:00:38",
            "06/Foo/2019:00:00:38 +0000",
            "00/Feb/2019:00:00:38 +0000",
            "06/Feb/1019:00:00:38 +0000",
            "",
        ] {
            assert_eq!(bracketed_time_ms(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn separators_within_quotes_are_text() {
        let fields = separated(r#"a,"b,c","say ""hi""",,"#, b',', 9).unwrap();
        assert_eq!(fields, ["a", "b,c", "say \"hi\"", "", ""]);
        assert_eq!(separated(r#""open,b"#, b',', 9), None);
        assert_eq!(separated(r#""a"b,c"#, b',', 9), None);
        assert_eq!(separated("a,b,c", b',', 2), None);
    }

    #[test]
    fn encoded_keys_are_decoded_where_they_are_text() {
        assert_eq!(percent_decoded("a%20b%2Fc%C3%A9"), "a b/cé");
        assert_eq!(percent_decoded("100%"), "100%");
        assert_eq!(percent_decoded("%ff"), "%ff");
        assert_eq!(percent_decoded("plain"), "plain");
    }
}
