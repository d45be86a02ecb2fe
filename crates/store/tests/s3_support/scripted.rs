//! A server that answers as a test says: what no real server does on demand.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    /// `GET /bucket/key?query HTTP/1.1`.
    pub(crate) line: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// The body, as framed on the wire.
    pub(crate) body: Vec<u8>,
}

impl Received {
    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.as_str())
    }
}

/// What to do with the next request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Send this and keep the connection.
    Send(String),
    /// Send this and close the connection.
    SendAndClose(String),
    /// Send this, then nothing more.
    SendAndStall(String),
    /// Pass the request on to another server, without the header of this name, and its answer back.
    Forward {
        /// `http://127.0.0.1:port`.
        to: String,
        /// A header to leave out, in lower case.
        without: &'static str,
    },
}

impl Reply {
    /// A whole response with a correct length.
    pub(crate) fn new(status: &str, headers: &str, body: &str) -> Self {
        Reply::Send(format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n{body}",
            body.len()
        ))
    }

    /// An error document.
    pub(crate) fn error(status: &str, headers: &str, code: &str) -> Self {
        Self::new(
            status,
            headers,
            &format!("<Error><Code>{code}</Code><Message>scripted</Message></Error>"),
        )
    }
}

/// The server; it stops with the test's runtime.
#[derive(Clone)]
pub(crate) struct Scripted {
    /// `http://127.0.0.1:port`.
    pub(crate) address: String,
    received: Arc<Mutex<Vec<Received>>>,
    replies: Arc<Mutex<VecDeque<Reply>>>,
    decide: Option<Arc<Decide>>,
}

/// Answers a request by what it asks for.
type Decide = dyn Fn(&Received) -> Reply + Send + Sync;

impl Scripted {
    /// Answers requests, in the order they come, with `replies`; the last one again and again.
    pub(crate) async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self::serve(replies.into_iter().collect(), None).await
    }

    /// Answers every request by what it asks for.
    pub(crate) async fn deciding(
        decide: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::serve(VecDeque::new(), Some(Arc::new(decide))).await
    }

    async fn serve(replies: VecDeque<Reply>, decide: Option<Arc<Decide>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let server = Scripted {
            address: format!("http://{}", listener.local_addr().expect("bound")),
            received: Arc::default(),
            replies: Arc::new(Mutex::new(replies)),
            decide,
        };
        let shared = server.clone();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let shared = shared.clone();
                tokio::spawn(async move { shared.converse(connection).await });
            }
        });
        server
    }

    /// What has arrived so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.received
            .lock()
            .expect("no panic in the server")
            .clone()
    }

    fn next_reply(&self, request: Received) -> Reply {
        let decided = self.decide.as_ref().map(|decide| decide(&request));
        self.received
            .lock()
            .expect("no panic in the server")
            .push(request);
        if let Some(decided) = decided {
            return decided;
        }
        let mut replies = self.replies.lock().expect("no panic in the server");
        if replies.len() > 1 {
            replies.pop_front().expect("not empty")
        } else {
            replies[0].clone()
        }
    }

    /// Until the client goes away, which no test holds against it.
    async fn converse(&self, mut connection: TcpStream) -> Option<()> {
        let mut buffer = Vec::new();
        loop {
            let end = loop {
                if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                    break end + 4;
                }
                read_more(&mut connection, &mut buffer).await?;
            };
            let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
            let mut lines = head.lines();
            let line = lines.next()?.to_owned();
            let headers: Vec<(String, String)> = lines
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                .collect();
            let length = headers
                .iter()
                .find(|(name, _)| name == "content-length")
                .map_or(0, |(_, value)| value.parse().expect("a length"));
            while buffer.len() < end + length {
                read_more(&mut connection, &mut buffer).await?;
            }
            let body = buffer[end..end + length].to_vec();
            buffer.drain(..end + length);
            let request = Received {
                line,
                headers,
                body,
            };
            match self.next_reply(request.clone()) {
                Reply::Send(text) => connection.write_all(text.as_bytes()).await.ok()?,
                Reply::SendAndClose(text) => {
                    connection.write_all(text.as_bytes()).await.ok()?;
                    return None;
                }
                Reply::Forward { to, without } => {
                    let answer = forward(&request, &to, without).await?;
                    connection.write_all(&answer).await.ok()?;
                    return None;
                }
                Reply::SendAndStall(text) => {
                    connection.write_all(text.as_bytes()).await.ok()?;
                    read_more(&mut connection, &mut buffer).await?;
                }
            }
        }
    }
}

async fn read_more(connection: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    match connection.read_buf(buffer).await {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(()),
    }
}

/// One request to another server, and its whole answer.
async fn forward(request: &Received, to: &str, without: &str) -> Option<Vec<u8>> {
    let mut head = format!("{}\r\n", request.line);
    for (name, value) in &request.headers {
        if name != without && name != "connection" {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    head.push_str("connection: close\r\n\r\n");
    let mut server = TcpStream::connect(to.strip_prefix("http://")?).await.ok()?;
    server.write_all(head.as_bytes()).await.ok()?;
    server.write_all(&request.body).await.ok()?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).await.ok()?;
    Some(answer)
}
