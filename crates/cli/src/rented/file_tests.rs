use super::*;

const THREE: &str = r#"
longest_life = "3h"
reach = "private"
[aws]
spot = true
[aws.region.us-east-1]
image = "ami-1"
key_name = "relays"
[gcp]
project = "p"
service_account = "relay@p.iam.gserviceaccount.com"
[gcp.region.us-central1]
image = "projects/ubuntu-os-cloud/global/images/family/ubuntu-2404-lts-amd64"
zones = ["us-central1-b", "us-central1-a"]
[azure]
subscription = "00000000-0000-0000-0000-000000000001"
resource_group = "relays"
instance = "Standard_D8_v5"
[azure.region.westus2]
image = "Canonical:ubuntu-24_04-lts:server:latest"
subnet = "/subscriptions/s/subnets/n"
"#;

fn regions(read: &Read) -> Vec<String> {
    read.offers.keys().map(ToString::to_string).collect()
}

#[test]
fn one_file_names_machines_of_three_clouds() {
    let all = read(THREE, None).unwrap();
    assert_eq!(
        regions(&all),
        ["aws:us-east-1", "gcp:us-central1", "azure:westus2"]
    );
    let offer = |name: &str| &all.offers[&name.parse::<Region>().unwrap()];
    assert!(offer("aws:us-east-1").spot && !offer("gcp:us-central1").spot);
    assert_eq!(offer("gcp:us-central1").zones[0], "us-central1-b");
    assert_eq!(offer("gcp:us-central1").instance, "n2-standard-32");
    assert_eq!(offer("azure:westus2").instance, "Standard_D8_v5");
    assert_eq!(offer("azure:westus2").reach, Reach::Private);
    assert_eq!(all.longest_life, Duration::from_secs(3 * 3_600));
    assert!(all.providers.azure.unwrap().0.auto_shutdown);
    assert_eq!(all.providers.gcp.unwrap().0, "p");
}

#[test]
fn a_provider_by_name_is_all_that_is_read_then() {
    let google = read(THREE, Some(Provider::Gcp)).unwrap();
    assert_eq!(regions(&google), ["gcp:us-central1"]);
    assert!(google.providers.aws.is_none() && google.providers.azure.is_none());
    let bare = "[region.us-east-1]\nimage = \"ami-1\"\n";
    assert_eq!(regions(&read(bare, None).unwrap()), ["aws:us-east-1"]);
    let none = read(bare, Some(Provider::Azure)).unwrap_err();
    assert!(none.contains("[azure.region.NAME]"), "{none}");
}

#[test]
fn what_cannot_be_meant_is_named() {
    for (from, to, named) in [
        (
            "longest_life = \"3h\"",
            "longest_life = \"5m\"",
            "15m or more",
        ),
        (
            "longest_life = \"3h\"",
            "longest_life = \"23h\"",
            "auto_shutdown",
        ),
        (
            "longest_life = \"3h\"",
            "instance = \"m5.large\"",
            "stand in [aws]",
        ),
        (
            "zones = [\"us-central1-b\", \"us-central1-a\"]",
            "",
            "zones",
        ),
        ("project = \"p\"", "projekt = \"p\"", "projekt"),
        ("longest_life = \"3h\"", "user = \"a b\"", "login name"),
        (
            "gcp.region.us-central1",
            "gcp.region.us_central1",
            "us_central1",
        ),
    ] {
        let text = THREE.replace(from, to);
        assert_ne!(text, THREE);
        let error = read(&text, None).unwrap_err();
        assert!(error.contains(named), "{error}");
    }
    // Where Azure sets no end, a long life is the user's own.
    let long = THREE.replace("\"3h\"", "\"23h\"");
    let own = long.replace("[azure]\n", "[azure]\nauto_shutdown = false\n");
    assert!(read(&own, None).is_ok());
    assert!(read(&long, Some(Provider::Aws)).is_ok());
}
