//! Amazon S3 server access logs: fields between spaces, time in brackets, the request in quotes
//! (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/LogFormat.html>).

use super::fields::{bracketed_time_ms, number, number_or_dash, percent_decoded};
use super::{Access, Operation, Origin, Record, served};
use memchr::memchr;

/// What is left of a line.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    /// Up to the next space.
    fn word(&mut self) -> Option<&'a [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let end = memchr(b' ', self.0).unwrap_or(self.0.len());
        let word = &self.0[..end];
        self.0 = &self.0[(end + 1).min(self.0.len())..];
        Some(word)
    }

    /// A text in brackets.
    fn bracketed(&mut self) -> Option<&'a [u8]> {
        let inner = self.0.strip_prefix(b"[")?;
        let end = memchr(b']', inner)?;
        self.0 = inner.get(end + 2..)?;
        Some(&inner[..end])
    }

    /// Goes past the request. Clients may send double quotes in it, which stand as they came: it ends at the first quote after
    /// which a status follows.
    fn skip_request(&mut self) -> Option<()> {
        let Some(inner) = self.0.strip_prefix(b"\"") else {
            return self.word().map(|_| ());
        };
        let mut from = 0;
        loop {
            let end = from + memchr(b'"', &inner[from..])?;
            let ends = match &inner[end + 1..] {
                [b' ', b'-', b' ', ..] => true,
                [b' ', a, b, c, b' ', ..] => [a, b, c].iter().all(|byte| byte.is_ascii_digit()),
                _ => false,
            };
            if ends {
                self.0 = &inner[end + 2..];
                return Some(());
            }
            from = end + 1;
        }
    }
}

/// What S3 calls it; `None`: nothing that is counted. Copies are told twice, as the read of their source (`…_GET`), for which there is
/// no charge, and as the write.
fn operation(name: &[u8]) -> Option<(Operation, bool)> {
    Some(match name {
        b"REST.GET.OBJECT"
        | b"WEBSITE.GET.OBJECT"
        | b"REST.HEAD.OBJECT"
        | b"WEBSITE.HEAD.OBJECT" => (Operation::Get, false),
        b"REST.PUT.OBJECT" | b"REST.POST.OBJECT" => (Operation::Put, false),
        b"REST.COPY.OBJECT" => (Operation::Put, true),
        b"REST.PUT.PART" | b"REST.POST.UPLOADS" => (Operation::Part, false),
        b"REST.COPY.PART" => (Operation::Part, true),
        b"REST.POST.UPLOAD" => (Operation::Complete, false),
        b"REST.DELETE.OBJECT" | b"BATCH.DELETE.OBJECT" | b"S3.EXPIRE.OBJECT" => {
            (Operation::Delete, false)
        }
        _ => return None,
    })
}

pub(super) fn parse(line: &[u8]) -> Result<Record<'_>, &'static str> {
    const CUT: &str = "not as S3 writes it: it ends too early";
    let mut rest = Rest(line);
    let (_owner, bucket) = (rest.word().ok_or(CUT)?, rest.word().ok_or(CUT)?);
    let time = rest.bracketed().ok_or("no time in brackets")?;
    let address = rest.word().ok_or(CUT)?;
    let (_requester, _id) = (rest.word().ok_or(CUT)?, rest.word().ok_or(CUT)?);
    let name = rest.word().ok_or(CUT)?;
    let key = rest.word().ok_or(CUT)?;
    rest.skip_request().ok_or("the request has no end")?;
    let status = rest.word().ok_or(CUT)?;
    let _error = rest.word().ok_or(CUT)?;
    let sent = number_or_dash(rest.word().ok_or(CUT)?).ok_or("bytes sent are no number")?;
    let size = number_or_dash(rest.word().ok_or(CUT)?).ok_or("the object's size is no number")?;
    let time_ms = bracketed_time_ms(time).ok_or("the time is none")?;
    let Some((operation, by_store)) = operation(name) else {
        return Ok(Record::Other);
    };
    if key == b"-" {
        return Ok(Record::Other);
    }
    // Deletes by a lifecycle rule have no status.
    let is_served = match status {
        b"-" => operation == Operation::Delete,
        _ => served(number(status).ok_or("the status is no number")? as u16),
    };
    if !is_served {
        return Ok(Record::Failed);
    }
    let text = |bytes| std::str::from_utf8(bytes).map_err(|_| "not UTF-8");
    let bytes = match operation {
        Operation::Get => sent.unwrap_or(0),
        // What is sent back is no part of the object.
        Operation::Put | Operation::Part => size.unwrap_or(0),
        Operation::Complete | Operation::Delete => 0,
    };
    Ok(Record::Access(Access {
        time_ms,
        operation,
        bucket: text(bucket)?.into(),
        key: percent_decoded(text(key)?),
        bytes,
        object_bytes: size,
        origin: match by_store {
            true => Origin::Store,
            false => Origin::Address(text(address)?),
        },
    }))
}
