"""`optmsm`: every scenario's representation of every sample is computed, and its own scenario's is picked out."""

import itertools

import torch

from common import (
    AWARE,
    COMMON,
    ROWS,
    block,
    close,
    cosine,
    cross_entropy,
    embed_fields,
    linear,
    lookups_of_fields,
    own_linear,
    relu,
    samples_of_scenarios,
    scalar_block,
    scalar_cosine,
    scalar_linear,
    scalar_sigmoid,
    scalar_softmax,
)

OPTMSM = dict(
    COMMON,
    model="optmsm",
    scenarios=3,
    hidden=[12, 8, 6],  # of the transfer
    tower_hidden=[5, 4],
    hyper_hidden=7,
    transfer="fcn",
    orthogonality=True,
    orth="signed",
    priors=True,
    hypernetwork=True,
)
OPTMSM["lambda"] = 0.7  # large, so that it shows

CASES = {
    "optmsm-fcn": OPTMSM,
    "optmsm-fcn-abs": dict(OPTMSM, orth="abs"),
    "optmsm-fcn-square": dict(OPTMSM, orth="square"),
    "optmsm-moe": dict(OPTMSM, transfer="moe"),
    "optmsm-cgc": dict(OPTMSM, transfer="cgc"),
    "optmsm-fcn-no-priors": dict(OPTMSM, priors=False),
    "optmsm-fcn-no-orth": dict(OPTMSM, orthogonality=False),
    "optmsm-moe-no-orth": dict(OPTMSM, transfer="moe", orthogonality=False),
    "optmsm-cgc-no-orth": dict(OPTMSM, transfer="cgc", orthogonality=False),
    "optmsm-fcn-no-hyper": dict(OPTMSM, hypernetwork=False),
}


def shared_fields(case):
    """Which fields the transfer takes: the agnostic ones; all of them without priors."""
    return list(range(AWARE, len(ROWS))) if case["priors"] else list(range(len(ROWS)))


def transfer_sizes(case):
    """(inputs, outputs) of every layer of the transfer."""
    widths = [len(shared_fields(case)) * case["width"]] + case["hidden"]
    return list(zip(widths[:-1], widths[1:]))


def tower_sizes(case):
    """(inputs, outputs) of every layer of a tower; the last is the logit."""
    first = case["hidden"][-1] + (AWARE * case["width"] if case["priors"] else 0)
    widths = [first] + case["tower_hidden"] + [1]
    return list(zip(widths[:-1], widths[1:]))


def initial_parameters(case, initial):
    count, i = case["scenarios"], len(shared_fields(case))
    for f, rows in enumerate(ROWS):
        initial.normal(f"embedding.f{f}", (rows, case["width"]), 0.6)
    initial.linears("gate", count, i, i)
    for l, (d_in, d_out) in enumerate(transfer_sizes(case)):
        if case["transfer"] == "fcn":
            initial.linears(f"transfer.{l}.shared", 1, d_out, d_in)
            initial.normal(f"transfer.{l}.specific.weight", (count * d_out, d_in), 0.1, mean=1.0)
            initial.normal(f"transfer.{l}.specific.bias", (count, d_out), 0.2)
        if case["transfer"] == "moe":
            initial.linears(f"transfer.experts.{l}", 2 * count, d_out, d_in)
        if case["transfer"] == "cgc":
            initial.linears(f"transfer.own.{l}", 2 * count, d_out, d_in)
            initial.linears(f"transfer.shared.{l}", 2, d_out, d_in)
    if case["transfer"] != "fcn":
        experts = 2 * count if case["transfer"] == "moe" else 4
        initial.linears("transfer.mixer", count, experts, i * case["width"])
    first = tower_sizes(case)[0][0]
    for l, (d_in, d_out) in enumerate(tower_sizes(case)):
        if case["hypernetwork"]:
            initial.linear(f"hyper.{l}.0", case["hyper_hidden"], first)
            initial.linear(f"hyper.{l}.1", d_in, case["hyper_hidden"])
        initial.linears(f"tower.{l}", count, d_out, d_in, mean=0.3)  # few of its units at 0 for every sample


# ------------------------------------------------------------------------------------------------------------ the model


def refined(case, params, fields, m):
    """e_c^m [B, i D] of eq 5: the shared fields, each scaled by scenario m's gate."""
    means = torch.stack([e.mean(dim=1) for e in fields], dim=1)
    weight = block(params, "gate.weight", m, case["scenarios"])
    z = torch.sigmoid(means @ weight.T + params["gate.bias"][m])
    return torch.cat([z[:, j : j + 1] * e for j, e in enumerate(fields)], dim=1)


def fcn(case, params, x, m):
    """Eq 8, once a layer."""
    for l in range(len(case["hidden"])):
        name = f"transfer.{l}"
        specific = block(params, f"{name}.specific.weight", m, case["scenarios"])
        bias = params[f"{name}.shared.bias"][0] + params[f"{name}.specific.bias"][m]
        x = relu(x @ (params[f"{name}.shared.weight"] * specific).T + bias)
    return x


def expert(case, params, group, x, e, count):
    """Expert e of the `count` of a group."""
    for l in range(len(case["hidden"])):
        name = f"transfer.{group}.{l}"
        x = relu(x @ block(params, name + ".weight", e, count).T + params[name + ".bias"][e])
    return x


def mixture(case, params, x, m):
    """The experts that scenario m may use, all run on its own x, weighted by its softmax."""
    count = case["scenarios"]
    if case["transfer"] == "moe":
        results = [expert(case, params, "experts", x, e, 2 * count) for e in range(2 * count)]
    else:
        results = [expert(case, params, "own", x, 2 * m + e, 2 * count) for e in range(2)]
        results += [expert(case, params, "shared", x, e, 2) for e in range(2)]
    weight = block(params, "transfer.mixer.weight", m, count)
    p = torch.softmax(x @ weight.T + params["transfer.mixer.bias"][m], dim=1)
    return sum(p[:, e : e + 1] * r for e, r in enumerate(results))


def orthogonality(case, representations):
    """L_orth: summed over pairs of scenarios, mean over the batch."""
    f = {"signed": lambda c: c, "abs": torch.abs, "square": torch.square}[case["orth"]]
    return sum(f(cosine(a, b)) for a, b in itertools.combinations(representations, 2)).mean()


def outputs(case, params, batch):
    """logits, loss, bce and, with the constraint, orth."""
    count, scenarios = case["scenarios"], batch["scenarios"]
    embedded = embed_fields(case, params, batch)
    shared = [embedded[f] for f in shared_fields(case)]
    transfer = fcn if case["transfer"] == "fcn" else mixture
    representations = [transfer(case, params, refined(case, params, shared, m), m) for m in range(count)]

    own = torch.stack(representations, dim=1)[torch.arange(len(scenarios)), scenarios]
    first = torch.cat([own] + (embedded[:AWARE] if case["priors"] else []), dim=1)
    x = first
    for l in range(len(case["tower_hidden"]) + 1):
        if case["hypernetwork"]:
            x = x * 2 * torch.sigmoid(linear(params, f"hyper.{l}.1", relu(linear(params, f"hyper.{l}.0", first))))
        x = own_linear(params, f"tower.{l}", x, scenarios, count)
        x = relu(x) if l < len(case["tower_hidden"]) else x
    logits = x[:, 0]
    bce = cross_entropy(logits, batch["labels"])
    if not case["orthogonality"]:
        return {"logits": logits, "loss": bce, "bce": bce}
    orth = orthogonality(case, representations)
    return {"logits": logits, "loss": bce + case["lambda"] * orth, "bce": bce, "orth": orth}


def lookups(case, batch):
    """Which rows of which table a batch reads, one entry a reading."""
    return lookups_of_fields(batch)


def per_scenario(name):
    """Whether a parameter has an equal part for every scenario."""
    parts = name.split(".")
    return parts[0] in ("gate", "tower") or "specific" in parts or "mixer" in parts or "own" in parts


def unused(case, name):
    """Whether a parameter has no gradient by definition."""
    return False


def telling(case, params, batch):
    """Whether the batch shows what the case is about."""
    return samples_of_scenarios(case, batch).min() >= 2


def zero_vectors(case):
    """Whether a cosine of a zero vector has to occur; seeds with one are rare, so one case has it."""
    return case["name"] == "optmsm-fcn"


def further_tensors(case, params, batch):
    return {}


# ------------------------------------------------------------------------------------------------------------ its check


def scalar_representation(case, params, shared, m):
    """r^m of one sample; `shared` holds its fields as lists."""
    sizes, count = transfer_sizes(case), case["scenarios"]
    weight, bias = scalar_block(params, "gate", m, len(shared))
    means = [sum(e) / len(e) for e in shared]
    z = [scalar_sigmoid(v) for v in scalar_linear(weight, bias, means, False)]
    x = [z[j] * v for j, e in enumerate(shared) for v in e]
    if case["transfer"] == "fcn":
        for l, (_, d_out) in enumerate(sizes):
            a, shift = scalar_block(params, f"transfer.{l}.shared", 0, d_out)
            b, own = scalar_block(params, f"transfer.{l}.specific", m, d_out)
            product = [[p * q for p, q in zip(*rows)] for rows in zip(a, b)]
            x = scalar_linear(product, [p + q for p, q in zip(shift, own)], x, True)
        return x
    own = [("own", 2 * m), ("own", 2 * m + 1), ("shared", 0), ("shared", 1)]
    experts = [("experts", e) for e in range(2 * count)] if case["transfer"] == "moe" else own
    mix = scalar_softmax(scalar_linear(*scalar_block(params, "transfer.mixer", m, len(experts)), x, False))
    total = [0.0] * sizes[-1][1]
    for p, (group, e) in zip(mix, experts):
        y = x
        for l, (_, d_out) in enumerate(sizes):
            y = scalar_linear(*scalar_block(params, f"transfer.{group}.{l}", e, d_out), y, True)
        total = [t + p * v for t, v in zip(total, y)]
    return total


def check(case, params, batch, out):
    """Every logit and the constraint again, on Python numbers, sample by sample."""
    total = 0.0
    for b, s in enumerate(batch["scenarios"].tolist()):
        fields = [params[f"embedding.f{f}"][batch["ids"][b, f]].tolist() for f in range(len(ROWS))]
        shared = [fields[f] for f in shared_fields(case)]
        r = [scalar_representation(case, params, shared, m) for m in range(case["scenarios"])]
        for i, j in itertools.combinations(range(len(r)), 2):
            c = scalar_cosine(r[i], r[j])
            total += {"signed": c, "abs": abs(c), "square": c * c}[case["orth"]]
        first = r[s] + ([v for e in fields[:AWARE] for v in e] if case["priors"] else [])
        x = first
        for l, (_, d_out) in enumerate(tower_sizes(case)):
            if case["hypernetwork"]:
                y = first
                for part in (f"hyper.{l}.0", f"hyper.{l}.1"):
                    weight, bias = params[part + ".weight"].tolist(), params[part + ".bias"].tolist()
                    y = scalar_linear(weight, bias, y, part.endswith("0"))
                x = [2 * scalar_sigmoid(g) * v for g, v in zip(y, x, strict=True)]
            x = scalar_linear(*scalar_block(params, f"tower.{l}", s, d_out), x, d_out > 1)
        assert close(x[0], out["logits"][b]), b
    if case["orthogonality"]:
        assert close(total / len(batch["labels"]), out["orth"])
