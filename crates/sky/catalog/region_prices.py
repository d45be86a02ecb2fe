"""Makes region_prices.csv: python3 region_prices.py storage_pricing.csv > region_prices.csv

The input is cloud_oracle's table: Vendor,Region,Name,Group,Tier,StartingRange,EndingRange,Unit,PricePerUnit. The standard class is
kept (General Purpose, Hot, Standard Storage), of each price its first bracket.
"""

import csv
import pathlib
import sys
from decimal import Decimal

HEAD = """\
# What an object store costs in one region, standard class (S3 Standard, Azure Hot, GCS Standard), first bracket, where it is listed; elsewhere
# the provider's prices in storage.csv hold. Integers of 1e-10 $, exactly: a GB (10^9 bytes) for a month, a write (PUT, COPY, POST,
# LIST), a read (GET, HEAD). Deletes are free. List prices of January 2023; hydro-project cloud_oracle, MIT. Made by
# region_prices.py beside this file.
region,e10_usd_per_gb_month,e10_usd_per_write,e10_usd_per_read"""

STANDARD = {"aws": "General Purpose", "azure": "Hot", "gcp": "Standard Storage"}
GROUPS = "storage", "put request", "get request"


def main(path):
    with open(pathlib.Path(__file__).parent / "regions.csv", newline="") as file:
        known = {line.split(",")[0] for line in file}
    prices = {}
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            vendor, name = row["Vendor"], row["Region"]
            region = f"{vendor}:{name.rsplit('-', 1)[0] if vendor == 'gcp' else name}"
            first = float(row["StartingRange"]) == 0 and row["Tier"] == STANDARD[vendor]
            if first and row["Group"] in GROUPS and region in known:
                # The input went through binary floating point: 4e-07 stands as 4.0000000000000003e-07.
                prices.setdefault(region, {})[row["Group"]] = round(Decimal(row["PricePerUnit"]) * 10**10)
    print(HEAD)
    for region, price in sorted(prices.items()):
        print(region, *(price[group] for group in GROUPS), sep=",")


main(sys.argv[1])
