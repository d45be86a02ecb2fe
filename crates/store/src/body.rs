//! Bodies as streams of chunks.

use crate::Result;
use bytes::{Bytes, BytesMut};
use futures::stream::{self, BoxStream, StreamExt};

/// A body: chunks in order, or an error in the middle. Dropping it closes the connection under it.
pub type ByteStream = BoxStream<'static, Result<Bytes>>;

/// A body that is already in memory.
pub fn single_chunk(bytes: impl Into<Bytes>) -> ByteStream {
    let bytes = bytes.into();
    if bytes.is_empty() {
        stream::empty().boxed()
    } else {
        stream::once(async move { Ok(bytes) }).boxed()
    }
}

/// A body of exactly `size` bytes in memory. The outer error is the stream's own, the inner one a wrong length.
pub async fn whole_body(mut body: ByteStream, size: u64) -> Result<Result<Bytes, String>> {
    let mut first: Option<Bytes> = None;
    let mut whole = BytesMut::new();
    let mut seen = 0;
    while let Some(chunk) = body.next().await {
        let chunk = chunk?;
        seen += chunk.len() as u64;
        if seen > size {
            return Ok(Err(format!(
                "the body should have {size} bytes but has more"
            )));
        }
        match &first {
            None if seen == size => first = Some(chunk),
            _ => whole.extend_from_slice(&chunk),
        }
    }
    if seen < size {
        return Ok(Err(format!(
            "the body should have {size} bytes but has {seen} only"
        )));
    }
    match first {
        Some(only) if whole.is_empty() => Ok(Ok(only)),
        Some(last) => {
            whole.extend_from_slice(&last);
            Ok(Ok(whole.freeze()))
        }
        None => Ok(Ok(whole.freeze())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_collected_body_is_whole_and_of_the_right_length() {
        let chunks = |parts: &'static [&'static str]| {
            futures::stream::iter(parts.iter().map(|part| Ok(Bytes::from(*part)))).boxed()
        };
        for (parts, size, expected) in [
            (&["abc"][..], 3, Some("abc")),
            (&["a", "", "bc"], 3, Some("abc")),
            (&["abc", ""], 3, Some("abc")),
            (&[], 0, Some("")),
            (&["abc"], 2, None),
            (&["ab", "c"], 2, None),
            (&["ab"], 3, None),
        ] {
            let body = whole_body(chunks(parts), size).await.unwrap();
            assert_eq!(body.ok(), expected.map(Bytes::from), "{parts:?} as {size}");
        }
    }
}
