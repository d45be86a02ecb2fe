//! Runs a sky until standard input is closed. Arguments are `key=value` pairs, as below. Prints one JSON line:
//! the admin URL, all endpoints, and for every Azure region the connection string of its unshaped ports.
//!
//! `regions=aws:us-east-1,aws:eu-west-1 directory=/path minimum_part_bytes=1024 listen_port=9000 shaped=true
//! azure_account=name azure_key=base64`

use skyfresh_localsky::{LocalSky, RegionConfig, Secret, ShapingProfile, SkyConfig};
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
    let mut directory = None;
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
    let shown = serde_json::json!({
        "admin": sky.admin_url(),
        "endpoints": endpoints,
        "azure_connection_strings": connection_strings,
    });
    println!("{shown}");
    tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()))
        .await??;
    sky.shutdown().await;
    Ok(())
}
