//! Faults, as values: which there are, how a seed makes a schedule of them, and how they strike.
//!
//! **Which faults must be survived** is stated here first; the generator draws all of them, and the observer holds the system
//! to the guarantees while they strike.
//!
//! | fault | how it is made | what must hold |
//! |---|---|---|
//! | notification repeated, reordered, late | `Put`/`Delete` with several or long `tell_ms` | nothing is done that a comparison of the stores does not ask for |
//! | notification lost | empty `tell_ms` | the next sweep finds the change |
//! | process dies at any operation, before or after its effect | `Kill` | what it acknowledged is done by its successor; nothing leaks past the janitor |
//! | worker dies at any await point | `KillWorker` | its parts come back; nothing is published with a part missing |
//! | process stands still beyond its lease, then goes on | `Freeze` | fencing and conditions keep it from undoing what others did |
//! | clocks of processes differ | `Skew` | leases run out early or late; nothing else changes |
//! | request refused, denied, slow, or answered into the void | `Store` | retried; what took effect is found out, not repeated blindly |
//! | upload torn: body breaks off, stalls, arrives damaged | `Store` with `Body…` | nothing is published |
//! | source overwritten while it is read | `Store` with `Overwritten` | the copy is of one version, and the newer one follows |
//! | source deleted while it is read | `Delete` at any time, with slow requests | the same |
//! | store down, bucket gone, region partitioned | `Outage`, `BucketGone`, `Partition` | no deletes follow from it; work goes on when it is over |
//! | throttling storm | `Throttle` | work goes on |
//! | ledger call timed out, whether applied or not | `State` | nothing acknowledged is lost; no claim is believed that was not given |
//! | ledger's service down | `StateOutage` | events are not acknowledged, work stops and goes on |
//!
//! Not survived by design, and not drawn: a store that confirms a checksum of bytes it does not hold; a ledger that forgets
//! what it confirmed; damage on the way from a source that states no checksum (TLS is what guards that).

mod generate;
mod inject;
mod schedule;

pub(crate) use generate::{KEYS, PART_BYTES};
pub use generate::{generate, generate_copies};
pub(crate) use inject::{Condition, Injector};
pub use schedule::{Action, Request, Schedule, Setup, Side, StateTrouble, Step, Trouble};
