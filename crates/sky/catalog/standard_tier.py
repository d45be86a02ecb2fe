"""Makes standard_tier.csv: python3 standard_tier.py DATA_DIR > standard_tier.csv

DATA_DIR holds Skyplane's measurements of 2022-01 as tables: 2022-01/ with throughput.csv, throughput_received.csv and
throughput_standard_tier.csv. The last has only what was sent; what arrives is taken to be the share of it that arrived between the
same two regions over the PREMIUM tier, in the same run. regions.csv beside this file says which regions there are.
"""

import csv
import pathlib
import sys

HERE = pathlib.Path(__file__).parent

HEAD = """\
# Google Cloud's STANDARD network tier: traffic from a region to the internet, so to other clouds, that leaves Google's network near the
# source. What is not listed has no STANDARD tier, or nobody knows. Made by standard_tier.py beside this file.
# standard_usd_per_gb: list price, 200 GiB to 10 TiB a month, by the source alone; the 200 GiB a month that are free are not counted. Google's
# Cloud Billing Catalog, 2026-08-17, as noted down in a public repository; but for Seoul the same as in Skyplane's project history of
# 2022. Regions: Google, Network Service Tiers overview, 2023-09.
# standard_throughput_gbps: iperf3, 64 connections, one VM each side, run of 2022-01-29; Skyplane project history, Apache-2.0. What was sent,
# times the share of it that arrived between the same regions over PREMIUM in that run: an estimate. Empty where nobody measured.
src,dst,standard_usd_per_gb,standard_throughput_gbps"""

ELSEWHERE_USD = "0.085"
USD = {
    "asia-east1": "0.11",
    "asia-east2": "0.11",
    "asia-northeast1": "0.11",
    "asia-northeast3": "0.119",
    "asia-south1": "0.11",
    "asia-southeast1": "0.11",
    "asia-southeast2": "0.11",
    "australia-southeast1": "0.12",
    "southamerica-east1": "0.12",
}
REGIONS = [
    *USD,
    *"europe-north1 europe-west1 europe-west2 europe-west3 europe-west4 europe-west6".split(),
    *"northamerica-northeast1 northamerica-northeast2 us-central1 us-east1 us-east4 us-west1 us-west2 us-west3 us-west4".split(),
]


def region(name):
    return name.rsplit("-", 1)[0] if name.startswith("gcp:") else name


def table(path, column, wanted=lambda row: True):
    with open(path, newline="") as file:
        rows = [row for row in csv.DictReader(file) if wanted(row)]
    return {(region(row["src"]), region(row["dst"])): float(row[column]) for row in rows}


def main(data):
    run = pathlib.Path(data) / "2022-01"
    sent = table(run / "throughput.csv", "gbps")
    received = table(run / "throughput_received.csv", "gbps")
    outward = lambda row: row["src_tier"] == "STANDARD" and not row["dst"].startswith("gcp:")
    standard = table(run / "throughput_standard_tier.csv", "gbps", outward)
    with open(HERE / "regions.csv", newline="") as file:
        known = sorted(row["region"] for row in csv.DictReader(line for line in file if not line.startswith("#")))
    print(HEAD)
    for src in (name for name in known if name.removeprefix("gcp:") in REGIONS):
        for dst in (name for name in known if not name.startswith("gcp:")):
            way = src, dst
            gbps = f"{standard[way] * received[way] / sent[way]:.4f}" if way in standard else ""
            print(f"{src},{dst},{USD.get(src.removeprefix('gcp:'), ELSEWHERE_USD)},{gbps}")


main(*sys.argv[1:])
