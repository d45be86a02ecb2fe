//! Where credentials come from, against issuers that answer as a test says.

mod azure_support;

use azure_support::scripted::{Reply, Scripted};
use http::request::Parts;
use skyfresh_sky::{Clock, Kind, ManualClock, SystemClock, Timestamp};
use skyfresh_store::azure::{
    AzureCredentialSource, AzureCredentials, EntraApplication, IdentityEndpoint,
    MANAGEMENT_RESOURCE,
};
use std::sync::Arc;
use std::time::Duration;

const NOW: Timestamp = Timestamp::from_unix_ms(1_700_000_000_000);

/// A clock that shows what the test says, but really waits: the issuers are real sockets.
#[derive(Debug)]
struct StoodClock(ManualClock);

impl StoodClock {
    fn at(now: Timestamp) -> Self {
        StoodClock(ManualClock::at(now))
    }

    fn advance(&self, by: Duration) {
        self.0.advance(by);
    }
}

#[async_trait::async_trait]
impl Clock for StoodClock {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn monotonic_ns(&self) -> u64 {
        SystemClock.monotonic_ns()
    }

    async fn sleep(&self, delay: Duration) {
        SystemClock.sleep(delay).await;
    }
}

fn token(secret: &str, expires_in_s: u64) -> Reply {
    let body = format!(
        r#"{{"access_token":"{secret}","expires_in":{expires_in_s},"token_type":"Bearer"}}"#
    );
    Reply::new("200 OK", "Content-Type: application/json\r\n", &body)
}

fn blob_request() -> Parts {
    let request = http::Request::get("https://acme.blob.core.windows.net/c/k")
        .body(())
        .unwrap();
    request.into_parts().0
}

async fn authorization(credentials: &AzureCredentials) -> String {
    let mut request = blob_request();
    credentials.authorize(&mut request).await.unwrap();
    assert_eq!(request.headers["x-ms-date"].len(), 29, "an HTTP date");
    request.headers["authorization"]
        .to_str()
        .unwrap()
        .to_owned()
}

fn managed(issuer: &Scripted, client_id: Option<&str>) -> AzureCredentialSource {
    AzureCredentialSource::ManagedIdentity {
        client_id: client_id.map(str::to_owned),
        endpoint: IdentityEndpoint::InstanceMetadata {
            url: format!("{}/metadata/identity/oauth2/token", issuer.address),
        },
    }
}

fn application(issuer: &Scripted) -> EntraApplication {
    EntraApplication {
        tenant_id: "tenant".into(),
        client_id: "client".into(),
        authority_host: Some(issuer.address.clone()),
    }
}

#[tokio::test]
async fn a_managed_identity_is_asked_for_with_its_header() {
    let issuer = Scripted::start([token("one", 86_400)]).await;
    let clock = Arc::new(StoodClock::at(NOW));
    let credentials = AzureCredentials::new("acme", managed(&issuer, Some("id")), clock).unwrap();
    assert_eq!(authorization(&credentials).await, "Bearer one");
    assert_eq!(authorization(&credentials).await, "Bearer one");
    let received = issuer.received();
    assert_eq!(received.len(), 1, "the token is kept");
    assert_eq!(received[0].header("metadata"), Some("true"));
    assert_eq!(
        received[0].line,
        "GET /metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fstorage.azure.com%2F&client_id=id HTTP/1.1"
    );
    let management = credentials.bearer(MANAGEMENT_RESOURCE).await.unwrap();
    assert_eq!(management.expose(), "one");
    assert!(!format!("{management:?}").contains("one"));
    assert!(
        issuer.received()[1]
            .line
            .contains("resource=https%3A%2F%2Fmanagement.azure.com%2F")
    );

    let service = Scripted::start([token("two", 86_400)]).await;
    let source = AzureCredentialSource::ManagedIdentity {
        client_id: None,
        endpoint: IdentityEndpoint::AppService {
            url: format!("{}/msi/token", service.address),
            header: "hunter2".into(),
        },
    };
    let credentials = AzureCredentials::new("acme", source, Arc::new(StoodClock::at(NOW))).unwrap();
    assert_eq!(authorization(&credentials).await, "Bearer two");
    assert_eq!(
        service.received()[0].header("x-identity-header"),
        Some("hunter2")
    );
    assert!(!format!("{credentials:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_token_is_renewed_before_it_expires_and_used_until_then() {
    let unavailable = Reply::new("503 Service Unavailable", "", "");
    let issuer = Scripted::start([token("one", 3600), unavailable, token("two", 3600)]).await;
    let clock = Arc::new(StoodClock::at(NOW));
    let source = AzureCredentialSource::ClientSecret {
        application: application(&issuer),
        client_secret: "hunter2".into(),
    };
    let credentials = AzureCredentials::new("acme", source, clock.clone()).unwrap();
    assert_eq!(authorization(&credentials).await, "Bearer one");
    clock.advance(Duration::from_secs(3299));
    assert_eq!(authorization(&credentials).await, "Bearer one");
    assert_eq!(issuer.received().len(), 1);
    clock.advance(Duration::from_secs(1));
    assert_eq!(
        authorization(&credentials).await,
        "Bearer one",
        "the issuer is away, and the token still good"
    );
    assert_eq!(authorization(&credentials).await, "Bearer one");
    assert_eq!(
        issuer.received().len(),
        2,
        "the issuer is not asked again at once"
    );
    clock.advance(Duration::from_secs(10));
    assert_eq!(authorization(&credentials).await, "Bearer two");
    let received = issuer.received();
    assert_eq!(received[0].line, "POST /tenant/oauth2/v2.0/token HTTP/1.1");
    let form = String::from_utf8(received[0].body.clone()).unwrap();
    assert!(form.contains("client_id=client&scope=https%3A%2F%2Fstorage.azure.com%2F.default&client_secret=hunter2"), "{form}");
}

#[tokio::test]
async fn an_expired_token_is_never_used() {
    let issuer = Scripted::start([
        token("one", 3600),
        Reply::new("503 Service Unavailable", "", ""),
    ])
    .await;
    let clock = Arc::new(StoodClock::at(NOW));
    let credentials = AzureCredentials::new("acme", managed(&issuer, None), clock.clone()).unwrap();
    assert_eq!(authorization(&credentials).await, "Bearer one");
    clock.advance(Duration::from_secs(3601));
    let error = credentials
        .authorize(&mut blob_request())
        .await
        .unwrap_err();
    assert_eq!(error.kind, Kind::RetryAfter, "{error}");
}

#[tokio::test]
async fn a_federated_token_is_read_anew_for_every_request() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, "first.jwt\n").unwrap();
    let issuer = Scripted::start([token("one", 600), token("two", 600)]).await;
    let clock = Arc::new(StoodClock::at(NOW));
    let source = AzureCredentialSource::WorkloadIdentity {
        application: application(&issuer),
        token_file: file.clone(),
    };
    let credentials = AzureCredentials::new("acme", source, clock.clone()).unwrap();
    assert_eq!(authorization(&credentials).await, "Bearer one");
    std::fs::write(&file, "second.jwt").unwrap();
    clock.advance(Duration::from_secs(400));
    assert_eq!(authorization(&credentials).await, "Bearer two");
    let forms: Vec<String> = issuer
        .received()
        .iter()
        .map(|received| String::from_utf8(received.body.clone()).unwrap())
        .collect();
    assert!(
        forms[0].ends_with("&client_assertion=first.jwt"),
        "{forms:?}"
    );
    assert!(
        forms[1].ends_with("&client_assertion=second.jwt"),
        "{forms:?}"
    );
    std::fs::remove_file(&file).unwrap();
    clock.advance(Duration::from_secs(700));
    let error = credentials
        .authorize(&mut blob_request())
        .await
        .unwrap_err();
    assert_eq!(error.kind, Kind::Denied);
    assert!(error.to_string().contains("cannot read"), "{error}");
}

#[tokio::test]
async fn a_refusal_says_why_and_shows_no_secret() {
    let body = r#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided.\r\nTrace"}"#;
    let issuer = Scripted::start([Reply::new("401 Unauthorized", "", body)]).await;
    let source = AzureCredentialSource::ClientSecret {
        application: application(&issuer),
        client_secret: "hunter2".into(),
    };
    let credentials = AzureCredentials::new("acme", source, Arc::new(StoodClock::at(NOW))).unwrap();
    let error = credentials
        .authorize(&mut blob_request())
        .await
        .unwrap_err();
    assert_eq!(error.kind, Kind::Denied);
    assert!(error.to_string().contains("AADSTS7000215"), "{error}");
    assert!(!format!("{error:?}{credentials:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_signature_goes_into_the_address_and_nowhere_else() {
    let clock = Arc::new(StoodClock::at(NOW));
    let source = AzureCredentialSource::Sas("?sv=1&sig=hunter2".into());
    let credentials = AzureCredentials::new("acme", source, clock.clone()).unwrap();
    let mut request = blob_request();
    credentials.authorize(&mut request).await.unwrap();
    assert_eq!(
        request.uri,
        "https://acme.blob.core.windows.net/c/k?sv=1&sig=hunter2"
    );
    assert!(!request.headers.contains_key("authorization"));
    assert!(!format!("{credentials:?}").contains("hunter2"));
    let plain = http::Request::get("http://acme.example/c/k")
        .body(())
        .unwrap();
    let error = credentials
        .authorize(&mut plain.into_parts().0)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("not sent over http"), "{error}");
    let other = credentials.bearer(MANAGEMENT_RESOURCE).await.unwrap_err();
    assert_eq!(other.kind, Kind::Unsupported);
    for (bad, why) in [("https://acme/?x", "no `sig`"), ("sig=a b", "characters")] {
        let error = AzureCredentials::new(
            "acme",
            AzureCredentialSource::Sas(bad.into()),
            clock.clone(),
        )
        .unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
    let key = AzureCredentialSource::AccountKey("hunter2 is no key".into());
    let error = AzureCredentials::new("acme", key, clock).unwrap_err();
    assert!(!error.to_string().contains("hunter2"), "{error}");
}

#[tokio::test]
async fn a_signature_in_a_file_is_replaced_without_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("sas");
    std::fs::write(&file, "sv=1&sig=old\n").unwrap();
    let clock = Arc::new(StoodClock::at(NOW));
    let credentials = AzureCredentials::new(
        "acme",
        AzureCredentialSource::SasFile(file.clone()),
        clock.clone(),
    )
    .unwrap();
    let uri = async || {
        let mut request = blob_request();
        credentials.authorize(&mut request).await.unwrap();
        request.uri.to_string()
    };
    assert!(uri().await.ends_with("sig=old"));
    std::fs::write(&file, "sv=1&sig=new").unwrap();
    assert!(
        uri().await.ends_with("sig=old"),
        "not read for every request"
    );
    clock.advance(Duration::from_secs(60));
    assert!(uri().await.ends_with("sig=new"));
    // Replaced badly: what was read before goes on.
    std::fs::write(&file, "").unwrap();
    clock.advance(Duration::from_secs(60));
    assert!(uri().await.ends_with("sig=new"));
}
