use super::*;
use crate::catalog::Catalog;

#[test]
fn two_formats_make_one_table_and_the_first_figure_counts() {
    let mut import = Import::default();
    for (format, text) in [
        (
            Format::Throughput,
            "src,dst,gbps\naws:a,gcp:b-c1-a,2.5\ngcp:b-c1-a,gcp:b-c1-b,9\n",
        ),
        (Format::Throughput, "src,dst,gbps\naws:a,gcp:b-c1-a,7\n"),
        (Format::Rtt, "src,dst,avg_ms\naws:a,gcp:b-c1-a,31.25\n"),
        (
            Format::NetworkCost,
            "src_vendor,src_region,dest_vendor,dest_region,cost\naws,a,gcp,b-c1-a,0.09\n",
        ),
        (
            Format::Vms,
            "cloud,instance,egress_gbps,ingress_gbps,usd_per_hour\naws,m5.8xlarge,5,10,0.54\n",
        ),
        (
            Format::StoragePricing,
            "Vendor,Region,Group,Tier,StartingRange,PricePerUnit\naws,a,storage,General Purpose,0.0,0.023\n\
             aws,a,storage,General Purpose,51200.0,0.022\naws,a,put request,General Purpose,0.0,5e-06\n\
             aws,a,get request,General Purpose,0.0,4.0000000000000003e-07\naws,a,get request,Cool,0.0,1\n",
        ),
    ] {
        import.add(format, "file.csv", text).unwrap();
    }
    let csv = import.to_csv();
    assert!(csv.contains("aws:a,gcp:b-c1,0.09,2.5,31.25\n"), "{csv}");
    assert!(csv.contains("aws:a,230000000,50000,4000\n"), "{csv}");
    assert_eq!(import.counts(), (1, 1));
    let catalog = Catalog::default().with_overrides(&csv).unwrap();
    let link = catalog.link(&"aws:a".parse().unwrap(), &"gcp:b-c1".parse().unwrap());
    assert_eq!(link.unwrap().rtt_ms, 31.25);
}

#[test]
fn what_cannot_be_read_is_named_by_file_and_line() {
    let many: String = (0..600).map(|n| format!("aws:r{n},aws:x,1\n")).collect();
    for (text, says) in [
        ("", "t.csv line 1: expected the columns src,dst,gbps"),
        (
            "src,dst,gbps\naws:a,aws:b\n",
            "t.csv line 2: expected 3 fields",
        ),
        (
            "src,dst,gbps\naws:a,aws:b,1\naws:a,aws:c,NaN\n",
            "t.csv line 3: \"NaN\" is no number",
        ),
        (
            "src,dst,gbps\naws:a,aws:b,1e9\n",
            "t.csv line 2: \"1e9\" is no number",
        ),
        ("src,dst,gbps\nmars:a,aws:b,1\n", "t.csv line 2: region"),
        (
            &format!("src,dst,gbps\n{}\n", "a".repeat(2_000)),
            "t.csv line 2: too long",
        ),
        (&format!("src,dst,gbps\n{many}"), "more than 512 regions"),
    ] {
        let error = Import::default()
            .add(Format::Throughput, "t.csv", text)
            .unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
}
