//! Signals: the first SIGINT or SIGTERM asks to stop, the second one does not ask.

use crate::exit::Exit;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that is cancelled by the first SIGINT or SIGTERM. Must be called inside the runtime.
///
/// # Errors
/// The operating system refuses to deliver signals.
pub(crate) fn stop_on_signals() -> std::io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    let asked = stop.clone();
    tokio::spawn(async move {
        either(&mut interrupt, &mut terminate).await;
        asked.cancel();
        either(&mut interrupt, &mut terminate).await;
        // Safe at any instant: leases run out and the ledger survives, as after any crash.
        std::process::exit(Exit::Interrupted as i32);
    });
    Ok(stop)
}

async fn either(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// SIGHUP: "read your configuration again".
///
/// # Errors
/// The operating system refuses to deliver signals.
pub(crate) fn hangup() -> std::io::Result<Signal> {
    signal(SignalKind::hangup())
}
