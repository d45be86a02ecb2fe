use super::*;
use futures::FutureExt;
use proptest::prelude::*;

fn any_header() -> impl Strategy<Value = ChunkHeader> {
    let numbers = (
        any::<u64>(),
        any::<u32>(),
        any::<u64>(),
        any::<u32>(),
        any::<u64>(),
    );
    let rest = (
        0..u64::MAX / 2,
        0..crate::MAX_CHUNK_BYTES,
        0..crate::MAX_CHUNK_BYTES,
        any::<u64>(),
    );
    let bytes = (
        any::<[u8; 16]>(),
        prop::collection::vec(any::<u8>(), 0..2000),
    );
    (numbers, rest, bytes).prop_map(
        |(
            (job, tree, chunk, attempt, object),
            (offset, length, payload_bytes, sum),
            (tag, manifest),
        )| {
            ChunkHeader {
                job: JobId(job),
                tree: TreeId(tree),
                chunk,
                attempt,
                object,
                offset,
                length,
                wanted: DestinationSet(sum),
                payload_bytes,
                payload_checksum: sum,
                payload_tag: tag,
                manifest,
            }
        },
    )
}

fn any_frame() -> impl Strategy<Value = Frame> {
    let name = "[a-z0-9]{1,20}".prop_map(|name| NodeId::new(name).unwrap());
    let hello = (
        any::<u64>(),
        any::<[u8; 16]>(),
        name.clone(),
        name,
        any::<(bool, u32, u16)>(),
    );
    let hello = hello.prop_map(|(job, token, to, from, (control, tree, connections))| {
        let hop = Purpose::Hop {
            from,
            tree: TreeId(tree),
            connections,
        };
        Frame::Hello(Hello {
            job: JobId(job),
            token: Token(token),
            to,
            purpose: if control { Purpose::Control } else { hop },
        })
    });
    let written = (any::<(u64, u32, u8)>(), ".{0,200}").prop_map(
        |((chunk, attempt, destination), receipt)| {
            Frame::Written(Acknowledgement {
                chunk,
                attempt,
                destination,
                receipt: Receipt(receipt),
            })
        },
    );
    let failed =
        (any::<(u64, u32, u64)>(), ".{0,200}").prop_map(|((chunk, attempt, bits), why)| {
            Frame::Failed(Failure {
                chunk,
                attempt,
                stage: Stage::Hop,
                destinations: DestinationSet(bits),
                kind: Kind::Corrupt,
                why,
            })
        });
    prop_oneof![
        hello,
        written,
        failed,
        any::<u64>().prop_map(|window_bytes| Frame::Welcome { window_bytes }),
        (any::<u64>(), any_header())
            .prop_map(|(sequence, header)| Frame::Chunk { sequence, header }),
        any::<u64>().prop_map(|sequence| Frame::Taken { sequence }),
        any::<u64>().prop_map(|sequence| Frame::Damaged { sequence }),
        any::<u64>().prop_map(|bytes| Frame::Credit { bytes }),
        ".{0,200}".prop_map(|why| Frame::Error {
            kind: Kind::Denied,
            why
        }),
        Just(Frame::Alive),
        prop::collection::vec(any::<u8>(), 0..5000).prop_map(Frame::Control),
    ]
}

fn read(bytes: &[u8], control: bool) -> Result<Frame> {
    let mut reader = bytes;
    // A slice never keeps its reader waiting.
    read_frame(&mut reader, control)
        .now_or_never()
        .expect("all bytes are there")
}

proptest! {
    #[test]
    fn what_is_written_is_read(frame in any_frame()) {
        let bytes = frame.encode().unwrap();
        prop_assert_eq!(read(&bytes, true).unwrap(), frame);
    }

    #[test]
    fn garbage_is_refused_without_a_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..300), kind in 0u8..13) {
        prop_assert!(read(&bytes, false).is_err());
        // Past the prefix: any body of any kind.
        let _ = Frame::decode(kind, &bytes);
        let length = bytes.len() as u32;
        let mut frame = vec![b'S', b'R', WIRE_VERSION, kind];
        frame.extend(length.to_be_bytes());
        frame.append(&mut bytes);
        let _ = read(&frame, false);
    }

    #[test]
    fn a_frame_cut_short_or_changed_never_panics(frame in any_frame(), cut in any::<prop::sample::Index>(), flip in any::<(prop::sample::Index, u8)>()) {
        let mut bytes = frame.encode().unwrap();
        prop_assert!(read(&bytes[..cut.index(bytes.len())], true).is_err());
        let at = flip.0.index(bytes.len());
        bytes[at] ^= flip.1;
        let _ = read(&bytes, true);
    }
}

#[test]
fn a_length_beyond_the_limit_is_refused_before_anything_is_allocated() {
    for (kind, length, control) in [
        (3u8, MAX_BODY_BYTES + 1, true),
        (11, MAX_CONTROL_BYTES + 1, true),
        (11, 10, false),
        (1, u32::MAX, true),
    ] {
        let mut bytes = vec![b'S', b'R', WIRE_VERSION, kind];
        bytes.extend(length.to_be_bytes());
        // Nothing follows: a reader that believed the length would wait for it, and end otherwise.
        assert_eq!(
            read(&bytes, control).unwrap_err().kind,
            Kind::Corrupt,
            "kind {kind}"
        );
    }
    let other = [b'S', b'R', 9, 10, 0, 0, 0, 0];
    assert_eq!(read(&other, false).unwrap_err().kind, Kind::Unsupported);
}

#[test]
fn a_header_beyond_the_limits_is_corrupt() {
    let header = ChunkHeader {
        job: JobId(1),
        tree: TreeId(1),
        chunk: 1,
        attempt: 0,
        object: 1,
        offset: u64::MAX,
        length: 10,
        wanted: DestinationSet(1),
        payload_bytes: 10,
        payload_checksum: 0,
        payload_tag: [0; PAYLOAD_TAG_BYTES],
        manifest: Vec::new(),
    };
    let large = ChunkHeader {
        offset: 0,
        payload_bytes: crate::MAX_CHUNK_BYTES + 1,
        ..header.clone()
    };
    for header in [header, large] {
        let bytes = Frame::Chunk {
            sequence: 0,
            header,
        }
        .encode()
        .unwrap();
        assert_eq!(read(&bytes, false).unwrap_err().kind, Kind::Corrupt);
    }
}

#[test]
fn reasons_fit_and_stay_text() {
    let long = "ä".repeat(2_000);
    let cut = reason(&long);
    assert!(cut.len() <= 1024 && long.starts_with(&cut));
}
