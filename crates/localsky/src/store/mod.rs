//! One region's object store: buckets, versions, multipart uploads, in memory or below a directory.
//!
//! **In:** whole requests already authenticated and parsed (`crate::s3`, `crate::gcs`).
//! **Out:** published versions, listings, and one event per change.
//! **Never:** publishes a body that did not arrive whole and verified; evaluates a condition at any other moment than
//! under the lock that publishes.

mod bucket;
mod checksum;
mod completed;
mod condition;
mod content;
pub(crate) mod disk;
mod google;
mod ingest;
pub(crate) mod listing;
mod model;
pub(crate) mod multipart;
pub(crate) mod outcomes;
mod region;

pub(crate) use bucket::{Bucket, Lookup, NewObject, Published, State};
pub(crate) use checksum::{Algorithm, Digests, Hasher, ObjectChecksum, Scope};
pub(crate) use condition::{DeleteCondition, ReadCondition, WriteCondition};
pub(crate) use content::{Content, Segment};
pub(crate) use google::{Generation, GoogleBucket, GoogleObject, NotificationConfig};
pub(crate) use ingest::{Expected, Ingested, digest_content, ingest};
pub(crate) use listing::{ListEntry, ListRequest, VersionListRequest};
pub(crate) use model::{ObjectMeta, PartSummary, StoredObject, Version, Versioning};
pub(crate) use multipart::{NewUpload, PartClaim, StoredPart};
pub(crate) use region::{RegionStore, Surroundings};
