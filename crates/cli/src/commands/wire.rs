//! `skyfresh wire`: creates the channel that carries a rule's events.

use crate::config::Config;
use crate::context::Context;
use crate::exit::{Exit, Told};
use crate::open::Opener;
use crate::output::{Style, printable};
use crate::wiring::{Opened, Records, channel_lines};
use anyhow::Context as _;
use serde::Serialize;
use skyfresh_channel::wiring::aws::{self, Via};
use skyfresh_channel::wiring::{
    Cloud, Found, Outcome, Plan, Push, Record, Resource, State, Stopped, azure, google,
};
use skyfresh_engine::Rule;
use skyfresh_sky::{Kind, Scheme};
use std::path::{Path, PathBuf};

/// Create the channel that carries a rule's events: queue, permission, notification configuration
///
/// Events make copies begin within seconds of a change; without them changes wait for the next sweep. Everything that is
/// created carries the rule's name, is printed, and is written down beside the ledger so that `unwire` removes exactly that.
/// What is there already is used and never removed; what is there and differs is left alone, and told. Doing it again changes
/// nothing. The ledger is not opened: a daemon may be running. docs/wiring.md says what is created and what it costs.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  skyfresh wire models --dry-run
  skyfresh wire models -c /etc/skyfresh/skyfresh.toml
  skyfresh wire models --via eventbridge
  skyfresh wire models --push https://skyfresh.example.com/v1/notify/pubsub --push-service-account push@p.iam.gserviceaccount.com")]
pub(crate) struct Args {
    /// The rule, by its name in the configuration
    #[arg(value_name = "RULE")]
    rule: String,
    /// Only print what would be created
    #[arg(long)]
    dry_run: bool,
    /// S3: how events leave the bucket; eventbridge where another notification configuration looks at the same keys
    #[arg(long, value_name = "WAY", default_value = "notification")]
    via: Way,
    /// GCS and Azure: deliver to this address instead of a queue that is pulled from
    #[arg(long, value_name = "URL")]
    push: Option<String>,
    /// GCS: the service account whose token comes with what is pushed
    #[arg(long, value_name = "EMAIL", requires = "push")]
    push_service_account: Option<String>,
    /// GCS: the project of topic and subscription; the bucket's own unless given
    #[arg(long, value_name = "PROJECT")]
    project: Option<String>,
    /// Azure: the storage account's resource id; looked for in all subscriptions unless given
    #[arg(long, value_name = "ID")]
    account_id: Option<String>,
    /// The configuration
    #[arg(short, long, value_name = "FILE", default_value = "skyfresh.toml")]
    config: PathBuf,
}

/// How events leave an S3 bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Way {
    /// A notification configuration of the bucket
    Notification,
    /// An EventBridge rule
    Eventbridge,
}

/// What became of one resource, or would.
#[derive(Serialize)]
struct Line<'a> {
    action: &'static str,
    kind: &'static str,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    differs: Option<String>,
    resource: &'a Resource,
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let config = Config::read(&args.config, &context.environment)?;
    let rule = find(&config, &args.rule, &args.config)?;
    let opener = Opener::new(context, config.endpoints.clone());
    args.fits(rule.source.scheme)?;
    let cannot = || format!("cannot wire rule {:?}", rule.name);
    let opened = Opened::open(&opener, &rule.source, context).await;
    let opened = opened.map_err(|error| cannot_open(error, &rule.name))?;
    // The secret of a webhook is in its query: it goes into the request, and nowhere else.
    let opened = match args.push.as_deref().and_then(|url| url.split_once('?')) {
        Some((_, query)) => opened.with_webhook_query(query),
        None => opened,
    };
    let plan = plan(&args, rule, &opened).await.with_context(cannot)?;
    let records = Records::beside(&config.ledger.path);
    let record = records.read(&rule.name)?;
    if args.dry_run {
        return dry_run(&plan, record, opened.cloud(), rule, &opened, context).await;
    }
    let record = record.unwrap_or_else(|| Record::new(&*rule.name, rule.source.to_string()));
    let clock = context.clock.as_ref();
    let wired =
        skyfresh_channel::wiring::wire(opened.cloud(), &plan, record, &records, clock).await;
    let wired = wired.map_err(|stopped| told(*stopped, rule, context))?;
    let lines: Vec<Line<'_>> = plan
        .resources
        .iter()
        .zip(&wired.outcomes)
        .map(|(resource, outcome)| Line {
            action: match outcome {
                Outcome::Created => "created",
                Outcome::Unchanged => "unchanged",
                Outcome::Found => "found",
            },
            kind: resource.kind(),
            name: name_of(&wired.record, resource),
            differs: None,
            resource,
        })
        .collect();
    let channel = channel_lines(rule, &plan, &opened);
    let path = records.path(&rule.name);
    if context.output.json {
        context.output.json_line(&serde_json::json!({
            "rule": rule.name, "dry_run": false, "resources": lines, "channel": channel, "record": path,
        }))?;
        return Ok(Exit::Ok);
    }
    tell(&lines, context);
    tell_channel(channel.as_deref(), &args.config, context);
    context
        .output
        .note(format_args!("recorded in {}", path.display()));
    Ok(Exit::Ok)
}

/// The rule of this name.
pub(super) fn find<'a>(config: &'a Config, name: &str, path: &Path) -> Result<&'a Rule, Told> {
    config
        .rules
        .iter()
        .find(|rule| rule.name == name)
        .ok_or_else(|| {
            let known: Vec<&str> = config.rules.iter().map(|rule| &*rule.name).collect();
            let known = if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            };
            Told::new(
                Exit::Usage,
                format!("{} has no rule named {name:?}", path.display()),
            )
            .hint(format!("rules there: {known}"))
        })
}

/// What has no channel at all is no trouble but a misunderstanding.
pub(super) fn cannot_open(error: skyfresh_store::Error, rule: &str) -> anyhow::Error {
    let what = format!("cannot wire rule {rule:?}");
    match error.kind {
        Kind::Unsupported => Told::new(Exit::Usage, format!("{what}: {}", error.context)).into(),
        _ => anyhow::Error::from(error).context(what),
    }
}

impl Args {
    /// Refuses options that mean nothing for this kind of source, rather than ignore them.
    fn fits(&self, scheme: Scheme) -> Result<(), Told> {
        let set = [
            (
                "--via eventbridge",
                self.via == Way::Eventbridge,
                &[Scheme::S3][..],
            ),
            ("--push", self.push.is_some(), &[Scheme::Gcs, Scheme::Azure]),
            (
                "--push-service-account",
                self.push_service_account.is_some(),
                &[Scheme::Gcs],
            ),
            ("--project", self.project.is_some(), &[Scheme::Gcs]),
            ("--account-id", self.account_id.is_some(), &[Scheme::Azure]),
        ];
        let unfit = set
            .iter()
            .find(|(_, given, schemes)| *given && !schemes.contains(&scheme));
        if let Some((option, ..)) = unfit {
            let why = format!(
                "{option} means nothing for a source on {}://",
                scheme.as_str()
            );
            return Err(Told::new(Exit::Usage, why));
        }
        if scheme == Scheme::Gcs && self.push.is_some() && self.push_service_account.is_none() {
            let why =
                "--push needs --push-service-account: the daemon takes no push without a token";
            return Err(Told::new(Exit::Usage, why));
        }
        if self
            .push
            .as_ref()
            .is_some_and(|url| !url.starts_with("https://"))
        {
            return Err(Told::new(Exit::Usage, "--push takes an https:// address"));
        }
        Ok(())
    }
}

/// What is to be there: pure, but for the questions of who and where we are.
async fn plan(args: &Args, rule: &Rule, opened: &Opened) -> skyfresh_store::Result<Plan> {
    let source = &rule.source;
    match opened {
        Opened::Aws(aws) => {
            let caller = aws.caller().await?;
            let source = aws::Source {
                rule: &rule.name,
                bucket: &source.bucket,
                prefix: &source.prefix,
                tags: rule.tags,
                via: match args.via {
                    Way::Notification => Via::Notification,
                    Way::Eventbridge => Via::EventBridge,
                },
            };
            Ok(aws::plan(source, aws.region(), &caller))
        }
        Opened::Google(google) => {
            let project = match &args.project {
                Some(project) => project.clone(),
                None => google.project_of(&source.bucket).await?,
            };
            // The agent of the bucket's project publishes, wherever the topic is.
            let owner = google.project_of(&source.bucket).await?;
            let agent = google.service_agent(&owner).await?;
            let push = args.push.as_ref().zip(args.push_service_account.as_ref());
            let source = google::Source {
                rule: &rule.name,
                bucket: &source.bucket,
                prefix: &source.prefix,
                push: push.map(|(url, service_account)| Push {
                    url: url.clone(),
                    service_account: service_account.clone(),
                    audience: url.clone(),
                }),
            };
            Ok(google::plan(&source, &project, &agent))
        }
        Opened::Azure(azure) => {
            let (account, container) = source.azure_container().unwrap_or_default();
            let account_id = match &args.account_id {
                Some(id) => id.trim_end_matches('/').to_owned(),
                None => azure.account_id(account).await?,
            };
            Ok(azure::plan(azure::Source {
                rule: &rule.name,
                account_id: &account_id,
                container,
                prefix: &source.prefix,
                webhook: args
                    .push
                    .as_deref()
                    .map(|url| url.split('?').next().unwrap_or(url)),
            }))
        }
    }
}

async fn dry_run(
    plan: &Plan,
    record: Option<Record>,
    cloud: &dyn Cloud,
    rule: &Rule,
    opened: &Opened,
    context: &Context,
) -> anyhow::Result<Exit> {
    let mut lines = Vec::new();
    for resource in &plan.resources {
        let ours = record
            .iter()
            .flat_map(|record| &record.entries)
            .any(|entry| entry.resource == *resource && entry.state != State::Found);
        let (action, differs) = match cloud.look(resource).await? {
            Found::Absent => ("would create", None),
            Found::AsPlanned(_) if ours => ("unchanged", None),
            Found::AsPlanned(_) => ("found", None),
            Found::Different(why) => ("differs", Some(why)),
        };
        lines.push(Line {
            action,
            kind: resource.kind(),
            name: resource.name(),
            differs,
            resource,
        });
    }
    let exit = match lines.iter().any(|line| line.differs.is_some()) {
        true => Exit::Refused,
        false => Exit::Ok,
    };
    if context.output.json {
        let channel = channel_lines(rule, plan, opened);
        context.output.json_line(&serde_json::json!({
            "rule": rule.name, "dry_run": true, "resources": lines, "channel": channel,
        }))?;
        return Ok(exit);
    }
    for line in &lines {
        tell_line(line, context);
        let details = line.resource.to_string();
        details.lines().skip(1).for_each(|detail| {
            context
                .output
                .line(format_args!("             {}", printable(detail, false)));
        });
    }
    context
        .output
        .note("nothing was created: this was a dry run");
    Ok(exit)
}

fn tell(lines: &[Line<'_>], context: &Context) {
    lines.iter().for_each(|line| tell_line(line, context));
}

fn tell_line(line: &Line<'_>, context: &Context) {
    let style = match line.action {
        "created" | "would create" => Style::Green,
        "differs" => Style::Red,
        _ => Style::Plain,
    };
    let action = context
        .output
        .paint(style, format_args!("{:<13}", line.action));
    let name = printable(&line.name, false);
    context
        .output
        .line(format_args!("{action}{} {name}", line.kind));
    if let Some(why) = &line.differs {
        context
            .output
            .line(format_args!("             {}", printable(why, false)));
    }
    if line.action == "found" {
        context
            .output
            .line("             it was there before: `unwire` leaves it");
    }
}

fn tell_channel(channel: Option<&str>, path: &Path, context: &Context) {
    let output = &context.output;
    output.line("");
    match channel {
        Some(lines) => {
            output.line(format_args!(
                "add to {}, and restart the daemon:",
                path.display()
            ));
            output.line("");
            output.line(lines.trim_end());
        }
        None => output.line("the configuration needs nothing more"),
    }
}

fn name_of(record: &Record, resource: &Resource) -> String {
    let entry = record
        .entries
        .iter()
        .find(|entry| entry.resource == *resource);
    entry.map_or_else(|| resource.name(), |entry| entry.name.clone())
}

/// What was done until it stopped, then why, and how to go on.
fn told(stopped: Stopped, rule: &Rule, context: &Context) -> anyhow::Error {
    let Stopped { record, error } = stopped;
    let ours = record
        .entries
        .iter()
        .filter(|entry| entry.state != State::Found);
    let ours: Vec<_> = ours.collect();
    for entry in &ours {
        let action = match entry.state {
            State::Creating => "begun",
            _ => "created",
        };
        let name = printable(&entry.name, false);
        context
            .output
            .note(format_args!("{action:<13}{} {name}", entry.resource.kind()));
    }
    let exit = match error.kind {
        Kind::Precondition => Exit::Refused,
        Kind::Denied | Kind::RetryAfter | Kind::Missing => Exit::Unreachable,
        Kind::Invalid | Kind::Unsupported => Exit::Usage,
        Kind::Corrupt | Kind::Internal => Exit::Failed,
    };
    let name = &rule.name;
    let mut told = Told::new(exit, format!("wiring rule {name:?} stopped: {error}"));
    told = match error.code.as_deref() {
        Some("WiredOtherwise") => told.hint(format!("`skyfresh unwire {name}`, then wire it again")),
        Some("Different") => told.hint(
            "remove or rename what is there, if it is nobody else's; Skyfresh changes nothing that it did not create",
        ),
        _ if error.context.to_lowercase().contains("overlap") => told.hint(
            "another notification configuration looks at the same keys: `--via eventbridge` does not mind it",
        ),
        _ if error.kind == Kind::Denied => told.hint(
            "`skyfresh doctor -c FILE` prints the policy that wiring needs, apart from that of the daemon",
        ),
        _ => told,
    };
    if !ours.is_empty() && error.code.as_deref() != Some("WiredOtherwise") {
        told = told.hint(format!(
            "`skyfresh wire {name}` goes on from here; `skyfresh unwire {name}` removes what was created"
        ));
    }
    told.into()
}
