//! One region's buckets.

use super::disk::{Disk, Storage};
use super::{Bucket, Digests, Versioning};
use crate::config::Protocol;
use crate::notify::Notifications;
use crate::{Error, Result};
use s3s::{S3Result, s3_error};
use skyfresh_sky::{Clock, Kind, Region, Rng};
use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

/// What all buckets of a region share.
#[derive(Debug)]
pub(crate) struct Surroundings {
    pub(crate) region: Region,
    pub(crate) protocol: Protocol,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rng: Rng,
    pub(crate) notifications: Notifications,
    pub(crate) minimum_part_bytes: u64,
    pub(crate) opaque_etags: bool,
}

/// The object store of one region.
#[derive(Debug)]
pub(crate) struct RegionStore {
    pub(crate) storage: Storage,
    pub(crate) surroundings: Arc<Surroundings>,
    buckets: RwLock<BTreeMap<String, Arc<Bucket>>>,
}

impl RegionStore {
    /// Opens a region's store: empty in memory, or what `directory` holds.
    pub(crate) fn open(
        directory: Option<PathBuf>,
        surroundings: Arc<Surroundings>,
    ) -> Result<Self> {
        let mut buckets = BTreeMap::new();
        let storage = match directory {
            None => Storage::Memory,
            Some(root) => {
                let disk = Disk::open(root, surroundings.rng.fork())?;
                let mut referenced = HashSet::new();
                for name in disk.bucket_names()? {
                    let bucket = Bucket::load(&name, &disk, surroundings.clone(), &mut referenced)?;
                    buckets.insert(name, Arc::new(bucket));
                }
                disk.remove_unreferenced(&referenced)?;
                Storage::Disk(Arc::new(disk))
            }
        };
        Ok(RegionStore {
            storage,
            surroundings,
            buckets: RwLock::new(buckets),
        })
    }

    pub(crate) fn region(&self) -> &Region {
        &self.surroundings.region
    }

    pub(crate) fn bucket(&self, name: &str) -> S3Result<Arc<Bucket>> {
        self.find(name)
            .ok_or_else(|| s3_error!(NoSuchBucket, "The specified bucket does not exist"))
    }

    pub(crate) fn find(&self, name: &str) -> Option<Arc<Bucket>> {
        self.buckets
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned()
    }

    pub(crate) fn buckets(&self) -> Vec<Arc<Bucket>> {
        self.buckets
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }

    /// Makes a bucket; one that exists is the caller's own already.
    pub(crate) fn create_bucket(&self, name: &str, versioning: Versioning) -> S3Result<()> {
        let mut buckets = self.buckets.write().unwrap_or_else(PoisonError::into_inner);
        if buckets.contains_key(name) {
            return Err(s3_error!(
                BucketAlreadyOwnedByYou,
                "Your previous request to create the named bucket succeeded and you already own it."
            ));
        }
        let disk = self.storage.disk().map(AsRef::as_ref);
        let bucket = Bucket::create(name, versioning, disk, self.surroundings.clone())?;
        buckets.insert(name.to_owned(), Arc::new(bucket));
        Ok(())
    }

    /// Makes a bucket unless it exists, for configuration and tests.
    pub(crate) fn ensure_bucket(&self, name: &str, versioned: bool) -> Result<()> {
        let fail = |kind, why: String| Error::new(kind, "create bucket", format!("{name}: {why}"));
        if !s3s::path::check_bucket_name(name) {
            return Err(fail(
                Kind::Invalid,
                "bucket names have 3 to 63 lower-case letters, digits, dots and hyphens".into(),
            ));
        }
        let versioning = if versioned {
            Versioning::Enabled
        } else {
            Versioning::Off
        };
        match self.find(name) {
            Some(bucket) if versioned => bucket
                .set_versioning(versioning)
                .map_err(|error| fail(Kind::Internal, error.to_string())),
            Some(_) => Ok(()),
            None => self
                .create_bucket(name, versioning)
                .map_err(|error| fail(Kind::Internal, error.to_string())),
        }
    }

    pub(crate) fn delete_bucket(&self, name: &str) -> S3Result<()> {
        let mut buckets = self.buckets.write().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets
            .get(name)
            .ok_or_else(|| s3_error!(NoSuchBucket, "The specified bucket does not exist"))?;
        if !bucket.is_empty() {
            return Err(s3_error!(
                BucketNotEmpty,
                "The bucket you tried to delete is not empty. You must delete all versions in the bucket."
            ));
        }
        if let Some(directory) = &bucket.directory {
            std::fs::remove_dir_all(directory).map_err(super::disk::internal)?;
        }
        buckets.remove(name);
        Ok(())
    }
}

impl RegionStore {
    /// The entity tag of an object that was written whole. An opaque one has a letter that no MD5 has, so that no client
    /// takes it for one.
    pub(crate) fn etag(&self, digests: &Digests) -> String {
        match self.surroundings.opaque_etags {
            false => hex::encode(digests.md5),
            true => format!("x{}", hex::encode(self.part_tag(digests))),
        }
    }

    /// What the entity tag of a part shows.
    pub(crate) fn part_tag(&self, digests: &Digests) -> [u8; 16] {
        if !self.surroundings.opaque_etags {
            return digests.md5;
        }
        let rng = &self.surroundings.rng;
        let (high, low) = (u128::from(rng.u64()), u128::from(rng.u64()));
        (high << 64 | low).to_be_bytes()
    }

    /// Runs a change of a bucket: at once in memory, on the blocking pool where it writes files.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        change: impl FnOnce() -> S3Result<T> + Send + 'static,
    ) -> S3Result<T> {
        match &self.storage {
            Storage::Memory => change(),
            Storage::Disk(_) => tokio::task::spawn_blocking(change)
                .await
                .map_err(super::disk::internal)?,
        }
    }
}
