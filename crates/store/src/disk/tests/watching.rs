//! Watching a directory.

use super::*;
use futures::stream::BoxStream;

async fn next(events: &mut BoxStream<'static, WatchEvent>) -> Option<WatchEvent> {
    skyfresh_sky::timeout(&SystemClock, Duration::from_secs(20), events.next())
        .await
        .expect("an event")
}

async fn expect_keys(events: &mut BoxStream<'static, WatchEvent>, expected: &[&str]) {
    let mut left: std::collections::BTreeSet<&str> = expected.iter().copied().collect();
    while !left.is_empty() {
        match next(events).await {
            Some(WatchEvent::Changed(key)) => {
                assert!(
                    expected.contains(&key.as_str()),
                    "{key} did not change; waiting for {left:?}"
                );
                left.remove(key.as_str());
            }
            other => panic!("{other:?} while waiting for {left:?}"),
        }
    }
}

#[tokio::test]
async fn every_way_to_change_a_file_is_seen() {
    let place = place();
    place.user_file("old/x", b"1");
    let mut events = place.store.watch().await.unwrap();
    place.user_file("old/x", b"2");
    expect_keys(&mut events, &["old/x"]).await;
    fs::rename(place.path("old/x"), place.path("old/y")).unwrap();
    expect_keys(&mut events, &["old/x", "old/y"]).await;
    fs::hard_link(place.path("old/y"), place.path("z")).unwrap();
    expect_keys(&mut events, &["z"]).await;
    fs::remove_file(place.path("z")).unwrap();
    expect_keys(&mut events, &["z"]).await;
    // Directories that come later, with what is in them already.
    place.user_file("new/deep/er/x", b"1");
    expect_keys(&mut events, &["new/deep/er/x"]).await;
    place.user_file("new/deep/er/x2", b"1");
    expect_keys(&mut events, &["new/deep/er/x2"]).await;
    // What is written through the store, odd keys included; nothing of what it keeps for itself.
    place.put("by/us//../x/", b"1").await.unwrap();
    expect_keys(&mut events, &["by/us//../x/"]).await;
    place
        .store
        .delete(&key("by/us//../x/"), &Precondition::None)
        .await
        .unwrap();
    expect_keys(&mut events, &["by/us//../x/"]).await;
}

#[tokio::test]
async fn a_renamed_directory_asks_for_a_sweep_and_is_watched_under_its_new_name() {
    let place = place();
    place.user_file("a/b/x", b"1");
    let mut events = place.store.watch().await.unwrap();
    fs::rename(place.path("a"), place.path("c")).unwrap();
    assert_eq!(next(&mut events).await, Some(WatchEvent::Rescan));
    expect_keys(&mut events, &["c/b/x"]).await;
    place.user_file("c/b/y", b"1");
    expect_keys(&mut events, &["c/b/y"]).await;
}

#[tokio::test]
async fn a_watch_ends_with_its_directory_and_none_begins_without_one() {
    let place = place();
    let mut events = place.store.watch().await.unwrap();
    fs::remove_dir_all(place.dir.path()).unwrap();
    assert_eq!(next(&mut events).await, Some(WatchEvent::Rescan));
    assert_eq!(next(&mut events).await, None);
    assert!(place.store.watch().await.err().unwrap().is_missing_bucket());
}

/// More changes than the kernel keeps: the stream says that some were lost.
#[tokio::test]
async fn an_overflow_asks_for_a_sweep() {
    let place = place();
    let queue: usize = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(16_384);
    let mut events = place.store.watch().await.unwrap();
    let (one, two) = (place.path("one"), place.path("two"));
    fs::write(&one, b"1").unwrap();
    for _ in 0..=queue / 4 {
        fs::rename(&one, &two).unwrap();
        fs::rename(&two, &one).unwrap();
    }
    loop {
        match next(&mut events).await {
            Some(WatchEvent::Rescan) => break,
            Some(WatchEvent::Changed(_)) => {}
            None => panic!("the watch ended"),
        }
    }
    place.user_file("after", b"1");
    loop {
        match next(&mut events).await {
            Some(WatchEvent::Changed(key)) if key.as_str() == "after" => break,
            Some(_) => {}
            None => panic!("the watch ended"),
        }
    }
}
