"""Makes function_quantiles.csv: python3 function_quantiles.py function_bandwidth.csv > function_quantiles.csv

The input is the lithops-cloud/applications measurement as one table: platform,op,mb_per_s,start_delay_s,cold.
Quantiles are linear between order statistics (Hyndman and Fan's type 7), rounded to 4 digits after the point.
"""

import csv
import sys

POINTS = [0, 0.001, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, *(i / 20 for i in range(2, 19)),
          0.925, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999, 1]

HEAD = """\
# Quantiles of what functions do, measured: 1,000 concurrent functions a platform and direction (985 and 992 on Azure) of
# 1024 MB, each moving one 512 MB object over one stream within its region; read_mb_per_s and write_mb_per_s in 10^6 B/s.
# start_warm_s and start_cold_s: from the call to the first line of the function, in seconds, new instances apart from reused
# ones. AWS: both directions pooled. GCP: the read run alone (half of the write run waited up to 140 s for the platform
# to scale out). Azure: burst_start_s, the read run: nearly all of it is waiting for scale-out, so it is no start delay.
# Source: lithops-cloud/applications, Apache-2.0, measured 2022-06. Made by function_quantiles.py beside this file.
platform,measure,p,value"""


def quantile(ordered, p):
    at = p * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def main(path):
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))

    def some(column, **wanted):
        return sorted(float(row[column]) for row in rows if all(row[key] == value for key, value in wanted.items()))

    tables = {}
    for platform in ("aws-lambda", "azure-functions", "gcp-functions"):
        for op in ("read", "write"):
            tables[platform, f"{op}_mb_per_s"] = some("mb_per_s", platform=platform, op=op)
    for measure, cold in (("start_warm_s", "0"), ("start_cold_s", "1")):
        tables["aws-lambda", measure] = some("start_delay_s", platform="aws-lambda", cold=cold)
        tables["gcp-functions", measure] = some("start_delay_s", platform="gcp-functions", op="read", cold=cold)
    tables["azure-functions", "burst_start_s"] = some("start_delay_s", platform="azure-functions", op="read")

    print(HEAD)
    for (platform, measure), values in sorted(tables.items()):
        for p in POINTS:
            print(f"{platform},{measure},{p:g},{quantile(values, p):.4f}".rstrip("0").rstrip("."))


main(sys.argv[1])
