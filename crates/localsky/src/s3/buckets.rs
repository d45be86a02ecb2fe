//! Bucket operations.

use super::convert::{owner, shown_time};
use crate::store::{RegionStore, Versioning};
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};
use std::sync::Arc;

/// The region whose location constraint is empty, for historical reasons (API reference, GetBucketLocation).
const CLASSIC_REGION: &str = "us-east-1";

pub(crate) async fn list(
    store: &Arc<RegionStore>,
    request: S3Request<ListBucketsInput>,
) -> S3Result<S3Response<ListBucketsOutput>> {
    let prefix = request.input.prefix.clone().unwrap_or_default();
    let buckets = store
        .buckets()
        .into_iter()
        .filter(|bucket| bucket.name.starts_with(&prefix))
        .map(|bucket| Bucket {
            name: Some(bucket.name.clone()),
            creation_date: Some(shown_time(bucket.created)),
            bucket_region: Some(store.region().name.clone()),
        })
        .collect();
    let output = ListBucketsOutput {
        buckets: Some(buckets),
        owner: Some(owner()),
        prefix: request.input.prefix,
        ..Default::default()
    };
    Ok(S3Response::new(output))
}

pub(crate) async fn create(
    store: &Arc<RegionStore>,
    request: S3Request<CreateBucketInput>,
) -> S3Result<S3Response<CreateBucketOutput>> {
    let name = request.input.bucket;
    store.create_bucket(&name, Versioning::Off)?;
    Ok(S3Response::new(CreateBucketOutput {
        location: Some(format!("/{name}")),
    }))
}

pub(crate) async fn head(
    store: &Arc<RegionStore>,
    request: S3Request<HeadBucketInput>,
) -> S3Result<S3Response<HeadBucketOutput>> {
    store.bucket(&request.input.bucket)?;
    let output = HeadBucketOutput {
        bucket_region: Some(store.region().name.clone()),
        ..Default::default()
    };
    Ok(S3Response::new(output))
}

pub(crate) async fn delete(
    store: &Arc<RegionStore>,
    request: S3Request<DeleteBucketInput>,
) -> S3Result<S3Response<DeleteBucketOutput>> {
    store.delete_bucket(&request.input.bucket)?;
    Ok(S3Response::new(DeleteBucketOutput {}))
}

pub(crate) async fn location(
    store: &Arc<RegionStore>,
    request: S3Request<GetBucketLocationInput>,
) -> S3Result<S3Response<GetBucketLocationOutput>> {
    store.bucket(&request.input.bucket)?;
    let name = &store.region().name;
    let constraint = (name != CLASSIC_REGION).then(|| BucketLocationConstraint::from(name.clone()));
    Ok(S3Response::new(GetBucketLocationOutput {
        location_constraint: constraint,
    }))
}

pub(crate) async fn versioning(
    store: &Arc<RegionStore>,
    request: S3Request<GetBucketVersioningInput>,
) -> S3Result<S3Response<GetBucketVersioningOutput>> {
    let status = match store.bucket(&request.input.bucket)?.versioning() {
        Versioning::Off => None,
        Versioning::Enabled => Some(BucketVersioningStatus::from_static(
            BucketVersioningStatus::ENABLED,
        )),
        Versioning::Suspended => Some(BucketVersioningStatus::from_static(
            BucketVersioningStatus::SUSPENDED,
        )),
    };
    Ok(S3Response::new(GetBucketVersioningOutput {
        status,
        ..Default::default()
    }))
}

pub(crate) async fn set_versioning(
    store: &Arc<RegionStore>,
    request: S3Request<PutBucketVersioningInput>,
) -> S3Result<S3Response<PutBucketVersioningOutput>> {
    let bucket = store.bucket(&request.input.bucket)?;
    let versioning = match request
        .input
        .versioning_configuration
        .status
        .as_ref()
        .map(BucketVersioningStatus::as_str)
    {
        Some("Enabled") => Versioning::Enabled,
        Some("Suspended") => Versioning::Suspended,
        _ => {
            return Err(s3_error!(
                IllegalVersioningConfigurationException,
                "The versioning configuration specified in the request is invalid."
            ));
        }
    };
    bucket.set_versioning(versioning)?;
    Ok(S3Response::new(PutBucketVersioningOutput {}))
}
