//! What a request says about its body.

use crate::store::{Algorithm, Expected};
use http::HeaderMap;
use s3s::{S3Result, TrailingHeaders, s3_error};

/// Gathers what the client said about the body: length, MD5, and one checksum in a header or a trailer.
pub(crate) fn expected_body(
    headers: &HeaderMap,
    content_length: Option<i64>,
    content_md5: Option<String>,
    checksums: Vec<(Algorithm, String)>,
    trailing: Option<TrailingHeaders>,
) -> S3Result<Expected> {
    if checksums.len() > 1 {
        return Err(s3_error!(
            InvalidRequest,
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
        ));
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    // A chunked body's own length differs from its Content-Length.
    let length = text("x-amz-decoded-content-length")
        .and_then(|value| value.parse().ok())
        .or_else(|| content_length.and_then(|length| u64::try_from(length).ok()));
    let announced = text("x-amz-trailer").and_then(|names| {
        names.split(',').find_map(|name| {
            Algorithm::ALL
                .into_iter()
                .find(|algorithm| algorithm.header() == name.trim())
        })
    });
    Ok(Expected {
        length,
        content_md5,
        checksum: checksums.into_iter().next(),
        trailer: announced.zip(trailing),
        md5_unused: false,
    })
}
