//! What a command names, opened and walked: page by page, with bounded reading ahead.

pub(crate) mod disk;
mod level;
mod named;

pub(crate) use level::{Entry, Level};
pub(crate) use named::{Named, keys};

use crate::exit::{Exit, Told};
use crate::objects::{Objects, Which};
use crate::output::printable;
use anyhow::Context as _;
use futures::stream::{self, Stream};
use skyfresh_engine::{Globs, OpenStore};
use skyfresh_sky::{Kind, Location, ObjectKey, Scheme};
use skyfresh_store::{ListPage, ListedObject, ObjectHead, ObjectStore};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Pages that are read before they are asked for: the next one is on its way while one is worked on.
const PAGES_AHEAD: usize = 2;
/// The seam's largest page.
const PAGE: usize = 1000;

/// Objects that were named, and the stores to reach them through. Keys are whole ones: from the beginning of the bucket, or of the
/// directory.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    objects: Objects,
    /// Of the whole bucket.
    store: Arc<dyn ObjectStore>,
    /// Of the part that is listed: rights may be given on a prefix alone.
    listed: Arc<dyn ObjectStore>,
    /// What stands in whole keys before those of the listing.
    front: String,
}

/// Objects of a listing.
#[derive(Debug, Default)]
pub(crate) struct Page {
    /// Those that are meant, in ascending order, by whole key.
    pub(crate) objects: Vec<ListedObject>,
    /// Names that are there and cannot be objects (on disk: links, devices).
    pub(crate) unusable: Vec<String>,
}

impl Place {
    /// Opens what was named.
    ///
    /// # Errors
    /// A store cannot be opened as configured.
    pub(crate) fn open(opener: &dyn OpenStore, objects: Objects) -> anyhow::Result<Self> {
        let objects = disk::rooted(objects);
        let cannot = || format!("cannot open {}", objects.location);
        let mut whole = objects.location.clone();
        whole.prefix.clear();
        let store = opener.open(&whole).with_context(cannot)?;
        let (listed, _) = objects.listing();
        let front = listed.prefix.clone();
        let listed = match front.is_empty() {
            true => Arc::clone(&store),
            false => opener.open(&listed).with_context(cannot)?,
        };
        Ok(Place {
            objects,
            store,
            listed,
            front,
        })
    }

    /// The same; but where there is no such object, and objects lie below its name as in a directory, those.
    ///
    /// # Errors
    /// There is neither, or it cannot be told.
    pub(crate) async fn or_below(self, opener: &dyn OpenStore) -> anyhow::Result<Self> {
        let (Some(key), Some(below)) = (self.single(), self.objects.below()) else {
            return Ok(self);
        };
        match self.store.head(&key).await {
            Ok(_) => return Ok(self),
            Err(error) if is_absent(&error) => {}
            Err(error) => return Err(error.into()),
        }
        let below = Place::open(opener, below)?;
        let is_directory = match below.list(None, 1).await {
            Ok(page) => !page.objects.is_empty() || !page.unusable.is_empty(),
            // On disk it is a bucket by itself.
            Err(error) if is_missing(&error) => false,
            Err(error) => return Err(error),
        };
        match is_directory {
            true => Ok(below),
            false => Err(self.absent(&key).await.into()),
        }
    }

    /// The store to reach objects through, by whole key.
    pub(crate) fn store(&self) -> &dyn ObjectStore {
        self.store.as_ref()
    }

    /// Where the objects are.
    pub(crate) fn location(&self) -> &Location {
        &self.objects.location
    }

    /// Which of the objects there are meant.
    pub(crate) fn which(&self) -> &Which {
        &self.objects.which
    }

    /// The one object that was named, where it is one.
    pub(crate) fn single(&self) -> Option<ObjectKey> {
        match &self.objects.which {
            // Joined it may be too long to be a key: then there is none.
            Which::One(key) => ObjectKey::new(self.objects.location.full_key(key)).ok(),
            _ => None,
        }
    }

    /// A whole key as a name below the location. What has the location's own name keeps it.
    pub(crate) fn name<'a>(&self, key: &'a str) -> &'a str {
        match key.strip_prefix(&self.objects.location.prefix) {
            None | Some("") => key,
            Some(name) => name,
        }
    }

    /// A whole key as people write it, without options.
    pub(crate) fn shown(&self, key: &str) -> String {
        let location = &self.objects.location;
        let bucket = location.bucket.trim_end_matches('/');
        format!("{}://{bucket}/{key}", location.scheme.as_str())
    }

    /// A whole key as a command takes it, with the location's options.
    pub(crate) fn uri(&self, key: &str) -> String {
        let mut location = self.objects.location.clone();
        match location.scheme {
            Scheme::File => return self.shown(key),
            _ => location.prefix = key.to_owned(),
        }
        location.to_string()
    }

    /// What is meant, as people write it.
    pub(crate) fn described(&self) -> String {
        let prefix = &self.objects.location.prefix;
        match &self.objects.which {
            Which::One(key) => self.shown(&format!("{prefix}{key}")),
            Which::All => self.shown(prefix),
            Which::Matching { glob, .. } => self.shown(&format!("{prefix}{}", glob.glob())),
        }
    }

    /// Whether everything in a bucket or a directory is meant: then there may just be nothing.
    pub(crate) fn is_whole(&self) -> bool {
        let location = &self.objects.location;
        let begins = location.prefix.is_empty() || location.scheme == Scheme::File;
        matches!(self.objects.which, Which::All) && begins
    }

    /// The head of an object by whole key.
    ///
    /// # Errors
    /// That there is none is told with what to do next.
    pub(crate) async fn head(&self, key: &ObjectKey) -> anyhow::Result<ObjectHead> {
        match self.store.head(key).await {
            Err(error) if is_absent(&error) => Err(self.absent(key).await.into()),
            head => Ok(head?),
        }
    }

    async fn absent(&self, key: &ObjectKey) -> Told {
        let shown = printable(&self.shown(key.as_str()), false);
        let told = Told::new(Exit::Failed, format!("there is no object {shown}"));
        let below = format!("{key}/");
        // The first key after it tells whether it is a directory; where that cannot be told, the other hint is right, too.
        let next = self.store.list(Some(&below), 1).await;
        let is_directory = next.is_ok_and(|page| {
            let mut keys = page.objects.iter();
            keys.any(|object| object.key.as_str().starts_with(&below))
        });
        match is_directory {
            true => told.hint(format!(
                "there are objects below {shown}/: end the name in / (and say -r where it is needed)"
            )),
            false => told.hint(self.around()),
        }
    }

    /// How to find out what is there, for a hint.
    pub(crate) fn around(&self) -> String {
        let around = self.uri(&self.objects.location.prefix);
        format!(
            "`skyfresh ls '{}'` shows what is there",
            printable(&around, false)
        )
    }

    /// Everything that is meant and admitted by the globs (which see names below the location), in ascending order of keys.
    /// The next pages are read while one is worked on; ends at the first error.
    pub(crate) fn pages(
        &self,
        globs: &Globs,
    ) -> impl Stream<Item = anyhow::Result<Page>> + use<> + Unpin {
        let (sender, receiver) = mpsc::channel(PAGES_AHEAD - 1);
        let (place, globs) = (self.clone(), globs.clone());
        // Ends when the receiver is dropped.
        tokio::spawn(async move {
            if let Err(error) = place.walk(&globs, &sender).await {
                // Whoever went away needs no error either.
                let _ = sender.send(Err(error)).await;
            }
        });
        Box::pin(stream::unfold(receiver, |mut receiver| async {
            receiver.recv().await.map(|page| (page, receiver))
        }))
    }

    /// Refuses a prefix where objects are expected.
    ///
    /// # Errors
    /// Everything below a prefix, or in a directory, is meant.
    pub(crate) fn expect_objects(&self) -> Result<(), Told> {
        if !matches!(self.objects.which, Which::All) {
            return Ok(());
        }
        let what = format!("{} is no object but all that is below it", self.described());
        Err(Told::new(Exit::Usage, what)
            .hint("name an object, or all of them with a glob: end it in /*"))
    }

    async fn walk(
        &self,
        globs: &Globs,
        sender: &mpsc::Sender<anyhow::Result<Page>>,
    ) -> anyhow::Result<()> {
        if matches!(self.objects.which, Which::One(_)) {
            let mut page = Page::default();
            page.objects.extend(self.named_object().await?);
            page.objects
                .retain(|object| globs.admit(self.name(object.key.as_str())));
            let _ = sender.send(Ok(page)).await;
            return Ok(());
        }
        let mut after: Option<String> = None;
        loop {
            let mut listed = self.list(after.as_deref(), PAGE).await?;
            after = listed.next.take();
            let mut page = self.whole(listed).await?;
            page.objects.retain(|object| {
                let key = object.key.as_str();
                self.is_meant(key) && globs.admit(self.name(key))
            });
            page.unusable
                .retain(|key| self.is_meant(key) && globs.admit(self.name(key)));
            if sender.send(Ok(page)).await.is_err() || after.is_none() {
                return Ok(());
            }
        }
    }

    async fn named_object(&self) -> anyhow::Result<Option<ListedObject>> {
        let Some(key) = self.single() else {
            return Ok(None);
        };
        let head = self.head(&key).await?;
        Ok(Some(as_listed(key, head)))
    }

    fn is_meant(&self, key: &str) -> bool {
        match self.objects.location.relative_key(key) {
            Some(name) => self.objects.includes(&name),
            // The location's own name.
            None => matches!(self.objects.which, Which::All),
        }
    }

    /// A page of what is listed, by the keys of the listing.
    async fn list(&self, after: Option<&str>, limit: usize) -> anyhow::Result<ListPage> {
        let listed = self.listed.list(after, limit).await;
        listed.with_context(|| format!("cannot list {}", self.described()))
    }

    /// The page by whole keys. An object whose key is the listed prefix itself (a "directory" that a console made, or just what
    /// stands before the `*`) is none below it for the seam, but is meant by whoever names the prefix.
    async fn whole(&self, listed: ListPage) -> anyhow::Result<Page> {
        let mut page = Page::default();
        for full in listed.unusable {
            match ObjectKey::new(full.clone()) {
                Ok(key) if full == self.front => match self.store.head(&key).await {
                    Ok(head) => page.objects.push(as_listed(key, head)),
                    // Deleted since.
                    Err(error) if is_absent(&error) => {}
                    Err(error) => return Err(error.into()),
                },
                _ => page.unusable.push(full),
            }
        }
        for object in listed.objects {
            let full = format!("{}{}", self.front, object.key);
            match ObjectKey::new(full.clone()) {
                Ok(key) => page.objects.push(ListedObject { key, ..object }),
                Err(_) => page.unusable.push(full),
            }
        }
        Ok(page)
    }
}

/// There is no such object, in a bucket that there is.
fn is_absent(error: &skyfresh_store::Error) -> bool {
    error.kind == Kind::Missing && !error.is_missing_bucket()
}

fn is_missing(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<skyfresh_store::Error>();
    error.is_some_and(|error| error.kind == Kind::Missing)
}

fn as_listed(key: ObjectKey, head: ObjectHead) -> ListedObject {
    ListedObject {
        key,
        size: head.size,
        etag: head.version.etag,
        modified: head.modified,
    }
}

#[cfg(test)]
mod tests;
