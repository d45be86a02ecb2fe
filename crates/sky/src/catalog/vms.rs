//! Machines that relay bytes.

use super::table::rows;
use crate::{Invalid, Provider, Usd};
use std::sync::LazyLock;
use std::time::Duration;

/// A kind of machine, as `crates/sky/catalog/vms.csv` has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Vm {
    /// The provider's name of it.
    pub instance: String,
    /// The provider.
    pub provider: Provider,
    /// On-demand price of an hour.
    pub usd_per_hour: Usd,
    /// The price of an hour that the reference planner charges for every machine: for comparisons with it alone.
    pub reference_usd_per_hour: Usd,
    /// Virtual CPUs.
    pub vcpus: u64,
    /// What it can send to public addresses, in Gbit/s.
    pub egress_gbps: f64,
    /// What it can send in all where machines of its provider are reached by internal addresses, in Gbit/s; to public ones it
    /// sends no more than `egress_gbps` of it.
    pub internal_egress_gbps: f64,
    /// What it can receive, in Gbit/s.
    pub ingress_gbps: f64,
    /// From the request to a machine that answers, in seconds.
    pub provisioning_s: f64,
    /// The least that is billed, in seconds.
    pub minimum_s: f64,
    /// Columns of the table that are from memory.
    pub unverified: Vec<String>,
}

const EMBEDDED: &str = include_str!("../../catalog/vms.csv");

static VMS: LazyLock<Vec<Vm>> = LazyLock::new(|| parse(EMBEDDED).unwrap_or_default());

/// The machines of the catalogue.
pub fn vms() -> &'static [Vm] {
    &VMS
}

/// A machine by the provider's name of it, where it is listed.
pub fn vm(instance: &str) -> Option<&'static Vm> {
    VMS.iter().find(|row| row.instance == instance)
}

/// The machine that relays use at a provider, where one is listed.
pub fn relay_vm(provider: Provider) -> Option<&'static Vm> {
    VMS.iter().find(|row| row.provider == provider)
}

impl Vm {
    /// What one machine costs for this long, by begun seconds and no less than the minimum.
    pub fn price(&self, duration: Duration) -> Usd {
        let billed_s = duration
            .max(Duration::from_secs_f64(self.minimum_s))
            .as_nanos()
            .div_ceil(1_000_000_000);
        self.usd_per_hour.per(3600, billed_s)
    }
}

fn parse(csv: &str) -> Result<Vec<Vm>, Invalid> {
    let table = rows("vm", csv)?;
    table
        .iter()
        .map(|row| {
            Ok(Vm {
                instance: row.text("instance")?.to_owned(),
                provider: row.parse("provider")?,
                usd_per_hour: row.usd("usd_per_hour")?,
                reference_usd_per_hour: row.usd("reference_usd_per_hour")?,
                vcpus: row.count("vcpus")?,
                egress_gbps: row.number("egress_gbps")?,
                internal_egress_gbps: row.number("internal_egress_gbps")?,
                ingress_gbps: row.number("ingress_gbps")?,
                provisioning_s: row.number("provisioning_s")?,
                minimum_s: row.number("minimum_s")?,
                unverified: row.unverified()?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_table_is_read_whole() {
        assert_eq!(parse(EMBEDDED).unwrap().len(), 3);
        for provider in [Provider::Aws, Provider::Azure, Provider::Gcp] {
            let row = relay_vm(provider).unwrap();
            assert_eq!(row.reference_usd_per_hour, Usd::from_usd(0.54));
            assert_eq!(vm(&row.instance), Some(row));
            assert!(row.internal_egress_gbps >= row.egress_gbps);
        }
        assert!(relay_vm(Provider::Local).is_none());
    }

    #[test]
    fn prices_by_hand() {
        let m5 = vm("m5.8xlarge").unwrap();
        assert_eq!(m5.price(Duration::from_secs(3600)), Usd::from_usd(1.536));
        // 90.2 s are 91 begun seconds: 1.536 × 91 / 3600 = 0.038826666…
        let begun = m5.price(Duration::from_millis(90_200));
        assert_eq!(begun.units(), 38_826_666_667);
        // A second costs what a minute costs.
        assert_eq!(m5.price(Duration::from_secs(1)), Usd::from_usd(0.0256));
    }
}
