//! The owner's connection: orders in, reports out.

use super::flow::{Flow, Unopened};
use super::message::{decode, encode};
use super::{Order, Report, Shared, lock};
use crate::crypto::{OWNER, PayloadKey, Peer, Reader, Sealer, Writer};
use crate::frame::{Frame, read_frame, reason};
use crate::program::Program;
use crate::{Error, NodeId, Result};
use skyfresh_sky::Kind;
use std::collections::HashSet;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio_util::sync::CancellationToken;

/// Follows the owner until the connection ends. A newer connection of the owner replaces an older one.
pub(super) async fn serve(
    shared: &Arc<Shared>,
    mut reader: Reader,
    mut writer: Writer,
    peer: &Peer,
) -> Result<()> {
    if !shared.endpoint.is(peer, &NodeId::new(OWNER)?) {
        return Err(Error::new(
            Kind::Denied,
            "take orders",
            "the caller is not the job's owner",
        ));
    }
    let replaced = CancellationToken::new();
    std::mem::replace(&mut *lock(&shared.owner_connection), replaced.clone()).cancel();
    shared.hear_owner();
    tokio::select! {
        result = listen(shared, &mut reader) => result,
        result = tell(shared, &mut writer) => result,
        () = replaced.cancelled() => Ok(()),
    }
}

async fn tell(shared: &Arc<Shared>, writer: &mut Writer) -> Result<()> {
    let failed = |error| Error::io("report", "owner", error);
    loop {
        let report = shared.reports.pop().await;
        writer.write_all(&encode(&report)?).await.map_err(failed)?;
        while let Some(report) = shared.reports.try_pop() {
            writer.write_all(&encode(&report)?).await.map_err(failed)?;
        }
        writer.flush().await.map_err(failed)?;
    }
}

async fn listen(shared: &Arc<Shared>, reader: &mut Reader) -> Result<()> {
    loop {
        let Frame::Control(message) = read_frame(&mut **reader, true).await? else {
            return Err(Error::new(
                Kind::Corrupt,
                "take orders",
                "the owner says what only relays may",
            ));
        };
        shared.hear_owner();
        match decode(&message)? {
            Order::Configure { program, key } => {
                let report = match configure(shared, program, key).await {
                    Ok(()) => Report::Configured,
                    Err(unopened) => Report::Refused {
                        destination: unopened.destination,
                        kind: unopened.error.kind,
                        why: reason(&unopened.error),
                    },
                };
                shared.reports.push(report);
            }
            Order::Assign(assignments) => {
                for assignment in assignments {
                    // A tree that is gone by now: the owner has replaced it, and assigns the chunk anew.
                    if let Some(flow) = shared.flow(assignment.tree) {
                        flow.assignments.push(assignment);
                    }
                }
            }
            Order::Ping => shared.reports.push(Report::Pong(shared.counters.usage())),
            Order::Stop => {
                shared.stop.cancel();
                return Ok(());
            }
        }
    }
}

async fn configure(
    shared: &Arc<Shared>,
    program: Program,
    key: Option<PayloadKey>,
) -> Result<(), Unopened> {
    let refused = |error| Unopened {
        destination: None,
        error,
    };
    program.validate().map_err(refused)?;
    let identity = shared.endpoint.identity();
    if program.job != identity.job || program.node != identity.node {
        return Err(refused(Error::invalid(
            "take program",
            "it is for another node",
        )));
    }
    let wanted: HashSet<_> = program.routes.iter().map(|route| route.tree).collect();
    lock(&shared.flows).retain(|tree, flow| {
        let kept = wanted.contains(tree);
        if !kept {
            flow.stop.cancel();
        }
        kept
    });
    let sealer = match &key {
        Some(key) => Some(shared.sealer(key).map_err(refused)?),
        None => None,
    };
    for route in &program.routes {
        if shared.flow(route.tree).is_none() {
            let flow = Flow::begin(shared, &program, route.clone(), sealer.clone()).await?;
            lock(&shared.flows).insert(route.tree, flow);
        }
    }
    Ok(())
}

impl Shared {
    /// The node's one sealer: it remembers across programs what it has sealed.
    fn sealer(&self, key: &PayloadKey) -> Result<Arc<Sealer>> {
        let mut standing = lock(&self.sealer);
        if let Some(sealer) = &*standing {
            return Ok(Arc::clone(sealer));
        }
        let sealer = Arc::new(Sealer::new(key)?);
        *standing = Some(Arc::clone(&sealer));
        Ok(sealer)
    }
}
