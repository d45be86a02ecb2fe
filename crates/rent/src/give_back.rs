//! How a machine deletes itself when it shuts down. Pure.
//!
//! EC2 deletes what shuts down. Google and Azure keep it, and have it paid: its disk, at Azure even the whole of it. So at these two a
//! machine asks its provider to delete it, in the name of its own role, as the last thing that it does. Where that role may not, or
//! there is none, it only stops, and `skyfresh relay rm` deletes it.

use crate::azure::COMPUTE_VERSION;
use skyfresh_sky::Provider;

/// What runs as the machine shuts down, and when: it must still have its network. systemd.service(5): services are stopped in the
/// opposite order of their start.
const UNIT: &str = "\
[Unit]
Description=Gives this rented machine back when it shuts down
Wants=network-online.target
After=network-online.target network.target nss-lookup.target systemd-resolved.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/true
ExecStop=/usr/local/sbin/skyfresh-give-back
TimeoutStopSec=60
";

/// A part of the script that a new machine runs as root. It ends well even where nothing can be set up: the machine then only stops.
pub(crate) fn give_back(provider: Provider) -> Option<String> {
    let ask = match provider {
        // (<https://cloud.google.com/compute/docs/metadata/overview>)
        Provider::Gcp => "\
get() { curl -fsS --noproxy '*' --max-time 5 -H 'Metadata-Flavor: Google' \"http://169.254.169.254/computeMetadata/v1/instance/$1\"; }
answer=$(get service-accounts/default/token)
self=https://compute.googleapis.com/compute/v1/$(get zone)/instances/$(get name)
"
        .to_owned(),
        // (<https://learn.microsoft.com/azure/virtual-machines/instance-metadata-service>)
        Provider::Azure => format!(
            "\
get() {{ curl -fsS --noproxy '*' --max-time 5 -H 'Metadata: true' \"http://169.254.169.254/metadata/$1\"; }}
answer=$(get 'identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fmanagement.azure.com%2F')
self=https://management.azure.com$(get 'instance/compute/resourceId?api-version=2021-02-01&format=text')
self=\"$self?api-version={COMPUTE_VERSION}&forceDeletion=true\"
"
        ),
        Provider::Aws | Provider::Cloudflare | Provider::Local => return None,
    };
    // The token goes in by standard input: arguments are everybody's to see.
    let script = format!(
        "\
#!/bin/sh
set -eu
{ask}\
token=$(printf '%s' \"$answer\" | sed -n 's/.*\"access_token\" *: *\"\\([^\"]*\\)\".*/\\1/p')
[ -n \"$token\" ]
printf 'header = \"Authorization: Bearer %s\"\\n' \"$token\" |
 curl -fsS --max-time 20 -o /dev/null -X DELETE -K - \"$self\"
"
    );
    Some(format!(
        "\
cat > /usr/local/sbin/skyfresh-give-back <<'END' &&
{script}END
chmod 700 /usr/local/sbin/skyfresh-give-back &&
cat > /run/systemd/system/skyfresh-give-back.service <<'END' &&
{UNIT}END
systemctl daemon-reload &&
systemctl --no-block start skyfresh-give-back ||
 echo 'skyfresh: this machine only stops when it shuts down'
"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::Command;

    /// The part, run by a real shell in a folder of its own, and then what it set up, with a `curl` that answers `token`.
    fn deleted(provider: Provider, token: &str) -> (bool, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let script = |name: &str, text: &str| {
            std::fs::write(path(name), format!("#!/bin/sh\n{text}\n")).unwrap();
            let mode = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(path(name), mode).unwrap();
        };
        let answer = format!(
            r#"case "$*" in
*DELETE*) {{ cat; echo "$*"; }} > '{}';;
*token*) echo '{{"access_token":"{token}","expires_in":3599}}';;
*resourceId*) printf /subscriptions/s/vm;;
*zone*) printf projects/7/zones/us-east1-b;;
*name*) printf skyfresh-1;;
*) exit 22;;
esac"#,
            path("asked")
        );
        script("curl", &answer);
        script("systemctl", &format!("echo \"$*\" >> '{}'", path("told")));
        let search = format!("{}:/usr/bin:/bin", folder.path().display());
        let part = give_back(provider)
            .unwrap()
            .replace("/usr/local/sbin/", &path(""))
            .replace("/run/systemd/system/", &path(""));
        let run = |words: &[&str]| {
            let mut command = Command::new("/bin/sh");
            command.args(words).env("PATH", &search).output().unwrap()
        };
        let setting_up = run(&["-euc", &part]);
        assert!(setting_up.status.success(), "{setting_up:?}");
        let told = std::fs::read_to_string(path("told")).unwrap();
        assert!(told.contains("start skyfresh-give-back"), "{told}");
        let unit = std::fs::read_to_string(path("skyfresh-give-back.service")).unwrap();
        assert!(unit.contains("ExecStop="), "{unit}");
        let ran = run(&[&path("skyfresh-give-back")]);
        let asked = std::fs::read_to_string(path("asked")).unwrap_or_default();
        (ran.status.success(), asked)
    }

    #[test]
    fn a_machine_of_google_or_azure_asks_to_be_deleted_with_its_own_token() {
        for (provider, address) in [
            (
                Provider::Gcp,
                "https://compute.googleapis.com/compute/v1/projects/7/zones/us-east1-b/instances/skyfresh-1",
            ),
            (
                Provider::Azure,
                "https://management.azure.com/subscriptions/s/vm?api-version=2024-07-01&forceDeletion=true",
            ),
        ] {
            let (well, asked) = deleted(provider, "hunter2");
            let (given, arguments) = asked.split_once('\n').unwrap();
            assert!(well, "{asked}");
            assert_eq!(given, "header = \"Authorization: Bearer hunter2\"");
            assert!(arguments.trim_end().ends_with(address), "{arguments}");
            assert!(!arguments.contains("hunter2"), "everybody sees arguments");
        }
    }

    #[test]
    fn without_a_role_nothing_is_asked_and_ec2_needs_nothing() {
        let (well, asked) = deleted(Provider::Gcp, "");
        assert!(!well && asked.is_empty(), "{asked}");
        assert_eq!(give_back(Provider::Aws), None);
    }

    #[test]
    fn where_nothing_can_be_set_up_the_rest_goes_on() {
        let part = give_back(Provider::Azure).unwrap();
        let part = part.replace("/usr/local/sbin/", "/nowhere/to/be/found/");
        let script = format!("set -eu\n{part}echo on\n");
        let ran = Command::new("/bin/sh").args(["-c", &script]).output();
        let told = String::from_utf8(ran.unwrap().stdout).unwrap();
        assert!(
            told.contains("only stops") && told.ends_with("on\n"),
            "{told}"
        );
    }
}
