"""`wide-deep`, `deepfm`, `dcn` and `dcn-v2`: what fields say together, beside an MLP."""

import torch

from common import (
    COMMON,
    ROWS,
    aware_and_all,
    check_logits,
    cross_entropy,
    embed_fields,
    fields_of,
    linear,
    lookups_of_fields,
    mlp,
    relu,
    scalar_fields,
    scalar_mlp,
    scalar_plain,
)

HIDDEN = dict(COMMON, hidden=[12, 8])

CASES = {
    "wide-deep": dict(HIDDEN, model="wide-deep"),
    "wide-deep-numeric": dict(HIDDEN, model="wide-deep", numeric=True),
    "deepfm": dict(HIDDEN, model="deepfm"),
    "dcn": dict(HIDDEN, model="dcn", cross_layers=3),
    "dcn-v2": dict(HIDDEN, model="dcn-v2", cross_layers=3),
}


def wide(case):
    """Whether every id has a weight of its own in the logit."""
    return case["model"] in ("wide-deep", "deepfm")


def initial_parameters(case, initial):
    d_0 = len(ROWS) * case["width"]
    initial.tables("embedding", case, case["width"])
    widths = [d_0] + case["hidden"] + ([1] if wide(case) else [])
    for l, (d_in, d_out) in enumerate(zip(widths[:-1], widths[1:])):
        initial.linear(f"mlp.{l}", d_out, d_in)
    if wide(case):
        initial.tables("wide", case, 1)
        return
    for l in range(case["cross_layers"]):
        initial.kernel(f"cross.{l}.weight", 1 if case["model"] == "dcn" else d_0, d_0)
        initial.normal(f"cross.{l}.bias", (d_0,), 0.2)
    initial.linear("output", 1, d_0 + case["hidden"][-1])


# ------------------------------------------------------------------------------------------------------------ the model


def wide_sum(case, params, batch):
    """The sum [B] of the fields' weights."""
    total = 0.0
    for f, field in enumerate(fields_of(case)):
        weight = params[f"wide.f{f}"][batch["ids"][:, f], 0]
        total = total + (batch["values"][:, 0] * weight if field["kind"] == "numeric" else weight)
    return total


def factorisation(embedded):
    """The FM's sum [B] of products of two different fields, by the square of the sum."""
    e = torch.stack(embedded, dim=1)  # [B, fields, D]
    return (e.sum(dim=1).square() - e.square().sum(dim=1)).sum(dim=1) / 2


def crossed(case, params, x):
    """x after the cross layers: of one weight vector each (dcn), or of a matrix."""
    y = x
    for l in range(case["cross_layers"]):
        w, b = params[f"cross.{l}.weight"], params[f"cross.{l}.bias"]
        y = x * (y @ w.T) + b + y if case["model"] == "dcn" else x * (y @ w.T + b) + y
    return y


def outputs(case, params, batch):
    """logits, loss and bce."""
    _, x = aware_and_all(case, params, batch)
    if wide(case):
        logits = mlp(params, x, len(case["hidden"])) + wide_sum(case, params, batch)
        if case["model"] == "deepfm":
            logits = logits + factorisation(embed_fields(case, params, batch))
    else:
        h = x
        for l in range(len(case["hidden"])):
            h = relu(linear(params, f"mlp.{l}", h))
        logits = linear(params, "output", torch.cat([crossed(case, params, x), h], dim=1))[:, 0]
    bce = cross_entropy(logits, batch["labels"])
    return {"logits": logits, "loss": bce, "bce": bce}


def lookups(case, batch):
    """Which rows of which table a batch reads, one entry a reading."""
    read = lookups_of_fields(batch)
    if wide(case):
        read |= {f"wide.f{f}": batch["ids"][:, f] for f in range(len(ROWS))}
    return read


def per_scenario(name):
    """Whether a parameter has an equal part for every scenario."""
    return False


def unused(case, name):
    """Whether a parameter has no gradient by definition."""
    return False


def telling(case, params, batch):
    """Whether the batch shows what the case is about."""
    return True


def zero_vectors(case):
    """Whether a cosine of a zero vector has to occur."""
    return False


def further_tensors(case, params, batch):
    return {}


# ------------------------------------------------------------------------------------------------------------ its check


def scalar_factorisation(fields):
    """Pair by pair."""
    pairs = [(i, j) for j in range(len(fields)) for i in range(j)]
    return sum(p * q for i, j in pairs for p, q in zip(fields[i], fields[j], strict=True))


def scalar_crossed(case, params, x):
    y = x
    for l in range(case["cross_layers"]):
        w, b = params[f"cross.{l}.weight"].tolist(), params[f"cross.{l}.bias"].tolist()
        products = [sum(p * q for p, q in zip(row, y, strict=True)) for row in w]
        if case["model"] == "dcn":
            y = [x[d] * products[0] + b[d] + y[d] for d in range(len(x))]
        else:
            y = [x[d] * (products[d] + b[d]) + y[d] for d in range(len(x))]
    return y


def check(case, params, batch, out):
    """Every logit again, on Python numbers, sample by sample."""
    depth, logits = len(case["hidden"]), []
    for b in range(len(batch["labels"])):
        fields = scalar_fields(case, params, batch, b)
        x = [v for e in fields for v in e]
        if wide(case):
            z = scalar_mlp(params, x, depth) + sum(e[0] for e in scalar_fields(case, params, batch, b, "wide"))
            logits.append(z + scalar_factorisation(fields) if case["model"] == "deepfm" else z)
            continue
        h = x
        for l in range(depth):
            h = scalar_plain(params, f"mlp.{l}", h, True)
        logits.append(scalar_plain(params, "output", scalar_crossed(case, params, x) + h, False)[0])
    check_logits(batch, out, logits)
