"""Functions in Python that make features of a key's data, for `skyfresh features serve`.

    import skyfresh

    @skyfresh.transform
    def spending(key, events, state):
        total = (state or 0) + sum(event["price"] for event in events)
        return {"total": total}, total

`events` are the key's new events in order of their arrival: dictionaries of their columns, and `event_timestamp` (seconds since
1970). `state` is what the function returned last for the key; None the first time. It returns the features and the state to keep,
both JSON. The server runs it in processes of its own and stops those that hang; nothing has to be installed for that.
"""

import json
import os
import sys
import traceback

__version__ = "0.1.0"
__all__ = ["transform"]

_TRANSFORMS = {}


def transform(function):
    """Marks a function that makes features. It can be called as before."""
    _TRANSFORMS[function.__name__] = function
    return function


def _update(function, item):
    events = [dict(event["columns"], event_timestamp=event["at_ms"] / 1000) for event in item["events"]]
    features, state = function(item["key"], events, item["state"])
    if not isinstance(features, dict):
        raise TypeError(f"the features are a {type(features).__name__}, not a dictionary")
    return {"features": features, "state": state}


def _answer(function, line):
    results = []
    for item in json.loads(line):
        try:
            result = _update(function, item)
            json.dumps(result, allow_nan=False)
        except Exception:
            result = {"error": traceback.format_exc(limit=-2)}
        results.append(result)
    return json.dumps(results, allow_nan=False)


def _work(path, name):
    """Answers lines of keys with lines of updates until standard input ends. What functions print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    with open(path, encoding="utf-8") as file:
        code = compile(file.read(), path, "exec")
    exec(code, {"__name__": "skyfresh_functions", "__file__": path})
    function = _TRANSFORMS.get(name)
    if function is None:
        known = ", ".join(sorted(_TRANSFORMS)) or "none"
        sys.exit(f"{path} has no @skyfresh.transform {name}; there are: {known}")
    print(json.dumps({"ready": name}), file=answers, flush=True)
    for line in sys.stdin:
        print(_answer(function, line), file=answers, flush=True)
