//! One run's surroundings: a directory, ports, a configuration, stores as the test itself sees them.

use crate::process::{Binary, Process};
use crate::reader::Readers;
use crate::storm::{History, Storm};
use skyfresh_sky::{Rng, SystemClock};
use skyfresh_store::ObjectStore;
use skyfresh_store::s3::{Credentials, S3Config, S3Store};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The rule's name.
pub(crate) const RULE: &str = "crash";
/// Region, and the bucket there: the source's first.
pub(crate) const PLACES: [(&str, &str); 3] = [
    ("aws:us-east-1", "source"),
    ("aws:eu-west-1", "ireland"),
    ("gcp:us-central1", "iowa"),
];
/// What localsky's clients sign with, unless told otherwise.
pub(crate) const ACCESS_KEY: &str = "skyfresh";
pub(crate) const SECRET_KEY: &str = "skyfresh-local-secret";
/// How often the janitor runs, and how old an orphan must be.
pub(crate) const JANITOR_PERIOD: Duration = Duration::from_secs(2);

/// How long a key stays claimed by a process that died.
pub(crate) const LEASE: Duration = Duration::from_secs(5);

/// Below the range from which Linux takes the ports of outgoing connections (32768 and up, ip(7)): nobody takes one of ours
/// while its process is being restarted.
const PORTS: std::ops::Range<u64> = 20_000..32_000;

/// Consecutive ports of loopback that were free just now.
pub(crate) fn free_ports(count: u16, rng: &Rng) -> u16 {
    loop {
        let first = (PORTS.start + rng.below(PORTS.end - PORTS.start - u64::from(count))) as u16;
        let bound: Vec<_> = (first..first + count)
            .map(|port| TcpListener::bind(("127.0.0.1", port)))
            .collect();
        if bound.iter().all(Result::is_ok) {
            return first;
        }
    }
}

/// Everything of a run that outlives the processes in it.
pub(crate) struct Scene {
    /// How the run is called, in its directory and in what is printed.
    pub(crate) name: &'static str,
    pub(crate) seed: u64,
    pub(crate) kills: u64,
    pub(crate) rng: Rng,
    pub(crate) binary: Binary,
    pub(crate) history: Arc<History>,
    pub(crate) serve_url: String,
    pub(crate) webhook_secret: String,
}

impl Scene {
    /// A new directory, and a port for `serve`.
    pub(crate) fn new(name: &'static str, seed: u64, kills: u64, path: PathBuf) -> Scene {
        let rng = Rng::seeded(seed);
        // Ports and names must differ between runs of one seed: another one may be running.
        let surroundings = Rng::from_entropy();
        let directory =
            std::env::temp_dir().join(format!("skyfresh-{name}-{}", surroundings.token()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let webhook_secret = surroundings.token();
        let environment = vec![
            ("SKYFRESH_NOTIFY_TOKEN".into(), webhook_secret.clone()),
            ("NO_COLOR".into(), "1".into()),
            // For the ledger where it is a service; the stores have keys of their own.
            ("AWS_ACCESS_KEY_ID".into(), "test".into()),
            ("AWS_SECRET_ACCESS_KEY".into(), "testtest".into()),
        ];
        Scene {
            name,
            seed,
            kills,
            rng,
            binary: Binary {
                path,
                directory,
                environment,
            },
            history: Arc::new(History::new(surroundings.token())),
            serve_url: format!("http://127.0.0.1:{}", free_ports(1, &surroundings)),
            webhook_secret,
        }
    }

    pub(crate) fn webhook(&self) -> String {
        format!("{}/v1/notifications", self.serve_url)
    }

    /// Where `serve` keeps its ledger.
    pub(crate) fn ledger(&self) -> PathBuf {
        self.binary.directory.join("skyfresh.ledger")
    }

    /// Writes skyfresh.toml; `endpoints` are those of [`PLACES`] as `serve` uses them.
    pub(crate) fn configure(&self, endpoints: &[String]) {
        let ledger = "path = \"skyfresh.ledger\"";
        self.write_configuration("skyfresh.toml", &self.serve_url, ledger, endpoints);
    }

    /// Writes the configuration of a daemon that listens at `serve_url`; `ledger` is what stands in its section.
    pub(crate) fn write_configuration(
        &self,
        file: &str,
        serve_url: &str,
        ledger: &str,
        endpoints: &[String],
    ) {
        use std::fmt::Write;
        let (period, lease) = (JANITOR_PERIOD.as_secs(), LEASE.as_secs());
        let mut text = format!(
            "[server]\nlisten = \"{}\"\nwebhook_secret = \"{}\"\n\n[ledger]\n{ledger}\n\n\
             [engine]\nplanned = false\npart_size = \"5MiB\"\nlease = \"{lease}s\"\njanitor_period = \"{period}s\"\n",
            serve_url.trim_start_matches("http://"),
            self.webhook_secret
        );
        for ((region, bucket), url) in PLACES.iter().zip(endpoints) {
            let region = region.split_once(':').map_or(*region, |(_, name)| name);
            write!(
                text,
                "\n[endpoint.{bucket}]\nurl = \"{url}\"\nregion = \"{region}\"\n\
                 access_key_id = \"{ACCESS_KEY}\"\nsecret_access_key = \"{SECRET_KEY}\"\n"
            )
            .expect("a string");
        }
        write!(
            text,
            "\n[[rule]]\nname = \"{RULE}\"\nsource = \"{}\"\ndelete = true\nmax_deletes = 1000000\n\
             allow_empty_source = true\nsweep_every = \"3s\"\nslo = \"5s\"\n",
            by_name(PLACES[0].1)
        )
        .expect("a string");
        for (_, bucket) in &PLACES[1..] {
            write!(
                text,
                "\n[[rule.destination]]\nname = \"{bucket}\"\nlocation = \"{}\"\n",
                by_name(bucket)
            )
            .expect("a string");
        }
        std::fs::write(self.binary.directory.join(file), text).expect("a file");
    }

    /// Begins the daemon.
    pub(crate) fn serve(&self) -> Process {
        self.serve_with("serve", "skyfresh.toml")
    }

    /// Begins a daemon with a configuration of its own; its log is `NAME.log`.
    pub(crate) fn serve_with(&self, name: &'static str, file: &str) -> Process {
        self.binary.begin(name, &["serve", "-c", file])
    }

    /// How long a process lives from its ready line until it is killed; one in ten does not even get to that line.
    pub(crate) async fn live(&self, process: &mut Process) -> String {
        use skyfresh_sky::Clock;
        if self.rng.chance(0.1) {
            SystemClock
                .sleep(Duration::from_millis(self.rng.below(150)))
                .await;
            return String::new();
        }
        let ready = process.ready().await;
        SystemClock
            .sleep(Duration::from_millis(50 + self.rng.below(1_451)))
            .await;
        ready
    }
}

/// A bucket of [`PLACES`] by the name of its endpoint in skyfresh.toml.
pub(crate) fn by_name(bucket: &str) -> String {
    format!("s3://{bucket}/?endpoint={bucket}")
}

/// The three stores by connections of the test's own.
pub(crate) struct Views {
    pub(crate) source: Arc<dyn ObjectStore>,
    pub(crate) destinations: Vec<Arc<dyn ObjectStore>>,
}

/// Opens the stores of [`PLACES`] at these endpoints, with new connections.
pub(crate) fn views(endpoints: &[String]) -> Views {
    let open = |((region, bucket), url): (&(&str, &str), &String)| {
        let region = region.split_once(':').map_or(*region, |(_, name)| name);
        let location = format!("s3://{bucket}/?endpoint={url}&region={region}")
            .parse()
            .expect("a location");
        let credentials = Credentials::Static {
            access_key_id: ACCESS_KEY.into(),
            secret_access_key: SECRET_KEY.into(),
            session_token: None,
        };
        let config = S3Config {
            credentials,
            ..S3Config::default()
        };
        let store = S3Store::new(location, config, Arc::new(SystemClock), Rng::from_entropy());
        Arc::new(store.expect("a store")) as Arc<dyn ObjectStore>
    };
    let mut all: Vec<_> = PLACES.iter().zip(endpoints).map(open).collect();
    let destinations = all.split_off(1);
    Views {
        source: all.remove(0),
        destinations,
    }
}

/// The writer and the readers at work. `endpoints` are those of [`PLACES`].
pub(crate) fn begin_storm(scene: &Scene, endpoints: &[String]) -> (Storm, Readers) {
    let readers = Readers::begin(views(endpoints).destinations, &scene.history);
    let storm = Storm::begin(
        views(endpoints).source,
        Arc::clone(&scene.history),
        &scene.rng.fork(),
    );
    (storm, readers)
}
