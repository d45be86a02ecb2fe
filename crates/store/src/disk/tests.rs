//! What is particular to a directory; what every store must do is in the conformance suite.

use super::*;
use crate::{
    CompletedPart, CopySource, GetOptions, ObjectStore, Precondition, PutOptions, PutReceipt,
    single_chunk,
};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use skyfresh_sky::{Attributes, ObjectKey, SystemClock};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;
use tempfile::TempDir;

mod hostile;
mod watching;

struct Place {
    dir: TempDir,
    store: Arc<DiskStore>,
}

fn store_at(path: &Path) -> Arc<DiskStore> {
    let location = format!("file://{}", path.display()).parse().unwrap();
    DiskStore::open(location, Arc::new(SystemClock), DiskOptions::default()).unwrap()
}

fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let store = store_at(dir.path());
    Place { dir, store }
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::new(text).unwrap()
}

impl Place {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file as its owner would, and lets it grow old enough not to be racy.
    fn user_file(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    async fn put(&self, name: &str, bytes: &'static [u8]) -> Result<PutReceipt> {
        let attributes = Attributes {
            content_type: Some("text/x-test".into()),
            ..Attributes::default()
        };
        let options = PutOptions {
            size: bytes.len() as u64,
            attributes,
            precondition: Precondition::None,
        };
        self.store
            .put(&key(name), options, single_chunk(bytes))
            .await
    }

    async fn read(&self, name: &str) -> Result<Vec<u8>> {
        let body = self
            .store
            .get(&key(name), GetOptions::default())
            .await?
            .body;
        Ok(body.try_collect::<Vec<Bytes>>().await?.concat())
    }

    async fn names(&self) -> Vec<String> {
        let page = self.store.list(None, 1000).await.unwrap();
        page.objects
            .iter()
            .map(|object| object.key.as_str().to_owned())
            .collect()
    }

    fn count(&self, private: &str) -> usize {
        fn files(path: &Path) -> usize {
            let Ok(entries) = fs::read_dir(path) else {
                return 0;
            };
            entries
                .map(|entry| entry.unwrap())
                .map(|entry| {
                    if entry.file_type().unwrap().is_dir() {
                        files(&entry.path())
                    } else {
                        1
                    }
                })
                .sum()
        }
        files(&self.path(".skyfresh").join(private))
    }
}

#[tokio::test]
async fn objects_are_plain_files_and_leave_nothing_behind() {
    let place = place();
    place.put("models/a b/x.bin", b"one").await.unwrap();
    assert_eq!(fs::read(place.path("models/a b/x.bin")).unwrap(), b"one");
    place.put("models/a b/x.bin", b"two").await.unwrap();
    assert_eq!((place.count("objects"), place.count("tmp")), (1, 0));
    place
        .store
        .delete(&key("models/a b/x.bin"), &Precondition::None)
        .await
        .unwrap();
    assert_eq!((place.count("objects"), place.count("tmp")), (0, 0));
    assert!(
        !place.path("models").exists(),
        "directories made for an object go with it"
    );
    assert!(place.dir.path().exists());
}

#[tokio::test]
async fn users_files_are_objects_and_reading_writes_nothing() {
    let place = place();
    place.user_file("docs/page.html", b"<p>");
    let head = place.store.head(&key("docs/page.html")).await.unwrap();
    assert_eq!(head.attributes.content_type.as_deref(), Some("text/html"));
    assert_eq!((head.size, head.crc64), (3, None));
    assert_eq!(place.read("docs/page.html").await.unwrap(), b"<p>");
    assert_eq!(place.names().await, ["docs/page.html"]);
    assert_eq!(place.store.list_uploads(None).await.unwrap().uploads, []);
    place.store.check_readable().await.unwrap();
    place
        .store
        .delete(&key("absent"), &Precondition::None)
        .await
        .unwrap();
    assert!(!place.path(".skyfresh").exists());
}

#[tokio::test]
async fn a_file_changed_by_its_owner_is_another_version_without_our_attributes() {
    let place = place();
    let ours = place.put("x.txt", b"ours").await.unwrap().version;
    assert_eq!(place.store.head(&key("x.txt")).await.unwrap().version, ours);
    fs::write(place.path("x.txt"), b"their").unwrap();
    let theirs = place.store.head(&key("x.txt")).await.unwrap();
    assert_ne!(theirs.version, ours);
    assert_eq!(
        theirs.attributes.content_type.as_deref(),
        Some("text/plain")
    );
    let options = GetOptions {
        version: Some(ours.clone()),
        range: None,
    };
    assert_eq!(
        place
            .store
            .get(&key("x.txt"), options)
            .await
            .err()
            .unwrap()
            .kind,
        Kind::Precondition
    );
    let options = PutOptions {
        size: 1,
        attributes: Attributes::default(),
        precondition: Precondition::Version(ours),
    };
    let error = place
        .store
        .put(&key("x.txt"), options, single_chunk("z"))
        .await
        .unwrap_err();
    assert_eq!(error.kind, Kind::Precondition);
    assert_eq!(place.read("x.txt").await.unwrap(), b"their");
    let listed = place.store.list(None, 10).await.unwrap();
    assert_eq!(listed.objects[0].etag, theirs.version.etag);
}

#[tokio::test]
async fn tagging_a_users_file_keeps_its_version() {
    let place = place();
    place.user_file("x", b"abc");
    let before = place.store.head(&key("x")).await.unwrap();
    let tags = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
    place.store.set_tags(&key("x"), &tags).await.unwrap();
    let after = place.store.head(&key("x")).await.unwrap();
    assert_eq!((after.version, after.tag_count), (before.version, 1));
    assert_eq!(place.store.tags(&key("x")).await.unwrap(), tags);
}

#[tokio::test]
async fn a_file_changed_in_place_while_it_is_read_fails_the_read() {
    let place = place();
    let old = vec![1u8; 3 << 20];
    place.user_file("x", &old);
    let version = place.store.head(&key("x")).await.unwrap().version;
    let options = GetOptions {
        version: Some(version),
        range: None,
    };
    let mut body = place.store.get(&key("x"), options).await.unwrap().body;
    body.try_next().await.unwrap().unwrap();
    fs::write(place.path("x"), vec![2u8; 3 << 20]).unwrap();
    let error = loop {
        match body.try_next().await {
            Ok(Some(chunk)) => {
                assert!(chunk.iter().all(|byte| *byte == 1), "bytes of two versions")
            }
            Ok(None) => panic!("a changed file was read to its end"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind, Kind::Precondition);
    // A file that is cut short is no shorter object.
    place.user_file("y", &old);
    let mut body = place
        .store
        .get(&key("y"), GetOptions::default())
        .await
        .unwrap()
        .body;
    body.try_next().await.unwrap().unwrap();
    fs::write(place.path("y"), b"short").unwrap();
    let rest: Result<Vec<Bytes>> = body.try_collect().await;
    assert_eq!(rest.unwrap_err().kind, Kind::Precondition);
}

/// Writers that overwrite in place at full speed: whatever version a pinned read names, its bytes are of one write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pinned_reads_of_a_busy_file_are_never_torn() {
    let place = place();
    let path = place.path("x");
    fs::write(&path, [0u8; 4096]).unwrap();
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let writer = std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || {
            let mut round = 0u8;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                round = round.wrapping_add(1);
                fs::write(&path, [round; 4096]).unwrap();
            }
        }
    });
    for _ in 0..200 {
        let Ok(head) = place.store.head(&key("x")).await else {
            continue;
        };
        let options = GetOptions {
            version: Some(head.version),
            range: None,
        };
        let Ok(read) = place.store.get(&key("x"), options).await else {
            continue;
        };
        if let Ok(chunks) = read.body.try_collect::<Vec<Bytes>>().await {
            let bytes = chunks.concat();
            assert!(bytes.iter().all(|byte| *byte == bytes[0]), "a torn read");
        }
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    writer.join().unwrap();
}

#[tokio::test]
async fn an_object_moves_aside_for_a_directory_and_stays_the_same() {
    let place = place();
    let version = place.put("a", b"object").await.unwrap().version;
    place.put("a/b", b"below").await.unwrap();
    let head = place.store.head(&key("a")).await.unwrap();
    assert_eq!(
        (head.version, head.attributes.content_type.as_deref()),
        (version, Some("text/x-test"))
    );
    assert_eq!(place.read("a").await.unwrap(), b"object");
    assert_eq!(place.names().await, ["a", "a/b"]);
    assert_eq!(fs::read(place.path(".skyfresh-file-a")).unwrap(), b"object");
    // Of two files for one key the plainly named one counts, and deleting the key removes both.
    place
        .store
        .delete(&key("a/b"), &Precondition::None)
        .await
        .unwrap();
    place.user_file("a", b"theirs");
    assert_eq!(place.read("a").await.unwrap(), b"theirs");
    assert_eq!(place.names().await, ["a"]);
    place
        .store
        .delete(&key("a"), &Precondition::None)
        .await
        .unwrap();
    assert!(place.names().await.is_empty());
}

#[tokio::test]
async fn what_a_dead_process_left_is_removed_and_what_a_live_one_writes_is_not() {
    let place = place();
    let root = root::Root::open(place.dir.path(), true).unwrap();
    let hash = sidecar::Shelf::of("x").hash();
    let mut live = staged::Staged::new(&root, &hash).unwrap();
    let mut dead = staged::Staged::new(&root, &hash).unwrap();
    dead.write(&[Bytes::from_static(b"half")]).unwrap();
    let fingerprint = dead.finish(true).unwrap();
    let sidecar = sidecar::Sidecar {
        key: "x".into(),
        stamp: (&fingerprint).into(),
        etag: "e".into(),
        crc64: None,
        attributes: Attributes::default(),
        tags: BTreeMap::new(),
    };
    sidecar::Shelf::of("x").write(&root, &sidecar).unwrap();
    // As if killed: the file stays and its lock goes.
    dead.publish(|_, _| Ok(())).unwrap();
    drop(dead);
    fs::create_dir(place.path(".skyfresh/tmp/some-upload-discarded")).unwrap();
    fs::write(
        place.path(".skyfresh/tmp/some-upload-discarded/part-1"),
        b"1",
    )
    .unwrap();
    assert_eq!((place.count("tmp"), place.count("objects")), (3, 1));

    let another = store_at(place.dir.path());
    another.probe("n").await.unwrap();
    assert_eq!((place.count("tmp"), place.count("objects")), (1, 0));
    live.write(&[Bytes::from_static(b"whole")]).unwrap();
    let content = publish::Content {
        attributes: Attributes::default(),
        tags: BTreeMap::new(),
    };
    publish::publish(&root, "x", live, content, &Precondition::Absent).unwrap();
    assert_eq!(place.read("x").await.unwrap(), b"whole");
}

#[tokio::test]
async fn a_damaged_sidecar_or_part_does_no_harm() {
    let place = place();
    place.put("x", b"abc").await.unwrap();
    let objects = place.path(".skyfresh/objects");
    let shelf = fs::read_dir(objects)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let sidecar = fs::read_dir(shelf).unwrap().next().unwrap().unwrap().path();
    fs::write(sidecar, b"{\"key\":").unwrap();
    assert_eq!(place.read("x").await.unwrap(), b"abc");

    let upload = place
        .store
        .create_upload(&key("y"), &Attributes::default())
        .await
        .unwrap();
    let part = place
        .store
        .upload_part(&key("y"), &upload, 1, 3, single_chunk("abc"))
        .await
        .unwrap();
    let path = place.path(&format!(
        ".skyfresh/uploads/{upload}/part-00001-{}",
        part.etag
    ));
    fs::write(path, b"abcd").unwrap();
    let parts = [CompletedPart {
        number: 1,
        etag: part.etag,
        size: 3,
        crc64: part.crc64,
    }];
    let result = place
        .store
        .complete_upload(&key("y"), &upload, &parts, &Precondition::None)
        .await;
    assert_eq!(result.unwrap_err().kind, Kind::Corrupt);
    assert_eq!(
        place.store.head(&key("y")).await.unwrap_err().kind,
        Kind::Missing
    );
}

#[tokio::test]
async fn copies_come_from_another_directory_too() {
    let (from, to) = (place(), place());
    from.put("x", b"abc").await.unwrap();
    let source = |name: &str| CopySource {
        bucket: Some(from.dir.path().to_str().unwrap().to_owned()),
        full_key: name.to_owned(),
        version: None,
    };
    to.store
        .copy(&key("y"), &source("x"), None, &Precondition::Absent)
        .await
        .unwrap();
    assert_eq!(to.read("y").await.unwrap(), b"abc");
    let head = to.store.head(&key("y")).await.unwrap();
    assert_eq!(head.attributes.content_type.as_deref(), Some("text/x-test"));
    let error = to
        .store
        .copy(&key("y"), &source("absent"), None, &Precondition::None)
        .await
        .unwrap_err();
    assert_eq!(error.kind, Kind::Missing);
}

#[tokio::test]
async fn a_location_of_another_scheme_is_refused() {
    let result = DiskStore::open(
        "mem://x".parse().unwrap(),
        Arc::new(SystemClock),
        DiskOptions::default(),
    );
    assert_eq!(result.unwrap_err().kind, Kind::Invalid);
}
