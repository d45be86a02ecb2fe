//! What a directory may hold that no object is, and keys that try to leave it.

use super::*;

#[tokio::test]
async fn symbolic_links_are_reported_and_never_followed() {
    let place = place();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), b"secret").unwrap();
    symlink(outside.path(), place.path("dir")).unwrap();
    symlink(outside.path().join("secret"), place.path("file")).unwrap();
    symlink("nowhere", place.path("dangling")).unwrap();
    place.put("real", b"1").await.unwrap();

    let page = place.store.list(None, 1000).await.unwrap();
    assert_eq!(page.objects.len(), 1);
    assert_eq!(page.unusable, ["dangling", "dir", "file"]);
    for name in ["file", "dir/secret", "dangling", "dir/new"] {
        // Not "missing": that would delete copies elsewhere.
        assert_eq!(
            place.store.head(&key(name)).await.unwrap_err().kind,
            Kind::Invalid,
            "{name}"
        );
        assert_eq!(
            place.read(name).await.unwrap_err().kind,
            Kind::Invalid,
            "{name}"
        );
        assert_eq!(
            place.put(name, b"2").await.unwrap_err().kind,
            Kind::Invalid,
            "{name}"
        );
        let deleted = place.store.delete(&key(name), &Precondition::None).await;
        assert_eq!(deleted.unwrap_err().kind, Kind::Invalid, "{name}");
    }
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    assert_eq!(fs::read(outside.path().join("secret")).unwrap(), b"secret");
}

#[tokio::test]
async fn a_link_in_place_of_our_own_directory_is_not_followed() {
    let place = place();
    let outside = tempfile::tempdir().unwrap();
    symlink(outside.path(), place.path(".skyfresh")).unwrap();
    assert!(place.put("x", b"1").await.is_err());
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn no_key_reaches_outside_the_root() {
    let parent = tempfile::tempdir().unwrap();
    let root = parent.path().join("root");
    fs::create_dir(&root).unwrap();
    let store = store_at(&root);
    let place = Place { dir: parent, store };
    for name in [
        "../x",
        "../../x",
        "a/../../../x",
        "/etc/x",
        "..",
        "a/..",
        ".skyfresh/objects/x",
        ".skyfresh",
    ] {
        place.put(name, b"1").await.unwrap();
        assert_eq!(place.read(name).await.unwrap(), b"1", "{name}");
    }
    let beside: Vec<_> = fs::read_dir(place.dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(beside, ["root"]);
    assert_eq!(place.names().await.len(), 8);
}

#[tokio::test]
async fn what_cannot_be_an_object_is_reported_and_blocks_nothing() {
    use std::os::unix::ffi::OsStringExt;
    let place = place();
    let unreadable = std::ffi::OsString::from_vec(b"bad\xff".to_vec());
    fs::write(place.dir.path().join(unreadable), b"1").unwrap();
    fs::write(place.path(".skyfresh-other"), b"1").unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        place.path("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let deep = "d".repeat(200);
    place.user_file(
        &format!("{deep}/{deep}/{deep}/{deep}/{deep}/{deep}"),
        b"too long a key",
    );
    place.user_file("ok", b"1");
    let page = place.store.list(None, 1000).await.unwrap();
    assert_eq!(page.objects.len(), 1);
    assert_eq!(page.unusable.len(), 4, "{:?}", page.unusable);
    assert_eq!(place.read("pipe").await.unwrap_err().kind, Kind::Invalid);
    // And one by one, every line once.
    let (mut after, mut lines) = (None, 0);
    loop {
        let page = place.store.list(after.as_deref(), 1).await.unwrap();
        lines += page.objects.len() + page.unusable.len();
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!(lines, 5);
}

#[tokio::test]
async fn a_directory_that_cannot_be_read_is_an_error_and_not_empty() {
    use std::os::unix::fs::PermissionsExt;
    let place = place();
    place.user_file("locked/x", b"1");
    fs::set_permissions(place.path("locked"), fs::Permissions::from_mode(0o000)).unwrap();
    // The superuser reads everything.
    let readable_anyway = fs::read_dir(place.path("locked")).is_ok();
    let (listed, read) = (
        place.store.list(None, 10).await,
        place.read("locked/x").await,
    );
    fs::set_permissions(place.path("locked"), fs::Permissions::from_mode(0o755)).unwrap();
    if readable_anyway {
        assert_eq!(listed.unwrap().objects.len(), 1);
        assert_eq!(read.unwrap(), b"1");
    } else {
        assert_eq!(listed.unwrap_err().kind, Kind::Denied);
        assert_eq!(read.unwrap_err().kind, Kind::Denied);
    }
}
