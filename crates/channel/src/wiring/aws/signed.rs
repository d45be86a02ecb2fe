//! Requests to the services of one region, signed with an S3 side's credentials.

use crate::plumbing;
use crate::wiring::{ControlPlane, Signing};
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use skyfresh_sky::{Clock, Kind};
use skyfresh_store::s3::{AwsService, S3Config};
use skyfresh_store::{Error, Result};
use std::sync::Arc;
use std::time::Duration;

/// The signing names of the services that are asked.
const SERVICES: [&str; 4] = ["s3", "sqs", "events", "sts"];

/// Signs with the credentials of an S3 store.
#[derive(Debug)]
pub struct Signed {
    services: Vec<(&'static str, AwsService)>,
    region: String,
}

impl Signed {
    /// Of `config`, the credentials and the connect timeout are used. `https` says whether TLS will be needed.
    ///
    /// # Errors
    /// [`Kind::Invalid`]: TLS is needed and the system's root certificates cannot be read.
    pub fn new(
        config: &S3Config,
        region: &str,
        https: bool,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self> {
        let open = |service: &'static str| {
            let opened = AwsService::new(service, region, https, config, Arc::clone(clock))?;
            Ok((service, opened))
        };
        Ok(Signed {
            services: SERVICES.into_iter().map(open).collect::<Result<_>>()?,
            region: region.to_owned(),
        })
    }
}

#[async_trait]
impl ControlPlane for Signed {
    async fn send(
        &self,
        signing: &Signing,
        operation: &'static str,
        target: &str,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>> {
        let wanted = match signing {
            Signing::Aws { service, region } if *region == self.region => *service,
            _ => "",
        };
        let found = self.services.iter().find(|(service, _)| *service == wanted);
        let (_, service) = found.ok_or_else(|| {
            let why = "there is no signer for this service and region";
            Error::new(Kind::Internal, operation, target, why)
        })?;
        let limits = plumbing::limits(Duration::ZERO);
        service.send(operation, target, request, limits).await
    }
}
