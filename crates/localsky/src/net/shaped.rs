//! A connection with the delay and the rate of a long way: bytes wait between two pumps until they would have arrived.
//!
//! ```text
//! socket ──read──▶ paced at min(connection, pair) rate ──▶ in flight until + rtt/2 + jitter ──▶ server
//! socket ◀── in flight ◀── paced ◀──────────────────────────────────────────────────── server
//! ```
//!
//! At most 256 chunks of 64 KiB are in flight per direction; then the sender waits, as it would for a full window.
//!
//! Bytes that already waited while a pump slept were on the line all that time, however late the pump woke up: a machine
//! with too little processor time for its pumps does not make the line slower than it is said to be.

use crate::random::StragglerDistribution;
use crate::shaping::{Bandwidth, LinkShape};
use bytes::{Bytes, BytesMut};
use skyfresh_sky::{Clock, Rng};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_util::io::poll_read_buf;

const CHUNK_BYTES: usize = 64 * 1024;
const CHUNKS_IN_FLIGHT: usize = 256;
/// Waits shorter than this are not worth a timer.
const SHORTEST_WAIT_NS: f64 = 1e6;

/// When a line is free to send.
#[derive(Debug, Default)]
struct Pacer {
    free_at_ns: Mutex<f64>,
}

impl Pacer {
    /// Takes the line for `bytes` that are there since `since_ns`; gives the time when the last of them is sent.
    fn reserve(&self, since_ns: f64, bytes: usize, bytes_per_s: f64) -> f64 {
        let mut free_at_ns = self
            .free_at_ns
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *free_at_ns = free_at_ns.max(since_ns) + bytes as f64 / bytes_per_s * 1e9;
        *free_at_ns
    }
}

/// What a machine sends, or receives, over all its ways together.
#[derive(Debug)]
pub struct MachinePort {
    bytes_per_s: f64,
    pacer: Pacer,
}

impl MachinePort {
    /// A port of this rate, in bytes per second.
    pub fn new(bytes_per_s: f64) -> Self {
        MachinePort {
            // A rate of zero would wait for ever.
            bytes_per_s: bytes_per_s.max(1.0),
            pacer: Pacer::default(),
        }
    }
}

/// The way between two regions, shared by all its connections.
#[derive(Debug)]
pub(crate) struct SharedLink {
    pub(crate) shape: LinkShape,
    stragglers: StragglerDistribution,
    upload: Pacer,
    download: Pacer,
    /// What the upload shares with other ways.
    ports: Vec<Arc<MachinePort>>,
}

impl SharedLink {
    pub(crate) fn new(shape: LinkShape, stragglers: StragglerDistribution) -> Self {
        Self::with_ports(shape, stragglers, Vec::new())
    }

    pub(crate) fn with_ports(
        shape: LinkShape,
        stragglers: StragglerDistribution,
        ports: Vec<Arc<MachinePort>>,
    ) -> Self {
        SharedLink {
            shape,
            stragglers,
            upload: Pacer::default(),
            download: Pacer::default(),
            ports,
        }
    }

    /// The server's end of `stream` as seen over this link. `reset` tells how to end it.
    pub(crate) fn connect(
        self: &Arc<Self>,
        stream: TcpStream,
        reset: Arc<AtomicBool>,
        clock: Arc<dyn Clock>,
        rng: Rng,
    ) -> DuplexStream {
        let (near, far) = tokio::io::duplex(CHUNK_BYTES);
        let link = self.clone();
        let share = self.stragglers.draw_share(&rng);
        tokio::spawn(async move { link.carry(stream, far, share, &reset, &*clock, &rng).await });
        near
    }

    async fn carry(
        &self,
        mut stream: TcpStream,
        far: DuplexStream,
        share: f64,
        reset: &AtomicBool,
        clock: &dyn Clock,
        rng: &Rng,
    ) {
        let (from_server, to_server) = tokio::io::split(far);
        {
            let (from_client, to_client) = stream.split();
            let direction = |bandwidth: Bandwidth, total, first_delay, ports| Direction {
                ports,
                total_bytes_per_s: bandwidth.total_bytes_per_s,
                connection_bytes_per_s: bandwidth.connection_bytes_per_s * share,
                total,
                connection: Pacer::default(),
                delay: self.shape.rtt / 2,
                first_delay,
                jitter: self.shape.jitter,
                clock,
                rng,
            };
            // The kernel shook hands at once; a real handshake takes a round trip before the first request.
            let upload = direction(
                self.shape.upload,
                &self.upload,
                self.shape.rtt,
                &self.ports[..],
            );
            let download = direction(self.shape.download, &self.download, Duration::ZERO, &[]);
            let upload = async {
                let _ = upload.pump(from_client, to_server).await;
                // Half closed: what the server still has to say goes on.
                std::future::pending::<()>().await;
            };
            tokio::select! {
                _ = download.pump(from_server, to_client) => {}
                () = upload => {}
            }
        }
        if reset.load(Ordering::Acquire)
            && let Err(error) = stream.set_zero_linger()
        {
            tracing::debug!(%error, "a connection could not be reset");
        }
    }
}

/// Reads once: how many bytes, and whether they had to be waited for.
async fn read(
    from: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
) -> std::io::Result<(usize, bool)> {
    let mut waited = false;
    let count = poll_fn(|context| {
        let polled = poll_read_buf(Pin::new(&mut *from), context, buffer);
        waited |= polled.is_pending();
        polled
    })
    .await?;
    Ok((count, waited))
}

/// One direction of a connection.
struct Direction<'a> {
    total_bytes_per_s: f64,
    connection_bytes_per_s: f64,
    total: &'a Pacer,
    ports: &'a [Arc<MachinePort>],
    connection: Pacer,
    delay: Duration,
    /// Once, before everything else.
    first_delay: Duration,
    jitter: Duration,
    clock: &'a dyn Clock,
    rng: &'a Rng,
}

impl Direction<'_> {
    async fn pump(
        &self,
        from: impl AsyncRead + Unpin,
        to: impl AsyncWrite + Unpin,
    ) -> std::io::Result<()> {
        let (queue, in_flight) = mpsc::channel(CHUNKS_IN_FLIGHT);
        let (sent, arrived) = tokio::join!(self.send(from, queue), self.arrive(to, in_flight));
        sent.and(arrived)
    }

    async fn send(
        &self,
        mut from: impl AsyncRead + Unpin,
        queue: mpsc::Sender<(f64, Bytes)>,
    ) -> std::io::Result<()> {
        let mut extra = self.first_delay;
        let mut last_due_ns = 0.0f64;
        // Nothing was sent before the connection: what lies there when the pump begins is on the line from now on.
        let mut sent_ns = self.clock.monotonic_ns() as f64;
        let mut buffer = BytesMut::new();
        loop {
            buffer.reserve(CHUNK_BYTES);
            let (count, waited) = read(&mut from, &mut buffer).await?;
            if count == 0 {
                return Ok(());
            }
            let chunk = buffer.split().freeze();
            let now_ns = self.clock.monotonic_ns() as f64;
            // What was there at once lay behind the chunk before it.
            let since_ns = if waited { now_ns } else { now_ns.min(sent_ns) };
            sent_ns = self
                .connection
                .reserve(since_ns, chunk.len(), self.connection_bytes_per_s)
                .max(
                    self.total
                        .reserve(since_ns, chunk.len(), self.total_bytes_per_s),
                );
            for port in self.ports {
                let free_ns = port.pacer.reserve(since_ns, chunk.len(), port.bytes_per_s);
                sent_ns = sent_ns.max(free_ns);
            }
            let travel =
                self.delay + std::mem::take(&mut extra) + self.jitter.mul_f64(self.rng.unit());
            // In order, whatever the jitter.
            last_due_ns = last_due_ns.max(sent_ns.max(now_ns) + travel.as_nanos() as f64);
            if queue.send((last_due_ns, chunk)).await.is_err() {
                return Ok(());
            }
            if sent_ns - now_ns > SHORTEST_WAIT_NS {
                self.clock
                    .sleep(Duration::from_nanos((sent_ns - now_ns) as u64))
                    .await;
            }
        }
    }

    async fn arrive(
        &self,
        mut to: impl AsyncWrite + Unpin,
        mut in_flight: mpsc::Receiver<(f64, Bytes)>,
    ) -> std::io::Result<()> {
        while let Some((due_ns, chunk)) = in_flight.recv().await {
            let wait_ns = due_ns - self.clock.monotonic_ns() as f64;
            if wait_ns > 0.0 {
                self.clock.sleep(Duration::from_nanos(wait_ns as u64)).await;
            }
            to.write_all(&chunk).await?;
        }
        to.shutdown().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_shared_in_turn() {
        let pacer = Pacer::default();
        // 1,000 bytes at 1,000,000 bytes/s take a millisecond each.
        assert_eq!(pacer.reserve(1e9, 1_000, 1e6), 1e9 + 1e6);
        for _ in 0..9 {
            pacer.reserve(1e9, 1_000, 1e6);
        }
        assert_eq!(pacer.reserve(1e9, 1_000, 1e6), 1e9 + 11e6);
        // A line that was idle saves nothing up.
        assert_eq!(pacer.reserve(2e9, 1_000, 1e6), 2e9 + 1e6);
    }

    #[tokio::test]
    async fn what_waited_is_told_from_what_was_waited_for() {
        let (mut near, mut far) = tokio::io::duplex(16);
        near.write_all(b"ab").await.unwrap();
        let mut buffer = BytesMut::with_capacity(16);
        assert_eq!(read(&mut far, &mut buffer).await.unwrap(), (2, false));
        let later = async {
            tokio::task::yield_now().await;
            near.write_all(b"c").await.unwrap();
        };
        let (found, ()) = tokio::join!(read(&mut far, &mut buffer), later);
        assert_eq!(found.unwrap(), (1, true));
    }
}
