//! Runs a sky until standard input is closed. Arguments are `key=value` pairs, as below. Prints one JSON line:
//! the admin URL, all endpoints with what they speak, the credentials, and for every Azure region the connection string of
//! its unshaped ports.
//!
//! `regions=aws:us-east-1,gcp:us-central1,azure:eastus directory=/path minimum_part_bytes=1024 listen_port=9000 shaped=true
//! rewrite_bytes_per_call=1048576 google_key_file=/path/key.json azure_account=name azure_key=base64`

use skyfresh_localsky::{LocalSky, Protocol, RegionConfig, Secret, ShapingProfile, SkyConfig};
use skyfresh_sky::{Rng, SystemClock};
use std::collections::BTreeMap;
use std::sync::Arc;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "an example's output")]
async fn main() -> anyhow::Result<()> {
    let mut config = SkyConfig {
        shaping: ShapingProfile::unshaped(),
        ..Default::default()
    };
    let (mut directory, mut key_file) = (None, None);
    for argument in std::env::args().skip(1) {
        match argument.split_once('=') {
            Some(("regions", names)) => {
                config.regions = names
                    .split(',')
                    .map(|name| Ok(RegionConfig::in_memory(name.parse()?)))
                    .collect::<anyhow::Result<_>>()?;
            }
            Some(("directory", path)) => directory = Some(std::path::PathBuf::from(path)),
            Some(("minimum_part_bytes", bytes)) => config.minimum_part_bytes = bytes.parse()?,
            Some(("rewrite_bytes_per_call", bytes)) => {
                config.google.rewrite_bytes_per_call = bytes.parse()?;
            }
            Some(("google_key_file", path)) => key_file = Some(std::path::PathBuf::from(path)),
            Some(("listen_port", port)) => config.listen_port = Some(port.parse()?),
            Some(("azure_account", name)) => config.azure.account = Some(name.to_owned()),
            Some(("azure_key", key)) => config.azure.key = Some(Secret::new(key)),
            Some(("shaped", "true")) => config.shaping = ShapingProfile::default(),
            _ => anyhow::bail!("unknown argument {argument:?}"),
        }
    }
    if let Some(directory) = directory {
        for region in &mut config.regions {
            region.directory = Some(directory.join(region.region.to_string().replace(':', "-")));
        }
    }
    let (access_key, secret_key) = (config.access_key.clone(), config.secret_key.clone());
    let google_token = config.google.token.clone();
    let sky = LocalSky::start(config, Arc::new(SystemClock), Rng::from_entropy()).await?;
    let endpoints = sky.endpoints();
    let connection_strings: BTreeMap<String, String> = endpoints
        .iter()
        .filter(|endpoint| endpoint.from.is_none())
        .filter_map(|endpoint| {
            let string = sky.azure_connection_string(None, &endpoint.to)?;
            Some((endpoint.to.to_string(), string))
        })
        .collect();
    if let Some(path) = key_file {
        let ours = endpoints
            .iter()
            .find(|endpoint| endpoint.protocol == Protocol::Gcs)
            .ok_or_else(|| anyhow::anyhow!("google_key_file needs a region that speaks GCS"))?;
        let key = sky.google_service_account_key(&ours.url).await?;
        std::fs::write(path, key.expose())?;
    }
    let shown = serde_json::json!({
        "admin": sky.admin_url(),
        "endpoints": endpoints,
        "access_key_id": access_key,
        "secret_access_key": secret_key.expose(),
        "google_token": google_token.expose(),
        "azure_connection_strings": connection_strings,
    });
    println!("{shown}");
    tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()))
        .await??;
    sky.shutdown().await;
    Ok(())
}
