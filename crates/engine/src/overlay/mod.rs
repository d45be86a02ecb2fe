//! Parts of large objects carried by relays instead of by this process, over the trees of a plan.
//!
//! **In:** a plan of `skyfresh_plan::overlay`, places to start relays, parts of a bulk job or of a rule's copies. **Out:** each part's receipt from each
//! destination's store, proved by checksum; at the end what the relays did. **Never:** decides what is copied, or publishes: that
//! stays with the job or the rule; carries a part of another version than it was asked for; loses a part because a relay died.
//!
//! ```text
//!  bulk job ─ part ─► Overlay ─ chunk ─► relays' owner ═► source relay: GET, pinned to the version
//!     ▲                                                      ═► … ═► destination relay: UploadPart
//!     └──── entity tag, checksum of each destination ◄══════════════════════┘
//! ```
//!
//! Rules that run have relays that stand by (`standing.rs`, each way in `way.rs`); each lane's workers hand them the parts that they pull
//! (`carriers.rs`), together with those of the rule's other destinations that lack the same object (`together.rs`).
//!
//! A part that relays cannot carry (they are all gone, say) goes through this process, as it would have without them.

mod attendance;
mod carriers;
mod carry;
mod edges;
mod ends;
mod expect;
mod prices;
mod shape;
mod standing;
mod together;
mod way;

pub(crate) use carriers::Carriers;
pub use carry::{Fallen, Overlay, OverlaySeams};
pub(crate) use carry::{Part, PartAsked, PartAt};
pub use edges::{StoreEdges, spec};
pub use ends::{RelayEnd, RelayEnds, RelayOrder};
pub use expect::flow_start_s;
pub use prices::HopPrices;
pub use shape::{Host, OverlayShape, shape};
pub use standing::{PlanRelays, StandingPlan, StandingRelays};
pub(crate) use way::StandingWay;
