//! What only this backend has: a lock, a disk that fills up, files of others, restarts.

use super::database::{builder, open_file};
use super::*;
use crate::*;
use redb::StorageBackend;
use redb::backends::FileBackend;
use skyfresh_sky::{ObjectKey, Timestamp};
use std::fs::OpenOptions;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn at(ms: u64) -> Timestamp {
    Timestamp::from_unix_ms(ms)
}

fn key(name: &str) -> TaskKey {
    TaskKey {
        rule: "rule".into(),
        destination: "eu".into(),
        key: ObjectKey::new(name).unwrap(),
    }
}

fn submission(name: &str) -> Submission {
    let signal = Signal {
        origin: Origin::Live,
        changed: at(1),
        notified: at(2),
        size: Some(10),
    };
    Submission {
        task: key(name),
        signal,
    }
}

fn request(owner: &str, limit: usize, now: u64) -> ClaimRequest {
    let (rule, destination, owner) = ("rule".into(), "eu".into(), owner.into());
    ClaimRequest {
        rule,
        destination,
        owner,
        lease: Duration::from_secs(60),
        limit,
        now: at(now),
    }
}

fn temporary() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger");
    (directory, path)
}

#[tokio::test]
async fn a_second_owner_is_told_who_has_the_file() {
    let (_directory, path) = temporary();
    let first = EmbeddedLedger::open(&path, "first").await.unwrap();
    let error = EmbeddedLedger::open(&path, "second").await.unwrap_err();
    assert_eq!(error.kind, Kind::Denied);
    assert!(
        error.to_string().contains("locked by this process"),
        "{error}"
    );
    first.close().await;
    assert_eq!(first.task(&key("a")).await.unwrap_err().kind, Kind::Denied);
    assert_eq!(
        first.submit(vec![submission("a")]).await.unwrap_err().kind,
        Kind::Denied
    );
    let second = EmbeddedLedger::open(&path, "second").await.unwrap();
    assert_eq!(second.task(&key("a")).await.unwrap(), None);
    first.close().await;
    // Dropping unlocks as well.
    drop(second);
    EmbeddedLedger::open(&path, "third").await.unwrap();
}

#[tokio::test]
async fn closing_keeps_what_was_handed_in_before() {
    let (_directory, path) = temporary();
    let ledger = EmbeddedLedger::open(&path, "one").await.unwrap();
    let mut submissions = tokio::task::JoinSet::new();
    let ledger = Arc::new(ledger);
    for n in 0..200 {
        let ledger = Arc::clone(&ledger);
        submissions.spawn(async move {
            ledger
                .submit(vec![submission(&format!("k{n}"))])
                .await
                .is_ok()
        });
    }
    tokio::task::yield_now().await;
    ledger.close().await;
    let accepted = submissions
        .join_all()
        .await
        .into_iter()
        .filter(|accepted| *accepted)
        .count() as u64;
    let ledger = EmbeddedLedger::open(&path, "two").await.unwrap();
    assert_eq!(
        ledger.recount("rule", "eu").await.unwrap().objects,
        accepted
    );
}

#[tokio::test]
async fn after_a_restart_no_lease_of_the_dead_blocks() {
    let (_directory, path) = temporary();
    let ledger = EmbeddedLedger::open(&path, "one").await.unwrap();
    let many = 2_300;
    ledger
        .submit((0..many).map(|n| submission(&format!("k{n}"))).collect())
        .await
        .unwrap();
    let claims = ledger.claim(request("one", many, 10)).await.unwrap();
    let last_token = claims.iter().map(|claim| claim.token).max().unwrap();
    ledger.open_pool("x", 5).await.unwrap();
    let minute = Duration::from_secs(60);
    ledger
        .claim_parts("x", "one/w1", 3, minute, minute, at(10))
        .await
        .unwrap();
    ledger.close().await;

    // The same incarnation, as after closing and opening by one living process, keeps its claims.
    let ledger = EmbeddedLedger::open(&path, "one").await.unwrap();
    assert!(
        ledger
            .claim(request("one", 9, 11))
            .await
            .unwrap()
            .is_empty()
    );
    ledger.close().await;

    let ledger = EmbeddedLedger::open(&path, "two").await.unwrap();
    ledger.recount("rule", "eu").await.unwrap();
    let again = ledger.claim(request("two", many, 11)).await.unwrap();
    assert_eq!(again.len(), many);
    assert!(
        again
            .iter()
            .all(|claim| claim.takeover && claim.token > last_token)
    );
    let stale = ledger
        .renew(&claims[0].task.task, claims[0].token, at(99))
        .await;
    assert!(stale.unwrap_err().is_stale());
    let parts = ledger
        .claim_parts("x", "two/w1", 9, minute, minute, at(11))
        .await
        .unwrap();
    assert_eq!(
        parts
            .iter()
            .map(|part| (part.number, part.duplicate))
            .collect::<Vec<_>>(),
        [(1, false), (2, false), (3, false), (4, false), (5, false)]
    );
}

#[tokio::test]
async fn files_that_are_no_ledger_are_left_alone() {
    let (_directory, path) = temporary();
    std::fs::write(&path, b"a photograph of a cat, say").unwrap();
    let error = EmbeddedLedger::open(&path, "one").await.unwrap_err();
    assert_eq!(error.kind, Kind::Corrupt);
    assert!(error.to_string().contains("not a ledger"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), b"a photograph of a cat, say");

    let missing = path.with_file_name("missing").join("ledger");
    let error = EmbeddedLedger::open(&missing, "one").await.unwrap_err();
    assert_eq!(error.kind, Kind::Invalid);
    assert!(
        error.to_string().contains("a directory that exists"),
        "{error}"
    );
}

#[tokio::test]
async fn a_newer_format_is_refused_and_a_half_made_file_is_made_anew() {
    let (_directory, path) = temporary();
    // Creation was interrupted before the file got its name.
    std::fs::write(path.with_file_name("ledger.new"), vec![0; 4_096]).unwrap();
    std::fs::write(&path, b"").unwrap();
    EmbeddedLedger::open(&path, "one")
        .await
        .unwrap()
        .close()
        .await;
    assert!(!path.with_file_name("ledger.new").exists());

    let database = open_file(&path).unwrap();
    let row = (
        crate::tables::META_FORMAT.to_vec(),
        Some(99_u64.to_be_bytes().to_vec()),
    );
    super::view::apply(&database, vec![(crate::tables::Table::Meta, [row].into())]).unwrap();
    drop(database);
    let error = EmbeddedLedger::open(&path, "one").await.unwrap_err();
    assert_eq!(error.kind, Kind::Unsupported);
    assert!(error.to_string().contains("format 99"), "{error}");
}

/// Says "disk full" to every write while [`FULL`] is set.
#[derive(Debug)]
struct FillingDisk(FileBackend);

static FULL: AtomicBool = AtomicBool::new(false);

impl FillingDisk {
    fn room(&self) -> io::Result<()> {
        match FULL.load(Ordering::SeqCst) {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }
}

impl StorageBackend for FillingDisk {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.room()?;
        self.0.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.room()?;
        self.0.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.room()?;
        self.0.write(offset, data)
    }
    fn close(&self) -> io::Result<()> {
        self.0.close()
    }
}

fn open_filling(path: &Path) -> Result<redb::Database, redb::Error> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    let disk = FillingDisk(FileBackend::new(file).map_err(redb::Error::from)?);
    Ok(builder().create_with_backend(disk)?)
}

#[tokio::test]
async fn a_full_disk_is_an_error_until_there_is_space() {
    let (_directory, path) = temporary();
    let ledger = EmbeddedLedger::open_with(path.clone(), "one", open_filling)
        .await
        .unwrap();
    ledger.submit(vec![submission("before")]).await.unwrap();
    let first = ledger.claim(request("one", 1, 10)).await.unwrap();

    FULL.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        let error = ledger.submit(vec![submission("during")]).await.unwrap_err();
        assert_eq!(error.kind, Kind::RetryAfter);
        assert!(error.to_string().contains("free some space"), "{error}");
        assert!(!error.is_stale());
    }

    FULL.store(false, Ordering::SeqCst);
    ledger.submit(vec![submission("after")]).await.unwrap();
    assert!(ledger.task(&key("before")).await.unwrap().is_some());
    assert!(ledger.task(&key("after")).await.unwrap().is_some());
    // Claims and tokens survive the reopening: this process did not die.
    ledger
        .renew(&key("before"), first[0].token, at(99_999))
        .await
        .unwrap();
    let next = ledger.claim(request("one", 1, 10)).await.unwrap();
    assert!(next[0].token > first[0].token);
    ledger.recount("rule", "eu").await.unwrap();
    ledger.close().await;
    let reopened = EmbeddedLedger::open(&path, "two").await.unwrap();
    assert!(reopened.recount("rule", "eu").await.unwrap().objects >= 2);
}

#[tokio::test]
async fn a_refused_change_does_not_fail_its_batch() {
    let (_directory, path) = temporary();
    let ledger = Arc::new(EmbeddedLedger::open(&path, "one").await.unwrap());
    let mut calls = tokio::task::JoinSet::new();
    for n in 0..100 {
        let ledger = Arc::clone(&ledger);
        calls.spawn(async move {
            if n % 2 == 0 {
                ledger
                    .submit(vec![submission(&format!("k{n}"))])
                    .await
                    .map(|_| ())
            } else {
                ledger.renew(&key(&format!("k{n}")), 7, at(9)).await
            }
        });
    }
    let results = calls.join_all().await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 50);
    assert!(
        results
            .iter()
            .filter_map(|result| result.as_ref().err())
            .all(Error::is_stale)
    );
    assert_eq!(ledger.recount("rule", "eu").await.unwrap().objects, 50);
}

#[tokio::test]
#[expect(
    clippy::print_stdout,
    reason = "the figure is worth seeing: cargo test -- --nocapture mark"
)]
async fn a_mark_takes_at_most_64_bytes_on_disk() {
    const MARKS: u64 = 200_000;
    let (_directory, path) = temporary();
    let ledger = EmbeddedLedger::open(&path, "one").await.unwrap();
    for batch in 0..MARKS / 2_000 {
        let marks = (batch * 2_000..(batch + 1) * 2_000).map(|n| {
            let name = format!("datasets/images/train/{n:012}.jpeg");
            (
                ObjectKey::new(name).unwrap(),
                Mark {
                    source: n,
                    destination: !n,
                },
            )
        });
        ledger
            .put_marks("rule", "eu", marks.collect())
            .await
            .unwrap();
    }
    ledger.close().await;
    let database = open_file(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    let (stored, allocated) = {
        use redb::ReadableTableMetadata;
        let marks = transaction.open_table(super::view::MARKS).unwrap();
        assert_eq!(marks.len().unwrap(), MARKS);
        let stats = marks.stats().unwrap();
        let all = stats.stored_bytes() + stats.metadata_bytes() + stats.fragmented_bytes();
        (
            stats.stored_bytes() as f64 / MARKS as f64,
            all as f64 / MARKS as f64,
        )
    };
    transaction.abort().unwrap();
    drop(database);
    let file = std::fs::metadata(&path).unwrap().len() as f64 / MARKS as f64;
    let figures =
        format!("bytes per mark: {stored:.1} stored, {allocated:.1} with pages, {file:.1} of file");
    println!("{figures}");
    assert!(allocated <= 64.0, "{figures}");
}
