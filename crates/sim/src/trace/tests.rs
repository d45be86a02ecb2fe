use super::*;
use std::io::{BufReader, Cursor, Read};

fn ibm_events(text: &str) -> Vec<Result<TraceEvent, String>> {
    let trace = ibm(Cursor::new(text.to_owned().into_bytes()));
    trace
        .map(|event| event.map_err(|e| e.to_string()))
        .collect()
}

fn s3_events(text: &str) -> Vec<Result<TraceEvent, String>> {
    let trace = s3_access_log(Cursor::new(text.to_owned().into_bytes()));
    trace
        .map(|event| event.map_err(|e| e.to_string()))
        .collect()
}

fn event(at_ms: u64, operation: TraceOperation, key: &str, size: u64) -> TraceEvent {
    TraceEvent {
        at_ms,
        late_ms: 0,
        operation,
        key: key.into(),
        size,
    }
}

#[test]
fn ibm_lines() {
    let read = ibm_events(
        "1219008 REST.PUT.OBJECT 8d4fcda3d675bac9 1056\r\n\
         1221974 REST.HEAD.OBJECT 39d177fb735ac5df 528\n\
         \n\
         1232437 REST.GET.OBJECT 8d4fcda3d675bac9 1056 0 1055\n\
         1232488 REST.DELETE.OBJECT 8d4fcda3d675bac9\n\
         1232500 REST.COPY.OBJECT 3b8255e0609a700d 1456\n\
         1232501 REST.PUT.ACL 3b8255e0609a700d",
    );
    let key = "8d4fcda3d675bac9";
    let wanted = [
        event(0, TraceOperation::Put, key, 1056),
        event(2966, TraceOperation::Head, "39d177fb735ac5df", 528),
        event(13_429, TraceOperation::Get, key, 1056),
        event(13_480, TraceOperation::Delete, key, 0),
        event(13_492, TraceOperation::Copy, "3b8255e0609a700d", 1456),
        event(13_493, TraceOperation::Other, "3b8255e0609a700d", 0),
    ];
    let read: Vec<TraceEvent> = read.into_iter().map(Result::unwrap).collect();
    assert_eq!(read, wanted);
}

#[test]
fn a_bad_line_is_named_and_the_next_one_is_read() {
    let long_key = "k".repeat(1025);
    for (line, says) in [
        (
            "soon REST.PUT.OBJECT a 1",
            "time \"soon\" is no whole number",
        ),
        ("-5 REST.PUT.OBJECT a 1", "time \"-5\" is no whole number"),
        ("5", "has no operation"),
        ("5 REST.PUT.OBJECT", "has no id"),
        ("5 REST.PUT.OBJECT a", "a PUT without a size"),
        ("5 REST.PUT.OBJECT a 1e6", "size \"1e6\" is no whole number"),
        (
            "5 REST.PUT.OBJECT a 1125899906842625",
            "a size of 1125899906842625 bytes",
        ),
        ("5 PUT a 1", "operation \"PUT\""),
        (
            "18446744073709551615 REST.PUT.OBJECT a 1",
            "a time of 9223372036854775807 ms",
        ),
        (
            &format!("5 REST.PUT.OBJECT {long_key} 1"),
            "a key of 1025 bytes",
        ),
    ] {
        let read = ibm_events(&format!(
            "4 REST.PUT.OBJECT a 1\n{line}\n6 REST.PUT.OBJECT a 1\n"
        ));
        assert_eq!(read.len(), 3, "{line}");
        let error = read[1].as_ref().unwrap_err();
        assert!(
            error.starts_with("trace line 2: ") && error.contains(says),
            "{error}"
        );
        assert_eq!(read[2].as_ref().unwrap().at_ms, 2, "{line}");
    }
}

#[test]
fn times_that_go_back_are_raised_and_marked_and_refused_beyond_an_hour() {
    let read = ibm_events(
        "5000000 REST.HEAD.OBJECT a\n4999000 REST.HEAD.OBJECT b\n5000500 REST.HEAD.OBJECT c\n1 REST.HEAD.OBJECT d\n",
    );
    let times: Vec<(u64, u64)> = read[..3]
        .iter()
        .map(|event| event.as_ref().unwrap())
        .map(|event| (event.at_ms, event.late_ms))
        .collect();
    assert_eq!(times, [(0, 0), (0, 1000), (500, 0)]);
    let error = read[3].as_ref().unwrap_err();
    assert!(
        error.contains("line 4") && error.contains("sort the file by time"),
        "{error}"
    );
}

const LOG: &str = concat!(
    r#"79a59df900b949e5 bucket [06/Feb/2026:00:00:38 +0000] 192.0.2.3 79a59df9 3E57427F3 REST.PUT.OBJECT photos/a%20b%2Fc%C3%A9.jpg "PUT /bucket/photos/a%20b HTTP/1.1" 200 - - 4406 41 28 "-" "agent "with" quotes" - host SigV4"#,
    "\n",
    r#"79a59df900b949e5 bucket [06/Feb/2026:01:00:40 +0100] - svc:s3 7B4A0FABBEXAMPLE S3.EXPIRE.OBJECT old.txt "-" - - - - - - "-" "-" -"#,
    "\n",
    r#"79a59df900b949e5 bucket [06/Feb/2026:00:00:41 +0000] 192.0.2.3 - A REST.GET.OBJECT k "GET /k HTTP/1.1" 206 - 10 1000 1 1 "-" "-" -"#,
    "\n",
    r#"79a59df900b949e5 bucket [06/Feb/2026:00:00:42 +0000] 192.0.2.3 - A REST.PUT.OBJECT k "PUT /k HTTP/1.1" 503 SlowDown - - 1 1 "-" "-" -"#,
    "\n",
    r#"79a59df900b949e5 bucket [06/Feb/2026:00:00:42 +0000] 192.0.2.3 - A REST.POST.UPLOAD big "POST /big?uploadId=1 HTTP/1.1" 200 - 300 70000000 1 1 "-" "-" -"#,
    "\n",
    r#"79a59df900b949e5 bucket [06/Feb/2026:00:00:43 +0000] 192.0.2.3 - A REST.COPY.OBJECT copy "PUT /copy HTTP/1.1" 200 - - 7 1 1 "-" "-" -"#,
    "\n",
    r#"79a59df900b949e5 bucket [06/Feb/2026:00:00:43 +0000] 192.0.2.3 - A REST.GET.VERSIONING - "GET /?versioning HTTP/1.1" 200 - 113 -"#,
    "\n",
);

#[test]
fn s3_lines() {
    let read: Vec<TraceEvent> = s3_events(LOG).into_iter().map(Result::unwrap).collect();
    assert_eq!(
        read,
        [
            event(0, TraceOperation::Put, "photos/a b/cé.jpg", 4406),
            event(2000, TraceOperation::Delete, "old.txt", 0),
            event(3000, TraceOperation::Get, "k", 1000),
            event(4000, TraceOperation::Other, "k", 0),
            event(4000, TraceOperation::Put, "big", 70_000_000),
            event(5000, TraceOperation::Copy, "copy", 7),
            event(5000, TraceOperation::Other, "", 0),
        ]
    );
}

#[test]
fn bad_s3_lines_are_named() {
    let line = |time: &str, key: &str, size: &str| {
        format!("o b [{time}] ip r id REST.PUT.OBJECT {key} \"PUT\" 200 - - {size}")
    };
    let good = "06/Feb/2026:00:00:38 +0000";
    assert!(s3_events(&line(good, "k", "1"))[0].is_ok());
    for (text, says) in [
        (line("yesterday", "k", "1"), "time \"yesterday\""),
        (
            line("06/Feb/2026:00:00:38", "k", "1"),
            "time \"06/Feb/2026:00:00:38\"",
        ),
        (line(good, "%ff", "1"), "is not UTF-8"),
        (line(good, "k", "many"), "object size \"many\""),
        (line(good, "k", "-"), "a PUT without an object size"),
        ("o b [06/Feb/2026".into(), "ends in field 3"),
        ("o b".into(), "ends in field 3"),
    ] {
        let read = s3_events(&text);
        let error = read[0].as_ref().unwrap_err();
        assert!(
            error.starts_with("trace line 1: ") && error.contains(says),
            "{error}"
        );
    }
}

#[test]
fn a_line_without_end_is_not_held() {
    // 64 MiB without a line break: more than a line may have.
    let endless = BufReader::new(std::io::repeat(b'x').take(1 << 26));
    let mut trace = ibm(endless.chain(Cursor::new(b"\n5 REST.HEAD.OBJECT a\n\xff\xfe\n")));
    let mut next = || trace.next().map(|event| event.map_err(|e| e.to_string()));
    assert!(
        next()
            .unwrap()
            .unwrap_err()
            .contains("longer than 65536 bytes")
    );
    assert_eq!(next().unwrap().unwrap().key, "a");
    assert!(next().unwrap().unwrap_err().contains("line 3: not UTF-8"));
    assert!(next().is_none());
}

#[test]
fn a_file_that_breaks_off_ends_the_trace() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the disk is gone"))
        }
    }
    let whole = Cursor::new(b"5 REST.HEAD.OBJECT a\n");
    let mut trace = ibm(BufReader::new(whole.chain(Broken)));
    assert!(trace.next().unwrap().is_ok());
    let error = trace.next().unwrap().unwrap_err();
    assert_eq!(error.kind(), Kind::RetryAfter);
    assert!(error.to_string().contains("line 2"), "{error}");
    assert!(trace.next().is_none());
}
