//! A whole server over memory: an engine with one rule from `mem://source` to `mem://copy`, behind a real socket.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses a part of it"
)]

pub mod failing_ledger;
pub mod tokens;

use skyfresh_engine::{Engine, EngineConfig, InProcess, OpenStore, Parts, Rule, Stores};
use skyfresh_ledger::{Ledger, MemoryLedger};
use skyfresh_server::{ServerOptions, serve};
use skyfresh_sky::catalog::Catalog;
use skyfresh_sky::{Attributes, Clock, Location, ObjectKey, Rng, SystemClock};
use skyfresh_store::memory::MemorySky;
use skyfresh_store::{ObjectStore, Precondition, PutOptions, single_chunk};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Opens stores of one memory sky.
#[derive(Debug)]
struct OpenMemory(MemorySky);

impl OpenStore for OpenMemory {
    fn open(&self, location: &Location) -> skyfresh_store::Result<Arc<dyn ObjectStore>> {
        Ok(self.0.store(location.clone()))
    }
}

/// A running server and what is behind it.
pub struct Running {
    pub address: SocketAddr,
    pub sky: MemorySky,
    pub engine: Arc<Engine>,
    pub stop: CancellationToken,
    pub served: tokio::task::JoinHandle<skyfresh_engine::Result<()>>,
}

/// What a test saw of an answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

pub fn location(text: &str) -> Location {
    text.parse().unwrap()
}

/// The rule `models`, which no sweep will serve before the test asks for it.
pub fn models() -> Rule {
    let mut rule = Rule::new(
        "models",
        location("mem://source/"),
        vec![location("mem://copy/")],
    );
    rule.sweep_every = Duration::from_secs(3_600);
    rule
}

pub fn memory_sky() -> MemorySky {
    let sky = MemorySky::new(Arc::new(SystemClock));
    sky.create_bucket("source");
    sky.create_bucket("copy");
    sky
}

/// An engine over a memory sky, without rules.
pub fn engine(sky: &MemorySky, ledger: Arc<dyn Ledger>) -> Arc<Engine> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let stores = Arc::new(Stores::new(Arc::new(OpenMemory(sky.clone()))));
    let executor = Arc::new(InProcess::new(
        Arc::clone(&stores),
        Arc::clone(&ledger),
        Arc::clone(&clock),
        16,
    ));
    Arc::new(Engine::new(Parts {
        config: EngineConfig::new("test"),
        ledger,
        stores,
        executor,
        catalog: Catalog::embedded(),
        clock,
        rng: Rng::seeded(1),
        planning: None,
    }))
}

/// A server with the rule `models`.
pub async fn start(options: ServerOptions) -> Running {
    start_with(
        options,
        vec![models()],
        Arc::new(MemoryLedger::new()),
        memory_sky(),
    )
    .await
}

pub async fn start_with(
    options: ServerOptions,
    rules: Vec<Rule>,
    ledger: Arc<dyn Ledger>,
    sky: MemorySky,
) -> Running {
    let engine = engine(&sky, ledger);
    engine.apply(rules).await.unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let served = tokio::spawn(serve(
        listener,
        Arc::clone(&engine),
        Arc::new(SystemClock),
        options,
        stop.clone(),
    ));
    Running {
        address,
        sky,
        engine,
        stop,
        served,
    }
}

impl Running {
    /// Sends a request, raw, and reads the answer to its end.
    pub async fn raw(&self, request: Vec<u8>) -> Answer {
        let address = self.address;
        tokio::task::spawn_blocking(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream
                .set_read_timeout(Some(Duration::from_secs(30)))
                .unwrap();
            stream.write_all(&request).unwrap();
            let mut answer = Vec::new();
            // A server that answers before it has read everything may reset the connection afterwards.
            let _ = stream.read_to_end(&mut answer);
            let answer = String::from_utf8(answer).unwrap();
            let (head, body) = answer
                .split_once("\r\n\r\n")
                .unwrap_or_else(|| panic!("no answer: {answer:?}"));
            let (first, headers) = head.split_once("\r\n").unwrap();
            let status = first.split(' ').nth(1).unwrap().parse().unwrap();
            Answer {
                status,
                headers: headers.to_owned(),
                body: body.to_owned(),
            }
        })
        .await
        .unwrap()
    }

    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n",
            self.address
        );
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        if ["POST", "PUT"].contains(&method) {
            request.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        request.push_str("\r\n");
        let mut request = request.into_bytes();
        request.extend_from_slice(body);
        self.raw(request).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"").await
    }

    pub async fn post(&self, path: &str) -> Answer {
        self.send("POST", path, &[], b"").await
    }

    /// Asks until the answer satisfies, for at most ten seconds.
    pub async fn get_until(&self, path: &str, satisfies: impl Fn(&Answer) -> bool) -> Answer {
        let mut last = None;
        for _ in 0..200 {
            let answer = self.get(path).await;
            if satisfies(&answer) {
                return answer;
            }
            last = Some(answer);
            SystemClock.sleep(Duration::from_millis(50)).await;
        }
        panic!("never: {path}: {last:?}")
    }

    pub async fn ready(&self) {
        self.get_until("/readyz", |answer| answer.status == 200)
            .await;
    }

    /// Puts an object into the source.
    pub async fn put(&self, key: &str, content: &'static [u8]) {
        let store = self.sky.store(location("mem://source/"));
        let options = PutOptions {
            size: content.len() as u64,
            attributes: Attributes::default(),
            precondition: Precondition::None,
        };
        store
            .put(
                &ObjectKey::new(key).unwrap(),
                options,
                single_chunk(content),
            )
            .await
            .unwrap();
    }

    /// An object's content at the destination.
    pub async fn copy_of(&self, key: &str) -> Option<Vec<u8>> {
        use futures::TryStreamExt;
        let store = self.sky.store(location("mem://copy/"));
        let read = store
            .get(
                &ObjectKey::new(key).unwrap(),
                skyfresh_store::GetOptions::default(),
            )
            .await
            .ok()?;
        let chunks: Vec<bytes::Bytes> = read.body.try_collect().await.unwrap();
        Some(chunks.concat())
    }

    /// Stops the server and the engine.
    pub async fn finish(self) {
        self.stop.cancel();
        self.served.await.unwrap().unwrap();
        self.engine.shutdown().await;
    }
}

/// An S3-format notification of one created object of the bucket `source`.
pub fn notification(key: &str) -> Vec<u8> {
    serde_json::to_vec(&serde_json::json!({ "Records": [{
        "eventVersion": "2.1", "eventName": "s3:ObjectCreated:Put", "eventTime": SystemClock.now().to_string(),
        "s3": { "bucket": { "name": "source" }, "object": { "key": key, "size": 5 } }
    }]}))
    .unwrap()
}
