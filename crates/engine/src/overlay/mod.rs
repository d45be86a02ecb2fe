//! Parts of large objects carried by relays instead of by this process, over the trees of a plan.
//!
//! **In:** a plan of `skyfresh_plan::overlay`, places to start relays, parts of a bulk job. **Out:** each part's receipt from each
//! destination's store, proved by checksum; at the end what the relays did. **Never:** decides what is copied, or publishes: that
//! stays with the bulk job; carries a part of another version than it was asked for; loses a part because a relay died.
//!
//! ```text
//!  bulk job ─ part ─► Overlay ─ chunk ─► relays' owner ═► source relay: GET, pinned to the version
//!     ▲                                                      ═► … ═► destination relay: UploadPart
//!     └──── entity tag, checksum of each destination ◄══════════════════════┘
//! ```
//!
//! A part that relays cannot carry (they are all gone, say) goes through this process, as it would have without them.

mod carry;
mod edges;
mod expect;
mod shape;

pub use carry::{Fallen, Overlay, OverlaySeams};
pub(crate) use carry::{PartAsked, PartAt};
pub use edges::{StoreEdges, spec};
pub use expect::flow_start_s;
pub use shape::{Host, OverlayShape, shape};
