//! One GET into one PUT.

use super::{Stated, Urgency, guarded};
use crate::decide::Plan;
use crate::finish::Published;
use crate::lane::Lane;
use crate::usage::Usage;
use crate::{Error, Result};
use skyfresh_ledger::Claim;
use skyfresh_sky::{Kind, Mutant};
use skyfresh_store::{GetOptions, GetResult, PutOptions};

/// Copies and publishes in one request. `opened` is a read of the planned version that has already begun.
pub(crate) async fn copy_inline(
    lane: &Lane,
    claim: &Claim,
    plan: &Plan,
    opened: Option<GetResult>,
    usage: &Usage,
) -> Result<Published> {
    let (key, line) = (&claim.task.task.key, &lane.shared.inline);
    // A source does not keep a connection open for as long as others may take.
    let opened = opened.filter(|_| line.is_free());
    let _turn = line.enter(1, Urgency::of(lane, claim, plan).into()).await;
    let read = match opened.filter(|read| read.head.version == plan.source) {
        Some(read) => read,
        None => {
            usage.source_read();
            lane.read_store(plan)
                .get(
                    key,
                    GetOptions {
                        range: None,
                        version: Some(plan.read_version().clone())
                            .filter(|_| !Mutant::NoVersionPin.is_on()),
                    },
                )
                .await?
        }
    };
    let (body, tally) = guarded(
        read.body,
        lane.throttle.as_ref(),
        Stated::by(plan),
        key.as_str(),
    );
    let options = PutOptions {
        size: plan.size,
        attributes: plan.attributes.clone(),
        precondition: plan.precondition.clone(),
    };
    usage.target_write();
    let put = lane.target.put(key, options, body).await;
    let (sent, moved) = tally.read();
    usage.moved(moved);
    let receipt = put?;
    if moved != plan.size || receipt.crc64.is_some_and(|stored| stored != sent) {
        let why = format!(
            "published {moved} bytes with CRC64NVME {sent}, the store states {:?}; {} bytes were planned",
            receipt.crc64, plan.size
        );
        return Err(Error::new(Kind::Corrupt, "verify", key.as_str(), why));
    }
    Ok(Published {
        version: receipt.version,
        crc64: Some(sent),
    })
}
