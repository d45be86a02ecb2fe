use super::*;
use crate::model::{Prices, Requirements, Scenario};
use skyfresh_sky::Rng;

fn scenario() -> Scenario {
    let prices = Prices::parse(
        include_str!("../../tables/storage_pricing.csv"),
        include_str!("../../tables/network_cost_v2.csv"),
    );
    let asked = Requirements {
        regions: "aws-eu".into(),
        stores: "General Purpose".into(),
        ..Requirements::default()
    };
    Scenario::new(&prices.expect("tables"), &asked).expect("a scenario")
}

fn region(scenario: &Scenario, name: &str) -> usize {
    scenario.region(name).expect(name)
}

/// Operation, bucket and key, bytes, bytes of the object.
type Told = (Operation, String, u64, Option<u64>);

/// Reads a whole log in pieces of `length` bytes.
fn read_in(text: &[u8], length: usize) -> (Vec<Told>, LogCounts) {
    let mut reader = LogReader::new(None);
    let mut found = Vec::new();
    let mut take = |access: Access<'_>| {
        let name = format!("{}|{}", access.bucket, access.key);
        found.push((access.operation, name, access.bytes, access.object_bytes));
    };
    for piece in text.chunks(length) {
        reader.feed(piece, &mut take);
    }
    reader.end(&mut take);
    (found, reader.counts().clone())
}

/// Reads a whole log, whose pieces must not matter.
fn read(text: &str) -> (Vec<Told>, LogCounts) {
    let whole = read_in(text.as_bytes(), usize::MAX);
    for length in [1, 7, 64, 1000] {
        assert_eq!(read_in(text.as_bytes(), length), whole, "{length}");
    }
    whole
}

/// Lines in the shape of those of the user guide, with what they may have: a bucket's request, ranges, quotes in what clients send.
const S3: &str = r#"79a59df900b949e5 photos [06/Feb/2019:00:00:38 +0000] 192.0.2.3 79a59df900b949e5 3E57427F3EXAMPLE REST.GET.VERSIONING - "GET /photos?versioning HTTP/1.1" 200 - 113 - 7 - "-" "S3Console/0.4" - s9lzHYrFp76Z= SigV4 ECDHE-RSA-AES128-GCM-SHA256 AuthHeader photos.s3.us-west-1.amazonaws.com TLSV1.2 - -
79a59df900b949e5 photos [06/Feb/2019:00:01:57 +0000] 192.0.2.3 arn:aws:iam::123:user/x DD6CC733AEXAMPLE REST.PUT.OBJECT 2019/puppy.jpg "PUT /photos/2019/puppy.jpg HTTP/1.1" 200 - - 4406583 41754 28 "-" "S3Console/0.4" - 10S62Zv81kBW7BB6SX4XJ48o6kpcl6LPwEoizZQQxJd5qDSCTLX0TgS37kYUBKQW3+bPdrg1234= SigV4 ECDHE-RSA-AES128-SHA AuthHeader photos.s3.us-west-1.amazonaws.com TLSV1.2 - -
79a59df900b949e5 photos [06/Feb/2019:00:02:00 +0000] 2001:db8::7 - DD6CC733AEXAMPLE REST.GET.OBJECT 2019/puppy.jpg "GET /photos/2019/puppy.jpg?q="quoted" HTTP/1.1" 206 - 65536 4406583 12 9 "-" "curl "quoted" 8" - x= - - - photos.s3.us-west-1.amazonaws.com TLSV1.2 - -
79a59df900b949e5 photos [06/Feb/2019:00:02:01 +0000] 192.0.2.3 - DD6CC733AEXAMPLE REST.HEAD.OBJECT 2019/puppy.jpg "HEAD /photos/2019/puppy.jpg HTTP/1.1" 200 - - 4406583 12 - "-" "curl" - x= - - - photos.s3.us-west-1.amazonaws.com TLSV1.2 - -
79a59df900b949e5 photos [06/Feb/2019:00:02:02 +0000] 192.0.2.3 - DD6CC733AEXAMPLE REST.GET.OBJECT 2019/a%20cat.jpg "GET /photos/2019/a%20cat.jpg HTTP/1.1" 404 NoSuchKey 268 - 12 - "-" "curl" - x= - - - photos.s3.us-west-1.amazonaws.com TLSV1.2 - -
79a59df900b949e5 photos [06/Feb/2019:00:03:00 +0000] 192.0.2.3 - AAA REST.POST.UPLOADS big.bin "POST /photos/big.bin?uploads HTTP/1.1" 200 - 300 - 12 - "-" "curl" - x= - - - h TLSV1.2 - -
79a59df900b949e5 photos [06/Feb/2019:00:03:01 +0000] 192.0.2.3 - AAB REST.PUT.PART big.bin "PUT /photos/big.bin?partNumber=1&uploadId=u HTTP/1.1" 200 - - 8388608 12 - "-" "curl" - x= - - - h TLSV1.2 - -
79a59df900b949e5 photos [06/Feb/2019:00:03:02 +0000] 192.0.2.3 - AAC REST.PUT.PART big.bin "PUT /photos/big.bin?partNumber=2&uploadId=u HTTP/1.1" 200 - - 1000 12 - "-" "curl" - x= - - - h TLSV1.2 - -
79a59df900b949e5 photos [06/Feb/2019:00:03:03 +0000] 192.0.2.3 - AAD REST.POST.UPLOAD big.bin "POST /photos/big.bin?uploadId=u HTTP/1.1" 200 - 412 - 12 - "-" "curl" - x= - - - h TLSV1.2 - -
79a59df900b949e5 photos [06/Feb/2019:00:04:00 +0000] - svc AAE REST.COPY.OBJECT_GET big.bin "-" 200 - - 8389608 12 - "-" "curl" - x= - - - h TLSV1.2 - -
79a59df900b949e5 photos [06/Feb/2019:00:04:00 +0000] 192.0.2.3 svc AAE REST.COPY.OBJECT copy.bin "PUT /photos/copy.bin HTTP/1.1" 200 - 234 8389608 12 - "-" "curl" - x= - - - h TLSV1.2 - -
79a59df900b949e5 photos [07/Feb/2019:00:04:00 +0000] - AmazonS3 AAF S3.EXPIRE.OBJECT 2019/puppy.jpg "-" - - - 4406583 - - "-" "-" - x= - - - h - - -

not a line of any log
"#;

#[test]
fn lines_of_s3_are_read_with_all_that_clients_put_into_them() {
    let (found, counts) = read(S3);
    let name = |key: &str| format!("photos|{key}");
    let (puppy, size) = (name("2019/puppy.jpg"), Some(4_406_583));
    assert_eq!(
        found,
        [
            (Operation::Put, puppy.clone(), 4_406_583, size),
            (Operation::Get, puppy.clone(), 65_536, size),
            (Operation::Get, puppy.clone(), 0, size),
            (Operation::Part, name("big.bin"), 0, None),
            (Operation::Part, name("big.bin"), 8_388_608, Some(8_388_608)),
            (Operation::Part, name("big.bin"), 1000, Some(1000)),
            (Operation::Complete, name("big.bin"), 0, None),
            (Operation::Put, name("copy.bin"), 8_389_608, Some(8_389_608)),
            (Operation::Delete, puppy, 0, size),
        ]
    );
    assert_eq!((counts.records, counts.accesses, counts.failed), (13, 9, 1));
    assert_eq!((counts.others, counts.bad), (2, 1));
    assert_eq!(counts.shown[0].number, 13);
    assert_eq!(counts.shown[0].text, "not a line of any log");
}

const CSV: &str = "time,operation,key,bytes,object_bytes,region\n\
    2026-11-01T00:00:00Z,GET,logs/a,100,100,aws-eu-west-1\n\
    1793500000,put,\"odd,name\",,77,aws:eu-north-1\n\
    2026-11-01T00:00:00Z,list,logs/,0,,\n\
    yesterday,get,logs/a,1,1,\n\
    # a remark\n";

const GCS: &str = r#""time_micros","c_ip","c_ip_type","c_ip_region","cs_method","cs_uri","sc_status","cs_bytes","sc_bytes","time_taken_micros","cs_host","cs_referer","cs_user_agent","s_request_id","cs_operation","cs_bucket","cs_object"
"1793500000000000","192.0.2.9","1","","GET","/b/o","200","0","42","11000","storage.googleapis.com","","agent, with ""quotes""","id","GET_Object","b","dir/a%20b"
"1793500000000001","192.0.2.9","1","","GET","/b/o","206","0","7","11000","storage.googleapis.com","","","id","GET_Object","b","dir/a%20b"
"1793500000000002","192.0.2.9","1","","PUT","/b/o","200","500","0","11000","storage.googleapis.com","","","id","PUT_Object","b","new"
"1793500000000003","192.0.2.9","1","","GET","/b","200","0","900","11000","storage.googleapis.com","","","id","GET_Bucket","b",""
"1793500000000004","192.0.2.9","1","","GET","/b/o","403","0","900","11000","storage.googleapis.com","","","id","GET_Object","b","new"
"#;

const AZURE: &str = r#"1.0;2026-11-01T01:32:54.1234567Z;GetBlob;Success;200;17;13;authenticated;acct;acct;blob;"https://acct.blob.core.windows.net/c/a;b.txt";"/acct/c/a;b &amp; c.txt";id-1;0;192.0.2.44:59771;2012-02-12;300;0;400;2095104;0;;;"&quot;0x8CB&quot;";Thursday, 19-Jun-14 01:32:53 GMT;;"agent; x";;"client-id"
1.0;2026-11-01T01:32:55.1234567Z;PutBlock;Success;201;17;13;authenticated;acct;acct;blob;"https://acct.blob.core.windows.net/c/big?comp=block";"/acct/c/big";id-2;0;[2001:db8::1]:443;2012-02-12;300;4096;400;0;4096;;;;;;;;
1.0;2026-11-01T01:32:56.1234567Z;PutBlockList;Success;201;17;13;authenticated;acct;acct;blob;"https://acct.blob.core.windows.net/c/big?comp=blocklist";"/acct/c/big";id-3;0;192.0.2.44:1;2012-02-12;300;200;400;0;200;;;;;;;;
1.0;2026-11-01T01:32:57.1234567Z;ListBlobs;Success;200;17;13;authenticated;acct;acct;blob;"https://acct.blob.core.windows.net/c";"/acct/c";id-4;0;192.0.2.44:1;2012-02-12;300;0;400;9000;0;;;;;;;;
1.0;2026-11-01T01:32:58.1234567Z;GetBlob;ClientOtherError;404;17;13;authenticated;acct;acct;blob;"https://acct.blob.core.windows.net/c/no";"/acct/c/no";id-5;0;192.0.2.44:1;2012-02-12;300;0;400;9000;0;;;;;;;;
"#;

const CLOUDTRAIL: &str = r#"{ "Records" : [{"eventVersion":"1.08","userIdentity":{"type":"AWSAccount","x":"a { brace [ \" in a string"},"eventTime":"2026-11-01T12:00:00Z","eventSource":"s3.amazonaws.com","eventName":"GetObject","awsRegion":"eu-west-1","sourceIPAddress":"192.0.2.1","userAgent":"[aws-cli/2]","requestParameters":{"bucketName":"b","Host":"b.s3.amazonaws.com","key":"dir/one \u00e9"},"responseElements":null,"additionalEventData":{"bytesTransferredIn":0.0,"bytesTransferredOut":4096.0,"x-amz-id-2":"y"},"resources":[{"type":"AWS::S3::Object"}]},
{"eventTime":"2026-11-01T12:00:01Z","eventSource":"s3.amazonaws.com","eventName":"GetObject","sourceIPAddress":"athena.amazonaws.com","requestParameters":{"bucketName":"b","key":"dir/one","Range":"bytes=0-9"},"additionalEventData":{"bytesTransferredOut":10}},
{"eventTime":"2026-11-01T12:00:02Z","eventSource":"s3.amazonaws.com","eventName":"PutObject","sourceIPAddress":"192.0.2.1","errorCode":"AccessDenied","requestParameters":{"bucketName":"b","key":"no"}},
{"eventTime":"2026-11-01T12:00:03Z","eventSource":"s3.amazonaws.com","eventName":"ListObjects","sourceIPAddress":"192.0.2.1","requestParameters":{"bucketName":"b"}},
{"eventTime":"?","eventSource":"s3.amazonaws.com","eventName":"PutObject","requestParameters":{"bucketName":"b","key":"k"}}
]}
{"eventTime":"2026-11-01T12:00:04Z","eventSource":"s3.amazonaws.com","eventName":"PutObject","sourceIPAddress":"192.0.2.1","requestParameters":{"bucketName":"b","key":"k"},"additionalEventData":{"bytesTransferredIn":55.0}}
"#;

#[test]
fn each_other_format_is_told_by_its_beginning_and_read() {
    use Operation::{Complete, Get, Part, Put};
    let (found, counts) = read(CSV);
    let expected = [
        (Get, "|logs/a".into(), 100, Some(100)),
        (Put, "|odd,name".into(), 77, Some(77)),
    ];
    assert_eq!(found, expected);
    assert_eq!((counts.others, counts.bad, counts.failed), (3, 1, 0));
    let (found, counts) = read(GCS);
    let expected = [
        (Get, "b|dir/a b".into(), 42, Some(42)),
        (Get, "b|dir/a b".into(), 7, None),
        (Put, "b|new".into(), 500, Some(500)),
    ];
    assert_eq!(found, expected);
    assert_eq!((counts.others, counts.bad, counts.failed), (2, 0, 1));
    let (found, counts) = read(AZURE);
    let expected = [
        (Get, "acct/c|a;b & c.txt".into(), 2_095_104, Some(2_095_104)),
        (Part, "acct/c|big".into(), 4096, None),
        (Complete, "acct/c|big".into(), 0, None),
    ];
    assert_eq!(found, expected);
    assert_eq!((counts.others, counts.bad, counts.failed), (1, 0, 1));
    let (found, counts) = read(CLOUDTRAIL);
    let expected = [
        (Get, "b|dir/one é".into(), 4096, Some(4096)),
        (Get, "b|dir/one".into(), 10, None),
        (Put, "b|k".into(), 55, Some(55)),
    ];
    assert_eq!(found, expected);
    assert_eq!((counts.others, counts.bad, counts.failed), (1, 1, 1));
}

#[test]
fn no_bytes_stop_the_reader() {
    let rng = Rng::seeded(5);
    for text in [S3, CSV, GCS, AZURE, CLOUDTRAIL] {
        let before = read_in(text.as_bytes(), 4096).1;
        for _ in 0..300 {
            let mut bytes = text.as_bytes().to_vec();
            for _ in 0..=rng.below(20) {
                let at = rng.below(bytes.len() as u64) as usize;
                bytes[at] = rng.below(256) as u8;
            }
            bytes.truncate(rng.below(bytes.len() as u64 + 1) as usize);
            let (found, counts) = read_in(&bytes, 1 + rng.below(900) as usize);
            assert_eq!(found.len() as u64, counts.accesses);
            let sum = counts.accesses + counts.failed + counts.others + counts.bad;
            assert_eq!(sum, counts.records);
            assert!(counts.records <= before.records + 40, "{counts:?}");
        }
    }
}

#[test]
fn a_line_of_any_length_takes_no_more_than_the_limit() {
    let mut reader = LogReader::new(Some(Format::S3));
    let mut none = |access: Access<'_>| panic!("{access:?}");
    for _ in 0..64 {
        reader.feed(&[b'x'; 1 << 16], &mut none);
    }
    reader.feed(b"\nshort\n", &mut none);
    reader.end(&mut none);
    let counts = reader.counts();
    assert_eq!((counts.records, counts.bad), (2, 2));
    assert_eq!(counts.shown[0].why, "longer than 1 MiB");
    assert_eq!(counts.shown[1].text, "short");
}

#[test]
fn clients_are_where_the_longest_prefix_says() {
    let scenario = scenario();
    let at = |name: &str| region(&scenario, name);
    let everywhere = Clients::everywhere(&scenario, at("aws-eu-north-1"), at("aws-eu-south-1"));
    let text = "# of the company\n10.0.0.0/8,aws-eu-west-1\n10.1.0.0/16\taws:eu-west-2\n\
        10.1.2.3,aws-eu-west-3\n2001:db8::/32,aws-eu-central-1\n0.0.0.0/0,aws-eu-south-2\n";
    let clients = everywhere.clone().with_networks(&scenario, text).unwrap();
    for (origin, name, known) in [
        (Origin::Address("10.9.9.9"), "aws-eu-west-1", true),
        (Origin::Address("10.1.9.9"), "aws-eu-west-2", true),
        (Origin::Address("::ffff:10.1.2.3"), "aws-eu-west-3", true),
        (Origin::Address("2001:db8:1::1"), "aws-eu-central-1", true),
        (Origin::Address("2001:db9::1"), "aws-eu-north-1", false),
        (Origin::Address("192.0.2.1"), "aws-eu-south-2", true),
        (Origin::Address("-"), "aws-eu-north-1", false),
        (Origin::Store, "aws-eu-south-1", true),
        (Origin::Region("aws:eu-west-3"), "aws-eu-west-3", true),
        (Origin::Region("mars"), "aws-eu-north-1", false),
    ] {
        assert_eq!(clients.region(&origin), (at(name), known), "{origin:?}");
    }
    for bad in [
        "10.0.0.0/33,aws-eu-west-1",
        "10.0.0.0/8,aws-mars-1",
        "ten,aws-eu-west-1",
        "10.0.0.0/8",
        "10.0.0.0/8,aws-eu-west-1\n10.5.0.0/8,aws-eu-west-2",
    ] {
        assert!(
            everywhere.clone().with_networks(&scenario, bad).is_err(),
            "{bad}"
        );
    }
}

fn get<'a>(key: &'a str, bytes: u64, region: &'a str, time_ms: u64) -> Access<'a> {
    Access {
        time_ms,
        operation: Operation::Get,
        bucket: "b".into(),
        key: key.into(),
        bytes,
        object_bytes: Some(bytes),
        origin: Origin::Region(region),
    }
}

/// Requests, bytes read and bytes stored of all groups, as those of the time of the log.
fn totals(groups: &[Group]) -> (u128, u128, u128) {
    groups
        .iter()
        .fold((0, 0, 0), |(gets, read, stored), group| {
            let workload = &group.workload;
            let of = |number: u128| number * 1_000_000_000 / workload.denominator;
            let all = workload.reads.iter();
            let (more, bytes) = all.fold((0, 0), |(gets, bytes), (_, more, gb)| {
                (gets + more / workload.denominator, bytes + of(*gb))
            });
            (gets + more, read + bytes, stored + group.bytes)
        })
}

#[test]
fn what_does_not_fit_is_folded_and_nothing_is_lost() {
    let scenario = scenario();
    let home = region(&scenario, "aws-eu-west-1");
    let clients = Clients::everywhere(&scenario, home, home);
    let keys: Vec<String> = (0..500)
        .map(|number| format!("{}/{number}", ["logs", "images", "other"][number % 3]))
        .collect();
    let mut expected: Option<(u128, u128, u128)> = None;
    for limit in [1000, 100, 70, 1] {
        let folding = Folding {
            objects: limit,
            depth: 1,
        };
        for grouping in [Grouping::Object, Grouping::Prefix(1), Grouping::AccessSet] {
            let mut tally = Tally::new(clients.clone(), folding);
            for round in 0..2 {
                for (number, key) in keys.iter().enumerate() {
                    let region = ["aws-eu-west-1", "aws-eu-west-2"][number % 2];
                    tally.add(&get(key, number as u64, region, round * 1000));
                }
            }
            assert_eq!(tally.accesses(), 1000);
            assert_eq!(tally.folded_accesses(), 1000 - 2 * limit.min(500) as u64);
            let exact = tally.one_size_in() == 1;
            assert_eq!(exact, limit >= 100, "{limit}");
            // A month of the log's time.
            let groups = tally.groups(&scenario, grouping, 730 * 3600).unwrap();
            let told = totals(&groups);
            let expected = *expected.get_or_insert(told);
            assert_eq!(
                (told.0, told.1),
                (expected.0, expected.1),
                "{limit} {grouping:?}"
            );
            if exact {
                assert_eq!(told.2, expected.2, "{limit} {grouping:?}");
            }
            if grouping == Grouping::Prefix(1) {
                let names: Vec<&str> = groups.iter().map(|group| group.name.as_str()).collect();
                assert_eq!(names, ["b/images/", "b/logs/", "b/other/"], "{limit}");
            }
            let folded = groups.iter().filter(|group| group.folded).count();
            assert_eq!(folded > 0, limit < 500 && grouping != Grouping::Prefix(1));
        }
    }
    let bytes: u128 = (0..500).sum();
    assert_eq!(expected, Some((1000, 2 * bytes, bytes)));
}

#[test]
fn sizes_follow_uploads_deletes_and_inventories() {
    let scenario = scenario();
    let home = region(&scenario, "aws-eu-west-1");
    let mut tally = Tally::new(
        Clients::everywhere(&scenario, home, home),
        Folding::default(),
    );
    tally.store("photos", "copy.bin", 5);
    tally.store("photos", "never/used", 11);
    let mut reader = LogReader::new(None);
    let mut take = |access: Access<'_>| tally.add(&access);
    reader.feed(S3.as_bytes(), &mut take);
    reader.end(&mut take);
    assert_eq!(tally.unplaced(), 8);
    assert_eq!(tally.span_ms().map(period_s), Some(Ok(86_523)));
    let groups = tally
        .groups(&scenario, Grouping::Object, 730 * 3600)
        .unwrap();
    let told: Vec<(&str, u128, u128)> = groups
        .iter()
        .map(|group| {
            let puts = group.workload.puts / group.workload.denominator;
            (group.name.as_str(), group.bytes, puts)
        })
        .collect();
    assert_eq!(
        told,
        [
            ("photos/2019/puppy.jpg", 0, 1),
            ("photos/big.bin", 8_389_608, 4),
            ("photos/copy.bin", 5, 1),
            ("photos/never/used", 11, 0),
        ]
    );
    assert!(period_s((0, 1000)).is_err());
}

#[test]
fn an_inventory_is_read_whole_or_refused_by_its_line() {
    let scenario = scenario();
    let clients = Clients::everywhere(&scenario, 0, 0);
    let read = |text: &str, length: usize| {
        let mut tally = Tally::new(clients.clone(), Folding::default());
        let mut reader = InventoryReader::default();
        for piece in text.as_bytes().chunks(length) {
            reader.feed(piece, &mut tally)?;
        }
        reader.end(&mut tally)?;
        Ok::<_, skyfresh_sky::Invalid>(tally)
    };
    let text = "Bucket,Key,VersionId,Size\r\n\"b\",\"dir/a%20b\",\"\",\"12\"\n\nb,c,,7";
    for length in [1, 5, 1000] {
        let tally = read(text, length).unwrap();
        let groups = tally.groups(&scenario, Grouping::Object, 1).unwrap();
        let told: Vec<(&str, u128)> = groups
            .iter()
            .map(|group| (group.name.as_str(), group.bytes))
            .collect();
        assert_eq!(told, [("b/c", 7), ("b/dir/a b", 12)]);
    }
    for (bad, said) in [
        ("", "empty"),
        ("b,c,7\n", "name the columns"),
        ("key,size\na,7\nb,seven\n", "line 3"),
        ("key,size\n,7\n", "no key"),
        ("key,size\n\"a,7\n", "quote"),
    ] {
        let refused = read(bad, 1000).unwrap_err().to_string();
        assert!(refused.contains(said), "{refused}");
    }
}
