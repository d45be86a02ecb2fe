"""Predicts whether a cart will be abandoned, from features that Skyfresh keeps fresh; nothing but Python's own library.

    skyfresh features serve -c python/cart_abandonment.toml &
    python3 python/cart_abandonment.py

It pushes clicks, reads features for predictions, and reports each prediction's error once the outcome is known. The keys whose
stale features cause the largest errors are then updated first. Prints the mean error of the first and the last predictions.
"""

import json
import math
import random
import sys
import time
import urllib.request

SERVER = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:6566"


def post(path, body):
    """The answer, and the ids of the features in it."""
    request = urllib.request.Request(SERVER + path, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        ids = answer.headers.get("x-skyfresh-feature-ids", "").split(",")
        text = answer.read()
        return json.loads(text) if text else None, ids


class CartAbandonmentModel:
    def __init__(self):
        self.predictions = {}

    def predict(self, user_id, cart_id):
        body = {"features": ["clicks_per_user:hesitation_mean"], "entities": {"user_id": [user_id]}}
        answer, ids = post("/get-online-features", body)
        hesitation = answer["results"][1]["values"][0]
        probability = 0.5 if hesitation is None else 1 / (1 + math.exp(-hesitation))
        self.predictions[cart_id] = (probability, ids[0])
        return probability

    def on_label(self, cart_id, abandoned):
        probability, feature_id = self.predictions.pop(cart_id)
        error = (probability - abandoned) ** 2
        post("/feedback", {"query_id": cart_id, "feature_id": feature_id, "error": error})
        return error


def main():
    rng = random.Random(1)
    users = [f"user-{index}" for index in range(50)]
    moods = {user: rng.gauss(0, 3) for user in users}
    model, errors = CartAbandonmentModel(), []
    for round in range(400):
        user = rng.choice(users)
        if rng.random() < 0.05:
            moods[user] = rng.gauss(0, 3)
        click = {"user_id": [user], "event_timestamp": [time.time()], "hesitation": [moods[user] + rng.gauss(0, 0.3)]}
        post("/push", {"push_source_name": "clicks", "df": click, "to": "online"})
        shopper = rng.choice(users)
        cart = f"cart-{time.time_ns()}-{round}"
        model.predict(shopper, cart)
        abandoned = rng.random() < 1 / (1 + math.exp(-moods[shopper]))
        errors.append(model.on_label(cart, abandoned))
    first, last = sum(errors[:100]) / 100, sum(errors[-100:]) / 100
    print(f"mean squared error: first hundred {first:.3f}, last hundred {last:.3f}")
    return 0 if last < first else 1


if __name__ == "__main__":
    sys.exit(main())
