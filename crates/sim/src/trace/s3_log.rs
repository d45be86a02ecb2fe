//! Server access logs of S3: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/LogFormat.html>.

use super::{Fault, Record, Trace, TraceOperation, number, read, shortened};
use percent_encoding::percent_decode_str;
use std::io::BufRead;

const FORMAT: &str =
    "a line is that of an S3 server access log, 13 fields up to the object's size or more";

/// Reads server access logs of S3, one file or several after each other. They state seconds, so that the events of one second
/// share a time; a request that failed is [`TraceOperation::Other`]. The bucket is not kept: filter a log of several first.
pub fn s3_access_log(reader: impl BufRead + Send + 'static) -> Trace {
    read(reader, parse)
}

/// Takes the next field: bare, `[in brackets]` or `"in quotes"`.
fn field<'a>(rest: &mut &'a str) -> Option<&'a str> {
    let text = rest.trim_start_matches(' ');
    // A user agent may hold a quote: the field ends at one that a space or the end follows.
    let closed = |close: &str| {
        let inner = &text[1..];
        match inner.find(&format!("{close} ")) {
            Some(end) => Some((&inner[..end], &inner[end + 1..])),
            None => inner.strip_suffix(close).map(|inner| (inner, "")),
        }
    };
    let (value, after) = match text.bytes().next()? {
        b'[' => closed("]")?,
        b'"' => closed("\"")?,
        _ => text.split_once(' ').unwrap_or((text, "")),
    };
    *rest = after;
    Some(value)
}

fn operation(name: &str, status: &str) -> TraceOperation {
    // What the store does by itself, such as expiry, has no status.
    if !status.starts_with('2') && status != "-" {
        return TraceOperation::Other;
    }
    match name {
        // The second completes a multipart upload; its parts are PUT.PART.
        "REST.PUT.OBJECT" | "REST.POST.OBJECT" | "REST.POST.UPLOAD" => TraceOperation::Put,
        "REST.COPY.OBJECT" => TraceOperation::Copy,
        "REST.GET.OBJECT" => TraceOperation::Get,
        "REST.HEAD.OBJECT" => TraceOperation::Head,
        "REST.DELETE.OBJECT"
        | "BATCH.DELETE.OBJECT"
        | "S3.EXPIRE.OBJECT"
        | "S3.CREATE.DELETEMARKER" => TraceOperation::Delete,
        _ => TraceOperation::Other,
    }
}

fn parse(line: &str) -> Result<Record, Fault> {
    let mut rest = line;
    let mut fields = [""; 13];
    for (index, slot) in fields.iter_mut().enumerate() {
        *slot = field(&mut rest).ok_or_else(|| Fault {
            cause: format!("ends in field {}", index + 1),
            remedy: FORMAT,
        })?;
    }
    let [_, _, time, _, _, _, name, key, _, status, _, _, size] = fields;
    let time = jiff::fmt::strtime::parse("%d/%b/%Y:%H:%M:%S %z", time)
        .and_then(|time| time.to_timestamp())
        .map_err(|_| Fault {
            cause: format!("time {:?}", shortened(time)),
            remedy: "the third field is a time like [06/Feb/2026:00:00:38 +0000]",
        })?;
    let operation = operation(name, status);
    let key = match key {
        "-" => String::new(),
        _ => percent_decode_str(key)
            .decode_utf8()
            .map_err(|_| Fault {
                cause: format!("key {:?} is not UTF-8 when decoded", shortened(key)),
                remedy: "keys are UTF-8, percent-encoded",
            })?
            .into_owned(),
    };
    let size = match size {
        "-" if operation == TraceOperation::Put => {
            return Err(Fault {
                cause: "a PUT without an object size".into(),
                remedy: FORMAT,
            });
        }
        "-" => 0,
        _ => number("object size", size, FORMAT)?,
    };
    Ok(Record {
        time_ms: time.as_millisecond(),
        operation,
        key,
        size,
    })
}
