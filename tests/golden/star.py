"""`star`: partitioned norm by the moments of each scenario's samples, the star topology, the auxiliary net."""

import torch
from torch.nn.functional import batch_norm

from common import (
    AWARE,
    COMMON,
    ROWS,
    WATCH,
    Watch,
    aware_and_all,
    block,
    check_logits,
    close,
    cross_entropy,
    linear,
    lookups_of_fields,
    relu,
    samples_of_scenarios,
    scalar_aware_and_all,
    scalar_block,
    scalar_linear,
    scalar_plain,
)

STAR = dict(COMMON, model="star", scenarios=3, hidden=[12, 8], auxiliary_hidden=7)
NORM_EPSILON = 1e-5
MOMENTUM = 0.1

CASES = {"star": STAR, "star-single": STAR}


def layer_sizes(case):
    """(inputs, outputs) of every layer of the star topology; the last is the logit."""
    widths = [len(ROWS) * case["width"]] + case["hidden"] + [1]
    return list(zip(widths[:-1], widths[1:]))


def initial_parameters(case, initial):
    count, d_0, hidden = case["scenarios"], len(ROWS) * case["width"], case["auxiliary_hidden"]
    initial.tables("embedding", case, case["width"])
    for part, rows in (("shared", 1), ("specific", count)):
        initial.normal(f"norm.{part}.scale", (rows, d_0), 0.2, mean=1.0)
        initial.normal(f"norm.{part}.shift", (rows, d_0), 0.2)
    for l, (d_in, d_out) in enumerate(layer_sizes(case)):
        initial.linears(f"fcn.{l}.shared", 1, d_out, d_in)
        initial.normal(f"fcn.{l}.specific.weight", (count * d_out, d_in), 0.1, mean=1.0)
        initial.normal(f"fcn.{l}.specific.bias", (count, d_out), 0.2)
    initial.linear("auxiliary.0", hidden, AWARE * case["width"] + d_0, mean=0.3)  # few samples have all units at 0
    initial.linear("auxiliary.1", 1, hidden)


def initial_state(case):
    """The running moments, of every scenario."""
    shape = (case["scenarios"], len(ROWS) * case["width"])
    return {"norm.mean": torch.zeros(shape), "norm.variance": torch.ones(shape)}


# ------------------------------------------------------------------------------------------------------------ the model


def normalised_in_batch(case, x, scenarios):
    """x̂ by the mean and the biased variance of each scenario's samples; one sample alone is its mean, so that its x̂ is 0."""
    result = torch.zeros_like(x)
    for s in torch.unique(scenarios).tolist():
        own = x[scenarios == s]
        mean = own.mean(dim=0)
        variance = (own - mean).square().mean(dim=0)
        Watch.add(WATCH.deviation, variance.sqrt())
        result[scenarios == s] = (own - mean) / (variance + NORM_EPSILON).sqrt()
    return result


def normalised_by_running(x, scenarios, state):
    """x̂ by the running moments."""
    return (x - state["norm.mean"][scenarios]) / (state["norm.variance"][scenarios] + NORM_EPSILON).sqrt()


def logits_of(case, params, scenarios, e_aw, x, normalised):
    """The star topology on what the norm makes of x̂, and the auxiliary net on raw x."""
    count = case["scenarios"]
    scale = params["norm.shared.scale"] * params["norm.specific.scale"][scenarios]
    shift = params["norm.shared.shift"] + params["norm.specific.shift"][scenarios]
    y = normalised * scale + shift
    results = []
    for s in range(count):
        h = y
        for l, (_, d_out) in enumerate(layer_sizes(case)):
            weight = params[f"fcn.{l}.shared.weight"] * block(params, f"fcn.{l}.specific.weight", s, count)
            h = h @ weight.T + params[f"fcn.{l}.shared.bias"][0] + params[f"fcn.{l}.specific.bias"][s]
            h = relu(h) if d_out > 1 else h
        results.append(h[:, 0])
    own = torch.stack(results, dim=1)[torch.arange(len(scenarios)), scenarios]
    hidden = relu(linear(params, "auxiliary.0", torch.cat([e_aw, x], dim=1)))
    return own + linear(params, "auxiliary.1", hidden)[:, 0]


def outputs(case, params, batch):
    """logits, loss and bce."""
    e_aw, x = aware_and_all(case, params, batch)
    normalised = normalised_in_batch(case, x, batch["scenarios"])
    logits = logits_of(case, params, batch["scenarios"], e_aw, x, normalised)
    bce = cross_entropy(logits, batch["labels"])
    return {"logits": logits, "loss": bce, "bce": bce}


def evaluation_logits(case, params, batch):
    e_aw, x = aware_and_all(case, params, batch)
    normalised = normalised_by_running(x, batch["scenarios"], batch["state"])
    return logits_of(case, params, batch["scenarios"], e_aw, x, normalised)


def next_state(case, state, params, batch):
    """The running moments after the batch; a scenario with one sample keeps its own."""
    _, x = aware_and_all(case, params, batch)
    mean, variance = state["norm.mean"].clone(), state["norm.variance"].clone()
    for s in range(case["scenarios"]):
        own = x[batch["scenarios"] == s].detach()
        if len(own) >= 2:
            mean[s] = (1 - MOMENTUM) * mean[s] + MOMENTUM * own.mean(dim=0)
            variance[s] = (1 - MOMENTUM) * variance[s] + MOMENTUM * own.var(dim=0, unbiased=True)
    return {"norm.mean": mean, "norm.variance": variance}


def lookups(case, batch):
    """Which rows of which table a batch reads, one entry a reading."""
    return lookups_of_fields(batch)


def per_scenario(name):
    """Whether a parameter has an equal part for every scenario; not the scale, which one sample alone does not reach."""
    return "specific" in name.split(".") and name != "norm.specific.scale"


def unused(case, name):
    """Whether a parameter has no gradient by definition."""
    return False


def telling(case, params, batch):
    """Whether the batch shows what the case is about.

    No column is constant in a scenario of several samples: its scale's gradient would be rounding alone.
    """
    alone = (samples_of_scenarios(case, batch) == 1).sum()
    if alone != (1 if case["name"] == "star-single" else 0):
        return False
    for s in range(case["scenarios"]):
        own = batch["ids"][batch["scenarios"] == s]
        if len(own) >= 2 and (own == own[0]).all(dim=0).any():
            return False
    return True


def zero_vectors(case):
    """Whether a cosine of a zero vector has to occur."""
    return False


def further_tensors(case, params, batch):
    return {}


# ------------------------------------------------------------------------------------------------------------ its check


def scalar_moments(rows):
    """The mean and the biased variance of every column."""
    mean = [sum(column) / len(rows) for column in zip(*rows)]
    return mean, [sum((v - m) ** 2 for v in column) / len(rows) for column, m in zip(zip(*rows), mean)]


def scalar_logit(case, params, s, e_aw, x, mean, variance):
    """One sample's logit by the moments that are given."""
    scale, own_scale = params["norm.shared.scale"][0].tolist(), params["norm.specific.scale"][s].tolist()
    shift, own_shift = params["norm.shared.shift"][0].tolist(), params["norm.specific.shift"][s].tolist()
    h = []
    for d, v in enumerate(x):
        normalised = (v - mean[d]) / (variance[d] + NORM_EPSILON) ** 0.5
        h.append(normalised * scale[d] * own_scale[d] + shift[d] + own_shift[d])
    for l, (_, d_out) in enumerate(layer_sizes(case)):
        a, bias = scalar_block(params, f"fcn.{l}.shared", 0, d_out)
        b, own = scalar_block(params, f"fcn.{l}.specific", s, d_out)
        product = [[p * q for p, q in zip(*rows)] for rows in zip(a, b)]
        h = scalar_linear(product, [p + q for p, q in zip(bias, own)], h, d_out > 1)
    hidden = scalar_plain(params, "auxiliary.0", e_aw + x, True)
    return h[0] + scalar_plain(params, "auxiliary.1", hidden, False)[0]


def check(case, params, batch, out):
    """Every logit again, on Python numbers; the norm and its running moments against torch's own batch norm."""
    scenarios = batch["scenarios"].tolist()
    samples = [scalar_aware_and_all(case, params, batch, b) for b in range(len(scenarios))]
    moments = {s: scalar_moments([x for (_, x), other in zip(samples, scenarios) if other == s]) for s in set(scenarios)}
    check_logits(batch, out, [scalar_logit(case, params, s, *samples[b], *moments[s]) for b, s in enumerate(scenarios)])

    _, x = aware_and_all(case, params, batch)
    normalised = normalised_in_batch(case, x, batch["scenarios"])
    state = {name: torch.rand_like(t) + 0.5 for name, t in initial_state(case).items()}
    after = next_state(case, state, params, batch)
    for s in range(case["scenarios"]):
        own = batch["scenarios"] == s
        mean, variance = state["norm.mean"][s].clone(), state["norm.variance"][s].clone()
        if own.sum() == 1:
            assert not normalised[own].any()
        else:
            theirs = batch_norm(x[own], mean, variance, training=True, momentum=MOMENTUM, eps=NORM_EPSILON)
            assert close(normalised[own], theirs)
        assert close(after["norm.mean"][s], mean) and close(after["norm.variance"][s], variance)


def check_evaluation(case, params, batch, logits):
    """Every logit of the evaluation again, on Python numbers."""
    mean, variance = batch["state"]["norm.mean"].tolist(), batch["state"]["norm.variance"].tolist()
    for b, s in enumerate(batch["scenarios"].tolist()):
        z = scalar_logit(case, params, s, *scalar_aware_and_all(case, params, batch, b), mean[s], variance[s])
        assert close(z, logits[b]), b
