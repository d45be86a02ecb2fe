//! A small sky on loopback: real object stores of several regions in one process, with the network between them, their
//! notifications, their faults and their prices. A region speaks S3 or Google Cloud Storage ([`Protocol`]).
//!
//! **In:** a [`SkyConfig`], a clock and a source of randomness; requests on loopback ports; knobs while it runs.
//! **Out:** what the provider would answer; notifications in its format; a bill ([`MeterSnapshot`]).
//! **Never:** listens anywhere but on 127.0.0.1, calls a cloud, publishes a body that did not arrive whole and verified.
//!
//! ```text
//! client of region A ──▶ port A→B ──▶ shaping (delay, rate) ──▶ faults ──▶ meter ─┬▶ s3s (signatures) ──▶ `s3` ──▶ `store`
//! any client         ──▶ port B   ─────────────────────────────────┘              └▶ `gcs` (tokens) ───────────────┘ │
//!                                          webhooks, or Pub/Sub topics and subscriptions ◀── `notify` ◀──────────────┘
//! ```
//!
//! Deliberately absent: TLS, access control beyond one account, encryption, lifecycle rules, object lock, replication,
//! virtual-hosted addressing. S3's signatures are checked against the machine's own clock, not the injected one (s3s reads it).

mod admin;
mod azure;
mod config;
mod error;
mod faults;
mod gcs;
mod meter;
mod net;
mod notify;
mod random;
mod s3;
mod shaping;
mod sky;
mod store;

pub use azure::AzureConfig;
pub use config::{BucketConfig, Protocol, RegionConfig, S3_MINIMUM_PART_BYTES, Secret, SkyConfig};
pub use error::{Error, Result};
pub use faults::{Fault, FaultRule, Faults, OperationClass};
pub use gcs::{GoogleConfig, REWRITE_BYTES_PER_CALL};
pub use meter::{MeterSnapshot, RequestClass, RequestCounts, Traffic};
pub use net::{MachinePort, ShapedWay, WayShape};
pub use notify::{
    EventFormat, EventGridFilter, NotificationCounts, NotificationSettings, Notifications,
    WebhookTarget,
};
pub use random::{DelayDistribution, StragglerDistribution};
pub use shaping::{Bandwidth, LinkShape, ShapingProfile};
pub use sky::{Endpoint, LocalSky};
