//! Signatures beside those of another implementation, and times beside a calendar.

use super::*;
use http::{Method, Request};
use proptest::prelude::*;
use reqsign_aws_v4::RequestSigner;
use reqsign_core::{Context, SignRequest};

fn credential(token: Option<&str>) -> Credential {
    Credential {
        access_key_id: "AKIDEXAMPLE".into(),
        secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
        session_token: token.map(str::to_owned),
        expires_in: None,
    }
}

fn request(method: Method, host: &str, path: &str, query: &str, headers: &[(&str, &str)]) -> Parts {
    let uri = match query {
        "" => format!("https://{host}{path}"),
        query => format!("https://{host}{path}?{query}"),
    };
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

/// `20261121T100000Z`, as a time.
fn read(time: &str) -> Timestamp {
    let (date, hour) = (&time[..8], &time[9..15]);
    let text = format!(
        "{}-{}-{}T{}:{}:{}Z",
        &date[..4],
        &date[4..6],
        &date[6..],
        &hour[..2],
        &hour[2..4],
        &hour[4..]
    );
    Timestamp::parse(&text).unwrap()
}

/// Both sign it alike, at the time that the other one took.
fn assert_signed_alike(parts: &Parts, credential: &Credential) {
    let mut theirs = parts.clone();
    let signer = RequestSigner::new("s3", "eu-west-1");
    let context = Context::new();
    let signing = signer.sign_request(&context, &mut theirs, Some(credential), None);
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(signing).unwrap();
    let now = read(theirs.headers[&DATE].to_str().unwrap());
    let mut ours = parts.clone();
    Scope::new("eu-west-1")
        .sign(&mut ours, credential, 0, now)
        .unwrap();
    assert_eq!(ours.headers, theirs.headers, "{parts:?}");
    assert_eq!(ours.uri, theirs.uri);
}

#[test]
fn requests_of_a_store_are_signed_as_another_implementation_does() {
    let plain = credential(None);
    let temporary = credential(Some("token/with+odd=letters"));
    for (method, path, query) in [
        (
            Method::GET,
            "/",
            "encoding-type=url&list-type=2&max-keys=1000&prefix=a%2Fb&start-after=%C3%A9%20x",
        ),
        (Method::PUT, "/bucket/a%20b/%2Bplus/%E2%98%82", ""),
        (Method::POST, "/bucket/key", "uploads"),
        (Method::PUT, "/key~-_.", "uploadId=a.b_c-d&partNumber=17"),
        (Method::POST, "/", "delete="),
        (Method::DELETE, "/a//b/", "versionId=x%2By"),
    ] {
        for host in [
            "bucket.s3.eu-west-1.amazonaws.com",
            "localhost:9000",
            "b--x-s3.s3express-use1-az5.amazonaws.com",
        ] {
            for credential in [&plain, &temporary] {
                let headers = [
                    ("content-type", "text/plain; charset=utf-8"),
                    ("x-amz-meta-odd", " =?UTF-8?Q?a?= "),
                    ("if-none-match", "*"),
                    ("content-length", "17"),
                ];
                let parts = request(method.clone(), host, path, query, &headers);
                assert_signed_alike(&parts, credential);
            }
        }
    }
}

/// The example of the signature's documentation ("GET Object").
#[test]
fn the_documented_example_has_the_documented_signature() {
    let headers = [
        ("range", "bytes=0-9"),
        (
            "x-amz-content-sha256",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ),
    ];
    let mut parts = request(
        Method::GET,
        "examplebucket.s3.amazonaws.com",
        "/test.txt",
        "",
        &headers,
    );
    let credential = Credential {
        access_key_id: "AKIAIOSFODNN7EXAMPLE".into(),
        secret_access_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
        session_token: None,
        expires_in: None,
    };
    let scope = Scope::new("us-east-1");
    scope
        .sign(&mut parts, &credential, 0, read("20130524T000000Z"))
        .unwrap();
    assert_eq!(
        parts.headers[header::AUTHORIZATION].to_str().unwrap(),
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
         SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, \
         Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    );
}

#[test]
fn repeated_spaces_are_one_in_the_signature_only() {
    let signed = |value: &str| {
        let mut parts = request(Method::PUT, "b", "/k", "", &[("x-amz-meta-a", value)]);
        let scope = Scope::new("r");
        scope
            .sign(&mut parts, &credential(None), 0, read("20260101T000000Z"))
            .unwrap();
        assert_eq!(parts.headers["x-amz-meta-a"], value);
        parts.headers[header::AUTHORIZATION].clone()
    };
    assert_eq!(signed("a  b   c"), signed("a b c"));
    assert_ne!(signed("a b c"), signed("a bc"));
}

#[test]
fn other_credentials_and_another_day_have_another_key() {
    let scope = Scope::new("r");
    let signed = |secret: &str, generation, time| {
        let mut parts = request(Method::GET, "b", "/k", "", &[]);
        let credential = Credential {
            secret_access_key: secret.into(),
            ..credential(None)
        };
        scope
            .sign(&mut parts, &credential, generation, read(time))
            .unwrap();
        parts.headers[header::AUTHORIZATION].clone()
    };
    let first = signed("one", 0, "20260101T235959Z");
    assert_ne!(signed("two", 1, "20260101T235959Z"), first);
    assert_ne!(signed("one", 2, "20260102T000000Z"), first);
    assert_eq!(signed("one", 3, "20260101T235959Z"), first);
}

proptest! {
    #[test]
    fn times_are_those_of_a_calendar(unix_s in 0u64..=253_402_300_799) {
        let time = basic_time(unix_s);
        prop_assert_eq!(read(&time).unix_ms(), unix_s * 1_000, "{}", time);
    }

    #[test]
    fn whatever_the_names_and_values(
        key in "[ -~é☂/]{1,20}",
        prefix in "[ -~é☂]{0,12}",
        value in "[!-~]([ -~]{0,10}[!-~])?",
    ) {
        let encoded = super::super::endpoint::encode_path(&key).to_string();
        let query = format!("prefix={}&a=1", super::super::endpoint::encode_query(&prefix));
        let value = value.replace("  ", "_ ").replace("  ", "_ ");
        let parts = request(Method::GET, "b.s3.amazonaws.com", &format!("/{encoded}"), &query, &[("x-amz-meta-v", &value)]);
        assert_signed_alike(&parts, &credential(None));
    }
}

/// The example of the reference, "Authenticating Requests: Using Query Parameters".
#[test]
fn a_url_is_signed_as_in_the_reference() {
    let credential = Credential {
        access_key_id: "AKIAIOSFODNN7EXAMPLE".into(),
        secret_access_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
        session_token: None,
        expires_in: None,
    };
    let asked = Presigned {
        host: "examplebucket.s3.amazonaws.com",
        path: "/test.txt",
        query: "",
        life: Duration::from_secs(86_400),
    };
    let now = read("20130524T000000Z");
    let query = Scope::new("us-east-1")
        .presign(&asked, &credential, 0, now)
        .unwrap();
    assert_eq!(
        query,
        "X-Amz-Algorithm=AWS4-HMAC-SHA256\
         &X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
         &X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\
         &X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    );
    let other = Presigned {
        query: "versionId=v%2F1",
        ..asked
    };
    let with_version = Scope::new("us-east-1")
        .presign(&other, &credential, 0, now)
        .unwrap();
    assert!(with_version.starts_with("versionId=v%2F1&X-Amz-Algorithm="));
    assert!(!with_version.contains("aeeed9bb"), "the version is signed");
}
