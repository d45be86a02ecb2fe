"""The papers' programmes, solved by HiGHS: what the planners are compared with.

One JSON object a line in: {"kind": "mps", "path", "limit_s"} solves a programme from a file; {"kind": "iterative", "path", "stripes"}
makes Cloudcast's stripe-iterative plan (section 3.4) of an instance: a programme for each stripe on what the stripes before it have
left; {"kind": "placement", "keep", "reads", "least", "most"} places one object: what a copy costs by store, what reads cost by
region and store, how many copies. One JSON object a line out: the objective in dollars (a GB, for overlays), the bound, seconds of
processor time.
"""

import json
import os
import sys
import time

import highspy


def solver():
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    highs.setOptionValue("threads", 1)
    return highs


def solve_file(path, limit_s):
    highs = solver()
    began = time.process_time()
    highs.readModel(path)
    highs.setOptionValue("time_limit", float(limit_s))
    highs.setOptionValue("mip_rel_gap", 1e-6)
    highs.run()
    info = highs.getInfo()
    status = highs.modelStatusToString(highs.getModelStatus())
    found = abs(info.objective_function_value) < 1e29 and info.primal_solution_status == 2
    return {
        "status": status,
        "usd_per_gb": info.objective_function_value if found else None,
        "bound": info.mip_dual_bound,
        "cpu_s": time.process_time() - began,
    }


def iterative(path, stripes):
    with open(path, encoding="utf-8") as file:
        instance = json.load(file)
    began = time.process_time()
    source, terminals = instance["source"], set(instance["terminals"])
    longest, one = instance["longest"], 1.0 / stripes
    nodes = [node for node in instance["standing"]]
    edges = [
        (a, b)
        for a in nodes
        for b in nodes
        if a != b and b != source and instance["gbps"][a][b] > 0 and (a == source or b in terminals)
    ]
    used = {edge: 0.0 for edge in edges}
    machines = {node: 0.0 for node in nodes}
    egress = 0.0
    for stripe in range(stripes):
        later = (stripes - stripe - 1) * one
        highs = solver()
        highs.setOptionValue("mip_rel_gap", 1e-6)
        count = {}
        for node in nodes:
            usd = instance["machine_usd"][node] * longest
            count[node] = highs.addVariable(lb=machines[node], ub=instance["limit"], obj=usd, type=highspy.HighsVarType.kInteger)
        path, flow = {}, {}
        for a, b in edges:
            usd = instance["usd_per_gb"][a][b] * one
            path[a, b] = highs.addVariable(lb=0, ub=1, obj=usd, type=highspy.HighsVarType.kInteger)
            flow[a, b] = highs.addVariable(lb=0, ub=len(terminals), obj=0.0)
        for edge in edges:
            highs.addConstr(flow[edge] - path[edge] >= 0)
            highs.addConstr(flow[edge] - len(terminals) * path[edge] <= 0)
            room = instance["gbps"][edge[0]][edge[1]] * longest
            highs.addConstr(one * path[edge] - room * count[edge[0]] <= -used[edge])
        for node in nodes:
            out = [edge for edge in edges if edge[0] == node]
            into = [edge for edge in edges if edge[1] == node]
            supply = len(terminals) if node == source else -1 if node in terminals else 0
            balance = highspy.Highs.qsum([flow[edge] for edge in out]) - highspy.Highs.qsum([flow[edge] for edge in into])
            highs.addConstr(balance == supply)
            for side, cap in ((out, instance["egress_gbps"][node]), (into, instance["ingress_gbps"][node])):
                if side:
                    before = sum(used[edge] for edge in side)
                    kept = later if node == source and side is out else 0.0
                    taken = highspy.Highs.qsum([one * path[edge] for edge in side])
                    highs.addConstr(taken - cap * longest * count[node] <= -before - kept)
        highs.run()
        if highs.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            return {"status": "infeasible", "usd_per_gb": None, "cpu_s": time.process_time() - began}
        for edge in edges:
            if highs.val(path[edge]) > 0.5:
                used[edge] += one
                egress += instance["usd_per_gb"][edge[0]][edge[1]] * one
        for node in nodes:
            machines[node] = round(highs.val(count[node]))
    usd = egress + sum(instance["machine_usd"][node] * longest * machines[node] for node in nodes)
    return {"status": "found", "usd_per_gb": usd, "cpu_s": time.process_time() - began}


def placement(task):
    """SpanStore's programme with a row x <= y for each region and store; dollars scaled so that tolerances are small beside them."""
    keep, reads = task["keep"], task["reads"]
    stores = range(len(keep))
    scale = 1e4 / max(sum(keep) / len(keep) + sum(max(row) for row in reads), 1e-300)
    highs = solver()
    highs.setOptionValue("mip_rel_gap", 0.0)
    highs.setOptionValue("mip_abs_gap", 1e-9)
    began = time.process_time()
    copy = [highs.addVariable(lb=0, ub=1, obj=keep[store] * scale, type=highspy.HighsVarType.kInteger) for store in stores]
    for row in reads:
        share = [highs.addVariable(lb=0, ub=1, obj=row[store] * scale) for store in stores]
        highs.addConstr(highspy.Highs.qsum(share) == 1)
        for store in stores:
            highs.addConstr(share[store] - copy[store] <= 0)
    highs.addConstr(highspy.Highs.qsum(copy) >= task["least"])
    highs.addConstr(highspy.Highs.qsum(copy) <= task["most"])
    built_s = time.process_time() - began
    highs.run()
    solved = highs.getModelStatus() == highspy.HighsModelStatus.kOptimal
    chosen = [store for store in stores if solved and highs.val(copy[store]) > 0.5]
    # Priced again by its choice, without the solver's tolerances.
    usd = sum(keep[store] for store in chosen) + sum(min(row[store] for store in chosen) for row in reads) if chosen else None
    return {"usd": usd, "cpu_s": time.process_time() - began - built_s}


# The solver greets on standard output, whatever it is told: answers have a descriptor of their own.
answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)

for line in sys.stdin:
    task = json.loads(line)
    if task["kind"] == "mps":
        answer = solve_file(task["path"], task["limit_s"])
    elif task["kind"] == "placement":
        answer = placement(task)
    else:
        answer = iterative(task["path"], task["stripes"])
    print(json.dumps(answer), file=answers, flush=True)
