//! Carries an object event, or a bulk job, to a verified receipt.
//!
//! **In:** rules, events ("this key may have changed"), listings. **Out:** verified objects at every destination, a receipt
//! for each, status. **Never:** writes to a source, believes an event about content, publishes what it has not verified,
//! reports done without a receipt, reads the environment, prints.
//!
//! One file per stage, in the order an event meets them:
//!
//! ```text
//!  notification ─┐                 ┌────────────────── one lane per (rule, destination) ───────────────────┐
//!  (webhook)     │   Submission    │          Claim           Decision / Plan             Published        │
//!  disk watch ───┼──► ledger ──────┼─► claim ───────► carry ► decide ───────► copy ──────► finish ─► ledger│─► status
//!  (inotify)     │   (durable,     │  ≤ 64 at once    (looks at  (pure)      inline: GET→PUT  receipt      │   lag,
//!  sweep ────────┘   then ack)     │  lease+token     both heads)            parts: workers   mark         │   watermark,
//!  (listings)                      │                                         pull from pool   tombstone    │   SLO, spend
//!                                  └───────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! | queue | bound | when full |
//! |---|---|---|
//! | notification body | 4 MiB, one ledger transaction | refused; the sender keeps it |
//! | pending tasks (ledger, on disk) | one row per changed key; sweeps pause above 2,000 | the sweep waits; notifications are always taken |
//! | claims under way | `lane_concurrency` (64) per lane | tasks wait in the ledger |
//! | parts in flight | `parts_in_flight` (2) × workers (≤ 16) per object, the line of `InProcess` over all; as many again for each destination that relays carry to | workers wait, the most urgent first (`copy/line.rs`) |
//! | objects copied in one request | 256 over all lanes | copies wait, the most urgent first |
//! | bytes in memory | a few socket buffers per part: GET streams into PUT | TCP pushes back on the source |
//! | changelog | 65,536 contents remembered a lane; entries are rows of the ledger, ≤ 256 KiB each | the oldest is forgotten |
//! | watched changes | 256 a batch; the kernel's queue overflowing means a sweep | sweep |

mod attempt;
mod backoff;
pub mod bulk;
mod carry;
mod changelog;
mod claim;
mod complete;
mod copy;
mod decide;
mod engine;
mod error;
mod event;
#[cfg(test)]
mod examples;
mod finish;
mod globs;
mod guard;
pub mod intake;
mod janitor;
mod lane;
mod outage;
pub mod overlay;
mod peers;
pub mod planning;
mod probe;
mod rule;
mod server_copy;
mod status;
mod stores;
mod throttle;
mod turn;
mod usage;
pub mod verify;
mod weights;

pub use backoff::{LONGEST_DELAY, retry_delay};
pub use changelog::{
    ChangelogEntry, ChangelogInput, ChangelogOperation, ChangelogSizes, MOST_INPUTS,
};
pub use copy::{Executor, InProcess, Urgency, WorkOrder};
pub use decide::{Decision, Known, Plan, Sizing, Strategy, Via, decide};
pub use engine::{Accepted, Applied, ChangelogAdded, Engine, Parts};
pub use error::{Error, Result};
pub use event::ObjectEvent;
pub use finish::Published;
pub use globs::Globs;
pub use intake::dead_letters::{DeadLetter, LETTERS_LIMIT};
pub use intake::pump::{DeadLetterPolicy, PulledChannel};
pub use intake::pump_meter::ChannelStatus;
pub use intake::sweep::SweepReport;
pub use intake::watch::Watched;
pub use lane::EngineConfig;
pub use rule::{Bandwidth, Destination, MetadataPolicy, Rule, STAMP, Scope, overlaps, region_of};
pub use status::{
    Attempted, DestinationStatus, Explanation, FailingKey, Lag, LaneState, PendingState,
    Predictions, RuleStatus, Totals, WaitOutcome,
};
pub use stores::{OpenStore, Stores};
pub use usage::Usage;
pub use weights::{Weight, Weights};
