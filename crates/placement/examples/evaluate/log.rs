//! A log in the format of S3's server access logs, the same one for the same number of lines: for `place advise`, end to end.
//!
//! Thirty days of requests for three million objects of one bucket, under six prefixes that each have readers of their own: `images`
//! is read everywhere, `eu` in Europe, `asia` in Asia, `logs` is written everywhere and hardly read, `models` is uploaded in parts in
//! one region and read in three, `old` is hardly used. Objects are log-normal in size, and some are asked for more often than others
//! by a power law. Among them: ranges, copies, deletes, refusals, listings, lines that are none, quotes in what clients send.

use skyfresh_sky::Rng;
use std::io::{self, BufWriter, Write};

const DAYS: u64 = 30;
/// 2026-09-01T00:00:00Z.
const START_S: u64 = 1_788_220_800;
const OBJECTS: u64 = 3_000_000;

/// Where clients are: the network 10.N.0.0/16 of each is the region's.
pub(crate) const REGIONS: [&str; 10] = [
    "aws-us-east-2",
    "aws-us-west-2",
    "aws-eu-central-1",
    "aws-eu-west-1",
    "aws-eu-west-2",
    "aws-eu-north-1",
    "aws-ap-south-1",
    "aws-ap-southeast-2",
    "aws-ap-northeast-1",
    "aws-sa-east-1",
];

/// A prefix, its share of objects in percent, of requests in percent, who uses it, puts in percent of requests.
struct Kind {
    name: &'static str,
    objects: u64,
    requests: u64,
    regions: &'static [usize],
    puts: u64,
    median_bytes: f64,
}

const KINDS: [Kind; 6] = [
    Kind {
        name: "images",
        objects: 40,
        requests: 50,
        regions: &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        puts: 2,
        median_bytes: 6e4,
    },
    Kind {
        name: "eu",
        objects: 10,
        requests: 15,
        regions: &[2, 3, 4, 5],
        puts: 5,
        median_bytes: 2e5,
    },
    Kind {
        name: "asia",
        objects: 10,
        requests: 12,
        regions: &[6, 7, 8],
        puts: 5,
        median_bytes: 2e5,
    },
    Kind {
        name: "logs",
        objects: 20,
        requests: 15,
        regions: &[0, 1, 3, 6, 9],
        puts: 95,
        median_bytes: 1e6,
    },
    Kind {
        name: "models",
        objects: 1,
        requests: 7,
        regions: &[1, 3, 8],
        puts: 4,
        median_bytes: 4e7,
    },
    Kind {
        name: "old",
        objects: 19,
        requests: 1,
        regions: &[0],
        puts: 0,
        median_bytes: 3e6,
    },
];

/// What was written.
#[derive(Default)]
struct Told {
    accesses: u64,
    failed: u64,
    others: u64,
    bad: u64,
}

/// Whose turn it is, of shares in percent.
fn chosen(rng: &Rng, share: fn(&Kind) -> u64) -> usize {
    let mut left = rng.below(KINDS.iter().map(share).sum());
    for (place, kind) in KINDS.iter().enumerate() {
        if left < share(kind) {
            return place;
        }
        left -= share(kind);
    }
    0
}

fn bytes_of(kind: &Kind, number: u64) -> u64 {
    let rng = Rng::seeded(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let normal =
        (-2.0 * (1.0 - rng.unit()).ln()).sqrt() * (std::f64::consts::TAU * rng.unit()).cos();
    (kind.median_bytes * (1.2 * normal).exp()).clamp(1.0, 5e9) as u64
}

/// `06/Feb/2019:00:00:38 +0000`.
fn time(second: u64) -> String {
    const LENGTHS: [(&str, u64); 4] = [("Sep", 30), ("Oct", 31), ("Nov", 30), ("Dec", 31)];
    let (mut day, rest) = (second / 86_400, second % 86_400);
    let mut month = "Sep";
    for (name, length) in LENGTHS {
        month = name;
        if day < length {
            break;
        }
        day -= length;
    }
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!(
        "{:02}/{month}/2026:{hour:02}:{minute:02}:{second:02} +0000",
        day + 1
    )
}

/// Writes `lines` lines to standard output, and to standard error what is in them, as JSON.
pub(crate) fn run(lines: u64) {
    let rng = Rng::seeded(9);
    let mut to = BufWriter::with_capacity(1 << 20, io::stdout().lock());
    let mut told = Told::default();
    for line in 0..lines {
        one(&mut to, &rng, line * DAYS * 86_400 / lines, &mut told).expect("written");
    }
    to.flush().expect("written");
    let Told {
        accesses,
        failed,
        others,
        bad,
    } = told;
    eprintln!(
        "{}",
        serde_json::json!({
            "accesses": accesses, "failed": failed, "others": others, "bad": bad,
            "start_s": START_S, "regions": REGIONS,
        })
    );
}

fn one(to: &mut impl Write, rng: &Rng, second: u64, told: &mut Told) -> io::Result<()> {
    let draw = rng.below(100_000);
    if draw < 10 {
        told.bad += 1;
        return writeln!(
            to,
            "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be site [cut"
        );
    }
    let place = chosen(rng, |kind| kind.requests);
    let kind = &KINDS[place];
    // A power law: the hundredth part of the objects has most of the requests.
    let of = OBJECTS * kind.objects / 100;
    let number = ((of as f64).powf(rng.unit()) as u64).min(of - 1);
    let region = kind.regions[(rng.below(kind.regions.len() as u64)) as usize];
    let address = format!("10.{region}.{}.{}", rng.below(256), rng.below(256));
    let key = format!("{}/{:02x}/{number:07}.bin", kind.name, number % 251);
    let size = bytes_of(kind, place as u64 * OBJECTS + number);
    let (operation, status, sent, size) = if draw < 2000 {
        told.others += 1;
        ("REST.GET.BUCKET", "200 -", 4096.to_string(), "-".to_owned())
    } else if draw < 3000 {
        told.failed += 1;
        (
            "REST.GET.OBJECT",
            "404 NoSuchKey",
            268.to_string(),
            "-".to_owned(),
        )
    } else {
        told.accesses += 1;
        let size_text = size.to_string();
        let is_put = rng.below(100) < kind.puts;
        match (is_put, draw % 100) {
            (true, 0..10) => (
                "REST.POST.UPLOADS",
                "200 -",
                300.to_string(),
                "-".to_owned(),
            ),
            (true, 10..30) => (
                "REST.PUT.PART",
                "200 -",
                "-".to_owned(),
                (8 << 20).to_string(),
            ),
            (true, 30..40) => ("REST.POST.UPLOAD", "200 -", 420.to_string(), size_text),
            (true, 40..45) => ("REST.COPY.OBJECT", "200 -", 234.to_string(), size_text),
            (true, 45..47) => ("REST.DELETE.OBJECT", "204 -", "-".to_owned(), size_text),
            (true, _) => ("REST.PUT.OBJECT", "200 -", "-".to_owned(), size_text),
            (false, 0..5) => ("REST.HEAD.OBJECT", "200 -", "-".to_owned(), size_text),
            (false, 5..20) => (
                "REST.GET.OBJECT",
                "206 -",
                (size / 4).to_string(),
                size_text,
            ),
            (false, 20..22) => ("REST.GET.OBJECT", "304 -", "-".to_owned(), size_text),
            (false, _) => ("REST.GET.OBJECT", "200 -", size_text.clone(), size_text),
        }
    };
    let key = if operation == "REST.GET.BUCKET" {
        "-"
    } else {
        &key
    };
    writeln!(
        to,
        "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be site [{}] {address} arn:aws:iam::123456789012:user/reader \
         3E57427F3EXAMPLE {operation} {key} \"GET /{key}?x-id=\"q\" HTTP/1.1\" {status} {sent} {size} 41 28 \"-\" \
         \"aws-sdk-rust/1.3 os/linux lang/rust\" - 9vKBE6vMhrNiWHZmb2L0mXOcqPGzQOI5XLnCtZNPxev+Hf+7tpT6sxDwDty4LHBUOZJG96N1234= SigV4 \
         ECDHE-RSA-AES128-GCM-SHA256 AuthHeader site.s3.us-east-2.amazonaws.com TLSV1.2 - -",
        time(second)
    )
}
