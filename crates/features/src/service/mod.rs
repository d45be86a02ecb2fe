//! Feature views, kept up to date and served.
//!
//! **In:** a configuration of views, data pushed for their keys, queries, errors of predictions. **Out:** features over HTTP, in the
//! shapes of Feast's feature server. **Never:** acknowledges data or feedback that a crash could lose; serves a feature past its
//! time to live; replaces a feature by an older one.
//!
//! ```text
//! push ──► Store (one commit, one flush) ──► queue of the key ──► Scheduler ──► Function ──► Store: feature, state and the
//!                                                    ▲                               removal of what was used, in one commit
//! query ──► Cache (or Store) ──► answer          feedback ──► Store ─┘
//! ```
//!
//! Queries are answered from rows in memory and wait for no worker. Keys are in shards, by a hash ([`shard_of`]); each shard of a view has
//! a scheduler and a worker of its own, and other processes may have other shards. Everything durable is in one file ([`Store`]); queues and priorities are made from it at the start.

mod answer;
mod asof;
mod budget;
mod cache;
mod codec;
#[cfg(feature = "parquet")]
mod columnar;
mod config;
mod encode;
mod feast;
mod history;
mod http;
mod id;
#[cfg(feature = "kafka")]
mod kafka;
mod kind;
mod listen;
mod metrics;
mod online;
mod peers;
mod plan;
mod read;
#[cfg(feature = "redis")]
mod redis;
mod refused;
mod replay;
mod request;
mod shard;
mod sharding;
mod source;
mod spread;
mod store;
mod table;
mod view;
mod views;

#[cfg(test)]
mod listen_tests;
#[cfg(test)]
mod online_tests;
#[cfg(test)]
mod peer_tests;
#[cfg(all(test, feature = "redis"))]
mod redis_tests;
#[cfg(test)]
mod sharded_tests;
#[cfg(test)]
mod source_tests;
#[cfg(test)]
mod tests;

pub use asof::{AsOf, TrainingSet, training_set};
#[cfg(feature = "parquet")]
pub use columnar::write_rows;
pub use config::{FeatureService, FeaturesConfig, HistoryFormat, StoreAddress, ViewSpec};
pub use history::{Written, read_history};
pub use http::router;
pub use id::FeatureId;
pub use kind::{FeatureType, Scalar};
pub use listen::serve;
pub use sharding::{Sharding, shard_of};
pub use source::{ClientOptions, FileSource, KafkaSource, MessageFormat, Source};
pub use store::{Row, Store};
pub use view::ViewStatus;
pub use views::Service;
