//! Ports: sockets, the shaping between regions, faults and the meter, around the store's protocol.
//!
//! **In:** connections. **Out:** answered requests. **Never:** looks into an object.

mod body;
mod listener;
mod protocol;
mod request;
mod service;
mod shaped;
mod way;

pub(crate) use listener::{Listener, bind};
pub(crate) use protocol::{Refusal, Service};
pub(crate) use request::{Classified, query_value};
pub(crate) use service::{Port, StrictRegions};
pub use shaped::MachinePort;
pub(crate) use shaped::SharedLink;
pub use way::{ShapedWay, WayShape};
