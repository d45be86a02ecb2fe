//! Who may talk, and what can be read: TLS 1.3 between relays with certificates that only this job has, and payloads sealed from
//! the source to the destinations, so that relays in the middle carry what they cannot read.
//!
//! Whoever starts a job makes its [`Authority`]; it never leaves that process. Each node gets an [`Identity`]; the source and
//! the destinations get the [`PayloadKey`] with their programs.

mod authority;
mod seal;
mod tls;

pub use authority::{Authority, Identity};
pub use seal::{Opened, PayloadKey, Sealer};
pub(crate) use tls::{Endpoint, Peer, Reader, Writer};

/// The name that the owner's certificate is made out to.
pub const OWNER: &str = "owner";
