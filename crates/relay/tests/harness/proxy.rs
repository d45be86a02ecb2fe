//! A wire that a test can cut, or on which it can flip a bit.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// What is done to every connection but the first, which is the owner's.
#[derive(Default)]
pub(crate) struct Wire {
    pub(crate) cut: CancellationToken,
    /// Flips one bit at this place of the next connection's bytes towards the node.
    pub(crate) flip_at: AtomicU64,
    flipped: AtomicBool,
}

impl Wire {
    /// An address that leads to `to` over this wire.
    pub(crate) fn lead(self: &Arc<Self>, to: String) -> String {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        let wire = self.clone();
        tokio::spawn(async move {
            let mut count = 0u32;
            loop {
                let (near, _) = listener.accept().await.unwrap();
                let far = TcpStream::connect(&to).await;
                let owners = count == 0;
                let (Ok(far), true) = (far, owners || !wire.cut.is_cancelled()) else {
                    continue;
                };
                count += 1;
                let cut = if owners {
                    CancellationToken::new()
                } else {
                    wire.cut.clone()
                };
                let wire = wire.clone();
                tokio::spawn(
                    cut.run_until_cancelled_owned(
                        async move { wire.pump(near, far, owners).await },
                    ),
                );
            }
        });
        address.to_string()
    }

    async fn pump(&self, mut near: TcpStream, mut far: TcpStream, owners: bool) {
        let (mut near_read, mut near_write) = near.split();
        let (mut far_read, mut far_write) = far.split();
        let there = async {
            let (mut buffer, mut passed) = (vec![0; 64 << 10], 0u64);
            while let Ok(read) = near_read.read(&mut buffer).await {
                let flip_at = self.flip_at.load(Ordering::SeqCst);
                let here = flip_at > passed && flip_at < passed + read as u64;
                if !owners && here && !self.flipped.swap(true, Ordering::SeqCst) {
                    buffer[(flip_at - passed) as usize] ^= 16;
                }
                passed += read as u64;
                if read == 0 || far_write.write_all(&buffer[..read]).await.is_err() {
                    return;
                }
            }
        };
        let back = tokio::io::copy(&mut far_read, &mut near_write);
        tokio::select! {
            () = there => {}
            _ = back => {}
        }
    }

    pub(crate) fn has_flipped(&self) -> bool {
        self.flipped.load(Ordering::SeqCst)
    }
}
