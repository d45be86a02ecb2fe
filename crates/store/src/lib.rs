//! Object stores behind one seam.
//!
//! **In:** a [`Location`](skyfresh_sky::Location), credentials, and the dozen operations of [`ObjectStore`].
//! **Out:** streams, versions, receipts; a [`Capabilities`] record that says, after probing, what this endpoint really does.
//! **Never:** decides what to copy, retries what a caller must decide again, logs a secret, follows a redirect to another
//! host with credentials, buffers a whole object.

pub mod azure;
mod body;
mod capability;
pub mod checksum;
#[cfg(feature = "conformance")]
pub mod conformance;
mod deletion;
#[cfg(unix)]
pub mod disk;
mod error;
pub mod gcs;
mod http;
mod level;
mod local;
pub mod memory;
mod metadata;
mod object_store;
mod part_sum;
mod read_url;
pub mod s3;
pub mod service;

pub use body::{ByteStream, single_chunk, whole_body};
pub use capability::{BatchDelete, Capabilities, ConditionSupport, UploadLimits, Verification};
pub use deletion::Deletion;
pub use error::{Error, Result};
pub use level::LevelPage;
pub use metadata::{Fitted, MetadataLimits, UserNames};
pub use object_store::{
    CompletedPart, CopySource, GetOptions, GetResult, ListPage, ListedObject, ListedUpload,
    ObjectHead, ObjectStore, PartReceipt, Precondition, PutOptions, PutReceipt, UploadPage,
};
pub use part_sum::PartSum;
pub use read_url::ReadUrl;
