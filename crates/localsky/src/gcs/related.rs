//! `multipart/related` bodies: an object resource, then the object's bytes, which are streamed.
//!
//! Source: <https://cloud.google.com/storage/docs/uploading-objects#uploading-an-object>, RFC 2387.

use super::error::{Failure, Result};
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};
use s3s::{Body, StdError};

/// Longest resource and longest part header.
const RESOURCE_LIMIT_BYTES: usize = 1024 * 1024;

/// A body that is read part by part.
struct Reader {
    body: Body,
    buffer: BytesMut,
    /// CR, LF, two hyphens and the boundary.
    delimiter: Vec<u8>,
}

fn bad(why: &str) -> Failure {
    Failure::new(
        http::StatusCode::BAD_REQUEST,
        "badContent",
        "InvalidArgument",
        format!("Malformed multipart body: {why}"),
    )
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

/// The boundary that a `Content-Type` names.
fn boundary(content_type: &str) -> Option<&str> {
    let parameters = content_type.split(';').skip(1);
    let value = parameters
        .filter_map(|parameter| parameter.trim().split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("boundary"))?
        .1;
    let value = value.trim().trim_matches(['"', '\'']);
    (1..=70).contains(&value.len()).then_some(value)
}

/// Splits a body into the resource, the media's own content type, and its bytes.
pub(crate) async fn split(
    body: Body,
    content_type: &str,
) -> Result<(
    Bytes,
    Option<String>,
    impl Stream<Item = Result<Bytes, StdError>> + Send,
)> {
    let boundary = boundary(content_type).ok_or_else(|| bad("no boundary"))?;
    let mut reader = Reader {
        body,
        // The first boundary may stand at the very beginning.
        buffer: BytesMut::from(&b"\r\n"[..]),
        delimiter: format!("\r\n--{boundary}").into_bytes(),
    };
    let delimiter = reader.delimiter.clone();
    reader.until(&delimiter).await?;
    reader.until(b"\r\n\r\n").await?;
    let resource = reader.until(&delimiter).await?;
    let headers = reader.until(b"\r\n\r\n").await?;
    let media_type = String::from_utf8_lossy(&headers)
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("content-type"))
        .map(|(_, value)| value.trim().to_owned());
    Ok((resource, media_type, reader.media()))
}

impl Reader {
    /// Reads on; false at the end of the body.
    async fn fill(&mut self) -> Result<bool, StdError> {
        match self.body.next().await {
            None => Ok(false),
            Some(chunk) => {
                self.buffer.extend_from_slice(&chunk?);
                Ok(true)
            }
        }
    }

    /// What stands before `end`, which is taken, too.
    async fn until(&mut self, end: &[u8]) -> Result<Bytes> {
        loop {
            if let Some(at) = find(&self.buffer, end) {
                let found = self.buffer.split_to(at).freeze();
                let _ = self.buffer.split_to(end.len());
                return Ok(found);
            }
            if self.buffer.len() > RESOURCE_LIMIT_BYTES {
                return Err(bad("a part that is not the object is too long"));
            }
            let more = self.fill().await;
            if !more.map_err(|error| bad(&error.to_string()))? {
                return Err(bad("it ends before its last part"));
            }
        }
    }

    /// The rest up to the last boundary. A body that ends before it is an error.
    fn media(self) -> impl Stream<Item = Result<Bytes, StdError>> + Send {
        futures::stream::try_unfold(Some(self), |reader| async {
            let Some(mut reader) = reader else {
                return Ok(None);
            };
            loop {
                if let Some(at) = find(&reader.buffer, &reader.delimiter) {
                    let last = reader.buffer.split_to(at).freeze();
                    // Nothing of the epilogue matters, but it has to leave the connection.
                    while reader.body.next().await.transpose()?.is_some() {}
                    return Ok(Some((last, None)));
                }
                // A delimiter may have begun at the end of what is here.
                let safe = (reader.buffer.len() + 1).saturating_sub(reader.delimiter.len());
                if safe > 0 {
                    return Ok(Some((reader.buffer.split_to(safe).freeze(), Some(reader))));
                }
                if !reader.fill().await? {
                    return Err("the multipart body ends without its last boundary".into());
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body::Frame;
    use http_body_util::StreamBody;

    /// A body that arrives in pieces of `size` bytes.
    fn pieces(text: &[u8], size: usize) -> Body {
        let chunks: Vec<Bytes> = text.chunks(size).map(Bytes::copy_from_slice).collect();
        let frames = chunks
            .into_iter()
            .map(|chunk| Ok::<_, StdError>(Frame::data(chunk)));
        Body::http_body_unsync(StreamBody::new(futures::stream::iter(frames)))
    }

    const WHOLE: &[u8] =
        b"--bo\r\nContent-Type: application/json\r\n\r\n{\"name\":\"k\"}\r\n--bo\r\n\
        content-type: a/b\r\n\r\nby\r\n--b\r\ntes\r\n--bo--\r\n";

    #[tokio::test]
    async fn however_it_arrives_the_parts_are_the_same() {
        for size in 1..WHOLE.len() {
            let body = pieces(WHOLE, size);
            let (resource, media_type, media) = split(body, "multipart/related; boundary=\"bo\"")
                .await
                .unwrap();
            assert_eq!(&resource[..], b"{\"name\":\"k\"}");
            assert_eq!(media_type.as_deref(), Some("a/b"));
            let chunks: Vec<_> = media.map(|chunk| chunk.unwrap()).collect().await;
            assert_eq!(chunks.concat(), b"by\r\n--b\r\ntes", "in pieces of {size}");
        }
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_an_error() {
        for end in [10, 60, WHOLE.len() - 7] {
            let body = pieces(&WHOLE[..end], 7);
            let failed = match split(body, "multipart/related; boundary=bo").await {
                Err(_) => true,
                Ok((_, _, media)) => {
                    let chunks: Vec<_> = media.collect().await;
                    chunks.last().is_some_and(Result::is_err)
                }
            };
            assert!(failed, "cut at {end}");
        }
    }
}
