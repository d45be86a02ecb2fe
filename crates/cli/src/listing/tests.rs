use super::*;
use crate::objects::Reading;
use futures::TryStreamExt as _;
use skyfresh_sky::{Attributes, ManualClock, Timestamp};
use skyfresh_store::memory::{Fault, MemorySky, OperationKind};
use skyfresh_store::{Precondition, PutOptions, single_chunk};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A sky with one bucket, `b`, that counts listings.
#[derive(Debug)]
struct Sky {
    memory: MemorySky,
    lists: Arc<AtomicUsize>,
}

impl OpenStore for Sky {
    fn open(&self, location: &Location) -> skyfresh_store::Result<Arc<dyn ObjectStore>> {
        Ok(self.memory.store(location.clone()))
    }
}

impl Sky {
    async fn with(keys: impl IntoIterator<Item = String>) -> Self {
        let memory = MemorySky::new(Arc::new(ManualClock::at(Timestamp::ZERO)));
        memory.create_bucket("b");
        let store = memory.store("mem://b/".parse().unwrap());
        for key in keys {
            let options = PutOptions {
                size: 1,
                attributes: Attributes::default(),
                precondition: Precondition::None,
            };
            let key = ObjectKey::new(key).unwrap();
            store.put(&key, options, single_chunk("x")).await.unwrap();
        }
        let lists = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&lists);
        memory.set_fault(Box::new(move |operation| {
            counted.fetch_add(
                usize::from(operation.kind == OperationKind::List),
                Ordering::Relaxed,
            );
            None
        }));
        Sky { memory, lists }
    }

    async fn of(keys: &[&str]) -> Self {
        Sky::with(keys.iter().map(|key| (*key).to_owned())).await
    }

    fn place(&self, uri: &str) -> Place {
        Place::open(self, Objects::read(uri, Reading::default()).unwrap()).unwrap()
    }

    async fn level(&self, uri: &str) -> Vec<String> {
        let place = self.place(uri);
        let mut level = Level::new(&place);
        let mut found = Vec::new();
        while let Some(entries) = level.next().await.unwrap() {
            found.extend(entries.iter().map(|entry| entry.key().to_owned()));
        }
        found
    }

    async fn walked(&self, uri: &str, globs: &Globs) -> anyhow::Result<Vec<String>> {
        let pages: Vec<Page> = self.place(uri).pages(globs).try_collect().await?;
        let objects = pages.into_iter().flat_map(|page| page.objects);
        Ok(objects.map(|object| object.key.to_string()).collect())
    }
}

#[tokio::test]
async fn a_level_has_each_common_prefix_once_and_in_order() {
    let sky = Sky::of(&[
        "a",
        "a-b",
        "a/1",
        "a/2/3",
        "a0",
        "b//c",
        "b/x",
        "c/",
        "d/\u{10ffff}",
        "d/\u{10ffff}z",
        "e",
    ])
    .await;
    let whole = ["a", "a-b", "a/", "a0", "b/", "c/", "d/", "e"];
    assert_eq!(sky.level("mem://b").await, whole);
    assert_eq!(sky.level("mem://b/a/").await, ["a/1", "a/2/"]);
    assert_eq!(sky.level("mem://b/b/").await, ["b//", "b/x"]);
    // The object whose key is the prefix itself is in it.
    assert_eq!(sky.level("mem://b/c/").await, ["c/"]);
    assert_eq!(sky.level("mem://b/none/").await, Vec::<String>::new());
}

#[tokio::test]
async fn what_lies_below_a_common_prefix_is_not_read() {
    let mut keys: Vec<String> = (0..2_500).map(|i| format!("large/{i:04}")).collect();
    keys.extend((0..2_500).map(|i| format!("larger/{i:04}")));
    keys.extend((0..20).map(|i| format!("last/\u{10ffff}{i:04}")));
    keys.extend((0..300).map(|i| format!("small-{i}/x")));
    let sky = Sky::with(keys).await;
    let level = sky.level("mem://b").await;
    assert_eq!(level.len(), 303);
    assert_eq!(level[..3], ["large/", "larger/", "last/"]);
    assert_eq!(sky.lists.load(Ordering::Relaxed), 1, "one page of lines");
}

#[tokio::test]
async fn a_prefix_of_the_greatest_length_is_no_obstacle() {
    let directory = "d".repeat(1020);
    let keys = [
        format!("{directory}/1"),
        format!("{directory}/22"),
        "e".to_owned(),
    ];
    let sky = Sky::with(keys).await;
    assert_eq!(
        sky.level("mem://b").await,
        [format!("{directory}/"), "e".to_owned()]
    );
}

#[tokio::test]
async fn what_is_named_is_walked_by_whole_key() {
    let sky = Sky::of(&["log", "logs/", "logs/1.gz", "logs/2.txt", "logs2", "other"]).await;
    let all = Globs::default();
    for (uri, keys) in [
        ("mem://b/logs/", &["logs/", "logs/1.gz", "logs/2.txt"][..]),
        // What stands before the star is a match by itself.
        (
            "mem://b/log*",
            &["log", "logs/", "logs/1.gz", "logs/2.txt", "logs2"],
        ),
        ("mem://b/logs/*", &["logs/1.gz", "logs/2.txt"]),
        ("mem://b/l*.gz", &["logs/1.gz"]),
        ("mem://b/other", &["other"]),
        ("mem://b/none*", &[]),
    ] {
        assert_eq!(sky.walked(uri, &all).await.unwrap(), keys, "{uri}");
    }
    let globs = Globs::new(&["*.gz".into(), "2*".into()], &["1*".into()]).unwrap();
    assert_eq!(
        sky.walked("mem://b/logs/", &globs).await.unwrap(),
        ["logs/2.txt"]
    );
}

#[tokio::test]
async fn what_is_not_there_is_told_with_what_to_do() {
    let sky = Sky::of(&["a/b"]).await;
    let told = |error: anyhow::Error| {
        let told = error.downcast::<Told>().unwrap();
        format!(
            "{:?}: {} ({})",
            told.exit,
            told.message,
            told.hints.join("; ")
        )
    };
    let absent = sky
        .walked("mem://b/a", &Globs::default())
        .await
        .unwrap_err();
    let absent = told(absent);
    assert!(
        absent.starts_with("Failed: there is no object mem://b/a (there are objects below"),
        "{absent}"
    );
    let nowhere = sky.place("mem://b/x/y").or_below(&sky).await.unwrap_err();
    assert_eq!(
        told(nowhere),
        "Failed: there is no object mem://b/x/y (`skyfresh ls 'mem://b/x/'` shows what is there)"
    );
    sky.memory.set_fault(Box::new(|operation| {
        let denied = || skyfresh_store::Error::new(Kind::Denied, "list", "mem://b/", "no");
        (operation.kind == OperationKind::List).then(|| Fault::Refuse(denied()))
    }));
    let denied = sky.place("mem://b/a").or_below(&sky).await.unwrap_err();
    assert_eq!(crate::exit::of(&denied), Exit::Unreachable, "{denied:?}");
    sky.memory.clear_fault();
    let below = sky.place("mem://b/a").or_below(&sky).await.unwrap();
    assert_eq!(below.described(), "mem://b/a/");
    let bucket = sky
        .walked("mem://none/", &Globs::default())
        .await
        .unwrap_err();
    assert_eq!(crate::exit::of(&bucket), Exit::Unreachable, "{bucket:?}");
}
