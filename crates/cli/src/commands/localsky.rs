//! `skyfresh localsky`: object stores on this machine, to try things on.

use crate::context::Context;
use crate::exit::Exit;
use crate::output::Style;
use anyhow::Context as _;
use serde::Serialize;
use skyfresh_localsky::{
    Bandwidth, BucketConfig, Endpoint, LocalSky, Protocol, RegionConfig, Secret, ShapingProfile,
    SkyConfig, WebhookTarget,
};
use skyfresh_sky::{Region, parse_bytes, parse_delay};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Run object stores on loopback: S3, Google Cloud Storage, Azure, with regions, distances and notifications
///
/// Serves one store for each region until Ctrl-C, on 127.0.0.1 only, in its cloud's own protocol: aws and cloudflare: S3, gcp: Google Cloud
/// Storage with Pub/Sub, azure: Blob and Queue Storage with Event Grid. Objects are kept in memory unless --root is given.
/// Every region has one port without shaping, and with --shaped one more for clients in each other region, over
/// which it is as far away, and as slow, as the catalogue says.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  skyfresh localsky --bucket models
  skyfresh localsky --regions aws:us-east-1,gcp:us-central1 --root /tmp/sky --port 9000 --bucket a --bucket b
  skyfresh localsky --shaped 0.1 --bucket models --notify http://127.0.0.1:7070/v1/notifications")]
pub(crate) struct Args {
    /// The regions
    #[arg(
        long,
        value_name = "REGION",
        value_delimiter = ',',
        default_value = "aws:us-east-1,aws:eu-west-1,gcp:us-central1"
    )]
    regions: Vec<Region>,
    /// Serve Amazon S3 in every region, whatever its cloud speaks
    #[arg(long)]
    s3_everywhere: bool,
    /// Keep objects below this directory instead of in memory
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// The first of the ports, which then follow one another; any free ones otherwise
    #[arg(long, value_name = "BASE")]
    port: Option<u16>,
    /// Shape the traffic between regions; round trips are multiplied by SCALE, bandwidths divided by it
    #[arg(long, value_name = "SCALE", num_args = 0..=1, default_missing_value = "1", value_parser = scale)]
    shaped: Option<f64>,
    /// Instead of --shaped, one way between all regions: its round trip, the bytes per second of one connection, and those of
    /// all together, e.g. 80ms,50MB,400MB
    #[arg(long, value_name = "RTT,RATE,TOTAL", value_parser = link, conflicts_with = "shaped")]
    link: Option<ShapingProfile>,
    /// Give S3 objects random entity tags instead of MD5 (as S3 Express One Zone does), which makes writing several times as
    /// fast
    #[arg(long)]
    opaque_etags: bool,
    /// Make this bucket in every region (may be repeated)
    #[arg(long = "bucket", value_name = "NAME")]
    buckets: Vec<String>,
    /// Turn on versioning in those buckets
    #[arg(long, requires = "buckets")]
    versioned: bool,
    /// POST S3-format notifications of every change to this http:// address (may be repeated)
    #[arg(long, value_name = "URL")]
    notify: Vec<String>,
    /// The bearer token to send with them; SKYFRESH_NOTIFY_TOKEN keeps it off the process list
    #[arg(long, value_name = "TOKEN", requires = "notify")]
    notify_token: Option<String>,
}

impl Args {
    /// Whether regions have ports for the clients of the others.
    fn is_shaped(&self) -> bool {
        self.shaped.is_some() || self.link.is_some()
    }
}

fn scale(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(scale) if scale.is_finite() && scale > 0.0 => Ok(scale),
        _ => Err("expected a number above zero, e.g. 0.1".into()),
    }
}

fn link(text: &str) -> Result<ShapingProfile, String> {
    let [rtt, connection, total] = text.split(',').collect::<Vec<_>>()[..] else {
        return Err("expected three values, e.g. 80ms,50MB,400MB".into());
    };
    let rate = |text: &str| match parse_bytes(text.trim_end_matches("/s")) {
        Ok(bytes) if bytes > 0 => Ok(bytes as f64),
        _ => Err(format!(
            "{text} is no rate: expected bytes per second, e.g. 50MB"
        )),
    };
    let rtt: Duration = parse_delay(rtt).map_err(|error| error.to_string())?;
    let bandwidth = Bandwidth {
        total_bytes_per_s: rate(total)?,
        connection_bytes_per_s: rate(connection)?,
    };
    Ok(ShapingProfile::uniform(rtt, bandwidth))
}

/// What is running, as JSON.
#[derive(Serialize)]
struct Running<'a> {
    endpoints: Vec<Endpoint>,
    admin_url: &'a str,
    access_key_id: &'a str,
    secret_access_key: &'a str,
    google_token: &'a str,
    azure_connection_strings: BTreeMap<String, String>,
    buckets: &'a [String],
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let config = configure(&args, context);
    let (access_key, secret_key) = (config.access_key.clone(), config.secret_key.clone());
    let google_token = config.google.token.clone();
    let sky = LocalSky::start(config, context.clock.clone(), context.rng.fork())
        .await
        .context("cannot start the local sky")?;
    let running = Running {
        endpoints: endpoints(&sky, &args),
        admin_url: sky.admin_url(),
        access_key_id: &access_key,
        secret_access_key: secret_key.expose(),
        google_token: google_token.expose(),
        azure_connection_strings: args
            .regions
            .iter()
            .filter_map(|region| {
                let string = sky.azure_connection_string(None, region)?;
                Some((region.to_string(), string))
            })
            .collect(),
        buckets: &args.buckets,
    };
    match context.output.json {
        true => context.output.json_line(&running)?,
        false => tell(&running, &args, context),
    }
    context.stop.cancelled().await;
    sky.shutdown().await;
    Ok(Exit::Ok)
}

/// The ports to show, in the order of the regions. Without shaping all ports of a region are the same: one is enough.
fn endpoints(sky: &LocalSky, args: &Args) -> Vec<Endpoint> {
    let shown = |endpoint: &Endpoint| {
        endpoint.from.is_none()
            || (args.is_shaped() && endpoint.from.as_ref() != Some(&endpoint.to))
    };
    let place = |region: &Region| args.regions.iter().position(|given| given == region);
    let mut endpoints: Vec<Endpoint> = sky.endpoints().into_iter().filter(shown).collect();
    endpoints.sort_by_key(|endpoint| (endpoint.from.as_ref().map(place), place(&endpoint.to)));
    endpoints
}

fn configure(args: &Args, context: &Context) -> SkyConfig {
    let bucket = |name: &String| BucketConfig {
        name: name.clone(),
        versioned: args.versioned,
    };
    let region = |region: &Region| RegionConfig {
        region: region.clone(),
        protocol: args.s3_everywhere.then_some(Protocol::S3),
        directory: args
            .root
            .as_ref()
            .map(|root| root.join(region.to_string().replace(':', "-"))),
        buckets: args.buckets.iter().map(bucket).collect(),
    };
    let mut config = SkyConfig {
        regions: args.regions.iter().map(region).collect(),
        listen_port: args.port,
        shaping: match (args.shaped, &args.link) {
            (None, None) => ShapingProfile::unshaped(),
            (_, Some(link)) => link.clone(),
            (Some(scale), None) => ShapingProfile {
                time_scale: scale,
                bandwidth_scale: 1.0 / scale,
                ..ShapingProfile::default()
            },
        },
        opaque_etags: args.opaque_etags,
        ..SkyConfig::default()
    };
    let token = args
        .notify_token
        .as_deref()
        .or_else(|| context.environment.get("SKYFRESH_NOTIFY_TOKEN"));
    let target = |url: &String| WebhookTarget::new(url.clone(), token.map(Secret::new));
    config.notifications.targets = args.notify.iter().map(target).collect();
    config
}

fn tell(running: &Running<'_>, args: &Args, context: &Context) {
    let output = &context.output;
    let unshaped: Vec<&Endpoint> = running
        .endpoints
        .iter()
        .filter(|endpoint| endpoint.from.is_none())
        .collect();
    for endpoint in &running.endpoints {
        let way = match &endpoint.from {
            None => endpoint.to.to_string(),
            Some(from) => format!("{} from {from}", endpoint.to),
        };
        output.line(format_args!(
            "{}  {way}",
            output.paint(Style::Bold, &endpoint.url)
        ));
    }
    output.line(format_args!(
        "{}  admin: meter, faults, notifications, buckets",
        running.admin_url
    ));
    output.line("");
    output.line(format_args!(
        "export AWS_ACCESS_KEY_ID={}",
        running.access_key_id
    ));
    output.line(format_args!(
        "export AWS_SECRET_ACCESS_KEY={}",
        running.secret_access_key
    ));
    if unshaped
        .iter()
        .any(|endpoint| endpoint.protocol == Protocol::Gcs)
    {
        let token = running.google_token;
        output.line(format_args!("export CLOUDSDK_AUTH_ACCESS_TOKEN={token}"));
    }
    for (region, string) in &running.azure_connection_strings {
        output.line(format_args!(
            "export AZURE_STORAGE_CONNECTION_STRING='{string}'  # {region}"
        ));
    }
    let bucket = args.buckets.first().map_or("BUCKET", String::as_str);
    if args.buckets.is_empty() {
        let (name, url) = (r#"{"region":"REGION","name":"BUCKET"}"#, running.admin_url);
        output.line(format_args!(
            "curl {url}/buckets -H 'content-type: application/json' -d '{name}'"
        ));
    }
    let s3 = |endpoint: &&&Endpoint| endpoint.protocol == Protocol::S3;
    if let Some(first) = unshaped.iter().find(s3) {
        output.line(format_args!(
            "skyfresh replicate ./ 's3://{bucket}/?endpoint={}&region={}' --slo 10s --once",
            first.url, first.to.name
        ));
    }
    output.line("");
    output.note("serving until Ctrl-C");
}
