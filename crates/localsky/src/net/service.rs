//! One port's handling of a request: faults, region checks, the meter, then the store's own protocol.

use super::body::{CountedBody, LentBody};
use super::protocol::{Refusal, Service};
use super::request::{bucket_name, query_value, signed_region};
use crate::faults::{Fault, Faults, RequestTraits};
use crate::meter::PortCounters;
use crate::store::RegionStore;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use s3s::{Body, HttpError};
use skyfresh_sky::{Clock, Provider, Region, Rng};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// A body up to this is read before a fault is answered, so that the client sees the answer instead of a broken pipe.
const DRAIN_LIMIT_BYTES: usize = 1024 * 1024;

/// The stores a request may be redirected to.
pub(crate) type StrictRegions = Arc<Vec<Arc<RegionStore>>>;

/// What a connection to one port is served with.
pub(crate) struct Port {
    pub(crate) region: Region,
    pub(crate) service: Service,
    pub(crate) faults: Faults,
    pub(crate) counters: Arc<PortCounters>,
    pub(crate) strict_regions: Option<StrictRegions>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rng: Rng,
}

pub(crate) type Answer = Response<CountedBody<Body>>;

impl Port {
    /// Answers a request, or fails, upon which the connection is dropped; `reset` then says whether by a TCP reset.
    pub(crate) async fn answer(
        &self,
        request: Request<Incoming>,
        reset: &AtomicBool,
    ) -> Result<Answer, HttpError> {
        let classified = self.service.classify(request.method(), request.uri());
        let head = request.method() == Method::HEAD;
        let mut replacement = self.faults.replacement();
        let hits = self.faults.draw(RequestTraits {
            region: &self.region,
            operations: classified.operations,
            path: request.uri().path(),
            method: request.method().as_str(),
            query: request.uri().query().unwrap_or_default(),
            has_object_body: classified.has_object_body,
            list_page: classified.list_page,
        });
        let (mut cut_after, mut reset_after) = (None, false);
        for fault in hits {
            match fault {
                Fault::Delay { delay_ms } => {
                    self.clock.sleep(Duration::from_millis(delay_ms)).await
                }
                Fault::Hold => {
                    // Where the faults themselves are gone, so is the sky.
                    replacement.changed().await.ok();
                }
                Fault::SlowDown => {
                    return Ok(self.refuse(request, self.service.slow_down()).await);
                }
                Fault::InternalError | Fault::ListPageFails { .. } => {
                    return Ok(self.refuse(request, self.service.internal_error()).await);
                }
                Fault::ConnectionReset => return Err(reset_connection(reset)),
                Fault::ResetAfterDone => reset_after = true,
                Fault::TruncatedBody { after_bytes } => cut_after = Some(after_bytes),
            }
        }
        if let Some(refusal) = self.misdirected(&request) {
            let answer = self.refuse(request, refusal).await;
            self.counters.count(classified.billed_as);
            return Ok(answer);
        }
        let counters = self.counters.clone();
        let expects_continue = request.headers().contains_key(http::header::EXPECT);
        let mut unread = None;
        let request = request.map(|body| {
            let (body, back) = LentBody::new(body);
            unread = Some(back);
            Body::http_body(CountedBody::new(body, counters, |counters| {
                &counters.uploaded_bytes
            }))
        });
        let mut response = self.service.call(request).await?;
        let unread =
            unread.and_then(|back| back.lock().unwrap_or_else(PoisonError::into_inner).take());
        finish_request(unread, expects_continue, &mut response).await;
        if !response.status().is_server_error() {
            self.counters.count(classified.billed_as);
        }
        if reset_after {
            return Err(reset_connection(reset));
        }
        if head
            && response.status() == StatusCode::OK
            && response.headers().contains_key(http::header::CONTENT_RANGE)
        {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
        self.stamp(&mut response);
        // A body that is to be cut must be announced in full.
        Ok(response.map(|body| {
            CountedBody::new(body, self.counters.clone(), |counters| {
                &counters.downloaded_bytes
            })
            .cut_after(cut_after)
        }))
    }

    fn stamp<B>(&self, response: &mut Response<B>) {
        if let Ok(id) = HeaderValue::from_str(&self.rng.token().to_ascii_uppercase()) {
            let name = self.service.request_id_header();
            // Some protocols have named the request themselves.
            response.headers_mut().entry(name).or_insert(id);
        }
        response.headers_mut().insert(
            http::header::SERVER,
            HeaderValue::from_static("skyfresh-localsky"),
        );
    }

    /// What AWS would say to a request that belongs to another region.
    fn misdirected(&self, request: &Request<Incoming>) -> Option<Refusal> {
        let Service::S3(_) = self.service else {
            return None;
        };
        // R2 knows one region, whatever the bucket's location hint was.
        if self.region.provider == Provider::Cloudflare {
            return None;
        }
        let stores = self.strict_regions.as_ref()?;
        let signed = signed_region(request.uri(), request.headers());
        if signed.is_some_and(|signed| signed != self.region.name) {
            return Some(Refusal::wrong_region(&self.region));
        }
        let bucket = bucket_name(request.uri())?;
        let creates = request.method() == Method::PUT
            && request.uri().path().trim_matches('/') == bucket
            && query_value(request.uri(), "versioning").is_none();
        let here = |store: &&Arc<RegionStore>| *store.region() == self.region;
        if creates || stores.iter().find(here)?.find(&bucket).is_some() {
            return None;
        }
        let elsewhere = stores.iter().find(|store| store.find(&bucket).is_some())?;
        Some(Refusal::redirect(elsewhere.region()))
    }

    async fn refuse(&self, request: Request<Incoming>, refusal: Refusal) -> Answer {
        let head = request.method() == Method::HEAD;
        let expects_continue = request.headers().contains_key(http::header::EXPECT);
        let mut response = Response::new(());
        finish_request(Some(request.into_body()), expects_continue, &mut response).await;
        *response.status_mut() = refusal.status;
        response.headers_mut().extend(refusal.headers);
        self.stamp(&mut response);
        let body = if head {
            Body::empty()
        } else {
            Body::from(refusal.body)
        };
        response.map(|()| {
            CountedBody::new(body, self.counters.clone(), |counters| {
                &counters.downloaded_bytes
            })
        })
    }
}

/// Reads what is left of a request's body, if it is little; otherwise tells the client that the connection ends here.
async fn finish_request<B>(
    unread: Option<Incoming>,
    expects_continue: bool,
    response: &mut Response<B>,
) {
    let Some(mut unread) = unread.filter(|body| !body.is_end_stream()) else {
        return;
    };
    let mut left = DRAIN_LIMIT_BYTES;
    // A client that waits for a go-ahead has not sent the body, and now will not.
    while !expects_continue && left > 0 {
        match unread.frame().await {
            None => return,
            Some(Ok(frame)) => left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len)),
            Some(Err(_)) => break,
        }
    }
    response
        .headers_mut()
        .insert(http::header::CONNECTION, HeaderValue::from_static("close"));
}

fn reset_connection(reset: &AtomicBool) -> HttpError {
    reset.store(true, Ordering::Release);
    HttpError::new("the connection was reset on purpose".into())
}
