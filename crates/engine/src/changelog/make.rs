//! Carries a recipe out: the destination's store copies, this process only asks and compares.
//!
//! In: a recipe, the source's head. Out: the object, published and verified. Never: reports what no checksum shows to be the
//! source's version; leaves an upload that no intent tells of.

use super::recipe::{Held, Piece, Recipe, Way};
use crate::attempt::{begin, forget_order};
use crate::decide::{Plan, common_checksum};
use crate::finish::Published;
use crate::lane::Lane;
use crate::rule::STAMP;
use crate::usage::Usage;
use crate::{Error, Result};
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use skyfresh_ledger::Claim;
use skyfresh_sky::{Kind, ObjectKey, ObjectVersion};
use skyfresh_store::checksum::Crc64;
use skyfresh_store::{CompletedPart, CopySource, ObjectHead, PutReceipt};

/// Requests of one object under way at once.
pub(super) const AT_ONCE: usize = 8;

/// An object that the destination's store made.
pub(crate) struct Made {
    pub(crate) published: Published,
    /// How, for the receipt.
    pub(crate) strategy: String,
}

/// Where the store reads what it copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// In the destination itself: objects that it holds already.
    Destination,
    /// In the source, with the destination's credentials.
    Source,
}

/// A recipe to be carried out.
#[derive(Clone, Copy)]
pub(crate) struct Making<'a> {
    pub(crate) lane: &'a Lane,
    pub(crate) claim: &'a Claim,
    pub(crate) plan: &'a Plan,
    /// The source object as it was just seen.
    pub(crate) source: &'a ObjectHead,
    pub(crate) recipe: &'a Recipe,
    pub(crate) from: Origin,
    pub(crate) usage: &'a Usage,
}

impl Making<'_> {
    /// Makes the object, and proves it.
    ///
    /// # Errors
    /// [`Kind::Precondition`] where something changed underneath; [`Kind::Corrupt`] where it is not shown to be the source's
    /// version, although it may be visible by now; whatever the stores or the ledger answer.
    pub(crate) async fn make(self) -> Result<Made> {
        let receipt = match &self.recipe.way {
            Way::Copy(input) => self.copy(input).await?,
            Way::Assemble(pieces) => self.assemble(pieces).await?,
        };
        self.verify(&receipt).await?;
        Ok(Made {
            published: Published {
                version: receipt.version,
                crc64: self.recipe.crc64.or(receipt.crc64),
            },
            strategy: self.recipe.name.clone(),
        })
    }

    fn key(&self) -> &ObjectKey {
        &self.claim.task.task.key
    }

    fn pinned(&self, key: &ObjectKey, version: &ObjectVersion) -> CopySource {
        let (bucket, location) = match self.from {
            Origin::Destination => (None, self.lane.target.location()),
            Origin::Source => {
                let location = self.lane.source.location();
                (Some(location.bucket.clone()), location)
            }
        };
        CopySource {
            bucket,
            full_key: location.full_key(key),
            version: Some(version.clone()),
        }
    }

    /// Counts bytes that a copy has read: what left the source is paid for, whoever carried it.
    fn copied(&self, bytes: u64) {
        if self.from == Origin::Source {
            self.usage.copied(bytes);
        }
    }

    async fn copy(&self, input: &Held) -> Result<PutReceipt> {
        let from = self.pinned(&input.key, &input.version);
        let mut attributes = self.plan.attributes.clone();
        if self.from == Origin::Source {
            // It is visible before it is proved, and another bucket may state other checksums than the source's: a stamp would
            // pass for the proof should this process die in between. What is proved needs none: both sides state one checksum.
            attributes.user.remove(STAMP);
        }
        self.usage.target_write();
        let condition = &self.recipe.precondition;
        let target = &self.lane.target;
        let receipt = target
            .copy(self.key(), &from, Some(&attributes), condition)
            .await?;
        self.copied(input.size);
        Ok(receipt)
    }

    /// Fills the parts of an upload with the pieces, and completes it once the store has stated the checksum that was expected.
    async fn assemble(&self, pieces: &[Piece]) -> Result<PutReceipt> {
        let (lane, key) = (self.lane, self.key());
        let order = begin(lane, self.claim, self.plan, self.usage).await?;
        let filled = async {
            let parts = self.fill(&order.upload, pieces).await?;
            let made = parts.iter().try_fold(Crc64::EMPTY, |made, part| {
                Some(made.then(part.crc64?, part.size))
            });
            let expected = self.recipe.crc64;
            if made.is_none() || made != expected {
                let why = format!(
                    "the parts have CRC64NVME {made:?}, not {expected:?}: nothing is published"
                );
                return Err(Error::new(Kind::Corrupt, "verify", key.as_str(), why));
            }
            self.usage.target_write();
            let completed = lane
                .target
                .complete_upload(key, &order.upload, &parts, &self.recipe.precondition)
                .await?;
            Ok(completed)
        };
        match filled.await {
            Ok(receipt) => {
                let ended = lane.shared.ledger.end_upload(&order.attempt).await;
                if let Err(error) = ended {
                    tracing::debug!(%key, %error, "the janitor will forget this upload");
                }
                Ok(receipt)
            }
            Err(error) => {
                forget_order(lane, self.claim, order).await?;
                Err(error)
            }
        }
    }

    async fn fill(&self, upload: &str, pieces: &[Piece]) -> Result<Vec<CompletedPart>> {
        let making = *self;
        let copies = pieces.iter().zip(1u32..).map(|(piece, number)| {
            async move {
                let from = making.pinned(&piece.key, &piece.version);
                making.usage.target_write();
                let target = &making.lane.target;
                let receipt = target
                    .copy_part(making.key(), upload, number, &from, piece.range.clone())
                    .await?;
                making.copied(piece.size());
                Ok::<_, Error>(CompletedPart {
                    number,
                    etag: receipt.etag,
                    size: piece.size(),
                    crc64: receipt.crc64,
                })
            }
            .boxed()
        });
        // Collected first: a stream of lazily made futures is not known to be `Send`.
        let copies: Vec<_> = copies.collect();
        stream::iter(copies).buffered(AT_ONCE).try_collect().await
    }

    /// Holds what the destination states of the published object against the source: its answer, or else its head.
    async fn verify(&self, receipt: &PutReceipt) -> Result<()> {
        let key = self.key();
        let corrupt = |why: String| Error::new(Kind::Corrupt, "verify", key.as_str(), why);
        match (receipt.crc64, self.recipe.crc64) {
            (Some(stated), Some(expected)) if stated == expected => return Ok(()),
            (Some(stated), Some(expected)) => {
                return Err(corrupt(format!(
                    "made with CRC64NVME {stated}, the source has {expected}"
                )));
            }
            // Its parts were compared before it was completed.
            (None, Some(_)) if matches!(self.recipe.way, Way::Assemble(_)) => return Ok(()),
            _ => {}
        }
        self.usage.target_read();
        let head = self.lane.target.head(key).await?;
        if head.version != receipt.version {
            let why = "replaced by another writer since";
            return Err(Error::new(Kind::Precondition, "verify", key.as_str(), why));
        }
        match common_checksum(self.source, &head) {
            Some(common) if common.agrees() && head.size == self.source.size => Ok(()),
            Some(common) => Err(corrupt(format!(
                "made with {} {}, the source has {}",
                common.name, common.b, common.a
            ))),
            None => Err(corrupt("the destination states no checksum of it".into())),
        }
    }
}
