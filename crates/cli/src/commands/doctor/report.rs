//! The examination of one side, and what it says.

use super::abilities::{self, Ability};
use super::identity::{self, Who};
use super::notifications::{self, Notifications};
use super::permission::with_action;
use super::policy::{self, Policies};
use super::side::{Role, Side};
use crate::client::server_time;
use crate::context::Context;
use crate::open::Opener;
use futures::StreamExt;
use serde::Serialize;
use skyfresh_engine::OpenStore;
use skyfresh_sky::{Kind, Scheme};
use skyfresh_store::{Capabilities, Error, GetOptions, ObjectStore};

/// Requests whose time is off by more than this are refused, ms: S3's "RequestTimeTooSkewed"
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>); Azure's `x-ms-date` and Google's signed tokens allow no
/// more.
const REFUSED_SKEW_MS: i64 = 15 * 60 * 1_000;

/// Something tried, and what came of it.
#[derive(Debug, Serialize)]
pub(super) struct Check {
    pub(super) what: &'static str,
    pub(super) works: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) detail: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) hints: Vec<String>,
}

/// All that was found out about one side.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) role: Role,
    #[serde(skip)]
    pub(super) scheme: Scheme,
    pub(super) location: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) region: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) identity: Option<Who>,
    pub(super) checks: Vec<Check>,
    /// This machine's clock minus the store's, ms; the store tells whole seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) clock_skew_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) capabilities: Option<Capabilities>,
    /// What the side's rules would use of the store, and what is done where it cannot.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) abilities: Vec<Ability>,
    /// What the sources' objects may carry beside their bytes and this destination cannot keep, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unkept: Option<Vec<String>>,
    /// How changes at a source are heard of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) notifications: Option<Notifications>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) policy: Option<Policies>,
}

impl Report {
    /// Whether everything needed works.
    pub(super) fn works(&self) -> bool {
        self.checks.iter().all(|check| check.works)
    }

    fn check<T>(&mut self, what: &'static str, outcome: Result<T, Error>) -> Option<T> {
        match outcome {
            Ok(value) => {
                self.checks.push(Check {
                    what,
                    works: true,
                    detail: String::new(),
                    hints: Vec::new(),
                });
                Some(value)
            }
            Err(error) => {
                let detail = with_action(&error, self.scheme);
                let hints = crate::hint::of_store(&error)
                    .into_iter()
                    .filter(|hint| !hint.contains("doctor"));
                let hints = hints.map(str::to_owned).collect();
                self.checks.push(Check {
                    what,
                    works: false,
                    detail,
                    hints,
                });
                None
            }
        }
    }
}

/// Examines one side. What fails is in the report.
pub(super) async fn examine(side: &Side, opener: &Opener, context: &Context) -> Report {
    let mut report = Report {
        role: side.role,
        scheme: side.location.scheme,
        location: side.location.to_string(),
        url: None,
        region: None,
        identity: identity::outside_aws(side, context),
        checks: Vec::new(),
        clock_skew_ms: None,
        capabilities: None,
        abilities: Vec::new(),
        unkept: None,
        notifications: None,
        policy: policy::of(side),
    };
    if let Some(url) = opener.address(&side.location) {
        let reached = compare_clocks(&mut report, url, context).await;
        let identified = match reached {
            Ok(()) if side.location.scheme == Scheme::S3 => {
                identify(&mut report, side, opener, context).await
            }
            reached => reached,
        };
        if report.check("credentials", identified).is_none() {
            return report;
        }
    }
    let Some(store) = report.check("open", opener.open(&side.location)) else {
        return report;
    };
    if report.check("list", store.check_readable().await).is_none() {
        return report;
    }
    let read = read_something(store.as_ref(), side.needs.tags).await;
    report.check("read", read);
    match side.role {
        Role::Source => {
            report.notifications = Some(notifications::examine(side, opener, context).await);
        }
        Role::Destination => {
            let nonce = context.rng.token();
            if let Some(capabilities) = report.check("write", store.probe(&nonce).await) {
                report.abilities = abilities::of(&capabilities, side);
                report.unkept = Some(unkept(&capabilities, side, opener));
                report.capabilities = Some(capabilities);
            }
        }
    }
    report
}

/// What is lost of what the sources' objects may carry. A source that cannot be opened says so in its own report.
fn unkept(here: &Capabilities, side: &Side, opener: &Opener) -> Vec<String> {
    let mut unkept: Vec<String> = Vec::new();
    for source in side.sources.iter().filter_map(|at| opener.open(at).ok()) {
        let there = source.capabilities();
        let tags = side.needs.tags && there.tags && !here.tags;
        let mut lost = here.metadata.lost_from(&there.metadata);
        lost.extend(tags.then(|| "tags".to_owned()));
        lost.retain(|one| !unkept.contains(one));
        unkept.append(&mut lost);
    }
    unkept
}

/// Asks the store, unsigned, what time it is.
async fn compare_clocks(report: &mut Report, url: String, context: &Context) -> Result<(), Error> {
    let told = server_time(&url, context.clock.as_ref()).await;
    report.url = Some(url.clone());
    let (theirs, ours) = match told {
        Ok(Some(told)) => told,
        Ok(None) => return Ok(()),
        Err(why) => return Err(Error::new(Kind::RetryAfter, "reach", url, why)),
    };
    let skew_ms = ours.unix_ms() as i64 - theirs.unix_ms() as i64;
    // Their second has passed by up to 999 ms.
    let skew_ms = if (0..1_000).contains(&skew_ms) {
        0
    } else {
        skew_ms
    };
    report.clock_skew_ms = Some(skew_ms);
    if skew_ms.abs() > REFUSED_SKEW_MS {
        let why = format!(
            "this machine's clock is off by {} s: set it (NTP)",
            skew_ms / 1_000
        );
        return Err(Error::new(Kind::Denied, "sign", url, why).with_code("RequestTimeTooSkewed"));
    }
    Ok(())
}

async fn identify(
    report: &mut Report,
    side: &Side,
    opener: &Opener,
    context: &Context,
) -> Result<(), Error> {
    let identity = opener.s3(&side.location)?.identity().await?;
    report.region = Some(identity.region);
    let key = identity::masked(&identity.access_key_id);
    // Stores that only speak S3's protocol have no such service; AWS names the role behind the key.
    let caller = match crate::wiring::aws(opener, &side.location, context).await {
        Ok(aws) => aws.caller().await.ok(),
        Err(_) => None,
    };
    report.identity = Some(Who {
        name: match caller {
            Some(caller) => format!("{} ({key})", caller.arn),
            None => key,
        },
        temporary: identity.temporary,
        source: identity::aws_source(opener, &side.location, &identity.access_key_id, context),
    });
    Ok(())
}

/// Reads the first byte of the first object, where there is one: listing and reading are two permissions.
async fn read_something(store: &dyn ObjectStore, tags: bool) -> Result<(), Error> {
    let page = store.list(None, 1).await?;
    let Some(first) = page.objects.first() else {
        return Ok(());
    };
    let range = (first.size > 0).then_some(0..1);
    let mut read = store
        .get(
            &first.key,
            GetOptions {
                range,
                version: None,
            },
        )
        .await?;
    while let Some(chunk) = read.body.next().await {
        chunk?;
    }
    if tags {
        store.tags(&first.key).await?;
    }
    Ok(())
}
