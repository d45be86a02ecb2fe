//! Independent comparison of two stores: knows nothing of marks, stamps, receipts or the ledger.
//!
//! In: two stores. Out: a verdict per key and a dated report. Never: takes size for equality, or an unreadable object for an
//! equal one.

use crate::Result;
use crate::decide::{CommonChecksum, common_checksum, same_content_etag};
use crate::intake::sweep_merge::{Merge, Pair};
use crate::rule::Scope;
use futures::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use skyfresh_sky::{Clock, ObjectKey, ObjectVersion, Timestamp};
use skyfresh_store::checksum::Crc64;
use skyfresh_store::{GetOptions, ListedObject, ObjectStore};

/// Objects compared at once.
const CONCURRENCY: usize = 16;

/// How thoroughly to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// By checksums the stores state; where they state none that can be compared, by reading the bytes of both.
    Checksums,
    /// By reading the bytes of both, always.
    Bytes,
}

/// The verdict on one key, with the sign `rclone check --combined` users know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// `=` Equal on both sides.
    #[serde(rename = "=")]
    Equal,
    /// `+` Only at the source.
    #[serde(rename = "+")]
    OnlySource,
    /// `-` Only at the destination.
    #[serde(rename = "-")]
    OnlyTarget,
    /// `*` On both sides, and different.
    #[serde(rename = "*")]
    Different,
    /// `!` Could not be compared.
    #[serde(rename = "!")]
    Unreadable,
}

impl Verdict {
    /// The sign.
    pub fn sign(self) -> char {
        match self {
            Verdict::Equal => '=',
            Verdict::OnlySource => '+',
            Verdict::OnlyTarget => '-',
            Verdict::Different => '*',
            Verdict::Unreadable => '!',
        }
    }
}

/// One key's comparison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// The key.
    pub key: ObjectKey,
    /// What came of it.
    pub verdict: Verdict,
    /// Bytes at the source (or destination, where only there).
    pub size: u64,
    /// How it was told, or why it could not be.
    pub how: String,
}

/// The whole comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyReport {
    /// When the listings began: "equal as of".
    pub as_of: Timestamp,
    /// `=`
    pub equal: u64,
    /// `+`
    pub only_source: u64,
    /// `-`
    pub only_target: u64,
    /// `*`
    pub different: u64,
    /// `!`
    pub unreadable: u64,
    /// Bytes of equal objects.
    pub equal_bytes: u64,
    /// Bytes read to tell.
    pub bytes_read: u64,
}

impl VerifyReport {
    /// Whether everything at the source is equal at the destination; extra objects there count as a difference.
    pub fn all_equal(&self) -> bool {
        self.only_source + self.only_target + self.different + self.unreadable == 0
    }
}

/// Compares everything in scope; `each` hears every verdict, in no particular order.
///
/// # Errors
/// A listing failed, so nothing can be said of the whole.
pub async fn verify(
    source: &dyn ObjectStore,
    target: &dyn ObjectStore,
    scope: Option<&Scope>,
    depth: Depth,
    clock: &dyn Clock,
    mut each: impl FnMut(&Compared),
) -> Result<VerifyReport> {
    let mut report = VerifyReport {
        as_of: clock.now(),
        ..VerifyReport::default()
    };
    let mut merge = Merge::new(source, target, scope);
    loop {
        let batch = merge.next_batch().await?;
        if batch.is_empty() {
            break;
        }
        let in_scope = batch
            .into_iter()
            .filter(|pair| scope.is_none_or(|scope| scope.covers(&pair.key)));
        let mut compared = stream::iter(in_scope.map(|pair| compare(source, target, pair, depth)))
            .buffer_unordered(CONCURRENCY);
        while let Some((compared, bytes_read)) = compared.next().await {
            match compared.verdict {
                Verdict::Equal => {
                    report.equal += 1;
                    report.equal_bytes += compared.size;
                }
                Verdict::OnlySource => report.only_source += 1,
                Verdict::OnlyTarget => report.only_target += 1,
                Verdict::Different => report.different += 1,
                Verdict::Unreadable => report.unreadable += 1,
            }
            report.bytes_read += bytes_read;
            each(&compared);
        }
    }
    report.unreadable += merge.unusable().len() as u64;
    Ok(report)
}

async fn compare(
    source: &dyn ObjectStore,
    target: &dyn ObjectStore,
    pair: Pair,
    depth: Depth,
) -> (Compared, u64) {
    let Pair {
        key,
        source: at_source,
        target: at_target,
    } = pair;
    let size = at_source
        .as_ref()
        .or(at_target.as_ref())
        .map_or(0, |object| object.size);
    let told = |verdict, how: String| Compared {
        key: key.clone(),
        verdict,
        size,
        how,
    };
    let (a, b) = match (at_source, at_target) {
        (Some(a), Some(b)) => (a, b),
        (Some(_), None) => return (told(Verdict::OnlySource, "only at the source".into()), 0),
        _ => {
            return (
                told(Verdict::OnlyTarget, "only at the destination".into()),
                0,
            );
        }
    };
    if a.size != b.size {
        return (
            told(
                Verdict::Different,
                format!("{} bytes against {}", a.size, b.size),
            ),
            0,
        );
    }
    if depth == Depth::Checksums {
        if same_content_etag(&a.etag, &b.etag) {
            return (told(Verdict::Equal, "MD5".into()), 0);
        }
        match stated_checksums(source, target, &key).await {
            Ok(Some(common)) if common.agrees() => {
                return (told(Verdict::Equal, common.name.into()), 0);
            }
            Ok(Some(CommonChecksum { name, a, b })) => {
                return (
                    told(Verdict::Different, format!("{name} {a} against {b}")),
                    0,
                );
            }
            Ok(None) => {}
            Err(error) => return (told(Verdict::Unreadable, error.to_string()), 0),
        }
    }
    match futures::join!(read(source, &key, &a), read(target, &key, &b)) {
        (Ok(x), Ok(y)) if x == y => (told(Verdict::Equal, "bytes".into()), x.1 + y.1),
        (Ok(x), Ok(y)) => (
            told(
                Verdict::Different,
                format!("bytes: CRC64NVME {} against {}", x.0, y.0),
            ),
            x.1 + y.1,
        ),
        (Err(error), _) | (_, Err(error)) => (told(Verdict::Unreadable, error.to_string()), 0),
    }
}

async fn stated_checksums(
    source: &dyn ObjectStore,
    target: &dyn ObjectStore,
    key: &ObjectKey,
) -> Result<Option<CommonChecksum>> {
    let (a, b) = futures::join!(source.head(key), target.head(key));
    Ok(common_checksum(&a?, &b?))
}

async fn read(
    store: &dyn ObjectStore,
    key: &ObjectKey,
    listed: &ListedObject,
) -> Result<(Crc64, u64)> {
    let version = Some(ObjectVersion::from_etag(&listed.etag));
    let read = store
        .get(
            key,
            GetOptions {
                range: None,
                version,
            },
        )
        .await?;
    let (mut body, tally) = skyfresh_store::checksum::tee(read.body);
    while let Some(chunk) = body.next().await {
        chunk?;
    }
    Ok(tally.read())
}
