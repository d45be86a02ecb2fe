//! Response bodies: counted streams, and small ones collected under a limit.

use crate::{ByteStream, Error, Result};
use bytes::{Bytes, BytesMut};
use futures::stream::{self, StreamExt};
use http_body::Body;
use hyper::body::Incoming;
use skyfresh_sky::{Clock, Kind, timeout};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// The next bytes of a body; `None` at its end.
async fn next(
    body: &mut Incoming,
    clock: &dyn Clock,
    stall: Duration,
) -> std::result::Result<Option<Bytes>, String> {
    loop {
        let frame = timeout(
            clock,
            stall,
            poll_fn(|context| Pin::new(&mut *body).poll_frame(context)),
        )
        .await;
        match frame {
            None => return Err(format!("no byte came for {} s", stall.as_secs_f32())),
            Some(None) => return Ok(None),
            Some(Some(Err(error))) => return Err(describe(&error)),
            Some(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data()
                    && !data.is_empty()
                {
                    return Ok(Some(data));
                }
            }
        }
    }
}

/// An error with its causes, on one line.
pub(crate) fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// A response body as a stream of exactly `expected` bytes: fewer end it with [`Kind::RetryAfter`], more with
/// [`Kind::Corrupt`].
pub(crate) fn counted(
    body: Incoming,
    expected: u64,
    clock: Arc<dyn Clock>,
    stall: Duration,
    operation: &'static str,
    target: String,
) -> ByteStream {
    let error = move |kind, context: String, target: &String| {
        Error::new(kind, operation, target.clone(), context)
    };
    stream::unfold(Some((body, 0u64, target)), move |state| {
        let clock = clock.clone();
        async move {
            let (mut body, seen, target) = state?;
            match next(&mut body, &*clock, stall).await {
                Ok(Some(bytes)) => {
                    let seen = seen + bytes.len() as u64;
                    if seen > expected {
                        let context =
                            format!("the store sent more than the {expected} bytes it announced");
                        return Some((Err(error(Kind::Corrupt, context, &target)), None));
                    }
                    Some((Ok(bytes), Some((body, seen, target))))
                }
                Ok(None) if seen == expected => None,
                Ok(None) => {
                    let context = format!("the body ended after {seen} of {expected} bytes");
                    Some((Err(error(Kind::RetryAfter, context, &target)), None))
                }
                Err(why) => {
                    let context =
                        format!("the body broke off after {seen} of {expected} bytes: {why}");
                    Some((Err(error(Kind::RetryAfter, context, &target)), None))
                }
            }
        }
    })
    .boxed()
}

/// A whole body in memory.
///
/// # Errors
/// [`Kind::Invalid`] beyond `limit` bytes; [`Kind::RetryAfter`] where it breaks off.
pub(crate) async fn collect(
    mut body: Incoming,
    limit: usize,
    clock: &dyn Clock,
    stall: Duration,
    operation: &'static str,
    target: &str,
) -> Result<Bytes> {
    let failed = |kind, context| Error::new(kind, operation, target, context);
    let broken = |why| failed(Kind::RetryAfter, format!("the answer broke off: {why}"));
    let Some(first) = next(&mut body, clock, stall).await.map_err(broken)? else {
        return Ok(Bytes::new());
    };
    let mut whole = BytesMut::new();
    let mut latest = first;
    loop {
        if whole.len() + latest.len() > limit {
            return Err(failed(
                Kind::Invalid,
                format!("the store's answer is longer than {limit} bytes"),
            ));
        }
        let Some(following) = next(&mut body, clock, stall).await.map_err(broken)? else {
            if whole.is_empty() {
                return Ok(latest);
            }
            whole.extend_from_slice(&latest);
            return Ok(whole.freeze());
        };
        whole.extend_from_slice(&latest);
        latest = following;
    }
}
