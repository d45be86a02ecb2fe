//! HTTP/1.1 for the stores that speak it: one tuned client, bodies that count themselves, and a limit on concurrency.
//!
//! **In:** signed requests, bodies of known length.
//! **Out:** response heads and bodies as streams that end early only with an error.
//! **Never:** follows a redirect, turns TLS verification off, retries, buffers a body, waits without a limit.

mod body;
mod client;
mod extent;
mod framing;
mod headers;
mod limiter;
mod response;

pub(crate) use crate::checksum::{Sums, Wanted};
pub(crate) use body::{BodyEnd, RequestBody, UploadBody, Watch};
pub(crate) use client::HttpClient;
pub(crate) use extent::{Extent, content_length};
pub(crate) use framing::{ChunkedFraming, TrailerChecksum};
pub(crate) use headers::{decode_word, encode_word, http_date, lossy, quote, set, text, unquote};
pub(crate) use limiter::{ConcurrencyLimiter, Permit};
pub(crate) use response::{collect, counted, describe};
