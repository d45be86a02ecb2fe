//! A store at the far end of a way: requests take time, bytes take longer, and answers may never come.
//!
//! In: what a process asks. Out: what a [`MemoryStore`] answers, later. Never: takes a changing request back once it was sent:
//! it has its effect whether or not its sender is alive to hear of it. What a store does is decided in `skyfresh_store`'s
//! memory store alone, here only when, and whether anybody hears of it.

use super::between::BetweenStores;
use super::gate::{Fate, Gate};
use super::meter::metered;
use super::way::{Direction, Flow, Way};
use super::{Route, Sim, Site};
use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};
use skyfresh_sky::{Attributes, Clock, Kind, Location, ObjectKey, ObjectVersion, Region};
use skyfresh_store::memory::{MemoryStore, OperationKind};
use skyfresh_store::{
    ByteStream, Capabilities, CompletedPart, CopySource, Error, GetOptions, GetResult, LevelPage,
    ListPage, ObjectHead, ObjectStore, PartReceipt, PartSum, Precondition, PutOptions, PutReceipt,
    Result, UploadPage,
};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// A request without an answer is given up after this.
const UNANSWERED: Duration = Duration::from_secs(30);

/// See the module.
#[derive(Debug)]
pub(crate) struct FarStore {
    pub(crate) inner: Arc<MemoryStore>,
    pub(crate) site: Arc<Site>,
    pub(crate) way: Way,
    pub(crate) gate: Arc<Gate>,
    pub(crate) sim: Arc<Sim>,
    /// Where the other buckets are.
    pub(crate) route: Arc<Route>,
    /// Where who asks is.
    pub(crate) from: Region,
    /// Who asks, for the log.
    pub(crate) asker: String,
}

impl FarStore {
    fn bucket(&self) -> &str {
        &self.inner.location().bucket
    }

    fn unanswered(&self, kind: OperationKind, key: Option<&ObjectKey>) -> Error {
        let target = key.map_or_else(|| self.bucket().to_owned(), ToString::to_string);
        let what = format!("no answer within {} s", UNANSWERED.as_secs());
        Error::new(Kind::RetryAfter, kind.as_str(), target, what)
    }

    /// Sends a request, and brings back its answer.
    async fn ask<T: Send + 'static>(
        &self,
        kind: OperationKind,
        key: Option<&ObjectKey>,
        request: impl FnOnce(Arc<MemoryStore>) -> BoxFuture<'static, Result<T>>,
    ) -> Result<T> {
        let fate = self.gate.begin().await;
        self.send(fate, kind, key, request).await
    }

    async fn send<T: Send + 'static>(
        &self,
        fate: Fate,
        kind: OperationKind,
        key: Option<&ObjectKey>,
        request: impl FnOnce(Arc<MemoryStore>) -> BoxFuture<'static, Result<T>>,
    ) -> Result<T> {
        self.check_role(kind, key);
        let latency = self.way.latency(&self.site.service_ms);
        let partition = self.sim.injector.partitioned(self.bucket());
        if partition == Some(false) {
            self.sim.clock.sleep(UNANSWERED).await;
            self.gate.end(fate).await;
            return Err(self.unanswered(kind, key));
        }
        let (there, back) = (latency / 2, latency - latency / 2);
        let (clock, store, site) = (
            self.sim.clock.clone(),
            Arc::clone(&self.inner),
            Arc::clone(&self.site),
        );
        let (sim, throttled) = (Arc::clone(&self.sim), self.throttled(kind, key));
        let request = request(store);
        let name = key.map(|key| key.as_str().to_owned());
        let answer = tokio::spawn(async move {
            clock.sleep(there).await;
            sim.meter.request(&site, kind);
            match site.admit(kind, name.as_deref(), clock.monotonic_ns()) {
                true => request.await,
                false => Err(throttled),
            }
        });
        let answer = match answer.await {
            Ok(answer) => answer,
            // The store does not panic, and its tasks are not cancelled.
            Err(_) => Err(self.unanswered(kind, key)),
        };
        if partition == Some(true) {
            self.sim.clock.sleep(UNANSWERED).await;
            self.gate.end(fate).await;
            return Err(self.unanswered(kind, key));
        }
        self.sim.clock.sleep(back).await;
        self.gate.end(fate).await;
        self.note(kind, key, answer.as_ref().err());
        answer
    }

    fn throttled(&self, kind: OperationKind, key: Option<&ObjectKey>) -> Error {
        let target = key.map_or_else(|| self.bucket().to_owned(), ToString::to_string);
        Error::new(Kind::RetryAfter, kind.as_str(), target, "too many requests")
            .with_code("SlowDown")
    }

    /// Guarantee 6: nobody but users writes to the source.
    fn check_role(&self, kind: OperationKind, key: Option<&ObjectKey>) {
        let reads = matches!(
            kind,
            OperationKind::CheckReadable
                | OperationKind::Head
                | OperationKind::Get
                | OperationKind::Parts
                | OperationKind::List
                | OperationKind::Tags
        );
        let (now, observer) = (self.sim.clock.now(), &self.sim.observer);
        if self.bucket() == "source" && !reads {
            let key = key.map(ToString::to_string).unwrap_or_default();
            let what = format!("{} of source/{key}", kind.as_str());
            observer.report(now, crate::observer::Guarantee::SourceUntouched, what);
        }
        if kind == OperationKind::CreateUpload
            && let Some(key) = key
        {
            observer.creates_upload(now, self.bucket(), key.as_str());
        }
    }

    fn note(&self, kind: OperationKind, key: Option<&ObjectKey>, error: Option<&Error>) {
        let key = key.map_or("", ObjectKey::as_str);
        let outcome = error.map(|error| error.kind);
        self.sim.note(format_args!(
            "{} {} {}/{key} {outcome:?}",
            self.asker,
            kind.as_str(),
            self.bucket()
        ));
    }

    /// A body as it arrives here.
    fn arriving(&self, body: ByteStream) -> ByteStream {
        let flow = Flow::new(&self.way, Direction::Reads, self.sim.clock.clone());
        let state = (body, flow, Arc::clone(&self.gate));
        let paced = stream::unfold(state, |(mut body, mut flow, gate)| async move {
            let chunk = body.next().await;
            match &chunk {
                Some(Ok(chunk)) => {
                    flow.add(chunk.len());
                    flow.wait(false).await;
                }
                _ => flow.wait(true).await,
            }
            gate.pass().await;
            chunk.map(|chunk| (chunk, (body, flow, gate)))
        });
        paced.boxed()
    }

    /// What a copy from another bucket crosses.
    fn between(&self, source: &CopySource) -> Option<BetweenStores> {
        let bucket = source.bucket.as_ref().filter(|it| *it != self.bucket())?;
        let own = &self.site.region;
        let from = self.route.sites.get(bucket)?.region.clone();
        let way = self.route.ways.get(&(from.clone(), own.clone()));
        let location = Location {
            bucket: bucket.clone(),
            prefix: String::new(),
            ..self.location().clone()
        };
        Some(BetweenStores {
            source: self.sim.sky.store(location),
            key: ObjectKey::new(source.full_key.as_str()).ok()?,
            bytes_per_s: way.map_or(f64::INFINITY, |way| way.connection_bytes_per_s),
            sim: Arc::clone(&self.sim),
            from,
            to: own.clone(),
        })
    }

    /// Sends a body, chunk by chunk as it comes; `Err`: it broke off, and what was sent is worth nothing.
    async fn sent(&self, mut body: ByteStream) -> Result<Vec<Bytes>> {
        let mut flow = Flow::new(&self.way, Direction::Writes, self.sim.clock.clone());
        let mut chunks = Vec::new();
        while let Some(chunk) = body.next().await {
            let chunk = chunk?;
            flow.add(chunk.len());
            let bytes = chunk.len() as u64;
            self.sim.meter.moved(&self.from, &self.site.region, bytes);
            chunks.push(chunk);
        }
        flow.wait(true).await;
        Ok(chunks)
    }
}

fn whole(chunks: Vec<Bytes>) -> ByteStream {
    stream::iter(chunks.into_iter().map(Ok)).boxed()
}

#[async_trait]
impl ObjectStore for FarStore {
    fn location(&self) -> &Location {
        self.inner.location()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn probe(&self, nonce: &str) -> Result<Capabilities> {
        let nonce = nonce.to_owned();
        self.ask(OperationKind::Probe, None, |store| {
            async move { store.probe(&nonce).await }.boxed()
        })
        .await
    }

    async fn check_readable(&self) -> Result<()> {
        self.ask(OperationKind::CheckReadable, None, |store| {
            async move { store.check_readable().await }.boxed()
        })
        .await
    }

    async fn head(&self, key: &ObjectKey) -> Result<ObjectHead> {
        let sent = key.clone();
        self.ask(OperationKind::Head, Some(key), |store| {
            async move { store.head(&sent).await }.boxed()
        })
        .await
    }

    async fn get(&self, key: &ObjectKey, options: GetOptions) -> Result<GetResult> {
        let sent = key.clone();
        let found = self
            .ask(OperationKind::Get, Some(key), |store| {
                async move { store.get(&sent, options).await }.boxed()
            })
            .await?;
        let body = metered(&self.sim, &self.site.region, &self.from, found.body);
        Ok(GetResult {
            head: found.head,
            body: self.arriving(body),
        })
    }

    async fn parts(
        &self,
        key: &ObjectKey,
        version: &ObjectVersion,
    ) -> Result<Option<Vec<PartSum>>> {
        let (sent, version) = (key.clone(), version.clone());
        self.ask(OperationKind::Parts, Some(key), |store| {
            async move { store.parts(&sent, &version).await }.boxed()
        })
        .await
    }

    async fn put(
        &self,
        key: &ObjectKey,
        options: PutOptions,
        body: ByteStream,
    ) -> Result<PutReceipt> {
        let fate = self.gate.begin().await;
        let (sent, chunks) = (key.clone(), self.sent(body).await?);
        self.send(fate, OperationKind::Put, Some(key), |store| {
            async move { store.put(&sent, options, whole(chunks)).await }.boxed()
        })
        .await
    }

    async fn create_upload(&self, key: &ObjectKey, attributes: &Attributes) -> Result<String> {
        let (sent, attributes) = (key.clone(), attributes.clone());
        self.ask(OperationKind::CreateUpload, Some(key), |store| {
            async move { store.create_upload(&sent, &attributes).await }.boxed()
        })
        .await
    }

    async fn upload_part(
        &self,
        key: &ObjectKey,
        upload: &str,
        number: u32,
        size: u64,
        body: ByteStream,
    ) -> Result<PartReceipt> {
        let fate = self.gate.begin().await;
        let (sent, upload) = (key.clone(), upload.to_owned());
        let chunks = self.sent(body).await?;
        self.send(fate, OperationKind::UploadPart, Some(key), |store| {
            async move {
                let body = whole(chunks);
                store.upload_part(&sent, &upload, number, size, body).await
            }
            .boxed()
        })
        .await
    }

    async fn copy_part(
        &self,
        key: &ObjectKey,
        upload: &str,
        number: u32,
        source: &CopySource,
        range: Range<u64>,
    ) -> Result<PartReceipt> {
        let (sent, upload, source) = (key.clone(), upload.to_owned(), source.clone());
        let between = self.between(&source);
        self.ask(OperationKind::CopyPart, Some(key), |store| {
            async move {
                if let Some(between) = between {
                    between.carry(Some(range.end - range.start)).await?;
                }
                store
                    .copy_part(&sent, &upload, number, &source, range)
                    .await
            }
            .boxed()
        })
        .await
    }

    async fn list_parts(
        &self,
        key: &ObjectKey,
        upload: &str,
    ) -> Result<Option<Vec<CompletedPart>>> {
        let (sent, upload) = (key.clone(), upload.to_owned());
        self.ask(OperationKind::ListParts, Some(key), |store| {
            async move { store.list_parts(&sent, &upload).await }.boxed()
        })
        .await
    }

    async fn complete_upload(
        &self,
        key: &ObjectKey,
        upload: &str,
        parts: &[CompletedPart],
        precondition: &Precondition,
    ) -> Result<PutReceipt> {
        let (sent, upload) = (key.clone(), upload.to_owned());
        let (parts, precondition) = (parts.to_vec(), precondition.clone());
        self.ask(OperationKind::CompleteUpload, Some(key), |store| {
            async move {
                store
                    .complete_upload(&sent, &upload, &parts, &precondition)
                    .await
            }
            .boxed()
        })
        .await
    }

    async fn abort_upload(&self, key: &ObjectKey, upload: &str) -> Result<()> {
        let (sent, upload) = (key.clone(), upload.to_owned());
        self.ask(OperationKind::AbortUpload, Some(key), |store| {
            async move { store.abort_upload(&sent, &upload).await }.boxed()
        })
        .await
    }

    async fn list_uploads(&self, after: Option<&str>) -> Result<UploadPage> {
        let after = after.map(str::to_owned);
        self.ask(OperationKind::ListUploads, None, |store| {
            async move { store.list_uploads(after.as_deref()).await }.boxed()
        })
        .await
    }

    async fn copy(
        &self,
        key: &ObjectKey,
        source: &CopySource,
        attributes: Option<&Attributes>,
        precondition: &Precondition,
    ) -> Result<PutReceipt> {
        let (sent, source) = (key.clone(), source.clone());
        let (attributes, precondition) = (attributes.cloned(), precondition.clone());
        let between = self.between(&source);
        self.ask(OperationKind::Copy, Some(key), |store| {
            async move {
                if let Some(between) = between {
                    between.carry(None).await?;
                }
                store
                    .copy(&sent, &source, attributes.as_ref(), &precondition)
                    .await
            }
            .boxed()
        })
        .await
    }

    async fn list(&self, after: Option<&str>, limit: usize) -> Result<ListPage> {
        let after = after.map(str::to_owned);
        self.ask(OperationKind::List, None, |store| {
            async move { store.list(after.as_deref(), limit).await }.boxed()
        })
        .await
    }

    async fn list_level(&self, after: Option<&str>, limit: usize) -> Result<LevelPage> {
        let after = after.map(str::to_owned);
        self.ask(OperationKind::List, None, |store| {
            async move { store.list_level(after.as_deref(), limit).await }.boxed()
        })
        .await
    }

    async fn delete(&self, key: &ObjectKey, precondition: &Precondition) -> Result<()> {
        let (sent, precondition) = (key.clone(), precondition.clone());
        self.ask(OperationKind::Delete, Some(key), |store| {
            async move { store.delete(&sent, &precondition).await }.boxed()
        })
        .await
    }

    async fn tags(&self, key: &ObjectKey) -> Result<BTreeMap<String, String>> {
        let sent = key.clone();
        self.ask(OperationKind::Tags, Some(key), |store| {
            async move { store.tags(&sent).await }.boxed()
        })
        .await
    }

    async fn set_tags(&self, key: &ObjectKey, tags: &BTreeMap<String, String>) -> Result<()> {
        let (sent, tags) = (key.clone(), tags.clone());
        self.ask(OperationKind::SetTags, Some(key), |store| {
            async move { store.set_tags(&sent, &tags).await }.boxed()
        })
        .await
    }
}
