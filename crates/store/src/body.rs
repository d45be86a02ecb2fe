//! Bodies as streams of chunks.

use crate::Result;
use bytes::Bytes;
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
