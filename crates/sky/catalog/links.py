"""Makes links.csv and link_fits.csv: python3 links.py DATA_DIR > links.csv; python3 links.py DATA_DIR --fits > link_fits.csv

DATA_DIR holds Skyplane's measurements as tables: 2022-01/ and 2022-11/ with egress_price.csv and throughput_received.csv, and
rtt.csv. What a pair lacks in the later run is taken from the earlier one; what both lack stays empty. Nothing is estimated
here: estimates are made from the fits by the program, and marked. regions.csv beside this file says where regions are.
"""

import csv
import itertools
import math
import pathlib
import sys

HERE = pathlib.Path(__file__).parent

HEAD = """\
# One line per ordered pair of regions; an empty figure is unknown. Made by links.py beside this file.
# usd_per_gb: list price of egress, first 10 TB a month, as of 2022-11 (2022-05 where the later table lacks the pair); Skyplane project history, Apache-2.0.
# throughput_gbps: iperf3 goodput received, 64 connections, one VM each side, run of 2022-11-28 (2022-01-29 where missing); same source.
# rtt_ms: mean of ping, 2022-04-16; same source. GCP zones stand for their region.
# A ? behind a figure says that it stands as the source has it, and is doubted:
#   egress from gcp:asia-southeast1 (Singapore) and gcp:asia-southeast2 (Jakarta) to other clouds: 0.19 and 0.14 look exchanged, as the
#   source labels each by the other's name.
#   gcp to gcp throughput of 2022-11: some three times that of 2022-01, and beyond a VM's limit to public addresses; probably
#   measured between internal addresses.
src,dst,usd_per_gb,throughput_gbps,rtt_ms"""

FITS_HEAD = """\
# What pairs without a measurement are estimated from: fits to links.csv, by the providers of both sides. Made by links.py beside this file.
# rtt_ms = rtt_base_ms + rtt_ms_per_1000_km x great-circle distance / 1000 km; least squares of the relative error, both directions together.
# throughput_gbps = gbps_at_1_ms x rtt_ms ^ gbps_exponent, never above the machines' limits in vms.csv; least squares of the logarithm.
# gcp to gcp throughput is fitted to the run of 2022-01, between public addresses. any,any: all pairs of two providers; for R2, which nobody measured.
# rtt_pairs, gbps_pairs: how many pairs the fit saw.
from,to,rtt_base_ms,rtt_ms_per_1000_km,rtt_pairs,gbps_at_1_ms,gbps_exponent,gbps_pairs"""


def region(name):
    return name.rsplit("-", 1)[0] if name.startswith("gcp:") else name


def provider(name):
    return name.split(":")[0]


def table(path, column):
    with open(path, newline="") as file:
        return {(region(row["src"]), region(row["dst"])): row[column] for row in csv.DictReader(file)}


def both(data, name, column):
    """Figures of both runs, the later one first, and the pairs whose figure is of the later one."""
    later = table(data / "2022-11" / name, column)
    return {**table(data / "2022-01" / name, column), **later}, later.keys()


def places():
    with open(HERE / "regions.csv", newline="") as file:
        rows = csv.DictReader(line for line in file if not line.startswith("#"))
        return {row["region"]: (float(row["latitude"]), float(row["longitude"])) for row in rows if row["latitude"]}


def distance_km(one, other):
    """Great circle by the haversine formula, on a sphere of the Earth's mean radius."""
    (lat, lon), (lat2, lon2) = ([math.radians(angle) for angle in place] for place in (one, other))
    h = math.sin((lat2 - lat) / 2) ** 2 + math.cos(lat) * math.cos(lat2) * math.sin((lon2 - lon) / 2) ** 2
    return 2 * 6371 * math.asin(math.sqrt(h))


def line(points):
    """The weighted least-squares line through (x, y, weight): intercept and slope."""
    total = sum(w for _, _, w in points)
    mean_x = sum(w * x for x, _, w in points) / total
    mean_y = sum(w * y for _, y, w in points) / total
    covariance = sum(w * (x - mean_x) * (y - mean_y) for x, y, w in points)
    slope = covariance / sum(w * (x - mean_x) ** 2 for x, _, w in points)
    return mean_y - slope * mean_x, slope


def links(prices, throughputs, later, rtts):
    print(HEAD)
    regions = sorted({region for pair in prices.keys() | throughputs.keys() | rtts.keys() for region in pair})
    for src, dst in itertools.permutations(regions, 2):
        pair = src, dst
        price, gbps = prices.get(pair, ""), throughputs.get(pair, "")
        inside = provider(src) == provider(dst)
        if price and src in ("gcp:asia-southeast1", "gcp:asia-southeast2") and not inside:
            price += "?"
        if gbps and provider(src) == "gcp" and inside and pair in later:
            gbps += "?"
        print(f"{src},{dst},{price},{gbps},{rtts.get(pair, '')}")


def fits(throughputs, public, rtts):
    print(FITS_HEAD)
    at = places()
    providers = ("aws", "azure", "gcp")
    for one, other in [*((a, b) for a in providers for b in providers), ("any", "any")]:
        def between(src, dst):
            return provider(src) != provider(dst) if one == "any" else {provider(src), provider(dst)} == {one, other}

        def from_one(src, dst):
            return between(src, dst) and one in ("any", provider(src))

        ways = [(distance_km(at[a], at[b]), float(ms)) for (a, b), ms in rtts.items() if between(a, b)]
        base, slope = line([(km / 1000, ms, ms**-2) for km, ms in ways])
        source = public if one == other == "gcp" else throughputs
        rates = [(float(rtts[way]), float(gbps)) for way, gbps in source.items() if from_one(*way) and way in rtts]
        height, exponent = line([(math.log(ms), math.log(gbps), 1) for ms, gbps in rates])
        print(f"{one},{other},{base:.3f},{slope:.3f},{len(ways)},{math.exp(height):.3f},{exponent:.4f},{len(rates)}")


def main(data, *flags):
    data = pathlib.Path(data)
    rtts = table(data / "rtt.csv", "avg_ms")
    throughputs, later = both(data, "throughput_received.csv", "gbps")
    if "--fits" in flags:
        fits(throughputs, table(data / "2022-01" / "throughput_received.csv", "gbps"), rtts)
    else:
        links(both(data, "egress_price.csv", "usd_per_gb")[0], throughputs, later, rtts)


main(*sys.argv[1:])
