"""Feast's own client against a server, through its remote online store. Run by crates/features/tests/feast.

    python feast_client.py <a repository that is applied, with `online_store: {type: remote, path: http://…}`>
"""

import sys
from datetime import datetime, timedelta, timezone

import pandas as pd
from feast import FeatureStore

FAILED = []
PASSED = 0


def check(name, told, expected):
    global PASSED
    if told == expected:
        PASSED += 1
    else:
        FAILED.append(name)
        print(f"failed: {name}: {told!r} instead of {expected!r}")


def fails(name, call, words):
    try:
        call()
    except Exception as error:
        check(name, words in str(error), True)
        if words not in str(error):
            print(f"  {type(error).__name__}: {error}")
    else:
        check(name, "no error", words)


def main():
    store = FeatureStore(repo_path=sys.argv[1])
    now = datetime.now(timezone.utc).replace(microsecond=0)
    rows = pd.DataFrame(
        {
            "user_id": [1, 2],
            "event_timestamp": [now, now],
            "age": [30, 41],
            "small": [1, 2],
            "score": [0.5, 2.25],
            "rough": [1.5, 2.5],
            "city": ["Bern", "Zürich"],
            "active": [True, False],
            "visits": [[1, 2], [3]],
            "tags": [["a"], ["b", "c"]],
            "vector": [[0.25], [1.5, 2.0]],
            "flags": [[True], [False]],
        }
    )
    store.write_to_online_store("profile", rows)
    asked = ["profile:age", "profile:score", "profile:city", "profile:active", "profile:visits"]
    entities = [{"user_id": 1}, {"user_id": 2}, {"user_id": 9}]
    told = store.get_online_features(features=asked, entity_rows=entities).to_dict()
    check("entities", told["user_id"], [1, 2, 9])
    check("whole numbers", told["age"], [30, 41, None])
    check("numbers", told["score"], [0.5, 2.25, None])
    check("texts", told["city"], ["Bern", "Zürich", None])
    check("flags", told["active"], [True, False, None])
    check("lists", told["visits"], [[1, 2], [3], None])
    clicks = pd.DataFrame({"user_id": [1], "event_timestamp": [now], "clicks": [7], "age": [31]})
    store.push("recent_push", clicks)
    told = store.get_online_features(
        features=store.get_feature_service("model"), entity_rows=[{"user_id": 1}], full_feature_names=True
    ).to_dict()
    check("service", told, {"user_id": [1], "profile__score": [0.5], "profile__city": ["Bern"], "recent__clicks": [7]})
    # An older row never replaces a newer one.
    old = rows.assign(event_timestamp=now - timedelta(days=1), city=["old", "old"])
    store.write_to_online_store("profile", old)
    told = store.get_online_features(features=["profile:city"], entity_rows=entities).to_dict()
    check("older rows", told["city"], ["Bern", "Zürich", None])
    old_service = store.get_online_features(features=["shops:rating"], entity_rows=[{"shop": "corner"}]).to_dict()
    check("nothing", old_service, {"shop": ["corner"], "rating": [None]})
    fails("an unknown view", lambda: store.get_online_features(features=["none:x"], entity_rows=entities), "none")
    print(f"{PASSED} passed, {len(FAILED)} failed")
    return 1 if FAILED else 0


if __name__ == "__main__":
    sys.exit(main())
