//! [`ObjectStore`] for a directory: the asynchronous surface of the blocking work in the other files.

use super::publish::{self, Content};
use super::root::Root;
use super::sidecar::Shelf;
use super::staged::Staged;
use super::staging::{probe, stage_copy};
use super::trouble::{Outcome, Tried, Trouble};
use super::version::Fingerprint;
use super::{DiskStore, Shared, listing, uploads};
use crate::local::{PAGE_LIMIT, Refusal, check_attributes, check_pin, check_put_size, check_range};
use crate::{
    ByteStream, Capabilities, CompletedPart, CopySource, Error, GetOptions, GetResult, LevelPage,
    ListPage, ObjectHead, ObjectStore, PartReceipt, Precondition, PutOptions, PutReceipt, Result,
    UploadPage,
};
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use skyfresh_sky::{Attributes, Kind, Location, ObjectKey};
use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

/// How much is handed to the disk at once, bytes: a body's chunks are gathered to this.
const WRITE_BYTES: usize = 1 << 20;
/// How much is read at once, bytes.
const READ_BYTES: u64 = 512 << 10;
/// How often a read of a file that keeps changing begins anew before it takes what there is.
const RACY_ATTEMPTS: usize = 3;

/// A staged file in asynchronous hands: should they let go of it, it is removed where blocking is allowed.
struct Staging(Option<Staged>);

impl Drop for Staging {
    fn drop(&mut self) {
        if let (Some(staged), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current())
        {
            runtime.spawn_blocking(move || drop(staged));
        }
    }
}

/// A body taken in: what is on disk already, and the rest to be written.
struct Received {
    staging: Staging,
    rest: Vec<Bytes>,
}

impl Received {
    fn into_staged(mut self, root: &Root, hash: &str) -> Outcome<Staged> {
        let mut staged = match self.staging.0.take() {
            Some(staged) => staged,
            None => Staged::new(root, hash)?,
        };
        staged.write(&self.rest)?;
        Ok(staged)
    }
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Outcome<T> + Send + 'static,
) -> Outcome<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| {
            Err(Refusal::new(Kind::Internal, "InternalError", error.to_string()).into())
        })
}

impl Shared {
    /// Takes in a body of exactly `size` bytes.
    async fn receive(
        self: &Arc<Self>,
        hash: &str,
        size: u64,
        mut body: ByteStream,
    ) -> Outcome<Received> {
        let mut received = Received {
            staging: Staging(None),
            rest: Vec::new(),
        };
        let (mut total, mut waiting) = (0u64, 0usize);
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| Trouble::Body(Box::new(error)))?;
            total += chunk.len() as u64;
            if total > size {
                break;
            }
            waiting += chunk.len();
            received.rest.push(chunk);
            if waiting >= WRITE_BYTES {
                let (shared, hash) = (Arc::clone(self), hash.to_owned());
                let staged =
                    blocking(move || received.into_staged(&shared.root_to_write()?, &hash)).await?;
                received = Received {
                    staging: Staging(Some(staged)),
                    rest: Vec::new(),
                };
                waiting = 0;
            }
        }
        if total != size {
            let more = if total > size { "or more " } else { "" };
            let why = format!("the body had {total} bytes {more}where {size} were announced");
            return Err(Refusal::new(Kind::Invalid, "IncompleteBody", why).into());
        }
        Ok(received)
    }
}

fn target(location: &Location, key: Option<&ObjectKey>) -> String {
    match key {
        Some(key) => format!("file://{}/{}", location.bucket, location.full_key(key)),
        None => format!("file://{}", location.bucket),
    }
}

impl DiskStore {
    /// A key as the directory has it.
    fn name(&self, key: &ObjectKey) -> String {
        self.location.full_key(key)
    }

    pub(super) fn error(
        &self,
        operation: &'static str,
        key: Option<&ObjectKey>,
        trouble: Trouble,
    ) -> Error {
        trouble.into_error(operation, target(&self.location, key), &self.shared.path)
    }

    async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        key: Option<&ObjectKey>,
        work: impl FnOnce(&Shared) -> Outcome<T> + Send + 'static,
    ) -> Result<T> {
        let shared = Arc::clone(&self.shared);
        blocking(move || work(&shared))
            .await
            .map_err(|trouble| self.error(operation, key, trouble))
    }

    /// Opens an object to read, once a file changed just now can no longer change unseen.
    async fn open_settled(
        &self,
        key: &ObjectKey,
        options: &GetOptions,
    ) -> Result<(ObjectHead, File, Fingerprint)> {
        let mut attempts = RACY_ATTEMPTS;
        loop {
            let (name, wanted) = (self.name(key), options.version.clone());
            let (head, plain_file, file, fingerprint) = self
                .run("get", Some(key), move |shared| {
                    let (head, sidecar, file, found) = publish::open(&shared.root()?, &name)?;
                    check_pin(&head.version, wanted.as_ref())?;
                    Ok((head, sidecar.is_none(), file, found.fingerprint))
                })
                .await?;
            let racy_for = fingerprint
                .racy_for(self.shared.clock.now())
                .filter(|_| plain_file);
            let Some(delay) = racy_for.filter(|_| attempts > 0) else {
                return Ok((head, file, fingerprint));
            };
            attempts -= 1;
            self.shared.clock.sleep(delay).await;
            let (file, same) = self
                .run("get", Some(key), move |_| {
                    let same = fingerprint.is_same_content(&look_at(&file)?);
                    Ok((file, same))
                })
                .await?;
            if same {
                return Ok((head, file, fingerprint));
            }
        }
    }
}

pub(super) fn look_at(file: &File) -> Outcome<Fingerprint> {
    Ok(Fingerprint::of(
        &rustix::fs::fstat(file).tried(|| "look at an open file".into())?,
    ))
}

/// The bytes of a range, in chunks; an error as soon as the file turns out to have changed.
fn body(
    file: File,
    began: Fingerprint,
    range: Range<u64>,
    target: String,
    root: PathBuf,
) -> ByteStream {
    let file = Arc::new(file);
    futures::stream::try_unfold(range.start, move |at| {
        let (file, target, root) = (Arc::clone(&file), target.clone(), root.clone());
        async move {
            if at >= range.end {
                return Ok(None);
            }
            let most = (range.end - at).min(READ_BYTES) as usize;
            let chunk = blocking(move || {
                let mut buffer = vec![0; most];
                let count = file
                    .read_at(&mut buffer, at)
                    .tried(|| "read a file".into())?;
                if count == 0 || !began.is_same_content(&look_at(&file)?) {
                    let why = "the file changed while it was being read";
                    return Err(Refusal::new(Kind::Precondition, "PreconditionFailed", why).into());
                }
                buffer.truncate(count);
                Ok(Bytes::from(buffer))
            })
            .await
            .map_err(|trouble| trouble.into_error("get", target, &root))?;
            let next = at + chunk.len() as u64;
            Ok(Some((chunk, next)))
        }
    })
    .boxed()
}

#[async_trait]
impl ObjectStore for DiskStore {
    fn location(&self) -> &Location {
        &self.location
    }

    fn capabilities(&self) -> Capabilities {
        self.known_capabilities()
    }

    /// Tries locks and renames in `.skyfresh/tmp/`.
    async fn probe(&self, _nonce: &str) -> Result<Capabilities> {
        let found = self
            .run("probe", None, |shared| probe(&shared.root_to_write()?))
            .await?;
        *self
            .capabilities
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = found.clone();
        Ok(found)
    }

    async fn check_readable(&self) -> Result<()> {
        self.run("check readable", None, |shared| {
            let root = shared.root()?;
            listing::page(&root, "", None, 1).map(drop)
        })
        .await
    }

    async fn head(&self, key: &ObjectKey) -> Result<ObjectHead> {
        let name = self.name(key);
        self.run("head", Some(key), move |shared| {
            publish::head(&shared.root()?, &name)
        })
        .await
    }

    async fn get(&self, key: &ObjectKey, options: GetOptions) -> Result<GetResult> {
        let (head, file, fingerprint) = self.open_settled(key, &options).await?;
        let range = check_range(options.range.as_ref(), head.size)
            .map_err(|refusal| self.error("get", Some(key), refusal.into()))?;
        let body = body(
            file,
            fingerprint,
            range,
            target(&self.location, Some(key)),
            self.shared.path.clone(),
        );
        Ok(GetResult { head, body })
    }

    async fn put(
        &self,
        key: &ObjectKey,
        options: PutOptions,
        body: ByteStream,
    ) -> Result<PutReceipt> {
        let (name, condition) = (self.name(key), options.precondition.clone());
        let (size, limits) = (options.size, self.known_capabilities().upload_limits);
        let attributes = options.attributes.clone();
        self.run("put", Some(key), move |shared| {
            check_attributes(&attributes)?;
            check_put_size(size, &limits)?;
            publish::check_now(&shared.root()?, &name, &condition)
        })
        .await?;
        let hash = Shelf::of(&self.name(key)).hash();
        let received = self
            .shared
            .receive(&hash, size, body)
            .await
            .map_err(|trouble| self.error("put", Some(key), trouble))?;
        let name = self.name(key);
        self.run("put", Some(key), move |shared| {
            let root = shared.root_to_write()?;
            let staged = received.into_staged(&root, &hash)?;
            let content = Content {
                attributes: options.attributes,
                tags: BTreeMap::new(),
            };
            publish::publish(&root, &name, staged, content, &options.precondition)
        })
        .await
    }

    async fn create_upload(&self, key: &ObjectKey, attributes: &Attributes) -> Result<String> {
        let (name, attributes) = (self.name(key), attributes.clone());
        self.run("create upload", Some(key), move |shared| {
            check_attributes(&attributes)?;
            uploads::create(
                &shared.root_to_write()?,
                &name,
                &attributes,
                shared.clock.now(),
            )
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
        let limits = self.known_capabilities().upload_limits;
        let (name, id) = (self.name(key), upload.to_owned());
        self.run("upload part", Some(key), move |shared| {
            uploads::check(&shared.root()?, &name, &id, number, size, &limits)
        })
        .await?;
        let hash = Shelf::of(&self.name(key)).hash();
        let received = self
            .shared
            .receive(&hash, size, body)
            .await
            .map_err(|trouble| self.error("upload part", Some(key), trouble))?;
        let (name, id) = (self.name(key), upload.to_owned());
        self.run("upload part", Some(key), move |shared| {
            let root = shared.root_to_write()?;
            let staged = received.into_staged(&root, &hash)?;
            uploads::add(&root, &name, &id, number, staged)
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
        let limits = self.known_capabilities().upload_limits;
        let (name, id, source) = (self.name(key), upload.to_owned(), source.clone());
        self.run("copy part", Some(key), move |shared| {
            let root = shared.root_to_write()?;
            let size = range.end.saturating_sub(range.start);
            uploads::check(&root, &name, &id, number, size, &limits)?;
            let (staged, ..) = stage_copy(shared, &source, Some(&range), &Shelf::of(&name).hash())?;
            uploads::add(&root, &name, &id, number, staged)
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
        let limits = self.known_capabilities().upload_limits;
        let (name, id) = (self.name(key), upload.to_owned());
        let (parts, precondition) = (parts.to_vec(), precondition.clone());
        self.run("complete upload", Some(key), move |shared| {
            uploads::complete(
                &shared.root_to_write()?,
                &name,
                &id,
                &parts,
                &precondition,
                &limits,
            )
        })
        .await
    }

    async fn abort_upload(&self, key: &ObjectKey, upload: &str) -> Result<()> {
        let (name, id) = (self.name(key), upload.to_owned());
        self.run("abort upload", Some(key), move |shared| {
            uploads::abort(&shared.root_to_write()?, &name, &id)
        })
        .await
    }

    async fn list_uploads(&self, after: Option<&str>) -> Result<UploadPage> {
        let after = after.map(str::to_owned);
        let page = self.run("list uploads", None, move |shared| {
            uploads::page(&shared.root()?, after.as_deref())
        });
        let mut page = page.await?;
        page.uploads.retain_mut(|upload| {
            let key = self.location.relative_key(upload.key.as_str());
            key.is_some_and(|key| {
                upload.key = key;
                true
            })
        });
        Ok(page)
    }

    async fn copy(
        &self,
        key: &ObjectKey,
        source: &CopySource,
        attributes: Option<&Attributes>,
        precondition: &Precondition,
    ) -> Result<PutReceipt> {
        let limits = self.known_capabilities().upload_limits;
        let (name, source) = (self.name(key), source.clone());
        let (attributes, precondition) = (attributes.cloned(), precondition.clone());
        self.run("copy", Some(key), move |shared| {
            if let Some(attributes) = &attributes {
                check_attributes(attributes)?;
            }
            let root = shared.root_to_write()?;
            publish::check_now(&root, &name, &precondition)?;
            let (staged, head, tags) = stage_copy(shared, &source, None, &Shelf::of(&name).hash())?;
            check_put_size(head.size, &limits)?;
            let content = Content {
                attributes: attributes.unwrap_or(head.attributes),
                tags,
            };
            publish::publish(&root, &name, staged, content, &precondition)
        })
        .await
    }

    async fn list(&self, after: Option<&str>, limit: usize) -> Result<ListPage> {
        let (prefix, after) = (self.location.prefix.clone(), after.map(str::to_owned));
        let limit = limit.clamp(1, PAGE_LIMIT);
        self.run("list", None, move |shared| {
            listing::page(&shared.root()?, &prefix, after.as_deref(), limit)
        })
        .await
    }

    async fn list_level(&self, after: Option<&str>, limit: usize) -> Result<LevelPage> {
        let (prefix, after) = (self.location.prefix.clone(), after.map(str::to_owned));
        let limit = limit.clamp(1, PAGE_LIMIT);
        self.run("list", None, move |shared| {
            listing::level(&shared.root()?, &prefix, after.as_deref(), limit)
        })
        .await
    }

    async fn delete(&self, key: &ObjectKey, precondition: &Precondition) -> Result<()> {
        let (name, precondition) = (self.name(key), precondition.clone());
        self.run("delete", Some(key), move |shared| {
            publish::delete(&shared.root()?, &name, &precondition)
        })
        .await
    }

    async fn tags(&self, key: &ObjectKey) -> Result<BTreeMap<String, String>> {
        let name = self.name(key);
        self.run("tags", Some(key), move |shared| {
            publish::tags(&shared.root()?, &name)
        })
        .await
    }

    async fn set_tags(&self, key: &ObjectKey, tags: &BTreeMap<String, String>) -> Result<()> {
        let (name, tags) = (self.name(key), tags.clone());
        self.run("set tags", Some(key), move |shared| {
            publish::set_tags(&shared.root_to_write()?, &name, &tags)
        })
        .await
    }
}
