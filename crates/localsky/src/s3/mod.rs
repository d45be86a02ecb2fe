//! The S3 operations on a region's store: from parsed requests to answers.
//!
//! **In:** requests that s3s has parsed and whose signatures it has verified.
//! **Out:** what S3 would answer, by the Amazon S3 API reference.
//! **Never:** decides a condition itself; that is the store's, under its lock.

mod body;
mod buckets;
mod convert;
mod copy;
mod list;
mod objects;
mod tags;
mod uploads;

pub(crate) use list::ContinuationToken;

use crate::store::RegionStore;
use s3s::dto::*;
use s3s::{S3, S3Request, S3Response, S3Result};
use std::sync::Arc;

/// One region's store as an S3 service.
#[derive(Clone, Debug)]
pub(crate) struct Frontend {
    pub(crate) store: Arc<RegionStore>,
}

/// Hands each operation to the function that does it, and wraps what it returns.
macro_rules! operations {
    ($($name:ident($input:ty) -> $output:ty => $function:path;)*) => {
        #[async_trait::async_trait]
        impl S3 for Frontend {
            $(async fn $name(&self, request: S3Request<$input>) -> S3Result<S3Response<$output>> {
                $function(&self.store, request).await
            })*
        }
    };
}

operations! {
    list_buckets(ListBucketsInput) -> ListBucketsOutput => buckets::list;
    create_bucket(CreateBucketInput) -> CreateBucketOutput => buckets::create;
    head_bucket(HeadBucketInput) -> HeadBucketOutput => buckets::head;
    delete_bucket(DeleteBucketInput) -> DeleteBucketOutput => buckets::delete;
    get_bucket_location(GetBucketLocationInput) -> GetBucketLocationOutput => buckets::location;
    get_bucket_versioning(GetBucketVersioningInput) -> GetBucketVersioningOutput => buckets::versioning;
    put_bucket_versioning(PutBucketVersioningInput) -> PutBucketVersioningOutput => buckets::set_versioning;

    put_object(PutObjectInput) -> PutObjectOutput => objects::put;
    get_object(GetObjectInput) -> GetObjectOutput => objects::get;
    head_object(HeadObjectInput) -> HeadObjectOutput => objects::head;
    get_object_attributes(GetObjectAttributesInput) -> GetObjectAttributesOutput => objects::attributes;
    delete_object(DeleteObjectInput) -> DeleteObjectOutput => objects::delete;
    delete_objects(DeleteObjectsInput) -> DeleteObjectsOutput => objects::delete_many;
    copy_object(CopyObjectInput) -> CopyObjectOutput => copy::object;

    get_object_tagging(GetObjectTaggingInput) -> GetObjectTaggingOutput => tags::get;
    put_object_tagging(PutObjectTaggingInput) -> PutObjectTaggingOutput => tags::put;
    delete_object_tagging(DeleteObjectTaggingInput) -> DeleteObjectTaggingOutput => tags::delete;

    list_objects(ListObjectsInput) -> ListObjectsOutput => list::objects;
    list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output => list::objects_v2;
    list_object_versions(ListObjectVersionsInput) -> ListObjectVersionsOutput => list::versions;

    create_multipart_upload(CreateMultipartUploadInput) -> CreateMultipartUploadOutput => uploads::create;
    upload_part(UploadPartInput) -> UploadPartOutput => uploads::part;
    upload_part_copy(UploadPartCopyInput) -> UploadPartCopyOutput => copy::part;
    complete_multipart_upload(CompleteMultipartUploadInput) -> CompleteMultipartUploadOutput => uploads::complete;
    abort_multipart_upload(AbortMultipartUploadInput) -> AbortMultipartUploadOutput => uploads::abort;
    list_parts(ListPartsInput) -> ListPartsOutput => uploads::list_parts;
    list_multipart_uploads(ListMultipartUploadsInput) -> ListMultipartUploadsOutput => uploads::list;
}
