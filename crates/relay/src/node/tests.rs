use super::*;
use crate::chunk::Receipt;
use crate::crypto::{Authority, PayloadKey, Reader, Sealer, Writer};
use crate::edges::{Generated, Memory, MemoryEdges, cut};
use crate::frame::{Acknowledgement, ChunkHeader, Codec, Hello, Manifest, PAYLOAD_TAG_BYTES};
use crate::program::{Carried, compile};
use crate::topology::Security;
use crate::topology::tests::{id, topology};
use crate::{Chunk, DestinationSet, NodeId};
use bytes::Bytes;
use skyfresh_sky::SystemClock;
use tokio::io::AsyncWriteExt;

/// A destination `a` behind a source `s` that a test plays itself.
struct Stage {
    authority: Authority,
    relay: tokio::task::JoinHandle<End>,
    address: String,
    sink: Arc<Memory>,
    key: PayloadKey,
    _owner: (Reader, Writer),
}

fn timing() -> Timing {
    Timing {
        heartbeat_ms: 50,
        link_timeout_ms: 1_000,
        lease_ms: 20_000,
        max_life_ms: 60_000,
    }
}

async fn bound(authority: &Authority, timing: Timing, sink: &Arc<Memory>) -> Relay {
    let boot = Boot {
        protocol: PROTOCOL,
        identity: authority.identity(&id("a")).unwrap(),
        listen: "127.0.0.1:0".into(),
        security: Security::Sealed,
        timing,
    };
    let mut edges = MemoryEdges::default();
    edges.sinks.insert("a".into(), sink.clone());
    Relay::bind(boot, Arc::new(edges), Arc::new(SystemClock))
        .await
        .unwrap()
}

fn authority(job: u64) -> Authority {
    Authority::new(JobId(job), SystemClock.now(), Duration::from_secs(60)).unwrap()
}

async fn say(writer: &mut Writer, bytes: &[u8]) {
    writer.write_all(bytes).await.unwrap();
    writer.flush().await.unwrap();
}

fn hello(identity: &crate::crypto::Identity, purpose: Purpose) -> Vec<u8> {
    let hello = Hello {
        job: identity.job,
        token: identity.token,
        to: id("a"),
        purpose,
    };
    Frame::Hello(hello).encode().unwrap()
}

impl Stage {
    async fn new() -> Stage {
        let authority = authority(7);
        let sink = Arc::new(Memory::default());
        let relay = bound(&authority, timing(), &sink).await;
        let address = relay.address().to_string();
        let relay = tokio::spawn(relay.run(CancellationToken::new()));
        let shape = topology(&["s", "a"], "s", &["a"], &["s>a"]);
        let carried = Carried {
            id: TreeId(0),
            group: 0,
            tree: shape.trees[0].clone(),
            wanted: shape.all(),
        };
        let known = address.clone();
        let addresses = move |_: &NodeId, to: &NodeId| (*to == id("a")).then(|| known.clone());
        let program = compile(JobId(7), &shape, &[carried], &addresses)
            .unwrap()
            .remove(&id("a"))
            .unwrap();
        let key = PayloadKey::generate().unwrap();
        let owner = Endpoint::new(authority.owner().unwrap(), Security::Sealed).unwrap();
        let (mut reader, mut writer) = owner.dial(&id("a"), &address, true).await.unwrap();
        say(&mut writer, &hello(owner.identity(), Purpose::Control)).await;
        let order = Order::Configure {
            program,
            key: Some(key.clone()),
        };
        say(&mut writer, &encode(&order).unwrap()).await;
        let Frame::Control(report) = read_frame(&mut *reader, true).await.unwrap() else {
            panic!("no report");
        };
        assert!(matches!(
            decode::<Report>(&report).unwrap(),
            Report::Configured
        ));
        Stage {
            authority,
            relay,
            address,
            sink,
            key,
            _owner: (reader, writer),
        }
    }

    /// A connection as `s`, past its welcome.
    async fn source(&self) -> (Reader, Writer) {
        let endpoint =
            Endpoint::new(self.authority.identity(&id("s")).unwrap(), Security::Sealed).unwrap();
        let (mut reader, mut writer) = endpoint.dial(&id("a"), &self.address, false).await.unwrap();
        say(&mut writer, &hello(endpoint.identity(), hop("s"))).await;
        let welcome = read_frame(&mut *reader, false).await.unwrap();
        assert!(
            matches!(welcome, Frame::Welcome { window_bytes } if window_bytes >= 1 << 20),
            "{welcome:?}"
        );
        (reader, writer)
    }
}

fn hop(from: &str) -> Purpose {
    Purpose::Hop {
        from: id(from),
        tree: TreeId(0),
        connections: 2,
    }
}

fn sealed(sealer: &Sealer, chunk: &Chunk, attempt: u32) -> (ChunkHeader, Bytes) {
    let plain = Generated::bytes(chunk).freeze();
    let manifest = Manifest {
        key: chunk.key.clone(),
        version: chunk.version.clone(),
        checksum: flow::crc64(&plain),
        codec: Codec::None,
        notes: Vec::new(),
    };
    let mut header = ChunkHeader {
        job: JobId(7),
        tree: TreeId(0),
        chunk: chunk.id,
        attempt,
        object: chunk.object,
        offset: chunk.offset,
        length: chunk.length,
        wanted: DestinationSet(1),
        payload_bytes: chunk.length,
        payload_checksum: 0,
        payload_tag: [0; PAYLOAD_TAG_BYTES],
        manifest: Vec::new(),
    };
    let payload = sealer.seal(&mut header, &manifest, plain).unwrap();
    header.payload_checksum = flow::crc64(&payload);
    (header, payload)
}

async fn send(writer: &mut Writer, sequence: u64, header: &ChunkHeader, payload: &[u8]) {
    let frame = Frame::Chunk {
        sequence,
        header: header.clone(),
    };
    say(writer, &frame.encode().unwrap()).await;
    say(writer, payload).await;
}

/// The next frame that is not a sign of life, credit, or hand-over.
async fn word(reader: &mut Reader) -> Result<Frame> {
    loop {
        match read_frame(&mut **reader, false).await? {
            Frame::Alive | Frame::Credit { .. } | Frame::Taken { .. } => {}
            frame => return Ok(frame),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_chunk_is_acknowledged_again_and_not_written_again() {
    let stage = Stage::new().await;
    let (mut reader, mut writer) = stage.source().await;
    let sealer = Sealer::new(&stage.key).unwrap();
    let chunk = &cut(0, 0, "k", "v", 1000, 1000)[0];
    let (header, payload) = sealed(&sealer, chunk, 0);
    for sequence in 0..3 {
        send(&mut writer, sequence, &header, &payload).await;
        let expected = Acknowledgement {
            chunk: 0,
            attempt: 0,
            destination: 0,
            receipt: Receipt("0-0".into()),
        };
        assert_eq!(word(&mut reader).await.unwrap(), Frame::Written(expected));
    }
    // Over a connection of its own, too.
    let (mut reader, mut writer) = stage.source().await;
    send(&mut writer, 0, &header, &payload).await;
    assert!(matches!(
        word(&mut reader).await.unwrap(),
        Frame::Written(_)
    ));
    assert_eq!(stage.sink.most_writes(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_sealed_by_the_source_is_never_written() {
    let stage = Stage::new().await;
    let (mut reader, mut writer) = stage.source().await;
    let sealer = Sealer::new(&stage.key).unwrap();
    let chunk = &cut(0, 0, "k", "v", 1000, 1000)[0];
    let (header, payload) = sealed(&sealer, chunk, 0);
    // A relay in the middle that changes bytes, and the wire's checksum with them.
    let mut changed = payload.to_vec();
    changed[500] ^= 1;
    let mut forged = header.clone();
    forged.payload_checksum = flow::crc64(&changed);
    send(&mut writer, 0, &forged, &changed).await;
    let Frame::Failed(failed) = word(&mut reader).await.unwrap() else {
        panic!("it was taken");
    };
    assert_eq!((failed.kind, failed.chunk), (Kind::Corrupt, 0));
    // The same bytes, said to be another object's.
    let mut moved = header.clone();
    moved.object = 9;
    send(&mut writer, 1, &moved, &payload).await;
    assert!(matches!(word(&mut reader).await.unwrap(), Frame::Failed(_)));
    assert_eq!(stage.sink.most_writes(), 0);
    // The wire's own checksum: asked for again on the spot.
    send(&mut writer, 2, &header, &changed).await;
    assert_eq!(
        word(&mut reader).await.unwrap(),
        Frame::Damaged { sequence: 2 }
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_of_the_job_is_refused() {
    let stage = Stage::new().await;
    // Another job's authority: neither side takes the other.
    let foreign =
        Endpoint::new(authority(7).identity(&id("s")).unwrap(), Security::Sealed).unwrap();
    assert!(foreign.dial(&id("a"), &stage.address, false).await.is_err());
    // No TLS at all: nothing is answered.
    let plain =
        Endpoint::new(stage.authority.identity(&id("s")).unwrap(), Security::Plain).unwrap();
    let (mut reader, mut writer) = plain.dial(&id("a"), &stage.address, false).await.unwrap();
    say(&mut writer, &hello(plain.identity(), hop("s"))).await;
    assert!(word(&mut reader).await.is_err());
    // A relay of this job that says it is another one, or the owner, or sends where it should not.
    let relay = Endpoint::new(
        stage.authority.identity(&id("r")).unwrap(),
        Security::Sealed,
    )
    .unwrap();
    for (purpose, why) in [
        (hop("s"), "not s"),
        (Purpose::Control, ""),
        (hop("r"), "does not send"),
    ] {
        let (mut reader, mut writer) = relay.dial(&id("a"), &stage.address, false).await.unwrap();
        say(&mut writer, &hello(relay.identity(), purpose)).await;
        match word(&mut reader).await {
            Ok(Frame::Error { kind, why: said }) => {
                assert_eq!(kind, Kind::Denied);
                assert!(said.contains(why), "{said}");
            }
            Ok(frame) => panic!("answered with {frame:?}"),
            Err(_) => {}
        }
    }
    // The right certificate with a wrong token, and a node that is not who was called.
    let source = Endpoint::new(
        stage.authority.identity(&id("s")).unwrap(),
        Security::Sealed,
    )
    .unwrap();
    let (mut reader, mut writer) = source.dial(&id("a"), &stage.address, false).await.unwrap();
    let mut other = source.identity().clone();
    other.token.0[0] ^= 1;
    say(&mut writer, &hello(&other, hop("s"))).await;
    assert!(word(&mut reader).await.is_err());
    assert!(source.dial(&id("b"), &stage.address, false).await.is_err());
    assert!(!stage.relay.is_finished());
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_after_the_greeting_ends_the_connection_and_not_the_node() {
    let stage = Stage::new().await;
    let (mut reader, mut writer) = stage.source().await;
    say(&mut writer, b"this is no frame at all").await;
    assert!(matches!(
        word(&mut reader).await.unwrap(),
        Frame::Error {
            kind: Kind::Corrupt,
            ..
        }
    ));
    assert!(word(&mut reader).await.is_err());
    stage.source().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_ends_without_its_owner_and_at_the_end_of_its_life() {
    let authority = authority(7);
    for (lease_ms, max_life_ms, expected) in
        [(300, 60_000, End::OwnerSilent), (60_000, 300, End::TooOld)]
    {
        let timing = Timing {
            lease_ms,
            max_life_ms,
            ..timing()
        };
        let relay = bound(&authority, timing, &Arc::default()).await;
        let end = timeout(
            &SystemClock,
            Duration::from_secs(10),
            relay.run(CancellationToken::new()),
        )
        .await;
        assert_eq!(end, Some(expected));
    }
}

#[test]
fn secrets_are_not_shown() {
    let authority = authority(7);
    let identity = authority.identity(&id("a")).unwrap();
    let boot = Boot {
        protocol: PROTOCOL,
        identity: identity.clone(),
        listen: "x".into(),
        security: Security::Sealed,
        timing: timing(),
    };
    let order = Order::Configure {
        program: crate::program::Program {
            job: JobId(7),
            node: NodeId::new("a").unwrap(),
            security: Security::Sealed,
            chunk_bytes: 1,
            queue_chunks: 1,
            routes: Vec::new(),
        },
        key: Some(PayloadKey::generate().unwrap()),
    };
    let shown = format!(
        "{authority:?} {identity:?} {boot:?} {order:?} {:?}",
        identity.token
    );
    // Keys and tokens would show as lists of numbers.
    assert!(!shown.contains("key: ["), "{shown}");
    assert!(
        shown.contains("PayloadKey(..)") && shown.contains("Token(..)"),
        "{shown}"
    );
    assert!(authority.identity(&id("owner")).is_err());
}
