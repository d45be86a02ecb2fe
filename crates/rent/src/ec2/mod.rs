//! Machines of AWS, over EC2's Query API.
//!
//! Four operations of the several hundred that AWS's own library for EC2 brings are needed here, so that a signed form and a few
//! elements of XML take its place: it alone would double the time that this whole workspace takes to build.

mod answer;
mod query;

use crate::{Cloud, Machine, Offer, Tags};
use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use query::Form;
use skyfresh_relay::{Error, Result};
use skyfresh_sky::{Clock, Kind, Provider, Region};
use skyfresh_store::s3::{AwsService, S3Config};
use skyfresh_store::service::Limits;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const LIMITS: Limits = Limits {
    wait: Duration::from_secs(30),
    // A thousand machines of a few KB.
    answer_bytes: 16 << 20,
};
/// Pages that are read of one region.
const MOST_PAGES: usize = 100;

/// EC2 in some regions.
pub struct Ec2 {
    regions: BTreeMap<Region, (String, AwsService)>,
}

impl Ec2 {
    /// `endpoint`: where all regions answer, as test servers do; without one, each at its own address. Of `config`, the credentials
    /// and the connect timeout are used.
    ///
    /// # Errors
    /// `Invalid`: a region that is not of AWS, or the system's root certificates cannot be read.
    pub fn new(
        regions: impl IntoIterator<Item = Region>,
        endpoint: Option<&str>,
        config: &S3Config,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self> {
        let mut opened = BTreeMap::new();
        for region in regions {
            if region.provider != Provider::Aws {
                let why = format!("{region} is no region of AWS");
                return Err(Error::new(Kind::Invalid, "open EC2", why));
            }
            let address = match endpoint {
                Some(endpoint) => endpoint.trim_end_matches('/').to_owned(),
                None => endpoint_of(&region.name),
            };
            let https = address.starts_with("https://");
            let clock = Arc::clone(clock);
            let service = AwsService::new("ec2", &region.name, https, config, clock)
                .map_err(|error| Error::new(error.kind, "open EC2", error.to_string()))?;
            opened.insert(region, (address, service));
        }
        Ok(Ec2 { regions: opened })
    }

    /// Sends a form. The outer error: no answer. The inner: a refusal, with its code.
    async fn ask(
        &self,
        operation: &'static str,
        region: &Region,
        form: &Form,
    ) -> Result<Result<Bytes, (String, Error)>> {
        let (address, service) = self.regions.get(region).ok_or_else(|| {
            Error::new(Kind::Invalid, operation, format!("{region} was not opened"))
        })?;
        let on = region.to_string();
        let wrong = |error: http::Error| {
            let why = format!("{address} is no address: {error}");
            Error::new(Kind::Invalid, operation, why)
        };
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded; charset=utf-8");
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{address}/"))
            .header(header::CONTENT_TYPE, kind)
            .body(Bytes::from(query::encode(form)))
            .map_err(wrong)?;
        let sent = service.send(operation, &on, request, LIMITS).await;
        let answer = sent.map_err(|error| {
            Error::new(error.kind, operation, format!("{on}: {error}")).with_source(error)
        })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(Ok(answer.into_body()));
        }
        Ok(Err(answer::refusal(
            operation,
            &on,
            status.as_u16(),
            answer.body(),
        )))
    }
}

/// The service's address (<https://docs.aws.amazon.com/general/latest/gr/ec2-service.html>). China is its own partition.
fn endpoint_of(region: &str) -> String {
    let domain = match region.starts_with("cn-") {
        true => "amazonaws.com.cn",
        false => "amazonaws.com",
    };
    format!("https://ec2.{region}.{domain}")
}

#[async_trait]
impl Cloud for Ec2 {
    async fn launch(
        &self,
        offer: &Offer,
        tags: &Tags,
        token: &str,
        user_data: &str,
    ) -> Result<Machine> {
        let operation = "rent machine";
        let form = query::run(offer, tags, token, user_data);
        match self.ask(operation, &offer.region, &form).await? {
            Ok(body) => answer::launched(operation, &body, &offer.region),
            Err((_, refused)) => Err(refused),
        }
    }

    async fn find(&self, region: &Region) -> Result<Vec<Machine>> {
        let operation = "find machines";
        let mut all = Vec::new();
        let mut next: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let form = query::find(next.as_deref());
            let body = self.ask(operation, region, &form).await?;
            let body = body.map_err(|(_, refused)| refused)?;
            let (machines, following) = answer::described(operation, &body, region)?;
            all.extend(machines);
            match following {
                None => return Ok(all),
                // The same page for ever is no answer.
                Some(same) if next.as_ref() == Some(&same) => break,
                more => next = more,
            }
        }
        let why = format!("{region}: its list of machines does not end");
        Err(Error::new(Kind::RetryAfter, operation, why))
    }

    async fn look(&self, region: &Region, id: &str) -> Result<Option<Machine>> {
        let operation = "look at machine";
        match self.ask(operation, region, &query::look(id)).await? {
            Ok(body) => Ok(answer::described(operation, &body, region)?.0.pop()),
            // A new machine is not known everywhere at once (EC2 user guide, "eventual consistency").
            Err((code, _)) if code == "InvalidInstanceID.NotFound" => Ok(None),
            Err((_, refused)) => Err(refused),
        }
    }

    async fn terminate(&self, region: &Region, id: &str) -> Result<()> {
        match self
            .ask("give machine back", region, &query::terminate(id))
            .await?
        {
            Ok(_) => Ok(()),
            Err((code, refused)) if code == "InvalidInstanceID.NotFound" => Err(Error {
                kind: Kind::Missing,
                ..refused
            }),
            Err((_, refused)) => Err(refused),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_partition_has_its_domain() {
        assert_eq!(
            endpoint_of("eu-west-1"),
            "https://ec2.eu-west-1.amazonaws.com"
        );
        assert_eq!(
            endpoint_of("cn-north-1"),
            "https://ec2.cn-north-1.amazonaws.com.cn"
        );
    }
}
