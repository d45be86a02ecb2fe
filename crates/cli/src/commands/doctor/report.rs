//! The examination of one side, and what it says.

use super::policy::{self, Policy};
use super::side::{Role, Side};
use super::{credential_source, masked};
use crate::client::server_time;
use crate::context::Context;
use crate::open::Opener;
use crate::output::{Style, printable};
use futures::StreamExt;
use serde::Serialize;
use skyfresh_engine::OpenStore;
use skyfresh_sky::{Kind, Scheme};
use skyfresh_store::{
    Capabilities, ConditionSupport, Error, GetOptions, ObjectStore, Verification,
};

/// Lags are wrong by the skew of the clocks: worth saying from here on, ms.
const NOTABLE_SKEW_MS: i64 = 2_000;
/// S3 refuses requests whose time is off by more than this ("RequestTimeTooSkewed"), ms.
const REFUSED_SKEW_MS: i64 = 15 * 60 * 1_000;

/// Who signs.
#[derive(Debug, Serialize)]
struct Who {
    access_key_id: String,
    temporary: bool,
    source: String,
}

/// Something tried, and what came of it.
#[derive(Debug, Serialize)]
struct Check {
    what: &'static str,
    works: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    detail: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hints: Vec<String>,
}

/// All that was found out about one side.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    role: Role,
    location: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<Who>,
    checks: Vec<Check>,
    /// This machine's clock minus the store's, ms; the store tells whole seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    clock_skew_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    capabilities: Option<Capabilities>,
    /// Guarantees that are weaker here, and how.
    fallbacks: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<Policy>,
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
                let detail = with_action(&error);
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
        location: side.location.to_string(),
        url: None,
        region: None,
        identity: None,
        checks: Vec::new(),
        clock_skew_ms: None,
        capabilities: None,
        fallbacks: Vec::new(),
        policy: (side.location.scheme == Scheme::S3).then(|| policy::of(side)),
    };
    if side.location.scheme == Scheme::S3 {
        let identified = identify(&mut report, side, opener, context).await;
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
    if side.role == Role::Destination {
        let nonce = context.rng.token();
        if let Some(capabilities) = report.check("write", store.probe(&nonce).await) {
            report.fallbacks = fallbacks(&capabilities, side);
            report.capabilities = Some(capabilities);
        }
    }
    report
}

async fn identify(
    report: &mut Report,
    side: &Side,
    opener: &Opener,
    context: &Context,
) -> Result<(), Error> {
    let store = opener.s3(&side.location)?;
    report.url = Some(store.url());
    match server_time(&store.url(), context.clock.as_ref()).await {
        Ok(Some((theirs, ours))) => {
            let skew_ms = ours.unix_ms() as i64 - theirs.unix_ms() as i64;
            // Their second has passed by up to 999 ms.
            report.clock_skew_ms = Some(if (0..1_000).contains(&skew_ms) {
                0
            } else {
                skew_ms
            });
        }
        Ok(None) => {}
        Err(why) => {
            let error = Error::new(Kind::RetryAfter, "reach", store.url(), why);
            return Err(error);
        }
    }
    let identity = store.identity().await?;
    report.region = Some(identity.region);
    report.identity = Some(Who {
        access_key_id: masked(&identity.access_key_id),
        temporary: identity.temporary,
        source: credential_source(opener, &side.location, &identity.access_key_id, context),
    });
    match report.clock_skew_ms {
        Some(skew_ms) if skew_ms.abs() > REFUSED_SKEW_MS => {
            let why = format!(
                "this machine's clock is off by {} s: set it (NTP)",
                skew_ms / 1_000
            );
            Err(Error::new(Kind::Denied, "sign", store.url(), why)
                .with_code("RequestTimeTooSkewed"))
        }
        _ => Ok(()),
    }
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

/// The error, and which permission it is about.
fn with_action(error: &Error) -> String {
    let action = match (error.kind, error.operation) {
        (Kind::Denied, "check" | "list") => "s3:ListBucket",
        (Kind::Denied, "get" | "head") => "s3:GetObject",
        (Kind::Denied, "tags") => "s3:GetObjectTagging",
        (Kind::Denied, "probe" | "put" | "create upload" | "upload part" | "complete upload") => {
            "s3:PutObject"
        }
        (Kind::Denied, "delete") => "s3:DeleteObject",
        (Kind::Denied, "abort upload") => "s3:AbortMultipartUpload",
        _ => return error.to_string(),
    };
    match error.code.as_deref() {
        Some("AccessDenied") | None => format!("{error} (permission {action})"),
        Some(_) => error.to_string(),
    }
}

/// What is weaker at this destination than the guarantees say, and what is done instead.
fn fallbacks(capabilities: &Capabilities, side: &Side) -> Vec<String> {
    let mut weaker = Vec::new();
    let why = |support: ConditionSupport| match support {
        ConditionSupport::Ignored => "silently ignored",
        _ => "not supported",
    };
    let mut condition = |name: &str, support: ConditionSupport, what: &str| {
        if !support.enforced() {
            weaker.push(format!("{name} is {}: {what}", why(support)));
        }
    };
    let overwrite = "a worker that lost its lease, or another writer, could overwrite a newer object in the moment \
                     between our look and our write; let only one process write here";
    condition("PUT only if absent", capabilities.put_if_absent, overwrite);
    condition(
        "PUT only over a known version",
        capabilities.put_if_version,
        overwrite,
    );
    if capabilities.multipart {
        condition(
            "completing an upload only if absent",
            capabilities.complete_if_absent,
            overwrite,
        );
        condition(
            "completing an upload only over a known version",
            capabilities.complete_if_version,
            overwrite,
        );
    }
    if side.needs.delete {
        condition(
            "DELETE of a known version only",
            capabilities.delete_if_version,
            "an object written here by others just before our delete would be deleted with it",
        );
    }
    condition(
        "GET of a known version only",
        capabilities.get_if_version,
        "the version in every answer is compared instead",
    );
    if !capabilities.multipart {
        let limit = skyfresh_sky::format_bytes(capabilities.upload_limits.max_put_bytes);
        weaker.push(format!(
            "no multipart uploads: objects above {limit} cannot be replicated here"
        ));
    } else if !capabilities.list_uploads {
        weaker.push("unfinished uploads cannot be listed: those that a crash left behind before they were recorded stay".into());
    }
    if side.needs.tags && !capabilities.tags {
        weaker.push("no object tags: they are left out".into());
    }
    weaker
}

fn proof(verification: Verification) -> &'static str {
    match verification {
        Verification::Crc64Nvme => "CRC64NVME, checked by the store",
        Verification::Crc32c => "CRC32C, checked by the store",
        Verification::Crc64Answered => {
            "CRC64NVME, stated by the store for each block before it is published"
        }
        Verification::EtagMd5 => "MD5, compared with the ETag",
        Verification::Returned => "CRC64NVME, computed by the store as it writes",
    }
}

impl Report {
    /// Prints it for people.
    pub(super) fn tell(&self, context: &Context) {
        let output = &context.output;
        let role = match self.role {
            Role::Source => "source",
            Role::Destination => "destination",
        };
        output.line(format_args!(
            "{} {}",
            output.paint(Style::Bold, role),
            printable(&self.location, false)
        ));
        if let Some(who) = &self.identity {
            let temporary = if who.temporary { ", temporary" } else { "" };
            output.line(format_args!(
                "  identity     {}{temporary}, from {}",
                who.access_key_id, who.source
            ));
        }
        if let Some(url) = &self.url {
            let region = self
                .region
                .as_ref()
                .map_or_else(String::new, |region| format!(", signed for {region}"));
            output.line(format_args!("  address      {url}{region}"));
        }
        if let Some(skew_ms) = self.clock_skew_ms {
            let text = format!("{:+.1} s from the store's", skew_ms as f64 / 1e3);
            let notable = skew_ms.abs() > NOTABLE_SKEW_MS;
            let remark = if notable {
                "; lags are wrong by as much: set this machine's clock (NTP)"
            } else {
                ""
            };
            let style = if notable { Style::Yellow } else { Style::Plain };
            output.line(format_args!(
                "  clock        {}",
                output.paint(style, format_args!("{text}{remark}"))
            ));
        }
        for check in &self.checks {
            let verdict = match check.works {
                true => output.paint(Style::Green, "ok"),
                false => output.paint(
                    Style::Red,
                    format_args!("FAILED: {}", printable(&check.detail, false)),
                ),
            };
            output.line(format_args!("  {:<12} {verdict}", check.what));
            for hint in &check.hints {
                output.line(format_args!(
                    "  {:<12} {} {hint}",
                    "",
                    output.paint(Style::Yellow, "hint:")
                ));
            }
        }
        if let Some(capabilities) = &self.capabilities {
            output.line(format_args!(
                "  bytes proved {}",
                proof(capabilities.verification)
            ));
        }
        for fallback in &self.fallbacks {
            output.line(format_args!(
                "  {} {fallback}",
                output.paint(Style::Yellow, "weaker:")
            ));
        }
        if self.capabilities.is_some() && self.fallbacks.is_empty() {
            output.line("  guarantees   all of them hold here");
        }
        if let Some(policy) = &self.policy {
            output.line("  policy:");
            let policy = serde_json::to_string_pretty(policy).unwrap_or_default();
            policy
                .lines()
                .for_each(|line| output.line(format_args!("    {line}")));
        }
        output.line("");
    }
}

#[cfg(test)]
mod tests {
    use super::super::side::Needs;
    use super::*;
    use skyfresh_store::memory::MEMORY_CAPABILITIES;

    fn side(needs: Needs) -> Side {
        Side {
            role: Role::Destination,
            location: "s3://b/".parse().unwrap(),
            needs,
        }
    }

    #[test]
    fn a_store_that_does_everything_has_no_fallbacks() {
        let needs = Needs {
            delete: true,
            tags: true,
        };
        assert!(fallbacks(&MEMORY_CAPABILITIES, &side(needs)).is_empty());
    }

    #[test]
    fn every_weakness_is_told_where_it_matters() {
        let weak = Capabilities {
            put_if_absent: ConditionSupport::Ignored,
            put_if_version: ConditionSupport::Unsupported,
            delete_if_version: ConditionSupport::Ignored,
            multipart: false,
            list_uploads: false,
            tags: false,
            ..MEMORY_CAPABILITIES
        };
        let told = fallbacks(
            &weak,
            &side(Needs {
                delete: true,
                tags: true,
            }),
        )
        .join("\n");
        for part in [
            "PUT only if absent is silently ignored",
            "PUT only over a known version is not supported",
            "DELETE of a known version only is silently ignored",
            "no multipart uploads",
            "no object tags",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
        let plain = fallbacks(&weak, &side(Needs::default())).join("\n");
        assert!(
            !plain.contains("DELETE") && !plain.contains("tags"),
            "what no rule needs is no weakness: {plain}"
        );
    }

    #[test]
    fn a_refusal_names_the_permission() {
        let denied = |operation, code: &str| {
            with_action(&Error::new(Kind::Denied, operation, "s3://b/", "no").with_code(code))
        };
        assert!(denied("list", "AccessDenied").ends_with("(permission s3:ListBucket)"));
        assert!(denied("probe", "AccessDenied").ends_with("(permission s3:PutObject)"));
        assert!(
            !denied("list", "SignatureDoesNotMatch").contains("permission"),
            "the identity is wrong, not its rights"
        );
    }
}
