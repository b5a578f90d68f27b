"""`shared-bottom`, `mmoe`, `hmoe` and `ple`: every scenario's logit of every sample is computed, its own is picked out."""

import math

import torch

from common import (
    COMMON,
    ROWS,
    aware_and_all,
    block_linear,
    check_logits,
    cross_entropy,
    lookups_of_fields,
    relu,
    samples_of_scenarios,
    scalar_aware_and_all,
    scalar_block,
    scalar_linear,
    scalar_sigmoid,
    scalar_softmax,
    stop,
)

EXPERTS = dict(COMMON, scenarios=3, hidden=[12, 8])

CASES = {
    "shared-bottom": dict(EXPERTS, model="shared-bottom"),
    "mmoe": dict(EXPERTS, model="mmoe", tower_hidden=[5], experts_per_scenario=2),
    "hmoe": dict(EXPERTS, model="hmoe", tower_hidden=[5], experts_per_scenario=2),
    "ple": dict(EXPERTS, model="ple", tower_hidden=[5]),
}


def expert_sizes(case):
    """(inputs, outputs) of every layer of an expert."""
    widths = [len(ROWS) * case["width"]] + case["hidden"]
    return list(zip(widths[:-1], widths[1:]))


def tower_sizes(case):
    """(inputs, outputs) of every layer of a tower; the last is the logit."""
    if case["model"] == "shared-bottom":
        widths = [len(ROWS) * case["width"]] + case["hidden"] + [1]
    else:
        widths = [case["hidden"][-1]] + case["tower_hidden"] + [1]
    return list(zip(widths[:-1], widths[1:]))


def groups(case):
    """How many experts each stack has."""
    count = case["scenarios"]
    if case["model"] == "shared-bottom":
        return {}
    return {"own": 2 * count, "shared": 2} if case["model"] == "ple" else {"experts": case["experts_per_scenario"] * count}


def experts_of(case, m):
    """The experts that scenario m mixes, each by its stack and its place there, in the order of the scores."""
    if case["model"] == "ple":
        return [("own", 2 * m), ("own", 2 * m + 1), ("shared", 0), ("shared", 1)]
    return [(group, e) for group, size in groups(case).items() for e in range(size)]


def initial_parameters(case, initial):
    count, d_0 = case["scenarios"], len(ROWS) * case["width"]
    initial.tables("embedding", case, case["width"])
    for group, size in groups(case).items():
        for l, (d_in, d_out) in enumerate(expert_sizes(case)):
            initial.linears(f"{group}.{l}", size, d_out, d_in)
    if groups(case):
        initial.linears("mixer", count, len(experts_of(case, 0)), d_0)
    for l, (d_in, d_out) in enumerate(tower_sizes(case)):
        initial.linears(f"tower.{l}", count, d_out, d_in, mean=0.3)  # few of its units at 0 for every sample
    if case["model"] == "hmoe":
        initial.linears("label", count, count, d_0)


# ------------------------------------------------------------------------------------------------------------ the model


def expert(case, params, group, x, e):
    """The last outputs of expert e of a stack."""
    for l in range(len(case["hidden"])):
        x = relu(block_linear(params, f"{group}.{l}", x, e, groups(case)[group]))
    return x


def scenario_logit(case, params, x, m):
    """The logit [B] that scenario m's mixture and tower give every sample."""
    h, count = x, case["scenarios"]
    if groups(case):
        p = torch.softmax(block_linear(params, "mixer", x, m, count), dim=1)
        results = [expert(case, params, group, x, e) for group, e in experts_of(case, m)]
        h = sum(p[:, j : j + 1] * r for j, r in enumerate(results))
    for l, (_, d_out) in enumerate(tower_sizes(case)):
        h = block_linear(params, f"tower.{l}", h, m, count)
        h = relu(h) if d_out > 1 else h
    return h[:, 0]


def mixed_labels(case, params, x, z, own):
    """HMoE's logit [B] of p = Σ_j g_j σ(z_j); another scenario's z_j sends no gradient."""
    count = case["scenarios"]
    g = torch.stack([torch.softmax(block_linear(params, "label", x, m, count), dim=1) for m in range(count)], dim=1)
    z = torch.where(own, z, stop(z))
    p = (g[own] * torch.sigmoid(z)).sum(dim=1)
    return torch.log(p) - torch.log(1 - p)


def outputs(case, params, batch):
    """logits, loss and bce."""
    _, x = aware_and_all(case, params, batch)
    z = torch.stack([scenario_logit(case, params, x, m) for m in range(case["scenarios"])], dim=1)
    own = batch["scenarios"][:, None] == torch.arange(case["scenarios"])  # [B, M], one true in a row
    logits = mixed_labels(case, params, x, z, own) if case["model"] == "hmoe" else z[own]
    bce = cross_entropy(logits, batch["labels"])
    return {"logits": logits, "loss": bce, "bce": bce}


def lookups(case, batch):
    """Which rows of which table a batch reads, one entry a reading."""
    return lookups_of_fields(batch)


def per_scenario(name):
    """Whether a parameter has an equal part for every scenario."""
    return name.startswith(("own.", "mixer.", "tower.", "label."))


def unused(case, name):
    """Whether a parameter has no gradient by definition."""
    return False


def telling(case, params, batch):
    """Whether the batch shows what the case is about."""
    return samples_of_scenarios(case, batch).min() >= 2


def zero_vectors(case):
    """Whether a cosine of a zero vector has to occur."""
    return False


def further_tensors(case, params, batch):
    return {}


# ------------------------------------------------------------------------------------------------------------ its check


def scalar_logit(case, params, x, m):
    """Scenario m's logit of one sample."""
    h = x
    if groups(case):
        chosen = experts_of(case, m)
        mix = scalar_softmax(scalar_linear(*scalar_block(params, "mixer", m, len(chosen)), x, False))
        h = [0.0] * case["hidden"][-1]
        for p, (group, e) in zip(mix, chosen, strict=True):
            y = x
            for l, (_, d_out) in enumerate(expert_sizes(case)):
                y = scalar_linear(*scalar_block(params, f"{group}.{l}", e, d_out), y, True)
            h = [t + p * v for t, v in zip(h, y, strict=True)]
    for l, (_, d_out) in enumerate(tower_sizes(case)):
        h = scalar_linear(*scalar_block(params, f"tower.{l}", m, d_out), h, d_out > 1)
    return h[0]


def check(case, params, batch, out):
    """Every logit again, on Python numbers, sample by sample."""
    count, logits = case["scenarios"], []
    for b, s in enumerate(batch["scenarios"].tolist()):
        _, x = scalar_aware_and_all(case, params, batch, b)
        if case["model"] == "hmoe":
            g = scalar_softmax(scalar_linear(*scalar_block(params, "label", s, count), x, False))
            p = sum(share * scalar_sigmoid(scalar_logit(case, params, x, j)) for j, share in enumerate(g))
            logits.append(math.log(p / (1 - p)))
        else:
            logits.append(scalar_logit(case, params, x, s))
    check_logits(batch, out, logits)
