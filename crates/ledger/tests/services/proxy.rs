//! A proxy that can lose one answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// Passes bytes on, both ways, until it is told to lose an answer.
pub(crate) struct Proxy {
    /// Where it listens: `127.0.0.1:port`.
    pub(crate) address: String,
    lose: Arc<AtomicBool>,
}

impl Proxy {
    /// A proxy to the server at `upstream`, `host:port`.
    pub(crate) async fn to(upstream: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let proxy = Proxy {
            address: listener.local_addr().expect("an address").to_string(),
            lose: Arc::default(),
        };
        let (upstream, lose) = (upstream.to_owned(), Arc::clone(&proxy.lose));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (upstream, lose) = (upstream.clone(), Arc::clone(&lose));
                tokio::spawn(async move {
                    let server = TcpStream::connect(upstream).await.expect("the server");
                    let (from_client, to_client) = client.into_split();
                    let (from_server, to_server) = server.into_split();
                    // Whichever ends first ends both: a lost answer looks like a broken connection.
                    tokio::select! {
                        () = pass(from_client, to_server, None) => {}
                        () = pass(from_server, to_client, Some(&lose)) => {}
                    }
                });
            }
        });
        proxy
    }

    /// From the next answer on, nothing of it arrives: its connection breaks.
    pub(crate) fn lose_next_answer(&self) {
        self.lose.store(true, Ordering::SeqCst);
    }

    /// Whether an answer was lost since it was asked for.
    pub(crate) fn lost(&self) -> bool {
        !self.lose.load(Ordering::SeqCst)
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, lose: Option<&AtomicBool>) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if lose.is_some_and(|lose| lose.swap(false, Ordering::SeqCst))
            || to.write_all(&buffer[..count]).await.is_err()
        {
            return;
        }
    }
}
