//! Ports: sockets, the shaping between regions, faults and the meter, around the S3 service.
//!
//! **In:** connections. **Out:** answered requests. **Never:** looks into an object.

mod body;
mod listener;
mod request;
mod service;
mod shaped;

pub(crate) use listener::{Listener, bind};
pub(crate) use service::{Port, StrictRegions};
pub(crate) use shaped::SharedLink;
