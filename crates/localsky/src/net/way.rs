//! A long way to any TCP server on this machine: what a shaped port of a store is, for servers of others.
//!
//! In: where the server is, how the way to it behaves. Out: an address on loopback that leads there over that way. Never: listens
//! anywhere but on 127.0.0.1; looks at the bytes.

use super::bind;
use super::shaped::{MachinePort, SharedLink};
use crate::Result;
use crate::random::StragglerDistribution;
use crate::shaping::LinkShape;
use skyfresh_sky::{Clock, Rng};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A way that is open. Dropped, it takes no more callers, and breaks off those that there are.
#[derive(Debug)]
pub struct ShapedWay {
    address: SocketAddr,
    _open: DropGuard,
}

/// What a way is like.
#[derive(Clone, Debug)]
pub struct WayShape {
    /// Delay and rates; what the caller sends is its upload.
    pub link: LinkShape,
    /// How connections differ.
    pub stragglers: StragglerDistribution,
    /// What else the caller's bytes share with those of other ways: the sending machine's port, the receiving one's.
    pub ports: Vec<Arc<MachinePort>>,
}

impl ShapedWay {
    /// Opens a way to the server at `to`.
    ///
    /// # Errors
    /// No address on loopback is free.
    pub async fn open(
        to: SocketAddr,
        shape: WayShape,
        clock: Arc<dyn Clock>,
        rng: Rng,
    ) -> Result<ShapedWay> {
        let (listener, address) = bind(0).await?;
        let link = SharedLink::with_ports(shape.link, shape.stragglers, shape.ports);
        let link = Arc::new(link);
        let stop = CancellationToken::new();
        let token = stop.clone();
        tokio::spawn(async move {
            while let Some(accepted) = token.run_until_cancelled(listener.accept()).await {
                let Ok((caller, _)) = accepted else {
                    // Out of descriptors: another caller may have better luck.
                    clock.sleep(std::time::Duration::from_millis(100)).await;
                    continue;
                };
                let (link, clock, rng) = (Arc::clone(&link), Arc::clone(&clock), rng.fork());
                tokio::spawn(token.clone().run_until_cancelled_owned(async move {
                    if let Err(error) = pass(caller, to, &link, clock, rng).await {
                        tracing::debug!(%error, %to, "a shaped connection ends");
                    }
                }));
            }
        });
        Ok(ShapedWay {
            address,
            _open: stop.drop_guard(),
        })
    }

    /// Where it begins.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn pass(
    caller: TcpStream,
    to: SocketAddr,
    link: &Arc<SharedLink>,
    clock: Arc<dyn Clock>,
    rng: Rng,
) -> std::io::Result<()> {
    let mut server = TcpStream::connect(to).await?;
    for end in [&caller, &server] {
        // Small frames must not wait for an acknowledgement of the ones before them.
        end.set_nodelay(true)?;
    }
    let mut near = link.connect(caller, Arc::new(AtomicBool::new(false)), clock, rng);
    copy_bidirectional(&mut near, &mut server).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shaping::Bandwidth;
    use skyfresh_sky::SystemClock;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// Sends `count` × 64 KiB over ways of `rate` bytes a second that share `ports`; how long it took, in seconds.
    async fn sent_over(ways: usize, ports: Vec<Arc<MachinePort>>, rate: f64) -> f64 {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = server.local_addr().unwrap();
        let bandwidth = Bandwidth {
            total_bytes_per_s: rate,
            connection_bytes_per_s: rate,
        };
        let shape = WayShape {
            link: LinkShape {
                rtt: Duration::from_millis(20),
                jitter: Duration::ZERO,
                upload: bandwidth,
                download: bandwidth,
            },
            stragglers: StragglerDistribution::NONE,
            ports,
        };
        let began_ns = clock.monotonic_ns();
        let mut open = Vec::new();
        for _ in 0..ways {
            let way = ShapedWay::open(to, shape.clone(), Arc::clone(&clock), Rng::seeded(1));
            let way = way.await.unwrap();
            let mut stream = TcpStream::connect(way.address()).await.unwrap();
            tokio::spawn(async move {
                stream.write_all(&[7; 512 << 10]).await.unwrap();
                stream.shutdown().await.unwrap();
                let mut rest = Vec::new();
                let _ = stream.read_to_end(&mut rest).await;
            });
            open.push(way);
        }
        for _ in 0..ways {
            let (mut stream, _) = server.accept().await.unwrap();
            let mut bytes = vec![0; 512 << 10];
            stream.read_exact(&mut bytes).await.unwrap();
            assert!(bytes.iter().all(|byte| *byte == 7));
        }
        (clock.monotonic_ns() - began_ns) as f64 / 1e9
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn bytes_take_as_long_as_the_way_and_the_ports_say() {
        // 512 KiB at 4 MiB/s is an eighth of a second, whatever the machine's speed.
        assert!(sent_over(1, Vec::new(), 4.0 * 1_048_576.0).await >= 0.125);
        let port = Arc::new(MachinePort::new(2.0 * 1_048_576.0));
        // Two ways of that rate share a port of half of it: a MiB at 2 MiB/s.
        assert!(sent_over(2, vec![port], 4.0 * 1_048_576.0).await >= 0.5);
    }
}
