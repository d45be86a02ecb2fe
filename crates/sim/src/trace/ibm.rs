//! Traces of IBM Cloud Object Storage, as SNIA publishes them: `<ms> REST.VERB.OBJECT <id> [size] [start] [end]`.

use super::{Fault, Record, Trace, TraceOperation, number, read, shortened};
use std::io::BufRead;

const FORMAT: &str = "a line is `<ms> REST.VERB.OBJECT <id> [size] [start] [end]`";

/// Reads a trace of IBM Cloud Object Storage. Ids become keys; the range of a read is not kept.
pub fn ibm(reader: impl BufRead + Send + 'static) -> Trace {
    read(reader, parse)
}

fn parse(line: &str) -> Result<Record, Fault> {
    let mut fields = line.split_ascii_whitespace();
    let mut field = |name: &str| {
        fields.next().ok_or_else(|| Fault {
            cause: format!("has no {name}"),
            remedy: FORMAT,
        })
    };
    let time_ms = number("time", field("time")?, FORMAT)?;
    let verb = field("operation")?;
    let key = field("id")?.to_owned();
    let operation = match verb {
        "REST.PUT.OBJECT" => TraceOperation::Put,
        "REST.DELETE.OBJECT" => TraceOperation::Delete,
        "REST.GET.OBJECT" => TraceOperation::Get,
        "REST.HEAD.OBJECT" => TraceOperation::Head,
        "REST.COPY.OBJECT" => TraceOperation::Copy,
        _ if verb.starts_with("REST.") => TraceOperation::Other,
        _ => {
            return Err(Fault {
                cause: format!("operation {:?}", shortened(verb)),
                remedy: FORMAT,
            });
        }
    };
    let size = match (fields.next(), operation) {
        (Some(size), _) => number("size", size, FORMAT)?,
        // Without a size there is nothing to replicate.
        (None, TraceOperation::Put) => {
            return Err(Fault {
                cause: "a PUT without a size".into(),
                remedy: FORMAT,
            });
        }
        (None, _) => 0,
    };
    Ok(Record {
        // What does not fit is beyond the range of times, and refused as such.
        time_ms: i64::try_from(time_ms).unwrap_or(i64::MAX),
        operation,
        key,
        size,
    })
}
