//! One object in one request at each side: read once, written to every target that wants it.
//!
//! In: a key and the targets that want it. Out: what each target published, proved by checksum. Never: more than
//! [`SMALL_BYTES`](super::SMALL_BYTES) of it in memory; bytes that are not what the source states.

use super::carried;
use super::fan::{again, fan_out};
use super::shared::Shared;
use super::tally::add;
use super::walk::Want;
use crate::copy::{Stated, guarded};
use skyfresh_sky::{Kind, ObjectKey, ObjectVersion};
use skyfresh_store::checksum::{Crc64, Sums};
use skyfresh_store::{
    ByteStream, Error as StoreError, GetOptions, ObjectHead, PutOptions, Result as StoreResult,
    single_chunk, whole_body,
};

/// What went wrong, and on which side.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) error: Box<StoreError>,
    /// At the source; else at the target.
    pub(super) at_source: bool,
}

impl Trouble {
    pub(super) fn at_source(error: StoreError) -> Self {
        Trouble {
            error: Box::new(error),
            at_source: true,
        }
    }

    /// The same for another target.
    pub(super) fn again(&self) -> Self {
        Trouble {
            error: Box::new(again(&self.error)),
            at_source: self.at_source,
        }
    }
}

/// What a write fails with: only bodies that break off are the source's, and those come from reads.
impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        let at_source = error.operation == "get";
        Trouble {
            error: Box::new(error),
            at_source,
        }
    }
}

/// A published copy.
#[derive(Debug)]
pub(super) struct Landed {
    pub(super) source: ObjectVersion,
    pub(super) destination: ObjectVersion,
    pub(super) size: u64,
    pub(super) crc64: Option<Crc64>,
    pub(super) unkept: Vec<String>,
    /// The store copied by itself.
    pub(super) by_server: bool,
}

/// Copies to each of `wants`.
///
/// # Errors
/// The source could not be read at all. What went wrong at a target is that target's result.
pub(super) async fn copy(
    shared: &Shared,
    key: &ObjectKey,
    wants: &[&Want],
) -> Result<Vec<Result<Landed, Trouble>>, Trouble> {
    // What is read once is billed once: to the first.
    let Some(first) = wants.first() else {
        return Ok(Vec::new());
    };
    let usage = &shared.tally.targets[first.target].usage;
    usage.source_read();
    // Not pinned: one answer is one version, and the newest is the best to copy.
    let read = shared.job.source.get(key, GetOptions::default()).await;
    let read = read.map_err(Trouble::at_source)?;
    let head = read.head;
    let stated = Stated::of(&head);
    if head.size <= super::SMALL_BYTES {
        let body = match &shared.throttle {
            Some(throttle) => throttle.limit(read.body),
            None => read.body,
        };
        let wrong_length = |why| StoreError::new(Kind::RetryAfter, "get", key.as_str(), why);
        let bytes = whole_body(body, head.size)
            .await
            .map_err(Trouble::at_source)?;
        let bytes = bytes.map_err(|why| Trouble::at_source(wrong_length(why)))?;
        add(&shared.tally.bytes_read, head.size);
        usage.moved(head.size);
        let sums = Sums::of(&bytes, stated.wanted());
        let corrupt = |why| StoreError::new(Kind::Corrupt, "get", key.as_str(), why);
        stated
            .check(&sums)
            .map_err(|why| Trouble::at_source(corrupt(why)))?;
        let writes = wants
            .iter()
            .map(|want| write(shared, want, key, &head, single_chunk(bytes.clone())));
        let landed = futures::future::join_all(writes).await;
        return Ok(landed
            .into_iter()
            .map(|landed| confirmed(landed, key, head.size, sums.crc64))
            .collect());
    }
    let (body, tally) = guarded(read.body, shared.throttle.as_ref(), stated, key.as_str());
    let landed = match wants {
        [only] => vec![write(shared, only, key, &head, body).await],
        _ => {
            let (bodies, passing_on) = fan_out(body, wants.len());
            let writes = wants
                .iter()
                .zip(bodies)
                .map(|(want, body)| write(shared, want, key, &head, body));
            let ((), landed) = futures::join!(passing_on, futures::future::join_all(writes));
            landed
        }
    };
    let (read_crc64, read_bytes) = tally.read();
    add(&shared.tally.bytes_read, read_bytes);
    usage.moved(read_bytes);
    Ok(landed
        .into_iter()
        .map(|landed| {
            let landed = landed?;
            if read_bytes != head.size {
                let why = format!("{read_bytes} bytes were read, not {}", head.size);
                return Err(StoreError::new(Kind::Corrupt, "verify", key.as_str(), why).into());
            }
            confirmed(Ok(landed), key, head.size, read_crc64)
        })
        .collect())
}

/// What a target published, if its store confirms the bytes that were read.
fn confirmed(
    landed: StoreResult<Landed>,
    key: &ObjectKey,
    size: u64,
    read: Crc64,
) -> Result<Landed, Trouble> {
    let landed = landed?;
    match landed.crc64 {
        Some(stored) if stored != read => {
            let why =
                format!("published with CRC64NVME {stored}, {size} bytes with {read} were read");
            Err(StoreError::new(Kind::Corrupt, "verify", key.as_str(), why).into())
        }
        _ => Ok(Landed {
            crc64: Some(read),
            ..landed
        }),
    }
}

async fn write(
    shared: &Shared,
    want: &Want,
    key: &ObjectKey,
    head: &ObjectHead,
    body: ByteStream,
) -> StoreResult<Landed> {
    let store = &shared.job.targets[want.target].store;
    let usage = &shared.tally.targets[want.target].usage;
    let capabilities = store.capabilities();
    let options = &shared.job.options;
    let fitted = carried::attributes(options, head, &capabilities);
    let name = shared.job.name_at(want.target, key);
    let put = PutOptions {
        size: head.size,
        attributes: fitted.attributes,
        precondition: carried::precondition(
            options,
            want,
            capabilities.put_if_absent,
            capabilities.put_if_version,
        ),
    };
    usage.target_write();
    let receipt = store.put(name, put, body).await?;
    let mut unkept = fitted.unkept;
    if carried::copies_tags(options, head) && capabilities.tags {
        unkept.extend(copy_tags(shared, want.target, key).await);
    }
    Ok(Landed {
        source: head.version.clone(),
        destination: receipt.version,
        size: head.size,
        crc64: receipt.crc64,
        unkept,
        by_server: false,
    })
}

/// Copies tags; what could not be kept, in words.
pub(super) async fn copy_tags(shared: &Shared, target: usize, key: &ObjectKey) -> Option<String> {
    let usage = &shared.tally.targets[target].usage;
    let store = &shared.job.targets[target].store;
    usage.source_read();
    let copied = async {
        let tags = shared.job.source.tags(key).await?;
        usage.target_write();
        store.set_tags(shared.job.name_at(target, key), &tags).await
    };
    let copied: StoreResult<()> = copied.await;
    copied
        .err()
        .map(|error| format!("tags ({})", error.context))
}
