//! Access tokens: from a signed assertion, a refresh token, the metadata server, a federated identity; renewed in time; rotated.

mod gcs_support;
mod s3_support;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use gcs_support::{answer, refusal};
use ring::signature::{KeyPair, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use s3_support::scripted::{Received, Reply, Scripted};
use serde_json::{Value, json};
use skyfresh_sky::{Kind, Rng, SystemClock, Timestamp};
use skyfresh_store::gcs::{GcsConfig, GcsStore, GoogleCredentialSource, GoogleCredentials};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Made for these tests; opens nothing.
const KEY_PEM: &str = include_str!("gcs_support/test-key.pem");

/// Time goes on as it does, and jumps when told to.
#[derive(Debug, Default)]
struct JumpingClock(AtomicU64);

impl JumpingClock {
    fn jump(&self, delay: Duration) {
        self.0.fetch_add(delay.as_nanos() as u64, Ordering::SeqCst);
    }
}

#[async_trait::async_trait]
impl skyfresh_sky::Clock for JumpingClock {
    fn now(&self) -> Timestamp {
        let jumped = Duration::from_nanos(self.0.load(Ordering::SeqCst));
        Timestamp::from_unix_ms(1_700_000_000_000).after(jumped)
    }
    fn monotonic_ns(&self) -> u64 {
        SystemClock.monotonic_ns() + self.0.load(Ordering::SeqCst)
    }
    async fn sleep(&self, delay: Duration) {
        SystemClock.sleep(delay).await;
    }
}

fn chain(variables: &[(&str, &str)], file: Option<PathBuf>) -> GoogleCredentialSource {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    GoogleCredentialSource::Chain {
        env: variables.iter().map(owned).collect::<BTreeMap<_, _>>(),
        home_dir: None,
        file,
    }
}

fn service_account(server: &Scripted, email: &str) -> String {
    json!({"type": "service_account", "client_email": email, "private_key": KEY_PEM,
        "private_key_id": "key-1", "token_uri": format!("{}/token", server.address)})
    .to_string()
}

fn write(path: &Path, content: &str) {
    std::fs::write(path, content).expect("a file in a temporary directory");
}

fn token(text: &str) -> Reply {
    answer(&json!({"access_token": text, "expires_in": 3600, "token_type": "Bearer"}))
}

async fn bearer(credentials: &GoogleCredentials) -> String {
    let token = credentials.bearer().await.expect("a token").expect("one");
    token.expose().to_owned()
}

/// A field of a form.
fn field(request: &Received, name: &str) -> Option<String> {
    let body = String::from_utf8(request.body.clone()).ok()?;
    let value = body
        .split('&')
        .find_map(|pair| pair.strip_prefix(&format!("{name}=")))?;
    let decoded = percent_encoding::percent_decode_str(value).decode_utf8();
    Some(decoded.ok()?.into_owned())
}

#[tokio::test]
async fn a_service_account_signs_an_assertion() {
    let server = Scripted::start([token("t-1")]).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("key.json");
    write(&file, &service_account(&server, "me@example.com"));
    let path = file.to_str().unwrap();
    let source = chain(&[("GOOGLE_APPLICATION_CREDENTIALS", path)], None);
    let credentials = GoogleCredentials::new(source, Arc::new(JumpingClock::default())).unwrap();
    assert_eq!(bearer(&credentials).await, "t-1");
    assert_eq!(bearer(&credentials).await, "t-1");

    let received = server.received();
    assert_eq!(received.len(), 1, "a token is kept");
    assert_eq!(
        field(&received[0], "grant_type").as_deref(),
        Some("urn:ietf:params:oauth:grant-type:jwt-bearer")
    );
    let assertion = field(&received[0], "assertion").unwrap();
    let (signed, signature) = assertion.rsplit_once('.').unwrap();
    let der: String = KEY_PEM
        .lines()
        .filter(|line| !line.starts_with('-'))
        .collect();
    let pair = RsaKeyPair::from_pkcs8(&STANDARD.decode(der).unwrap()).unwrap();
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref())
        .verify(
            signed.as_bytes(),
            &URL_SAFE_NO_PAD.decode(signature).unwrap(),
        )
        .expect("the signature is the key's");
    let parts: Vec<Value> = signed
        .split('.')
        .map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap())
        .collect();
    assert_eq!(
        parts[0],
        json!({"alg": "RS256", "typ": "JWT", "kid": "key-1"})
    );
    assert_eq!(
        parts[1],
        json!({"iss": "me@example.com", "aud": format!("{}/token", server.address),
            "scope": "https://www.googleapis.com/auth/cloud-platform",
            "iat": 1_700_000_000, "exp": 1_700_003_600})
    );
}

#[tokio::test]
async fn tokens_are_renewed_before_they_end() {
    let server = Scripted::start([
        token("t-1"),
        Reply::new("503 Busy", "", ""),
        token("t-2"),
        Reply::new("503 Busy", "", ""),
    ])
    .await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("key.json");
    write(&file, &service_account(&server, "me@example.com"));
    let clock = Arc::new(JumpingClock::default());
    let credentials = GoogleCredentials::new(chain(&[], Some(file)), clock.clone()).unwrap();
    assert_eq!(bearer(&credentials).await, "t-1");
    clock.jump(Duration::from_secs(3000));
    assert_eq!(bearer(&credentials).await, "t-1");
    assert_eq!(server.received().len(), 1, "only the file was looked at");
    // Five minutes before its end it is asked for, and goes on being used where the answer is no.
    clock.jump(Duration::from_secs(400));
    assert_eq!(bearer(&credentials).await, "t-1");
    assert_eq!(server.received().len(), 2);
    clock.jump(Duration::from_secs(60));
    assert_eq!(bearer(&credentials).await, "t-2");
    // After its end there is nothing to go on with.
    clock.jump(Duration::from_secs(3700));
    let error = credentials.bearer().await.unwrap_err();
    assert_eq!(error.kind, Kind::RetryAfter, "{error}");
}

#[tokio::test]
async fn a_key_file_that_was_replaced_is_picked_up() {
    let server = Scripted::start([token("t-1"), token("t-2"), token("t-3")]).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("key.json");
    write(&file, &service_account(&server, "old@example.com"));
    let clock = Arc::new(JumpingClock::default());
    let source = chain(&[], Some(file.clone()));
    let credentials = GoogleCredentials::new(source, clock.clone()).unwrap();
    assert_eq!(bearer(&credentials).await, "t-1");
    write(&file, &service_account(&server, "new@example.com"));
    clock.jump(Duration::from_secs(60));
    assert_eq!(bearer(&credentials).await, "t-2");
    // A refusal of the store asks at once.
    let used = credentials.bearer().await.unwrap().unwrap();
    clock.jump(Duration::from_secs(2));
    assert!(credentials.renew(&used).await);
    assert_eq!(bearer(&credentials).await, "t-3");
    // While it is being replaced it may not be there.
    std::fs::remove_file(&file).unwrap();
    clock.jump(Duration::from_secs(60));
    assert_eq!(bearer(&credentials).await, "t-3");
}

#[tokio::test]
async fn a_user_of_gcloud_refreshes() {
    let server = Scripted::start([token("t-1")]).await;
    let directory = tempfile::tempdir().unwrap();
    let gcloud = directory.path().join(".config/gcloud");
    std::fs::create_dir_all(&gcloud).unwrap();
    let content = json!({"type": "authorized_user", "client_id": "id&1", "client_secret": "hunter2",
        "refresh_token": "1//r", "token_uri": server.address});
    let file = gcloud.join("application_default_credentials.json");
    write(&file, &content.to_string());
    let source = GoogleCredentialSource::Chain {
        env: BTreeMap::new(),
        home_dir: Some(directory.path().to_owned()),
        file: None,
    };
    let credentials = GoogleCredentials::new(source, Arc::new(SystemClock)).unwrap();
    assert_eq!(bearer(&credentials).await, "t-1");
    let received = &server.received()[0];
    for (name, value) in [
        ("grant_type", "refresh_token"),
        ("client_id", "id&1"),
        ("client_secret", "hunter2"),
        ("refresh_token", "1//r"),
    ] {
        assert_eq!(field(received, name).as_deref(), Some(value));
    }
}

#[tokio::test]
async fn the_metadata_server_must_be_one() {
    let body = json!({"access_token": "t-1", "expires_in": 3600}).to_string();
    let google = Reply::new("200 OK", "Metadata-Flavor: Google\r\n", &body);
    for (reply, expected) in [
        (google, Ok("t-1")),
        (Reply::new("200 OK", "", &body), Err(Kind::Denied)),
        (
            Reply::new("404 Not Found", "Metadata-Flavor: Google\r\n", ""),
            Err(Kind::Denied),
        ),
        (Reply::new("503 Busy", "", ""), Err(Kind::RetryAfter)),
    ] {
        let server = Scripted::start([reply]).await;
        let host = server.address.strip_prefix("http://").unwrap();
        let source = chain(&[("GCE_METADATA_HOST", host)], None);
        let credentials = GoogleCredentials::new(source, Arc::new(SystemClock)).unwrap();
        let outcome = credentials.bearer().await;
        match expected {
            Ok(token) => assert_eq!(outcome.unwrap().unwrap().expose(), token),
            Err(kind) => assert_eq!(outcome.unwrap_err().kind, kind),
        }
        let received = &server.received()[0];
        assert_eq!(received.header("metadata-flavor"), Some("Google"));
        assert!(received.line.starts_with(
            "GET /computeMetadata/v1/instance/service-accounts/default/token?scopes=https://www.googleapis.com/auth/cloud-platform"
        ));
    }
}

#[tokio::test]
async fn a_federated_identity_is_exchanged() {
    let server = Scripted::start([answer(&json!({"access_token": "t-1", "expires_in": 3600,
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token", "token_type": "Bearer"}))])
    .await;
    let directory = tempfile::tempdir().unwrap();
    let subject = directory.path().join("subject");
    write(&subject, "subject-token");
    let file = directory.path().join("federation.json");
    let content = json!({"type": "external_account", "audience": "//iam.googleapis.com/x",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": format!("{}/v1/token", server.address),
        "credential_source": {"file": subject, "format": {"type": "text"}}});
    write(&file, &content.to_string());
    let source = chain(&[], Some(file));
    let credentials = GoogleCredentials::new(source, Arc::new(SystemClock)).unwrap();
    assert_eq!(bearer(&credentials).await, "t-1");
    let sent = String::from_utf8(server.received()[0].body.clone()).unwrap();
    assert!(
        sent.contains("subject-token") && sent.contains("cloud-platform"),
        "{sent}"
    );
    assert_eq!(bearer(&credentials).await, "t-1");
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn what_a_person_must_do_is_said_and_no_secret_is() {
    let description =
        json!({"error": "invalid_grant", "error_description": "Invalid JWT Signature."});
    let refused = Reply::new("400 Bad Request", "", &description.to_string());
    let server = Scripted::start([refused]).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("key.json");
    let good = service_account(&server, "me@example.com");
    let plain = good.replace("http://127.0.0.1", "http://token.example");
    let damaged = good.replace("MII", "hunter2");
    for (content, expected) in [
        (good.as_str(), "invalid_grant: Invalid JWT Signature."),
        (
            "{\"type\":\"service_account\",\"private_key\":\"hunter2",
            "is no Google key file",
        ),
        (damaged.as_str(), "no PKCS #8 RSA key"),
        (plain.as_str(), "is not https"),
    ] {
        write(&file, content);
        let source = chain(&[], Some(file.clone()));
        let credentials = GoogleCredentials::new(source, Arc::new(SystemClock)).unwrap();
        let error = credentials.bearer().await.unwrap_err();
        assert_eq!(error.kind, Kind::Denied, "{error}");
        assert!(error.to_string().contains(expected), "{error}");
        let shown = format!("{error:?} {credentials:?}");
        assert!(
            !shown.contains("hunter2") && !shown.contains("PRIVATE KEY"),
            "{shown}"
        );
    }
    let absent = chain(&[], Some(directory.path().join("absent.json")));
    let credentials = GoogleCredentials::new(absent, Arc::new(SystemClock)).unwrap();
    assert_eq!(credentials.bearer().await.unwrap_err().kind, Kind::Denied);
}

#[tokio::test]
async fn a_token_is_never_shown() {
    let source = GoogleCredentialSource::Token("hunter2".into());
    assert!(!format!("{source:?}").contains("hunter2"));
    let credentials = GoogleCredentials::new(source, Arc::new(SystemClock)).unwrap();
    let token = credentials.bearer().await.unwrap().unwrap();
    assert!(!format!("{token:?}{:?}", token.header().unwrap()).contains("hunter2"));
    assert!(!credentials.renew(&token).await);
    let anonymous =
        GoogleCredentials::new(GoogleCredentialSource::Anonymous, Arc::new(SystemClock));
    assert_eq!(anonymous.unwrap().bearer().await.unwrap(), None);
}

#[tokio::test]
async fn a_store_asks_for_another_token_when_one_is_refused() {
    let tokens = Scripted::start([token("old"), token("new")]).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("key.json");
    write(&file, &service_account(&tokens, "me@example.com"));
    let clock = Arc::new(JumpingClock::default());
    let jumping = clock.clone();
    let server = Scripted::deciding(move |request| {
        // Tokens are not asked for anew within a second.
        jumping.jump(Duration::from_secs(2));
        match request.header("authorization") {
            Some("Bearer new") => answer(&gcs_support::object("k", 17, b"x")),
            _ => refusal("401 Unauthorized", "authError", "Invalid Credentials"),
        }
    })
    .await;
    let config = GcsConfig {
        credentials: chain(&[], Some(file)),
        ..GcsConfig::default()
    };
    let location = gcs_support::place(&server.address, "b", "");
    let store = GcsStore::new(location, config, clock, Rng::seeded(1)).unwrap();
    let key = skyfresh_sky::ObjectKey::new("k").unwrap();
    let head = skyfresh_store::ObjectStore::head(&store, &key)
        .await
        .unwrap();
    assert_eq!(head.size, 1);
    assert_eq!(server.received().len(), 2);
}
