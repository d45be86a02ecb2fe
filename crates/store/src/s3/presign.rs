//! URLs that carry their signature, for whoever is to read one object without credentials.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html>

use super::S3Store;
use super::endpoint::encode_query;
use super::sigv4::Presigned;
use crate::{Error, ReadUrl, Result};
use http::Uri;
use skyfresh_sky::{Kind, ObjectVersion};
use std::time::Duration;

/// How long such a URL is good: the longest that a service reads one part of an object.
const LIFE: Duration = Duration::from_secs(3600);

impl S3Store {
    /// Where one version can be read.
    pub(super) async fn sign_read(
        &self,
        full_key: &str,
        version: &ObjectVersion,
    ) -> Result<ReadUrl> {
        let operation = "sign";
        let fail = |kind, why: &str| self.failed(kind, operation, full_key, why);
        let route = self.route();
        let query = version
            .version_id
            .as_deref()
            .map_or_else(String::new, |id| format!("versionId={}", encode_query(id)));
        let url = route.endpoint.url(Some(full_key), "");
        let uri: Uri = url
            .parse()
            .map_err(|_| fail(Kind::Invalid, "the object's URL cannot be formed"))?;
        let presigned = Presigned {
            host: uri.authority().map_or("", |it| it.as_str()),
            path: uri.path(),
            query: &query,
            life: LIFE,
        };
        let signed = self.signer.presign(&route.scope, presigned).await;
        let signed = signed.map_err(|unsigned| {
            let error = Error::new(
                unsigned.kind,
                operation,
                self.target(Some(full_key)),
                unsigned.context,
            );
            match unsigned.source {
                Some(source) => error.with_source(source),
                None => error,
            }
        })?;
        Ok(ReadUrl::new(format!("{url}?{signed}")))
    }
}
