//! One operation on its way: let through by the fault hook, decided under the lock, its bodies moved without it.

use super::bucket::{Bucket, Moment, Object, ResolvedSource};
use super::fault::{Place, faulty};
use super::payload::Payload;
use super::{BucketStyle, Fault, MemoryStore, Operation, OperationKind};
use crate::checksum::tee;
use crate::local::{Refusal, check_range};
use crate::{ByteStream, CopySource, Error, Result};
use bytes::Bytes;
use futures::StreamExt;
use skyfresh_sky::{Kind, ObjectKey};
use std::ops::Range;
use std::sync::Arc;

/// An operation that the fault hook has let through.
pub(super) struct Call<'a> {
    store: &'a MemoryStore,
    kind: OperationKind,
    full_key: String,
    fault: Option<Fault>,
}

/// What an operation is about.
#[derive(Default)]
pub(super) struct Details<'a> {
    pub(super) key: Option<&'a ObjectKey>,
    pub(super) upload: Option<&'a str>,
    pub(super) part_number: Option<u32>,
    pub(super) range: Option<Range<u64>>,
}

impl<'a> Details<'a> {
    pub(super) fn key(key: &'a ObjectKey) -> Self {
        Details {
            key: Some(key),
            ..Details::default()
        }
    }

    pub(super) fn upload(key: &'a ObjectKey, upload: &'a str) -> Self {
        Details {
            key: Some(key),
            upload: Some(upload),
            ..Details::default()
        }
    }
}

impl MemoryStore {
    pub(super) async fn begin(
        &self,
        kind: OperationKind,
        details: Details<'_>,
    ) -> Result<Call<'_>> {
        let full_key = details.key.map(|key| self.location.full_key(key));
        let (hook, sequence) = {
            let mut state = self.sky.lock();
            state.operations += 1;
            (state.fault.clone(), state.operations - 1)
        };
        let operation = Operation {
            kind,
            bucket: &self.location.bucket,
            full_key: full_key.as_deref(),
            upload: details.upload,
            part_number: details.part_number,
            range: details.range,
            sequence,
        };
        let fault = match hook.and_then(|hook| hook(&operation)) {
            Some(Fault::Refuse(error)) => return Err(error),
            Some(Fault::Delay(delay)) => {
                self.sky.clock.sleep(delay).await;
                None
            }
            other => other,
        };
        Ok(Call {
            store: self,
            kind,
            full_key: full_key.unwrap_or_default(),
            fault,
        })
    }
}

impl Call<'_> {
    /// Runs `work` under the lock; the answer is lost where the hook said so.
    pub(super) fn run<T>(
        self,
        work: impl FnOnce(&mut Bucket, &str, Moment) -> Result<T, Refusal>,
    ) -> Result<T> {
        let result = self.attempt(work);
        match self.fault {
            Some(Fault::LoseAnswer(error)) => Err(error),
            _ => result,
        }
    }

    /// Runs `work` under the lock.
    pub(super) fn attempt<T>(
        &self,
        work: impl FnOnce(&mut Bucket, &str, Moment) -> Result<T, Refusal>,
    ) -> Result<T> {
        self.store
            .sky
            .with_bucket(&self.store.location.bucket, |bucket, moment| {
                work(bucket, &self.full_key, moment)
            })
            .map_err(|refusal| self.error(refusal))
    }

    fn style(&self) -> BucketStyle {
        let bucket = &self.store.location.bucket;
        let sky = self.store.sky.lock();
        sky.buckets
            .get(bucket)
            .map_or(BucketStyle::S3, |bucket| bucket.style)
    }

    pub(super) fn error(&self, refusal: Refusal) -> Error {
        let bucket = &self.store.location.bucket;
        let target = match self.full_key.as_str() {
            "" => format!("mem://{bucket}"),
            key => format!("mem://{bucket}/{key}"),
        };
        refusal.into_error(self.kind.as_str(), target)
    }

    pub(super) fn body_with_fault(&mut self, body: ByteStream) -> ByteStream {
        match self.fault.take() {
            Some(Fault::Body(fault)) => {
                let place = Place {
                    sky: self.store.sky.clone(),
                    bucket: self.store.location.bucket.clone(),
                    full_key: self.full_key.clone(),
                };
                faulty(body, fault, place)
            }
            other => {
                self.fault = other;
                body
            }
        }
    }

    /// Takes in a body of exactly `size` bytes, and checks that what arrived is what was sent.
    pub(super) async fn receive(&mut self, size: u64, body: ByteStream) -> Result<Payload> {
        // Without a fault on the way, what arrives is what was sent: it need not be summed twice.
        let (mut body, sent) = match &self.fault {
            Some(Fault::Body(_)) => {
                let (body, sent) = tee(body);
                (self.body_with_fault(body), Some(sent))
            }
            _ => (body, None),
        };
        let mut chunks: Vec<Bytes> = Vec::new();
        let mut received = 0u64;
        while let Some(chunk) = body.next().await {
            let chunk = chunk?;
            received += chunk.len() as u64;
            if received > size {
                break;
            }
            chunks.push(chunk);
        }
        if received != size {
            let more = if received > size { "or more " } else { "" };
            return Err(self.error(Refusal::new(
                Kind::Invalid,
                "IncompleteBody",
                format!("the body had {received} bytes {more}where {size} were announced"),
            )));
        }
        let payload = Payload::of(chunks, self.style());
        if let Some((crc64, _)) = sent.map(|sent| sent.read())
            && payload.crc64 != crc64
        {
            return Err(self.error(Refusal::new(
                Kind::Corrupt,
                "BadDigest",
                format!("checksum {} arrived where {crc64} was sent", payload.crc64),
            )));
        }
        Ok(payload)
    }

    /// The object a copy reads, with the bytes of `range`.
    pub(super) fn copy_source(
        &self,
        source: &CopySource,
        range: Option<&Range<u64>>,
    ) -> Result<(Arc<Object>, Payload)> {
        let own_bucket = &self.store.location.bucket;
        let source = ResolvedSource::of(source, own_bucket);
        let object = self
            .store
            .sky
            .with_bucket(source.bucket, |bucket, _| {
                bucket.read(source.full_key, source.version)
            })
            .map_err(|refusal| {
                let context = format!(
                    "source {}/{}: {}",
                    source.bucket, source.full_key, refusal.context
                );
                self.error(Refusal { context, ..refusal })
            })?;
        let range = check_range(range, object.head.size).map_err(|refusal| self.error(refusal))?;
        let slices = Payload::slices(&object.chunks, &range, usize::MAX);
        let payload = Payload::of(slices, self.style());
        Ok((object, payload))
    }
}
