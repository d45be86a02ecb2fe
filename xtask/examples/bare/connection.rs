//! One kept-alive connection to a server.

use crate::sign::{Signer, UNSIGNED};
use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use std::pin::Pin;
use std::sync::Arc;
use tokio::net::TcpStream;

/// The body of a request: some bytes, or another answer's body as it comes in.
pub(crate) type BoxBody = Pin<Box<dyn Body<Data = Bytes, Error = hyper::Error> + Send>>;

/// Large reads make few system calls; this is what a connection may hold.
const BUFFER_BYTES: usize = 512 << 10;

/// A server, and who signs for it.
#[derive(Clone)]
pub(crate) struct Endpoint {
    host: Arc<str>,
    signer: Arc<Signer>,
}

impl Endpoint {
    pub(crate) fn new(url: &str) -> Result<Endpoint> {
        let host = url
            .strip_prefix("http://")
            .with_context(|| format!("{url} does not begin with http://"))?;
        Ok(Endpoint {
            host: host.trim_end_matches('/').into(),
            signer: Arc::new(Signer::from_environment()?),
        })
    }

    pub(crate) async fn connect(&self) -> Result<Connection> {
        let stream = TcpStream::connect(&*self.host)
            .await
            .with_context(|| format!("cannot connect to {}", self.host))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(BUFFER_BYTES)
            .handshake(TokioIo::new(stream))
            .await?;
        // How it ended is told by the request that was under way.
        tokio::spawn(connection);
        Ok(Connection {
            endpoint: self.clone(),
            sender,
        })
    }

    /// As many connections as asked for, made at the same time.
    pub(crate) async fn connect_all(&self, count: usize) -> Result<Vec<Connection>> {
        let begun: Vec<_> = (0..count)
            .map(|_| {
                let endpoint = self.clone();
                tokio::spawn(async move { endpoint.connect().await })
            })
            .collect();
        let mut connections = Vec::with_capacity(count);
        for connection in begun {
            connections.push(connection.await??);
        }
        Ok(connections)
    }
}

pub(crate) struct Connection {
    endpoint: Endpoint,
    sender: SendRequest<BoxBody>,
}

/// What is asked of a server.
pub(crate) struct Ask<'a> {
    pub(crate) method: Method,
    pub(crate) path: &'a str,
    /// In order of its names, percent-encoded.
    pub(crate) query: &'a str,
    /// Not signed.
    pub(crate) headers: &'a [(&'static str, String)],
}

impl Connection {
    /// Sends a request; an answer that is no success is an error with its text.
    pub(crate) async fn send(
        &mut self,
        ask: &Ask<'_>,
        body: BoxBody,
    ) -> Result<Response<Incoming>> {
        let Endpoint { host, signer } = &self.endpoint;
        let (path, query) = (ask.path, ask.query);
        let method = ask.method.as_str();
        let separator = if query.is_empty() { "" } else { "?" };
        let mut request = Request::builder()
            .method(&ask.method)
            .uri(format!("{path}{separator}{query}"))
            .header("host", &**host)
            .header("x-amz-content-sha256", UNSIGNED)
            .header("x-amz-date", signer.time())
            .header(
                "authorization",
                signer.authorization(method, path, query, host),
            );
        for (name, value) in ask.headers {
            request = request.header(*name, value);
        }
        self.sender.ready().await?;
        let response = self.sender.send_request(request.body(body)?).await?;
        if !response.status().is_success() {
            let status = response.status();
            let text = response.into_body().collect().await?.to_bytes();
            bail!(
                "{method} {path}{separator}{query} was answered by {status}: {}",
                String::from_utf8_lossy(&text)
            );
        }
        Ok(response)
    }

    /// Sends a request and reads the answer to its end.
    pub(crate) async fn ask(&mut self, ask: &Ask<'_>, body: Bytes) -> Result<Bytes> {
        let response = self.send(ask, whole(body)).await?;
        Ok(response.into_body().collect().await?.to_bytes())
    }
}

/// A body that is there already.
pub(crate) fn whole(bytes: Bytes) -> BoxBody {
    Box::pin(Full::new(bytes).map_err(|never| match never {}))
}

/// No body.
pub(crate) fn nothing() -> BoxBody {
    whole(Bytes::new())
}

/// Reads an answer's body and drops it, so that the connection can be used again.
pub(crate) async fn drain(response: Response<Incoming>) -> Result<()> {
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        frame?;
    }
    Ok(())
}
